"""What redaction costs: of bodies that people look at, and of attempts that fail.

    python bench/redaction.py

For each shape of a body: calls of functions, Python's and C's, which no neighbour disturbs; the
processor's milliseconds of the process, the least of several rounds (a busy machine's are more, as
caches are shared); and the longest slice of it, as which it holds the loop up. `parsing` is what
`json.loads` takes for the same bytes, as a measure of the machine.

Attempts that fail are masked before they are recorded, in one go. Attempts that succeed, and
clients that hide nothing, pay a look at an attribute.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from engine.core.outcome import Answered
from engine.core.rules.redacted import redacted
from engine.core.text.redaction import Redaction, at_once

Steps = Generator[None, None, Any]
POINTERS = Redaction(["/card/number", "/items/*/iban"])
NAMES = Redaction(["X-Bank-Key", "iban"])
ROUNDS = 5
ROOM_S = 0.2
"""A round repeats small work for so long."""


def body(size: int) -> bytes:
    """About so many bytes: an order, each item of which has something to hide."""
    item = {"name": "a thing", "price": 12.5, "note": "n" * 40, "iban": "DE89370400440532013000"}
    count = max(1, size // len(json.dumps(item)))
    items = [item | {"iban": f"DE89{number:018}"} for number in range(count)]
    return json.dumps({"card": {"number": "4111111111111111"}, "items": items}).encode()


def few(size: int) -> bytes:
    """The same size with one value to hide."""
    told = ["x" * 60] * (size // 64)
    return json.dumps({"card": {"number": "4111111111111111"}, "told": told}).encode()


def calls_of(work: Callable[[], object]) -> int:
    """How many functions it calls."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count - 1  # `setprofile` itself


def milliseconds_of(work: Callable[[], object]) -> float:
    """The processor's time that it takes once, the least of some rounds."""
    least = float("inf")
    for _ in range(ROUNDS):
        times, began = 0, time.process_time()
        while not times or time.process_time() - began < ROOM_S:
            work()
            times += 1
        least = min(least, (time.process_time() - began) / times)
    return least * 1_000


def longest_of(make: Callable[[], Steps]) -> float:
    """Its longest slice, the least of some rounds, in milliseconds."""
    least = float("inf")
    for _ in range(ROUNDS):
        longest, steps = 0.0, make()
        while True:
            began = time.process_time()
            ended = next(steps, steps) is steps
            longest = max(longest, time.process_time() - began)
            if ended:
                break
        least = min(least, longest)
    return least * 1_000


def text_of(milliseconds: float) -> str:
    """With two digits that count."""
    return f"{float(f'{milliseconds:.2g}'):g} ms"


def row(what: str, data: bytes, make: Callable[[], Steps]) -> None:
    """One line of the table."""

    def work() -> None:
        at_once(make())

    times = (milliseconds_of(work), longest_of(make), milliseconds_of(partial(json.loads, data)))
    told = " | ".join(map(text_of, times))
    print(f"| {what} | {len(data):,} | {calls_of(work):,} | {told} |")


def main() -> None:
    """Print the table as the page has it."""
    print("| shown, of | bytes | calls | CPU | longest slice | parsing |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in (1_024, 16_384, 1_048_576):
        for what, data in (("one value hidden", few(size)), ("one in each item", body(size))):
            row(f"a payload, {what}", data, partial(POINTERS.shown, data, is_json=True))
        data = body(size)
        row("the same, by names", data, partial(NAMES.shown, data, is_json=True))
        values = at_once(POINTERS.values_in(few(size)))
        answer = few(size)
        row("an answer, with one value looked for", answer,
            partial(POINTERS.shown, answer, is_json=True, values=values))  # fmt: skip
    failed = Answered(402, b'{"error": "card 4111111111111111 declined"}', "application/json")
    print()
    print("| an attempt that fails, of a payload of | bytes | calls | CPU |")
    print("| --- | --- | --- | --- |")
    for size in (128, 1_024, 16_000):
        for what, payload in (("one value hidden", few(size)), ("one in each item", body(size))):
            work = partial(redacted, failed, POINTERS, payload)
            took = f"{calls_of(work):,} | {text_of(milliseconds_of(work))}"
            print(f"| {what} | {len(payload):,} | {took} |")


if __name__ == "__main__":
    main()
