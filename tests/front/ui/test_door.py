"""Whose a request is, by its cookie."""

from __future__ import annotations

from unittest import mock

import pytest

from engine.front.access.wrong import TRIES_MAX
from engine.front.server.reply import Reply
from engine.front.ui.login import Door

GOOD, MADE_UP = "g" * 43, "m" * 43


@pytest.mark.parametrize(("cookie", "is_somebody"), [(GOOD, True), (MADE_UP, False)])
def test_only_a_good_login_is_somebody(cookie: str, is_somebody: bool) -> None:
    """Who makes cookies up has no more streams than without: they are their token's, or their
    address's."""
    site = mock.Mock(base="/ui", is_secure=False)
    site.front.file_id = "0123456789"
    site.front.logins.token_of = {GOOD: "a token"}.get
    whose = Door(site).whose(((b"cookie", f"a=b; atomic-01234567={cookie}".encode()),))
    assert (whose is not None) is is_somebody
    assert cookie not in (whose or "")


async def test_a_code_that_was_shown_while_nobody_is_let_in_is_used_up() -> None:
    """It stands in an address then, and what stood in one is good for nothing."""
    now = [0]
    site = mock.Mock(base="/ui", is_secure=False)
    site.page = mock.AsyncMock(return_value=Reply(200, (), b""))
    front = site.front
    front.file_id, front.config.public_url = "0123456789", None
    front.clock.steady_ms = lambda: now[0]
    front.clock.token_bytes = lambda count: b"k" * count
    front.logins.begin = mock.AsyncMock(return_value=GOOD)
    door = Door(site)

    async def status_of(code: str) -> int:
        return (await door.enter((), code, "10.0.0.1")).status

    for _ in range(TRIES_MAX):
        await status_of("x")
    now[0] = 30_000
    _, _, code = door.link(()).path.partition("=")
    await status_of(code)
    now[0] = 60_001  # the code is not old yet, and tries are heard again
    await status_of(code)
    front.logins.begin.assert_not_called()
    _, _, another = door.link(()).path.partition("=")
    assert await status_of(another) == 303
    front.logins.begin.assert_called_once()
