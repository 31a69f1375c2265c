"""A run or a step as a link: what is typed, what a shell is given, what a browser asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui.text import link
from tui.text.link import Place

RUN = "01KAQ3X0C4GQ2MFZX8V7H5E9R1"
STEP = f"{RUN}-e9007ca3dfacdd82a738"
HOSTILE = [
    "it's", "$(touch pwned)", "`touch pwned`", "a;touch pwned", "a b", "é日", "-rf", "*?[a]",
]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "run", "step"),
    [
        (RUN, RUN, ""),
        (f" {RUN} ", RUN, ""),
        (f"{RUN}#{STEP}", RUN, STEP),
        (f"{RUN}#charge card #2", RUN, "charge card #2"),
        (f"{RUN}#", RUN, ""),
        (STEP, RUN, STEP),
        ("8733", "8733", ""),
        ("8733#charge", "8733", "charge"),
        ("eu-1", "eu-1", ""),
        ("", "", ""),
    ],
)
def test_what_is_typed(typed: str, run: str, step: str) -> None:
    """A run, behind `#` a step by its id or name, or a step's id alone, which names its run."""
    assert Place.of(typed) == (run, step)


def test_a_link_is_read_as_it_was_written() -> None:
    """The root goes without saying."""
    assert str(Place.at(RUN, RUN)) == RUN
    assert str(Place.at(RUN, STEP)) == f"{RUN}#{STEP}"
    assert Place.of(str(Place.at(RUN, STEP))) == (RUN, STEP)


@pytest.mark.parametrize(
    ("run", "whole"),
    [
        (RUN, True),
        (RUN[1:], False),
        (RUN + "A", False),
        (RUN[1:] + "/", False),
        (RUN[1:] + "é", False),
    ],
)
def test_a_whole_id(run: str, whole: bool) -> None:
    """Which a run has that one need not have seen."""
    assert Place(run).is_whole() is whole


def test_the_usual_address_goes_without_saying() -> None:
    """As `atomic tui` has it; any other is named."""
    assert link.command(Place(RUN), "http://127.0.0.1:8420/") == f"atomic tui --run {RUN}"
    step = f"atomic tui http://e:1 --run '{RUN}#{STEP}'"
    assert link.command(Place(RUN, STEP), "http://e:1") == step


@pytest.mark.parametrize("text", HOSTILE)
def test_a_copied_command_is_quoted(text: str, tmp_path: Path) -> None:
    """Whatever a step is called and the engine's address is: one word each, in bash itself."""
    fake = tmp_path / "atomic"
    fake.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    fake.chmod(0o700)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = link.command(Place(RUN, text), text)
    told = subprocess.check_output(["bash", "-c", command], cwd=tmp_path, env=environ)
    assert json.loads(told) == ["tui", text, "--run", f"{RUN}#{text}"]
    assert os.listdir(tmp_path) == ["atomic"]


def test_the_address_of_a_page() -> None:
    """Also of a step that is folded there; under a proxy's prefix."""
    pages = "https://ops.example.com/atomic/ui"
    assert link.address(Place(RUN), pages) == f"{pages}/runs/{RUN}"
    assert link.address(Place(RUN, STEP), pages) == f"{pages}/runs/{RUN}?step={STEP}#{STEP}"
    quoted = f"{pages}/runs/{RUN}?step=a%20b%23c#a%20b%23c"
    assert link.address(Place(RUN, "a b#c"), pages) == quoted
    assert link.address(Place(RUN), "http://[::1]:8420/ui") is not None


@pytest.mark.parametrize(
    "pages",
    [
        "", "ui", "ftp://e/ui", "javascript:alert(1)", "http://e/ui\nls",
        "http://e/$(ls)", "http://e/;ls", "http://e/`ls`", "http://e/ui ",
    ],
)  # fmt: skip
def test_what_a_shell_might_obey_is_no_address(pages: str) -> None:
    """The engine says it, and it is pasted."""
    assert link.address(Place(RUN), pages) is None
