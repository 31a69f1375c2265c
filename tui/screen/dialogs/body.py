"""A step's payload and the answers to its tries: read in parts, and shown in several ways.

What takes long is done beside the screen's loop: reading, replacing secrets, cutting into lines.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from anyio import to_thread
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input

from engine.client import AtomicError
from tui.act.copy import Copying
from tui.act.outside import Outside
from tui.act.stage import BodyPage, Stage
from tui.boards.cells import Cell
from tui.boards.run.bodies import (
    FIRST_BYTES,
    MORE_BYTES_MAX,
    BodyLook,
    ShownBody,
    answer_name,
    lines_of,
    longer,
    looks_of,
    read,
)
from tui.screen.dialogs.ask import READING
from tui.screen.dialogs.find import Find, lines_with
from tui.screen.widgets.lines import Lines
from tui.screen.widgets.tight import TightScreen
from tui.text.redact import Redactor
from tui.text.sanitize import safe

if TYPE_CHECKING:
    from engine.client import AsyncClient, BodyPart

KEYS = "/ finds · m %s · [ ] tries · o pager · e editor · y copy · esc closes"
HEAD_LINES = 2
"""Of a body: how long it is, and a blank one."""
FRAME_CELLS = 6
"""Border, padding and scroll bar."""


def opened(part: BodyPart, redactor: Redactor) -> tuple[ShownBody, list[BodyLook]]:
    """A body without its secrets, and the looks that it has by itself."""
    body = ShownBody.of(part, redactor)
    return body, looks_of(body)


def prepared(
    body: ShownBody, look: BodyLook, cells: int, earlier: BodyPart | None, redactor: Redactor
) -> list[Cell]:
    """The lines of a body; `earlier`: what it is compared with."""
    before = None if earlier is None else ShownBody.of(earlier, redactor)
    return lines_of(body, look, cells, before)


class BodyScreen(TightScreen):
    """See the head of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *READING,
        Binding("m", "look", show=False),
        Binding("right_square_bracket", "try(1)", show=False),
        Binding("left_square_bracket", "try(-1)", show=False),
        Binding("o", "program('PAGER')", show=False),
        Binding("e", "program('EDITOR')", show=False),
        Binding("y", "copy", show=False),
        Binding("slash", "find", show=False),
        Binding("n", "found(1)", show=False),
        Binding("N", "found(-1)", show=False),
    ]

    def __init__(
        self, stage: Stage, client: AsyncClient, shown: BodyPage, copying: Copying, outside: Outside
    ) -> None:
        """The payload of a step, or the answer to one of its tries."""
        super().__init__()
        self._stage, self._client = stage, client
        self._step, self._attempt = shown
        self._copying, self._outside = copying, outside
        self._redactor = Redactor(stage.options.redact)
        self._parts: dict[int | None, BodyPart] = {}
        """What was read: neither a payload nor an answer changes."""
        self._wanted: BodyLook | None = None
        """How to show bodies, if they can be shown so; None: as is usual."""
        self._looks: list[BodyLook] = [BodyLook.RAW]
        self._look = BodyLook.RAW
        self._cells = 0
        self._is_shown = False
        """Not while it is read, or prepared in another look: keys wait in the two below."""
        self._turns = 0
        """By how many looks to go on when it is known which there are."""
        self._early: list[int] = []
        """What to scroll by when the lines are there."""
        self._wants_more = False
        """The next part of it is asked for."""
        self._at = 0
        """The line that was gone to."""
        self._sought = ""
        """What was looked for last."""
        self._told: list[Cell] = []
        """Its lines, as they are shown."""

    def compose(self) -> ComposeResult:
        with Container(id="read"):  # as the boards have it: other styles would first be parsed
            yield Lines(id="read-lines")
            yield Find()

    def on_resize(self, event: events.Resize) -> None:
        """Cut the lines anew."""
        if event.size.width != self._cells:
            self._cells = event.size.width
            self._show()

    # -- what is shown -------------------------------------------------------------------------

    @property
    def _bodies(self) -> list[int | None]:
        """The payload, and the tries that were answered until now."""
        tree = self._stage.store.trees.get(self._step.run_id)
        step = self._step if tree is None else tree.steps.get(self._step.id, self._step)
        return [None, *step.answers]

    def _answered_before(self) -> int | None:
        """The answered try before this one; None: there is none."""
        at = self._shown_index()
        return self._bodies[at - 1] if at > 1 else None

    def _shown_index(self) -> int:
        """Which of them is shown."""
        bodies = self._bodies
        return bodies.index(self._attempt) if self._attempt in bodies else 0

    def _show(self) -> None:
        self._is_shown = False
        self._read()

    @work(group="body", exclusive=True)
    async def _read(self) -> None:
        box, lines = self.query_one("#read", Container), self.query_one(Lines)
        box.border_title = Content(self._title())
        if self._attempt not in self._parts:
            lines.show([("reading …", "dim")], stay=False)
        more, before, redactor = self._wants_more, self._answered_before(), self._redactor
        try:
            part = await self._read_part(self._attempt, more=more)
            opens = partial(opened, part, redactor)
            body, looks = await to_thread.run_sync(opens, abandon_on_cancel=True)
            self._choose_look(looks if before is None else [*looks, BodyLook.DIFF])
            compares = self._look is BodyLook.DIFF
            earlier = await self._read_part(before, more=more) if compares else None
        except (AtomicError, ValueError) as error:
            self._turns, self._early = 0, []
            self._is_shown, self._wants_more = True, False
            lines.show([(safe(str(error)), "alarm")], stay=False)
            return
        cells = self._cells - FRAME_CELLS
        cuts = partial(prepared, body, self._look, cells, earlier, redactor)
        found = await to_thread.run_sync(cuts, abandon_on_cancel=True)
        if not self._is_there:
            return
        box.border_title = Content(self._title(self._look))
        lines.show(found, stay=self._is_shown)
        self._told = found
        self._is_shown, self._wants_more = True, False
        self._tell_keys()
        early, self._early = self._early, []
        for by in early:
            self.action_scroll(by)

    def _choose_look(self, looks: list[BodyLook]) -> None:
        """The look that is wanted, or the usual one, and from there on as `m` was pressed."""
        look = self._wanted if self._wanted in looks else looks[0]
        if self._turns:
            look = self._wanted = looks[(looks.index(look) + self._turns) % len(looks)]
        self._looks, self._look, self._turns = looks, look, 0

    async def _read_part(self, attempt: int | None, *, more: bool = False) -> BodyPart:
        """What was read of a body, with the next part of it if there is one and it is asked for."""
        known = self._parts.get(attempt)
        have = 0 if known is None else len(known.data)
        if known is None or (more and have < known.kept_bytes):
            count = min(max(FIRST_BYTES, have), MORE_BYTES_MAX)
            found = await read(self._client, self._step.id, attempt, have, count)
            known = found if known is None else longer(known, found)
            self._parts[attempt] = known
        return known

    def _title(self, look: BodyLook | None = None) -> str:
        bodies = self._bodies
        what = answer_name(self._step, self._attempt)
        if self._attempt is not None:
            what += f" · {self._shown_index()} of {len(bodies) - 1}"
        return f"{self._step.label}: {what}" + ("" if look is None else f" · {look}")

    @property
    def _is_there(self) -> bool:
        """It was not closed: what is on it goes before the screen itself does."""
        return self.is_attached and bool(self.query("#read"))

    def tell(self, text: str, style: str = "plain") -> None:
        """Tell something in place of the keys, until the next one; on the board if it is closed."""
        if not self._is_there:
            self._stage.tell(text, style)
            return
        self.query_one("#read", Container).border_subtitle = Content(safe(text))

    def _tell_keys(self) -> None:
        self.tell(KEYS % self._next_look())

    def _next_look(self) -> BodyLook:
        looks = self._looks
        return (
            looks[(looks.index(self._look) + 1) % len(looks)] if self._look in looks else looks[0]
        )

    # -- keys ----------------------------------------------------------------------------------

    def action_scroll(self, by: int) -> None:
        """Scroll by so many lines; at the end more is read."""
        if not self._is_shown:
            self._early.append(by)
            return
        self._tell_keys()
        lines = self.query_one(Lines)
        part = self._parts.get(self._attempt)
        at_end = lines.scroll_offset.y + by >= lines.max_scroll_y
        lines.scroll_lines(by)
        if by > 0 and at_end and part is not None and len(part.data) < part.kept_bytes:
            self.tell("reading more …")
            if not self._wants_more:  # a key that is held down does not begin it anew
                self._wants_more = True
                self._read()

    def action_find(self) -> None:
        """Have a text typed that is looked for in what was read."""
        field = self.query_one(Find)
        field.value, field.display = self._sought, True
        self.set_focus(field)

    @on(Find.Left)
    @on(Input.Submitted)
    def find_typed(self, event: Find.Left | Input.Submitted) -> None:
        """It is closed: go to the first line from here on that has what was typed."""
        event.stop()
        self.query_one(Find).display = False
        self.set_focus(self.query_one(Lines))
        if isinstance(event, Input.Submitted):
            self._sought = event.value
            self._go_to_found(0)

    def action_found(self, by: int) -> None:
        """To the next line with it, or the one before."""
        if self._sought:
            self._go_to_found(by)
        else:
            self.tell("/ looks for a text first")

    def _go_to_found(self, by: int) -> None:
        lines = self.query_one(Lines)
        found = lines_with(self._told[HEAD_LINES:], self._sought) if self._sought else []
        if not found:
            self.tell(f"nothing of what was read has {self._sought!r}", "alarm")
            return
        here = self._at - HEAD_LINES
        ahead = [at for at in found if at > here or (not by and at == here)]
        behind = [at for at in found if at < here]
        at = (behind or found)[-1] if by < 0 else (ahead or found)[0]
        self._at = at + HEAD_LINES
        lines.scroll_to(y=self._at, animate=False, force=True)
        self.tell(f"line {found.index(at) + 1} of {len(found)} with {self._sought} · n N go on")

    def action_look(self) -> None:
        """Show it in another way."""
        self._turns += 1
        self._show()

    def action_try(self, by: int) -> None:
        """Go to the answer to the next or previous try; before the first is the payload."""
        bodies = self._bodies
        at = self._shown_index() + by
        if 0 <= at < len(bodies):
            self._attempt = bodies[at]
            self._early, self._wants_more = [], False
            self._show()
        else:
            self.tell("no answer to a later try" if by > 0 else "nothing before the payload")

    def action_program(self, variable: str) -> None:
        """Open all of it in $PAGER or $EDITOR."""
        self._outside.show(self._step, self._attempt, variable, self.tell)

    def action_copy(self) -> None:
        """Copy all of it."""
        self._copying.copy_body(self._step, self._attempt, self.tell)
