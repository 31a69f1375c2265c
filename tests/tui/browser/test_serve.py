"""The dashboard in a browser: who is let in, and what is started for him."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner, Result

import tui.browser.serve
from engine.cli.main import main as atomic
from tests.tui.on_screen import World, run_row, showing, step_row
from tui.browser.guard import Guard, TurnedAway, WebRequest
from tui.browser.serve import WINDOWS_MAX, GuardedServer, command, listen
from tui.settings import Options
from tui.start import Start

STAND_IN = "echo __GANGLION__; exec head -c 1"
"""For a dashboard: ends when it is told anything."""
PATHS = ("/", "/ws", "/serve.js", "/static/js/textual.js", "/download/x", "/nowhere")


class Site:
    """A server in this process, and a client that says what it is told to say."""

    def __init__(self, guard: Guard, http: aiohttp.ClientSession) -> None:
        self.guard, self.http = guard, http
        self.headers: dict[str, str] = {}
        self._windows: list[aiohttp.ClientWebSocketResponse] = []

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and text of an answer."""
        async with self.http.get(
            self.guard.address + path, headers=self.headers | headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text(errors="replace")

    async def enter(self) -> None:
        """Open the link, and keep the cookie."""
        async with self.http.get(self.guard.link) as answer:
            assert answer.status == 200
            cookie = answer.cookies[self.guard.cookie]
            self.headers["Cookie"] = f"{cookie.key}={cookie.value}"

    async def open(self, **headers: str) -> aiohttp.ClientWebSocketResponse:
        """A window. Raises WSServerHandshakeError when it is refused."""
        window = await self.http.ws_connect(
            f"{self.guard.address}/ws", headers=self.headers | headers
        )
        self._windows.append(window)
        return window

    async def leave(self) -> None:
        """Close what is open: none is left to the collector, to warn of in another test."""
        for window in self._windows:
            await window.close()


def visiting(test: Callable[[Site], Awaitable[None]]) -> None:
    """Run a test on a server of its own."""

    async def run() -> None:
        before = children()
        async with site() as it:
            await test(it)
        async with asyncio.timeout(15):
            while children() - before:  # asyncio warns of those that outlive its loop
                await asyncio.sleep(0.01)

    asyncio.run(run())


def children() -> set[str]:
    """The processes that this one has started and that have not ended."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A server on a free port, with stand-ins for dashboards."""
    with listen(0) as sock:
        guard = Guard(sock.getsockname()[1])
        runner = web.AppRunner(GuardedServer(STAND_IN, guard, "<engine>").app())
        await runner.setup()
        await web.SockSite(runner, sock).start()
        jar = aiohttp.DummyCookieJar()
        try:
            async with aiohttp.ClientSession(cookie_jar=jar) as http:
                it = Site(guard, http)
                try:
                    yield it
                finally:
                    await it.leave()
        finally:
            await runner.cleanup()


def invoke(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(atomic, ["tui", *arguments])


# -- the guard -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1:1"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_a_foreign_host_or_origin_is_refused(headers: dict[str, str], status: int) -> None:
    """On every path and whoever asks: a name that was rebound, a page of another site or port."""

    async def test(site: Site) -> None:
        for path in PATHS:
            assert (await site.get(path, **headers))[0] == status, path
        assert (await site.get(site.guard.link.removeprefix(site.guard.address), **headers))[
            0
        ] == 403
        await site.enter()  # the link is not used up by that
        for path in PATHS:
            assert (await site.get(path, **headers))[0] == status, path

    visiting(test)


def test_without_the_cookie_there_is_nothing() -> None:
    """Not the page, not a file of it, not what does not exist; the answer says what to do."""

    async def test(site: Site) -> None:
        for cookie in ("", f"{site.guard.cookie}=", f"{site.guard.cookie}=\xe9", "other=x"):
            for path in PATHS:
                status, text = await site.get(path, Cookie=cookie, Origin=site.guard.address)
                assert (status, "Open the link" in text) == (401, True), path

    visiting(test)


def test_the_link_works_once() -> None:
    """It is exchanged for a cookie that no script and no other site gets, and is void then."""

    async def test(site: Site) -> None:
        path = site.guard.link.removeprefix(site.guard.address)
        assert (await site.get(f"{path}x"))[0] == 401
        async with site.http.head(site.guard.link) as answer:  # a preview of a chat, say
            assert answer.status == 401
        async with site.http.get(site.guard.link) as answer:
            assert answer.status == 200
            told = answer.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {*told.split("; ")}
        assert "Domain" not in told
        status, text = await site.get(path)
        assert (status, "was used" in text) == (401, True)
        cookie = told.partition(";")[0]
        assert (await site.get("/", Cookie=cookie))[0] == 200
        assert (await site.get(path, Cookie=cookie))[0] == 200  # the same browser once more

    visiting(test)


def test_a_websocket_says_where_it_is_from() -> None:
    """One without Origin, or without the cookie, is refused; by any name of the server it opens."""

    async def test(site: Site) -> None:
        for headers, status in (({}, 403), ({"Origin": site.guard.address}, 401)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await site.open(**headers)
            assert refused.value.status == status
        await site.enter()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.open()
        assert refused.value.status == 403
        port = site.guard.address.rpartition(":")[2]
        for name in ("127.0.0.1", "localhost", "[::1]", "LOCALHOST"):
            own = f"{name}:{port}"
            async with await site.open(Host=own, Origin=f"http://{own.lower()}"):
                pass

    visiting(test)


def test_the_page_is_of_this_server_alone() -> None:
    """It names no other host and has no script in it, and every answer forbids both; it is kept in
    no cache and shown in no frame. What it is of is text."""

    async def test(site: Site) -> None:
        await site.enter()
        _, page = await site.get("/")
        addresses = set(re.findall(r"\w+://[^\s\"'<]*", page))
        assert addresses == {f"{site.guard.address.replace('http', 'ws')}/ws"}
        assert re.findall(r"<script(?![^>]* src=)|\son\w+=|javascript:", page) == []
        assert "&lt;engine&gt;" in page
        assert "<engine>" not in page
        for path in PATHS:
            async with site.http.get(site.guard.address + path, headers=site.headers) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'; script-src 'self';" in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["X-Frame-Options"] == "DENY"

    visiting(test)


def test_windows_are_bounded() -> None:
    """One too many is refused, and the page says so; when one was closed there is room again."""

    async def test(site: Site) -> None:
        await site.enter()
        own = {"Origin": site.guard.address}
        windows = [await site.open(**own) for _ in range(WINDOWS_MAX)]
        status, text = await site.get("/")
        assert (status, text) == (
            503,
            "8 windows are open, which is all there may be: close one.\n",
        )
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.open(**own)
        assert refused.value.status == 503
        await windows.pop().close()
        async with asyncio.timeout(15):
            while (await site.get("/"))[0] == 503:  # until its stand-in has ended
                pass

    visiting(test)


def test_a_port_of_80_is_left_out() -> None:
    """Browsers do not name it."""
    guard = Guard(80)
    refusal = guard.refusal(WebRequest(hosts=["localhost"], origins=["http://localhost"]))
    assert refusal is not None
    assert refusal.status == 401
    assert isinstance(guard.exchange(""), TurnedAway)


# -- what is started -----------------------------------------------------------------------------

HOSTILE = "$(touch pwned) `touch pwned` ; touch pwned # a'b\"c --json a\nb *"


def test_no_word_reaches_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is passed on arrives as it was, in one word, and is done by nobody."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    ran = subprocess.run(
        command(HOSTILE), shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split("\0")[-2:] == [HOSTILE, ""]
    assert [it.name for it in tmp_path.iterdir()] == ["program"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Start]:
    """The dashboards that would have been served."""
    found: list[Start] = []
    monkeypatch.setattr(tui.browser.serve, "serve", lambda word, *_: found.append(Start.of(word)))
    return found


def test_it_only_looks_unless_told_otherwise(started: list[Start]) -> None:
    """Without --allow-actions the dashboard behind it is read-only."""
    assert invoke("--serve").exit_code == 0
    assert invoke("--serve", "--read-only").exit_code == 0
    assert invoke("--serve", "--allow-actions").exit_code == 0
    assert [start.options.read_only for start in started] == [True, True, False]


def test_a_profile_that_only_reads_contradicts_actions(
    started: list[Start], tmp_path: Path
) -> None:
    """As --read-only does; nothing is served."""
    settings = tmp_path / "dashboard.toml"
    settings.write_text('[profiles.prod]\nurl = "http://127.0.0.1:1"\nread-only = true')
    result = invoke("prod", "--config", str(settings), "--serve", "--allow-actions")
    assert (result.exit_code, started) == (2, [])
    assert "--allow-actions contradict each other" in result.output


def test_a_password_in_the_address_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the terminal nor in the title of the page; the dashboard is started with it."""
    url, titles = "http://ada:secret@127.0.0.1:1", []

    def serve(word: str, port: int, title: str, tell: Callable[[str], None]) -> None:
        assert Start.of(word).options.url == url
        titles.append(title)
        tell("link")

    monkeypatch.setattr(tui.browser.serve, "serve", serve)
    assert "The dashboard of http://127.0.0.1:1, to look at." in invoke(url, "--serve").output
    assert titles == ["http://127.0.0.1:1"]


def test_what_was_asked_for_is_passed_on(started: list[Start]) -> None:
    """As one word, which no shell looks into."""
    invoke(
        "http://127.0.0.1:1", "--serve", "--board", "hosts", "--filter", "key:--json", "--theme",
        "light", "--ascii", "--slow-link", "--as", "ada",
    )  # fmt: skip
    (asked,) = started
    assert asked == Start(
        Options(
            url="http://127.0.0.1:1", board="hosts", filter="key:--json", theme="light",
            read_only=True, ascii_only=True, slow_link=True, actor="ada",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--filter", "is:nope"), "--filter: `is:nope` is none of pending"),
        (("--theme", "nope"), "--theme: nope is none of"),
        (("nonsense",), "nonsense"),
        (("--replay", __file__), "test_serve.py"),
        (("--once",), "--once and --json print a board and end"),
        (("--json",), "--once and --json print a board and end"),
        (("--record", "x"), "--record is for one dashboard"),
        (("--no-mouse",), "hold shift to select"),
        (("--bell",), "a browser has none"),
        (("--read-only", "--allow-actions"), "contradict"),
        (("--serve-port", "65536"), "65536 is not in the range"),
    ],
)
def test_what_makes_no_sense_is_told_at_once(
    arguments: tuple[str, ...], told: str, started: list[Start]
) -> None:
    """In words, with the code of a wrong option, and before anything is served."""
    result = invoke("--serve", *arguments)
    assert (result.exit_code, started) == (2, [])
    assert told in result.output


def test_options_of_serving_alone_are_refused() -> None:
    """They would be thought to do something."""
    for option in (("--allow-actions",), ("--serve-port", "1")):
        result = invoke(*option)
        assert (result.exit_code, "are for --serve" in result.output) == (2, True)


def test_a_taken_port_is_told() -> None:
    """As what it is, in a line."""
    with listen(0) as sock:
        result = invoke("--serve", "--serve-port", str(sock.getsockname()[1]))
    assert (result.exit_code, "Address already in use" in result.output) == (2, True)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with the command."""
    for missing in ("aiohttp", "textual_serve"):
        with monkeypatch.context() as without:
            without.delitem(sys.modules, "tui.browser.serve")
            for name in [it for it in sys.modules if it.partition(".")[0] == missing]:
                without.delitem(sys.modules, name)
            without.setitem(sys.modules, missing, None)
            result = invoke("--serve")
            assert result.exit_code == 2
            assert "`pip install '.[serve]'` in the checkout" in result.output


# -- what a browser cannot do --------------------------------------------------------------------


def test_copies_and_pagers_say_what_a_browser_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is the browser's to take; $PAGER needs a terminal, and what to do instead is told."""

    async def test(world: World) -> None:
        run = run_row(1, "failed")
        world.runs(run)
        world.tree(run, step_row(run.id, None, "failed"))
        world.answers["/payload"] = (200, b"x")
        monkeypatch.setattr(type(world.app), "is_web", property(lambda _: True))
        await world.shown()
        await world.press("y")
        await world.press("i")
        await world.works_end()
        told = "\n".join(await world.shown())
        assert "id sent to the browser, if it allows" in told
        await world.press("enter")
        assert "less needs a terminal: in a browser p and b show it" in "\n".join(
            await world.press("o")
        )

    monkeypatch.delenv("PAGER", raising=False)
    showing(test)


def test_shell_words_are_whole() -> None:
    """What is run is one program, that takes the shell's place: so it gets the signals."""
    words = shlex.split(command("a"))
    assert words[:2] == ["exec", "env"]
    assert words[-5:] == [sys.executable, "-P", "-m", "tui.browser.served", "a"]
