"""Draws the pictures of the dashboard: `just pictures`.

They are taken of a replayed recording at its end, on a clock that stands still, so that they show
what the dashboard is and are the same bytes each time. A test draws them anew and compares.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
from msgspec import to_builtins
from textual.widgets import Input

from docs.pictures import shop
from docs.pictures.plans import EXCERPTS, FIRST_SHOWN, LAST_S, PLAN
from engine.client import AsyncClient, Reposts
from engine.wire import BulkAnswer
from tui.act.open import open_run
from tui.data import record
from tui.data.store import Store
from tui.screen.app import Dashboard
from tui.settings import Options

HERE = Path(__file__).parent
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


class Picture(NamedTuple):
    """What is done before a picture is taken, and how large the terminal is."""

    name: str
    size: tuple[int, int]
    board: str
    keys: Sequence[str] = ()


PICTURES = (
    Picture("home", (100, 24), "home"),
    Picture("runs", (100, 30), "runs"),
    Picture("run", (140, 40), "runs", ("open", "n")),
    Picture("retries", (100, 16), "retries"),
    Picture("stuck", (100, 14), "causes"),
    Picture("bulk", (100, 18), "causes", ("R",)),
    Picture("hosts", (100, 14), "hosts"),
)


class StillClock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic(self) -> float:
        """Seconds since the recording began."""
        return self.at_s

    def wall(self) -> float:
        """Seconds since the epoch."""
        return shop.BEGAN_MS / 1_000 + self.at_s


def replayed(recording: bytes) -> Store:
    """The store as it is at the end of a recording."""
    clock = StillClock()
    store = Store(clock)
    for line in record.read(recording.splitlines(), shop.FILE.name):
        if isinstance(line, record.RecordedInput):
            clock.at_s = line.at_s
            store.apply(record.played(line, 0.0))
    clock.at_s = LAST_S
    return store


def dashboard(store: Store, board: str) -> Dashboard:
    """A dashboard over a store. Its engine answers two things: what a bulk job would do, and what
    an attempt was answered."""
    client = AsyncClient(
        "http://engine.example",
        reposts=Reposts(count=0),
        http=httpx.AsyncClient(transport=httpx.MockTransport(_answer)),
    )
    options = Options(url="http://engine.example", board=board, filter="age:<1h")
    app = Dashboard(store, options, client=client, feed=False)
    app.looking.tell_times_in_utc()
    return app


def _answer(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/response"):
        body = json.dumps({"error": EXCERPTS[503], "retryAfter": 20}).encode()
        return httpx.Response(
            200, content=body, headers={"atomic-content-type": "application/json"}
        )
    q, matched, total, skipped, rate = PLAN
    plan = BulkAnswer(None, "dry-run", "retry", q, matched, total, 0, skipped, rate)
    return httpx.Response(200, content=json.dumps(to_builtins(plan)))


async def drawn(picture: Picture, recording: bytes) -> str:
    """A picture as SVG."""
    store = replayed(recording)
    app = dashboard(store, picture.board)
    async with app.run_test(size=picture.size) as pilot:
        for key in picture.keys:
            if key == "open":
                opened = next(run for run in store.runs.values() if run.key == FIRST_SHOWN)
                open_run(app, opened.id)
            else:
                await pilot.press(key)
            await app.workers.wait_for_complete()
        for prompt in app.screen.query(Input):
            prompt.cursor_blink = False
        app.redraw()
        await pilot.pause()
        return tidied(app.export_screenshot(simplify=True), f"atomic-{picture.name}")


def tidied(svg: str, name: str) -> str:
    """The picture without fonts from elsewhere, with names that say nothing of what made it."""
    svg = re.sub(r"\s*@font-face \{.*?\}\s*(?=[.@])", "\n", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!--.*?-->", "", svg)
    svg = re.sub(r"<clipPath id=\"[\w-]+-line-\d+\">.*?</clipPath>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r" clip-path=\"url\(#[\w-]+-line-\d+\)\"", "", svg)
    svg = re.sub(r"terminal-\d+", name, svg)
    svg = re.sub(r"font-family: (?:Fira Code, monospace|arial)", f"font-family: {FONTS}", svg)
    return "\n".join(line.rstrip() for line in svg.strip().splitlines()) + "\n"


def pictures(recording: bytes) -> dict[str, str]:
    """Every picture by the name of its file."""

    async def draw() -> dict[str, str]:
        return {f"{each.name}.svg": await drawn(each, recording) for each in PICTURES}

    return asyncio.run(draw())


def main() -> None:
    """Write the recording and the pictures."""
    os.environ.pop("NO_COLOR", None)
    recording = shop.recording()
    shop.FILE.write_bytes(recording)
    for name, svg in pictures(recording).items():
        (HERE / name).write_text(svg)


if __name__ == "__main__":
    main()
