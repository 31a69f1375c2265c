"""Why an attempt failed, in one short line for people: what its answer says, or its connection.

Of a JSON answer the member that tells it, of HTML the title, else the first line. It is recorded
with the attempt, shown everywhere and searched, so it holds nothing that a terminal or a log would
obey, and no secret (`core/text/secrets.py`).
"""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from engine.core.outcome import Answered, Outcome, Unanswered
from engine.core.text.secrets import without_secret_elements, without_secrets

EXCERPT_BYTES_MAX = 120
"""Of UTF-8, with the sign for what was cut."""
CUT = "…"
MEMBERS = ("error", "message", "detail", "title", "code")
"""In which a JSON answer tells its reason, the first that is a text counts. RFC 9457 has `title`
and `detail`, the others are what people use."""
ELSE_MEMBERS = ("msg", "error_description", "description", "reason", "exception")
"""Where a framework, or OAuth, tells it when none of those does more than a code."""
DEPTH_MAX = 6
"""Of objects within objects that are looked into."""
LOOKED_AT_CHARACTERS_MAX = 1_024
"""Of the text that tells the reason: masks shorten it, and a part is shown."""
CODE_CHARACTERS_MAX = 40
"""Of a word that is a code rather than a sentence."""
STATUS_CHARACTERS_MAX = 64
"""Of a text that may say no more than the status."""

_HTML = re.compile(
    r"\s{0,20}(?:<!--.{0,2000}?-->\s{0,20})?<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_TITLE = re.compile(r"<title\b[^<>]{0,500}>([^<]{1,2048})", re.IGNORECASE)
_LEFT_OUT = re.compile(
    r"<(script|style|head)\b.{0,16384}?(?:</\1\s{0,9}>|$)", re.IGNORECASE | re.DOTALL
)
_INLINE = re.compile(r"</?(?:a|b|code|em|i|span|strong|u)(?:\s[^<>]{0,1000})?>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,1000}>")
_LEAF = re.compile(
    r"<(?:[\w.-]{1,40}:)?([\w.-]{1,40})(?:\s[^<>]{0,500})?>([^<>]{1,2048})</", re.IGNORECASE
)
"""An element of XML that holds text alone."""
_SOAP = {"faultcode": "code", "faultstring": "message", "text": "message"}
_CODECS = ("ascii", "utf-8", "utf-16", "iso8859", "cp", "mac", "shift_jis", "euc_", "gb", "big5",
           "koi8")  # fmt: skip
"""How the names of the encodings begin that answers have; there are others that take long."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""By which a text itself says how it is encoded."""
_UNNAMED = "cp1252"
"""What a text is read as that is no UTF-8 and does not say what it is."""
_CHARSET = re.compile(r"(?:charset|encoding)\s{0,4}=\s{0,4}[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_NO_TEXT = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")
_SAYS = re.compile(r"\w")
_NO_WORD = re.compile(r"\s")
_STATUS_WORDS = re.compile(r"\b(?:http|status|error|server)\b|[\W\d_]", re.IGNORECASE)
_NAMES_PLACE = re.compile(
    r"[\w.:]{1,100} (?:at /|in \w{1,100}#)\S{0,500}|.{1,100}: exception caught",
    re.IGNORECASE,
)
"""`ValueError at /orders`: how Django and Rails begin a page that tells the error below."""
_ON_EVERY_PAGE = re.compile(
    r"[\w-]{1,40}/\d[\w. ()-]{0,80}|type (?:exception|status) report"
    r"|the (?:server encountered|requested (?:url|resource) was not|browser \(or proxy\) sent) .*",
    re.IGNORECASE,
)
"""`nginx/1.18.0 (Ubuntu)`, and what Tomcat, Flask and Apache say of each status."""
_JSON_SIGN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}
_IN_GROUP = re.compile(r"\s{0,40}[|+][-+]{0,40} ?")
"""Before each line of the traceback of an ExceptionGroup."""
_TRACEBACK = "Traceback (most recent call last)"
Told = Callable[[str], str]
"""What may be told of a text."""
_json_at_begin = json.JSONDecoder(strict=False).raw_decode


def excerpt_of(outcome: Outcome, told: Told | None = None) -> str | None:
    """The reason of an attempt that failed, at most `EXCERPT_BYTES_MAX` bytes, one line.

    None where nothing tells it: it succeeded, it suspended itself, the answer has no body, or one
    that is no text. `told` masks in the answer's reason what its client hides.
    """
    if isinstance(outcome, Unanswered):
        return shortened(outcome.why or outcome.detail)
    if outcome.suspend or outcome.ok:
        return None
    if outcome.fault is not None:
        return shortened(outcome.fault)
    if outcome.excerpt is not None:
        return outcome.excerpt or None
    text = _of_answer(outcome)
    if text is not None and told is not None:  # before it is cut: a half would not be known
        text = told(" ".join(text.split()))
    return None if text is None else shortened(text)


