"""How full the store is, to who asks: the status, and `atomic doctor`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine import wire
from engine.front.admin import doctor
from engine.front.api.figures import with_full, with_room
from engine.runs.store_room import StoreRoom
from engine.wire.doctor import Verdict

MAX = 1_000


class Store:
    """One that uses so much."""

    def __init__(self, used: int) -> None:
        self.used = used

    async def bytes_used(self) -> int:
        return self.used


async def room(used: int, bytes_max: int = MAX) -> StoreRoom:
    """As it stands after a look."""
    store: Any = Store(used)
    found = StoreRoom(store, bytes_max, lambda event, **values: None)
    if bytes_max:
        await found.look()
    return found


@pytest.mark.parametrize(
    ("used", "told", "verdict"),
    [
        (799, {}, Verdict.OK),
        (800, {"filling": True}, Verdict.WARN),
        (999, {"filling": True}, Verdict.WARN),
        (1_000, {"filling": True, "full": True}, Verdict.FAIL),
    ],
)
async def test_it_is_told_from_80_percent_on(
    used: int, told: dict[str, bool], verdict: Verdict
) -> None:
    """With the figures, at the limit and one below. Who sees one client is told only that new runs
    are refused, as their posts are."""
    it = await room(used)
    store = wire.StoreStatus()
    whole = msgspec.to_builtins(with_room(store, it))
    assert whole == {"available": True, "bytesUsed": used, "bytesMax": MAX} | told
    own = {"full": True} if "full" in told else {}
    assert msgspec.to_builtins(with_full(store, it)) == {"available": True} | own
    finding = doctor._room(it)
    assert finding is not None
    assert (finding.name, finding.verdict) == ("store room", verdict)
    assert f"{used:,} of 1,000 bytes (store_bytes_max)" in finding.what
    assert bool(finding.todo) is (verdict is not Verdict.OK)


async def test_without_a_limit_nothing_is_told() -> None:
    """Who sets nothing has what there was."""
    it = await room(1 << 40, 0)
    assert msgspec.to_builtins(with_room(wire.StoreStatus(), it)) == {"available": True}
    assert doctor._room(it) is None
