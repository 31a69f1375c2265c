"""What an operator does in the place of an endpoint, or of who posted: a result that is set, a step
that is skipped, a run that is called with another payload. `protocol.md` §5.

A step whose result is set ends as if its endpoint had answered so, and everything that follows from
an answer follows. What ended before keeps its outcome, as that of the generation before. What of it
has been told to somebody stays told: nobody is called again for it, but the run that a failure has
paused, and no step below that it has not handled stands failed any more.
"""

from __future__ import annotations

from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.events import Actor, Cancelled, PayloadSet, Reopened, ResultSet, Resumed
from engine.core.machine import Change
from engine.core.model import Run, Step, StepState
from engine.core.rules.attempt import after_end
from engine.core.rules.reopen import STANDS, ancestors, cancelled_with, paused_above, reopen

REPAIRS_PER_STEP_MAX = 20
"""Each is kept with the step. Who needs more sets by hand what a program should."""


class Given(Struct, frozen=True):
    """What an operator gives with a repair: an answer, or a payload."""

    http_status: int
    digest: bytes
    """SHA-256 of all of it."""
    key: str | None = None
    """Asked for again with the same key, it is the same repair."""
    data: bytes = b""
    content_type: str = ""
    json: bool = False
    """It is known to be JSON, as its type says."""


class By(Struct, frozen=True):
    """Who repairs, why, and with what."""

    actor: Actor
    reason: str
    given: Given
    now: int


def is_repeated(run: Run, step_id: str, act: str, given: Given) -> bool:
    """Whether this very repair was done before. Raises Refused if another one was, with its key."""
    if given.key is None:
        return False
    for repair in run.steps[step_id].repairs:
        if repair.key == given.key:
            if (repair.act, repair.digest) == (act, given.digest):
                return True
            raise Refused(
                Problem.KEY_REUSED,
                f"With this key the step was repaired otherwise ({repair.act} by {repair.actor})."
                " Use a new key for another repair.",
                runId=run.id,
                stepId=step_id,
            )
    return False


def set_result(change: Change, step: Step, act: str, by: By) -> None:
    """End the step with what is given; one that had ended, in its next generation."""
    run, now = change.run, by.now
    paused = paused_above(run, step)
    was = (step.http_status, step.error, step.excerpt) if step.state in STANDS else ()
    if step.ended:
        change.do(Reopened(now, step.id, awaiting_post=not step.is_root))
    given = by.given
    change.do(
        ResultSet(
            *(now, step.id, act, given.http_status, by.actor.name, by.reason),
            *(given.key, given.digest, *was),
        )
    )
    after_end(change, step, now)
    if paused is not None:
        between = {id for id in ancestors(run, step) if run.steps[id].state in STANDS}
        opened = between | cancelled_with(run, between)
        if not _another_stands(run, {paused.id} | between, opened):
            reopen(change, opened, set(), now)
            change.do(Resumed(now, paused.id, fresh=True))


def _another_stands(run: Run, called: set[str], opened: set[str]) -> bool:
    """Whether there is a failure below these, which would be called again, that nobody has mended:
    told of that, a function would perhaps compensate, and end, before a person has come to it."""
    for step in run.steps.values():
        if step.parent_id in called and step.state in STANDS and step.id not in opened:
            return True
        if step.cancel_asked and step.cause_id in called:  # it is cancelled in a moment
            return True
    return False


def check_payload(run: Run, step_id: str) -> None:
    """Raises Refused where the run may not be called with another payload."""
    root = run.root
    if step_id != run.id:
        raise Refused(
            Problem.INVALID_REQUEST,
            "`payload` belongs to the run's own step: what a step below it is called with comes"
            " from the function that posts it. Its result can be set (`set-result`).",
            member="payload",
            runId=run.id,
        )
    for step in run.steps.values():
        if step.state is StepState.RUNNING:
            whose = "The workflow's own request" if step is root else f"A request of step {step.id}"
            raise not_possible(run, f"{whose} is in flight; pause or wait.")


def set_payload(change: Change, by: By) -> None:
    """Call the run from its beginning: everything of it runs again, as the function asks for it."""
    run, now, given = change.run, by.now, by.given
    change.do(PayloadSet(now, run.id, by.actor.name, by.reason, given.key, given.digest))
    below = [step for step in run.steps.values() if not step.is_root]
    for step in below:
        if not step.ended:
            change.do(Cancelled(now, step.id))
    again = {step.id for step in below}
    reopen(change, again, again, now)


def check_count(run: Run, step: Step) -> None:
    """Raises Refused where there are as many repairs as may be."""
    if len(step.repairs) >= REPAIRS_PER_STEP_MAX:
        raise not_possible(
            run, f"The step has been repaired {REPAIRS_PER_STEP_MAX} times, which is the most."
        )


def not_possible(run: Run, detail: str) -> Refused:
    """The refusal of what does not fit the state that the run, or its step, is in."""
    return Refused(Problem.NOT_POSSIBLE, detail, runId=run.id)
