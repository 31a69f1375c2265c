"""The time of a recording: it stands still, goes faster, or is set to another moment."""

from __future__ import annotations

from collections.abc import Callable

from tui.act import past
from tui.act.stage import Does, Stage
from tui.past.player import MINUTE_S, Player
from tui.text import fmt

NO_RECORDING = "that is for recordings: atomic tui --replay 1h shows the past hour"


def _playing(does: Callable[[Stage, Player], None]) -> Does:
    """What is done to the time of a recording."""

    def only_there(stage: Stage, _: str) -> None:
        if stage.player is None:
            stage.tell(NO_RECORDING, "alarm")
        else:
            does(stage, stage.player)

    return only_there


def _wait(stage: Stage, player: Player) -> None:
    stage.tell("it stands still: w goes on" if player.wait() else "it goes on")


def _faster(by: float) -> Callable[[Stage, Player], None]:
    def does(stage: Stage, player: Player) -> None:
        stage.tell(f"{speed_text(player.go_faster(by))} as fast")

    return does


def _jump(by_s: float) -> Callable[[Stage, Player], None]:
    def does(stage: Stage, player: Player) -> None:
        player.jump(by_s)
        _is_there(stage, player)

    return does


def _is_there(stage: Stage, player: Player) -> None:
    stage.looking.leave_past()
    if player.clock.at_s <= 0.0:
        stage.tell("its beginning")
    elif player.is_at_end:
        stage.tell("its end")
    stage.redraw()


def _at(stage: Stage, text: str) -> None:
    """In a recording that moment of it; else of the open run's own time."""
    player = stage.player
    if player is None and stage.looking.view == "run":
        past.go_to(stage, text)
    elif player is None:
        stage.tell("open a run first, or a recording: atomic tui --replay 1h", "alarm")
    else:
        now_ms, at_s = stage.store.time.now_ms(), player.clock.at_s
        end_ms = now_ms + (player.clock.end_s - at_s) * 1000
        wanted = fmt.time_typed(text, end_ms, stage.looking.zone)
        if wanted is None:
            stage.tell(past.NO_TIME.format(text), "alarm")
            return
        player.go_to(at_s + (wanted - now_ms) / 1000)
        _is_there(stage, player)


def speed_text(speed: float) -> str:
    """`60 times`, `0.5 times`."""
    return f"{speed:g} times"


DOES: dict[str, Does] = {
    "wait": _playing(_wait),
    "slower": _playing(_faster(0.5)),
    "faster": _playing(_faster(2.0)),
    "minute-back": _playing(_jump(-MINUTE_S)),
    "minute-on": _playing(_jump(MINUTE_S)),
    "at": _at,
}
