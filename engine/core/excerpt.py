"""Why an attempt failed, in one short line for people: what its answer says, or its connection.

Of a JSON answer the member that tells it, of HTML the title, else the first line. It is recorded
with the attempt, shown everywhere and searched, so it holds nothing that a terminal or a log would
obey, and no secret (`secrets.py`).
"""

from __future__ import annotations

import codecs
import html
import re
from http import HTTPStatus
from typing import Any

import msgspec

from engine.core.outcome import Answered, Outcome, Unanswered
from engine.core.secrets import without_secrets

EXCERPT_BYTES_MAX = 120
"""Of UTF-8, with the sign for what was cut."""
CUT = "…"
MEMBERS = ("error", "message", "detail", "title", "code")
"""In which a JSON answer tells its reason, the first that is a text counts. RFC 9457 has `title`
and `detail`, the others are what people use."""
ELSE_MEMBERS = ("msg", "reason", "description")
"""Where a framework tells it when none of those does."""
DEPTH_MAX = 6
"""Of objects within objects that are looked into."""
LOOKED_AT_CHARACTERS_MAX = 1_024
"""Of the text that tells the reason: masks shorten it, and a part is shown."""
CODE_CHARACTERS_MAX = 40
"""Of a word that is a code rather than a sentence."""

_MARKUP = re.compile(
    r"\s{0,20}(?:<!--.{0,2000}?-->\s{0,20})?<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_LEFT_OUT = re.compile(
    r"<(script|style|head)\b.{0,16384}?(?:</\1\s{0,9}>|$)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"<[^<>]{0,1000}>")
_CODECS = (
    "ascii",
    "utf-8",
    "utf-16",
    "iso8859",
    "cp125",
    "shift_jis",
    "euc_",
    "gb",
    "big5",
    "koi8",
)
"""How the names of the encodings begin that answers have; there are others that take long."""
_CHARSET = re.compile(r"charset\s{0,4}=\s{0,4}\"?([\w.:-]{1,40})", re.IGNORECASE)
_NO_WORD = re.compile(r"\s")
_IN_CUT_JSON = re.compile(
    rf'"({"|".join(MEMBERS)})"\s{{0,20}}:\s{{0,20}}"((?:[^"\\]|\\.){{1,2048}})', re.DOTALL
)
_TRACEBACK = "Traceback (most recent call last)"
_json = msgspec.json.Decoder().decode


def excerpt_of(outcome: Outcome) -> str | None:
    """The reason of an attempt that failed, at most `EXCERPT_BYTES_MAX` bytes, one line.

    None where nothing tells it: it succeeded, it suspended itself, the answer has no body, or one
    that is no text.
    """
    if isinstance(outcome, Unanswered):
        return shortened(outcome.why or outcome.detail)
    if outcome.suspend or outcome.ok:
        return None
    if outcome.fault is not None:
        return shortened(outcome.fault)
    return _of_answer(outcome)


def shortened(text: str) -> str | None:
    """A text as an excerpt: one line that holds no secret and nothing that does not print.

    None: nothing is left of it.
    """
    if len(text) > LOOKED_AT_CHARACTERS_MAX:
        # The last word may be the half of a secret that no rule knows by its half.
        whole = text[:LOOKED_AT_CHARACTERS_MAX]
        text = whole.rpartition(" ")[0] or whole
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    line = without_secrets("".join(c if c.isprintable() else "\ufffd" for c in line))
    data = line.encode()
    if len(data) > EXCERPT_BYTES_MAX:
        data = data[: EXCERPT_BYTES_MAX - len(CUT.encode())]
        line = data.decode(errors="ignore").rstrip() + CUT
    return line or None


def _of_answer(answer: Answered) -> str | None:
    text = _decoded(answer.body, answer.content_type)
    if text is None:
        return None
    begin = text.lstrip("\ufeff \t\r\n")[:1]
    media_type = answer.content_type.partition(";")[0].strip().lower()
    says_json = media_type.endswith(("/json", "+json")) and begin != "<"
    if says_json or begin in ("{", "["):
        return shortened(_of_json(text, answer.http_status))
    if media_type in ("text/html", "application/xhtml+xml") or _MARKUP.match(text):
        return shortened(_of_html(text))
    return shortened(_first_line(text))


def _decoded(body: bytes, content_type: str) -> str | None:
    """The body as text, which may be cut within a character; None: it is none, or it is empty."""
    if not body.strip():
        return None
    named = _CHARSET.search(content_type)
    try:
        codec = codecs.lookup(named[1] if named else "utf-8")
        known = codec if codec.name.startswith(_CODECS) else codecs.lookup("utf-8")
        text = known.incrementaldecoder().decode(body)
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
    if "\0" in text or text.count("\ufffd") * 10 > len(text):
        return None
    return text


def _of_json(text: str, status: int) -> str:
    text = text.lstrip("\ufeff")
    try:
        value = _json(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        # Cut at what is kept of it, or what the decoder does not take.
        found = {name: _unescaped(value) for name, value in _IN_CUT_JSON.findall(text)}
        return _told(found, status, 0) or _first_line(text)
    told = _told(value, status, 0)
    if told is not None:
        return told
    # Written anew: what is under a name stands behind it as such, however it was escaped.
    return msgspec.json.encode(value).decode()


def _unescaped(value: str) -> str:
    try:
        return str(_json(f'"{value}"'))
    except (msgspec.MsgspecError, ValueError):
        return value


def _told(value: Any, status: int, depth: int) -> str | None:
    """What a JSON value tells as its reason; None: it has no member that would."""
    if isinstance(value, str):
        return value if value.strip() else None
    if depth > DEPTH_MAX or not value:
        return None
    if isinstance(value, list):
        return _told(value[0], status, depth + 1)
    if not isinstance(value, dict):
        return None
    told: list[str] = []
    for name in MEMBERS:
        member = value.get(name)
        if name == "code" and not isinstance(member, (str, dict)):
            continue
        found = _told(member, status, depth + 1)
        if found is not None and found not in told:
            told.append(found)
    if not told:
        others = (value.get(name) for name in ("errors", *ELSE_MEMBERS))
        return next((it for it in (_told(v, status, depth + 1) for v in others) if it), None)
    return _code_and_text(told, status)


def _code_and_text(told: list[str], status: int) -> str:
    """The first; a code with the text beside it, as neither tells all."""
    first = told[0]
    if _is_code(first, status):
        text = next((each for each in told[1:] if not _is_code(each, status)), None)
        return first if text is None else f"{first}: {text}"
    code = next((each for each in told[1:] if _is_code(each, status)), None)
    return first if code is None or first.startswith(code) else f"{code}: {first}"


def _is_code(text: str, status: int) -> bool:
    """A word such as `card_declined`. The status' own name says no more than its number."""
    if len(text) <= CODE_CHARACTERS_MAX and not _NO_WORD.search(text.strip()):
        return True
    return text == _phrase(status)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _of_html(text: str) -> str:
    below = text.lower()
    begin = below.find(">", below.find("<title")) + 1
    if "<title" in below and begin:
        end = below.find("</title", begin)
        title = text[begin : end if end >= 0 else begin + LOOKED_AT_CHARACTERS_MAX]
        if told := html.unescape(title).strip():
            return told
    shown = _LEFT_OUT.sub("\n", text)[:LOOKED_AT_CHARACTERS_MAX]
    # An element's name may tell that a secret is in it, and the names go.
    return _first_line(html.unescape(_TAG.sub("\n", without_secrets(shown))))


def _first_line(text: str) -> str:
    """The first line that says something; of a traceback the last, where the error is told."""
    lines = [line for line in text.splitlines() if line.strip("\ufeff \t")]
    if lines and lines[0].startswith(_TRACEBACK):
        return lines[-1]
    return lines[0] if lines else ""
