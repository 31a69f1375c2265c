"""A real browser without a window, driven over its DevTools pipe: what xterm.js shows, and keys."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.e2e.harness import EXIT_TIMEOUT_S

PROGRAMS = ("chromium-headless-shell", "chromium")
PATIENCE_S = 60.0
"""A browser starts slowly on a busy machine. Never waited out in full."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe", "--window-size=1000,600",
)  # fmt: skip
FIND_TERMINAL = """
Object.defineProperty(Object.prototype, "terminal", {
  configurable: true,
  set(value) {
    Object.defineProperty(this, "terminal", { value, writable: true });
    if (value && value.buffer) window.shownIn = value;
  },
});
"""
"""xterm.js draws on a canvas, and textual-serve's script keeps its terminal to itself."""
READ_TERMINAL = """(() => {
  if (!window.shownIn) return [];
  const buffer = window.shownIn.buffer.active;
  return Array.from({ length: window.shownIn.rows }, (_, y) =>
    buffer.getLine(buffer.viewportY + y).translateToString(true));
})()"""


def program() -> str | None:
    """The browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class BrowserError(Exception):
    """The browser did not do what it was told."""


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, profile: Path, *flags: str) -> None:
        found = program()
        assert found is not None, f"none of {', '.join(PROGRAMS)} is installed"
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()

        def as_3_and_4() -> None:
            high = [fcntl.fcntl(it, fcntl.F_DUPFD, 10) for it in (theirs_in, theirs_out)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [found, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=as_3_and_4,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._ids = count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []

    def end(self) -> None:
        """End the browser, and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self._read(deadline)).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            part = os.read(self._from, 1 << 20) if ready else b""
            assert part, f"the browser does not answer (exit code {self.process.poll()})"
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def context(self) -> str:
        """A new person at the browser, with none of the others' cookies: for `page`."""
        return str(self.call("Target.createBrowserContext")["browserContextId"])

    def page(self, url: str, context: str | None = None) -> Page:
        """A page of this address in a window of its own."""
        whose = {} if context is None else {"browserContextId": context}
        target = self.call("Target.createTarget", url="about:blank", **whose)["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, target, attached["sessionId"])
        page.call("Page.enable")
        page.call("Log.enable")
        page.call("Page.addScriptToEvaluateOnNewDocument", source=FIND_TERMINAL)
        page.call("Page.navigate", url=url)
        return page


class Page:
    """A page, and the terminal that is drawn in it."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command for this page."""
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        """What a script's expression is, on this page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def result(self, promise: str) -> Any:
        """What a promise of a script comes to, on this page."""
        found = self.call(
            "Runtime.evaluate", expression=promise, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def go(self, url: str) -> None:
        """Go to an address, as if it had been typed, and wait until it is loaded."""
        found = self.call("Page.navigate", url=url)
        assert "errorText" not in found, (url, found)
        self.result(
            "new Promise((done) => document.readyState === 'complete' ? done()"
            " : addEventListener('load', () => done()))"
        )

    @property
    def screen(self) -> list[str]:
        """The lines of the terminal; none while there is no terminal."""
        lines: list[str] = self.evaluate(READ_TERMINAL)
        return lines

    @property
    def text(self) -> str:
        """What the page itself says."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    @property
    def complaints(self) -> list[str]:
        """What the browser itself found wrong so far: something it could not or may not load."""
        return [
            event["params"]["entry"]["text"]
            for event in self._browser.events
            if event["method"] == "Log.entryAdded" and event["sessionId"] == self._session
        ]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it holds; fails with what is shown if it never does."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"never {what}:\n{self.text}\n{self.screen}"
            time.sleep(0.02)

    def _holds(self, condition: Callable[[], bool]) -> bool:
        try:
            return condition()
        except BrowserError:  # the page went on to the next one meanwhile
            return False

    def until_shown(self, text: str) -> list[str]:
        """Wait until the terminal shows this; its lines."""
        self.until(lambda: any(text in line for line in self.screen), f"shown: {text}")
        return self.screen

    def type(self, keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=key, key=key)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self, path: Path) -> None:
        """Write what is seen into a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Close the window."""
        self._browser.call("Target.closeTarget", targetId=self._target)


@contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Browser]:
    """A browser for the length of a block."""
    started = Browser(profile, *flags)
    try:
        yield started
    finally:
        started.end()
