"""What comes over a board: a question, a choice, something to read.

A question is put before something is done that is hard to undo: the answer is No unless it is Yes.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.act.stage import YES, Page, Question
from tui.boards.cells import Cell
from tui.data.clock import Clock
from tui.screen.widgets.lines import Lines, wrapped
from tui.screen.widgets.typed import Typed
from tui.text.sanitize import fit, width

TYPED_AHEAD_S = 0.25
"""Keys that were typed before the question could be read do not answer it."""
READING = (
    Binding("escape,q,enter", "dismiss", "Close", show=False),
    Binding("j,down", "scroll(1)", show=False),
    Binding("k,up", "scroll(-1)", show=False),
    Binding("space,pagedown,ctrl+d", "scroll(15)", show=False),
    Binding("pageup,ctrl+u", "scroll(-15)", show=False),
    Binding("g,home", "scroll(-1000000)", show=False),
    Binding("G,end", "scroll(1000000)", show=False),
)
"""The keys of what is read: for the action `scroll`."""
CHOICE_KEYS = string.ascii_letters.replace("q", "") + string.digits + "/:?[]"
"""What a choice can be known by: characters that a command's key may be, but for what closes."""
READ_FRAME_LINES = 2
READ_FRAME_CELLS = 5
"""What the frame of what is read takes, and its scroll bar."""
ASK_CELLS = 72
"""A line of a question, where there is room for it."""
CLOSES = "esc closes"


class Confirmation(Typed):
    """Where a number is typed. `takes`: whether a key is meant for it."""

    def __init__(self, takes: Callable[[], bool], *, compact: bool) -> None:
        super().__init__(compact=compact)
        self._takes = takes

    async def _on_key(self, event: events.Key) -> None:
        if self._takes():
            await super()._on_key(event)
        else:
            event.stop()
            event.prevent_default()

    def _on_paste(self, event: events.Paste) -> None:
        if self._takes():
            super()._on_paste(event)
        event.stop()
        event.prevent_default()


class Ask(ModalScreen[str]):
    """A question with its consequences: `y` says yes, or what must be typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,n", "answer('')", "No", show=False),
        Binding("y", f"answer({YES!r})", "Yes", show=False),
    ]

    def __init__(self, asked: Question, clock: Clock) -> None:
        super().__init__()
        self._asked, self._typed, self._clock = asked, asked.typed, clock
        self._since = clock.monotonic()
        self._is_meant = False

    def compose(self) -> ComposeResult:
        with Vertical(id="ask") as box:
            box.border_title = Content(self._asked.title)
            yield Lines(id="ask-lines")
            if self._typed is not None:
                yield Confirmation(self._takes, compact=True)

    def on_mount(self) -> None:
        self._lay_out()
        if self._typed is not None:
            self.query_one(Input).focus()

    def on_resize(self) -> None:
        """Nothing that is asked about is cut at its end: it is wrapped anew."""
        self._lay_out()

    def _lay_out(self) -> None:
        cells = min(ASK_CELLS, self.app.size.width - READ_FRAME_CELLS)
        lines = [line for each in self._asked.lines for line in wrapped(each, cells)]
        if self._typed is None:
            lines += [
                ("", "plain"),
                (("y ", "strong"), ("yes", "plain"), ("   esc ", "strong"), ("no", "plain")),
            ]
        else:  # in the frame, where it stays whatever is typed and scrolled
            told = f"type {self._typed} and enter to confirm · esc no"
            self.query_one("#ask").border_subtitle = Content(told)
        shown = self.query_one(Lines)
        shown.styles.height = min(len(lines), max(3, self.app.size.height - 8))
        shown.show(lines, stay=False)

    def _takes(self) -> bool:
        """Whether what is typed is meant for the field: keys that were under way when it opened are
        not, as long as they go on coming."""
        if self._is_meant:
            return True
        if self._too_soon:
            self._since = self._clock.monotonic()
            return False
        self._is_meant = True
        return True

    @property
    def _too_soon(self) -> bool:
        return self._clock.monotonic() - self._since < TYPED_AHEAD_S

    def action_answer(self, answer: str) -> None:
        """Close with this answer."""
        if self._too_soon or (answer and self._typed is not None):
            return
        self.dismiss(answer)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._too_soon:
            return
        if event.value.strip().replace(",", "") == self._typed:
            self.dismiss(YES)
        else:
            event.input.value = ""
            event.input.placeholder = f"that was not {self._typed}"


class Choose(ModalScreen[str]):
    """A few things to choose from: by their keys, with the cursor, or with the mouse.

    What cannot be chosen is there too, and says why. The keys are bindings: one that came in one
    piece with what opened this passes by the board first, whose events do not come by here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss('')", "Close", show=False),
        *(Binding(key, f"choose({key!r})", show=False) for key in CHOICE_KEYS),
    ]

    def __init__(self, asked: Question) -> None:
        super().__init__()
        self._title, self._choices, self._cursor = asked.title, asked.choices, asked.cursor

    def on_mount(self) -> None:
        if self._cursor != 0:
            self.query_one(OptionList).highlighted = self._cursor

    def compose(self) -> ComposeResult:
        wide = max((width(choice.label) for choice in self._choices), default=0)
        with Vertical(id="ask") as box:
            box.border_title = Content(self._title)
            yield OptionList(
                *(
                    Option(
                        Content(f" {choice.key}  {fit(choice.label, wide)}  {choice.text}"),
                        disabled=bool(choice.why_not),
                    )
                    for choice in self._choices
                ),
                id="choices",
                compact=True,
                markup=False,
            )

    def action_choose(self, key: str) -> None:
        """Take the choice of this key; `j` and `k` move, where they are none."""
        mine = next((each for each in self._choices if each.key == key), None)
        choices = self.query_one(OptionList)
        if mine is not None and mine.why_not:
            self.query_one("#ask").border_subtitle = Content(mine.why_not)
        elif mine is not None:
            self.dismiss(mine.name)
        elif key == "j":
            choices.action_cursor_down()
        elif key == "k":
            choices.action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index].name)


class Read(ModalScreen[None]):
    """Something to read: the help, what is known of a cause. Around it the board is seen."""

    BINDINGS: ClassVar[list[BindingType]] = [*READING]

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._lines: Sequence[Cell] = ()

    def compose(self) -> ComposeResult:
        with Vertical(id="read") as box:
            box.border_title = Content(self._page.title)
            box.border_subtitle = CLOSES
            yield Lines(id="read-lines")

    def on_mount(self) -> None:
        self._lines = self._page.lines(self.app.size.width - READ_FRAME_CELLS)
        self.query_one(Lines).show(self._lines, stay=False)
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """As high as what there is to read, if there is room for that."""
        room = max(1, self.app.size.height - READ_FRAME_LINES)
        self.query_one(Lines).styles.height = min(len(self._lines), room)

    @on(Lines.Sized)
    def sized(self) -> None:
        """What there is no room for is scrolled to, and that is said."""
        is_cut = len(self._lines) > self.query_one(Lines).size.height
        self.query_one("#read").border_subtitle = f"j k scroll · {CLOSES}" if is_cut else CLOSES

    def action_scroll(self, by: int) -> None:
        """Scroll by so many lines."""
        self.query_one(Lines).scroll_lines(by)
