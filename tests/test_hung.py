"""A test that waits for what never comes fails, while its own clock stands still."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests import hung


async def test_what_hangs_fails(mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """In real time, and says where; what ends by itself is left alone, and its error is its own."""
    with hung.not_hung():
        await trio.lowlevel.checkpoint()
    with pytest.raises(KeyError), hung.not_hung():
        raise KeyError("its own")
    monkeypatch.setattr(hung, "HUNG_S", 0.01)
    with pytest.raises(AssertionError, match=r"for 0\.01 s: it hangs at the third step"):
        with hung.not_hung(lambda: "at the third step"):
            await trio.sleep_forever()
