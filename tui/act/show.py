"""The commands that change what is seen: a board, a run by its id, all events, the help, UTC."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain

from tui.act import move as moving
from tui.act.open import open_run
from tui.act.stage import Does, Page, Stage, TypedLine
from tui.boards.around.help import help_lines
from tui.data.store import Store
from tui.keys import BOARDS, NoCommand, parse_command, remapped
from tui.text.link import RUN_ID_CHARACTERS, Place


def _show(view: str) -> Does:
    return lambda stage, _: stage.show(view)


def _help(stage: Stage, _: str) -> None:
    looking = stage.looking
    looking.help()
    lines = partial(help_lines, remapped(stage.options.keys), looking.view)
    stage.open(Page(f"Keys: {looking.view}", lines))


def resync(stage: Stage, _: str = "") -> None:
    """Read everything again."""
    if stage.feed is not None:
        stage.feed.resync()
    stage.tell("reading everything again")


def type_command(stage: Stage, run: Callable[[str, str], None], text: str) -> None:
    """Have a command typed, that begins so, and run it with what is typed behind its name."""

    def typed(line: str) -> None:
        try:
            command, argument = parse_command(line)
        except NoCommand as error:
            stage.tell(str(error), "alarm")
        else:
            run(command.id, argument)

    stage.ask(TypedLine("command", text), typed)


def _follow(stage: Stage, _: str) -> None:
    looking = stage.looking
    if not looking.following:
        moving.first(stage)
    looking.follow(following=not looking.following)
    stage.tell("following" if looking.following else "not following")


def _dismissed(stage: Stage, _: str) -> None:
    if stage.looking.is_recording:
        stage.tell("this is a recording: it has what was listed then", "alarm")
        return
    listed = stage.looking.list_dismissed()
    stage.show("causes")
    stage.tell("what is dismissed is listed too" if listed else "what is dismissed is left out")


def _utc(stage: Stage, _: str) -> None:
    is_utc = stage.looking.tell_times_in_utc()
    stage.tell(f"times are told in {'UTC' if is_utc else 'local time'}")


def begin(stage: Stage) -> None:
    """Look at the board that the dashboard was started with, or from there at its run."""
    stage.show(stage.looking.view)
    if stage.options.run:
        _run(stage, stage.options.run)


def _every_event(stage: Stage, _: str) -> None:
    stage.looking.toggle_every_event()
    stage.show("events")


def _run(stage: Stage, wanted: str) -> None:
    place = Place.of(wanted)
    try:
        run_id = run_id_of(stage.store, place.run)
        open_run(stage, run_id, place.step or None, was_named=True)
    except LookupError as error:
        stage.tell(str(error.args[0]), "alarm")


def run_id_of(store: Store, wanted: str) -> str:
    """The run that an id, or the end of one that was seen, stands for. Raises LookupError."""
    if len(wanted) == RUN_ID_CHARACTERS:
        return wanted
    seen = {*store.runs, *store.trees}
    seen |= {event.run_id for event in chain(store.notable, store.events)}
    seen |= {retry.run_id for retry in store.retries.values()}
    ends = [run_id for run_id in seen if wanted and run_id.endswith(wanted.upper())]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise LookupError(f"{len(ends):,} runs that were seen end with {wanted}: give more of it")
    raise LookupError(f"no run that was seen ends with {wanted or 'that'}: give its whole id")


DOES: dict[str, Does] = {
    **{view: _show(view) for view in BOARDS},
    "run": _run,
    "help": _help,
    "resync": resync,
    "follow": _follow,
    "dismissed": _dismissed,
    "every-event": _every_event,
    "utc": _utc,
}
