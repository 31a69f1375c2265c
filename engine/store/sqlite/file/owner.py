"""One file has one engine, whatever path leads to it.

Two locks, both held until the process ends, however it ends:

- on the file itself: an open file description lock (fcntl(2)) on one byte far behind any that
  SQLite locks. It lies on the inode, so a hard link, a bind mount, a file that was moved and a lock
  file that was removed all meet it.
- on `<path>.lock` beside it, by flock(2), as every engine before did: older and newer engines keep
  each other out, and file systems and systems without the first kind have this one.

The database is opened here once, before SQLite does, and closed after it: closing any descriptor of
a file drops the POSIX locks that this process has on it, and those are SQLite's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.ports.store import StoreError
from engine.process.platform import files
from engine.store.sqlite.file import hands
from engine.store.sqlite.file.words import no_file, unusable

LOCKED_BYTE = 1 << 60
"""SQLite locks bytes around 1 GiB, and no file of its is larger than 2^48 bytes."""
OWNER_ATTRIBUTE = "user.atomic.owner"
"""The record lies where the lock does, with the inode (xattr(7)), and is read by whatever path;
where attributes cannot be kept, who has the file open is looked for in `/proc`."""
STOP_OR_OTHER = "Stop it, or give this one another --db."
"""What to do where a second engine is to open a file that is in use."""
OWNER_BYTES_MAX = 4_096
_TAKEN = (errno.EAGAIN, errno.EACCES)
_owners: dict[tuple[int, int], Owner] = {}
"""Files of this very process, by device and inode: to open one again would be fatal, see above."""


class Owner(Struct, frozen=True):
    """Who has the file open, as written down beside the locks."""

    pid: int
    instance: str
    started_at: str
    url: str = ""


def the_file(path: Path) -> Path:
    """The file behind symbolic links: its companions (`-wal`, `-shm`, `.lock`) lie beside it."""
    return Path(os.path.realpath(path))


@contextmanager
def locked(path: Path, owner: Owner) -> Iterator[int]:
    """Hold both locks; gives the descriptor of the file, which is made if it is not there.

    Raises StoreError, at once, naming the owner; and for a file that somebody else may have
    prepared.
    """
    _check_file(path)
    _check_trusted(path)
    with _lock_file(path, owner), _locked_inode(path, owner) as handle:
        yield handle


def check_unowned(path: Path, advice: str = STOP_OR_OTHER) -> None:
    """Raises StoreError, naming the owner, if an engine has the file open; `advice` says what to do
    then. Changes nothing.

    Only for a better word about a start that has failed already: `locked` decides.
    """
    path = the_file(path)
    with suppress(OSError):
        _check_file(path, advice)
    with suppress(OSError), _opened(_lock_of(path), os.O_RDONLY) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _lock_taken(path, handle, advice) from error
    with suppress(OSError), _opened(path, os.O_RDONLY) as handle:
        if files.who_has_byte(handle, LOCKED_BYTE) is not None:
            raise _why_refused(path, handle, advice)


def _check_file(path: Path, advice: str = STOP_OR_OTHER) -> None:
    """Raises StoreError for what is no file, and for one that this process has open itself."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise no_file(path, found.st_mode)
    owner = _owners.get((found.st_dev, found.st_ino))
    if owner is not None:
        raise StoreError(_owned(path, owner, advice))


def _check_trusted(path: Path) -> None:
    """Raises StoreError for a database that somebody else may have prepared."""
    with suppress(FileNotFoundError):
        found = path.stat()
        if (why := why_not_trusted(found.st_uid, found.st_mode, os.geteuid(), path)) is not None:
            raise StoreError(f"{path} {why}")


