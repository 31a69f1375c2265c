"""Copying says the truth, and a command that is copied does nothing but what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.wire import AttemptRow, RetryPage, RetryRow, StepRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, step_row
from tui.data.inputs import RetriesRead
from tui.screen.dialogs.body import BodyScreen
from tui.text import curl
from tui.text.clipboard import MAC, OSC_52_BASE64_BYTES_MAX, Tool, give, terminal_takes, tool

HOSTILE = [
    "it's", 'say "x"', "a\nb", "$(touch pwned)", "`touch pwned`", "-rf", "--output=pwned", "@pwned",
    "a;touch pwned", "\\", "!!", "*?[a-z]{b,c}", "", " ", "$HOME", "&& touch pwned #", "é日",
]  # fmt: skip
FAKE = """#!{python}
import json, sys
if "-fsS" in sys.argv:
    sys.stdout.write({payload!r})
else:
    stdin = sys.stdin.read() if "@-" in sys.argv else ""
    print(json.dumps([sys.argv[1:], stdin]))
"""


def ran(command: str, folder: Path, payload: str = "") -> tuple[list[str], str]:
    """What a real shell calls `curl` with, and what that reads."""
    fake = folder / "curl"
    fake.write_text(FAKE.format(python=sys.executable, payload=payload))
    fake.chmod(0o700)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=True
    )
    words, stdin = json.loads(done.stdout)
    assert os.listdir(folder) == ["curl"], "the shell did something else"
    return words, stdin


def row(text: str = "x", **members: Any) -> StepRow:
    """A step with this text everywhere."""
    given = {
        "id": text,
        "run_id": text,
        "workflow_name": text,
        "idempotency_key": text,
        "url": text,
    }
    return msgspec.structs.replace(step_row("run", "charge", "failed"), **(given | members))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_copied_command_is_quoted(text: str, tmp_path: Path) -> None:
    """Whatever is in a URL, a header or the payload is a word of curl's, in bash itself."""
    payload = json.dumps({"text": text}, ensure_ascii=False)
    words, _ = ran(curl.command(row(text), "http://e", payload.encode()), tmp_path)
    assert words[:5] == ["-i", "-g", "-X", "POST", "-H"]
    assert words[words.index("--url") + 1] == text
    assert f"Atomic-Workflow: {text}" in words
    body = json.loads(words[words.index("--data-raw") + 1])
    assert body == {"idempotencyKey": text, "payload": {"text": text}}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_long_payload_is_fetched_when_it_is_run(text: str, tmp_path: Path) -> None:
    """The command asks the engine for it, and sends the same body."""
    command = curl.command(row(text), "http://e:1/", None)
    words, body = ran(command, tmp_path, json.dumps("y" * 9_000))
    assert words[words.index("--data-binary") + 1] == "@-"
    assert json.loads(body) == {"idempotencyKey": text, "payload": "y" * 9_000}


def test_the_command_sends_what_the_engine_would() -> None:
    """The headers of the protocol, but for those that the engine alone can send."""
    step = row(id="01K-1", run_id="01K", workflow_name="order", idempotency_key="key", url="http://a/",
               attempts=3)  # fmt: skip
    assert curl.command(step, "http://e", b"{}") == (
        "curl -i -g -X POST -H 'Content-Type: application/json' -H 'Accept-Encoding: identity'"
        " -H 'Idempotency-Key: \"01K-1\"' -H 'Atomic-Run-Id: 01K' -H 'Atomic-Step-Id: 01K-1'"
        " -H 'Atomic-Workflow: order' -H 'Atomic-Attempt: 3'"
        ' --data-raw \'{"idempotencyKey":"key","payload":{}}\' --url http://a/'
    )
    assert "curl -fsS -g --url http://e/api/v1/steps/01K-1/payload" in curl.command(
        step, "http://e", None
    )
    assert [curl.inline(data) for data in (b"{}", b"\xff", b'"\n"', b'"' + b"x" * 4_096)] == [
        True, False, False, False,
    ]  # fmt: skip


# -- the clipboard ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "there", "platform", "word"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, {"wl-copy", "xclip"}, "linux", "wl-copy"),
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, {"xclip", "xsel"}, "linux", "xclip"),
        ({"DISPLAY": ":0"}, {"wl-copy", "xsel"}, "linux", "xsel"),
        ({"WSL_DISTRO_NAME": "x"}, {"clip.exe"}, "linux", "clip.exe"),
        ({}, {"wl-copy", "xclip", "clip.exe"}, "linux", None),
        ({}, {"pbcopy"}, "darwin", MAC.words[0]),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "x"}, {"xclip"}, "linux", None),
    ],
)
def test_which_program_copies(
    environment: dict[str, str], there: set[str], platform: str, word: str | None
) -> None:
    """That of the desktop the operator sits at, which is none over SSH."""
    found = tool(environment, lambda name: name if name in there else None, platform)
    assert (None if found is None else found.words[0]) == word


