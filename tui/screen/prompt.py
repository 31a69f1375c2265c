"""The line at the foot: what is typed behind `/` and `:`, with what could follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.boards.cells import Piece
from tui.data import filter as query
from tui.data.store import Store
from tui.keys import COMMANDS
from tui.screen.themes import NAMES
from tui.screen.widgets.typed import Typed
from tui.text.sanitize import clip, safe, width

SIGNS = {
    "filter": " filter / ",
    "steps": " steps / ",
    "events": " events / ",
    "command": " command : ",
    "retarget-from": " retarget from ",
    "retarget-to": " retarget to ",
    "reason": " reason ",
    "note": " note ",
    "dismissal": " dismiss, why ",
    "hold-reason": " hold, why ",
    "release-rate": " release, so many a second ",
}
EXAMPLES = {
    "filter": "is:stuck error:declined wf:order* host:… try:>3",
    "steps": "is:failed step:ship* try:>3 error:declined or a part of what is seen",
    "events": "is:failed wf:order* step:ship code:503 error:declined or a name, as ana",
    "command": "help",
    "retarget-from": "a URL, or what URLs begin with",
    "retarget-to": "what it stands for from now on",
    "reason": "why, which is needed: kept beside what was there before",
    "note": "what others should know: vendor informed, ticket 4711",
    "dismissal": "ticket 4711: it needs nobody until it comes again",
    "hold-reason": "vendor maintenance until 15:00; it may be empty",
    "release-rate": "so many of those that waited; empty: as their hosts take them",
}
ABOUT: dict[str, Iterable[str]] = {"filter": query.ABOUT_RUNS, "events": query.ABOUT_EVENTS}
"""What is typed with values that were seen, and the fields that it may name."""
THEME = "theme "
"""The command whose argument is one of a few."""
ENTER_DOES = {
    "filter": "lists",
    "steps": "lists those",
    "events": "lists those",
    "command": "does it",
    "retarget-from": "asks to which",
    "retarget-to": "says what would be moved · end changes a part of it",
    "reason": "says what would follow, and asks",
    "note": "writes it",
    "dismissal": "dismisses it until it comes again",
    "hold-reason": "says what it would hold, and asks",
    "release-rate": "says how many wait, and asks",
}


class PromptField(Typed):
    """Where it is typed. `tab` completes, and does not go anywhere else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False),
        Binding("shift+tab", "complete", show=False),
    ]

    def __init__(self, completions: Callable[[str], list[str]], *, id: str) -> None:
        super().__init__(id=id, compact=True, suggester=Known(completions))
        self._completions = completions

    def action_complete(self) -> None:
        """Take the first of what could follow."""
        found = self._completions(self.value)
        if found:
            self.value = found[0]
            self.cursor_position = len(self.value)


class Known(Suggester):
    """Completions as ghost text behind what is typed."""

    def __init__(self, completions: Callable[[str], list[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._completions = completions

    async def get_suggestion(self, value: str) -> str | None:
        """The first completion that begins with what is typed (one that is quoted does not)."""
        return next((each for each in self._completions(value) if each.startswith(value)), None)


class Prompt(Horizontal):
    """See the head of this file."""

    class Entered(Message):
        """A line was typed to its end. `fault`: why it makes no sense; empty: it does."""

        def __init__(self, text: str, fault: str) -> None:
            super().__init__()
            self.text, self.fault = text, fault

    class Edited(Message):
        """What is typed is another."""

    def __init__(self, store: Store, *, id: str) -> None:
        super().__init__(id=id)
        self._store = store
        self.kind = ""
        """What is typed: a filter, a command; empty: the line is closed."""

    def compose(self) -> ComposeResult:
        yield Static(id="prompt-sign", markup=False)
        yield PromptField(self.completions, id="prompt")

    @property
    def field(self) -> PromptField:
        """Where it is typed."""
        return self.query_one(PromptField)

    def open(self, kind: str, text: str) -> None:
        """Begin a line of this kind."""
        self.kind = kind
        sign = self.query_one("#prompt-sign", Static)
        sign.update(SIGNS[kind])
        sign.styles.width = len(SIGNS[kind])
        self.field.value = text
        self.field.cursor_position = len(text)
        self.field.placeholder = EXAMPLES[kind]
        self.field.select_on_focus = not text.endswith(" ")  # what is typed adds to that
        self.screen.query_one("#status").display = False
        self.display = True
        self.post_message(self.Edited())
        self.screen.set_focus(self.field)  # at once: `focus` would wait, and let keys pass

    def close(self) -> None:
        """Take the line away."""
        self.kind = ""
        self.display = False
        self.screen.query_one("#status").display = True

    def completions(self, text: str) -> list[str]:
        """What the line could be when it is completed."""
        if self.kind in ABOUT:
            return query.suggest(text, query.seen_values(self._store), ABOUT[self.kind])
        if self.kind != "command":
            return []
        known = sorted(command.id for command in COMMANDS)
        if text.startswith(THEME):
            known = [THEME + name for name in sorted(NAMES)]
        return [each for each in known if text and each.startswith(text) and each != text]

    def foot(self, cells: int) -> list[Piece]:
        """What to say below the line: its fault under the place, what could follow, or the keys."""
        text = self.field.value
        found = self.completions(text)
        fault = self._fault(text)
        if fault is not None and not (found and fault.at >= _last_term(text)):
            return _under(len(SIGNS[self.kind]) + fault.at, fault.detail, cells)
        tab = " · tab completes" if self.kind in (*ABOUT, "command") else ""
        keys = f" enter {ENTER_DOES[self.kind]}{tab} · esc leaves"
        follows = "  ".join(safe(each[_last_term(text) :]) for each in found)
        return [Piece(clip(f" {follows}" if follows else keys, cells), "dim")]

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Edited())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        fault = self._fault(event.value)
        self.post_message(self.Entered(event.value, "" if fault is None else fault.detail))

    def _fault(self, text: str) -> query.Fault | None:
        return query.FAULTS[self.kind](text) if self.kind in query.FAULTS else None


def _last_term(text: str) -> int:
    """Where the last term begins."""
    return text.rfind(" ") + 1


def _under(at: int, detail: str, cells: int) -> list[Piece]:
    """A caret below a place, and what is wrong there beside it, where there is more room."""
    at, told = min(at, cells - 1), safe(detail)
    if width(told) <= cells - at - 2 or at < cells // 2:
        return [Piece(" " * at), Piece(f"^ {clip(told, cells - at - 2)}", "alarm")]
    told = clip(told, at - 1)
    return [Piece(" " * (at - 1 - width(told))), Piece(f"{told} ^", "alarm")]
