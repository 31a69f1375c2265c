"""Bugs of who reaches the engine, and by what it is shown to them."""

from __future__ import annotations

from engine.front.access.listeners import Listeners
from engine.front.access.proxies import Proxies
from engine.front.server import tls
from engine.front.server.certificate import Certificate
from engine.front.server.connection import Connection
from engine.front.server.crowd import Crowd, Place
from engine.process import bind
from engine.registry.registry import Registry
from engine.store.tables.views.views import TableViews
from tests.mutants.catalog import PROPERTY, Planting, plant

BIND = "tests/process/test_bind.py::test_"
PROXIES = "tests/front/test_proxies.py::test_"
GIVING_WAY = "tests/front/server/test_giving_way.py::test_"
CROWD = "tests/front/server/test_crowd.py::test_"
STRANGER = "tests/front/server/test_stranger.py::test_"
TLS = "tests/front/server/test_tls.py::test_"


@plant("others reach an engine that asks for no token", by=(PROPERTY,),
       test=f"{BIND}elsewhere_it_takes_tokens_and_a_way")  # fmt: skip
def no_token_elsewhere(bug: Planting) -> None:
    bug.rewrite(bind.check_bind, "if not asks_token:", "if False:")


@plant("the last token that is taken away opens an engine that others reach", by=(PROPERTY,),
       test="tests/registry/test_registry.py::test_an_engine_that_others_reach_asks_always",
)  # fmt: skip
def last_token_opens(bug: Planting) -> None:
    bug.rewrite(Registry._join, "self._asks_always or self._was_defined", "self._was_defined")


@plant("anybody is believed whom they ask for", by=(PROPERTY,),
       test=f"{PROXIES}nobody_else_is_believed")  # fmt: skip
def everybody_believed(bug: Planting) -> None:
    bug.rewrite(Proxies.address, " or not self._is_proxy(peer)", "")


@plant("a caller chooses the address that a proxy tells of it", by=(PROPERTY,),
       test=f"{PROXIES}whom_a_proxy_speaks_for")  # fmt: skip
def first_address_believed(bug: Planting) -> None:
    bug.rewrite(Proxies._before_the_proxies, "reversed(chain)", "chain")


@plant("a pair that cannot be used is never told", by=(PROPERTY,),
       test=f"{TLS}a_bad_pair_is_told_and_the_last_good_one_holds")  # fmt: skip
def bad_pair_untold(bug: Planting) -> None:
    bug.rewrite(Certificate.look, "digest == self._doubted and digest != self._told", "False")


@plant("renewed files are not taken", by=(PROPERTY,),
       test=f"{TLS}renewed_files_are_taken")  # fmt: skip
def renewal_not_taken(bug: Planting) -> None:
    bug.rewrite(Certificate.look, "if digest == self._seen:", "if True:")


@plant("another client's run that waits to be recorded is told of", by=(PROPERTY,),
       test="tests/front/test_own_away.py::test_nor_is_one_that_waits_to_be_recorded")  # fmt: skip
def waiting_run_is_told_of(bug: Planting) -> None:
    bug.rewrite(TableViews.client_of, "self._writer.run_behind(run_id)", "None")


@plant("a tenant is told who else listens", by=(PROPERTY,),
       test="tests/front/test_listeners.py::test_of_one_client")  # fmt: skip
def others_who_listen(bug: Planting) -> None:
    bug.rewrite(Listeners.told, "client is None or it.client == client", "True")


@plant("a stranger is served behind a proxy", by=(PROPERTY,),
       test=f"{STRANGER}a_stranger_is_refused_by_its_head[post]")  # fmt: skip
def stranger_is_served(bug: Planting) -> None:
    bug.rewrite(
        Connection.__init__, "self._stranger = server.door.stranger(peer_of(stream.socket))", "pass"
    )


@plant("a request that comes with the end of the handshake is lost", by=(PROPERTY,),
       test=f"{TLS}a_request_with_the_end_of_the_handshake[quart]")  # fmt: skip
def early_request_is_lost(bug: Planting) -> None:
    bug.rewrite(tls.sealed, "connection.early = connection.open", "connection.open")


@plant("a request under way is cut for a new connection", by=(PROPERTY,),
       test=f"{GIVING_WAY}a_request_under_way_is_never_cut")  # fmt: skip
def request_is_cut(bug: Planting) -> None:
    bug.rewrite(Place.works, "self.queue is not None", "False")


@plant("a stranger who does not read an answer keeps a place", by=(PROPERTY,),
       test=f"{GIVING_WAY}a_stranger_who_does_not_read_gives_way")  # fmt: skip
def unread_answer_keeps_place(bug: Planting) -> None:
    bug.rewrite(Connection.write, "self._place.stalls()", "pass")


@plant("who has a token loses an answer that it is slow to read", by=(PROPERTY,),
       test=f"{GIVING_WAY}who_has_a_token_may_take_its_time_to_read")  # fmt: skip
def slow_reader_is_cut(bug: Planting) -> None:
    bug.rewrite(Connection.write, "self._place.stalls()", "self._place.waits()")


@plant("what is about to end keeps others out", by=(PROPERTY,),
       test=f"{GIVING_WAY}one_that_lingers_after_its_answer_gives_way")  # fmt: skip
def lingering_keeps_place(bug: Planting) -> None:
    bug.rewrite(Connection._leave, "self._place.waits()", "pass")


@plant("a token that was taken away keeps its connections", by=(PROPERTY,),
       test=f"{GIVING_WAY}a_token_that_is_taken_away_makes_its_connections_a_strangers",
)  # fmt: skip
def taken_token_keeps_places(bug: Planting) -> None:
    bug.rewrite(Crowd.make_room, "self._look()", "pass")


@plant("a token is read again with each request", by=(PROPERTY,),
       test=f"{CROWD}of_ten_thousand_one_is_asked")  # fmt: skip
def token_is_read_again(bug: Planting) -> None:
    bug.rewrite(Place.shows, "if token or not authorization", "if not authorization")


@plant("a connection counts on after it gave way", by=(PROPERTY,),
       test=f"{CROWD}who_gave_way_counts_nowhere")  # fmt: skip
def counts_on(bug: Planting) -> None:
    bug.rewrite(Place.stand_in, "if not self.is_left", "if True")


@plant("one tenant with all connections keeps others out", by=(PROPERTY,),
       test=f"{GIVING_WAY}of_those_with_a_token_whoever_has_most_makes_room")  # fmt: skip
def most_is_least(bug: Planting) -> None:
    bug.rewrite(Crowd._look, "heapify(self._most)", "self._most.sort(reverse=True)")


@plant("a stranger who opens connections pushes out who has a token", by=(PROPERTY,),
       test=f"{GIVING_WAY}who_has_shown_nothing_yet_gives_way_first")  # fmt: skip
def strangers_go_last(bug: Planting) -> None:
    bug.rewrite(Crowd._next_owner, " and strangers <= self._arriving_max", "")


@plant("a tenant that opens connections pushes out who arrives", by=(PROPERTY,),
       test=f"{GIVING_WAY}those_who_arrive_have_a_few_places")  # fmt: skip
def nobody_arrives(bug: Planting) -> None:
    bug.rewrite(Crowd._next_owner, "strangers <= self._arriving_max", "not strangers")


@plant("a connection ends without TLS's goodbye", by=(PROPERTY,),
       test=f"{TLS}goodbye_behind_a_request[quart]")  # fmt: skip
def no_goodbye(bug: Planting) -> None:
    bug.rewrite(Connection._leave, "self._tls.say_goodbye()", "pass")
