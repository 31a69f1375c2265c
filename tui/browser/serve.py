"""The dashboard in a browser: textual-serve, behind a guard.

textual-serve starts a dashboard for each websocket and draws it with xterm.js. It asks nobody who
he is, so no request reaches it that `guard.py` refuses. Its own page loads a font from elsewhere
and has scripts in it; ours (`serve.html`) has neither, and may load only what this server has.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - textual-serve's
import html
import os
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from string import Template

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from tui.browser.guard import ADDRESS, Guard, TurnedAway, WebRequest
from tui.settings import SERVED_DRIVER

WINDOWS_MAX = 8
"""A dashboard each, some 50 MB and a reader of the engine's event stream."""
LEAVING_S_MAX = 2.0
"""How long a dashboard may take to leave when its window was closed."""
ENDING_S_MAX = 2 * LEAVING_S_MAX
"""How long the server may take to end with all its windows."""
HEARTBEAT_S = 15.0
"""How soon a browser that has gone without a word is missed, and its dashboard ended."""
USUAL_SIZE = (("width", 80), ("height", 24))
ROOT = Path(__file__).parents[2]
PAGE = Template(Path(__file__).with_name("serve.html").read_text())
SCRIPT = Path(__file__).with_name("serve.js")
GO_ON = '<!DOCTYPE html><meta http-equiv="refresh" content="0; url=/"><a href="/">Go on</a>'
"""A page of ours that goes on by itself. When the link was clicked on another site, the browser
would follow a redirect for that site, and keep the cookie (SameSite=Strict) back."""
CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self';"
    " img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""xterm.js makes its stylesheets as it goes: so those may stand in the page."""
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": CONTENT,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
TOO_MANY = TurnedAway(503, f"{WINDOWS_MAX} windows are open, which is all there may be: close one.")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def command(start: str) -> str:
    """The shell's words for a dashboard that starts so (`Start.word`): no shell looks into that.

    The modules are those that run now, wherever it is started (-P: not those of the directory).
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    words = (
        "exec", "env", f"TEXTUAL_DRIVER={SERVED_DRIVER}", f"PYTHONPATH={path}",
        sys.executable, "-P", "-m", "tui.browser.served", start,
    )  # fmt: skip
    return shlex.join(words)


def listen(port: int) -> socket.socket:
    """A socket of this machine's own. Raises OSError when the port is taken."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ADDRESS, port))
        sock.listen()  # who opens the link at once waits, and is not refused
    except BaseException:
        sock.close()
        raise
    return sock


class Window(AppService):
    """A dashboard. Whichever ends first, its process or its browser, the other one does too."""

    async def run(self) -> None:
        """Pass on what it draws, until one of them has ended."""
        assert self._process is not None
        try:
            await super().run()
        finally:
            self.stdin.close()
            await self.remote_close()
            await self._process.communicate()  # its pipes end with it, and before the loop

    async def stop(self) -> None:
        """Let it leave; if it does not, end it."""
        last = asyncio.get_running_loop().call_later(LEAVING_S_MAX, self._kill)
        try:
            await super().stop()
        finally:
            last.cancel()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.kill()


class GuardedServer(Server):
    """textual-serve's server, which answers only whom the guard lets through."""

    def __init__(self, words: str, guard: Guard, title: str) -> None:
        super().__init__(words, host=ADDRESS, title=title, public_url=guard.address)
        self._guard = guard
        self._windows: set[asyncio.Task[object]] = set()

    def app(self) -> web.Application:
        """What is served."""
        app = web.Application(middlewares=[self._guarded])
        app.add_routes(
            [
                web.get("/", self._index, allow_head=False),
                web.get("/ws", self.handle_websocket),
                web.get("/download/{key}", self.handle_download),
                web.get("/serve.js", _script),
                web.static("/static", self.statics_path),
            ]
        )
        app.on_response_prepare.append(_with_headers)
        app.on_shutdown.append(self.on_shutdown)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        opens = request.method == "GET" and request.path == "/"
        asked = WebRequest(
            hosts=request.headers.getall("Host", []),
            origins=request.headers.getall("Origin", []),
            cookie=request.cookies.get(self._guard.cookie),
            token=request.query.get("token") if opens else None,
            websocket=request.path == "/ws" or "Upgrade" in request.headers,
        )
        if (refused := self._guard.refusal(asked)) is not None:
            return _told(refused)
        if asked.token is not None:
            return self._let_in(asked.token, asked.cookie)
        return await handler(request)

    def _let_in(self, token: str, cookie: str | None) -> web.Response:
        """The link was opened; once more in the same browser is no harm."""
        answer = web.Response(text=GO_ON, content_type="text/html")
        if self._guard.knows(cookie):
            return answer
        session = self._guard.exchange(token)
        if isinstance(session, TurnedAway):
            return _told(session)
        answer.set_cookie(self._guard.cookie, session, httponly=True, samesite="Strict")
        return answer

    async def _index(self, request: web.Request) -> web.Response:
        if len(self._windows) >= WINDOWS_MAX:
            return _told(TOO_MANY)
        page = PAGE.substitute(title=html.escape(self.title), websocket=f"ws://{request.host}/ws")
        return web.Response(text=page, content_type="text/html")

    async def handle_websocket(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]
        """One dashboard, as long as its window is open."""
        task = asyncio.current_task()
        if len(self._windows) >= WINDOWS_MAX or task is None:
            return _told(TOO_MANY)
        self._windows.add(task)
        try:
            websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
            await websocket.prepare(request)

            async def close() -> None:
                await websocket.close()

            window = Window(
                self.command,
                write_bytes=websocket.send_bytes,
                write_str=websocket.send_str,
                close=close,
                download_manager=self.download_manager,
            )
            size = (to_int(request.query.get(of, ""), usual) for of, usual in USUAL_SIZE)
            await window.start(*size)
            try:
                await self._process_messages(websocket, window)
            finally:
                await window.stop()
        finally:
            self._windows.discard(task)
        return websocket

    async def on_shutdown(self, app: web.Application) -> None:
        """Close every window, and with it its dashboard."""
        windows = list(self._windows)
        for task in windows:
            task.cancel()
        if windows:
            await asyncio.wait(windows, timeout=ENDING_S_MAX)


async def _script(request: web.Request) -> web.FileResponse:
    return web.FileResponse(SCRIPT)


def _told(refused: TurnedAway) -> web.Response:
    return web.Response(status=refused.status, text=f"{refused.detail}\n")


async def _with_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def serve(start: str, port: int, title: str, tell: Callable[[str], None]) -> None:
    """Serve dashboards that start so until Ctrl-C or SIGTERM; `tell` gets the link.

    Port 0: any that is free. Raises OSError when the port is taken.
    """
    with listen(port) as sock:
        guard = Guard(sock.getsockname()[1])
        server = GuardedServer(command(start), guard, title)

        async def started(app: web.Application) -> None:
            tell(guard.link)

        app = server.app()
        app.on_startup.append(started)
        web.run_app(app, sock=sock, print=None, access_log=None, shutdown_timeout=ENDING_S_MAX)
