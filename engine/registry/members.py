"""What a file says of one client: its members, and the client that they make."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.core.access.client import Client, ClientLimits
from engine.core.access.token import Role, Token
from engine.core.target import BadTarget, normalise_prefix
from engine.core.text.redaction import RULES_MAX, BadRule, check_rule
from engine.core.text.secrets import without_secrets
from engine.process.config import Config, Count, FilePath, path_from, shown
from engine.process.toml import ConfigError, TomlFile, resembling
from engine.registry.look import Look
from engine.registry.secrets import read_signing_secrets, read_tokens

TARGETS_MAX = 1_000


def _doc(text: str) -> Meta:
    return Meta(description=text)


class LimitMembers(Struct, frozen=True):
    """`limits` of a client; what is not set has no limit."""

    new_runs_per_s: Annotated[Annotated[float, Meta(ge=0.01, le=1_000_000)] | None, _doc(
        "Runs that it may open in a second, over a longer time. Posts for open runs are never"
        " refused by a rate."
    )] = None  # fmt: skip
    open_runs_max: Annotated[Count | None, _doc(
        "Runs of it that may be open at once: of any state but completed, failed and cancelled."
    )] = None  # fmt: skip
    in_flight_max: Annotated[Count | None, _doc(
        "Calls of its steps that may be in flight at once, at all hosts together. As everywhere, a"
        " function is not counted while a post of it hangs. What is over it waits in its turn."
    )] = None  # fmt: skip
    waiting_callers_max: Annotated[Count | None, _doc(
        "Callers of it that may wait at once: for outcomes, without functions that wait for their"
        " steps, and event streams of tokens that are bound to it. Each holds one of"
        " `connections_max`."
    )] = None  # fmt: skip
    memory_share: Annotated[Annotated[float, Meta(ge=0.01, le=1)] | None, _doc(
        "Part of `memory_bytes_max` that its bodies above 16 KiB may take: 0.25 is a quarter. One"
        " alone may be larger."
    )] = None  # fmt: skip


class ClientMembers(Struct, frozen=True):
    """Members of a client."""

    targets: Annotated[Annotated[tuple[str, ...], Meta(max_length=TARGETS_MAX)], _doc(
        "URLs under which its steps may be called: prefixes of whole path segments,"
        ' `["http://billing:9000/", "https://api.example/hooks"]`. Without any, nothing of it may'
        " be called."
    )] = ()  # fmt: skip
    private_targets: Annotated[bool, _doc(
        "Whether host names with a dot may have private addresses. IP addresses and names without"
        " a dot in `targets` may without it."
    )] = False  # fmt: skip
    token_file: Annotated[FilePath, _doc(
        "File of its tokens of the role `submit`, one a line. All of them are valid."
    )] = None  # fmt: skip
    signing_secret_file: Annotated[FilePath, _doc(
        "File of the secret that calls of its steps are signed with: `whsec_` and the base64 of"
        " 24 to 64 random bytes. Two lines, the new one and the old: signed with both."
    )] = None  # fmt: skip
    ca_file: Annotated[FilePath, _doc(
        "File of certificates (PEM) that its targets are trusted by, besides the system's."
    )] = None  # fmt: skip
    steps_need_parent: Annotated[bool | None, _doc(
        "As the setting of that name, for this client; without it the setting holds."
    )] = None  # fmt: skip
    redact: Annotated[Annotated[tuple[str, ...], Meta(max_length=RULES_MAX)], _doc(
        "What of its payloads and answers people are not shown: JSON pointers, with `*` for every"
        ' item or member, and names of headers, `["/card/number", "/items/*/iban", "X-Api-Key"]`.'
        " [Hide what is secret](../how-to/redact.md)."
    )] = ()  # fmt: skip
    disabled: Annotated[bool, _doc(
        "Its posts are refused (403), those for open runs too. It stays known, and what was"
        " recorded is called and read as before."
    )] = False  # fmt: skip
    limits: Annotated[LimitMembers, _doc("A table of what it may take: below.")] = LimitMembers()


Members = TypeVar("Members", ClientMembers, LimitMembers)


def read_client(
    look: Look, name: str, file: TomlFile, directory: Path, *tables: str
) -> tuple[Client, tuple[Token, ...]]:
    """The client that the members of a file, or of a table in it, define, with its tokens. Raises
    ConfigError.

    `directory`: where relative paths begin.
    """
    table: Any = file.members
    for key in tables:
        table = table[key]
    found = _members(ClientMembers, table, file, tables)

    def path_of(member: str) -> tuple[Path | None, str]:
        path = getattr(found, member)
        return None if path is None else path_from(directory, path), file.place(*tables, member)

    tokens: list[Token] = []
    path, named = path_of("token_file")
    if path is not None:
        tokens = read_tokens(look, path, Role.SUBMIT, name, named=named)
    secrets: tuple[bytes, ...] = ()
    path, named = path_of("signing_secret_file")
    if path is not None:
        secrets = read_signing_secrets(look, path, named=named)
    path, named = path_of("ca_file")
    if path is not None:
        check_certificates(look, path, named)
    client = Client(
        name,
        targets=_targets(found.targets, file.place(*tables, "targets")),
        private_targets=found.private_targets,
        steps_need_parent=found.steps_need_parent,
        signing_secrets=secrets,
        ca_file=None if path is None else str(path),
        redact=_rules(found.redact, file.place(*tables, "redact")),
        limits=msgspec.convert(found.limits, ClientLimits, from_attributes=True),
        disabled=found.disabled,
        defined_in=file.name,
    )
    return client, tuple(tokens)


def _members(
    kind: type[Members], table: Mapping[str, Any], file: TomlFile, tables: tuple[str, ...]
) -> Members:
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for name, value in table.items():
        place = file.place(*tables, name)
        if name not in hints:
            raise ConfigError(f"{place}: {_why_unknown(name, value, tuple(hints), tables)}")
        if name == "limits" and isinstance(value, dict):
            values[name] = _members(LimitMembers, value, file, (*tables, name))
            continue
        try:
            values[name] = msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            raise ConfigError(f"{place}: {without_secrets(shown(value))}: {error}") from error
    return kind(**values)


def _why_unknown(name: str, value: object, known: tuple[str, ...], tables: tuple[str, ...]) -> str:
    """What is wrong with a member that there is not. Its value may be a secret: it is not told."""
    lower = name.lower()
    if "file" not in lower and any(word in lower for word in ("token", "secret", "password")):
        its = "signing_secret_file" if "sign" in lower or "secret" in lower else "token_file"
        return (
            "secrets stand in files of their own: write it to one that others cannot read, and name"
            f" that one as `{its}`"
        )
    if (near := resembling(name, known)) is not None:
        return f"unknown member; did you mean `{near}`?"
    if name == "clients" and not tables:
        return "in a file of its own a client's members stand at the top level"
    if isinstance(value, dict) and tables:
        return f'unknown member; a client with a dot in its name is `["{tables[-1]}.{name}"]`'
    if name in Config.__struct_fields__:
        return "is a setting, and stands before the first table of the settings file"
    return f"unknown member; there are {', '.join(known)}"


def _targets(urls: tuple[str, ...], place: str) -> tuple[str, ...]:
    found = []
    for url in urls:
        try:
            found.append(normalise_prefix(url))
        except BadTarget as error:
            raise ConfigError(f"{place}: {without_secrets(shown(url))} {error}") from error
    return tuple(dict.fromkeys(found))


def _rules(rules: tuple[str, ...], place: str) -> tuple[str, ...]:
    for rule in rules:
        try:
            check_rule(rule)
        except BadRule as error:
            raise ConfigError(f"{place}: {shown(rule)} {error}") from error
    return tuple(dict.fromkeys(rules))


def check_certificates(look: Look, path: Path, named: str) -> None:
    """That a file has certificates, in PEM. `named`: the member or setting that names it. Raises
    ConfigError."""
    text = look.text(path, named=named)
    look.check_unwritable(path)
    plain = text.encode("ascii", "replace").decode()  # names of authorities, in comments
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=plain)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{path}: has no certificates in PEM") from error
