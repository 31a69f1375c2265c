"""Who may post a new step without a parent token: only what a function of the run may send. §2.

A post without a parent token whose URL is not the root's is a step, or it is the workflow itself,
posted again after it has moved: nothing in it tells. What tells is whether anybody is there who
could post a step. So an attempt's end says whether its function may still be at work
(`AttemptEnded`, kept with the step: a restart knows no less), and while none can be, nothing new is
recorded. What has been recorded is always found.
"""

from __future__ import annotations

from engine.core.errors import Problem, Refused
from engine.core.events import AttemptEnded, Count
from engine.core.failure import ENGINE_CRASHED, ENGINE_STOPPED, Failure, FailureKind
from engine.core.model import Flight, Run, StepSpec, StepState
from engine.core.outcome import CallError, Outcome, Unanswered

CUT = frozenset({CallError.CONNECTION_LOST, CallError.ATTEMPT_TIMEOUT})
"""Ends that say nothing of the function, once the request has left."""
UNAVAILABLE = frozenset({502, 503})
"""What a proxy answers when the application is away: during a deploy nothing runs behind it. Where
the attempt has posted something runs, and it was the proxy that gave up."""
GATEWAY_TIMEOUT = 504


def may_post_after(flight: Flight, outcome: Outcome) -> bool:
    """Whether the function of an attempt that ended so may still be at work, and post steps."""
    if not flight.left or flight.sent_home:
        return False
    if isinstance(outcome, Unanswered):
        return outcome.error in CUT
    if outcome.suspend:
        return False
    status = outcome.http_status
    posted = flight.posted or flight.refused_post
    return status == GATEWAY_TIMEOUT or (status in UNAVAILABLE and posted)


def may_post_since(run: Run, event: AttemptEnded) -> bool:
    """The same, as the event says it; of one that an older engine wrote, as its end tells."""
    if event.may_post is not None:
        return event.may_post
    if event.counts_as is Count.CRASH:
        return True
    return _may_post_by_its_end(run, event.number, event.http_status, event.error)


def may_post_of_old(run: Run) -> bool:
    """The same for the root of a run that an older engine stored."""
    root = run.root
    if root.ended or not root.attempts:
        return False
    return _may_post_by_its_end(run, root.attempts, root.http_status, root.error)


def _may_post_by_its_end(run: Run, number: int, status: int | None, error: str | None) -> bool:
    failure = Failure.parse(error)
    if failure.kind is FailureKind.SUSPENDED:
        return False
    why = failure.inner
    if why.kind in CUT or why.detail.startswith((ENGINE_CRASHED, ENGINE_STOPPED)):
        return True
    if status in UNAVAILABLE:
        children = run.children.get(run.id, ())
        return any(run.steps[id].recorded_by == number for id in children)
    return status == GATEWAY_TIMEOUT


def can_be_alive(run: Run) -> bool:
    """Whether a function of the run can be at work: of an attempt of the root or of a step below
    it whose request has left, or of the root's last, cut off. Not while the root is paused."""
    for flight in run.flights.values():
        if flight.left:
            return True
    root = run.root
    return root.may_post and root.id not in run.flights and root.state is not StepState.PAUSED


def check_is_step(run: Run, spec: StepSpec, *, steps_need_parent: bool) -> None:
    """Refuse a new step that was posted without a parent token where it may be the workflow, moved.

    Raises Refused (`target-moved`; `run-ended` or `run-cancelled` once the root has ended).
    """
    root = run.root
    if root.ended:
        raise _ended(run, spec)
    if steps_need_parent:
        why = "without a parent token; here new steps are taken only with one (`steps_need_parent`)"
    elif _is_other_host(root.spec.url, spec.url):
        why = "without a parent token: the same path on another host is not taken for a step"
    elif not can_be_alive(run):
        why = (
            "without a parent token, while no function of the run can be at work that would post"
            " a step"
        )
    else:
        return
    raise Refused(
        Problem.TARGET_MOVED,
        f"{_where(run, spec)} {why}; taken for a step, a workflow that has moved would run as its"
        " own. Post the recorded URL, or `retarget` the run from it to the posted one. If it is a"
        " step: send the parent token (Atomic-Parent), or post again when the workflow has been"
        " called again.",
        **_urls(run, spec),
    )


def _ended(run: Run, spec: StepSpec) -> Refused:
    root = run.root
    cancelled = root.state is StepState.CANCELLED
    return Refused(
        Problem.RUN_CANCELLED if cancelled else Problem.RUN_ENDED,
        f"The run {'was cancelled' if cancelled else f'has ended ({root.state})'} and takes no"
        f" new steps. {_where(run, spec)}: for its outcome post the recorded URL; if the workflow"
        " has moved, `retarget` the run.",
        **_urls(run, spec),
    )


def _where(run: Run, spec: StepSpec) -> str:
    return f"The run's workflow is recorded at {run.root.spec.url}, and {spec.url} was posted"


def _urls(run: Run, spec: StepSpec) -> dict[str, str]:
    return {"runId": run.id, "recorded": run.root.spec.url, "posted": spec.url}


def _is_other_host(ours: str, theirs: str) -> bool:
    """Both are normalised, so that the path begins at the third slash."""
    at = ours.index("/", len("https://"))
    if theirs.startswith(ours[: at + 1]):
        return False
    path, their_path = ours[at:], theirs[theirs.index("/", len("https://")) :]
    return path.partition("?")[0] == their_path.partition("?")[0]
