"""`atomic tui --serve` as processes: a real browser, and nothing that stays behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from engine.client import Client
from engine.wire import RunPage
from tests.e2e import harness
from tests.tui.browser.chromium import PATIENCE_S, browser, program
from tests.tui.endpoint import Handler, serving
from tests.tui.on_screen import run_row
from tests.tui.terminal import endpoint, fail, recording
from tui.data.inputs import LinkMoved, LinkState, RunsRead
from tui.data.listing import Edge


class Served:
    """`atomic tui --serve` as a process."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", "tui", "--serve", "--serve-port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(harness.ROOT_DIRECTORY)},
        )
        assert self.process.stdout is not None
        self._output = self.process.stdout
        self.told = ""
        while (found := re.search(r"(http://\S+)/\?token=\S+", self.told)) is None:
            line = self._output.readline()
            assert line, f"ended: {self.told}"
            self.told += line
        self.link, self.address = found[0], found[1]

    @property
    def dashboards(self) -> list[int]:
        """The processes that it has started and that have not ended."""
        return [pid for pid, parent in alive() if parent == self.process.pid]

    def ended(self) -> int:
        """Its exit code, once it has ended; what it wrote last is in `told`."""
        code = self.process.wait(harness.EXIT_TIMEOUT_S)
        self.told += self._output.read()
        return code


def alive() -> Iterator[tuple[int, int]]:
    """All processes that have not ended, with their parents."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if state != "Z":
            yield int(stat.parent.name), int(parent)


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.01)


def rev(url: str) -> int:
    """The revision of the engine's only run."""
    with Client(url) as client:
        (run,) = client.operate.runs()
        return run.rev


def gone(pids: list[int]) -> bool:
    """Whether none of them is there any more."""
    return not {*pids} & {pid for pid, _ in alive()}


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    """A server for the length of a block."""
    it = Served(*arguments)
    try:
        yield it
    finally:
        it.process.kill()
        it.process.communicate()


@pytest.fixture
def some_runs(tmp_path: Path) -> str:
    """A recording with a few runs."""
    runs = RunPage(tuple(map(run_row, range(3))), 3, False)
    inputs = (LinkMoved(LinkState.LIVE), RunsRead("runs", Edge.HEAD, runs))
    return str(recording(tmp_path / "it's some; runs.ndjson", *inputs))


