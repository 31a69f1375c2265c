"""Whose a request is, by its cookie."""

from __future__ import annotations

from unittest import mock

import pytest

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
