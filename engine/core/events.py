"""What has happened to a run: a closed union of frozen records.

The store keeps them in commit order; `machine.evolve` folds them. Everything a fold needs is in the
event: no clock or chance is asked again.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from engine.core.model import DelayBy, PauseReason, StepSpec, StepState


class Fact(Struct, frozen=True, tag_field="kind", rename="camel", omit_defaults=True, gc=False):
    """What all events share: how they are written down, in the store and on the event stream.

    They hold nothing that could hold them, so the collector need not look: there may be ten
    thousand of one action.
    """


class Accepted(Fact, frozen=True, tag="accepted"):
    """A post opened a step (the first of a run is its root)."""

    at: int
    step_id: str
    parent_id: str | None
    spec: StepSpec
    recorded_by: int
    paused: bool = False
    """Recorded, not started: its run is paused."""
    client: str | None = None
    """Whose run it is; said of roots."""


class Started(Fact, frozen=True, tag="started"):
    """An attempt's request is about to leave."""

    at: int
    step_id: str
    number: int


class Held(Fact, frozen=True, tag="held"):
    """The step wants to start, and a hold keeps it from that (`hold.py`). Its start ends it."""

    at: int
    step_id: str
    since: int
    """Since when `maxElapsed` stands still: from the hold's beginning, or the step's if that was
    later."""


class Count(StrEnum):
    """What an ended attempt counts as."""

    SUCCESS = "success"
    FAILURE = "failure"
    INTERRUPTION = "interruption"
    CRASH = "crash"


class AttemptEnded(Fact, frozen=True, tag="attempt-ended"):
    """An attempt is over, and what follows for its step."""

    at: int
    step_id: str
    number: int
    counts_as: Count
    state: StepState
    http_status: int | None = None
    error: str | None = None
    due_at: int | None = None
    delay_ms: int = 0
    delay_by: DelayBy | None = None
    pause_reason: PauseReason | None = None
    cause_id: str | None = None
    interruptions: int = 0
    crashes: int = 0
    may_post: bool | None = None
    """Of the root's: its function may still be at work (`alive.py`). None: before this was said."""
    excerpt: str | None = None
    """Why it failed, as its answer or its connection says it (`core/rules/excerpt.py`). None: it
    did not, or nothing says it, or it is from before this was recorded."""


class LateEnd(Fact, frozen=True, tag="late-end"):
    """The answer of an attempt whose step had been cancelled meanwhile; it changes nothing."""

    at: int
    step_id: str
    number: int
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None


class Cancelled(Fact, frozen=True, tag="cancelled"):
    """A step ends without an outcome of its own: by an operator, or because one above it failed."""

    at: int
    step_id: str
    cause_id: str | None = None


class CancelAsked(Fact, frozen=True, tag="cancel-asked"):
    """A step above failed while this one's request was open: its attempt is the last."""

    at: int
    step_id: str
    cause_id: str


class Woken(Fact, frozen=True, tag="woken"):
    """A waiting or backing-off step is due now, or at `due_at`: sooner than it was."""

    at: int
    step_id: str
    by: DelayBy
    due_at: int | None = None


class Paused(Fact, frozen=True, tag="paused"):
    """No new attempt starts. While a request is open this is only noted."""

    at: int
    step_id: str
    reason: PauseReason


class Resumed(Fact, frozen=True, tag="resumed"):
    """A paused step goes on; `fresh` with a new retry budget, due at once."""

    at: int
    step_id: str
    fresh: bool = False


class Reopened(Fact, frozen=True, tag="reopened"):
    """An ended step begins its next generation."""

    at: int
    step_id: str
    rerun: bool = False
    awaiting_post: bool = False


class ResultSet(Fact, frozen=True, tag="result-set"):
    """An operator says what came of a step: it ends as if its endpoint had answered so. Of one that
    had ended, its next generation does."""

    at: int
    step_id: str
    act: str
    """set-result or skip."""
    http_status: int
    actor: str
    reason: str
    key: str | None = None
    """The idempotency key that it was asked for with."""
    digest: bytes = b""
    """SHA-256 of what was given."""
    was_status: int | None = None
    was_error: str | None = None
    was_excerpt: str | None = None
    """How it stood failed before, if it did."""


class PayloadSet(Fact, frozen=True, tag="payload-set"):
    """An operator has a run called again, from its beginning, with another payload: its root begins
    its next generation. One that was open has no outcome of the last."""

    at: int
    step_id: str
    actor: str
    reason: str
    key: str | None = None
    digest: bytes = b""


class Replaced(Fact, frozen=True, tag="replaced"):
    """A step that opened again was posted again: it takes the new post's spec and starts."""

    at: int
    step_id: str
    spec: StepSpec
    recorded_by: int


class PayloadDiffered(Fact, frozen=True, tag="payload-differed"):
    """A later attempt of the parent posted the step with another payload; the record answered."""

    at: int
    step_id: str
    fingerprint: bytes


class Actor(Struct, frozen=True):
    """Who asks for an action. `protocol.md` §5."""

    name: str
    """The name of the token, with a claim that nobody has checked in parentheses; without a token
    that claim. Of a run of a bulk job, with the job behind it."""
    address: str | None = None
    """Where it came from."""


NOTE = "note"
"""The action that only says something: its reason is the note."""


class Acted(Fact, frozen=True, tag="acted"):
    """An operator's action on a run or step; what it did follows as events of its own."""

    at: int
    step_id: str
    action: str
    actor: str
    reason: str | None = None
    dismissed: bool | None = None
    """What dismiss and undismiss set."""
    address: str | None = None
    """Of the actor; None in what was recorded before the engine kept it: it stands in `actor`."""


class EngineErred(Fact, frozen=True, tag="engine-error"):
    """A bug of the engine's stopped the run: nothing of it goes on until it is read again.

    Recorded without a look at the run's steps, for the bug may sit there. `step_id` is the root's.
    """

    at: int
    step_id: str
    error: str


class ReadAgain(Fact, frozen=True, tag="read-again"):
    """An operator let a run that a bug had stopped go on. `step_id` is the root's."""

    at: int
    step_id: str


class EndedAsItIs(Fact, frozen=True, tag="ended-as-it-is"):
    """An operator cancelled a run that a bug had stopped: all that is open of it is cancelled,
    and it is not read any more. `step_id` is the root's."""

    at: int
    step_id: str


class Retargeted(Fact, frozen=True, tag="retargeted"):
    """The run was moved: URLs that begin with the one stand for those with the other."""

    at: int
    step_id: str
    from_url: str
    to_url: str
    actor: str = ""
    """Empty in what was recorded before it was kept here: the `acted` before it says who."""


class RunMoved(Fact, frozen=True, tag="run-moved"):
    """The run's own state is another than before. `step_id` is the root's."""

    at: int
    step_id: str
    before: StepState | None
    state: StepState


Event = (
    Accepted
    | Started
    | Held
    | AttemptEnded
    | LateEnd
    | Cancelled
    | CancelAsked
    | Woken
    | Paused
    | Resumed
    | Reopened
    | ResultSet
    | PayloadSet
    | Replaced
    | PayloadDiffered
    | Acted
    | EngineErred
    | ReadAgain
    | EndedAsItIs
    | Retargeted
    | RunMoved
)
