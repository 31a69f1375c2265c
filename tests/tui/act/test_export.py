"""`:export html`: the engine's page of a run as a new file, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self
from unittest import mock

import pytest

from tests.tui.on_screen import World, line_with, on_screen, run_row
from tui.act.export import write_new

PAGE = b"<!doctype html>a run"
NOTHING = (404, {"type": "/problems/not-found", "title": "Not found", "detail": "Nothing is here."})


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory in which the dashboard was started."""
    monkeypatch.chdir(tmp_path)


async def export(world: World, form: str = "html") -> list[str]:
    """Type it."""
    return await world.press("colon", *f"export {form}".strip(), "enter")


@on_screen(size=(140, 30))
async def test_a_run_is_written_into_a_new_file(world: World) -> None:
    """The one under the cursor, and the open one; never over another, and its name is told."""
    run = run_row(1)
    world.answers[f"/ui/runs/{run.id}/file"] = (200, PAGE)
    await world.lists(run)
    line_with(await export(world), f"written: {run.id}.html in {Path.cwd()}")
    await world.press("enter")
    line_with(await export(world), f"written: {run.id}-2.html in")
    assert {it.name: it.read_bytes() for it in Path.cwd().iterdir()} == {
        f"{run.id}.html": PAGE, f"{run.id}-2.html": PAGE,
    }  # fmt: skip


@on_screen(size=(140, 30))
async def test_why_there_is_no_file(world: World) -> None:
    """Another form, an engine that makes none, a token that may not, a run that has gone, and a
    browser: each says so, and nothing is written."""
    run = run_row(1)
    await world.lists(run)
    line_with(await export(world, "csv"), "type `export html`: there is no other form")
    line_with(await export(world, ""), "type `export html`")
    at = f"/ui/runs/{run.id}/file"
    world.answers[at] = NOTHING
    line_with(await export(world), "this engine makes no file of a run: it is older")
    world.answers[at] = (403, {"type": "/problems/forbidden", "detail": "Your role is submit."})
    line_with(await export(world), "Your role is submit")
    gone: Any = {"type": "/problems/not-found", "title": "Not found", "detail": "It has gone."}
    world.answers |= {at: NOTHING, f"/runs/{run.id}": (404, gone)}
    line_with(await export(world), "It has gone")
    with mock.patch.object(type(world.app), "is_web", new=True):
        line_with(await export(world), "a dashboard in a browser writes no files")
    await world.press("2")
    line_with(await export(world), "Export: that is for Runs and the steps of a run")
    assert not list(Path.cwd().iterdir())


@on_screen(size=(140, 30))
async def test_a_directory_that_takes_no_file_is_said(world: World) -> None:
    """A full disk leaves no half of a file."""
    run = run_row(1)
    world.answers[f"/ui/runs/{run.id}/file"] = (200, PAGE)
    await world.lists(run)
    with mock.patch("pathlib.Path.open", side_effect=PermissionError(13, "Permission denied")):
        line_with(await export(world), "the file was not written: Permission denied")


class Full:
    """A file that takes nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, data: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_what_is_half_written_is_taken_away(tmp_path: Path) -> None:
    """And the reason goes on to who asked."""
    with mock.patch("pathlib.Path.open", return_value=Full()):
        (tmp_path / "a.html").touch()
        with pytest.raises(OSError, match="No space left"):
            write_new(tmp_path, "a", PAGE)
    assert not list(tmp_path.iterdir())


def test_the_engine_names_no_path(tmp_path: Path) -> None:
    """Whatever it calls a run the file is in that directory."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("../../x", "/etc/x", "..", "a\0b", "x" * 5_000):
        assert write_new(inside, name, PAGE).parent == inside
    assert len(list(inside.iterdir())) == 5
    assert len(list(tmp_path.iterdir())) == 1
