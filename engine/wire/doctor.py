"""What `atomic doctor` is told: one line for each thing that was looked at."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How grave it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and will not always."""
    FAIL = "fail"
    """What is promised does not hold, or something does not work now."""


class Finding(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    what: str
    todo: str = ""
    """What to do, where something is."""


class DoctorAnswer(Struct, frozen=True, rename="camel"):
    """What was looked at, in its order."""

    findings: tuple[Finding, ...]
