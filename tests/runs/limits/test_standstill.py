"""The standstill rule: on a model of hosts with few workers, and by itself."""

from __future__ import annotations

from random import Random

import pytest

from engine.runs.limits.standstill import (
    GRACE_S,
    HOSTS_KEPT_MAX,
    L_MAX_S,
    PAUSE_MAX_S,
    Occupant,
    Standstill,
    standstill_text,
)
from tests.runs.pools import Done, Pools, Shape, Work, drawn, drawn_work, invoice

NESTED = tuple(drawn(Random(7), ("a",)) for _ in range(60))
CROSS = Shape("a", ((Shape("b", ((Shape("a", work_s=0.2),), (Shape("a", work_s=0.2),))),),))
TABLE = {
    "4 workers, 4 workflows": (Work((invoice(),) * 4, 4), 2.7),
    "4 workers, 30": (Work((invoice(),) * 30, 4), 7.3),
    "4 workers, 100": (Work((invoice(),) * 100, 4), 21.4),
    "1 worker, 5 of two steps": (Work((invoice(0.2, 2),) * 5, 1), 4.3),
    "1 worker, 30": (Work((invoice(),) * 30, 1), 24.9),
    "64 workers, 100": (Work((invoice(),) * 100, 64), 3.2),
    "4 workers, 60 nested": (Work(NESTED, 4), 106),
    "4 workers, 300 over 65 s": (Work((invoice(),) * 300, 4, spread_s=65), 66),
    "4 processes with queues of their own, 60": (Work((invoice(),) * 60, 1, pods=4), 15.8),
    "one pool under two names": (
        Work((invoice(at="b"),) * 4, 4, hosts=("a", "b"), one_pool=True),
        2.7,
    ),
    "two pools that wait for each other": (Work((CROSS,) * 20, 4, hosts=("a", "b")), 4.2),
}


def run(work: Work) -> Done:
    return Pools(work, at_once=False).run()


@pytest.mark.parametrize("name", TABLE)
def test_small_pools_end_as_soon_as_in_the_model(name: str):
    """Seconds until all have ended, as the rule's own model had them; nothing times out."""
    work, seconds = TABLE[name]
    done = run(work)
    assert done.seconds is not None
    assert done.seconds <= seconds * 1.05
    assert done.timed_out == 0


@pytest.mark.parametrize("stages", [(200, 4), (1, 6)])
def test_an_asynchronous_application_is_taught_once(stages: tuple[int, int]):
    """Steps of 30 s, 200 workflows at once or one alone: at most one suspension each in all."""
    workflows, steps = stages
    done = run(Work((invoice(30, steps),) * workflows, 10_000))
    assert done.seconds is not None
    assert (done.worst, done.sent_home) == (1, workflows)


@pytest.mark.slow
def test_random_work_always_ends():
    """A hundred seeds of random shapes, pools and queues; typically a fifth later than at best."""
    times = []
    for seed in range(100):
        work = drawn_work(seed)
        done, least = run(work), Pools(work, at_once=True).run()
        assert done.seconds is not None, f"seed {seed} never ends"
        assert least.seconds is not None
        times.append(done.seconds / max(least.seconds, 0.1))
    assert sorted(times)[50] < 1.4


def test_without_the_rule_small_pools_stand_still():
    """What the model is worth: with patience without end, until the first attempt times out."""
    pools = Pools(Work((invoice(),) * 4, 4, until_s=60), at_once=False)
    pools.rule.standstill_s = 1e9
    assert pools.run().seconds is None


# -- the rule by itself -----------------------------------------------------------------------


class Host:
    """A host `a` at which one attempt may wait while another has no sign."""

    def __init__(self) -> None:
        self.rule = Standstill(2.0)

    def open(self, now: float, name: str = "a") -> Occupant:
        """A request leaves."""
        attempt = Occupant()
        self.rule.attempt_opened(attempt, name, now)
        return attempt

    def waits(self, now: float, name: str = "a", target: str = "a") -> Occupant:
        """One that posts at once and waits for a step."""
        attempt = self.open(now, name)
        self.rule.attempt_showed(attempt, now)
        attempt.posted_at = now
        self.rule.wait_begins(attempt, target, now)
        return attempt

    def went(self, until: float) -> dict[Occupant, float]:
        """Who is sent home until then, and when."""
        gone: dict[Occupant, float] = {}
        while (now := self.rule.look_at) <= until:
            for attempt, _ in self.rule.who_goes_home(now):
                self.rule.let_go(attempt, now)
                gone[attempt] = now
        return gone


def test_all_who_wait_go_after_two_seconds_of_silence():
    """Counted from the last sign, whoever it came from."""
    host = Host()
    first, second = host.waits(0.0), host.waits(1.0)
    host.open(1.0)
    assert host.went(2.99) == {}
    assert host.went(3.1) == {first: pytest.approx(3), second: pytest.approx(3)}


def test_with_every_request_taken_nothing_stands_still():
    """Each attempt there has shown a sign: it is busy, or asks a host that answers."""
    host = Host()
    host.waits(0.0)
    host.waits(0.0, target="b")
    host.rule.attempt_showed(host.open(0.0, "b"), 0.0)
    assert host.went(600) == {}


