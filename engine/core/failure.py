"""How an attempt failed, as a value: of what kind, and its text.

Events, rows and the wire have it as one text, `connection-refused: no one listens`. It is made of
the value here, and read here where there is nothing but the text.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from engine.core.outcome import CallError

ENGINE_CRASHED = "the engine crashed"
ENGINE_STOPPED = "the engine was stopped"
IN_COPY = "in flight in the copy that was restored"
"""The text of attempts that the engine itself interrupted, or that a copy ends with."""


class FailureKind(StrEnum):
    """What an attempt came to, where no `CallError` says it."""

    HTTP_STATUS = "http-status"
    """It was answered, with a status that is no success."""
    UNHANDLED = "unhandled-failure"
    """It came to nothing although a step below had failed."""
    SUSPENDED = "suspended"
    """It only waits: nothing has failed."""
    INTERRUPTED = "interrupted"
    """It costs no retry. Its text says by what: a failure again."""
    OTHER = ""
    """No kind that is known here begins the text: it is all there is."""


KINDS: tuple[CallError | FailureKind, ...] = (*CallError, *FailureKind)
_BY_WORD = {kind.value: kind for kind in KINDS if kind is not FailureKind.OTHER}


class Failure(Struct, frozen=True):
    """How an attempt failed."""

    kind: CallError | FailureKind
    detail: str
    """For people, in one line."""

    @classmethod
    def answered(cls, http_status: int, more: str = "") -> Failure:
        """An answer with a status that is no success, and what else there is to say of it."""
        return cls(FailureKind.HTTP_STATUS, f"answered {http_status}{more}")

    @classmethod
    def parse(cls, text: str | None) -> Failure:
        """What a text tells, whoever wrote it; nothing of it is lost. None tells nothing."""
        word, _, detail = (text or "").partition(": ")
        kind = _BY_WORD.get(word)
        return cls(FailureKind.OTHER, text or "") if kind is None else cls(kind, detail)

    @property
    def text(self) -> str:
        """It, as it is recorded and told."""
        if self.kind and self.detail:
            return f"{self.kind}: {self.detail}"
        return self.kind.value or self.detail

    @property
    def word(self) -> str:
        """What happened, in a word: its kind, or how a text of no known kind begins."""
        return self.kind.value or self.detail.partition(":")[0]

    @property
    def more(self) -> str:
        """The text beside that word."""
        return (self.detail if self.kind else self.detail.partition(":")[2]).strip()

    @property
    def inner(self) -> Failure:
        """By what the attempt was interrupted; of one that was not, itself."""
        return Failure.parse(self.detail) if self.kind is FailureKind.INTERRUPTED else self

    @property
    def excused(self) -> Failure:
        """Of an attempt that it interrupted."""
        return Failure(FailureKind.INTERRUPTED, self.text)

    def adding(self, more: str) -> Failure:
        """The same, with something else that people are to know."""
        return Failure(self.kind, f"{self.detail}; {more}")

    def beyond(self, http_status: int | None) -> str | None:
        """The text beyond this status; None: it does not begin with that."""
        answered = f"answered {http_status}"
        return self.detail[len(answered) :] if self.detail.startswith(answered) else None


def last_text(http_status: int | None, error: str | None) -> str:
    """What an attempt came to, in a word: `503`, `connection-refused`, `attempt-timeout`; `—` when
    there is nothing to tell."""
    failure = Failure.parse(error)
    if error is None or failure.kind is FailureKind.HTTP_STATUS:
        return "—" if http_status is None else f"{http_status}"
    return failure.word


def why_text(http_status: int | None, error: str | None, excerpt: str | None) -> str:
    """`402 card_declined: insufficient funds`, `connection-refused: …`: what happened, and the
    line in which the answer or the connection says why, where one was recorded."""
    told = last_text(http_status, error)
    if excerpt is None:
        return told
    if told == "—" or excerpt.startswith(f"{told} "):  # a page's title: `502 Bad Gateway`
        return excerpt
    return f"{told}{' ' if told.isdigit() else ': '}{excerpt}"
