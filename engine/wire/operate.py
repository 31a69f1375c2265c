"""What operators do: actions on one run, and on every run that a filter finds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from engine.core.rules.action import Action
from engine.core.rules.hold import RATE_PER_S_MAX, HoldKind
from engine.core.rules.note import NOTE_BYTES_MAX
from engine.wire.submit import PRINTABLE
from engine.wire.view import HoldRow, RunRow, StepRow

ACTOR_CHARACTERS_MAX = 64
FIRST_MAX = 1_000
"""Runs of a job that are looked at each second until they have ended."""
ACTOR_PATTERN = f"[!-~](?:[ -~]{{0,{ACTOR_CHARACTERS_MAX - 2}}}[!-~])?"
"""Who acts, in the header `Atomic-Actor`: printable ASCII, no space at its ends."""
Url = Annotated[str, Meta(max_length=2_048)]
"""Left out of what is sent where it is not given: older engines know no such member."""


class ActionRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/runs/{id}/actions`."""

    action: Action
    step: str | None = None
    if_rev: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False
    reason: Annotated[str, Meta(max_length=NOTE_BYTES_MAX)] | None = None
    """Of `note` its text, at most 1,024 bytes of UTF-8."""
    from_: Url | UnsetType | None = field(default=UNSET, name="from")
    """Of `retarget`: the URL that stands for another, or what such URLs begin with."""
    to: Url | UnsetType | None = UNSET
    """Of `retarget`: what it stands for."""
    result: Raw | UnsetType = UNSET
    """Of `set-result`: what the step's endpoint would have answered, any JSON."""
    content_type: Annotated[str, Meta(max_length=200, pattern=PRINTABLE)] | UnsetType = UNSET
    """Of `set-result`: of another type than JSON `result` is a text. Not given: JSON."""
    http_status: Annotated[int, Meta(ge=200, le=299)] | UnsetType = UNSET
    """Of `set-result`: with which status. Not given: 200."""
    payload: Raw | UnsetType = UNSET
    """Of `rerun`, of the whole run: what its endpoint is called with now, any JSON."""


class MovedStep(Struct, frozen=True, rename="camel"):
    """A step that a `retarget` takes along."""

    step_id: str
    step_name: str
    from_: str = field(name="from")
    to: str


class NamedStep(Struct, frozen=True, rename="camel"):
    """A step that is told of by its name."""

    step_id: str
    step_name: str
    """With its key where that was given."""


class ActionAnswer(Struct, frozen=True, rename="camel"):
    """What an action did (or, as a dry run, would do)."""

    action: str
    dry_run: bool
    run: RunRow
    """As the action leaves it; of a dry run as it would."""
    step: StepRow | None
    changed: tuple[str, ...]
    """Ids of the steps that changed."""
    changed_steps: tuple[NamedStep, ...] = ()
    """Of a dry run: the same steps by their names."""
    recorded_after: tuple[NamedStep, ...] = ()
    """By a `retry`: recorded after one that it opened had ended. They may be its compensation, and
    are answered from the record: only `rerun` does them again."""
    moved: tuple[MovedStep, ...] = ()
    """By a `retarget`: the steps with a URL that it moves."""
    holds: tuple[HoldRow, ...] | UnsetType = UNSET
    """Told where there are any: what keeps steps of the run from starting, whatever was done."""
    status_before: str | UnsetType = UNSET
    """Told of a dry run: the state that the run is in."""


class HoldRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/holds`: from now on nothing of it starts."""

    kind: HoldKind
    name: Annotated[str, Meta(max_length=300)] = ""
    """Of `all` none, or `*`."""
    reason: Annotated[str, Meta(max_length=500)] | None = None
    """Why: who finds it held will ask. Held again, one that is given takes the place of the other.
    """


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/holds/release`: what has waited starts again, and what comes."""

    kind: HoldKind
    name: Annotated[str, Meta(max_length=300)] = ""
    rate_per_s: Annotated[int, Meta(ge=1, le=RATE_PER_S_MAX)] | None = None
    """So many of the attempts that waited start each second, at most. None: as hosts take them."""


class HoldList(Struct, frozen=True, rename="camel"):
    """What is held, by kind and name, and what was released and still lets go."""

    holds: tuple[HoldRow, ...]
    waiting: int
    """Steps that wait under them, all together: one under two holds counts once."""


class NoteRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/causes/{cause}/notes`."""

    text: Annotated[str, Meta(min_length=1, max_length=NOTE_BYTES_MAX)]
    """At most 1,024 bytes of UTF-8."""


class DismissRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/causes/{cause}/dismiss`."""

    reason: Annotated[str, Meta(min_length=1, max_length=NOTE_BYTES_MAX)]
    """Why it needs nobody: at most 1,024 bytes of UTF-8."""
    last_at: Annotated[datetime, Meta(tz=True)] | None = None
    """`lastAt` of the cause as it was seen: it comes again with what is later. None: as it is."""


class BulkRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The body of `POST /api/v1/bulk`: one action on every run that a filter finds."""

    action: Action
    q: Annotated[str, Meta(max_length=500, extra_json_schema={"format": "filter"})]
    expect: Annotated[int, Meta(ge=0)] = 0
    """How many runs the operator has seen to match; the job is refused when there are more."""
    dry_run: bool = False
    rate_per_s: Annotated[int, Meta(ge=1, le=1_000)] = 20
    reason: Annotated[str, Meta(max_length=500)] | None = None
    from_: Url | UnsetType | None = field(default=UNSET, name="from")
    """Of `retarget`: the URL that stands for another, or what such URLs begin with."""
    to: Url | UnsetType | None = UNSET
    """Of `retarget`: what it stands for."""
    first: Annotated[int, Meta(ge=1, le=FIRST_MAX)] | UnsetType | None = UNSET
    """Act on so many first, and on the rest only when all of them have completed. Left out of what
    is sent where it is not given: older engines know no such member."""


class FailedRuns(Struct, frozen=True, rename="camel"):
    """Runs of a job that have failed the same way."""

    http_status: int | None
    """What the step at fault was answered last; None: nothing."""
    error: str | None
    """Then what kind of failure that was: `connect-timeout`."""
    runs: int


class BulkAnswer(Struct, frozen=True, rename="camel"):
    """A job as it stands, or (`state` is dry-run) what it would do."""

    id: str | None
    state: str
    """dry-run, running, done or aborted."""
    action: str
    q: str
    matched: int
    """Runs that the filter found."""
    total: int
    """Of these, the runs whose state allows the action: the job acts on them."""
    done: int
    skipped: dict[str, int]
    """Runs that were left alone, by why."""
    rate_per_s: int
    actor: str | None = None
    """Who began it, by the name that was claimed."""
    address: str | None = None
    """Where that came from."""
    reason: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    sample: tuple[str, ...] = ()
    """Of a dry run: ids of some runs that it would act on."""
    sample_runs: tuple[RunRow, ...] = ()
    """The same runs as they stand."""
    reasons: dict[str, tuple[str, ...]] = {}
    """What runs were told that refused the action when their turn came: by the problem, up to five
    that differ."""
    first: int | None = None
    """So many it acts on first, and on the rest only when all of them have completed."""
    first_completed: bool = False
    """They have: it has gone on."""
    stopped_because: str | None = None
    """Of an aborted one: who aborted it, or why it stopped by itself."""
    runs: dict[str, int] | None = None
    """What came of those that it acted on: how the generation ended that it left them in, else the
    state of the run, or `expired` (removed since). None: not counted, as in lists."""
    failures: tuple[FailedRuns, ...] = ()
    """Of these the failed ones."""


class BulkList(Struct, frozen=True, rename="camel"):
    """The jobs that the engine remembers, the latest first: a page of them."""

    jobs: tuple[BulkAnswer, ...]
    next: str | None = None
    """The cursor of the next page; None: this is the last."""