def test_a_pool_under_another_name_is_seen_through():
    """Nothing without a sign is open at `a`; at `b`, for which they wait, there is."""
    host = Host()
    waits = host.waits(0.0, target="b")
    host.open(0.0, "b")
    assert host.went(3) == {waits: pytest.approx(2)}
    other = Host()
    other.waits(0.0, target="b")
    other.open(0.0, "c")
    assert other.went(60) == {}, "nobody waits for c"


def test_an_idle_host_is_not_silent():
    """Silence begins when something is open."""
    host = Host()
    host.rule.attempt_ended(host.open(0.0), 1.0, answered=True)
    waits = host.waits(500.0)
    host.open(500.0)
    assert host.went(600) == {waits: pytest.approx(502)}


def test_slow_steps_teach_patience_up_to_a_limit():
    """Twice the longest silence while nobody waited, at most 45 s; a standstill forgets it."""
    for took, patience in ((0.5, 2.0), (3.0, 6.0), (22.5, 45.0), (40.0, L_MAX_S)):
        host = Host()
        host.rule.attempt_ended(host.open(0.0), took, answered=True)
        waits = host.waits(100.0)
        host.open(100.0)
        assert host.went(200) == {waits: pytest.approx(100 + patience)}
        assert host.rule.patience_s(host.rule.pools["a"]) == 2.0


def test_silence_while_somebody_waited_teaches_nothing():
    """Or a standstill would feed on itself; also where the waiting is under another name."""
    host = Host()
    for name in ("a", "b"):
        slow = host.open(0.0)
        waits = host.waits(0.0, name)
        host.rule.attempt_ended(slow, 10.0, answered=True)
        host.rule.attempt_ended(waits, 10.0, answered=True)
        assert host.rule.patience_s(host.rule.pools["a"]) == 2.0


def test_what_was_never_answered_is_no_sign():
    """A refused connection, or an attempt given up, says nothing of the workers."""
    host = Host()
    waits = host.waits(0.0)
    host.open(0.0)
    host.rule.attempt_ended(host.open(0.0), 1.5, answered=False)
    assert host.went(3) == {waits: pytest.approx(2)}


def test_at_a_narrow_host_who_waits_goes_at_once():
    """After 20 ms without a post of its own, for five times L; then it may wait again."""
    host = Host()
    host.waits(0.0)
    host.open(0.0)
    host.went(2)
    waits = host.waits(3.0)
    waits.posted_at = 3.015
    host.rule.wait_begins(waits, "a", 3.015)
    assert host.went(4) == {waits: pytest.approx(3.015 + GRACE_S)}
    late = host.waits(11.9)
    assert host.went(12.5) == {late: pytest.approx(11.92)}
    assert host.rule.narrow_pools(11.99)
    assert not host.rule.narrow_pools(12.01)
    stays = host.waits(12.1)
    patience = host.rule.patience_s(host.rule.pools["a"])
    assert host.went(60) == {stays: pytest.approx(12.1 + patience)}


def test_the_pause_doubles_up_to_ten_minutes():
    """When it stands still again soon; else it begins with five times L anew."""
    host = Host()
    waits = host.waits(0.0)
    host.open(0.0)
    pool = host.rule.pools["a"]
    for times, pause in enumerate((10, 20, 40, 80, 160, 320, PAUSE_MAX_S, PAUSE_MAX_S), 1):
        while pool.stands < times:
            host.rule.who_goes_home(host.rule.look_at)  # and nobody goes
        assert pool.pause == pytest.approx(pause)
    host.rule.attempt_showed(waits, pool.narrow_until + PAUSE_MAX_S)
    while pool.stands < 9:
        host.rule.who_goes_home(host.rule.look_at)
    assert pool.pause == 10


def test_who_waited_through_the_pause_is_looked_at_again():
    """It could not be told (its keys differ): at the pause's end the silence counts anew."""
    host = Host()
    waits = host.waits(0.0)
    host.open(0.0)
    assert [each for each, _ in host.rule.who_goes_home(2.0)] == [waits]
    assert host.went(13.9) == {}
    assert host.went(14.1) == {waits: pytest.approx(14)}


@pytest.mark.parametrize(
    ("waiting", "unaccepted", "said"),
    [
        (1, 1, "1 attempt at app:8000 waits for 1 step that it has not accepted"),
        (4, 1_000, "4 attempts at app:8000 wait for 1,000 steps that it has not accepted"),
    ],
)
def test_it_is_said_in_a_sentence(waiting: int, unaccepted: int, said: str):
    """The same in status, log and dashboard."""
    assert standstill_text("app:8000", waiting, unaccepted) == said


def test_hosts_without_end_are_forgotten():
    """A host with something open is not."""
    host = Host()
    busy = host.open(0.0, "busy")
    for number in range(3 * HOSTS_KEPT_MAX):
        host.rule.attempt_ended(host.open(number, f"h{number}"), number, answered=True)
    assert len(host.rule.pools) <= HOSTS_KEPT_MAX
    assert busy.pool is host.rule.pools["busy"]
