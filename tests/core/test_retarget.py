"""A run is moved to other URLs: found by both, called at the new. §5."""

from __future__ import annotations

import pytest

from engine.core.errors import Problem, Refused
from engine.core.model import Move, StepSpec
from engine.core.outcome import Answered
from engine.core.retarget import MOVES_PER_RUN_MAX, moved, read_move
from engine.core.rules.action import Action
from engine.core.rules.post import Placed
from tests.core.support import BAD, LOST, OK, Driven, spec, started, unchanged_by

APP = "http://app:9000"


@pytest.mark.parametrize(
    ("move", "url", "stands_for"),
    [
        (("/v1", "/v2"), "/v1", "/v2"),
        (("/v1", "/v2"), "/v1/a", "/v2/a"),
        (("/v1", "/v2"), "/v1?a=1", "/v2?a=1"),
        (("/v1", "/v2"), "/v10", "/v10"),
        (("/v1", "/v2"), "/v1x/a", "/v1x/a"),
        (("/v1", "/v2"), "/V1/a", "/V1/a"),
        (("/v1/", "/v2/"), "/v1/a", "/v2/a"),
        (("/v1/", "/v2/"), "/v1", "/v1"),
        (("/v1/", "/v2"), "/v1/a", "/v2/a"),
        (("/v1", "/v2/"), "/v1/a", "/v2/a"),
        (("/v1", "/v2/"), "/v1?a=1", "/v2/?a=1"),
        (("/ordre", "/order"), "/ordre", "/order"),
        (("/order", "/order/"), "/order", "/order/"),
        (("/order", "/order/"), "/order/", "/order/"),
        (("/order/", "/order"), "/order/", "/order"),
        (("/order/", "/order"), "/order/a", "/order/a"),
        (("/order", "/order?v=2"), "/order", "/order?v=2"),
        (("/order", "/order?v=2"), "/order?v=2", "/order?v=2"),
        (("/order", "/order?v=2"), "/order/a", "/order/a"),
        (("/order?v=1", "/order?v=2"), "/order?v=1", "/order?v=2"),
        (("/order?v=1", "/order?v=2"), "/order?v=1/2", "/order?v=1/2"),
        (("/", "/api/"), "/order", "/api/order"),
        (("/", "/api/"), "/api/order", "/api/order"),
        (("/v1", "/v1/x"), "/v1/a", "/v1/x/a"),
        (("/v1", "/v1/x"), "/v1/x/a", "/v1/x/a"),
        (("/api/", "/"), "/api/order", "/order"),
    ],
)
def test_what_a_url_stands_for(move: tuple[str, str], url: str, stands_for: str) -> None:
    """Whole segments; and what new code posts under the new URL is moved no further."""
    rule = Move(APP + move[0], APP + move[1])
    assert moved(APP + url, (rule,)) == APP + stands_for
    if not move[0].startswith(move[1]):
        assert moved(APP + stands_for, (rule,)) == APP + stands_for


def test_another_host_and_scheme() -> None:
    """A prefix may be a host: everything there moves."""
    rule = read_move("HTTP://app:80", "https://app-2:8443/")
    assert moved("http://app/v1/a?b=c", (rule,)) == "https://app-2:8443/v1/a?b=c"
    assert moved("http://app2/v1", (rule,)) == "http://app2/v1"


def new_urls(driven: Driven) -> dict[str, str]:
    """Where each step would be called now, by its name."""
    return {it.spec.name: it.spec.url.removeprefix(APP) for it in driven.run.steps.values()}


def at(path: str, name: str = "") -> StepSpec:
    """A post to this path of the application."""
    return spec(name or path.rpartition("/")[2], url=APP + path)


def refused(driven: Driven, start: str, to: str, step: str | None = None) -> Refused:
    """Why the run cannot be moved; nothing is recorded."""
    raised = unchanged_by(driven.run, lambda: driven.retarget(start, to, step), Refused)
    assert isinstance(raised, Refused)
    return raised


