"""Clients and tokens, as they are asked for and shown. `docs/reference/protocol.md` §7."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.core.access.token import Role
from engine.core.text.redaction import RULES_MAX
from engine.wire.submit import CLIENT_PATTERN, Url

DAY_MS = 86_400_000
TOKEN_LIFETIME_MS_MAX = 3_650 * DAY_MS
OVERLAP_MS = DAY_MS
"""How long the secret before a rotation is good, unless it is said."""
OVERLAP_MS_MAX = 30 * DAY_MS
TARGETS_MAX = 100
"""Of one client."""
Rules = Annotated[tuple[str, ...], Meta(max_length=RULES_MAX)]
"""Names of headers, and JSON pointers."""
Name = Annotated[str, Meta(pattern=CLIENT_PATTERN)]
Lifetime = Annotated[int, Meta(ge=1, le=TOKEN_LIFETIME_MS_MAX)]


class ClientRequest(
    Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True
):
    """A client that is to be known."""

    name: Name
    targets: Annotated[tuple[Url, ...], Meta(max_length=TARGETS_MAX)]
    """URLs that those of its steps begin with."""
    private_targets: bool = False
    """Whether names with a dot may have private addresses."""
    steps_need_parent: bool | None = None
    """None: as the engine's setting says."""
    pause_others: bool = False
    """Whether it may be the first one while runs of other names are open, which pauses them."""
    redact: Rules = ()
    """What of its bodies people are not shown: names of headers, and JSON pointers."""


class TargetsRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Another list of targets for a client that is known."""

    add: Annotated[tuple[Url, ...], Meta(max_length=TARGETS_MAX)] = ()
    remove: Annotated[tuple[Url, ...], Meta(max_length=TARGETS_MAX)] = ()
    private_targets: bool | None = None
    """None: as before."""


class RedactRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Other rules for what of a client's bodies people are not shown."""

    add: Rules = ()
    remove: Rules = ()


class ClientRow(Struct, frozen=True, rename="camel"):
    """A client as it is known."""

    name: str
    targets: tuple[str, ...]
    private_targets: bool
    steps_need_parent: bool | None
    disabled: bool
    defined_in: str | None
    """The file that defines it; null: it was added by a command."""
    signing_secrets: int = 0
    """With how many secrets each of its calls is signed."""
    redact: tuple[str, ...] = ()
    """What of its bodies people are not shown."""


class SigningRemoval(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A signing secret that is to be used no more: the older of two."""

    last: bool = False
    """Whether it may be the only one: then calls are not signed."""


class SigningAnswer(Struct, frozen=True, rename="camel"):
    """A signing secret that was made."""

    client: ClientRow
    secret: str
    """As Standard Webhooks writes it, shown this once."""

    def __repr__(self) -> str:
        return f"SigningAnswer({self.client!r}, <secret>)"


class ClientList(Struct, frozen=True, rename="camel"):
    """All clients, by name."""

    clients: tuple[ClientRow, ...]


class TokenRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A token that is to be made."""

    name: Name
    role: Role
    client: Name | None = None
    """The only client that it is good for: a must for `submit`, not possible for `admin`."""
    expires_in_ms: Lifetime | None = None
    """None: it does not run out."""


class RotateRequest(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A token that gets another secret."""

    overlap_ms: Annotated[int, Meta(ge=0, le=OVERLAP_MS_MAX)] = OVERLAP_MS
    """How long the one before is good beside it."""
    expires_in_ms: Lifetime | None = None
    """From now on; None: as before."""


class TokenRow(Struct, frozen=True, rename="camel"):
    """A token as it is known: without its secret, which nobody has but who was shown it."""

    name: str
    role: Role
    client: str | None
    expires_at: str | None
    old_secret_until: str | None
    """Until when the secret before the last rotation is good too."""
    defined_in: str | None
    """The file that defines it; null: it was made by a command."""
    last_used_at: str | None = None
    """In the list: when it was last used; null: not since the engine started."""
    old_secret_used_at: str | None = None
    """The same of the secret before the last rotation."""
    expired: bool = False
    """In the list: whether it has run out."""


class TokenList(Struct, frozen=True, rename="camel"):
    """All tokens, by name."""

    tokens: tuple[TokenRow, ...]


class MadeToken(Struct, frozen=True, rename="camel"):
    """A token and its secret, which is shown this once."""

    token: TokenRow
    secret: str

    def __repr__(self) -> str:
        return f"MadeToken({self.token!r}, <secret>)"


class TokenAnswer(Struct, frozen=True, rename="camel"):
    """What was made."""

    made: MadeToken
    admin: MadeToken | None
    """Made before it, as from then on every request needs a token and there was none that could
    make others."""


class ClientAnswer(Struct, frozen=True, rename="camel"):
    """What was made."""

    client: ClientRow
    made: MadeToken
    """To post as this client."""
    admin: MadeToken | None
    """As of a token."""


class NoMembers(Struct, frozen=True, forbid_unknown_fields=True):
    """What says all by its address."""


TOKEN_REFUSED, RESTORE = "token refused", "restore"
BACKUP_MADE, BACKUP_FAILED = "backup made", "backup failed"
"""What the audit calls what is no route's act."""


class AuditRow(Struct, frozen=True, rename="camel"):
    """One act of a person, or refusals of tokens of one kind."""

    id: str
    at: str
    actor: str
    """The token's name, with what was claimed in parentheses; without tokens the claim."""
    address: str | None
    """Where it came from; null: it was done in the file, or who asked had gone."""
    act: str
    """What was done, in the words of the command; `token refused`."""
    what: str
    """What it was done to."""
    detail: str
    """The rest of what was asked, as JSON without bodies; of a refusal why."""
    status: int | None
    """What was answered; null: not known, as the engine ended meanwhile, or who asked had gone."""
    problem: str | None
    count: int
    """So many refusals; else 1."""
    client: str | UnsetType = UNSET
    """Told, as the two below, of an act on a run or a step that was known when it was asked for."""
    workflow_name: str | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    step_name: str | UnsetType = UNSET
    """Told of an act on one step. With its `stepKey` where it was given one."""


class AuditPage(Struct, frozen=True, rename="camel"):
    """A page of the audit, newest first."""

    entries: tuple[AuditRow, ...]
    next: str | None
    """The cursor of the next page; null: this is the last."""
