"""Addresses as people write them, and what is shown of them."""

from __future__ import annotations

import pytest

from engine.ports.store import StoreError
from engine.store.postgres.wire import place_of


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:s3cret@db:5432/orders", "postgresql://ada@db:5432/orders"),
        ("postgres://ada:s3cret@db/orders?sslmode=require", "postgresql://ada@db/orders"),
        ("postgresql://a:b%40c@h1:1,h2:2/db", "postgresql://a@h1:1,h2:2/db"),
        ("postgresql://h1,h2:7/db?password=s3cret", "postgresql://h1,h2:7/db"),
        ("postgresql://u@[::1]:77/x", "postgresql://u@[::1]:77/x"),
        ("postgresql:///db?host=/run/pg&user=ada", "postgresql://ada@/db?host=/run/pg"),
        ("postgresql://", "postgresql:///"),
    ],
)
def test_a_place_is_shown_without_its_password(url: str, shown: str) -> None:
    """Whose, where, which; and nothing that opens it."""
    assert str(place_of(url)) == shown


@pytest.mark.parametrize(
    "url", ["sqlite:///a.db", "", "a.db", "postgresql:/x", "postgresql://u:s3cret@h:s3cret/x",
            "postgresql://u:s3cret@h/x?s3cret=1", "postgresql://u:s3cret@h/x?connect_timeout=s3cret"]
)  # fmt: skip
def test_what_is_none_is_refused_without_being_said_over(url: str) -> None:
    """What people should write is said; what they wrote may hold a password anywhere."""
    with pytest.raises(
        StoreError, match="postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    ) as refused:
        place_of(url)
    assert "s3cret" not in str(refused.value)


def test_words_that_hold_the_password_lose_it() -> None:
    """Whoever said them."""
    place = place_of("postgresql://ada:s3cret@db/orders")
    assert place.without_secrets("no:\n  s3cret is\twrong") == "no: (hidden) is wrong"


async def test_of_several_hosts_each_is_tried() -> None:
    """With what is said of all of them; names that nobody knows are left out."""
    place = place_of(
        "postgresql://ada@127.0.0.1:1,%2Frun%2Fpg,nohost.invalid:3/x?connect_timeout=9"
    )
    assert place.connect_s == 9
    tried = await place.attempts()
    assert [where for where, _ in tried] == ["127.0.0.1 (127.0.0.1)", "/run/pg"]
    assert b"hostaddr='127.0.0.1'" in tried[0][1]
    assert all(b"target_session_attrs='read-write'" in conninfo for _, conninfo in tried)


async def test_a_name_that_nobody_knows_is_named() -> None:
    """And not a number of the resolver's alone."""
    with pytest.raises(OSError, match=r"the name nohost\.invalid is not known"):
        await place_of("postgresql://nohost.invalid/x").attempts()