def test_old_code_and_new_find_the_same_steps() -> None:
    """What ended under the old URL is not run again, whoever posts it; keys stay."""
    driven = started("a", "b")
    driven.end("a")
    ids = {name: driven.id(name) for name in ("a", "b")}
    assert driven.retarget(f"{APP}/steps", f"{APP}/v2/steps") == ["a", "b"]
    moved_to = {"root": "/workflows/sign-up", "a": "/v2/steps/a", "b": "/v2/steps/b"}
    assert new_urls(driven) == moved_to
    for path in ("/steps/a", "/v2/steps/a"):
        assert driven.post(at(path), "root") == Placed(ids["a"], poster="R")
        assert driven.post(at(path)) == Placed(ids["a"], poster="R"), "also without a parent token"
    assert driven.post(at("/steps/c"), "root").new, "a new step, from old code"
    assert not driven.post(at("/v2/steps/c"), "root").new
    assert driven.step("c").spec.url == f"{APP}/v2/steps/c"
    assert driven.step("a").own_key == ids["a"]


def test_the_root_moves() -> None:
    """Found without parent token under both URLs, open and ended, and called at the new one."""
    driven = started()
    driven.end("root", Answered(503))
    assert driven.retarget(f"{APP}/workflows/sign-up", f"{APP}/v2/sign-up") == ["root"]
    for path in ("/workflows/sign-up", "/v2/sign-up"):
        assert driven.post(at(path)) == Placed("R")
    driven.start_later()
    driven.end()
    assert driven.post(at("/v2/sign-up")) == Placed("R")
    assert (driven.step().spec.url, driven.step().ended_url) == (f"{APP}/v2/sign-up", None)


def test_an_outcome_keeps_the_url_it_was_recorded_with() -> None:
    """Byte for byte; a generation that begins after it has the new one."""
    driven = started("a")
    driven.end("a")
    driven.retarget(f"{APP}/steps/a", f"{APP}/v2/a")
    driven.retarget(f"{APP}/v2/a", f"{APP}/v3/a")
    assert driven.step("a").ended_url == f"{APP}/steps/a"
    driven.end("root", BAD)
    driven.act(Action.RERUN, "a")
    assert (driven.step("a").ended_url, driven.step("a").spec.url) == (None, f"{APP}/v3/a")


def test_rules_apply_in_their_order_and_back_again_works() -> None:
    """Each to what the ones before it made."""
    driven = started("a")
    first = driven.id("a")
    driven.retarget(f"{APP}/steps", f"{APP}/v2")
    driven.retarget(f"{APP}/v2", f"{APP}/steps")
    assert driven.step("a").spec.url == f"{APP}/steps/a"
    for path in ("/steps/a", "/v2/a"):
        assert driven.post(at(path), "root").step_id == first


def test_new_code_is_found_behind_any_moves() -> None:
    """Also where an earlier rule, by itself, would take its URL further; and so are new steps."""
    for moves, new in (
        ([("/", "/api/"), ("/api/steps", "/x")], "/x"),
        ([("/steps", "/v2/s"), ("/v2", "/steps")], "/steps/s"),
        ([("/steps", "/a/steps"), ("/a", "/b"), ("/b/steps", "/steps")], "/steps"),
    ):
        driven = started("a")
        for start, to in moves:
            driven.retarget(APP + start, APP + to)
        assert driven.step("a").spec.url == f"{APP}{new}/a"
        for posted in ("/steps/a", f"{new}/a"):
            assert driven.post(at(posted), "root").step_id == driven.id("a"), (moves, posted)
        driven.post(at(f"{new}/c"), "root")
        assert driven.step("c").spec.url == f"{APP}{new}/c"


def test_ids_stay_apart() -> None:
    """A step may have the identity that another was recorded with, before that one moved away."""
    driven = started("a")
    driven.retarget(f"{APP}/steps", f"{APP}/v9")
    driven.retarget(f"{APP}/v2", f"{APP}/steps")
    assert driven.post(at("/v2/a", "other"), "root").new
    assert driven.step("other").spec.url == f"{APP}/steps/a"
    assert len({it.id for it in driven.run.steps.values()}) == 3


def test_a_child_that_a_crash_took_back_comes_again_under_its_key() -> None:
    """Its first attempt may have left before its commit; the run was moved since, and back."""
    known = started("a").id("a")
    for moves in (
        [("/steps", "/v2")],
        [("/", "/api/"), ("/api/steps", "/x")],
        [("/steps", "/v2"), ("/v2", "/steps")],
    ):
        driven = started()
        for start, to in moves:
            driven.retarget(APP + start, APP + to)
        assert driven.post("a", "root").step_id == known, "old code"
        driven = started()
        for start, to in moves:
            driven.retarget(APP + start, APP + to)
        new = moved(f"{APP}/steps/a", driven.run.moves)
        assert driven.post(spec("a", url=new), "root").step_id == known, "new code"


