"""The dashboard's screen: boards over one store, one clock that ticks, one timer that draws.

Nothing here knows more than the store; what is typed is looked up in `keys.py`, and what changes
the engine is in `acting.py`. A tick a second moves the countdowns, changes of the store are drawn a
few times a second, and both mark only the cells whose text is another.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

from tui import background, query
from tui.acting import Acting
from tui.attention import GIVE_TITLE_BACK, KEEP_TITLE, Attention
from tui.commanding import Commanding
from tui.drawing import (
    CHART_CELLS_MIN,
    SHORT_LINES_MIN,
    TALL_LINES_MIN,
    WIDE_CELLS_MIN,
    WIDER_CELLS_MIN,
    Drawing,
)
from tui.feed import Board, Feed
from tui.following import Following
from tui.inputs import Input as Taken
from tui.inputs import LinkState
from tui.keys import (
    BY_ID,
    COMMANDS,
    LISTS,
    TYPED_BEHIND,
    action_of,
    remapped,
)
from tui.listing import Edge
from tui.looking import Looking
from tui.looks import in_ascii
from tui.moving import Moving
from tui.options import Options
from tui.ordering import Ordering
from tui.outside import Outside
from tui.prompt import Prompt
from tui.reading import Reading
from tui.rows import GRIDS, Rows
from tui.sanitize import safe
from tui.screens.small import TooSmall, is_too_small
from tui.selection import Selection
from tui.showing import Showing
from tui.store import Store
from tui.themes import ANSI_THEMES, DEFAULT, THEMES, variables
from tui.widgets.ascii import Asciify
from tui.widgets.bar import Bar
from tui.widgets.grid import Grid
from tui.widgets.lines import Lines
from tui.widgets.tight import TightScreen

if TYPE_CHECKING:
    from engine.client import AsyncClient

FLUSH_S = 0.25
TICK_S = 1.0
SLOW_FLUSH_S, SLOW_TICK_S = 1.0, 5.0
"""With --slow-link."""
FLASH_S = 5.0


class Dashboard(App[None]):
    """See the head of this file."""

    CSS_PATH: ClassVar[Any] = "app.tcss"
    TITLE: str | None = "atomic"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [  # noqa: RUF012 - as App has it
        (0, "-narrow"),
        (CHART_CELLS_MIN, "-middle"),
        (WIDE_CELLS_MIN, "-wide"),
        (WIDER_CELLS_MIN, "-wider"),
    ]
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [  # noqa: RUF012 - as App has it
        (0, "-flat"),
        (SHORT_LINES_MIN, "-short"),
        (TALL_LINES_MIN, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            command.keys,
            f"cmd({command.id!r})",
            command.label,
            show=False,
            id=command.id,
            # seen to before the next key is looked at, which then goes to the prompt
            priority=command.id in TYPED_BEHIND,
        )
        for command in COMMANDS
        if command.keys
    ]

    def __init__(
        self,
        store: Store,
        options: Options,
        *,
        client: AsyncClient | None = None,
        connects: Callable[[], AsyncClient] | None = None,
        take: Callable[[Taken], None] | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        feed: bool = True,
    ) -> None:
        """`connects` makes the client when the first picture has been drawn. Without one, or a
        `feed`, what the store is given is shown: a replay, a test."""
        super().__init__()
        self.store, self.options = store, options
        self.commands = remapped(options.keys)
        self.set_keymap({each.id: each.keys for each in self.commands if each.id in options.keys})
        self.ascii_filter = Asciify(enabled=options.ascii_only)
        self.client = client
        self.feed: Feed | None = None
        self.following = Following(self, take or store.apply, chance)
        self._connects = connects
        if client is not None and feed:
            self.following.follow(client)
        self.looking = Looking(
            view=options.board,
            filters={"runs": options.filter, "retries": ""},
            is_recording=client is None and connects is None,
        )
        self.rows = Rows(store, self.looking)
        self._flash: tuple[str, str] = ("", "plain")
        self._flash_until = 0.0
        self.also: Callable[[], Coroutine[Any, Any, None]] | None = None
        """Runs beside the screen: a replay."""
        self.acting = Acting(self)
        self.reading = Reading(self)
        self.moving = Moving(self)
        self.showing = Showing(self)
        self.ordering = Ordering(self)
        self.drawing = Drawing(self)
        self.outside = Outside(self)
        self.commanding = Commanding(self)
        self._owners = (self, self.moving, self.showing, self.ordering, self.reading, self.outside,
                        self.commanding, self.acting)  # fmt: skip
        self.attention = Attention(store)

    def get_line_filters(self) -> list[LineFilter]:
        """The last thing that is done to a line."""
        found = list(super().get_line_filters())
        return [*found, self.ascii_filter] if self.ascii_filter.enabled else found

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What Textual's own themes do not have."""
        return variables(self.current_theme)

    def get_default_screen(self) -> Screen[None]:
        """The screen of the boards."""
        return TightScreen()

    # -- composing -----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(2, id="top")
        with ContentSwitcher(id="body", initial=self.looking.view):
            for name, columns in GRIDS.items():
                cells = partial(self.rows.cells, name)
                grid = Grid(columns, cells, id=f"{name}-grid")
                if name == "run":
                    with Container(id="run"):
                        yield grid
                        yield Lines(id="inspector")
                else:
                    with Container(id=name):
                        yield grid
        yield Bar(1, id="status")
        yield Prompt(self.store, id="prompt-line")
        yield Bar(1, id="foot")

    def on_mount(self) -> None:
        self._tell_terminal(KEEP_TITLE)
        background.watch(self)
        for theme in (*THEMES, *ANSI_THEMES):
            self.register_theme(theme)
        wanted = self.options.theme or DEFAULT
        self.theme = wanted if wanted in self.available_themes else DEFAULT
        self.set_interval(SLOW_FLUSH_S if self.options.slow_link else FLUSH_S, self.flush)
        self.set_interval(SLOW_TICK_S if self.options.slow_link else TICK_S, self.tick)
        self.show_view(self.looking.view)
        # time has passed while it was suspended
        self.app_resume_signal.subscribe(self, lambda _: self.showing.do_resync())
        if self.feed is not None:
            self.run_worker(self.feed.run(), group="feed", exit_on_error=True)
        if self._connects is not None:
            connecting = self.following.connect(self._connects)
            self.call_after_refresh(self.run_worker, connecting, group="feed")
        if self.also is not None:
            self.run_worker(self.also(), group="replay", exit_on_error=True)

    def grid(self, view: str | None = None) -> Grid:
        """The grid of a view."""
        return self.screen_stack[0].query_one(f"#{view or self.looking.view}-grid", Grid)

    def selection(self, view: str | None = None) -> Selection:
        """The rows of a view, its cursor and its marks."""
        return self.grid(view).selection

    def _is_shown(self, grid: Grid) -> bool:
        """Whether it is the view's. (At the end there are messages without a screen.)"""
        return grid.id == f"{self.looking.view}-grid"

    @property
    def prompt(self) -> Prompt:
        """The line at the foot."""
        return self.screen_stack[0].query_one(Prompt)

    # -- drawing -------------------------------------------------------------------------------

    def flush(self) -> None:
        """Draw what changed since the last time."""
        changes = self.store.take_changes()
        if not changes:
            return
        if changes.link and self.store.link.state is LinkState.LIVE and self.feed is not None:
            self.feed.poke()
        self.draw()

    def tick(self) -> None:
        """A second has passed."""
        if self.store.time.slept() and self.feed is not None:
            self.feed.resync()
        self._call_attention()
        self.draw(ids=False)

    def draw(self, *, ids: bool = True) -> None:
        """Bring the view up to date. Without `ids` only what moves with time."""
        if self.is_running and self.query("#top"):
            self.drawing.draw(ids=ids)

    @on(Grid.Sized)
    @on(Lines.Sized)
    def sized(self) -> None:
        """What is laid out by its width is laid out anew."""
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """Cover everything where there is no room for it."""
        is_covered = isinstance(self.screen, TooSmall)
        if is_too_small(event.size) and not is_covered:
            self.push_screen(TooSmall())
        elif is_covered and not is_too_small(event.size):
            self.pop_screen()

    @on(Prompt.Edited)
    def edited(self) -> None:
        """Say below the line what could follow, or what is wrong with it."""
        self.drawing.draw_foot()

    @property
    def flash_now(self) -> tuple[str, str]:
        """What is told for a moment, and its style; empty when the moment has passed."""
        if self.store.clock.monotonic() > self._flash_until:
            return ("", "plain")
        return self._flash

    def flash(self, text: str, style: str = "strong") -> None:
        """Tell something at the foot, for a moment."""
        self._flash = (safe(text), style)
        self._flash_until = self.store.clock.monotonic() + FLASH_S
        self.draw(ids=False)

    def end_flash(self) -> None:
        """What was told for a moment is over."""
        self._flash_until = float("-inf")

    @property
    def is_covered(self) -> bool:
        """Something was opened over the board, or is being typed."""
        return len(self.screen_stack) > 1 or bool(self.prompt.kind)

    def refused(self, error: Exception) -> None:
        """A read was refused: say so (the feed's reporter)."""
        self.flash(str(error), "alarm")

    def _call_attention(self) -> None:
        """Title and bell of the terminal."""
        if (title := self.attention.new_title()) is not None:
            self._tell_terminal(in_ascii(title) if self.options.ascii_only else title)
        if self.attention.rings() and self.options.bell:
            self.bell()

    def _tell_terminal(self, sequence: str) -> None:
        """What Textual has no words for. The text in it is ours."""
        if self._driver is not None and not self.is_headless and not self.is_web:
            self._driver.write(sequence)

    def _fatal_error(self) -> None:
        """As Textual has it, but without the values of variables: bodies are among them."""
        from rich.traceback import Traceback

        self.panic(Traceback(show_locals=False, width=None))

    def on_unmount(self) -> None:
        self._tell_terminal(GIVE_TITLE_BACK)

    # -- views ---------------------------------------------------------------------------------

    def show_view(self, view: str) -> None:
        """Go to a view."""
        self.looking.go(view)
        self.end_flash()
        self.selection().look_anew()
        self.query_one("#body", ContentSwitcher).current = view
        grid = self.grid()
        if view == "run" and not self.looking.lines:  # another one: the cursor begins at its head
            grid.set_ids([], 0.0)
        if view == "runs":
            grid.show_order(("age", self.looking.newest_first))
        if self.feed is not None:
            self.feed.open(self.looking.open_run_id)
            if view in LISTS:
                self.show_board()
        grid.focus()
        self.acting.asking.went_on()
        self.draw()

    def list_runs(self, q: str) -> None:
        """Go to the runs that a filter finds."""
        self.looking.list_runs(q)
        self.show_view("runs")

    def show_board(self) -> None:
        """Have the list read that is looked at."""
        if self.feed is not None:
            looking = self.looking
            self.feed.show(Board(looking.view, looking.filter, looking.newest_first))

    def set_filter(self, text: str) -> bool:
        """List other rows; False, and the fault is told, if the filter makes no sense."""
        if (fault := query.fault(text)) is not None:
            self.flash(f"{fault.detail}", "alarm")
            return False
        self.looking.filter_by(text)
        self.show_view(self.looking.view)
        return True

    @on(Grid.CursorMoved)
    def cursor_moved(self, message: Grid.CursorMoved) -> None:
        """Keep the inspector on the cursor's step; say when the cursor's row has gone."""
        if message.lost and self._is_shown(message.grid) and not self.looking.following:
            told = self.ordering.lost()
            if not self.flash_now[0]:  # else it is the answer to what was just done
                self.flash(told, "alarm")
        if self._is_shown(message.grid):  # the place in the list, the keys that fit the row
            self.draw(ids=False)
        rows = message.grid.selection
        behind, ids = rows.first_seen - 1, rows.ids
        if self.feed is not None and self.looking.view == "runs":
            self.feed.sees(ids[behind] if 0 <= behind < len(ids) else None)

    @on(Grid.Touched)
    def touched(self, message: Grid.Touched) -> None:
        """Who looks at other rows than the newest does not want to be taken back to them."""
        if self._is_shown(message.grid):
            self.looking.follow(following=False)

    @on(Grid.NearEdge)
    def near_edge(self, message: Grid.NearEdge) -> None:
        """Read more of a long list before its end is reached."""
        if self.feed is None or self.looking.view != "runs" or not self._is_shown(message.grid):
            return
        listing = self.store.listing("runs")
        if message.at_head and not listing.at_head:
            self.feed.want_more(Edge.BEFORE)
        elif not message.at_head and not listing.at_tail and listing.ids:
            self.feed.want_more(Edge.AFTER)

    @on(Grid.Opened)
    def opened(self, message: Grid.Opened) -> None:
        """A double click is `enter`."""
        self.run_command("open")

    @on(Grid.HeadClicked)
    def head_clicked(self, message: Grid.HeadClicked) -> None:
        """A click on a head sorts by it where that can be done."""
        self.ordering.clicked(message.key)

    # -- commands ------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed or asked there is none. Why one does nothing here is told."""
        if action != "cmd":
            return True
        if len(self.screen_stack) > 1:
            return False
        command = BY_ID[str(parameters[0])]
        is_typed = isinstance(self.focused, Input)
        return not is_typed or command.id in ("back", "quit", "suspend")

    def action_cmd(self, name: str) -> None:
        """A key was pressed."""
        self.run_command(name)

    def run_command(self, name: str, argument: str = "") -> None:
        """Do what a command says."""
        command = BY_ID[name]
        if self.looking.view not in command.views and command.id not in ("back", "quit"):
            self.flash(f"{command.label}: not here", "alarm")
            return
        if self._flash[1] == "alarm" and not self.prompt.kind:  # which hides it
            self.end_flash()  # what was wrong is answered by another command
        if command.writes:
            self.acting.do(command)
            return
        if name in LISTS:
            self.show_view(name)
            return
        action = f"do_{action_of(name)}"
        owner = next(it for it in self._owners if hasattr(it, action))
        method: Any = getattr(owner, action)
        if command.argument:
            method(argument)
        else:
            method()

    def do_back(self) -> None:
        """One layer back: the prompt, what the engine is asked, the marks, a filter that was typed,
        the view."""
        rows = self.selection()
        if self.prompt.kind:
            self.close_prompt()
        elif self.acting.asking.leave():
            pass
        elif rows.marks or self.looking.whole_filter:
            self.looking.mark_filter(whole=False)
            rows.clear_marks()
            self.draw()
        elif self.looking.go_back():
            self.show_view(self.looking.view)

    def do_up_or_quit(self) -> None:
        if self.looking.view == "run":
            self.do_back()
        else:
            self.exit()

    def do_quit(self) -> None:
        self.exit()

    # -- the line at the foot ------------------------------------------------------------------

    def close_prompt(self) -> None:
        """Leave the line at the foot as it was."""
        self.prompt.close()
        self.grid().focus()
        self.draw()

    @on(Prompt.Entered)
    def prompt_entered(self, event: Prompt.Entered) -> None:
        """A line was typed to its end."""
        self.commanding.entered(event)
