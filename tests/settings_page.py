"""Settings and the members of a client as `docs/reference/configuration.md` has them."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from engine.process.config import Config
from engine.process.environment import ENVIRONMENT_PREFIX
from engine.registry.members import ClientMembers, LimitMembers


class Setting(Struct, frozen=True):
    """What there is to know of one setting."""

    name: str
    type: str
    default: Any
    doc: str

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper()


def settings(of: type[Struct] = Config) -> tuple[Setting, ...]:
    """Every setting in the order of `Config`, or every member of another struct that says as
    much."""
    hints = get_type_hints(of, include_extras=True)
    defaults = {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else {}
        for field in msgspec.structs.fields(of)
    }
    found = []
    for name in of.__struct_fields__:
        doc = next(m.description for m in hints[name].__metadata__ if m.description)
        found.append(Setting(name, _type_text(hints[name]), defaults[name], doc))
    return tuple(found)


def settings_table() -> str:
    """The settings as a Markdown table: the body of `docs/reference/configuration.md`."""
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for it in settings():
        default = "none" if it.default in ((), None, {}) else f"`{_value_text(it.default)}`"
        rows.append(f"| `{it.name}` | {it.type} | {default} | {it.doc} |")
    return "\n".join(rows) + "\n"


def members_table() -> str:
    """The members of a client, and of its table `limits`."""
    rows = ["| member | type | meaning |", "|---|---|---|"]
    rows += [f"| `{it.name}` | {it.type} | {it.doc} |" for it in settings(ClientMembers)]
    rows += [f"| `limits.{it.name}` | {it.type} | {it.doc} |" for it in settings(LimitMembers)]
    return "\n".join(rows) + "\n"


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)


def _type_text(hint: Any) -> str:
    base, bounds = hint.__origin__, [m for m in hint.__metadata__ if m.ge is not None]
    while get_origin(base) in (UnionType, Union) or hasattr(base, "__metadata__"):
        if hasattr(base, "__metadata__"):
            bounds += [m for m in base.__metadata__ if m.ge is not None]
            base = base.__origin__
        else:
            base = get_args(base)[0]  # the other is None
    if get_origin(base) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(base))
    if get_origin(base) is dict:
        return "tables"
    if get_origin(base) is tuple:
        return "list of strings"
    if base is bool:
        return "`true` or `false`"
    if base in (int, float):
        word = "integer" if base is int else "number"
        return f"{word}, {_value_text(bounds[0].ge)} to {_value_text(bounds[0].le)}"
    return "table" if issubclass(base, Struct) else "string"
