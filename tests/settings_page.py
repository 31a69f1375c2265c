"""The settings as `docs/reference/configuration.md` has them, made from `Config`."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from engine.process.config import ENVIRONMENT_PREFIX, Config


class Setting(Struct, frozen=True):
    """What there is to know of one setting."""

    name: str
    type: str
    default: str | int | bool | tuple[str, ...]
    doc: str

    @property
    def environment(self) -> str:
        """The name of its environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper()


def settings() -> tuple[Setting, ...]:
    """Every setting in the order of `Config`."""
    hints = get_type_hints(Config, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(Config)}
    found = []
    for name in Config.__struct_fields__:
        doc = next(m.description for m in hints[name].__metadata__ if m.description)
        found.append(Setting(name, _type_text(hints[name]), defaults[name], doc))
    return tuple(found)


def settings_table() -> str:
    """The settings as a Markdown table: the body of `docs/reference/configuration.md`."""
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for it in settings():
        default = f"`{_value_text(it.default)}`" if it.default != () else "none"
        rows.append(f"| `{it.name}` | {it.type} | {default} | {it.doc} |")
    return "\n".join(rows) + "\n"


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)


def _type_text(hint: Any) -> str:
    bounds = [(m.ge, m.le) for m in hint.__metadata__ if m.ge is not None]
    base = hint.__origin__
    if get_origin(base) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(base))
    if get_origin(base) is tuple:
        return "list of strings"
    if base is bool:
        return "`true` or `false`"
    if base is int:
        low, high = bounds[0]
        return f"integer, {_value_text(low)} to {_value_text(high)}"
    return "string"