def shortened(text: str) -> str | None:
    """A text as an excerpt: one line that holds no secret and nothing that does not print.

    None: nothing is left of it.
    """
    text = text.strip()
    cut = len(text) > LOOKED_AT_CHARACTERS_MAX
    if cut:
        # The last word may be the half of a secret that no rule knows by its half.
        whole = text[:LOOKED_AT_CHARACTERS_MAX]
        text = whole.rpartition(" ")[0] or whole
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    line = without_secrets("".join(c if c.isprintable() else "\ufffd" for c in line))
    data = line.encode()
    if cut or len(data) > EXCERPT_BYTES_MAX:
        data = data[: EXCERPT_BYTES_MAX - len(CUT.encode())]
        line = data.decode(errors="ignore").rstrip() + CUT
    return line or None


def _of_answer(answer: Answered) -> str | None:
    text = _decoded(answer.body, answer.content_type)
    if text is None:
        return None
    begin = text.lstrip()[:1]
    media_type = answer.content_type.partition(";")[0].strip().lower()
    says_json = media_type.endswith(("/json", "+json")) and begin != "<"
    if says_json or begin in ("{", "["):
        return _of_json(text.lstrip(), answer.http_status)
    if media_type in ("text/html", "application/xhtml+xml") or _HTML.match(text):
        return _of_html(text, answer.http_status)
    if begin == "<" and media_type != "text/plain":
        return _of_xml(text, answer.http_status)
    return _first_line(text)


def _decoded(body: bytes, content_type: str) -> str | None:
    """The body as text, which may be cut within a character; None: it is none, or it is empty."""
    if not body.strip():
        return None
    name = _encoding(body, content_type)
    try:
        codec = codecs.lookup(name)
        known = codec if codec.name.startswith(_CODECS) else codecs.lookup("utf-8")
        text = known.incrementaldecoder().decode(body)
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
        beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
        if text.count("\ufffd") * 2 > beyond_ascii:
            text = body.decode(_UNNAMED, "replace")
    if "\0" in text or len(_NO_TEXT.findall(text)) * 10 > len(text):
        return None
    return text.removeprefix("\ufeff")


def _encoding(body: bytes, content_type: str) -> str:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    if named := _CHARSET.search(content_type):
        return named[1]
    if body[:1] == b"<" and (named := _CHARSET.search(body[:1_024].decode("latin-1"))):
        return "utf-8" if named[1].lower().startswith("utf") else named[1]  # it was read so far
    return "utf-8"


def _of_json(text: str, status: int) -> str:
    value = _parsed(text)
    if value is None:
        return _first_line(text)
    reason = _reason_of(value, status, 0)
    if reason is not None:
        return reason
    # Written anew: what is under a name stands behind it as such, however it was escaped.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _parsed(text: str) -> Any:
    """The JSON at the beginning; of one that was cut what is there of it. None: it is none."""
    for tried in _as_it_may_end(text):
        try:
            return _json_at_begin(tried)[0]
        except (RecursionError, ValueError):
            continue
    return None


def _as_it_may_end(text: str) -> Iterator[str]:
    yield text
    closing, comma = _open_at_end(text)
    yield f'{text}"{closing}'
    yield text[:comma] + _open_at_end(text[:comma])[0]


def _open_at_end(text: str) -> tuple[str, int]:
    """What would close all that is open at the end of a JSON text, and where its last comma is."""
    still_open: list[str] = []
    comma = 0
    for found in _JSON_SIGN.finditer(text):
        sign = found[0][0]
        if sign in _CLOSING:
            still_open.append(_CLOSING[sign])
        elif sign == ",":
            comma = found.start()
        elif sign != '"' and still_open:
            still_open.pop()
    return "".join(reversed(still_open)), comma


def _reason_of(value: Any, status: int, depth: int) -> str | None:
    """What a JSON value tells as its reason; None: it has no member that would."""
    if isinstance(value, str):
        return value if value.strip() else None
    if depth > DEPTH_MAX or not value:
        return None
    if isinstance(value, list):
        return _reason_of(value[0], status, depth + 1)
    if not isinstance(value, dict):
        return None
    reasons: list[str] = []
    for name in MEMBERS:
        member = value.get(name)
        if name == "code" and not isinstance(member, (str, dict)):
            continue
        found = _reason_of(member, status, depth + 1)
        if found is not None and found not in reasons:
            reasons.append(found)
    # RFC 9457: a `title` is the name of a kind of problem, and so says no more than a code.
    title = value.get("title")
    if all(_is_code(each, status) or each == title for each in reasons):
        reasons += _reason_beside(value, status, depth)
    return _code_and_text(reasons, status, title) if reasons else None


