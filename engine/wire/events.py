"""The event stream as types: what `GET /api/v1/events` says, for who writes it and who reads it.

A fact is what the core recorded (`core/events.py`, tag for tag), with a stamp: where it stands. The
core reads its own records and is strict. Whoever reads a stream may face an older or a later
engine: so each member may be missing here, a state is any text, and a fact of a kind or with a type
that is not known is `Other`, with all of its members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from engine.core.retry import DEFAULT_POLICY

Whole = Annotated[int, Meta(ge=0)]


class Stamped(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose a fact is, when it was, what it led to, and where it stands in the stream."""

    prev: str | None = None
    """The id of the event before: a reader that saw another one has missed some."""
    run_id: str = ""
    step_id: str = ""
    at: str = ""
    status: str = ""
    """The state that the step (of a `run` event: the run) is in since."""
    rev: Whole = 0
    """Its revision since: several facts of one change have the same."""


class Fact(Stamped, frozen=True, kw_only=True, tag_field="kind"):
    """What happened, of a kind that is known."""

    @property
    def kind(self) -> str:
        """In the core's words: accepted, started, attempt-ended, paused, …"""
        return str(self.__struct_config__.tag)


class Other(Stamped, frozen=True, kw_only=True):
    """Something that is not known here, or not of the type that it should be."""

    kind: str = ""
    members: dict[str, Any] = {}
    """All of its members, as they came."""


class Retries(Struct, frozen=True):
    """How often a step is tried again."""

    count: Whole = DEFAULT_POLICY.count


class Spec(Struct, frozen=True, rename="camel"):
    """What the post of a step says."""

    workflow: str = ""
    key: str = ""
    url: str = ""
    step_key: str = ""
    name: str = ""
    fingerprint: str = ""
    retry: Retries = Retries()
    attempt_timeout_ms: int | None = None


class Accepted(Fact, frozen=True, tag="accepted"):
    """A post opened a step."""

    parent_id: str | None = None
    spec: Spec | None = None
    recorded_by: int = 0
    paused: bool = False
    client: str | None = None


class Started(Fact, frozen=True, tag="started"):
    """A request is about to leave."""

    number: Whole | None = None


class Held(Fact, frozen=True, tag="held"):
    """A step that wants to start is kept from that by a hold, until it starts."""

    since: str | None = None


class Answered(Fact, frozen=True):
    """What an attempt came to."""

    number: Whole | None = None
    http_status: Whole | None = None
    error: str | None = None
    excerpt: str | None = None


class AttemptEnded(Answered, frozen=True, tag="attempt-ended"):
    """An attempt is over, and what follows."""

    counts_as: str | None = None
    state: str = ""
    due_at: str | None = None
    delay_ms: Whole | None = None
    delay_by: str | None = None
    pause_reason: str | None = None
    cause_id: str | None = None
    interruptions: int = 0
    crashes: int = 0
    may_post: bool | None = None


class LateEnd(Answered, frozen=True, tag="late-end"):
    """The answer came after the step was cancelled; it changes nothing."""


class Cancelled(Fact, frozen=True, tag="cancelled"):
    """A step ended without an outcome of its own."""

    cause_id: str | None = None


class CancelAsked(Fact, frozen=True, tag="cancel-asked"):
    """The attempt that is in flight is the step's last."""

    cause_id: str | None = None


class Woken(Fact, frozen=True, tag="woken"):
    """A step is due now, or at `due_at`."""

    by: str | None = None
    due_at: str | None = None


class Paused(Fact, frozen=True, tag="paused"):
    """No new attempt starts."""

    reason: str | None = None


class Resumed(Fact, frozen=True, tag="resumed"):
    """A paused step goes on."""

    fresh: bool = False


class Reopened(Fact, frozen=True, tag="reopened"):
    """An ended step begins its next generation."""

    rerun: bool = False
    awaiting_post: bool = False


class ResultSet(Fact, frozen=True, tag="result-set"):
    """An operator said what came of a step: it ended as if its endpoint had answered so."""

    act: str | None = None
    """set-result or skip."""
    http_status: Whole | None = None
    actor: str | None = None
    reason: str | None = None
    key: str | None = None
    digest: str = ""
    was_status: Whole | None = None
    was_error: str | None = None
    was_excerpt: str | None = None
    """How it had failed before."""


