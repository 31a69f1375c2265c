"""What the client raises. The class says what the caller may conclude, and so what to do next.

`StepFailed` and `RunCancelled` are outcomes: recorded, final, safe to compensate on. `Refused`
means the request will not do as it stands. `NothingKnown` and its children say nothing about the
step: post again with the same key or let the function fail, but never compensate on them
(`docs/reference/protocol.md` §2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import msgspec

from engine.client.environ import unread_token
from engine.wire import Cause, EngineError, LastAttempt, Problem, ProblemDocument

if TYPE_CHECKING:  # it is slow to import, and the errors are wanted without it
    import httpx

_USER = re.compile(r"//[^/@\s]*@")


def without_user(text: str) -> str:
    """A text as it may be told: without the names and passwords of the URLs in it."""
    return _USER.sub("//", text)


class AtomicError(EngineError):
    """Base of everything the client raises on purpose."""


UNAUTHORIZED = 401
NO_MEMBERS: Mapping[str, Any] = {}


class ProblemName(str):
    """The name of a problem, as `StepFailed.problem` gives it. `get` asks the document: our own
    page on compensation once read it so, and programs that were written after it go on working."""

    members: Mapping[str, Any]

    def __new__(cls, name: str, members: Mapping[str, Any] = NO_MEMBERS) -> Self:
        made = super().__new__(cls, name)
        made.members = members
        return made

    def get(self, member: str, default: Any = None) -> Any:
        """A member of the problem document, by its name on the wire."""
        return self.members.get(member, default)


class ProblemError(AtomicError):
    """The engine answered with a problem document (RFC 9457)."""

    def __init__(self, document: ProblemDocument, members: dict[str, Any]) -> None:
        super().__init__(document.detail or document.title)
        self.document = document
        self.members = members
        """Every member of the document as it came, those of later versions too."""

    @property
    def problem(self) -> str:
        """The problem's name: the last segment of its type. Names that are not known here occur."""
        return self.document.type.rstrip("/").rpartition("/")[2]

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self.document.status

    @property
    def detail(self) -> str:
        """One sentence on what was wrong this time."""
        return self.document.detail

    @property
    def run_id(self) -> str | None:
        """The run, where the answer names one."""
        return self.document.run_id

    @property
    def step_id(self) -> str | None:
        """The step, where the answer names one."""
        return self.document.step_id

    def __str__(self) -> str:
        title = self.document.title or f"HTTP {self.status}"
        detail = self.document.detail
        text = f"{title}: {detail}" if detail and detail != title else title
        return f"{text.rstrip('.')} ({self.status} {self.problem})"


class StepFailed(ProblemError):
    """424: the recorded failure of the step. Posting again gives the same answer."""

    @property
    def problem(self) -> str:
        """The problem's name, `step-failed`."""
        return ProblemName(super().problem, self.members)

    @property
    def cause(self) -> Cause | None:
        """The step that made this one fail."""
        return self.document.cause

    @property
    def last_attempt(self) -> LastAttempt | None:
        """How the last attempt ended."""
        return self.document.last_attempt

    @property
    def attempts(self) -> int | None:
        """How many requests were made."""
        return self.document.attempts

    def __str__(self) -> str:
        text = super().__str__()
        if self.cause is None or f"because step {self.cause.step_name!r} failed" in text:
            return text
        return f"{text}; because of step {self.cause.step_name}"  # an engine of before


class RunCancelled(ProblemError):
    """409 `run-cancelled`: an operator cancelled the run or step. Final until it is retried."""


class Refused(ProblemError):
    """The request cannot be done as it stands; nothing was recorded by it. See `problem`."""

    def __str__(self) -> str:
        return super().__str__() + (unread_token() if self.status == UNAUTHORIZED else "")


class NothingKnown(AtomicError):
    """Nothing is known of the step: post again with the same key. Never compensate on this.

    `cause` is the engine's last answer (a ProblemError) where there was one: 429, 500, 503.
    """

    def __init__(self, text: str, cause: ProblemError | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class WaitTimeout(NothingKnown):
    """The caller's own `timeout` has passed; the work goes on. `id` is the step, where known."""

    def __init__(self, text: str, cause: ProblemError | None = None) -> None:
        super().__init__(text, cause)
        members = cause.members if cause else {}
        self.id: str | None = members.get("id") or (cause.step_id if cause else None)
        self.run_id: str | None = cause.run_id if cause else None


class Unreachable(NothingKnown):
    """The engine cannot be reached, or the connection broke and kept breaking.

    `unsent`: no connection was made, so the last try did not even arrive.
    """

    def __init__(self, text: str, *, unsent: bool = False) -> None:
        super().__init__(text)
        self.unsent = unsent


class Suspended(NothingKnown):
    """This execution of the function is over, and it is called again when a step has ended.

    The engine has sent it home (504 `suspended`), or it does not wait for open steps by its own
    choice (`workflow(…, suspend=True)`). It is never posted again. Let it out of the function, and
    answer `Atomic-Suspend: true` (`pass_on` does).
    """


class UnexpectedAnswer(NothingKnown):
    """Something answered, but not as the engine does: another server, a proxy, a newer version.

    `status` is the HTTP status that it answered, where there was one.
    """

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def problem_error(status: int, content: bytes, content_type: str) -> ProblemError | None:
    """The error of an answer, or None when it carries no problem document."""
    if content_type.partition(";")[0].strip().lower() != "application/problem+json":
        return None
    try:
        document = msgspec.json.decode(content, type=ProblemDocument)
        members = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    document.status = status  # a proxy may have changed it; what came is what counts
    kind = {
        f"/problems/{Problem.STEP_FAILED}": StepFailed,
        f"/problems/{Problem.RUN_CANCELLED}": RunCancelled,
    }.get(document.type, Refused)
    return kind(document, members)


def problem_of(response: httpx.Response) -> ProblemError | None:
    """The problem that an answer carries."""
    kind = response.headers.get("content-type", "")
    return problem_error(response.status_code, response.content, kind)