def test_a_program_says_whether_it_has_the_text(tmp_path: Path) -> None:
    """By its code alone; one that is not there, or fails, has it not."""
    path = tmp_path / "kept"
    assert give(Tool(("tee", str(path))), "é\n")
    assert path.read_text() == "é\n"
    assert not give(Tool(("false",)), "x")
    assert not give(Tool((str(tmp_path / "none"),)), "x")


def test_a_terminal_takes_so_much() -> None:
    """As base64, in which three bytes are four."""
    most = OSC_52_BASE64_BYTES_MAX // 4 * 3
    assert terminal_takes("x" * most)
    assert not terminal_takes("x" * (most + 1))


# -- on the screen ---------------------------------------------------------------------------------

KEY = "key \u202e\x1b1"


def fill(world: World, **members: Any) -> list[str]:
    """A run with a key that cannot be shown; returns what is sent to the terminal."""
    run = run_row(1, "failed", idempotency_key=KEY)
    tries = (AttemptRow(1, 1, "failure", at(-5), at(-3), 500),)
    step = step_row(run.id, None, "failed", idempotency_key=KEY, attempt_rows=tries, **members)
    world.runs(run)
    world.tree(run, step)
    world.answers |= {
        "/payload": (200, {"a": 1}),
        "/response": (200, {"token": "abc", "b": 2}),
        f"/steps/{run.id}": (200, msgspec.to_builtins(step)),
    }
    world.app.copying.find_tool = lambda: None
    sent: list[str] = []

    def send(text: str) -> None:
        sent.append(text)

    world.app.copy_to_clipboard = send  # type: ignore[method-assign]
    return sent


@on_screen()
async def test_sent_is_not_copied(world: World) -> None:
    """A program that has it is told of as `copied`; where there is none, or it fails, the terminal
    is sent the text, and that is said."""
    sent = fill(world)
    copying = world.app.copying
    await world.shown()
    await world.press("y")
    line_with(await world.press("i"), "id sent to the terminal (OSC 52)")
    copying.find_tool = lambda: Tool(("false",))
    await world.press("y")
    line_with(await world.press("i"), "id sent to the terminal (OSC 52)")
    copying.find_tool = lambda: Tool(("true",))
    await world.press("y")
    line_with(await world.press("i"), "id copied")
    assert sent == [run_row(1).id] * 2


@on_screen(size=(140, 24))
async def test_what_is_copied_is_the_original(world: World) -> None:
    """Not what is shown of it; where the engine cannot be asked that is said."""
    sent = fill(world)
    await world.shown()
    await world.press("y")
    line_with(await world.press("k"), "characters that do not print")
    del world.answers[f"/steps/{run_row(1).id}"]
    problem = {"type": "x", "title": "No", "status": 404, "detail": "It has gone."}
    world.answers["/steps/" + run_row(1).id] = (404, problem)
    await world.press("y")
    line_with(await world.press("k"), "as it is shown, not the original: No: It has gone")
    assert sent == [KEY, "key ␦␛1"]


@on_screen(size=(120, 30))
async def test_curl_of_a_run_and_of_a_step_holds_no_secret(world: World) -> None:
    """On both boards; secrets in the payload are not in the command, which fetches them."""
    sent = fill(world, generation=2)
    await world.shown()
    await world.press("y")
    line_with(await world.press("c"), "with the key of the first generation")
    await world.press("enter", "y", "c")
    assert sent[0] == sent[1]
    assert '"payload":{"a": 1}}' in sent[0]
    assert "--url http://pay.test/order" in sent[0]
    world.answers["/payload"] = (200, {"password": "hunter2"})
    await world.press("y")
    line_with(await world.press("c"), "it asks the engine for the payload")
    assert "hunter2" not in sent[2]


