"""Bugs of what files define, and of what a client may take."""

from __future__ import annotations

import inspect

from engine.registry.changes import Changes
from engine.registry.files import _Reading
from engine.registry.look import Look
from engine.registry.registry import Registry
from engine.registry.watch import Files
from engine.runs.engine import Engine
from engine.runs.limits.new_runs import NewRuns
from engine.runs.limits.rates import Rates
from tests.mutants.catalog import PROPERTY, Planting, plant

FILES = "tests/registry/test_files.py::test_"
WATCH = "tests/registry/test_watch.py::test_"
EXCHANGED = (
    "tests/registry/test_changes.py::test_a_signing_secret_is_exchanged_with_two_for_a_while"
)
OF_OTHERS = "tests/registry/test_changes.py::test_the_first_client_pauses_no_runs_of_others_unsaid"
LIMITS = "tests/runs/limits/test_new_runs.py::test_"


@plant("a slip in a client's file takes the client away", by=(PROPERTY,),
       test=f"{WATCH}a_bad_file_is_told_once_and_what_was_good_holds")  # fmt: skip
def bad_file_takes_its_client_away(bug: Planting) -> None:
    keeping = inspect.unwrap(_Reading._keeping)
    bug.rewrite(keeping, "self._parts |= {name: last[name] for name in kept}", "pass")


@plant("a file is taken as the first look found it", by=(PROPERTY,),
       test=f"{WATCH}what_is_half_written_is_left_alone")  # fmt: skip
def first_look_is_taken(bug: Planting) -> None:
    bug.rewrite(
        Files.watch,
        "found is not None and seen is not None and found.marks == seen.marks",
        "found is not None",
    )


@plant("files that are gone open the engine", by=(PROPERTY,),
       test=f"{WATCH}clients_come_and_go_with_their_files")  # fmt: skip
def gone_files_open_the_engine(bug: Planting) -> None:
    bug.rewrite(Registry._join, "self._asks_always or self._was_defined", "self._asks_always")


@plant("a file of tokens that everybody may read is taken", by=(PROPERTY,),
       test=f"{FILES}rights")  # fmt: skip
def readable_secrets_taken(bug: Planting) -> None:
    bug.rewrite(Look.secret_lines, "self.check_secret(path)", "pass")


@plant("a token of one client is another's too", by=(PROPERTY,),
       test=f"{FILES}a_token_that_two_files_have")  # fmt: skip
def token_of_two_clients(bug: Planting) -> None:
    bug.rewrite(_Reading._refuse_doubles, "if other := where.get(token.digest):", "if other := '':")


@plant("a rate saves up what was not used", by=(PROPERTY,),
       test="tests/runs/limits/test_rates.py::test_a_burst_of_one_second_and_then_the_rate",
)  # fmt: skip
def rate_saves_up(bug: Planting) -> None:
    bug.rewrite(Rates.take, "max(now, self._full_at.get(client, now))",
                "self._full_at.get(client, now)")  # fmt: skip


@plant("of posts that come together more open runs than the rate lets", by=(PROPERTY,),
       test=f"{LIMITS}many_at_once_are_as_many_as_may")  # fmt: skip
def rate_not_taken(bug: Planting) -> None:
    bug.rewrite(Engine._open_run, "self.new_runs.opened(client)", "pass")


@plant("one open run more than may be", by=(PROPERTY,),
       test=f"{LIMITS}no_more_open_runs_than_may_be")  # fmt: skip
def one_open_run_more(bug: Planting) -> None:
    bug.rewrite(NewRuns._has_too_many, ">= most", "> most")


@plant("a caller that leaves is counted on", by=(PROPERTY,),
       test=f"{LIMITS}no_more_callers_wait_than_may")  # fmt: skip
def caller_counted_on(bug: Planting) -> None:
    bug.rewrite(NewRuns.caller_leaves, "-= 1", "-= 0")


@plant("the newer of two signing secrets is taken away", by=(PROPERTY,), test=EXCHANGED)
def newer_secret_goes(bug: Planting) -> None:
    bug.rewrite(
        Changes.remove_signing_secret, "client.signing_secrets[:-1]", "client.signing_secrets[1:]"
    )


@plant("the first client pauses the runs of others unsaid", by=(PROPERTY,), test=OF_OTHERS)
def first_client_pauses_others(bug: Planting) -> None:
    bug.rewrite(Changes.add_client, "and not pause_others", "and pause_others")


NAMES = "tests/runs/test_names_to_come.py::test_"


@plant("a run is opened under a name that the engine will need", by=(PROPERTY,),
       test=f"{NAMES}a_run_of_an_earlier_file_goes_on_to_its_end")  # fmt: skip
def name_to_come_opened(bug: Planting) -> None:
    bug.rewrite(Engine._refuse_to_open, "if client in NAMES_TO_COME", "if False")


@plant("runs under such a name, from before, are refused their steps", by=(PROPERTY,),
       test=f"{NAMES}a_run_of_an_earlier_file_goes_on_to_its_end")  # fmt: skip
def name_to_come_stops_open_runs(bug: Planting) -> None:
    bug.rewrite(
        Engine.submit, "found is None:\n        self._refuse", "True:\n        self._refuse"
    )
