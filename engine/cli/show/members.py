"""What an engine says of a member, in the words that were typed: `retry.backOff` is `--back-off`.

An engine knows its API alone, and names the member that will not do. Who typed a command sent it by
an option, or an argument, and looks for that.
"""

from __future__ import annotations

import re

import click

from engine.cli.show.text import count_text

_IRREGULAR = {
    "Atomic-Actor": ("--as",),
    "retry.backOff": ("--back-off",),
    "retry.maxBackOff": ("--back-off",),
    "retry.count": ("--retry-count",),
    "idempotencyKey": ("--key",),
    "workflowName": ("--workflow",),
    "stepInvokeUrl": ("URL",),
    "payload": ("--data", "--payload"),
    "q": ("--filter",),
    "reason": ("--text",),
    "sort": ("--oldest-first",),
    "ratePerS": ("--rate",),
    "expect": ("--yes",),
    "targets": ("--target",),
    "set": ("LIMIT=NUMBER...",),
    "expiresInMs": ("--expires",),
    "overlapMs": ("--overlap",),
    "retentionDays": ("--days",),
    "keysKeptDays": ("--keys-days",),
    "attempt": ("--attempt",),
}
"""Members whose option is not called as they are, or not everywhere. Any other `ifRev` is
`--if-rev`, or `IF_REV`."""
_DURATIONS = frozenset(
    {"retry.backOff", "retry.maxBackOff", "attemptTimeout", "timeout", "expiresInMs", "overlapMs"}
)
"""Milliseconds, which nobody types."""
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_MEMBER = r"`(?:\$\.)?([A-Za-z][\w.-]*)(?:\[\.\.\.\])?`"
_BEHIND = re.compile(
    rf"The [a-z ]+ is not valid: ((?:(?! is not valid: )[^`]|`\w+`)*?) - at {_MEMBER}"
)
_NAMED = re.compile(rf"(?:The member )?{_MEMBER}")
_LIMIT = re.compile(r"Expected `(int|str|array)`(?: of length)? ([<>])= (\d+)")


def in_options(text: str, command: click.Command) -> str:
    """The text, with the option or argument of the command in the place of each member that has
    one."""
    named: list[str] = []

    def replace(found: re.Match[str]) -> str:
        option = option_of(found[1], command)
        if option is None:
            return found[0]
        named.append(found[1])
        return option

    text = _NAMED.sub(replace, _BEHIND.sub(r"`\2` is not valid: \1", text))
    if not named:
        return text
    return _LIMIT.sub(lambda it: _limit(it[1], it[2], int(it[3]), named[0]), text)


def option_of(member: str, command: click.Command) -> str | None:
    """What of the command hands the member over; None: nothing that is typed."""
    kebab = re.sub(r"([A-Z])", lambda it: f"-{it[1].lower()}", member)
    wanted = (*_IRREGULAR.get(member, ()), f"--{kebab}", member.upper())
    has = {name: name for it in command.params for name in it.opts if name.startswith("--")}
    has |= {it.human_readable_name: it.human_readable_name for it in command.params
            if isinstance(it, click.Argument)}  # fmt: skip
    return next((has[it] for it in wanted if it in has), None)


def _limit(kind: str, sign: str, number: int, member: str) -> str:
    """`at most 1d`, `at least 1`, `at most 128 characters`."""
    least = "at most" if sign == "<" else "at least"
    if kind == "str":
        return f"{least} {count_text(number, 'character')}"
    if kind == "int" and member in _DURATIONS:
        unit, size = next((it for it in _UNITS if number and number % it[1] == 0), _UNITS[-1])
        return f"{least} {number // size}{unit}"
    return f"{least} {number:,}"
