"""How the answer to a step's last attempt begins: read beside the screen, for the inspector.

It is read once the cursor rests on a step, and kept for some steps: an answer does not change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import anyio

from engine.client import AtomicError
from tui.act.stage import Stage
from tui.boards.cells import Cell
from tui.boards.run.bodies import ShownBody, answer_name, beginning, read
from tui.data.model import SET_BY_HAND, State, Step
from tui.data.reach import why_no_bodies
from tui.text.redact import Redactor
from tui.text.sanitize import safe, wrap

READ_BYTES = 8_192
LINES_SHOWN, LINES_BESIDE = 8, 60
"""Below the steps, and beside them, where there is room for more."""
RESTS_S = 0.2
"""The cursor has to rest on a step so long before its answer is read."""
KEPT_MAX = 50
TOLD_OF = frozenset({State.FAILED, State.PAUSED, State.BACKING_OFF})
"""Of steps that are well nobody asks for it."""
Key = tuple[str, int]
"""A step and its attempt."""


class LastAnswer:
    """See the head of this file."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._redactor = Redactor(stage.options.redact)
        self._read: OrderedDict[Key, ShownBody | str] = OrderedDict()
        """What was read, or why it could not be."""
        self._reading: Key | None = None

    def lines(self, step: Step, cells: int, *, roomy: bool = False) -> Sequence[Cell]:
        """What is known of it; what is not is read. `roomy`: beside the steps, where that of a step
        that is well has its place too."""
        number = step.last_answered
        if number is None or not (_tells(step, number) or (roomy and step.ended)):
            return ()
        what = answer_name(step, number)
        if why := why_no_bodies(self._stage.store.status):
            return [(line, "dim") for line in wrap(f"{what.partition(' · ')[0]}: {why}", cells)]
        key = (step.id, number)
        found = self._read.get(key)
        if found is None:
            self._begin(key)
            return ()
        head: Cell = ((f"{what} · ", "dim"), ("b", "strong"), (" shows all", "dim"))
        if isinstance(found, str):
            return [head, *((line, "dim") for line in wrap(found, cells))]
        return [head, *beginning(found, cells, LINES_BESIDE if roomy else LINES_SHOWN)]

    def _begin(self, key: Key) -> None:
        stage = self._stage
        is_far = stage.client is None or stage.store.stale or stage.options.slow_link
        if self._reading == key or is_far:
            return
        self._reading = key
        stage.start(self._reads(key), "last-answer", exclusive=True)

    async def _reads(self, key: Key) -> None:
        client = self._stage.client
        assert client is not None
        try:
            await anyio.sleep(RESTS_S)
            step_id, number = key
            found: ShownBody | str
            try:
                part = await read(client, step_id, number, 0, READ_BYTES)
                found = ShownBody.of(part, self._redactor)
            except (AtomicError, ValueError) as error:
                found = safe(str(error))
            self._read[key] = found
            while len(self._read) > KEPT_MAX:
                self._read.popitem(last=False)
            self._stage.redraw(ids=False)
        finally:
            if self._reading == key:
                self._reading = None


def _tells(step: Step, number: int) -> bool:
    """Whether an answer is told of: one that a person set, and why a step is not well."""
    if number == SET_BY_HAND:
        return True
    return step.state in TOLD_OF and number == step.tries[-1].number
