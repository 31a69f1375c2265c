"""Which step a post is: the root, a child, a recorded one, or none. `protocol.md` §2.

Steps are found by identity, not by order. A post with a parent token is a child of exactly the
step that was invoked with it; one without is the run's root or a child of the root.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from engine.core.alive import check_is_step
from engine.core.errors import Problem, Refused
from engine.core.events import Accepted, Paused, PayloadDiffered, Replaced
from engine.core.machine import Change
from engine.core.model import Flight, PauseReason, Run, Step, StepSpec, StepState
from engine.core.retarget import moved, moved_spec, new_child_id, posted_spec
from engine.core.rules.home import note_suspended, suspended
from engine.core.target import URL_BYTES_MAX, BadTarget, normalise, whole_host

STEPS_PER_RUN_MAX = 10_000
DEPTH_MAX = 32


class Parent(Struct, frozen=True):
    """What a parent token (`Atomic-Parent`) says: the step, and the attempt it was issued to.

    `current` is False when the parent token was issued by an engine before its last crash.
    """

    step_id: str
    attempt: int
    current: bool = True


class Placed(Struct, frozen=True):
    """Where a post belongs. `new` when it was recorded by this post (and is to be started)."""

    step_id: str
    new: bool = False
    replaced: bool = False
    payload_differs: bool = False
    poster: str | None = None
    """The step whose attempt in flight made the post; None: a caller from outside, or stale."""


class RunLimits(Struct, frozen=True):
    """Bounds of one run."""

    steps_per_run_max: int = STEPS_PER_RUN_MAX
    depth_max: int = DEPTH_MAX
    steps_need_parent: bool = False
    """A new step is taken only with the parent token of the attempt that posts it."""


WhyNot = Callable[[str, str], str | None]
"""Why a client may not have a URL called; None: it may."""


def check_target(client: str, url: str, why_not: WhyNot) -> None:
    """Raises Refused (`target-not-allowed`) for a URL that the client may not have called."""
    if (why := why_not(client, url)) is not None:
        raise Refused(
            Problem.TARGET_NOT_ALLOWED,
            f"{url} may not be called: {why}.",
            client=client,
            url=url,
            target=whole_host(url),
        )


def open_run(run: Run, spec: StepSpec, now: int) -> tuple[Change, Placed]:
    """The first post of a run: its root."""
    change = Change(run)
    change.do(Accepted(now, run.id, None, spec, recorded_by=0, client=run.client))
    return change, Placed(run.id, new=True)


def find_or_record(
    change: Change,
    spec: StepSpec,
    parent: Parent | None,
    limits: RunLimits,
    now: int,
    why_not: WhyNot | None = None,
) -> Placed:
    """Find or record the step that a post to this run means.

    `why_not` is asked of the URL that a step is recorded under, not of one that is found: what is
    recorded is answered. Raises Refused, with nothing recorded, where the contract says so.
    """
    run = change.run
    spec = _moved(run, spec)
    above = run.root if parent is None else run.steps[parent.step_id]
    flight = run.flights.get(above.id)
    stale = parent is not None and (
        not parent.current or flight is None or flight.number != parent.attempt
    )
    poster = above.id if flight is not None and not stale else None
    if parent is None and spec.url == run.root.spec.url:
        return _same_root(run, spec)
    found_id = run.by_identity.get(spec.identity)
    if poster is not None and flight is not None and flight.sent_home:
        return _from_sent_home(run, above, found_id, spec, without_parent=parent is None)
    if found_id is None:
        if parent is None:
            check_is_step(run, spec, steps_need_parent=limits.steps_need_parent)
        _check_open(run, above, limits)
        if stale:
            raise Refused(
                Problem.STALE_EXECUTION,
                "This post comes from an earlier execution of the step that is no longer in"
                " flight; a new step is not recorded for it.",
                runId=run.id,
                stepId=above.id,
            )
        if why_not is not None:
            check_target(run.client, spec.url, why_not)
        step_id = new_child_id(run, spec)
        number = 0 if flight is None else flight.number
        paused = _is_paused(run, above)
        change.do(Accepted(now, step_id, above.id, spec, number, paused=paused))
        placed = Placed(step_id, new=True, poster=poster)
    else:
        found = run.steps[found_id]
        _check_ancestors(run, above, found)
        if stale and not found.ended:
            raise suspended(run.id, found.id)
        if why_not is not None and found.awaiting_post and poster is not None:
            check_target(run.client, spec.url, why_not)  # it takes this post's URL
        if poster is not None and flight is not None and found.recorded_by != flight.number:
            flight.asked.add(found.id)
        placed = _same_child(change, above, flight, found, spec, poster, now)
    if poster is not None and flight is not None:
        flight.posted = True
    return placed


def _from_sent_home(
    run: Run, above: Step, found_id: str | None, spec: StepSpec, *, without_parent: bool
) -> Placed:
    """From then on ended steps are answered, all else is refused, and nothing is recorded.

    `without_parent`: it came without a parent token, so perhaps from a nested function.
    """
    found = None if found_id is None else run.steps[found_id]
    if found is None or not found.ended:
        if without_parent:
            note_suspended(run, set() if found is None else {found.id})
        raise suspended(run.id, above.id if found is None else found.id)
    differs = found.spec.fingerprint != spec.fingerprint
    return Placed(found.id, payload_differs=differs, poster=above.id)


def note_refused(run: Run, spec: StepSpec | None, parent: Parent | None) -> None:
    """A post is refused for now (429, 503). It may have been a compensation, so the attempt in
    flight that made it counts as interrupted, whatever it answers.

    `spec` None: it was not read; `parent` None: it has no parent token.
    """
    flight = run.flights.get(run.id if parent is None else parent.step_id)
    if parent is None:
        its = spec is not None and moved_spec(spec, run.moves).url != run.root.spec.url
    else:
        its = parent.current and flight is not None and flight.number == parent.attempt
    if its and flight is not None:
        flight.refused_post = True


def poster_of(run: Run, url: str, parent: Parent | None) -> Flight | None:
    """The attempt in flight that made a post that was refused for good, if that can be told.

    By its parent token; of one without, by its URL as it was sent: the root's all may post.
    """
    if parent is not None:
        return run.flight(parent.step_id, parent.attempt) if parent.current else None
    flight = run.flights.get(run.id)
    try:
        is_of_a_step = bool(url) and moved(normalise(url), run.moves) != run.root.spec.url
    except BadTarget:
        is_of_a_step = True
    return flight if is_of_a_step and flight is not None and flight.left else None


def _moved(run: Run, spec: StepSpec) -> StepSpec:
    """What the post stands for since the run was moved."""
    if not run.moves:
        return spec
    found = posted_spec(run, spec)
    if len(found.url) > URL_BYTES_MAX:
        raise Refused(
            Problem.INVALID_SUBMISSION,
            f"The run was moved (`retarget`), and {spec.url} with it: the URL that it stands for is"
            f" over {URL_BYTES_MAX:,} bytes.",
            member="stepInvokeUrl",
            runId=run.id,
        )
    return found


def _is_paused(run: Run, above: Step) -> bool:
    """Whether what is posted now is recorded and not started."""
    return any(step.pause_asked or step.state is StepState.PAUSED for step in (above, run.root))


def _same_root(run: Run, spec: StepSpec) -> Placed:
    if spec.fingerprint != run.root.spec.fingerprint:
        raise reused(run.root, spec)
    return Placed(run.id, payload_differs=payload_was_set(run))


def payload_was_set(run: Run) -> bool:
    """Whether the run is called with another payload than was posted (`PayloadSet`); posts of it
    are compared with what was."""
    return run.root.payload_generation > 1


def _same_child(
    change: Change,
    above: Step,
    flight: Flight | None,
    found: Step,
    spec: StepSpec,
    poster: str | None,
    now: int,
) -> Placed:
    if found.awaiting_post and poster is not None:
        assert flight is not None
        change.do(Replaced(now, found.id, spec, flight.number))
        if _is_paused(change.run, above):
            change.do(Paused(now, found.id, PauseReason.OPERATOR))
        return Placed(found.id, new=True, replaced=True, poster=poster)
    if spec.fingerprint == found.spec.fingerprint:
        return Placed(found.id, poster=poster)
    same_attempt = flight is not None and found.recorded_by == flight.number
    if poster is not None and same_attempt and found.parent_id == above.id:
        raise reused(found, spec)
    change.do(PayloadDiffered(now, found.id, spec.fingerprint))
    return Placed(found.id, payload_differs=True, poster=poster)


def reused(step: Step, spec: StepSpec) -> Refused:
    """The refusal of a key that came with another payload."""
    return Refused(
        Problem.KEY_REUSED,
        "This idempotency key was recorded with another payload. Use a new key for new work.",
        runId=step.run_id,
        stepId=step.id,
        recordedFingerprint=step.spec.fingerprint.hex(),
        postedFingerprint=spec.fingerprint.hex(),
    )


def _check_open(run: Run, above: Step, limits: RunLimits) -> None:
    root = run.root
    if root.state is StepState.CANCELLED:
        raise Refused(
            Problem.RUN_CANCELLED, "The run was cancelled; it takes no new steps.", runId=run.id
        )
    if above.ended or above.cancel_asked:
        problem = Problem.RUN_ENDED if above.is_root else Problem.PARENT_ENDED
        raise Refused(
            problem,
            f"The {'run' if above.is_root else 'step'} has ended ({above.state}); a step takes new"
            " children only while it is open itself.",
            runId=run.id,
            stepId=above.id,
        )
    if len(run.steps) >= limits.steps_per_run_max:
        raise Refused(
            Problem.LIMIT_EXCEEDED,
            f"The run has {len(run.steps):,} steps; the limit is {limits.steps_per_run_max:,}.",
            runId=run.id,
            limit="steps_per_run_max",
        )
    if above.depth + 1 > limits.depth_max:
        raise Refused(
            Problem.LIMIT_EXCEEDED,
            f"Steps may nest {limits.depth_max} deep.",
            runId=run.id,
            limit="depth_max",
        )


def _check_ancestors(run: Run, above: Step, found: Step) -> None:
    step: Step | None = above
    while step is not None:
        if step.id == found.id:
            raise Refused(
                Problem.WOULD_DEADLOCK,
                "A step posted itself or a step above it, and would wait for itself for ever."
                " Give the post another URL, key or stepKey.",
                runId=run.id,
                stepId=found.id,
            )
        step = run.steps[step.parent_id] if step.parent_id is not None else None
