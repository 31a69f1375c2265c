"""`/api/v1/clients` and `/api/v1/tokens`: who may ask, and for whom. `protocol.md` §7."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from engine import wire
from engine.core.access.client import Client
from engine.core.access.token import Token
from engine.core.errors import Problem, Refused
from engine.core.target import BadTarget, normalise_prefix
from engine.core.text.redaction import RULES_MAX, BadRule, check_rule
from engine.core.text.times import maybe_rfc3339
from engine.front.asked import decode_asked
from engine.registry.changes import Changes, Made
from engine.registry.registry import Registry
from engine.wire import access

NAME = "letters, digits and ._- , at most 64, beginning with a letter or digit"
_decode_client = msgspec.json.Decoder(access.ClientRequest).decode
_decode_targets = msgspec.json.Decoder(access.TargetsRequest).decode
_decode_redact = msgspec.json.Decoder(access.RedactRequest).decode
_decode_removal = msgspec.json.Decoder(access.SigningRemoval).decode
_decode_token = msgspec.json.Decoder(access.TokenRequest).decode
_decode_rotate = msgspec.json.Decoder(access.RotateRequest).decode


def client_list(registry: Registry) -> access.ClientList:
    """All clients, by name."""
    return access.ClientList(tuple(client_row(it) for _, it in sorted(registry.clients.items())))


def token_list(registry: Registry, now: int) -> access.TokenList:
    """All tokens, by name."""
    rows = (
        replace(
            token_row(it, now),
            last_used_at=maybe_rfc3339(registry.used_at(it.digest)),
            old_secret_used_at=maybe_rfc3339(registry.used_at(it.rotated_digest)),
            expired=it.expires_at is not None and it.expires_at <= now,
        )
        for _, it in sorted(registry.tokens.items())
    )
    return access.TokenList(tuple(rows))


def client_row(client: Client) -> access.ClientRow:
    """A client without its secrets."""
    return access.ClientRow(
        name=client.name,
        targets=client.targets,
        private_targets=client.private_targets,
        steps_need_parent=client.steps_need_parent,
        disabled=client.disabled,
        defined_in=client.defined_in or None,
        signing_secrets=len(client.signing_secrets),
        redact=client.redact,
    )


def token_row(token: Token, now: int) -> access.TokenRow:
    """A token without what is kept of its secret."""
    overlap = token.rotated_until if token.rotated_until > now else None
    return access.TokenRow(
        name=token.name,
        role=token.role,
        client=token.client,
        expires_at=maybe_rfc3339(token.expires_at),
        old_secret_until=maybe_rfc3339(overlap),
        defined_in=token.defined_in or None,
    )


def _made(made: Made, now: int) -> access.MadeToken:
    return access.MadeToken(token_row(made.token, now), made.secret)


def _maybe_made(made: Made | None, now: int) -> access.MadeToken | None:
    return None if made is None else _made(made, now)


async def add_client(changes: Changes, body: bytes, actor: str, now: int) -> access.ClientAnswer:
    """`POST /api/v1/clients`. Raises Refused."""
    asked = decode_asked(body, _decode_client, "client", names_are=NAME)
    client = client_of(asked)
    made, admin = await changes.add_client(client, actor, pause_others=asked.pause_others)
    return access.ClientAnswer(client_row(client), _made(made, now), _maybe_made(admin, now))


def client_of(asked: access.ClientRequest) -> Client:
    """The client that is asked for. Raises Refused for a name or a target that cannot be one."""
    if asked.name in wire.NAMES_NOT_FREE:
        detail = f"The name {asked.name!r} is kept for the engine's own addresses: choose another."
        raise Refused(Problem.INVALID_REQUEST, detail, member="name")
    return Client(
        asked.name,
        _prefixes(asked.targets, "targets"),
        private_targets=asked.private_targets,
        steps_need_parent=asked.steps_need_parent,
        redact=_rules(asked.redact, "redact"),
    )


async def change_targets(changes: Changes, name: str, body: bytes, actor: str) -> access.ClientRow:
    """`POST /api/v1/clients/{name}/targets`. Raises Refused."""
    asked = decode_asked(body, _decode_targets, "change of targets", names_are=NAME)
    client = await changes.set_targets(
        name,
        actor,
        add=_prefixes(asked.add, "add"),
        remove=_prefixes(asked.remove, "remove"),
        private_targets=asked.private_targets,
        most=access.TARGETS_MAX,
    )
    return client_row(client)


async def change_redact(changes: Changes, name: str, body: bytes, actor: str) -> access.ClientRow:
    """`POST /api/v1/clients/{name}/redact`. Raises Refused."""
    asked = decode_asked(body, _decode_redact, "change of what is hidden", names_are=NAME)
    add = _rules(asked.add, "add")
    return client_row(
        await changes.set_redact(name, actor, add=add, remove=asked.remove, most=RULES_MAX)
    )


async def add_signing_secret(changes: Changes, name: str, actor: str) -> access.SigningAnswer:
    """`POST /api/v1/clients/{name}/secrets`. Raises Refused."""
    client, secret = await changes.add_signing_secret(name, actor)
    return access.SigningAnswer(client_row(client), secret)


async def remove_signing_secret(
    changes: Changes, name: str, body: bytes, actor: str
) -> access.ClientRow:
    """`POST /api/v1/clients/{name}/secrets/remove`. Raises Refused."""
    asked = decode_asked(body, _decode_removal, "removal") if body else access.SigningRemoval()
    return client_row(await changes.remove_signing_secret(name, actor, last=asked.last))


def _prefixes(texts: tuple[str, ...], member: str) -> tuple[str, ...]:
    found: list[str] = []
    for text in texts:
        try:
            found.append(normalise_prefix(text))
        except BadTarget as error:
            detail = f"The target {text[:200]!r} {error}."
            raise Refused(Problem.INVALID_REQUEST, detail, member=member) from error
    return tuple(dict.fromkeys(found))


def _rules(rules: tuple[str, ...], member: str) -> tuple[str, ...]:
    for rule in rules:
        try:
            check_rule(rule)
        except BadRule as error:
            detail = f"{rule[:200]!r} {error}."
            raise Refused(Problem.INVALID_REQUEST, detail, member=member) from error
    return tuple(dict.fromkeys(rules))


async def add_token(changes: Changes, body: bytes, actor: str, now: int) -> access.TokenAnswer:
    """`POST /api/v1/tokens`. Raises Refused."""
    asked = decode_asked(body, _decode_token, "token", names_are=NAME)
    made, admin = await changes.add_token(
        asked.name, asked.role, asked.client, asked.expires_in_ms, actor
    )
    return access.TokenAnswer(_made(made, now), _maybe_made(admin, now))


async def rotate_token(
    changes: Changes, name: str, body: bytes, actor: str, now: int
) -> access.TokenAnswer:
    """`POST /api/v1/tokens/{name}/rotate`. Raises Refused."""
    asked = decode_asked(body, _decode_rotate, "rotation") if body else access.RotateRequest()
    made = await changes.rotate_token(name, asked.overlap_ms, asked.expires_in_ms, actor)
    return access.TokenAnswer(_made(made, now), None)
