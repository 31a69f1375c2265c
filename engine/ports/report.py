"""What a check of a file has found: what was looked at, and each fault by its place."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

RESTORE = "Restore a copy (docs/how-to/back-up.md)."
FAULTS_MAX = 100
"""So many are told; a file with more is not told of better by more."""
Progress = Callable[[str, int, int], None]
"""What is looked at, how much of it was, and how much there is (0: not known)."""


class Fault(Struct, frozen=True):
    """Something that is not as it must be."""

    place: str
    """Where: of the file, of the journal, or of which run and step."""
    what: str
    mend: str
    """What to do."""


class Checked(Struct, frozen=True):
    """One thing that was looked at, to its end or not."""

    name: str
    what: str
    """What there was, with counts; or why it was not looked at."""
    done: bool = True
    faults: int = 0
    """So many of the faults are of this."""


class TooManyFaults(Exception):
    """No more is looked for."""


class Report(Struct, rename="camel"):
    """All of it."""

    file: str
    file_id: str = ""
    bytes: int = 0
    schema: str = ""
    """The last migration of the file."""
    checked: list[Checked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    took_ms: int = 0

    def found(self, place: str, what: str, mend: str = RESTORE) -> None:
        """Keep a fault. Raises TooManyFaults with the last that is kept."""
        self.faults.append(Fault(place, " ".join(what.split()), mend))
        if len(self.faults) >= FAULTS_MAX:
            raise TooManyFaults

    def looked(self, name: str, what: str, *, done: bool = True, faults: int = 0) -> None:
        """Keep what was looked at."""
        self.checked.append(Checked(name, what, done, faults))
