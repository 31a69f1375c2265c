"""One look at files that define something: what stands in them, and how to tell that it changed.

A file that is replaced, renamed over, reached by another link or given other rights is another;
so contents are compared, and not times.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from engine.process.toml import ConfigError

FILE_BYTES_MAX = 1 << 20
CLIENT_FILES_MAX = 1_000
"""Files of one directory: each is read every few seconds."""
ENDING = ".toml"
OTHERS_READ_OR_WRITE = stat.S_IROTH | stat.S_IWOTH


class Content(Struct, frozen=True):
    """What is at a path."""

    data: bytes = b""
    names: tuple[str, ...] | None = None
    """Of a directory, the definitions in it. Hidden files are none, nor are those of editors
    (`shop.toml~`)."""
    mode: int = 0
    fault: str = ""
    """Why it cannot be read, for people."""

    @property
    def mark(self) -> bytes:
        """Another, when anything of it is."""
        parts = (self.data, repr(self.names).encode(), b"%o" % self.mode, self.fault.encode())
        return hashlib.sha256(b"\0".join(hashlib.sha256(each).digest() for each in parts)).digest()


def content_of(path: Path) -> Content:
    """What is there now; a file's first `FILE_BYTES_MAX`, and whether there is more.

    Never waits for a writer, as a pipe would have it.
    """
    try:
        if path.is_dir():
            names = (each for each in os.listdir(path) if not each.startswith("."))
            return Content(names=tuple(sorted(each for each in names if each.endswith(ENDING))))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                return Content(fault="is no file")
            data = file.read(FILE_BYTES_MAX + 1)
    except PermissionError:
        return Content(fault=f"may not be read by this process, which is user {os.geteuid()}")
    except OSError as error:
        return Content(fault=f"cannot be read: {error.strerror}")
    except ValueError:
        return Content(fault="is no path")
    if len(data) > FILE_BYTES_MAX:
        return Content(fault=f"is larger than {FILE_BYTES_MAX:,} bytes")
    return Content(data=data, mode=stat.S_IMODE(mode))


class Look:
    """Reads files, each of them once, and remembers the mark of each."""

    def __init__(self) -> None:
        self._contents: dict[Path, Content] = {}

    @property
    def marks(self) -> Mapping[Path, bytes]:
        """Of all that was looked at."""
        return {path: content.mark for path, content in self._contents.items()}

    def files_in(self, directory: Path, *, named: str) -> list[Path]:
        """The definitions in a directory, by name. `named`: which setting names the directory.
        Raises ConfigError."""
        content = self._at(directory)
        if content.names is None:
            raise ConfigError(f"{named}: {directory}: {content.fault or 'is no directory'}")
        if len(content.names) > CLIENT_FILES_MAX:
            raise ConfigError(
                f"{named}: {directory} has {len(content.names):,} clients; the limit is"
                f" {CLIENT_FILES_MAX:,}"
            )
        return [directory / name for name in content.names]

    def text(self, path: Path, *, named: str = "") -> str:
        """What a file says. `named`: the member or setting that names it. Raises ConfigError."""
        content = self._at(path)
        fault = content.fault or ("is a directory" if content.names is not None else "")
        if fault:
            raise ConfigError(f"{named}: {path}: {fault}" if named else f"{path}: {fault}")
        try:
            return content.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not UTF-8 text") from error

    def check_unwritable(self, path: Path) -> None:
        """Whoever can write a definition can do what it allows. Raises ConfigError.

        Group and owner are not asked: mounted Secrets belong to root, and to the group of the pod.
        """
        if self._at(path).mode & stat.S_IWOTH:
            raise ConfigError(
                f"{path}: every user of this machine may write it: `chmod o-w {path}`"
            )

    def secret_lines(self, path: Path, *, named: str) -> Iterator[tuple[int, str]]:
        """The lines of a file that others may not read, with their numbers; without blank ones and
        those that begin with `#`. Raises ConfigError."""
        text = self.text(path, named=named)
        self.check_secret(path)
        for number, line in enumerate(text.splitlines(), 1):
            if (line := line.strip()) and not line.startswith("#"):
                yield number, line

    def check_secret(self, path: Path) -> None:
        """The same of a file with secrets, which others may not read either. Raises ConfigError."""
        mode = self._at(path).mode
        if mode & OTHERS_READ_OR_WRITE:
            raise ConfigError(
                f"{path}: every user of this machine may read it (mode {mode:04o}):"
                f" `chmod o= {path}`; of a Kubernetes volume `defaultMode: 0440`"
            )

    def _at(self, path: Path) -> Content:
        if (content := self._contents.get(path)) is None:
            content = self._contents[path] = content_of(path)
        return content