def _reason_beside(value: dict[str, Any], status: int, depth: int) -> list[str]:
    """What tells it where no member of the contract's does more than a code: one text, or none."""
    errors = value.get("errors")
    if found := _reason_of(errors, status, depth + 1):
        return [found]
    if isinstance(errors, dict):  # by field, as ASP.NET and Rails tell what is not valid
        field, its = next(iter(errors.items()), ("", None))
        if found := _reason_of(its, status, depth + 1):
            return [f"{field}: {found}"]
    for name in ELSE_MEMBERS:
        if found := _reason_of(value.get(name), status, depth + 1):
            place = value.get("loc")  # of FastAPI: ["body", "payload", "amount"]
            return [f"{'.'.join(map(str, place))}: {found}" if isinstance(place, list) else found]
    return []


def _code_and_text(reasons: list[str], status: int, title: Any) -> str:
    """The first; a code, or a title, with the text beside it, as neither tells all."""
    first, *others = reasons
    text = next((each for each in others if not _is_code(each, status)), None)
    if text is not None and (first == title or _is_code(first, status)):
        return text if text.startswith(first) else f"{first.rstrip('.')}: {text}"
    code = next((each for each in others if _is_code(each, status)), None)
    if code is None or _is_code(first, status) or first.startswith(code):
        return first
    return f"{code}: {first}"


def _is_code(text: str, status: int) -> bool:
    """A word such as `card_declined`, or what says no more than the status: `Error 404`."""
    if len(text) > STATUS_CHARACTERS_MAX:
        return False
    if len(text) <= CODE_CHARACTERS_MAX and not _NO_WORD.search(text.strip()):
        return True
    beyond = _beyond_status(text)
    return not beyond or beyond == _phrase(status)


def _beyond_status(text: str) -> str:
    return _STATUS_WORDS.sub("", text).lower()


@lru_cache(maxsize=64)
def _phrase(status: int) -> str:
    try:
        return _beyond_status(HTTPStatus(status).phrase)
    except ValueError:
        return ""


def _of_html(text: str, status: int) -> str:
    """The title; one that says no more than the status with the first text below that does."""
    lines = _lines_of(text)
    if title := _TITLE.search(text):
        lines.insert(0, " ".join(html.unescape(title[1]).split()))
    lines = [line for line in lines if line]
    if not lines:
        return ""
    first, *others = lines
    if _NAMES_PLACE.fullmatch(first):
        others = [line for line in others if line != first and not _NAMES_PLACE.fullmatch(line)]
    elif _is_code(first, status):
        others = [line for line in others if not _says_nothing(line, status)]
    else:
        return first
    text = next(iter(others), "")
    return first if not text else text if text.startswith(first) else f"{first}: {text}"


def _says_nothing(line: str, status: int) -> bool:
    return _is_code(line, status) or _ON_EVERY_PAGE.match(line) is not None


def _of_xml(text: str, status: int) -> str:
    """What its elements tell, as members of JSON do; else its first text."""
    found: dict[str, str] = {}
    for name, value in _LEAF.findall(text.replace("<![CDATA[", "").replace("]]>", "")):
        member = _SOAP.get(name.lower(), name.lower())
        found.setdefault(member, html.unescape(value).strip())
    return (
        _reason_of(found, status, 0) or next(filter(None, _lines_of(text)), "") or _first_line(text)
    )


def _lines_of(text: str) -> list[str]:
    """The texts that stand on a page, each block's as one line."""
    shown = " ".join(_LEFT_OUT.sub("\n", text)[:LOOKED_AT_CHARACTERS_MAX].split())
    # An element's name may tell that a secret is in it, and the names go.
    blocks = _TAG.sub("\n", _INLINE.sub("", without_secret_elements(shown)))
    return [" ".join(html.unescape(line).split()) for line in blocks.splitlines()]


def _first_line(text: str) -> str:
    """The first line that says something; of a Python traceback the one that tells the error."""
    lines = [line for line in text.splitlines() if not line.isspace()]
    if lines and _TRACEBACK in lines[0]:
        last = [_IN_GROUP.sub("", line) for line in text.rpartition(_TRACEBACK)[2].splitlines()[1:]]
        lines = [line for line in last if line[:1].strip()] or lines
    return next((line for line in lines if _SAYS.search(line)), lines[0] if lines else "")