class PayloadSet(Fact, frozen=True, tag="payload-set"):
    """An operator had a run called again with another payload: its root began a new generation."""

    actor: str | None = None
    reason: str | None = None
    key: str | None = None
    digest: str = ""


class Replaced(Fact, frozen=True, tag="replaced"):
    """A step that opened again was posted again."""

    spec: Spec | None = None
    recorded_by: int = 0


class PayloadDiffered(Fact, frozen=True, tag="payload-differed"):
    """A step was posted again with another payload; the record answered."""

    fingerprint: str = ""


class Acted(Fact, frozen=True, tag="acted"):
    """An operator's action; what it did follows."""

    action: str | None = None
    actor: str | None = None
    """Who acted, by the name that was claimed."""
    reason: str | None = None
    dismissed: bool | None = None
    address: str | None = None


class EngineErred(Fact, frozen=True, tag="engine-error"):
    """A bug of the engine's stopped the run."""

    error: str | None = None


class ReadAgain(Fact, frozen=True, tag="read-again"):
    """A run that a bug had stopped goes on."""


class EndedAsItIs(Fact, frozen=True, tag="ended-as-it-is"):
    """A run that a bug had stopped was cancelled."""


class Retargeted(Fact, frozen=True, tag="retargeted"):
    """The run was moved to other URLs."""

    from_url: str | None = None
    to_url: str | None = None
    actor: str | None = None


class RunMoved(Fact, frozen=True, tag="run-moved"):
    """The run's own state is another than before."""

    before: str | None = None
    state: str = ""


AnyFact = (
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


class Counts(Struct, frozen=True, rename="camel"):
    """Runs by state."""

    counts: dict[str, Whole] = {}
    server_time: str | None = None


class Heartbeat(Struct, frozen=True, rename="camel"):
    """A sign of life."""

    server_time: str | None = None
    sequence: str | None = None
    """The id of the last event."""
    instance: str | None = None


class Reset(Struct, frozen=True, rename="camel"):
    """Events were missed: whoever shows something reads it again."""

    reason: str | None = None
    server_time: str | None = None


class Event(Struct, frozen=True):
    """One event of the stream."""

    id: str
    kind: str
    """run, step, attempt, counts, heartbeat or reset. Later engines may have more."""
    data: AnyFact | Other | Counts | Heartbeat | Reset
    raw: Raw = Raw(b"{}")
    """The data as it came: JSON."""

    if not TYPE_CHECKING:  # a type checker knows which names there are

        def __getattr__(self, name: str) -> NoReturn:
            it = f"Event.{name}"
            new = "the members of event.data, and event.raw, which is JSON"
            what = f"{it} is now {new}" if name == "members" else f"there is no {it}"
            raise AttributeError(what, name=name, obj=self)  # Python adds "Did you mean …?"


_fact: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyFact)
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    **dict.fromkeys(("attempt", "step", "run"), _fact),
    "counts": msgspec.json.Decoder(Counts),
    "heartbeat": msgspec.json.Decoder(Heartbeat),
    "reset": msgspec.json.Decoder(Reset),
}
_members = msgspec.json.Decoder(dict[str, Any]).decode


def read_event(id: str, kind: str, data: str | bytes) -> Event:
    """An event as it came. One that cannot be read is a `reset`: its reader must look again."""
    try:
        decoder = _DECODERS.get(kind)
        try:
            found = _other(data) if decoder is None else decoder.decode(data)
        except msgspec.ValidationError:
            found = _other(data)
        return Event(id, kind, found, Raw(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return reset(id, f"event {id or 'without id'} cannot be read: {error}")


def _other(data: str | bytes) -> Other:
    members = _members(data)
    stamped = {name: value for name, value in members.items() if name != "members"}
    return msgspec.structs.replace(msgspec.convert(stamped, Other), members=members)


def reset(id: str, reason: str) -> Event:
    """A `reset` of the reader's own."""
    data = Reset(reason)
    return Event(id, "reset", data, Raw(msgspec.json.encode({"reason": reason})))