@on_screen()
async def test_bodies_are_copied_without_secrets(world: World) -> None:
    """From the menu and from the screen that shows them; what is no text or too long is refused
    with the reason."""
    sent = fill(world)
    await world.open_first("y")
    line_with(await world.press("a"), "answer sent to the terminal (OSC 52) · 1 value redacted")
    await world.press("b")
    assert "payload sent" not in (await world.press("y"))[-1]
    assert sent == ['{"token": "••••", "b": 2}'] * 2
    await world.press("escape")
    world.answers["/payload"] = (200, b"\xff")
    await world.press("y")
    line_with(await world.press("p"), "it is no text")
    world.answers["/payload"] = (200, b"x" * 60_000)
    await world.press("y")
    line_with(await world.press("p"), "a terminal takes no 58.6 KiB (OSC 52)")
    assert len(sent) == 2


@on_screen()
async def test_what_became_of_a_copy_is_told_on_the_board_when_the_body_is_closed(
    world: World,
) -> None:
    """A program may take its time; the screen it was begun on need not wait for it."""
    sent = fill(world)
    copying = world.app.copying
    await world.open_first("b")
    screen = world.app.screen
    assert isinstance(screen, BodyScreen)
    await world.press("escape")
    copying.copy_body(screen._step, 1, screen.tell)
    await world.works_end()
    line_with(await world.shown(), "answer sent to the terminal (OSC 52)")
    assert len(sent) == 1


PAGES = "https://ops.example.com/atomic/ui"


@on_screen(size=(120, 30))
async def test_a_link_is_the_address_and_a_command(world: World) -> None:
    """Of a run in its list, of a step in its run and among the retries; the command comes last, as
    what stands behind it would be typed into what it starts."""
    sent = fill(world)
    world.live(pagesUrl=PAGES)
    run = run_row(1)
    charge = step_row(run.id, "charge", "backing-off")
    world.tree(run, step_row(run.id, None, "waiting"), charge)
    await world.shown()
    await world.press("y")
    line_with(await world.press("l"), "link sent to the terminal (OSC 52)")
    await world.press("enter", "y", "l", "j", "y", "l")
    tui = "atomic tui http://engine.test --run"
    page = f"{PAGES}/runs/{run.id}"
    whole = f"{page}\n{tui} {run.id}"
    of_step = f"{page}?step={charge.id}#{charge.id}\n{tui} '{run.id}#{charge.id}'"
    assert sent == [whole, whole, of_step]
    assert run.at is not None
    retry = msgspec.structs.replace(run.at, step_id=charge.id, due_at=at(9))
    row = RetryRow(run.id, "shop", "order", 4, retry)
    world.store.apply(RetriesRead("retries", RetryPage((row,))))
    await world.press("2", "y", "l")
    assert sent[3] == sent[2]


@on_screen()
async def test_an_address_that_is_not_told_is_not_made_up(world: World) -> None:
    """Then there is the command alone, which is said; of what has no page there is no link."""
    sent = fill(world)
    await world.shown()
    await world.press("y")
    line_with(
        await world.press("l"),
        "link sent to the terminal (OSC 52) · the command alone: no public_url is set",
    )
    world.live(pagesUrl="https://ops.example.com/$(touch pwned)")
    await world.press("y", "l")
    assert sent == [f"atomic tui http://engine.test --run {run_row(1).id}"] * 2
    world.app.looking.is_recording = True
    assert " l  link" not in "\n".join(await world.press("y"))


@on_screen(run=f"{run_row(1).id}#charge")
async def test_a_dashboard_is_started_on_a_link(world: World) -> None:
    """`--run ID#STEP`: the step is found by its name when the run has been read; `esc` is on the
    board."""
    run = run_row(1)
    line_with(await world.shown(), "reading run")
    world.tree(run, step_row(run.id, None, "waiting"), step_row(run.id, "charge", "running"))
    await world.shown()
    assert world.app.selection("run").cursor_id == f"{run.id}-charge"
    await world.press("escape")
    assert world.app.looking.view == "runs"


@on_screen()
async def test_run_goes_to_a_step_of_a_run(world: World) -> None:
    """By the step's id, alone too, or by its name; one that there is not is told."""
    run = run_row(1)
    world.runs(run)
    world.tree(run, step_row(run.id, None, "waiting"), step_row(run.id, "charge", "running"))
    charge = f"{run.id}-charge"
    for typed, step in ((f"{run.id}#charge", charge), (charge, charge), (run.id, run.id),
                        (f"{run.id[-6:]}#order", run.id)):  # fmt: skip
        await world.press("1", "colon", *"run ", *typed, "enter")
        assert world.app.selection("run").cursor_id == step
    await world.press("1", "colon", *"run ", *f"{run.id}#ship", "enter")
    line_with(await world.shown(), "the run has no step ship: it is shown from its head")
    await world.press("1", "colon", *"run none#x", "enter")
    line_with(await world.shown(), "no run that was seen ends with none: give its whole id")
