"""The dashboard's screen: boards over one store, one clock that ticks, one timer that draws.

Nothing here knows more than the store; what is typed is looked up in `keys.py` and done by `DOES`,
mostly by files that know the screen as a `Stage` alone. A tick a second moves the countdowns,
changes of the store are drawn a few times a second, and both mark only the cells whose text is
another.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import ContentSwitcher, Input

from tui.act import columns, export, move, open, past, play, show, sort
from tui.act.change.act import Acting
from tui.act.copy import Copying
from tui.act.outside import Outside
from tui.act.stage import BodyPage, ComparePage, Page, Question, TypedLine
from tui.boards.looking import GONE_INTO, Looking
from tui.boards.looks import in_ascii
from tui.boards.rows import GRIDS, BoardRows
from tui.boards.selection import Selection
from tui.data.feed import Feed
from tui.data.inputs import Input as Taken
from tui.data.inputs import LinkState
from tui.data.store import Store
from tui.keys import (
    BY_ID,
    COMMANDS,
    LISTS,
    TYPED_BEHIND,
    Command,
    is_of_another,
    remapped,
    why_not_here,
)
from tui.past.player import Player
from tui.screen import themes
from tui.screen.attention import Attention
from tui.screen.dialogs import background
from tui.screen.dialogs.ask import Ask, Choose, Read
from tui.screen.dialogs.body import BodyScreen
from tui.screen.dialogs.compare import CompareScreen
from tui.screen.dialogs.palette import Offered, palette
from tui.screen.dialogs.small import TooSmall, is_too_small
from tui.screen.draw import ACROSS, DOWN, HEADED, Drawing
from tui.screen.flash import Flash
from tui.screen.follow import Following
from tui.screen.prompt import Prompt
from tui.screen.terminal import OnTerminal
from tui.screen.widgets.bar import Bar
from tui.screen.widgets.grid import Grid
from tui.screen.widgets.lines import Lines
from tui.screen.widgets.styled import COMPONENTS
from tui.settings import Options

if TYPE_CHECKING:
    from engine.client import AsyncClient

FLUSH_S = 0.25
TICK_S = 1.0
SLOW_FLUSH_S, SLOW_TICK_S = 1.0, 5.0
"""With --slow-link."""


class Dashboard(OnTerminal):
    """See the head of this file."""

    CSS_PATH: ClassVar[Any] = "app.tcss"
    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS
    TITLE: str | None = "atomic"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = ACROSS
    VERTICAL_BREAKPOINTS = DOWN
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
        player: Player | None = None,
    ) -> None:
        """`connects` makes the client when the first picture has been drawn. Without one, or a
        `feed`, what the store is given is shown: by a `player`, or a test."""
        super().__init__(ascii_only=options.ascii_only)
        self.store, self.options = store, options
        self.commands = remapped(options.keys)
        self.set_keymap({each.id: each.keys for each in self.commands if each.id in options.keys})
        self.following = Following(
            store, self, take or store.apply, chance, self._draw_soon, slow_link=options.slow_link
        )
        self._connects, self.player = connects, player
        if client is not None and feed:
            self.following.follow(client)
        elif client is not None:
            self.following.speak(client)
        self.looking = Looking(
            view=options.board,
            filters={"runs": options.filter, "retries": ""},
            wanted=columns.wanted_of(options.columns),
            is_recording=client is None and connects is None,
        )
        self.flash = Flash(store.clock if player is None else player.clock.real)
        self._then: Callable[[str], None] = lambda text: None
        """What is done with the line that is typed at the foot."""
        self.rows = BoardRows(store, self.looking)
        self.acting = Acting(self, self)
        self.copying = Copying(self, self)
        self.outside = Outside(self, self)
        self.drawing = Drawing(self, self, self.rows, self.acting, self.commands)
        self.attention = Attention(store)

    # -- composing -----------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(2, id="top")
        yield Bar(1, id="headline")
        grids = {
            name: Grid(columns, partial(self.rows.cells, name), id=f"{name}-grid")
            for name, columns in GRIDS.items()
        }
        below = grids.pop("jobs")
        with ContentSwitcher(id="body", initial="runs"):
            for name, grid in grids.items():
                if name == "run":
                    with Container(id="run"):
                        yield grid
                        yield Lines(id="inspector")
                else:
                    with Container(id=name):
                        yield grid
        with Container(id="jobs"):  # below the board that it was opened from
            yield below
        yield Bar(1, id="status")
        yield Prompt(self.store, id="prompt-line")
        yield Bar(1, id="foot")

    def on_mount(self) -> None:
        background.watch(self)
        self.set_interval(SLOW_FLUSH_S if self.options.slow_link else FLUSH_S, self.flush)
        self.set_interval(SLOW_TICK_S if self.options.slow_link else TICK_S, self.tick)
        show.begin(self)
        themes.begin(self, self)
        # time has passed while it was suspended
        self.app_resume_signal.subscribe(self, lambda _: show.resync(self))
        if self.feed is not None:
            self.run_worker(self.feed.run(), group="feed", exit_on_error=True)
        if self._connects is not None:
            connecting = self.following.connect(self._connects, self.looking)
            self.call_after_refresh(self.run_worker, connecting, group="feed")
        if self.player is not None:
            self.run_worker(self.player.run(), group="replay", exit_on_error=True)

    @property
    def client(self) -> AsyncClient | None:
        """Speaks with the engine; None: it is not connected yet, or a recording is shown."""
        return self.following.client

    @property
    def feed(self) -> Feed | None:
        """Reads what is looked at; None: nothing is read."""
        return self.following.feed

    def _draw_soon(self) -> None:
        if not self.options.slow_link:
            self.call_later(self.flush)

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
        self.acting.many.tell_of_moved()
        self.redraw()

    def tick(self) -> None:
        """A second has passed."""
        if self.store.time.slept() and self.feed is not None:
            self.feed.resync()
        self._call_attention()
        self.redraw(ids=False)

    def redraw(self, *, ids: bool = True) -> None:
        """Bring the view up to date. Without `ids` only what moves with time."""
        if self.is_running and self.query("#top"):
            self.drawing.draw(self.grid(), ids=ids)
            self.drawing.draw_bars(self.selection(), self.flash.now)
            self.draw_foot()

    @on(Prompt.Edited)
    def draw_foot(self) -> None:
        """The keys; while something is typed what could follow, or what is wrong with it."""
        typed = self.prompt.foot(self.size.width) if self.prompt.kind else ()
        self.drawing.draw_foot(self.selection(), typed)

    @on(Grid.Sized)
    @on(Lines.Sized)
    def sized(self) -> None:
        """What is laid out by its width is laid out anew."""
        self.redraw()

    def on_resize(self, event: events.Resize) -> None:
        """Cover everything where there is no room for it."""
        is_covered = isinstance(self.screen, TooSmall)
        if is_too_small(event.size) and not is_covered:
            self.push_screen(TooSmall())
        elif is_covered and not is_too_small(event.size):
            self.pop_screen()

    def tell(self, text: str, style: str = "strong") -> None:
        """Tell something at the foot, for a moment. An empty text ends what was told before."""
        self.flash.tell(text, style)
        self.redraw(ids=False)

    def refused(self, error: Exception) -> None:
        """A read was refused: say so (the feed's reporter)."""
        self.tell(str(error), "alarm")

    def _call_attention(self) -> None:
        """Title and bell of the terminal."""
        if (title := self.attention.new_title()) is not None:
            self.tell_terminal(in_ascii(title) if self.options.ascii_only else title)
        if self.attention.rings() and self.options.bell:
            self.bell()

    # -- what commands ask of it (`Stage`, `Terminal`) -----------------------------------------

    def show(self, view: str) -> None:
        """Go to a view, as `looking` has it."""
        looking = self.looking
        looking.go(view)
        self.flash.end()
        grid = self.grid()
        grid.selection.look_anew()
        self._lay_out(view)
        if view == "run" and not looking.lines:  # another one: the cursor begins at its head
            grid.set_ids([], 0.0)
        if self.feed is not None:
            self.feed.open(looking.open_run_id)
            if view in LISTS:
                self.feed.show(looking.board)
        if self.player is not None:
            self.player.look(looking.board, looking.open_run_id)
        grid.focus()
        self.acting.asking.went_on()
        self.redraw()

    def _lay_out(self, view: str) -> None:
        """A board where the one before was; the jobs below that, or alone where they are first."""
        body, jobs = self.query_one("#body", ContentSwitcher), self.query_one("#jobs")
        is_alone = view == "jobs" and not self.looking.back
        jobs.display, body.display = view == "jobs", not is_alone
        jobs.set_class(is_alone, "-alone")
        if view != "jobs":
            body.current = view
        if view != "jobs" or is_alone:
            self.query_one("#headline").display = view in HEADED

    def ask(
        self, asked: Question | TypedLine, then: Callable[[str], None], *, late: bool = False
    ) -> bool:
        """Ask something over the board, or at the foot."""
        if late and (len(self.screen_stack) > 1 or self.prompt.kind):
            return False
        if isinstance(asked, TypedLine):
            self._then = then
            self.prompt.open(asked.kind, asked.text)
        else:
            over = Choose(asked) if asked.choices else Ask(asked, self.store.clock)
            self.push_screen(over, lambda answer: then(answer or ""))
        return True

    def open(self, page: Page | BodyPage | ComparePage) -> None:
        """Lay something over the board that is read."""
        if isinstance(page, Page):
            self.push_screen(Read(page))
        elif isinstance(page, ComparePage):
            self.push_screen(CompareScreen(self, page))
        elif self.client is not None:
            self.push_screen(BodyScreen(self, self.client, page, self.copying, self.outside))

    def start(
        self, work: Coroutine[Any, Any, None], group: str, *, exclusive: bool = False
    ) -> Callable[[], None]:
        """Do something beside the screen. Returns what ends it."""
        return self.run_worker(work, group=group, exclusive=exclusive).cancel

    def run_program(self, words: Sequence[str]) -> None:
        """Give the terminal to a program, and wait for it. Raises NoTerminal, OSError."""
        background.run_program(self, words)

    # -- the table and the mouse ---------------------------------------------------------------

    @on(Grid.CursorMoved)
    def cursor_moved(self, message: Grid.CursorMoved) -> None:
        """Keep the inspector on the cursor's step; say when the cursor's row has gone."""
        if message.lost and self._is_shown(message.grid) and not self.looking.following:
            told = sort.row_lost(self)
            if not self.flash.now[0]:  # else it is the answer to what was just done
                self.tell(told, "alarm")
        if self._is_shown(message.grid):  # the place in the list, the keys that fit the row
            self.redraw(ids=False)
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
        if self._is_shown(message.grid):
            move.near_edge(self, at_head=message.at_head)

    @on(Grid.Opened)
    def opened(self) -> None:
        """A double click is `enter`."""
        self.run_command("open")

    @on(Grid.HeadClicked)
    def head_clicked(self, message: Grid.HeadClicked) -> None:
        """A click on a head sorts by it where that can be done."""
        sort.clicked(self, message.key)

    # -- commands ------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is typed or asked there is none. Why one does nothing here is said."""
        if action != "cmd":
            return True
        if len(self.screen_stack) > 1:
            return False
        command = BY_ID[str(parameters[0])]
        if is_of_another(command, self.looking.view, self.commands):
            return False
        is_typed = isinstance(self.focused, Input)
        return not is_typed or command.id in ("back", "quit", "suspend")

    def action_cmd(self, name: str) -> None:
        """A key was pressed."""
        self.run_command(name)

    def run_command(self, name: str, argument: str = "") -> None:
        """Do what a command says."""
        command = BY_ID[name]
        if self.looking.view not in command.views and command.id not in ("back", "quit"):
            told = why_not_here(command, self.looking.view)
            self.tell(f"{command.label}: {told}", "alarm")
            return
        if not self.prompt.kind:  # which hides it
            self.flash.end(alarm=True)  # what was wrong is answered by another command
        if name in move.STEPS and isinstance(self.focused, Lines):
            self.focused.scroll_lines(move.STEPS[name](self.selection().rows_seen))
        else:
            DOES[name](self, argument)

    def go_back(self) -> None:
        """One layer back: the prompt, what the engine is asked, the marks, a filter that was typed,
        the view."""
        if self.prompt.kind:
            self.close_prompt()
        elif self.acting.asking.leave() or past.leave(self):
            pass
        elif self.selection().marks or self.looking.whole_filter:
            move.unmark(self)
        elif self.looking.go_back():
            self.show(self.looking.view)

    def go_up_or_quit(self) -> None:
        """Out of a run, or of the jobs, to the board before; out of a board for good."""
        if self.looking.view in GONE_INTO:
            self.go_back()
        else:
            self.exit()

    def open_palette(self) -> None:
        """Any command, by a part of what it says."""
        offered = Offered(self.commands, self.looking.view, themes.NAMES, self.acting,
                          self.run_command, self.type_command)  # fmt: skip
        self.push_screen(palette(offered))

    def toggle_inspector(self) -> None:
        """Show the details of the cursor's step, or hide it; of a cause all that is known."""
        if self.looking.view == "causes":
            open.about_cause(self)
            return
        inspector = self.query_one("#inspector")
        inspector.display = not inspector.display

    # -- the line at the foot ------------------------------------------------------------------

    def type_command(self, text: str = "") -> None:
        """Have a command typed, that begins so."""
        show.type_command(self, self.run_command, text)

    def close_prompt(self) -> None:
        """Leave the line at the foot as it was."""
        self.prompt.close()
        self.screen_stack[0].set_focus(self.grid())  # at once: the next key is the board's
        self.redraw()

    @on(Prompt.Entered)
    def prompt_entered(self, event: Prompt.Entered) -> None:
        """A line was typed to its end. One that makes no sense stays, to be mended."""
        if event.fault:
            self.tell(event.fault, "alarm")
        else:
            self.close_prompt()
            self._then(event.text)


def _acts(command: Command) -> Callable[[Dashboard, str], None]:
    return lambda app, typed: app.acting.carry_out(command, typed=typed)


DOES: dict[str, Callable[[Dashboard, str], None]] = {
    **show.DOES,
    **move.DOES,
    **sort.DOES,
    **open.DOES,
    **past.DOES,
    **play.DOES,
    **{command.id: _acts(command) for command in COMMANDS if command.writes},
    "menu": lambda app, _: app.acting.ask_menu(),
    "copy": lambda app, _: app.copying.ask(),
    "pager": lambda app, _: app.outside.show_last("PAGER"),
    "editor": lambda app, _: app.outside.show_last("EDITOR"),
    "columns": lambda app, _: columns.choose(app, lambda: app.grid().columns_seen()),
    "export": lambda app, form: export.export(app, app, form),
    "inspector": lambda app, _: app.toggle_inspector(),
    "theme": lambda app, name: themes.choose_theme(app, app, name),
    "palette": lambda app, _: app.open_palette(),
    "command": lambda app, _: app.type_command(),
    "back": lambda app, _: app.go_back(),
    "up-or-quit": lambda app, _: app.go_up_or_quit(),
    "suspend": lambda app, _: background.suspend_or_say(app, app),
    "quit": lambda app, _: app.exit(),
}
"""What each command does."""
