"""Two runs beside each other: how their steps went, what they were given, what they answered."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from anyio import to_thread
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.screen import ModalScreen

from engine.client import AtomicError
from tui.act.stage import ComparePage, Stage
from tui.boards.cells import Cell
from tui.boards.run.bodies import FIRST_BYTES, ShownBody, answer_name, read
from tui.boards.run.compare import Pair, comparison, in_order, run_name
from tui.boards.run.differ import Found, body_lines
from tui.data.model import Step
from tui.data.reach import why_no_bodies
from tui.screen.dialogs.ask import CLOSES, READ_FRAME_CELLS, READING
from tui.screen.widgets.lines import Lines
from tui.text.redact import Redactor
from tui.text.sanitize import safe

STEPS, PAYLOADS, ANSWERS = LOOKS = ("steps", "payloads", "answers")
KEYS = {STEPS: "s", PAYLOADS: "p", ANSWERS: "b"}
NO_SUCH_STEP = "it has no such step"


class CompareScreen(ModalScreen[None]):
    """See the head of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *READING,
        *(Binding(key, f"look({look!r})", show=False) for look, key in KEYS.items()),
        Binding("right_square_bracket", "step(1)", show=False),
        Binding("left_square_bracket", "step(-1)", show=False),
    ]

    def __init__(self, stage: Stage, page: ComparePage) -> None:
        super().__init__()
        self._stage, self._page = stage, page
        self._redactor = Redactor(stage.options.redact)
        found = sorted(in_order(*page), key=lambda pair: not _is_root(pair))
        self._pairs = found or [Pair("", None, None)]
        """Whose bodies are compared: the runs' own first, then those that went otherwise."""
        self._at = 0
        self._look = STEPS
        self._found: dict[tuple[str, int | None], Found] = {}
        """What was read, by step and attempt (None: the payload): neither changes."""

    def compose(self) -> ComposeResult:
        with Container(id="read"):
            yield Lines(id="read-lines")

    def on_mount(self) -> None:
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Cut the lines anew."""
        if self._is_there:
            self._show()

    # -- keys ----------------------------------------------------------------------------------

    def action_scroll(self, by: int) -> None:
        """Scroll by so many lines."""
        self.query_one(Lines).scroll_lines(by)

    def action_look(self, look: str) -> None:
        """Compare how steps went, payloads, or answers."""
        self._look = look
        self._show()

    def action_step(self, by: int) -> None:
        """Compare the bodies of another step."""
        if self._look == STEPS:
            return
        self._at = (self._at + by) % len(self._pairs)
        self._show()

    # -- what is shown -------------------------------------------------------------------------

    def _show(self) -> None:
        box, pair = self.query_one("#read"), self._pairs[self._at]
        others = [f"{key} {look}" for look, key in KEYS.items() if look != self._look]
        title = f"Compare two runs: {self._look}"
        if self._look != STEPS:
            title += f" of {pair.path} · {self._at + 1} of {len(self._pairs)}"
            others.append("[ ] other steps")
        box.border_title = Content(title)
        box.border_subtitle = Content(" · ".join([*others, "j k scroll", CLOSES]))
        self._draw(self._look, pair)

    @work(group="compare", exclusive=True)
    async def _draw(self, look: str, pair: Pair) -> None:
        if not self._is_there:
            return
        cells = self.app.size.width - READ_FRAME_CELLS
        lines, stage = self.query_one(Lines), self._stage
        if look == STEPS:
            seen = stage.looking.seen(stage.store)
            lines.show(comparison(*self._page, cells, seen), stay=False)
            return
        lines.show([("reading …", "dim")], stay=False)
        left, right = await self._body(pair.left, look), await self._body(pair.right, look)
        names = run_name(self._page.left), run_name(self._page.right)
        cuts = partial(body_lines, left, right, names, cells)
        found: list[Cell] = await to_thread.run_sync(cuts, abandon_on_cancel=True)
        if self._is_there:
            lines.show(found, stay=False)

    @property
    def _is_there(self) -> bool:
        """It was not closed: what is on it goes before the screen itself does."""
        return self.is_attached and bool(self.query("#read-lines"))

    async def _body(self, step: Step | None, look: str) -> Found:
        """A step's payload or its last answer without secrets, or why it cannot be had."""
        client = self._stage.client
        if step is None:
            return NO_SUCH_STEP
        if client is None:
            return "bodies are not in a recording"
        if why := why_no_bodies(self._stage.store.status):
            return why
        attempt = None if look == PAYLOADS else step.last_answered
        if look == ANSWERS and attempt is None:
            return step.why_no_answer
        key = (step.id, attempt)
        if key not in self._found:
            try:
                part = await read(client, step.id, attempt, 0, FIRST_BYTES)
                hides = partial(ShownBody.of, part, self._redactor)
                self._found[key] = await to_thread.run_sync(hides, abandon_on_cancel=True)
            except (AtomicError, ValueError) as error:
                return f"{answer_name(step, attempt)}: {safe(str(error))}"
        return self._found[key]


def _is_root(pair: Pair) -> bool:
    return any(step is not None and step.parent_id is None for step in (pair.left, pair.right))
