"""What an application's environment says, where its code does not: so it moves to another engine
without a change. The helpers, the command and the dashboard ask for the same variables."""

from __future__ import annotations

import os

from engine import DEFAULT_ENGINE
from engine.client.bearer import TokenFile

DEFAULT_CLIENT = "default"


def engine_of(given: str | None) -> str:
    """The engine's address: as given, else `ATOMIC_URL`, else this machine's."""
    return given if given is not None else os.environ.get("ATOMIC_URL") or DEFAULT_ENGINE


def client_of(given: str | None) -> str:
    """Whose runs these are: as given, else `ATOMIC_CLIENT`, else `default`."""
    return given if given is not None else os.environ.get("ATOMIC_CLIENT") or DEFAULT_CLIENT


def token_of(given: str | os.PathLike[str] | None) -> TokenFile | None:
    """The token of the file that is given, else of `ATOMIC_TOKEN_FILE`; an empty name is none.
    Raises ValueError for a file that has no token."""
    path = os.environ.get("ATOMIC_TOKEN_FILE") if given is None else given
    return TokenFile(path) if path else None


def unread_token() -> str:
    """For who was asked for a token, and has it where nobody looks: why, and what to do."""
    if not os.environ.get("ATOMIC_TOKEN") or os.environ.get("ATOMIC_TOKEN_FILE"):
        return ""
    return (
        ". The variable ATOMIC_TOKEN is not read: variables are seen by other programs, and end in"
        " reports of crashes. Write the token into a file, and name that in ATOMIC_TOKEN_FILE"
    )
