"""What operators read: runs, steps, attempts, causes, retries, hosts, events."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from engine.core.model import step_label as step_label


class AttemptRow(Struct, frozen=True, rename="camel"):
    """One HTTP request of a step."""

    number: int
    generation: int
    status: str
    """running, success, failure, interruption, crash or late."""
    started_at: str
    ended_at: str | None = None
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    """Why it failed, in one line of at most 120 bytes: what its answer says, or its connection."""
    delay_ms: int | None = None
    delay_by: str | None = None
    """What set the delay that followed: policy, retry-after, interrupted, …"""


class RepairRow(Struct, frozen=True, rename="camel"):
    """What an operator did in the place of a step's endpoint, or of who posted it."""

    generation: int
    """The one that it ended (`set-result`, `skip`), or began (`rerun`)."""
    act: str
    actor: str
    reason: str
    at: str


class GenerationRow(Struct, frozen=True, rename="camel"):
    """An earlier generation of a step, as it ended."""

    generation: int
    status: str
    attempts: int
    """All that the step had by then."""
    ended_at: str
    http_status: int | None = None
    error: str | None = None
    cause_id: str | None = None


class WaitRow(Struct, frozen=True, rename="camel"):
    """Why a step that is due has not begun, as it is just now."""

    waits_for: str
    """place, client-place, workflow-place, rate, breaker, retry-budget, ramp or release."""
    text: str
    """The same in a sentence."""


class StepRow(Struct, frozen=True, rename="camel"):
    """A step as it stands. No bodies."""

    id: str
    run_id: str
    parent_id: str | None
    name: str
    workflow_name: str
    idempotency_key: str
    step_key: str
    url: str
    status: str
    rev: int
    generation: int
    attempts: int
    failures: int
    retries_max: int
    submitted_at: str
    ended_at: str | None = None
    due_at: str | None = None
    delay_ms: int | None = None
    delay_by: str | None = None
    pause_reason: str | None = None
    cause_id: str | None = None
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    """Of its latest attempt."""
    awaiting_post: bool = False
    attempt_rows: tuple[AttemptRow, ...] | UnsetType = UNSET
    held_since: str | UnsetType = UNSET
    """Told of one that a hold keeps from starting: since when its `maxElapsed` stands still."""
    waits: WaitRow | UnsetType = UNSET
    """Told with its run, of one that is due and waits: what for."""
    repairs: tuple[RepairRow, ...] | UnsetType = UNSET
    """Told of one that was repaired by hand."""
    generations: tuple[GenerationRow, ...] | UnsetType = UNSET
    """Told with its run, of one that began anew: those that ended before. One that another payload
    was set for while it was open has none."""
    opened_at: str | UnsetType = UNSET
    """Told where its generation was opened later than `submittedAt`: from then on is counted how
    long it takes."""


class HoldRow(Struct, frozen=True, rename="camel"):
    """A hold: nothing of what it names starts."""

    kind: str
    """client, workflow, host, or all: everything."""
    name: str
    since: str
    actor: str
    """Who held it, by the name that was claimed."""
    address: str | None = None
    """Where that came from."""
    reason: str | None = None
    released_at: str | None = None
    """It was released: what waited under it is being let go, and nothing new is held."""
    rate_per_s: int | None = None
    waiting: int | None = None
    """Steps that wait under it, as counted within the last seconds. None: not told with a run, as
    those of other clients count too."""


class StepAt(Struct, frozen=True, rename="camel"):
    """The step at which a run is: the one that an operator would ask about."""

    step_id: str
    name: str
    url: str
    status: str
    attempts: int
    failures: int
    retries_max: int
    started_at: str | None = None
    """Of its latest attempt."""
    due_at: str | None = None
    delay_by: str | None = None
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None


class Reason(Struct, frozen=True, rename="camel"):
    """What a run fails, pauses or backs off for: how the latest attempt of that step ended.

    It is the step's: not the 500 that the workflow answered because of it.
    """

    step_id: str
    step_name: str
    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None


class RunRow(Struct, frozen=True, rename="camel"):
    """A run as it stands."""

    id: str
    client: str
    workflow_name: str
    idempotency_key: str
    status: str
    rev: int
    generation: int
    open_steps: int
    failed_steps: int
    steps: int
    dismissed: bool
    submitted_at: str
    ended_at: str | None = None
    due_at: str | None = None
    """The earliest next attempt of its steps."""
    pause_reason: str | None = None
    cause_id: str | None = None
    error: str | None = None
    cause: str | None = None
    """Why the run needs a person: the same word for all with that cause. None: it needs none."""
    stuck_at: str | None = None
    """Since when."""
    at: StepAt | None = None
    """In lists and trees; not in the answer to an action."""
    reason: Reason | None = None
    """As `at`. None too where nothing has gone wrong, or did before it completed."""


class ExpiredRow(Struct, frozen=True, rename="camel"):
    """What is known of a run that retention removed: all else of it has gone, and it is not run
    again under its key."""

    run_id: str
    client: str
    workflow_name: str
    idempotency_key: str
    run_status: str
    """How it ended."""
    submitted_at: str
    finished_at: str
    removed_at: str | UnsetType = UNSET
    """Left out of one that an older version removed."""