def inside(server: Served, test: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    """Open the link, and go on with what has the cookie."""

    async def run() -> None:
        jar = aiohttp.CookieJar(unsafe=True)  # takes the cookies of addresses without a name too
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            async with http.get(server.link) as answer:
                assert answer.status == 200
            await test(http)

    asyncio.run(run())


@asynccontextmanager
async def window(
    server: Served, http: aiohttp.ClientSession, shows: bytes = b"Quit"
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A window, once it shows this."""
    own = {"Origin": server.address}
    async with http.ws_connect(f"{server.address}/ws", headers=own) as it:
        await seen(it, shows)
        yield it


async def seen(window: aiohttp.ClientWebSocketResponse, text: bytes) -> None:
    """Read on until this was drawn."""
    drawn = b""
    async with asyncio.timeout(PATIENCE_S):
        while text not in drawn:
            drawn += await window.receive_bytes()


async def closed(window: aiohttp.ClientWebSocketResponse) -> None:
    """Read on until the server closes it."""
    async with asyncio.timeout(PATIENCE_S):
        async for _ in window:
            pass


# -- processes -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_dashboards_end_with_their_server(number: signal.Signals, some_runs: str) -> None:
    """However it ends, and without a traceback."""
    with served("--replay", some_runs) as server:

        async def test(http: aiohttp.ClientSession) -> None:
            async with window(server, http) as it:
                pids = server.dashboards
                assert len(pids) == 1
                server.process.send_signal(number)
                await closed(it)
                code = await asyncio.to_thread(server.ended)
                assert code == (0 if number in (signal.SIGINT, signal.SIGTERM) else -number)
                await asyncio.to_thread(eventually, lambda: gone(pids), "gone")

        inside(server, test)
        assert "Traceback" not in server.told


@pytest.mark.slow
def test_a_window_closes_with_its_dashboard(some_runs: str) -> None:
    """Left by its key, and when it was killed: nobody looks at a picture that stands still."""
    with served("--replay", some_runs) as server:

        async def leave(window: aiohttp.ClientWebSocketResponse) -> None:
            await window.send_json(["stdin", "q"])

        async def kill(window: aiohttp.ClientWebSocketResponse) -> None:
            os.kill(server.dashboards[0], signal.SIGKILL)

        async def test(http: aiohttp.ClientSession) -> None:
            for end in (leave, kill):
                async with window(server, http) as it:
                    await end(it)
                    await closed(it)
                    assert it.close_code == aiohttp.WSCloseCode.OK

        inside(server, test)
        eventually(lambda: server.dashboards == [], "ended")


@pytest.mark.slow
def test_a_dashboard_ends_with_its_window(some_runs: str) -> None:
    """Also one that hangs."""
    with served("--replay", some_runs) as server:

        async def test(http: aiohttp.ClientSession) -> None:
            for number in (signal.SIGCONT, signal.SIGSTOP):
                async with window(server, http):
                    pids = server.dashboards
                    assert len(pids) == 1
                    os.kill(pids[0], number)
                await asyncio.to_thread(eventually, lambda: server.dashboards == [], "ended")

        inside(server, test)


@pytest.mark.slow
@pytest.mark.parametrize("allowed", [False, True])
def test_keys_act_only_if_allowed(allowed: bool, tmp_path: Path) -> None:
    """The same key on the same run: refused with the reason, or done."""
    with endpoint() as app, harness.running(tmp_path) as engine:
        fail(engine.url, app)
        before = rev(engine.url)
        options = ["--filter", "is:failed", *(["--allow-actions"] if allowed else [])]
        with served(engine.url, *options) as server:

            async def test(http: aiohttp.ClientSession) -> None:
                async with window(server, http, shows=b"order") as it:
                    await it.send_json(["stdin", "R"])
                    if allowed:
                        await asyncio.to_thread(eventually, lambda: rev(engine.url) > before, "run")
                    else:
                        await seen(it, b"only reads (--serve without --allow-actions)")

            inside(server, test)
        assert allowed or rev(engine.url) == before


# -- a browser -----------------------------------------------------------------------------------


class Other(Handler):
    """A site of somebody else, with a link on its page."""

    link = ""

    def do_GET(self) -> None:
        self.answer(200, f'<a id="link" href="{self.link}">the dashboard</a>'.encode(), "text/html")


@contextmanager
def other_site(link: str) -> Iterator[str]:
    """Another site: for a browser `localhost` is not 127.0.0.1."""
    handler = type("Linking", (Other,), {"link": link})
    with serving(handler) as port:
        yield f"http://localhost:{port}"


@pytest.mark.slow
@pytest.mark.system
def test_the_link_opens_the_dashboard_in_a_browser_once(some_runs: str, tmp_path: Path) -> None:
    """The link, clicked on another site, opens the dashboard: it shows its rows, and takes
    keys. When it was left the page says so, and opens it again. The link is void for
    another window without the cookie, and a page of that site cannot open a websocket."""
    assert program() is not None
    with (
        served("--replay", some_runs) as server,
        other_site(server.link) as elsewhere,
        browser(tmp_path / "profile") as it,
    ):
        page = it.page(elsewhere)
        page.until(lambda: "the dashboard" in page.text, "loaded")
        page.evaluate("document.getElementById('link').click()")
        page.until_shown("▸ running")
        assert page.evaluate("location.href") == f"{server.address}/"
        assert any("READ ONLY" in line for line in page.screen)
        page.type("5")
        page.until_shown("Nothing has happened")
        assert page.evaluate("document.title") == f"atomic · {some_runs}"
        page.type("q")
        page.until(lambda: "was left" in page.text, "left")
        eventually(lambda: server.dashboards == [], "ended")
        assert [it for it in page.complaints if "Content Security Policy" in it] == []
        page.evaluate("document.querySelector('.ended a').click()")
        page.until_shown("▸ running")

        stranger = it.page(elsewhere)
        stranger.until(lambda: "the dashboard" in stranger.text, "loaded")
        url = server.address.replace("http", "ws")
        stranger.evaluate(
            f"(() => {{ const it = new WebSocket('{url}/ws');"
            " it.onopen = () => window.is = 'open'; it.onerror = () => window.is = 'refused'; })()"
        )
        stranger.until(lambda: stranger.evaluate("window.is") is not None, "answered")
        assert stranger.evaluate("window.is") == "refused"
        assert len(server.dashboards) == 1
        page.close()
        eventually(lambda: server.dashboards == [], "ended")
