"""What is held: runs and hosts of which nothing new starts. As the status tells it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from engine.wire import EVERYTHING, HoldKind, HoldRow, names_of_host

ON_EVERYTHING = (HoldKind.ALL, EVERYTHING)
PORTS = ("80", "443")
"""Which of them a host without one means depends on the scheme of its URLs."""


class Holds(Struct, frozen=True):
    """The holds at one moment."""

    all: tuple[HoldRow, ...] = ()
    _by_name: dict[tuple[str, str], HoldRow] = {}

    @classmethod
    def of(cls, rows: Iterable[HoldRow]) -> Holds:
        """These, by kind and name."""
        rows = tuple(rows)
        return cls(rows, {(row.kind, row.name): row for row in rows if row.released_at is None})

    @property
    def in_force(self) -> list[HoldRow]:
        """Without those that were released, and let go of what has waited."""
        return list(self._by_name.values())

    def said_otherwise(self, than: Holds) -> bool:
        """Whether one has come, gone, or is another; how much waits says nothing of that."""
        return [_said(row) for row in self.all] != [_said(row) for row in than.all]

    def over(self, client: str, workflow: str, url: str = "") -> list[HoldRow]:
        """All that keep a step from starting: of a run of this client and workflow, to this URL.
        Each of them has to be released."""
        if not self._by_name:
            return []
        names = [ON_EVERYTHING, (HoldKind.CLIENT, client), (HoldKind.WORKFLOW, workflow)]
        names += [(HoldKind.HOST, name) for name in _names_in(url)]
        return [row for name in names if (row := self._by_name.get(name)) is not None]

    def over_host(self, host: str) -> list[HoldRow]:
        """What holds a host: as it stands in URLs, with its port if that is said there."""
        if not self._by_name:
            return []
        with_port, bare = _names_in(f"http://{host}/") or (host, host)
        names = {with_port, bare}
        if host == bare:
            names |= {f"{bare}:{port}" for port in PORTS}
        keys = [ON_EVERYTHING, *((HoldKind.HOST, name) for name in sorted(names))]
        found = (self._by_name.get(key) for key in keys)
        return [row for row in found if row is not None]


NOTHING_HELD = Holds()


def covers(row: HoldRow, client: str, workflow: str, url: str) -> bool:
    """Whether a hold is on a step of a run of this client and workflow, to this URL."""
    if row.kind == HoldKind.HOST:
        return row.name in _names_in(url)
    return (row.kind, row.name) in (
        ON_EVERYTHING, (HoldKind.CLIENT, client), (HoldKind.WORKFLOW, workflow)
    )  # fmt: skip


def _names_in(url: str) -> tuple[str, ...]:
    try:
        return names_of_host(url)
    except (ValueError, KeyError):  # no URL of an engine's
        return ()


def _said(row: HoldRow) -> tuple[object, ...]:
    return row.kind, row.name, row.since, row.actor, row.reason, row.released_at, row.rate_per_s
