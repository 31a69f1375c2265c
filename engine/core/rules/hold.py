"""A hold: nothing of a client, of a workflow or to a host starts until it is released.
`docs/reference/protocol.md` §5.

It is one entry, however many runs it covers: it is asked where an attempt would start. What would
have started under it is recorded as `Held`, once, when its time has come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct

from engine.core.errors import Problem, Refused
from engine.core.model import Step
from engine.core.target import BadTarget, normalise

RATE_PER_S_MAX = 1_000
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WORKFLOW = re.compile(r"[ -~]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
EVERYTHING = "*"
"""The name of the hold on everything."""
_PORTS = {"http": "80", "https": "443"}


_LETTERS = (
    "whose name has letters, digits, `.`, `-` and `_` alone (one in another script its ASCII form,"
    " `xn--…`)"
)


class HoldKind(StrEnum):
    """What is held."""

    CLIENT = "client"
    WORKFLOW = "workflow"
    """Runs of workflows of this name, of every client, with all of their steps."""
    HOST = "host"
    ALL = "all"
    """Everything: no attempt of any run starts."""


class Hold(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One hold, as it is registered."""

    kind: HoldKind
    name: str
    since: int
    actor: str
    """Who held it: a claim; who gave a reason last."""
    address: str | None = None
    reason: str | None = None
    released_at: int | None = None
    """It was released: what is new starts, and what waited under it is being let go."""
    rate_per_s: int | None = None
    """Of one that was released: so many of those that waited start each second. None: any."""

    @property
    def key(self) -> tuple[HoldKind, str]:
        """Names it among the holds."""
        return self.kind, self.name

    @property
    def text(self) -> str:
        """What it holds, for people."""
        return "everything" if self.kind is HoldKind.ALL else f"{self.kind} {self.name}"


def read_name(kind: HoldKind, name: str) -> str:
    """The name of what is to be held, in its one spelling. Raises Refused with what is wrong."""
    if kind is HoldKind.HOST:
        return _read_host(name)
    if kind is HoldKind.ALL:
        if name not in (EVERYTHING, ""):
            raise _bad(f"A hold on everything has no name but {EVERYTHING!r}")
        return EVERYTHING
    if kind is HoldKind.CLIENT and not _CLIENT.fullmatch(name):
        raise _bad(f"{name[:64]!r} is no client's name: letters, digits and . _ - only, at most 64")
    if kind is HoldKind.WORKFLOW and not _WORKFLOW.fullmatch(name):
        raise _bad("A workflow's name is 1 to 128 printable ASCII characters")
    return name


def _read_host(name: str) -> str:
    """With a port: URLs with that port, said or not. Without: the host at every port."""
    example = "a host is held by its name, with a port or without: app:9000, app, [::1]:9000"
    if not name or any(sign in name for sign in "/?#@"):
        raise _bad(f"{name[:64]!r} is no host; {example}")
    try:
        parts = urlsplit(normalise(f"https://{name}/"))
    except BadTarget as error:
        why = f"it {error}" if _HOST.fullmatch(name) else _LETTERS
        raise _bad(f"{name[:64]!r} is no host, {why}; {example}") from error
    host = parts.netloc
    return f"{host}:443" if name.endswith(":443") and not host.endswith(":443") else host


def _bad(detail: str) -> Refused:
    return Refused(Problem.INVALID_REQUEST, f"{detail}.", member="name")


@lru_cache(maxsize=4_096)
def names_of_host(url: str) -> tuple[str, str]:
    """By which names the host of a normalised URL can be held: with its port, and without."""
    scheme, host = url.split("/", 3)[::2]
    if host.rpartition("]")[2].startswith(":") or ("]" not in host and ":" in host):
        return host, host.rpartition(":")[0]
    return f"{host}:{_PORTS[scheme[:-1]]}", host


def covers(hold: Hold, client: str, workflow: str, url: str) -> bool:
    """Whether it covers a step: of a run of this client and root workflow, to this URL."""
    match hold.kind:
        case HoldKind.CLIENT:
            return hold.name == client
        case HoldKind.WORKFLOW:
            return hold.name == workflow
        case HoldKind.HOST:
            return hold.name in names_of_host(url)
        case HoldKind.ALL:
            return True


def own_hold(over: Iterable[Hold], submitted_at: int) -> Hold | None:
    """Which of the holds over a run of the engine's own keeps it: that on everything only if it is
    the younger. So alerts tell of what is held, and a copy of the record sends none of those that
    were on their way when it was made."""
    return next(
        (it for it in over if it.kind is not HoldKind.ALL or submitted_at <= it.since), None
    )


def held_since(since: int, step: Step, now: int) -> int:
    """Since when `maxElapsed` of a step stands still under a hold of then: not since before the
    step began, nor since before the end of the last pause or hold, whose time is counted already;
    nor (the clock may have been set back) since a time that is still to come."""
    return min(now, max(since, step.opened_at, step.paused_ms_at or 0))
