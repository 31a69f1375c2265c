"""What a command may ask of the screen: all that the files of commands know of it.

What lies over a board is given as data, and whoever has the screen makes something of it. So what a
key does is read, and can be tested, without Textual.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.client import AtomicError
from tui.boards.cells import Cell
from tui.boards.looking import Looking
from tui.boards.selection import Selection
from tui.data.feed import Feed
from tui.data.model import Step
from tui.data.store import Store
from tui.data.tree import Tree
from tui.past.player import Player
from tui.settings import Options

if TYPE_CHECKING:
    from engine.client import AsyncClient

YES = "yes"
"""The answer to a question without choices; none at all is no."""


class Choice(NamedTuple):
    """Something to choose."""

    key: str
    """The character that chooses it."""
    name: str
    """What the choice is known by."""
    label: str
    text: str
    why_not: str = ""
    """Why it cannot be chosen now; empty: it can."""


class Question(NamedTuple):
    """Put before something is done. The answer is `YES` or the name of a choice; empty: no."""

    title: str
    lines: Sequence[Cell] = ()
    """The consequences."""
    typed: str | None = None
    """What must be typed to say yes; None: a key does."""
    choices: Sequence[Choice] = ()
    cursor: int | None = 0
    """Which of them the cursor begins at; None: at none, where one may be what nobody meant."""


class TypedLine(NamedTuple):
    """Typed at the foot: a filter, a command, a URL. Its answer is what was typed to the end."""

    kind: str
    text: str = ""
    """What stands there to begin with."""


class Page(NamedTuple):
    """Something to read."""

    title: str
    lines: Callable[[int], Sequence[Cell]]
    """Its lines, in so many cells."""


class BodyPage(NamedTuple):
    """A step's payload (no attempt), or an answer to it, to begin with."""

    step: Step
    attempt: int | None


class ComparePage(NamedTuple):
    """Two runs beside each other: how their steps went, their payloads, their answers."""

    left: Tree
    right: Tree


class Stage(Protocol):
    """What is looked at, what is known, and a screen that shows and asks."""

    looking: Looking
    store: Store
    options: Options

    @property
    def client(self) -> AsyncClient | None:
        """Speaks with the engine; None: it is not connected yet, or a recording is shown."""

    @property
    def feed(self) -> Feed | None:
        """Reads what is looked at; None: nothing is read."""

    @property
    def player(self) -> Player | None:
        """Plays a recording; None: an engine is shown."""

    def selection(self, view: str | None = None) -> Selection:
        """The rows of a view (of the one that is looked at), its cursor and its marks."""

    def tell(self, text: str, style: str = "strong") -> None:
        """Tell something at the foot, for a moment. An empty text ends what was told before."""

    def ask(
        self, asked: Question | TypedLine, then: Callable[[str], None], *, late: bool = False
    ) -> bool:
        """Ask something, and give the answer to `then`. What comes `late`, a while after it was
        wanted, is not asked if something lies over the board by now; returns whether it is."""

    def open(self, page: Page | BodyPage | ComparePage) -> None:
        """Lay something over the board that is read."""

    def start(
        self, work: Coroutine[Any, Any, None], group: str, *, exclusive: bool = False
    ) -> Callable[[], None]:
        """Do something beside the screen; `exclusive`: in place of the last of its group. Returns
        what ends it."""

    def show(self, view: str) -> None:
        """Go to a view, as `looking` has it."""

    def redraw(self, *, ids: bool = True) -> None:
        """Bring the view up to date. Without `ids` only what moves with time."""


Does = Callable[[Stage, str], None]
"""What a command does. The text is what was typed behind its name."""


Work = Callable[[], Coroutine[Any, Any, None]]
"""What asks the engine. Raises AtomicError, ValueError."""


async def telling(stage: Stage, work: Work) -> None:
    """Do it; what stands against it is told."""
    try:
        await work()
    except (AtomicError, ValueError) as error:
        stage.tell(str(error), "alarm")


class NoTerminal(Exception):
    """A program needs a terminal, and this dashboard is in a browser."""


class Terminal(Protocol):
    """What the dashboard is shown on."""

    @property
    def is_web(self) -> bool:
        """It is drawn in a browser."""

    def copy_to_clipboard(self, text: str) -> None:
        """Send a text that is to be copied (OSC 52)."""

    def run_program(self, words: Sequence[str]) -> None:
        """Give the terminal to a program, and wait for it. Raises NoTerminal, OSError."""
