"""Bodies in the operator's own programs, and nothing becomes a command."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.wire import AttemptRow
from tests.tui.on_screen import World, at, run_row, showing, step_row
from tui.act.outside import private_file, words_of
from tui.screen.dialogs import background

HOSTILE = b'{"a": "\x1b]52;c;x\x07"}\n$(touch pwned); `x`'


def test_the_file_is_its_owners_and_goes() -> None:
    """0600, a name with nothing of a run in it, and gone afterwards, also after an error."""
    opened = private_file(b"x")
    path = opened.__enter__()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name.startswith("atomic-")
    opened.__exit__(RuntimeError, RuntimeError(), None)
    assert not path.exists()


def test_programs_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable may carry options; an empty one means the usual program."""
    monkeypatch.setenv("EDITOR", "code --wait '/opt/a b'")
    assert words_of("EDITOR", "vi") == ["code", "--wait", "/opt/a b"]
    monkeypatch.setenv("EDITOR", "")
    assert words_of("EDITOR", "vi") == ["vi"]


@pytest.mark.parametrize("key", ["o", "e"])
def test_a_body_is_shown_without_a_shell(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is called with a file's path as a word of its own, and has the body in it."""
    called: list[tuple[Sequence[str], bytes]] = []
    monkeypatch.setattr(
        background, "call", lambda words: called.append((words, Path(words[-1]).read_bytes()))
    )
    monkeypatch.setenv("PAGER", "less -S")
    monkeypatch.setenv("EDITOR", "nano")

    async def test(world: World) -> None:
        run = run_row(1, "failed")
        tries = (AttemptRow(1, 1, "failure", at(-5), at(-3), 500),)
        world.runs(run)
        world.tree(run, step_row(run.id, None, "failed", attempt_rows=tries))
        world.answers["/response"] = (200, HOSTILE)
        monkeypatch.setattr(type(world.app), "suspend", nothing)
        await world.open_first(key)

    showing(test)
    ((words, body),) = called
    assert words[:-1] == (["less", "-S"] if key == "o" else ["nano"])
    assert (body == HOSTILE) is (key == "e")
    assert not Path(words[-1]).exists()


class nothing:
    """A suspension that does not."""

    def __init__(self, *_: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
