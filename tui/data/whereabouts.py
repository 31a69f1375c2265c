"""At which step a run of a list is, as events move it on until the list is read again.

A row has the step at which its run was when it was read. That step ends, others begin, and for a
moment the row would say that the run is at a step that has just succeeded. So the steps that events
name are kept, and the row goes on to the one that has begun, or to none.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct
from msgspec.structs import replace

from engine.wire import Reason
from engine.wire.events import Accepted, AttemptEnded, Started
from tui.data.fold import at_after
from tui.data.model import ENDED, At, Happening, Run, State, host_of

STEPS_KEPT_MAX = 20_000


class Named(Struct, frozen=True):
    """What a step's post said of it."""

    name: str
    workflow: str
    key: str
    url: str
    retries_max: int
    client: str | None = None
    """Of runs' own steps, where it was told."""


class Whereabouts:
    """See the head of this file."""

    def __init__(self) -> None:
        self._steps: OrderedDict[str, Named] = OrderedDict()
        self._backing_off: OrderedDict[str, At] = OrderedDict()
        """Of a run, the step that began to back off last."""

    def posted(self, event: Happening) -> None:
        """A step was posted: keep what lists show of it."""
        spec = event.spec
        if spec is None:
            return
        client = event.fact.client if isinstance(event.fact, Accepted) else None
        count = spec.retry.count
        named = Named(spec.name, spec.workflow, spec.key, spec.url, count, client)
        self._steps[event.step_id] = named
        while len(self._steps) > STEPS_KEPT_MAX:
            self._steps.popitem(last=False)

    def named(self, step_id: str) -> Named | None:
        """What was said of a step; None: its post was not seen."""
        return self._steps.get(step_id)

    def step_moved(self, run: Run, event: Happening) -> Run:
        """The run after an event of one of its steps."""
        fact = event.fact
        if isinstance(fact, AttemptEnded) and event.state is State.FAILED and not event.is_root:
            run = replace(run, reason=self._reason(fact))
        at = run.at
        if at is not None and at.step_id == event.step_id:
            after = at_after(at, event)
            ended_well = after.state is State.COMPLETED and not event.is_root
            return replace(run, at=None if ended_well else after)
        if not isinstance(fact, (Started, AttemptEnded)) or run.ended:
            return run
        other = self._at_of(event)
        if other is None:
            return run
        if other.state is State.BACKING_OFF:
            self._backing_off[run.id] = other
            while len(self._backing_off) > STEPS_KEPT_MAX:
                self._backing_off.popitem(last=False)
        begins = other.state is State.RUNNING and not (event.is_root and at is not None)
        return (
            replace(run, at=other) if begins or (at is None and other.state not in ENDED) else run
        )

    def run_moved(self, run: Run) -> Run:
        """The run after its own state has become another."""
        at, waits = run.at, self._backing_off.pop(run.id, None)
        if waits is None or run.state is not State.BACKING_OFF:
            return run
        return run if at is not None and at.state is run.state else replace(run, at=waits)

    def _reason(self, ended: AttemptEnded) -> Reason:
        """Why a step has failed: what its workflow makes of it says less."""
        named = self._steps.get(ended.step_id)
        name = "" if named is None else named.name
        return Reason(ended.step_id, name, ended.http_status, ended.error, ended.excerpt)

    def _at_of(self, event: Happening) -> At | None:
        """The step of an event, as lists show it; None: its post was not seen."""
        named = self._steps.get(event.step_id)
        if named is None:
            return None
        left = named.retries_max + 1
        host = host_of(named.url)
        unknown = At(event.step_id, named.name, host, event.state, 0, left, None, None, None,
                     None, None, None, named.url)  # fmt: skip
        return at_after(unknown, event)
