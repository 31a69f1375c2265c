"""What a workflow function answers when it lets a step's error out. `protocol.md` §4.

A framework turns an error that nobody caught into 500, which tells the engine nothing: it invokes
the function again. `StepFailed` and `RunCancelled` are outcomes; let out, they end the workflow,
and only an answer that says so tells the engine: 424. `Suspended` says that a step is open: 503
with `Atomic-Suspend: true`, and the engine calls again when one has ended. For any framework:

    app.add_middleware(PassOn)                         # FastAPI, Starlette
    app = PassOn(app)                                  # any ASGI application that lets errors out
    app.register_error_handler(StepFailed, pass_on)    # Flask, Quart

Every other error stays the framework's: 500, and the function runs again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

from engine.client.errors import RunCancelled, StepFailed, Suspended

FAILED_DEPENDENCY = 424
"""RFC 4918 §11.4. Says that the failure of a step ends the one that posted it."""
KEPT_BYTES_MAX = 65_536
"""A longer error page goes out as it comes."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI 3 application, https://asgi.readthedocs.io/en/latest/specs/main.html"""


class EngineAnswer(NamedTuple):
    """An answer for the engine, in the order in which Flask and Quart take one that is returned,
    and `Response(*answer)` of Starlette and FastAPI its arguments."""

    body: bytes
    status: int
    headers: dict[str, str]


SUSPENDED = EngineAnswer(b"", 503, {"Atomic-Suspend": "true"})
"""Call again when a step has ended. Not 2xx, which a server between might keep."""


def answer_of(error: BaseException) -> EngineAnswer | None:
    """What to answer the engine for an error that nobody caught; None: that is the framework's.

    Of a group (several steps at once) all must be such, and the first outcome is passed on, before
    a step that is open: beside an error that says nothing of its step, running again is right.
    """
    if isinstance(error, BaseExceptionGroup):
        answers = [answer_of(each) for each in error.exceptions]
        if not all(answers):
            return None
        return next((each for each in answers if each != SUSPENDED), SUSPENDED)
    if isinstance(error, Suspended):
        return SUSPENDED
    if not isinstance(error, StepFailed | RunCancelled):
        return None
    document = {**error.members, "status": FAILED_DEPENDENCY}
    headers = {"Content-Type": "application/problem+json"}
    return EngineAnswer(msgspec.json.encode(document), FAILED_DEPENDENCY, headers)


def pass_on(error: BaseException) -> EngineAnswer:
    """The answer for an error that a workflow function let out. Raises the error itself when it
    says nothing of a step's outcome."""
    answer = answer_of(error)
    if answer is None:
        raise error
    return answer


class PassOn:
    """ASGI middleware: a failed or cancelled step that a function let out is answered 424, one
    that is open with `Atomic-Suspend`.

    Only requests of the engine are touched: they carry `Atomic-Parent`. Inside a framework or
    around it: an answer of 5xx is kept back until the application has returned, since frameworks
    answer 500 first and let the error out then.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _from_engine(scope):
            await self.app(scope, receive, send)
            return
        out = _Out(send)
        try:
            await self.app(scope, receive, out.send)
        except Exception as error:
            answer = answer_of(error)
            if answer is None or out.begun:
                await out.flush()
                raise
            await _answer(send, answer)
        else:
            await out.flush()


class _Out:
    """What an application sends, an answer of 5xx kept back."""

    def __init__(self, send: Send) -> None:
        self.begun = False
        """Something has gone out: there is no other answer any more."""
        self._send = send
        self._kept: list[Message] = []
        self._kept_bytes = 0

    async def send(self, message: Message) -> None:
        """Keep it, or let it out."""
        starts_5xx = message["type"] == "http.response.start" and message["status"] >= 500
        if not (starts_5xx or self._kept):
            self.begun = True
            await self._send(message)
            return
        self._kept.append(message)
        self._kept_bytes += len(message.get("body", b""))
        if self._kept_bytes > KEPT_BYTES_MAX:
            await self.flush()

    async def flush(self) -> None:
        """Let out what is kept."""
        kept, self._kept = self._kept, []
        for message in kept:
            self.begun = True
            await self._send(message)


def _from_engine(scope: Message) -> bool:
    return any(name.lower() == b"atomic-parent" for name, _ in scope["headers"])


async def _answer(send: Send, answer: EngineAnswer) -> None:
    fields = {**answer.headers, "Content-Length": str(len(answer.body))}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