class RunPage(Struct, frozen=True, rename="camel"):
    """A page of runs; `next` is the cursor of the next page, None of the last one's.

    A page of a search may hold fewer than were asked for, or none, and still not be the last: the
    engine looks at a bounded number of runs for each.
    """

    runs: tuple[RunRow, ...]
    total: int
    total_is_estimate: bool
    next: str | None = None
    expired: tuple[ExpiredRow, ...] | UnsetType = UNSET
    """Told where the runs of a key were asked for, of those that retention removed: the latest 100.
    """


class MoveRow(Struct, frozen=True, rename="camel"):
    """A rule of a run that was moved (`retarget`): URLs that begin with the one stand for those
    with the other."""

    from_: str = field(name="from")
    to: str
    at: str | None = None
    """Since when. None: the run was moved before the engine kept that."""
    actor: str | None = None
    """Who moved it. None: the run was moved before the engine kept that."""


class NoteRow(Struct, frozen=True, rename="camel"):
    """What a person wrote of a run or a cause."""

    at: str
    actor: str
    text: str


class RunTree(Struct, frozen=True, rename="camel"):
    """A run with all its steps and their attempts, steps in the order they were recorded."""

    run: RunRow
    steps: tuple[StepRow, ...]
    server_time: str
    moves: tuple[MoveRow, ...] = ()
    """In their order: each applies to what the ones before it made."""
    holds: tuple[HoldRow, ...] | UnsetType = UNSET
    """Told where there are any: what keeps steps of the run from starting."""
    notes: tuple[NoteRow, ...] = ()
    """In their order."""


class DismissalRow(Struct, frozen=True, rename="camel"):
    """That a person dismissed a cause until it comes again."""

    at: str
    actor: str
    reason: str
    came_again: bool
    """A run got stuck for it since: it needs a person again."""


class CauseRow(Struct, frozen=True, rename="camel"):
    """Runs that need a person for the same reason."""

    cause: str
    runs: int
    new_runs: int
    """Of them, within the last minutes (`newWithinMs`)."""
    first_at: str
    last_at: str
    run_id: str
    """The latest of them; what follows is of that one."""
    workflow_name: str
    status: str
    at: StepAt | None
    reason: Reason | None = None
    pattern: str | None = None
    """What the reasons of all of them have in common: `*` stands for what differs. None: they are
    the same by what happened, and not by the words of it."""
    notes: tuple[NoteRow, ...] = ()
    """In their order; the first has the number 1."""
    dismissal: DismissalRow | None = None
    """The latest. A cause that was dismissed and has not come again is listed when that is asked
    for."""


class CauseList(Struct, frozen=True, rename="camel"):
    """Why runs need a person, what most need it for first."""

    causes: tuple[CauseRow, ...]
    runs: int
    """In all that are listed."""
    new_within_ms: int
    dismissed_causes: int = 0
    """Dismissed, and not come again."""
    dismissed_runs: int = 0
    """Of these."""


class RetryRow(Struct, frozen=True, rename="camel"):
    """A step whose next attempt has a time."""

    run_id: str
    client: str
    workflow_name: str
    rev: int
    """The step's."""
    at: StepAt


class RetryPage(Struct, frozen=True, rename="camel"):
    """Steps by the time of their next attempt, the most overdue first; `next` as in `RunPage`."""

    retries: tuple[RetryRow, ...]
    next: str | None = None


class DueBucket(Struct, frozen=True, rename="camel"):
    """How many attempts are due up to so long from now, and not before the bucket ahead."""

    up_to_ms: int | None
    """None: any time later."""
    attempts: int
    """At most `DUE_COUNTED_MAX`, which then means so many or more."""


class HostRow(Struct, frozen=True, rename="camel"):
    """How attempts at one host did within the last minutes, and what it has to do now."""

    host: str
    ended: int
    succeeded: int
    p95_ms: int | None
    by_minute: tuple[tuple[int, int], ...]
    """(ended, succeeded) of each minute, the latest last."""
    in_flight: int
    queued: int
    """Attempts that are due and have not begun."""
    waits_for: dict[str, int] = {}
    """How many of them wait for what."""
    in_flight_max: int | UnsetType = UNSET
    """Told where it is set for this host: the most that may be in flight there."""
    calls_per_s: float | UnsetType = UNSET
    """Told where it is set: how many calls may begin within a second."""
    breaker_since: str | UnsetType = UNSET
    """Told while the breaker is open: one waiting attempt a second is tried."""
    results: dict[str, tuple[int, ...]] = {}
    """What attempts came to, by the hundred of their status (`2xx`, `5xx`) or, unanswered, by why
    (`connection-refused`): how many in each of the ten minutes before this one and, last, in this
    one. What none came to is left out. `suspended`: whose functions wait for steps, no failures,
    and not among `ended`."""
    retries: tuple[int, ...] = ()
    """How many of these, by minute, were of steps that had failed before."""


class StandstillRow(Struct, frozen=True, rename="camel"):
    """A host that stands still: its workers, it seems, all wait for each other."""

    host: str
    since: str
    until: str
    """Whoever waits there is sent home at once until then."""
    waiting: int
    """Attempts that waited there when it stood still; they were sent home."""
    unaccepted: int
    """Requests there, or under another name of the pool, that no worker had taken."""
    times: int
    """How often it stood still since the engine started."""
    why: str
    """The same in a sentence."""
