"""Files of secrets: tokens and signing secrets, one a line.

No error repeats what stands in them: a log is read by many.
"""

from __future__ import annotations

import base64
import re
from binascii import Error as BadBase64
from collections.abc import Iterator
from pathlib import Path

from engine.core.access.token import Role, Token
from engine.process.toml import ConfigError
from engine.registry.look import Look
from engine.registry.registry import TOKEN_PREFIX, digest_of

TOKEN_CHARACTERS_MIN = 43
"""After the prefix: 256 bits in base64 without padding."""
TOKEN_CHARACTERS_MAX = 512
DIFFERENT_MIN = 8
"""So many different characters: `atomic_xxxx…` of an example is no secret."""
TOKENS_MAX = 100
"""Of one file: each is valid, and a forgotten one should be seen."""
_TOKEN = re.compile(rf"{TOKEN_PREFIX}(?P<chance>[A-Za-z0-9._~+/=-]+)")

SIGNING_PREFIX = "whsec_"
SIGNING_BYTES_MIN, SIGNING_BYTES_MAX = 24, 64
"""Standard Webhooks, "Signature scheme": 24 to 64 random bytes."""
SIGNING_BYTES = 32
"""Of one that is made here: as its own examples have."""
SIGNING_SECRETS_MAX = 2
"""The new one and the old, while a client changes from one to the other."""
NAME_CHARACTERS_MAX = 64
"""Of a token, which stands as actor in the record of what was done."""


def read_tokens(
    look: Look, path: Path, role: Role, client: str | None, *, named: str
) -> list[Token]:
    """The tokens of a file. `named`: the member or setting that names the file. Raises ConfigError.

    A token is called by its client, or its role, and the first eight digits of its SHA-256: so it
    keeps its name when lines come before it.
    """
    found: dict[bytes, Token] = {}
    for number, line in _lines(look, path, named):
        _check_token(line, f"{path}: line {number}")
        digest = digest_of(line)
        end = f".{digest.hex()[:8]}"
        name = (client or role)[: NAME_CHARACTERS_MAX - len(end)] + end
        found[digest] = Token(name, digest, role, client, defined_in=str(path))
    if not found:
        raise ConfigError(f"{path}: has no token. {_HOW_TO_MAKE}")
    if len(found) > TOKENS_MAX:
        raise ConfigError(f"{path}: has {len(found)} tokens; the limit is {TOKENS_MAX}")
    return list(found.values())


_HOW_TO_MAKE = 'One is made by: echo "atomic_$(openssl rand -hex 32)"'


def _check_token(line: str, place: str) -> None:
    token = _TOKEN.fullmatch(line)
    if token is None:
        raise ConfigError(f"{place}: is no token: they begin with `atomic_`. {_HOW_TO_MAKE}")
    chance = token["chance"]
    if not TOKEN_CHARACTERS_MIN <= len(chance) <= TOKEN_CHARACTERS_MAX:
        raise ConfigError(
            f"{place}: a token has {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX} characters"
            f" after `atomic_`, and this has {len(chance)}. {_HOW_TO_MAKE}"
        )
    if len(set(chance)) < DIFFERENT_MIN:
        raise ConfigError(f"{place}: is no secret, but the same over and over. {_HOW_TO_MAKE}")


def read_signing_secrets(look: Look, path: Path, *, named: str) -> tuple[bytes, ...]:
    """The keys of a file. Raises ConfigError."""
    found = [_key_of(line, f"{path}: line {at}") for at, line in _lines(look, path, named)]
    keys = tuple(dict.fromkeys(found))
    if not 1 <= len(keys) <= SIGNING_SECRETS_MAX:
        raise ConfigError(
            f"{path}: has {len(keys)} signing secrets; it takes one, or while it changes the new"
            f" one and the old. {_HOW_TO_MAKE_A_KEY}"
        )
    return keys


_HOW_TO_MAKE_A_KEY = 'One is made by: echo "whsec_$(openssl rand -base64 32)"'


def _key_of(line: str, place: str) -> bytes:
    try:
        key = base64.b64decode(line.removeprefix(SIGNING_PREFIX), validate=True)
    except (BadBase64, ValueError):
        key = b""
    is_one = SIGNING_BYTES_MIN <= len(key) <= SIGNING_BYTES_MAX
    if not line.startswith(SIGNING_PREFIX) or not is_one:
        raise ConfigError(
            f"{place}: is no signing secret: `whsec_` and the base64 of {SIGNING_BYTES_MIN} to"
            f" {SIGNING_BYTES_MAX} random bytes. {_HOW_TO_MAKE_A_KEY}"
        )
    return key


def signing_secret(key: bytes) -> str:
    """A key as such a file, and Standard Webhooks, have it."""
    return SIGNING_PREFIX + base64.b64encode(key).decode("ascii")


def _lines(look: Look, path: Path, named: str) -> Iterator[tuple[int, str]]:
    """With their numbers; without blank ones and those that begin with `#`."""
    if path.name.startswith((TOKEN_PREFIX, SIGNING_PREFIX)):
        raise ConfigError(
            f"{named}: is the secret itself. Write it to a file that others cannot read, and name"
            " that file here"
        )
    yield from look.secret_lines(path, named=named)
