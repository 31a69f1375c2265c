"""How a dashboard is started, and its file of settings: looks, keys, and engines by a name.

TOML, at `$XDG_CONFIG_HOME/atomic/dashboard.toml` (`~/.config` where that is not set), as the XDG
Base Directory Specification has it. What is said on the command line goes before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from engine.wire import ACTOR_CHARACTERS_MAX, ACTOR_PATTERN
from tui.keys import LISTS, BadKeys, remapped
from tui.text.redact import NAMES

NAME = Path("atomic") / "dashboard.toml"
SERVED_DRIVER = "tui.browser.served:ServedDriver"
"""In TEXTUAL_DRIVER: this dashboard is drawn in a browser (`browser/serve.py`)."""


class Options(Struct, frozen=True, kw_only=True):
    """What the command line said."""

    url: str
    board: str = "home"
    filter: str = "is:live"
    run: str = ""
    """The run to begin with, as `ID` or `ID#STEP`; empty: none."""
    read_only: bool = False
    ascii_only: bool = False
    slow_link: bool = False
    mouse: bool = True
    theme: str | None = None
    bell: bool = False
    """Ring when something begins to need a person."""
    actor: str | None = None
    """Who acts, for the record."""
    token_file: str = ""
    """Its first line is the token that the engine asks for; empty: none is sent."""
    keys: dict[str, str] = field(default_factory=dict)
    """Other keys, by the id of the command."""
    columns: dict[str, str] = field(default_factory=dict)
    """By board which columns are shown, and with a `-` before them which are not."""
    badge: str = ""
    """Stands in the top bar: which engine this is."""
    strict: bool = False
    """Every action is asked first."""
    redact: frozenset[str] = NAMES
    """Names whose values are never shown."""


class ConfigError(ValueError):
    """The file makes no sense; the message says where and why."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What may be said for all engines, and for one. As the options of the command line."""

    board: str | UnsetType = UNSET
    filter: str | UnsetType = UNSET
    read_only: bool | UnsetType = UNSET
    ascii: bool | UnsetType = UNSET
    mouse: bool | UnsetType = UNSET
    theme: str | UnsetType = UNSET
    bell: bool | UnsetType = UNSET
    slow_link: bool | UnsetType = UNSET
    actor: str | UnsetType = field(default=UNSET, name="as")
    """Who acts, for the record."""
    token_file: str | UnsetType = UNSET
    """Of the token that the engine asks for: `~/…`, or beside the file of settings."""


class Profile(Settings, frozen=True, kw_only=True):
    """An engine that has a name."""

    url: str
    badge: str = ""
    """Stands in the top bar, so that one engine is not taken for another."""
    strict: bool = False
    """Every action is asked first."""


class Config(Settings, frozen=True, kw_only=True):
    """The whole file."""

    keys: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)

    def said(self, profile: Profile | None) -> dict[str, str | bool]:
        """What the file says for an engine: its profile before the rest."""
        found: dict[str, str | bool] = {}
        for settings in (self, profile):
            if settings is not None:
                values = {name: getattr(settings, name) for name in Settings.__struct_fields__}
                found |= {name: value for name, value in values.items() if value is not UNSET}
        return found


def usual_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the file is looked for. A relative `XDG_CONFIG_HOME` does not count (XDG)."""
    home = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not home.is_absolute():
        home = Path(environment.get("HOME") or "~").expanduser() / ".config"
    return home / NAME


def read(path: Path) -> Config:
    """The settings in a file. Raises ConfigError, OSError."""
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=Config)
        remapped(config.keys)
        _check_values(config)
    except BadKeys as error:
        raise ConfigError(f"{path}, [keys]: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply") from error
    except (ValueError, msgspec.DecodeError) as error:  # of TOML also its bare ones
        raise ConfigError(f"{path}: {error}{_known(str(error))}") from error
    return config


def _check_values(config: Config) -> None:
    for where, settings in (("", config), *config.profiles.items()):
        place = f"profiles.{where}." if where else ""
        if settings.board is not UNSET and settings.board not in LISTS:
            known = ", ".join(sorted(LISTS))
            raise ConfigError(f"{place}board: there is no `{settings.board}`. There are {known}.")
        if settings.actor is not UNSET and not re.fullmatch(ACTOR_PATTERN, settings.actor):
            raise ConfigError(
                f"{place}as: {settings.actor!r} cannot say who acts: that takes 1 to"
                f" {ACTOR_CHARACTERS_MAX} printable ASCII characters, with no space at the ends."
            )


def _known(told: str) -> str:
    """Behind the complaint of a setting that there is not: those that there are."""
    if "unknown field" not in told:
        return ""
    kind = Profile if "profiles" in told else Config
    return f". There are {', '.join(kind.__struct_encode_fields__)}."
