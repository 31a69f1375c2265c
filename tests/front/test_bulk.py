"""Bulk jobs: what they act on, how fast, what they refuse, and how they end."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine import wire
from engine.core.errors import Problem, Refused, RefusedForDamage
from engine.core.events import Actor
from engine.core.filter import parse
from engine.core.model import OPEN, StepState
from engine.core.outcome import Answered, Outcome
from engine.core.retry import RetryPolicy
from engine.core.rules.action import FITS, Action
from engine.front.access.who import Who
from engine.front.api import bulk
from engine.jobs.bulk import JOBS_UNDER_WAY_MAX
from engine.jobs.work import REASON_CHARACTERS_MAX, REASONS_KEPT_MAX
from engine.ports.caller import Invocation
from engine.ports.views import RunQuery
from engine.store.tables.views.views import TableViews
from tests.front.desk import Desk, jobs_of, many, run, working
from tests.world import EPOCH_MS, ok, recorded, world


async def test_every_run_once_and_no_faster_than_the_rate(autojump_clock: object) -> None:
    """In the order they were found, at the rate that was asked for, signed by who asked."""
    async with working(many(5)) as desk:
        begun = await desk.ask(ratePerS=2, reason="mail is up again")
        assert (begun.state, begun.matched, begun.total, begun.done) == ("running", 5, 5, 0)
        assert begun.started_at == "2023-11-14T22:13:20.000Z"
        done = await desk.ended(begun.id)
        assert (done.state, done.done, done.skipped) == ("done", 5, {})
    assert [run_id for _, run_id in desk.acts] == [f"R{n}" for n in range(5)]
    assert [at for at, _ in desk.acts] == pytest.approx([n / 2 for n in range(5)])
    assert set(desk.said) == {
        (Action.RETRY, Actor(f"ada bulk:{begun.id}", "::1"), "mail is up again")
    }


async def test_what_was_late_is_not_caught_up_with(autojump_clock: object) -> None:
    """After a stall the rate still holds: the endpoints that were down get no burst."""
    async with working(many(4)) as desk:
        desk.takes_s = 3.0
        job = await desk.ask(ratePerS=1)
        await trio.sleep(4)  # two have begun
        desk.takes_s = 0.0
        await desk.ended(job.id)
    assert [at for at, _ in desk.acts] == pytest.approx([0, 3, 6, 7])


async def test_runs_are_looked_for_oldest_first_with_the_filter(autojump_clock: object) -> None:
    """All pages, at one time, before anything is done."""
    async with working(many(7)) as desk:
        await desk.ask(q="is:failed wf:o*")
        assert [query.cursor for query in desk.queries] == [None, "3", "6"]
        assert {query.filter for query in desk.queries} == {parse("is:failed wf:o*")}
        assert {query.now for query in desk.queries} == {EPOCH_MS}
        assert not any(query.newest_first for query in desk.queries)


STATES = [run(state, state) for state in StepState]


@pytest.mark.parametrize("action", [*FITS][:-1])
async def test_only_what_fits_is_acted_on(action: Action) -> None:
    """Runs whose state does not allow the action are left alone, and counted by why."""
    desk = Desk(*STATES)
    dry = await desk.ask(action=action, dryRun=True)
    fit = [state for state in StepState if state in FITS[action]]
    if action is Action.UNDISMISS:  # none of them is dismissed
        assert (dry.total, dry.skipped) == (0, {"it is not dismissed": 8})
        return
    assert (dry.matched, dry.total, [*dry.sample]) == (8, len(fit), fit)
    assert dry.skipped == {f"it is {s}": 1 for s in StepState if s not in FITS[action]}
    assert sum(dry.skipped.values()) + dry.total == dry.matched


MOVE = {"action": "retarget", "from": "http://app/v1", "to": "http://app/v2"}


async def test_open_runs_are_moved() -> None:
    """What has ended keeps its URL in bulk; a run by itself may be moved whatever its state."""
    desk = Desk(*STATES)
    dry = await desk.ask(**MOVE, dryRun=True)
    assert [*dry.sample] == [state for state in StepState if state in OPEN]
    assert FITS[Action.RETARGET] == frozenset(StepState)


async def test_a_move_needs_its_urls() -> None:
    """Both of them, and valid; no other action takes any; another move is another job."""
    desk = Desk(run("a", "paused"))
    for asked, member in (
        ({"action": "retarget", "from": "http://app/v1"}, "to"),
        ({**MOVE, "from": "/v1"}, "from"),
        ({**MOVE, "to": "http://app/v1"}, "to"),
        ({**MOVE, "action": "retry"}, "from"),
    ):
        assert (await desk.refusal(**asked)).members["member"] == member
    async with working(desk):
        await desk.ask("once", **MOVE)
        again = await desk.refusal("once", **{**MOVE, "to": "http://app/v3"})
        assert again.problem is Problem.KEY_REUSED


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize("only", [None, "shop"])
async def test_a_move_to_what_may_not_be_called_is_refused(only: str | None, *, dry: bool) -> None:
    """With the words that one run's is refused with, and without a job or a look for runs: each
    would be skipped. For who sees one client, that one's targets decide."""
    desk = Desk(run("a", "paused"))
    start = "http://app/v2" if only is None else f"{only} http://app/v2"
    desk.targets.starts[start] = "the address 8.8.8.8 may not be called"
    refused = await desk.refusal(**MOVE, dryRun=dry, only=only)
    assert refused.problem is Problem.NOT_POSSIBLE
    assert refused.detail == "http://app/v2: the address 8.8.8.8 may not be called."
    assert [*desk.queries, *await desk.jobs()] == []


