"""Bugs in what tells one payload from another: `engine/core/text/fingerprint.py`."""

from __future__ import annotations

from engine.core.text import fingerprint
from tests.mutants.catalog import PROPERTY, Planting, plant

TYPES = "tests/core/test_fingerprint.py::test_one_fingerprint_exactly_for_one_value"


@plant("`true` and `1` in a payload have one fingerprint", by=(PROPERTY,), test=TYPES)
def true_taken_for_one(bug: Planting) -> None:
    bug.rewrite(
        fingerprint.canonical_value,
        "value = _decode(text)",
        'value = _decode(text.replace(b"true", b"1"))',
    )


@plant("`1` and `1.0` in a payload have two fingerprints", by=(PROPERTY,), test=TYPES)
def spelling_told_apart(bug: Planting) -> None:
    bug.rewrite(fingerprint._exact, "if isinstance(exponent, int) and", "if False and")


@plant(
    'an empty payload (`0`, `false`, `""`, `[]`) has the fingerprint of `null`',
    by=(PROPERTY,),
    test=TYPES,
)
def nothing_taken_for_null(bug: Planting) -> None:
    bug.rewrite(
        fingerprint.canonical_value, "value = _decode(text)", "value = _decode(text) or None"
    )
