"""A disk that refuses to be written, as SQLite reports it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


def sqlite_error(code: int, name: str = "SQLITE_SIMULATED") -> sqlite3.OperationalError:
    """An error as SQLite's own are: with its extended code."""
    error = sqlite3.OperationalError(f"simulated: {name}")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


class Disk:
    """A store's offload: commits fail with `code` while it is set. Not what opens the file."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.tries = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        if self.code is not None:
            self.tries += 1
            raise sqlite_error(self.code)
        return work()
