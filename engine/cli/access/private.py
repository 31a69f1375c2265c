"""Files of secrets: readable by this user alone, and never half written.

`command > file` empties the file before the command has run: whoever reads it meanwhile has no
token, and it stays empty where the command fails. So a secret is written beside its file first, and
takes its place when it is whole.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from engine.cli.exits import Refusal
from engine.cli.show.text import safe


def to_option(command: Callable[..., None]) -> Callable[..., None]:
    """--to: the file that a secret goes into; handed over as `to`."""
    return click.option(
        "--to",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write it to a file that you alone can read, in the place of showing it.",
    )(command)


class Draft:
    """A file beside the one that it is to become: for this user alone, or for whom that was for."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be made."""
        self.path = Path(os.path.realpath(path))
        """Where the file is, behind links: a link to it stays one."""
        self._draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        self._file: int | None = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._belong(self._file)
        except OSError:
            self.drop()
            raise

    def _belong(self, file: int) -> None:
        """Have owner and mode of what is there: an application of another user goes on reading
        it."""
        with suppress(FileNotFoundError):
            there, here = self.path.stat(), os.fstat(file)
            if (there.st_uid, there.st_gid) != (here.st_uid, here.st_gid):
                os.fchown(file, there.st_uid, there.st_gid)
            os.fchmod(file, stat.S_IMODE(there.st_mode))

    def write(self, text: str) -> None:
        """Have this on the disk. Raises OSError."""
        assert self._file is not None
        with os.fdopen(self._file, "w") as file:
            self._file = None
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def replace(self) -> None:
        """Become the file, in the place of what is there. Raises OSError."""
        self._draft.replace(self.path)

    def add(self) -> bool:
        """Become the file, if there is none; False: there is. Raises OSError."""
        try:
            os.link(self._draft, self.path)  # unlike a rename it replaces nothing
        except FileExistsError:
            return False
        return True

    def drop(self) -> None:
        """Leave nothing but what it has become."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with suppress(OSError):
            self._draft.unlink(missing_ok=True)


class Place(Draft):
    """Where `--to` has a secret go, which is made when there is one."""

    def __init__(self, path: Path, *, new: bool, kept: int, begins: str) -> None:
        """`new`: nothing may be there. `kept`: so many secrets of what is there stay behind the new
        one. `begins`: what the lines of such a file begin with: a file of anything else is nobody's
        to be changed. Raises OSError, and Refusal for what is there."""
        if new and path.exists():
            raise Refusal(
                f"--to: {safe(path)} is there already, and is not written over: name another file."
            )
        lines = map(
            str.strip, path.read_text(errors="replace").splitlines() if path.exists() else ()
        )
        there = [line for line in lines if line and line[0] != "#"]
        if not all(line.startswith(begins) for line in there):
            raise Refusal(
                f"--to: {safe(path)} has lines that do not begin with {begins}, so it is a file of"
                " something else: name another."
            )
        super().__init__(path)
        self._kept = there[:kept]

    def keep(self, secret: str) -> None:
        """Have the secret in the file, whole. Where that fails it is shown: it is nowhere else.
        Raises Refusal."""
        try:
            self.write("".join(f"{line}\n" for line in (secret, *self._kept)))
            self.replace()
        except OSError as error:
            click.echo(safe(secret))
            raise Refusal(
                f"{safe(self.path)} cannot be written: {error.strerror}. The secret was made, and"
                " is shown here, this once."
            ) from error


@contextmanager
def place_for(
    to: Path | None, *, as_json: bool, new: bool = False, kept: int = 0, begins: str = ""
) -> Iterator[Place | None]:
    """The place that `--to` names, if it does: before anything is made it is sure that the file can
    be written. Raises Refusal, and UsageError beside `as_json`."""
    if to is None:
        yield None
        return
    if as_json:
        raise click.UsageError("--json shows the secret, and --to does not: give one of them.")
    try:
        place = Place(to, new=new, kept=kept, begins=begins)
    except OSError as error:
        raise Refusal(f"--to: {safe(to)} cannot be written: {error.strerror}.") from error
    try:
        yield place
    finally:
        place.drop()


def tell_secret(secret: str, what: str, place: Place | None) -> None:
    """The secret alone on standard output, where it can go into a file, or into the file of `--to`;
    the words beside it."""
    if place is None:
        click.echo(f"{what}, shown this once:", err=True)
        click.echo(safe(secret))
        return
    place.keep(secret)
    click.echo(f"{what}, is in {safe(place.path)}.", err=True)
