"""Codes that stand for a token once, for a minute."""

from __future__ import annotations

from itertools import count

import pytest

from engine.front.access.codes import CODES_MAX, CODES_OF_TOKEN_MAX, GOOD_MS, Codes

NOW = [0]


@pytest.fixture
def codes() -> Codes:
    numbers = count(1)
    NOW[0] = 0
    return Codes(lambda: NOW[0], lambda size: next(numbers).to_bytes(size))


@pytest.mark.parametrize(("passed_ms", "found"), [(GOOD_MS - 1, b"t"), (GOOD_MS, None)])
def test_a_minute_and_no_longer(codes: Codes, passed_ms: int, found: bytes | None) -> None:
    """And once."""
    code = codes.make(b"t")
    NOW[0] = passed_ms
    assert codes.take(code) == found
    assert codes.take(code) is None
    assert codes.take("another") is None


def test_one_beyond_ends_the_oldest(codes: Codes) -> None:
    """As many as there may be are good together."""
    made = [codes.make(b"%d" % n) for n in range(CODES_MAX + 1)]
    assert [codes.take(code) for code in made] == [None, *(b"%d" % n for n in range(1, 101))]


def test_one_token_ends_its_own_alone(codes: Codes) -> None:
    """Five of it are good together, whoever else has one."""
    another = codes.make(b"another")
    made = [codes.make(b"t") for _ in range(CODES_OF_TOKEN_MAX + 1)]
    assert [codes.take(code) for code in made] == [None, *[b"t"] * CODES_OF_TOKEN_MAX]
    assert codes.take(another) == b"another"
