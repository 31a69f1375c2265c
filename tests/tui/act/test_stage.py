"""What a key does, on a stage that is no screen: the table of commands needs no Textual."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct, field

from engine.client import AsyncClient
from tests.tui.scene import runs, scene
from tui.act import move, open, show, sort
from tui.act.change.act import Acting
from tui.act.stage import BodyPage, ComparePage, Page, Question, TypedLine
from tui.boards.looking import Looking
from tui.boards.rows import BoardRows
from tui.boards.selection import Selection
from tui.data.feed import Feed
from tui.data.store import Store
from tui.keys import BY_ID
from tui.past.player import Player
from tui.settings import Options

DOES = {**show.DOES, **move.DOES, **sort.DOES, **open.DOES}


class OnPaper(Struct):
    """A stage, and a terminal, that write down what they are asked."""

    store: Store = field(default_factory=scene)
    looking: Looking = field(default_factory=Looking)
    options: Options = field(default_factory=lambda: Options(url="http://engine.test"))
    client: AsyncClient | None = None
    feed: Feed | None = None
    player: Player | None = None
    rows: dict[str, Selection] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    over: list[object] = field(default_factory=list)
    then: Callable[[str], None] = print
    is_web: bool = False

    def selection(self, view: str | None = None) -> Selection:
        return self.rows.setdefault(view or self.looking.view, Selection())

    def tell(self, text: str, style: str = "strong") -> None:
        self.told.append(text)

    def ask(
        self, asked: Question | TypedLine, then: Callable[[str], None], *, late: bool = False
    ) -> bool:
        self.over.append(asked)
        self.then = then
        return True

    def open(self, page: Page | BodyPage | ComparePage) -> None:
        self.over.append(page)

    def start(
        self, work: Coroutine[Any, Any, None], group: str, *, exclusive: bool = False
    ) -> Callable[[], None]:
        return work.close

    def show(self, view: str) -> None:
        self.looking.go(view)
        self.redraw()

    def redraw(self, *, ids: bool = True) -> None:
        self.looking.lay_out(self.store.trees.get(self.looking.run_id or ""))
        ids_now = BoardRows(self.store, self.looking).ids(self.looking.view)
        self.selection().set_ids(ids_now, self.store.clock.monotonic())

    def copy_to_clipboard(self, text: str) -> None:
        self.over.append(text)

    def run_program(self, words: object) -> None:
        self.over.append(words)

    def press(self, *commands: str, text: str = "") -> None:
        """Do what these commands say."""
        for command in commands:
            DOES[command](self, text)


def test_a_board_is_gone_to_moved_over_and_sorted() -> None:
    """What is asked over it is data; an answer that is none changes nothing."""
    stage = OnPaper()
    stage.press("hosts", "down", "down", "up", "sort")
    assert stage.selection().cursor == 1
    (question,) = stage.over
    assert isinstance(question, Question)
    assert [choice.name for choice in question.choices][:2] == ["host", "ok%"]
    before = list(stage.selection().ids)
    stage.then("")
    assert stage.selection().ids == before
    stage.then("host")
    assert stage.selection().ids == sorted(before)


def test_a_filter_is_typed_at_the_foot() -> None:
    """One that makes no sense lists nothing else."""
    stage = OnPaper()
    stage.press("runs", "filter")
    assert stage.over == [TypedLine("filter", "")]
    stage.then("is:nonsense")
    assert (stage.looking.filter, len(stage.told)) == ("", 1)
    stage.then("wf:order")
    assert stage.looking.filter == "wf:order"


def test_a_key_that_changes_the_engine_says_why_it_does_not() -> None:
    """Where nothing can be changed, and where nothing is under the cursor."""
    only_reads = OnPaper(options=Options(url="http://engine.test", read_only=True))
    Acting(only_reads, only_reads).carry_out(BY_ID["pause"])
    nothing = OnPaper()
    Acting(nothing, nothing).carry_out(BY_ID["pause"])
    assert [*only_reads.told, *nothing.told] == [
        "Pause: this dashboard only reads (--read-only)",
        "Pause: there is nothing under the cursor",
    ]


def test_what_is_marked_is_asked_about() -> None:
    """By name, with what the key does to the first."""
    stage = OnPaper()
    stage.press("runs", "mark", "mark")
    acting = Acting(stage, stage)
    acting.drawn(stage.selection().ids)
    acting.carry_out(BY_ID["pause"])
    (question,) = stage.over
    assert isinstance(question, Question)
    assert question.title == "Pause: 2 marked"
    assert len(question.lines) == len(stage.selection().marks) == 2
    assert stage.selection().cursor_id == runs()[2].id
    stage.then("")
    assert stage.told == ["nothing was done"]
