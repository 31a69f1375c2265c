"""What reasons have in common: the pattern that causes are told apart by."""

from __future__ import annotations

import random
import string
import subprocess
import sys
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.text.pattern import LOOKED_AT_CHARACTERS_MAX, PATTERN_BYTES_MAX, pattern_of
from tests.core.answers import FRAMEWORKS, SERVICES, told

ONE = "order {} not found"
BASE_62 = string.ascii_letters + string.digits


@pytest.mark.parametrize(
    "particular",
    [
        "17", "4711", "-3", "1,234.50", "N6E1PK41",
        "A1234", "0x7f3a", "550e8400-e29b-41d4-a716-446655440000",
        "dddddddd-aaaa-4bbb-8ccc-eeeeeeeeeeee", "01M8JYHWXQPGFE8EQYW9QM12K5", "9f86d081884c7d65",
        "NffrFeUfNVHibcaZ", "V1StGXR8_Z5jdHi6B-myT", '"the blue one"', "'it's'",
        "`x y`", "“x y”", "«x»", "https://api.example.com/orders?of=ada", "ada@example.com",
        "10.0.0.5", "10.0.0.5:8080", "2001:db8::1", "2026-12-01T11:04:59.123Z",
        "2026-12-01 11:04:59,123", "12/1/2026 11:04:59 AM", "Tue, 01 Dec 2026 11:04:59",
        "Dec 1 11:04:59", "30000ms", "dGhpcyBpcyBhIHNlY3JldA==", "٣٤", "1, 2, 3", "***",
    ],
)  # fmt: skip
def test_what_differs_from_run_to_run_does_not_count(particular: str) -> None:
    """Numbers, ids, quoted texts, addresses, times."""
    assert pattern_of(ONE.format(particular)) == ONE.format("*")


@pytest.mark.parametrize(
    ("reason", "pattern"),
    [
        ("ORD-12345: out of stock", "ORD-*: out of stock"),
        ("ORD-7F3K2: out of stock", "ORD-*: out of stock"),
        ("app-6d4cf56db6-xkzwp is gone", "app-* is gone"),
        ("cus_3MqL2eZvKYlo2C", "cus_*"),
        ("ORDER_1234_NOT_FOUND", "ORDER_*_NOT_FOUND"),
        ("Key (email)=(ada lovelace) exists", "Key (email)=* exists"),
        ("psycopg2.errors.UniqueViolation: it", "*.errors.UniqueViolation: it"),
        ("Cannot POST /orders/17/items", "Cannot POST /orders/*/items"),
        ("订单17不存在", "订单*不存在"),
        ("items.0: Field required", "items.*: Field required"),
    ],
)
def test_words_beside_them_stay(reason: str, pattern: str) -> None:
    """Of what is joined the rest tells the fault."""
    assert pattern_of(reason) == pattern


@pytest.mark.parametrize(
    "reason",
    [
        "card_declined: insufficient funds", "can't be blank", "std::bad_alloc", "Bad::Face",
        "NoSuchBeanDefinitionException: x", "errno 111", "status 503", "HTTP 503 from it",
        "exit status 137", "error code: 1062", "SQLSTATE[42P01]: Undefined table", "E1001",
        "23505", '{"code":40001,"ok":false}', '{"reasonCode":"LIMIT"}', "Größe fehlt", "",
    ],
)  # fmt: skip
def test_what_tells_faults_apart_stays(reason: str) -> None:
    """Words, contractions, names with many capitals, and numbers that are said to be codes."""
    assert pattern_of(reason) == reason


def test_of_json_the_values_go() -> None:
    """Without names that tell a reason an answer is told whole."""
    first, second = '{"customer":"Ada","order":17}', '{"customer":"Bob B.","order":18}'
    assert pattern_of(first) == pattern_of(second) == '{"customer":*,"order":*}'


def test_what_is_quoted_whole_tells_by_its_words() -> None:
    """Else all such reasons were one."""
    assert pattern_of('"order 17 is gone"') == "order * is gone"


def test_where_it_was_cut_does_not_count() -> None:
    """An excerpt has more words the shorter its numbers are; one may end within a quotation."""
    text = "order {} could not be shipped as the warehouse did not know where it is kept at all, "
    cut = {pattern_of((text.format(n) + text)[:117] + "…") for n in (1, 12_345_678_901)}
    assert len(cut) == 1
    assert pattern_of("no file 'my ho…") == pattern_of("no file 'my home, an…") == "no file *"


def test_the_bound() -> None:
    """As many bytes as fit, in whole characters; one more is cut, and said to be."""
    fits = "ä" * (PATTERN_BYTES_MAX // 2)
    assert pattern_of(fits) == fits
    assert pattern_of(fits + "ä") == pattern_of(fits + "ü") == fits + "…"


REASONS = [told(case[3], case[2], case[1]) for case in FRAMEWORKS + SERVICES]


def test_of_answers_as_they_come_each_fault_stays_its_own() -> None:
    """No two of the frameworks' and services' reasons become one that were two."""
    apart = {reason for reason in REASONS if reason is not None}
    patterns = {pattern_of(reason) for reason in apart}
    assert len(apart) - len(patterns) <= 1  # two that say `no funds` in as many words
    assert all(any(c.isalpha() for c in pattern) for pattern in patterns)


@given(
    st.sampled_from([reason for reason in REASONS if reason]),
    st.integers(0, 10**12), st.integers(0, 10**12), st.uuids(), st.uuids(),
)  # fmt: skip
def test_other_numbers_are_the_same_pattern(
    reason: str, a: int, b: int, x: uuid.UUID, y: uuid.UUID
) -> None:
    """Whatever the reason: of another order it has the same pattern."""
    assert pattern_of(f"order {a} of {x}: {reason}") == pattern_of(f"order {b} of {y}: {reason}")


@given(st.text(max_size=300))
def test_it_is_bounded(text: str) -> None:
    """Whatever is answered."""
    pattern = pattern_of(text)
    assert len(pattern.encode()) <= PATTERN_BYTES_MAX + len("…".encode())


def test_five_hundred_orders_are_one() -> None:
    """However their ids are made."""
    makers = (
        lambda n: str(n * 7_919),
        lambda n: f"A{n:06}-{n % 7}",
        lambda n: str(uuid.UUID(int=random.Random(n).getrandbits(128), version=4)),
        lambda n: "".join(random.Random(n).choices(BASE_62, k=21)) + "7",
        lambda n: random.Random(n).randbytes(12).hex(),
    )
    for make in makers:
        assert {pattern_of(ONE.format(make(n))) for n in range(500)} == {ONE.format("*")}


@pytest.mark.parametrize(
    "piece",
    ['"', "'", "a'", "a.", "a@", "a-", "a_", "1:", ":", "{", '{"a":', "=(", "aA", "http://"],
)
def test_hostile_texts_take_time_by_their_length(piece: str) -> None:
    """And what is behind the bound is not looked at."""
    began = time.process_time()
    for _ in range(20):
        pattern_of(piece * 100_000)
    assert time.process_time() - began < 1
    assert pattern_of("x" * LOOKED_AT_CHARACTERS_MAX + "y") == pattern_of("x" * 999)


def test_it_is_the_same_in_every_process() -> None:
    """No hash that differs from start to start has a part in it, or filters would find nothing."""
    code = (
        "from engine.core.cause import cause_id;"
        "print(cause_id('402', 'http://a/', 'w', 's', 'order * has no funds'))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert said == {b"c5b19d47\n"}
