"""A run with a step in each state of the table, and one that is paused for a failure."""

from __future__ import annotations

from collections.abc import Callable

from engine.core.events import (
    Reopened,
)
from engine.core.machine import park
from engine.core.model import PauseReason
from engine.core.outcome import Answered
from engine.core.retry import RetryPolicy
from engine.core.rules.action import Action
from tests.core.support import BAD, LETS_OUT, SUSPEND, Driven, spec, started

ONE_TRY = RetryPolicy(count=0)


def unhandled(*, deep: bool = False) -> Driven:
    """A run that is paused: its root was told of `bad` and released, then answered 500.

    `deep`: `bad` is a workflow of its own, which failed because of its step `worse`.
    """
    driven = started("before", retry=ONE_TRY)
    driven.end("before")
    driven.now = 5
    driven.begin(spec("bad", retry=ONE_TRY))
    if deep:
        for name in ("worse", "beside"):
            driven.post(spec(name, retry=ONE_TRY), "bad")
        driven.start("worse")
        driven.end("worse", BAD)
    driven.now = 10
    driven.end("bad", LETS_OUT if deep else Answered(402))
    driven.whole("release")
    driven.end("root", BAD)
    assert driven.step().pause_reason is PauseReason.UNHANDLED_FAILURE
    return driven


def pending() -> Driven:
    driven = started()
    driven.post("a")
    return driven


def backing_off() -> Driven:
    driven = started("a")
    driven.end("a", BAD)
    return driven


def _waiting() -> Driven:
    driven = started("a")
    driven.post("grandchild", "a")
    driven.end("a", SUSPEND)
    return driven


def _paused() -> Driven:
    driven = pending()
    driven.act(Action.PAUSE, "a")
    return driven


def _pause_asked() -> Driven:
    driven = started("a")
    driven.act(Action.PAUSE, "a")
    return driven


def _cancel_asked() -> Driven:
    driven = started("a", retry=RetryPolicy(count=0))
    driven.end("root", BAD)
    return driven


def parked() -> Driven:
    driven = started("a")
    park(driven.run)
    return driven


def completed() -> Driven:
    driven = started("a")
    driven.end("a")
    return driven


def _failed() -> Driven:
    driven = started()
    driven.whole(spec("a", retry=RetryPolicy(count=0)), outcome=BAD)
    return driven


def _cancelled() -> Driven:
    driven = pending()
    driven.act(Action.CANCEL, "a")
    return driven


def awaiting_post() -> Driven:
    driven = completed()
    driven.do(Reopened(0, driven.id("a"), awaiting_post=True))
    return driven


WORLDS: dict[str, Callable[[], Driven]] = {
    "pending": pending,
    "awaiting-post": awaiting_post,
    "running": lambda: started("a"),
    "pause-asked": _pause_asked,
    "cancel-asked": _cancel_asked,
    "backing-off": backing_off,
    "waiting": _waiting,
    "paused": _paused,
    "completed": completed,
    "failed": _failed,
    "cancelled": _cancelled,
    "parked": parked,
}
