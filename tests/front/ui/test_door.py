"""Whose a request is, by its cookie."""

from __future__ import annotations

from unittest import mock

import pytest

from engine.core.access.token import Role
from engine.front.access.wrong import TRIES_MAX
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders
from engine.front.ui.login import Door

GOOD, ANOTHER, MADE_UP = "g" * 43, "a" * 43, "m" * 43


def door() -> tuple[Door, mock.Mock]:
    """A door that knows two logins, and its site."""
    site = mock.Mock(base="/ui", is_secure=False)
    site.page = mock.AsyncMock(return_value=Reply(200, (), b""))
    front = site.front
    front.file_id, front.config.public_url = "0123456789", None
    front.logins.token_of = {GOOD: "a token", ANOTHER: "a token"}.get
    front.logins.begin = mock.AsyncMock(return_value=GOOD)
    front.logins.end = mock.AsyncMock()
    return Door(site), site


def sent(*cookies: str) -> RawHeaders:
    """A head with these."""
    return tuple((b"cookie", f"a=b; atomic-01234567={it}".encode()) for it in cookies)


@pytest.mark.parametrize(("cookie", "is_somebody"), [(GOOD, True), (MADE_UP, False)])
def test_only_a_good_login_is_somebody(cookie: str, is_somebody: bool) -> None:
    """Who makes cookies up has no more streams than without: they are their token's, or their
    address's."""
    whose = door()[0].whose(sent(cookie))
    assert (whose is not None) is is_somebody
    assert cookie not in (whose or "")


@pytest.mark.parametrize(
    ("cookies", "is_in"),
    [
        ((GOOD, GOOD), True),
        ((GOOD, MADE_UP), True),
        ((MADE_UP, GOOD), True),
        ((GOOD, ANOTHER), False),
        ((ANOTHER, GOOD), False),
    ],
)
def test_of_two_logins_neither_is_taken(cookies: tuple[str, str], is_in: bool) -> None:
    """Another page of the host may have set one of them, so that a person looks with a login that
    is not theirs. What is no good login keeps nobody out."""
    its = door()[0]
    assert (its.logged_in(sent(*cookies)) is not None) is is_in
    assert (its.whose(sent(*cookies)) is not None) is is_in
    one_head = ((b"cookie", b"; ".join(value for _, value in sent(*cookies))),)
    assert (its.logged_in(one_head) is not None) is is_in


async def test_who_has_two_logins_is_told_so_and_ends_both() -> None:
    """By logging in, and out."""
    its, site = door()
    await its.ask_for("/ui", sent(GOOD))
    assert site.page.call_args.args[2]["why"] == ""
    await its.ask_for("/ui", sent(GOOD, ANOTHER))
    assert "two logins" in site.page.call_args.args[2]["why"]
    form, own = b"token=atomic_x&next=%2Fui", (b"origin", b"http://localhost")
    site.front.registry.token_by_digest.return_value = mock.Mock(role=Role.READ)
    assert (await its.log_in((own, *sent(GOOD, ANOTHER)), form, None)).status == 303
    await its.log_out(sent(ANOTHER, GOOD), "GET")
    ended = [call.args[0] for call in site.front.logins.end.call_args_list]
    assert [sorted(ended[:2]), sorted(ended[2:])] == 2 * [sorted((GOOD, ANOTHER))]


async def test_a_code_that_was_shown_while_nobody_is_let_in_is_used_up() -> None:
    """It stands in an address then, and what stood in one is good for nothing."""
    now = [0]
    site = door()[1]
    site.front.clock.steady_ms = lambda: now[0]
    site.front.clock.token_bytes = lambda count: b"k" * count
    its, front = Door(site), site.front

    async def status_of(code: str) -> int:
        return (await its.enter((), code, "10.0.0.1")).status

    for _ in range(TRIES_MAX):
        await status_of("x")
    now[0] = 30_000
    _, _, code = its.link(()).path.partition("=")
    await status_of(code)
    now[0] = 60_001  # the code is not old yet, and tries are heard again
    await status_of(code)
    front.logins.begin.assert_not_called()
    _, _, another = its.link(()).path.partition("=")
    assert await status_of(another) == 303
    front.logins.begin.assert_called_once()