def test_a_key_of_its_own_stays() -> None:
    """Where the caller named the step, its URL is only where it is called."""
    driven = started()
    named = StepSpec("signUp", "k", f"{APP}/steps/a", "pay", "a", b"f" * 32)
    id = driven.post(named, "root").step_id
    driven.retarget(f"{APP}/steps", f"{APP}/v2")
    assert driven.step("a").spec.identity == ("signUp", "k", "pay")
    assert driven.step("a").spec.url == f"{APP}/v2/a"
    assert driven.post(named, "root").step_id == id


def test_an_attempt_in_flight_goes_on() -> None:
    """It completes its step; one that fails is called at the new URL."""
    driven = started("a", "b")
    driven.retarget(f"{APP}/steps", f"{APP}/v2")
    driven.end("a", OK)
    driven.end("b", LOST)
    driven.start_later("b")
    assert driven.step("b").spec.url == f"{APP}/v2/b"


def test_a_failed_run_is_moved_and_retried() -> None:
    """As one whose URL was a typo."""
    driven = Driven(None)
    driven.start()
    driven.end("root", Answered(404, no_retry=True))
    driven.retarget(f"{APP}/workflows", f"{APP}/flows")
    driven.act(Action.RETRY)
    driven.start()
    assert driven.step().spec.url == f"{APP}/flows/sign-up"


def test_two_steps_never_become_one() -> None:
    """Nor the root and a child, which a post without a parent token could not tell apart."""
    driven = started("a", "b")
    for start, to in (
        ("/steps/a", "/steps/b"),
        ("/steps/a", "/workflows/sign-up"),
        ("/workflows/sign-up", "/steps/b"),
    ):
        raised = refused(driven, APP + start, APP + to)
        assert raised.problem is Problem.NOT_POSSIBLE
        assert "would become one" in raised.detail
    named = StepSpec("signUp", "k", f"{APP}/x", "pay", "x", b"f" * 32)
    driven.post(named, "root")
    assert refused(driven, f"{APP}/x", f"{APP}/workflows/sign-up").problem is Problem.NOT_POSSIBLE
    driven.post(spec("a", key="other"), "root")
    assert driven.retarget(f"{APP}/x", f"{APP}/steps/a") == ["x"], "its key tells them apart"


def test_what_cannot_be_asked_for() -> None:
    """Both URLs, valid, and not the same; the whole run; nothing twice, nothing without end."""
    driven = started("a")
    for start, to, member in (
        ("/v1", f"{APP}/v2", "from"),
        (f"{APP}/v1", "ftp://app/v2", "to"),
        (f"{APP}/v1", f"{APP}/v1", "to"),
        (f"{APP}/v1#x", f"{APP}/v1", "from"),
    ):
        raised = refused(driven, start, to)
        assert (raised.problem, raised.members["member"]) == (Problem.INVALID_REQUEST, member)
    with pytest.raises(Refused, match="needs `to`"):
        read_move(f"{APP}/v1", None)
    assert refused(driven, APP, f"{APP}/v2", "a").problem is Problem.INVALID_REQUEST
    assert driven.retarget(f"{APP}/v1", f"{APP}/v2") == [], "kept for what is posted yet"
    assert "already" in refused(driven, f"{APP}/v1", f"{APP}/v2").detail
    for number in range(MOVES_PER_RUN_MAX - 1):
        driven.retarget(f"{APP}/n{number}", f"{APP}/m")
    raised = refused(driven, f"{APP}/n", f"{APP}/m")
    assert raised.problem is Problem.NOT_POSSIBLE
    assert str(MOVES_PER_RUN_MAX) in raised.detail


def test_a_url_does_not_grow_over_its_limit() -> None:
    """Neither one that is recorded nor one that is posted."""
    driven = started()
    long = f"/steps/{'x' * 2_000}"
    driven.post(at(long), "root")
    raised = refused(driven, f"{APP}/steps", f"{APP}/{'y' * 60}")
    assert (raised.problem, "2,048 bytes" in raised.detail) == (Problem.NOT_POSSIBLE, True)
    driven.retarget(f"{APP}/late", f"{APP}/{'y' * 60}")
    with pytest.raises(Refused, match=r"2,048 bytes") as caught:
        driven.post(at(f"/late/{'x' * 2_000}"), "root")
    assert caught.value.problem is Problem.INVALID_SUBMISSION