async def test_dismissed_runs_are_not_dismissed_again() -> None:
    """Nor are others restored."""
    desk = Desk(run("a", dismissed=True), run("b"), run("c", "completed", dismissed=True))
    assert (await desk.ask(action="dismiss", dryRun=True)).sample == ("b",)
    assert (await desk.ask(action="restore", dryRun=True)).sample == ("a", "c")


@pytest.mark.parametrize(
    ("q", "sample"),
    [
        ("is:failed", ("b",)),
        ("is:failed client:_alerts", ("a", "b")),  # what the filter finds is the store's to say
        ("is:failed !client:_alerts", ("b",)),
        ("is:failed client:_alerts*", ("b",)),
    ],
)
async def test_alerts_are_in_no_job_that_does_not_name_them(
    q: str, sample: tuple[str, ...]
) -> None:
    """They match, so that the number is that of the list, and are left alone."""
    desk = Desk(run("a", client="_alerts"), run("b"))
    dry = await desk.ask(action="retry", q=q, dryRun=True)
    assert (dry.matched, dry.sample) == (2, sample)
    if len(sample) == 1:
        assert dry.skipped == {"it is an alert: client:_alerts names those": 1}


async def test_resume_finds_what_is_paused_below_an_open_root() -> None:
    """Such a run waits for a person though it is not paused itself."""
    desk = Desk(
        run("a", "running", cause="c1"), run("b", "running"), run("c", "waiting", cause="c1"),
        run("d", "paused"), run("e", "failed", cause="c2"),
    )  # fmt: skip
    assert (await desk.ask(action="resume", dryRun=True)).sample == ("a", "c", "d")


async def test_a_dry_run_changes_nothing(autojump_clock: object) -> None:
    """It says how many and shows some; it is no job, and needs no number that is expected."""
    async with working(many(25)) as desk:
        dry = await desk.ask(dryRun=True, expect=0)
        assert (dry.id, dry.state, dry.matched, dry.total) == (None, "dry-run", 25, 25)
        assert dry.sample == tuple(f"R{n}" for n in range(10))
        assert tuple(row.id for row in dry.sample_runs) == dry.sample
        assert await desk.jobs() == []
        await trio.sleep(10)
    assert desk.acts == []


async def test_more_than_expected_are_refused() -> None:
    """Who saw four does not mean five; fewer are fine."""
    async with working(many(5)) as desk:
        refused = await desk.refusal(expect=4)
        assert (refused.problem, refused.members) == (Problem.REVISION_CHANGED, {"matched": 5})
        assert "5 runs match now, not 4" in refused.detail
        assert await desk.jobs() == []
        assert (await desk.ask(expect=6)).matched == 5