def why_not_trusted(uid: int, mode: int, euid: int, path: Path) -> str | None:
    """Why who runs as `euid` opens no database of that user and mode; None: it may be trusted.

    Of its group nothing is said, and nothing of its directory: mounts belong to groups, and a
    volume of Kubernetes gives its group what its owner may. What root has made is trusted, as root
    may do anything.
    """
    where = shlex.quote(str(path))
    if uid not in (euid, 0):
        # root that makes it its own takes it from the engine that runs as that user
        otherwise = (
            f": `sudo -u '#{uid}' …`."
            if euid == 0
            else f"; or, if you know where the file is from, `chown {euid} {where}`."
        )
        return (
            f"belongs to another user of this machine ({uid}), who may have prepared it: an engine"
            f" opens its own alone. Run it as that user{otherwise}"
        )
    if mode & stat.S_IWOTH:
        return (
            "may be written by every user of this machine, so that anybody may have prepared it. If"
            f" you know that nobody has: `chmod o-w {where}`."
        )
    return None


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _made(name: Path, path: Path) -> Iterator[int]:
    """A file of the database at `path`, made if it is not there. Raises StoreError."""
    with ExitStack() as closing:
        try:
            handle = closing.enter_context(_opened(name, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise unusable(path, error) from error
        yield handle


@contextmanager
def _lock_file(path: Path, owner: Owner) -> Iterator[None]:
    with _made(_lock_of(path), path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _lock_taken(path, handle) from error
        except OSError as error:
            raise unusable(path, error) from error
        with suppress(OSError):  # a disk that is full: the lock holds, only its record is missing
            os.ftruncate(handle, 0)
            os.pwrite(handle, msgspec.json.encode(owner), 0)
        yield


@contextmanager
def _locked_inode(path: Path, owner: Owner) -> Iterator[int]:
    with _made(path, path) as handle:
        _lock_byte(path, handle)
        files.write_attribute(handle, OWNER_ATTRIBUTE, msgspec.json.encode(owner))
        found = os.fstat(handle)
        _owners[found.st_dev, found.st_ino] = owner
        try:
            yield handle
        finally:
            del _owners[found.st_dev, found.st_ino]


def _lock_byte(path: Path, handle: int) -> None:
    try:
        files.take_byte(handle, LOCKED_BYTE)
    except OSError as error:
        if error.errno in _TAKEN:
            raise _why_refused(path, handle) from error
        # not on this file system: the lock file is all there is


def _is_an_engines(path: Path) -> bool:
    """An engine has the byte. Not to be asked of a file that this process has open."""
    with suppress(OSError), _opened(path, os.O_RDONLY) as handle:
        pid = files.who_has_byte(handle, LOCKED_BYTE)
        return pid is not None and pid <= 0
    return False


def _why_refused(path: Path, handle: int, advice: str = STOP_OR_OTHER) -> StoreError:
    """Somebody else has the byte: an engine, or a program that locks files whole."""
    with suppress(OSError):
        pid = files.who_has_byte(handle, LOCKED_BYTE)
        if pid is not None and pid > 0:
            return StoreError(f"{path} is locked by {hands.hand(pid)}, and no engine. Let it end.")
    return StoreError(_owned(path, _read_attribute(handle), advice))


def _lock_taken(path: Path, handle: int, advice: str = STOP_OR_OTHER) -> StoreError:
    """Somebody else has the lock file: the engine that wrote its record there, or any program.

    The record stays when an engine ends. It counts if an engine has the file itself, too, or if the
    process in it, or none at all, is seen to hold the lock. (One in a container knows itself by
    another process id than it is seen by.)
    """
    owner, lock = _read(handle), _lock_of(path)
    seen = hands.flockers(lock)
    if owner is not None and (
        not seen or owner.pid in {each.pid for each in seen} or _is_an_engines(path)
    ):
        return StoreError(_owned(path, owner, advice))
    who = hands.in_words(seen) or "another program"
    return StoreError(
        f"{path} cannot be opened: {who} holds its lock file {lock}. Let it end, or give this"
        " engine another --db."
    )


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _read(handle: int) -> Owner | None:
    return _decoded(os.read(handle, OWNER_BYTES_MAX))


def _read_attribute(handle: int) -> Owner | None:
    kept = files.read_attribute(handle, OWNER_ATTRIBUTE)
    return None if kept is None else _decoded(kept)


def _decoded(text: bytes) -> Owner | None:
    try:
        return msgspec.json.decode(text, type=Owner)
    except msgspec.DecodeError:
        return None


def _owned(path: Path, owner: Owner | None, advice: str) -> str:
    """The refusal, naming the engine as well as it is known."""
    if owner is None:
        who = hands.in_words(hands.openers(path))
        return f"{path} is in use by another engine{f': {who}' if who else ''}. {advice}"
    at = f" at {owner.url}" if owner.url else ""
    return (
        f"{path} is in use by the engine with process id {owner.pid}{at}, started"
        f" {owner.started_at}, instance {owner.instance}. {advice}"
    )
