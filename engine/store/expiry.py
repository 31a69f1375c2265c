"""Runs that go, and keys that are forgotten, with a commit: the work of retention on the rows.

What goes was looked for a moment before, so the store looks again as it removes it: only what has
ended long enough ago goes, and only if the tables know all that the journal says of it
(`engine.caught_up`). So a start never finds events of a run that has gone and the rows lack.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Expiry(Struct):
    """What is to go with one commit."""

    run_ids: tuple[str, ...] = ()
    ended_before: Mapping[str, int] = field(default_factory=dict)
    """By state: what ended later stays."""
    key_ids: tuple[str, ...] = ()
    """Expired runs whose keys are forgotten."""
    keys_before: int = 0
    """Those that ended later stay."""
    gone: int = 0
    """How many runs or keys went, once it is made."""