BAD: list[tuple[dict[str, Any], str | None, int | None]] = [
    ({"q": ""}, "q", None),
    ({"q": "  "}, "q", None),
    ({"q": "is:failed colour:red"}, "q", 10),
    ({"q": "\0"}, "q", 0),
    ({"action": "rerun"}, "action", None),
    ({"action": "explode"}, None, None),
    ({"q": "x" * 501}, None, None),
    ({"expect": -1}, None, None),
    ({"ratePerS": 0}, None, None),
    ({"ratePerS": 1_001}, None, None),
    ({"reason": "x" * 501}, None, None),
    ({"step": "R"}, None, None),
]


@pytest.mark.parametrize(("members", "member", "position"), BAD, ids=[str(b[0])[:30] for b in BAD])
@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_is_not_valid(
    members: dict[str, Any], member: str | None, position: int | None, dry_run: bool
) -> None:
    """Nothing is looked for; where a member is at fault it is named, in a filter with the place."""
    desk = many(1)
    refused = await desk.refusal(**members, dryRun=dry_run)
    assert refused.problem is Problem.INVALID_REQUEST
    assert refused.members.get("member") == member
    assert refused.members.get("position") == position
    assert desk.queries == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"action": "retry"}', b"[" * 10_000])
async def test_a_body_that_is_no_job(body: bytes) -> None:
    """It is refused in words, also when it is too deep to read."""
    with pytest.raises(Refused, match="The job is not valid"):
        await bulk.ask(many(1).bulk, body, Actor("ada"), None, Who())


async def test_refusals_are_counted(autojump_clock: object) -> None:
    """A run that moved meanwhile, or that a bug stops, does not keep the others from their turn."""
    async with working(many(5)) as desk:
        desk.troubles["R1"] = Refused(Problem.NOT_POSSIBLE, "It has completed.")
        desk.troubles["R2"] = Refused(Problem.NOT_POSSIBLE, "It has completed.")
        desk.troubles["R3"] = bug = KeyError("a bug")
        job = await desk.ended((await desk.ask()).id)
    assert (job.state, job.done) == ("done", 2)
    assert job.skipped == {"not-possible": 2, "internal-error": 1}
    assert job.reasons == {"not-possible": ("It has completed.",)}
    assert [run_id for _, run_id in desk.acts] == [f"R{n}" for n in range(5)]
    values = {"job": job.id, "run_id": "R3", "exc_info": bug}
    assert desk.logged == [("bulk-action-failed", values)]


