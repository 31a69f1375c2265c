"""Lines of a recording, edited at random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

RECORDED = Path(__file__).parents[2] / "docs/pictures/shop.ndjson"
LINES = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()[1:]]
NUMBERS = [0, -1, 1, 2**63, 2**64, 10**20, 10**400, -(10**400), 1.5, 1e308, -1e308, 5e-324]
TEXTS = [
    "", "x", ".", "漢" * 4_096, "\x1b]52;c;x\x07", "\x9b31m", "\u202eabc", "[/red]", "+rest",
    "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "2026-09-21T14:13:20.050Z", "paused",
    "backing-off", "state of a later engine",
]  # fmt: skip
OTHERS = ["null", "true", "[]", "{}", "[[]]", "[null]", '{"a": 1}']


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value: what holds it, and its key there."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def edited(random: Random, line: Any) -> bytes:
    """A line with some of its members others: mostly of the same type, which passes for longer."""
    line = json.loads(json.dumps(line))
    for _ in range(random.choice([1, 2, 4, 8])):
        found = list(places(line["input"]))
        holder, key = random.choice(found)
        kind = random.random()
        if kind < 0.1 and isinstance(holder, dict):
            del holder[key]
        elif kind < 0.2:
            other, at = random.choice(found)
            holder[key] = json.loads(json.dumps(other[at]))
        elif kind < 0.9 and type(holder[key]) in (int, float):
            holder[key] = random.choice(NUMBERS)
        elif kind < 0.9 and isinstance(holder[key], str):
            holder[key] = random.choice(TEXTS)
        else:
            holder[key] = json.loads(random.choice(OTHERS))
        if not line["input"]:
            break
    return json.dumps(line).encode()
