"""What looks like a secret in a text that people are shown, and is replaced before it is written.

A text is looked at as it stands, with no format in mind: it may be cut, or JSON within a string of
JSON. So of what cannot be told for sure rather more is replaced than less. Every repetition has a
bound: texts are somebody else's, and a pattern must not take longer than the text is long.
"""

from __future__ import annotations

import re

MASK = "***"
"""In the place of a secret, however long it was."""

_NAME = (
    r"pass(?:word|wd|phrase)|(?<![a-z])pass(?![a-z])|pwd|secret|token(?!s|i)|credential|signature"
    r"|(?:api|access|private|signing)[_-]?key|authorization|cookie|session[_-]?id"
    r"|card[_-]?number|\bcv[cv]\b"
)
_ANY_NAME = re.compile(_NAME, re.IGNORECASE)
_LONGER_NAME = rf"[\w.-]{{0,24}}(?:{_NAME})[\w.-]{{0,24}}"
"""Also `X-Api-Key`, `dbPassword`, `AWS_SECRET_ACCESS_KEY`, `refresh_token`."""
_NAME_IN_QUOTES = rf"(?:\b|_)(?:{_LONGER_NAME})\\{{0,8}}[\"']"
_QUOTED = r"(\\{0,8})([\"'])(?:(?!\3\4)(?:\\.|.)){0,2048}(?:\3\4|$)"
_BARE = r"[^\s\"'\\&,;<>}\])]{1,2048}"

_CREDENTIALS = re.compile(
    r"\b(bearer|basic|digest|negotiate)(\s{1,4}|%20|\+)([\w.~+/=:%-]{1,2048})", re.IGNORECASE
)
"""RFC 7235 §2.1: a scheme and its credentials."""
_WORDS_BEHIND_SCHEME = frozenset({
    "access", "and", "auth", "authentication", "authorization", "challenge", "credentials", "error",
    "expired", "format", "has", "header", "in", "invalid", "is", "missing", "must", "not", "of",
    "or", "realm", "required", "scheme", "should", "token", "tokens", "type", "was",
})  # fmt: skip
"""What may stand behind the name of a scheme in a sentence about it."""
_JWT = re.compile(r"\beyJ[\w-]{2,4096}(?:\.[\w-]{0,4096}){0,4}")
"""RFC 7519: base64url of `{"`, and what is signed with it."""
_USER_INFO = re.compile(
    r"(://)[^\s/?#\"'<>@:]{0,256}:(?!\d{1,5}(?:[/?#\s\"'<>,;)\]]|$))(?:[^\s\"'<>]{0,2048}@|[^\s\"'<>]{0,2048})"
    r"|\b[\w.%+-]{1,64}:[^\s:/@\"'<>]{1,256}@(?=[\w\[])"
)
"""`user:pass@` before a host (RFC 3986 §3.2.1). Behind `://` what is no port is a password, whether
its `@` is still to be seen or not."""
_ELEMENT = re.compile(rf"(<(?:{_LONGER_NAME})\b[^<>]{{0,200}}>)[^<]{{1,2048}}", re.IGNORECASE)
_ASSIGNED = re.compile(
    # the name, what is between, and the value: between quotes, or up to a blank or a separator
    rf"({_LONGER_NAME})(\\{{0,8}}[\"']?\s{{0,4}}(?:=>?|:=|%3d)\s{{0,4}})(?:{_QUOTED}|{_BARE})",
    re.IGNORECASE,
)
_MEMBER = re.compile(
    rf"({_NAME_IN_QUOTES})(\s{{0,4}}(?::|=>|,)\s{{0,4}})(?:{_QUOTED}|{_BARE})", re.IGNORECASE
)
"""Of JSON, and as Python and Ruby print it; `("Authorization", "…")` too."""
_AFTER_COLON = re.compile(rf"\b({_LONGER_NAME})(\s{{0,4}}:\s{{0,4}})({_BARE})", re.IGNORECASE)
_COOKIES = re.compile(r"\b((?:set-)?cookie)(\s{0,4}:\s{0,4})[^\"'\n]{0,2048}", re.IGNORECASE)
"""Several, with a semicolon between."""
_KNOWN_KEY = re.compile(
    r"\b(?:[spr]k_(?:live|test)_\w{4,256}|gh[opsur]_\w{10,256}|github_pat_\w{10,256}"
    r"|xox[a-z]-[\w-]{6,256}|A[KS]IA[0-9A-Z]{12,32}|AIza[\w-]{20,64}|glpat-[\w-]{10,64})"
    r"|-----BEGIN[A-Z ]{0,40}PRIVATE KEY.{0,4096}"
)
"""Keys that tell by their beginning what they are."""
_WORD = re.compile(r"[A-Za-z]?[a-z]{0,19}[.!]?")


def without_secrets(text: str) -> str:
    """The text with `MASK` for what looks like a secret in it: bearer and basic credentials, JWTs,
    `user:pass@`, values after `password= token= secret= api_key=` and the like, known keys."""
    text = _CREDENTIALS.sub(_scheme_alone, text)
    text = _JWT.sub(MASK, text)
    text = _KNOWN_KEY.sub(MASK, text)
    text = _USER_INFO.sub(_address_alone, text)
    if not _ANY_NAME.search(text):
        return text
    text = _ELEMENT.sub(rf"\1{MASK}", text)
    text = _ASSIGNED.sub(_name_alone, text)
    text = _MEMBER.sub(_name_alone, text)
    text = _COOKIES.sub(rf"\1\2{MASK}", text)
    return _AFTER_COLON.sub(_name_alone_unless_said, text)


def _address_alone(found: re.Match[str]) -> str:
    return f"{found[1] or ''}{MASK}{'@' if found[0].endswith('@') else ''}"


def _scheme_alone(found: re.Match[str]) -> str:
    scheme, value = found[1], found[3]
    word = value.rstrip(".:").lower()
    plain = word in _WORDS_BEHIND_SCHEME
    if scheme.lower() != "bearer":  # words that have other meanings: "basic validation failed"
        plain = plain or _WORD.fullmatch(value.rstrip(":")) is not None
    return found[0] if plain else f"{scheme}{found[2]}{MASK}"


def _name_alone(found: re.Match[str]) -> str:
    quotes = f"{found[3] or ''}{found[4] or ''}"
    return f"{found[1]}{found[2]}{quotes}{MASK}{quotes}"


def _name_alone_unless_said(found: re.Match[str]) -> str:
    """`password: hunter2`, but `invalid token: expired`."""
    return found[0] if _WORD.fullmatch(found[3]) else f"{found[1]}{found[2]}{MASK}"