async def test_what_refusals_said_is_told(autojump_clock: object) -> None:
    """Each wording once and in their order, so many of each problem and so long; a dry run has
    none."""
    words = [f"http://b:{n}/ may not be called: add it." for n in range(REASONS_KEPT_MAX + 1)]
    words[1] += "x" * REASON_CHARACTERS_MAX
    async with working(Desk(*(run(f"R{n}", "running") for n in range(2 * len(words))))) as desk:
        for number in range(2 * len(words)):
            refused = Refused(Problem.NOT_POSSIBLE, words[number // 2])
            desk.troubles[f"R{number}"] = refused
        assert (await desk.ask(**MOVE, dryRun=True)).reasons == {}
        job = await desk.ended((await desk.ask(**MOVE)).id)
    assert job.skipped == {"not-possible": 2 * len(words)}
    told = [each[:REASON_CHARACTERS_MAX] for each in words[:REASONS_KEPT_MAX]]
    assert job.reasons == {"not-possible": tuple(told)}


async def test_what_was_at_rest_must_be_so_still(autojump_clock: object) -> None:
    """A run that somebody mended meanwhile is not what was found; one under way always moves."""
    runs = [run(state, state, rev=7) for state in StepState]
    async with working(Desk(*runs)) as desk:
        for action in (Action.CANCEL, Action.RETRY, Action.RESUME):
            await desk.ended((await desk.ask(action=action)).id)
    resting = {"paused", "failed", "cancelled"}
    assert desk.revs == {
        state: 7 if state in resting else None for state in StepState if state != "completed"
    }


async def test_an_engine_that_stops_ends_no_job(autojump_clock: object) -> None:
    """The first refusal because of it is the last, and is none: the next engine acts on that run
    and the rest, and on no other."""
    async with working(many(5)) as desk:
        desk.troubles["R2"] = Refused(Problem.DRAINING, "Stopping.")
        begun = await desk.ask()
        await trio.sleep(10)
        job = await desk.shown(begun.id)
        assert (job.state, job.done, job.skipped) == ("running", 2, {})
    assert len(desk.acts) == 3
    desk.troubles.clear()
    desk.bulk = desk.engine()
    async with working(desk):
        job = await desk.ended(begun.id)
    assert (job.state, job.done, job.skipped) == ("done", 5, {})
    assert [run_id for _, run_id in desk.acts[3:]] == ["R2", "R3", "R4"]


async def test_after_the_close_nothing_begins(autojump_clock: object) -> None:
    """A job under way stops where it is, and a new one is refused rather than never begun."""
    async with working(many(100)) as desk:
        job = await desk.ask(ratePerS=1)
        await trio.sleep(2.5)
    assert len(desk.acts) == 3
    refused = await desk.refusal()
    assert refused.problem is Problem.DRAINING
    assert await desk.jobs() == [job.id]


async def test_abort(autojump_clock: object) -> None:
    """What was done stays done; what has ended, or is not there, cannot be aborted."""
    async with working(many(100)) as desk:
        begun = await desk.ask(ratePerS=1)
        assert begun.id is not None
        await trio.sleep(2.5)
        assert (await desk.bulk.abort(begun.id, "bob")).state == "running"
        job = await desk.ended(begun.id)
        assert (job.state, job.done, job.total) == ("aborted", 3, 100)
        assert job.stopped_because == "bob aborted it"
        await trio.sleep(10)
        assert len(desk.acts) == 3
        with pytest.raises(Refused, match="The job is aborted") as caught:
            await desk.bulk.abort(begun.id, "bob")
        assert caught.value.problem is Problem.NOT_POSSIBLE
        for call in (partial(desk.bulk.abort, actor="bob"), desk.bulk.job):
            with pytest.raises(Refused) as unknown:
                await call("none")
            assert unknown.value.problem is Problem.NOT_FOUND


async def test_with_a_key_a_job_is_begun_once(autojump_clock: object) -> None:
    """Asked for again, at once or later, the same job answers; without a key it is another one."""
    answers: list[wire.BulkAnswer] = []

    async with working(many(3)) as desk:

        async def ask() -> None:
            answers.append(await desk.ask("k"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        ended = await desk.ended(answers[0].id)
        desk.runs.append(run("new"))  # more than were expected: it was begun before
        again = await desk.ask("k", expect=3)
        other = await desk.ask("k2")
        assert (await desk.ask("k", dryRun=True)).state == "dry-run"
        await desk.ended(other.id)
    assert {answer.id for answer in answers} == {again.id}
    assert (again.id, again.state, again.done) == (ended.id, "done", 3)
    assert other.id != again.id
    assert len(desk.acts) == 3 + 4


@pytest.mark.parametrize("members", [{"action": "dismiss"}, {"q": "is:stuck"}])
async def test_a_key_names_one_job(members: dict[str, Any]) -> None:
    """Another action, or another filter, under the same key is a mistake of the caller's."""
    async with working(many(1)) as desk:
        await desk.ask("k")
        refused = await desk.refusal("k", **members)
    assert refused.problem is Problem.KEY_REUSED


async def test_of_those_under_way_there_are_so_many(autojump_clock: object) -> None:
    """With as many under way no other begins; when one of them has ended one does."""
    async with working(many(100)) as desk:
        ids = [(await desk.ask(ratePerS=1)).id for _ in range(JOBS_UNDER_WAY_MAX)]
        refused = await desk.refusal()
        assert refused.problem is Problem.NOT_POSSIBLE
        assert ids[20] is not None
        await desk.bulk.abort(ids[20], "bob")
        await desk.ended(ids[20])
        new = await desk.ask(ratePerS=1)
        assert await desk.jobs() == [new.id, *reversed(ids)]


async def test_a_client_with_as_many_under_way_keeps_others_from_none(
    autojump_clock: object,
) -> None:
    """So many are under way of each client's, and of those for all."""
    async with working(many(100)) as desk:
        for _ in range(JOBS_UNDER_WAY_MAX):
            await desk.ask(only="cafe", ratePerS=1)
        assert (await desk.refusal(only="cafe")).problem is Problem.NOT_POSSIBLE
        await desk.ask(only="shop", ratePerS=1)
        await desk.ask(ratePerS=1)


async def test_a_job_of_no_run_ends_at_once() -> None:
    """It is done, and says that nothing matched."""
    async with working(many(0)) as desk:
        begun = await desk.ask()
        await wait_all_tasks_blocked()
        job = await desk.shown(begun.id)
        assert (job.state, job.matched, job.total, job.done, job.runs) == ("done", 0, 0, 0, {})


async def test_with_an_engine(autojump_clock: object, path: Path) -> None:
    """Failed runs complete one after the other; the one that was retried by hand meanwhile is left
    to the hand, though the action would be possible: it may back off for a reason."""
    mended = False

    async def app(call: Invocation) -> Outcome:
        return ok() if mended and call.idempotency_key != "k2" else Answered(500)

    async with world(path, app) as it:
        views = TableViews(it.store)
        jobs = jobs_of(it)
        policy = RetryPolicy(count=1, back_off_ms=1_000, jitter=0)
        for number in range(4):
            posted = recorded(await it.post(key=f"k{number}", retry=policy))
            assert posted.step.state is StepState.FAILED
        asked = {"action": "retry", "q": "is:failed", "expect": 4, "ratePerS": 1}
        mended = True
        async with trio.open_nursery() as nursery:
            await nursery.start(jobs.run)
            job = await bulk.ask(jobs, json.dumps(asked).encode(), Actor("ada"), None, Who())
            runs = (await views.runs(RunQuery(newest_first=False))).runs
            await it.act(runs[2].id, Action.RETRY, actor=Actor("bob"))
            await trio.sleep(10)
            done = await jobs.job(str(job.id))
            jobs.close()
        states = [record.state for record in (await views.runs(RunQuery(newest_first=False))).runs]
    assert (done.state, done.done, done.skipped) == ("done", 3, {"revision-changed": 1})
    assert states == ["completed", "completed", "failed", "completed"]


async def test_a_job_does_not_wait_for_a_run_on_a_damaged_page(autojump_clock: object) -> None:
    """Nothing but a copy would mend it: the run is skipped, and the others are acted on."""
    async with working(many(3)) as desk:
        desk.troubles["R1"] = RefusedForDamage(Problem.STORE_UNAVAILABLE, "damaged")
        begun = await desk.ask(ratePerS=1000)
        with trio.fail_after(60):
            done = await desk.ended(begun.id)
        assert (done.state, done.done) == ("done", 2)
        assert done.skipped == {"store-unavailable": 1}


async def test_a_job_waits_for_a_store_that_is_away(autojump_clock: object) -> None:
    """Nothing was done: the run is acted on when it can be, and only an abort leaves it alone."""
    async with working(many(2)) as desk:
        desk.troubles["R0"] = Refused(Problem.STORE_UNAVAILABLE, "away")
        begun = await desk.ask(ratePerS=1000)
        await trio.sleep(60)
        assert {run_id for _, run_id in desk.acts} == {"R0"}
        del desk.troubles["R0"]
        done = await desk.ended(begun.id)
        assert (done.done, done.skipped) == (2, {})
        desk.troubles["R0"] = Refused(Problem.STORE_UNAVAILABLE, "away")
        begun = await desk.ask(ratePerS=1000)
        await trio.sleep(5)
        assert begun.id is not None
        await desk.bulk.abort(begun.id, "bob")
        done = await desk.ended(begun.id)
        assert (done.state, done.skipped) == ("aborted", {"store-unavailable": 1})
