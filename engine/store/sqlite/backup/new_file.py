"""A file that is there whole or not at all, is never put over another, and is its user's alone.

It is made under the name `NAME.part`, synced, and linked to its own name; then the directory is
synced. What an engine that was killed left of one keeps the name `NAME.part`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.ports.store import BadFile, StoreError
from engine.process.platform.files import sync
from engine.store.sqlite.file.words import cannot_write, is_damage

PART = ".part"
COMPANIONS = ("-journal", "-wal", "-shm")
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
"""Of file systems without hard links."""


@contextmanager
def new_file(target: Path) -> Iterator[tuple[Path, int]]:
    """The path to write to, and a descriptor of it for syncs; it gets its name when this is left
    without an error. Raises StoreError."""
    check_new(target)
    part = target.with_name(target.name + PART)
    try:
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise StoreError(
            f"{part} is there: another copy is being made, or is left of one that was cut off. If"
            " none is being made, remove it."
        ) from error
    except OSError as error:
        raise StoreError(f"{target} cannot be made: {_words(target, error)}") from error
    try:
        yield part, handle
        sync(handle)
        _name(part, target)
    except BaseException as error:
        for name in (part, *(part.with_name(part.name + each) for each in COMPANIONS)):
            with suppress(OSError):
                name.unlink()
        if isinstance(error, (OSError, sqlite3.Error)):
            kind = BadFile if is_damage(error) else StoreError
            raise kind(f"{target} was not made: {_words(target, error)}") from error
        raise
    finally:
        os.close(handle)


def check_new(target: Path) -> None:
    """Nothing has that name, nor would be taken for a part of it. Raises StoreError."""
    if not target.name:
        raise StoreError(f"{target} names no file.")
    for name in (target, *(target.with_name(target.name + each) for each in COMPANIONS)):
        if os.path.lexists(name):
            raise StoreError(f"{name} is there already, and nothing is written over. Give another"
                             " name.")  # fmt: skip
    for companion in (*COMPANIONS, ".lock", PART):
        owner = target.with_name(target.name.removesuffix(companion))
        if owner != target and (companion == PART or os.path.lexists(owner)):
            raise StoreError(f"{target} would be taken for a part of {owner}. Give another name.")


def _name(part: Path, target: Path) -> None:
    try:
        os.link(part, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        check_new(target)
        part.rename(target)
    else:
        part.unlink()
    directory = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(directory)
    finally:
        os.close(directory)


def _words(target: Path, error: Exception) -> str:
    if isinstance(error, sqlite3.Error):
        return cannot_write(target, error)
    if isinstance(error, FileNotFoundError):
        return f"there is no directory {target.parent}. Make it, or give another name."
    if isinstance(error, FileExistsError):
        return "it is there by now, and nothing is written over. Give another name."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {target.parent} is full. Make room."
    return f"{getattr(error, 'strerror', None) or error}."
