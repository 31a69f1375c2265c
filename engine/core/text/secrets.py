"""What looks like a secret in a text that people are shown, and is replaced before it is written.

A text is looked at as it stands, with no format in mind: it may be cut, or JSON within a string of
JSON, or a dump of any language. So what a name such as `password` is given is looked for the same
way whatever stands around it, and of what cannot be told for sure rather more is replaced than
less. What begins like a sentence stays: a reason often speaks of a secret without telling it.
Every repetition has a bound: texts are somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MASK = "***"
"""In the place of a secret, however long it was."""

_Q = r"(?:(?:\\|%5c){0,15}(?:[\"'`\u201c\u201d]|u002[27]|&quot;|&#(?:0?39|x27|34);|%2[27]))"
"""A quotation mark: also escaped, in HTML, in a URL."""
_BLANK = r"(?:\s|%20|\+|\\{1,8}[nrt]){0,4}"

# --- what is a secret by itself ---

_SCHEME = re.compile(
    r"\b(?P<scheme>bearer|basic|digest|negotiate|ntlm)"
    rf"(?:\s{{1,4}}|%20|\+|\\{{1,8}}t|{_BLANK}[:=]{_BLANK}){_Q}?(?P<value>[\w.~+/=:%-]{{1,2048}})",
    re.IGNORECASE,
)
"""RFC 7235 §2.1: a scheme and its credentials."""
_SCHEMES = ("bearer", "basic", "digest", "negotiate", "ntlm")
_JWT = re.compile(r"eyJ(?<!\weyJ)[\w-]{2,4096}(?:\.[\w-]{0,4096}){0,4}")
"""RFC 7519: base64url of `{"`, and what is signed with it."""
_PRIVATE_KEY = re.compile(r"-----BEGIN[A-Z ]{0,40}PRIVATE KEY.{0,4096}")
_LONG_WORD = re.compile(r"[\w.:/+=-]{11,2048}")
_KNOWN = re.compile(
    r"\b(?:[spr]k_(?:live|test)_\w{4,256}|whsec_[\w+/=]{16,128}|sq0[a-z]{3}-[\w-]{16,64}"  # to pay
    r"|A[KS]IA[0-9A-Z]{12,32}|AIza[\w-]{20,64}|ya29\.[\w-]{10,512}|do[opr]_v1_\w{32,128}"  # clouds
    r"|gh[opsur]_\w{10,256}|github_pat_\w{10,256}|glpat-[\w-]{10,64}|ATATT[\w=-]{16,256}"  # code
    r"|npm_\w{20,64}|pypi-[\w-]{16,256}|hv[sbr]\.[\w-]{16,256}|sbp_\w{30,64}|lin_api_\w{16,64}"
    r"|sk-[\w-]{16,256}|hf_\w{20,64}"  # models
    r"|xox[a-z]-[\w-]{6,256}|SG\.[\w-]{8,64}\.[\w-]{8,128}|SK[0-9a-f]{32}|key-[0-9a-f]{32}"  # mail
    r"|bot\d{6,12}:[\w-]{20,64}|EAA[A-Z]\w{30,512}"
    r"|shp(?:at|ss|ca|pa)_\w{16,64}|pat-[a-z]{2}\d-[\w-]{16,64})"  # shops
    r"|(?<=hooks\.slack\.com/services/)[\w/-]{4,256}"
    r"|(?<=/api/webhooks/)\d{1,32}/[\w-]{16,256}"
)
"""Tokens and keys that tell by their beginning, or by their host, what they are."""
_IN_URL = re.compile(
    r"://[^\s/?#\"'<>@:\[]{0,256}:"
    r"(?!\d{1,5}(?:[/?#]|(?![\w@])(?![^\s/@]{0,256}@)))"  # a port
    r"(?:[^\s\"'<>]{0,2048}@|[^\s\"'<>]{0,2048})"
)
"""`user:pass@` before a host (RFC 3986 §3.2.1). Behind `://` what is no port is a password, whether
its `@` is still to be seen or not."""
_BEFORE_HOST = re.compile(
    r"\b[\w.%+-]{1,64}:(?:[^\s:/@\"'<>]{1,256}@(?=[\w\[])|[^\s@\"'<>]{1,256}@(?=tcp\(|unix\())"
    r"|(?P<before>:(?:thin|oci8?):)[\w.-]{1,64}/[^\s\"'@]{1,256}@"
)
"""The same without a scheme, and as Oracle's drivers have it."""
_OF_COMMANDS = re.compile(
    rf"-(?<![\w-]-)(?:(?:u|U|-user|-proxy-user)(?:=|\s{{1,4}}|{_Q},\s?)?{_Q}?[^\s:\"'=]{{1,64}}:"
    rf"|(?P<client>[paw])(?:\s|{_Q},\s?)?{_Q}?"
    rf"|(?:b|-cookie)(?:\s{{1,4}}|{_Q},\s?){_Q}?(?=[\w.-]{{1,64}}=))(?P<value>[^\s\"']{{1,512}})"
)
"""`curl -u user:pass`, `mysql -ppass`."""
_CLIENT = re.compile(r"\b(?:mysql|mariadb|sshpass|docker\slogin|redis-cli|mongo|ldap)[^|;]{0,200}$")

# --- what is one because of its name ---

_NAME = re.compile(
    # in lower case, and each begins with a letter: so it is found fast
    r"pass(?:word|wd|phrase|code|wort|(?<![a-z]pass)(?![a-z]))|dbpass(?![a-z])|userpass(?![a-z])"
    r"|smtppass(?![a-z])|rootpass(?![a-z])|loginpass(?![a-z])|pwd|pw(?<![a-z]pw)(?![a-z])"
    r"|secret(?!ar|ly)|token(?!s|i)|credential|cred(?<![a-z]cred)s?(?![a-z])|bearer"
    r"|sig(?:nature|(?<![a-z]sig)(?![a-z]))|auth(?:orization|(?<![a-z]auth)(?![a-z]))"
    r"|key(?![a-z])|identified by|cookie|session[_-]?id|sessid|connect\.sid|csrf|xsrf"
    r"|assertion|samlre(?:quest|sponse)|card[_-]?number|cv[cv](?<![a-z]cv[cv])(?![a-z])"
    r"|otp(?<![a-z]otp)(?![a-z])|ssn(?<![a-z]ssn)(?![a-z])|code(?<=[?&]code)(?==[\w%/.-]{16})"
)
_OF_KEY = re.compile(
    r"(?:api|access|account|app|auth|consumer|encryption|functions|license|master|private|role"
    r"|service|shared|signing|ssh|subscription)[_ -]?$"
)
"""What stands before `key` where it is a secret one, and no primary or idempotency key."""
_REST = re.compile(r"[\w.-]{0,24}")
_CLOSED = rf"(?P<closed>(?:{_Q}|[\])]|:protected|:private){{0,4}})"
_GIVEN = (
    rf"(?:{_BLANK}[,;:=]?{_BLANK}{_Q}?(?<![a-z])value{_Q}?{_BLANK}[:=]>?{_BLANK}"
    rf"|{_BLANK}(?:={{1,3}}(?:>|&gt;)?|:=|::?(?!//)|[-~](?:>|&gt;)|%3[ad]|;(?=s:\d)){_BLANK})"
)
"""`=`, `:` and what stands for them; `name="password" value="…"` too."""
_TYPE = (
    r"(?:string\(\d{1,9}\)\s|s:\d{1,9}:|[bu](?=[\"'])"
    rf"|(?:(?:[|>]|&gt;)[+-]?|!\w{{1,20}}(?=\s)){_BLANK})?"
)
"""Of PHP, Python and YAML."""
_ASSIGNED = re.compile(
    rf"{_CLOSED}(?:(?P<given>{_GIVEN})"
    rf"|(?P<pair>\s{{0,4}},\s{{0,4}}(?={_Q}|b[\"'])|(?<=[\"'])\s{{1,4}}(?={_Q})))"
    rf"{_TYPE}(?=\S)",
    re.IGNORECASE,
)
"""What stands between a name and its value. A pair, `("Authorization", "…")`, has a quoted one."""
_QUOTED = re.compile(
    rf"(?P<q>{_Q})(?P<within>(?:(?!(?<!\\)(?<!%5c)(?P=q))(?:\\++.|(?:%5c)++.|[^\\])){{0,2048}})"
    r"(?P<end>(?P=q)|$)",
    re.IGNORECASE,
)
"""Up to the same mark with as many backslashes: marks within have more."""
_BARE = re.compile(
    r"(?:[^\s&;,)}\]>\"'`\\<]|&(?!(?:amp;)?[\w.\[\]%-]{1,64}=)|;(?!\s|$|[\w. ]{1,40}=)"
    r"|,(?!\s|$|[\w.-]{1,40}[=:])|[)}\]>\"'`\\]{1,9}(?![\s,;:)}\]>\"'`\\]|$)|<(?![/a-z])){1,2048}",
    re.IGNORECASE,
)
"""Up to a blank, or what ends a value in a list, a query, a connection string, an element."""
_BEHIND_QUOTED = re.compile(r"\w{1,2048}")
_NAMES_INNER = re.compile(r":(?:\\{1,8}[nrt]){0,4}$")
_INNER = re.compile(rf"{_BLANK}(?:{_QUOTED.pattern}|[\[{{]?)", re.IGNORECASE)
"""Behind a name of YAML within the value."""
_TO_THE_END = re.compile(r"(?:=\s?\\{0,8}\"[^\"]{0,512}(?:\"|$)|[^\"'`\\<\n]){1,2048}")
"""Of a header the whole line: several cookies, or a scheme of its own and its parameters."""
_BRACKET = re.compile(r"[\[\]{}()]")
_WHOLE_LINE = re.compile(r"authorization|cookie", re.IGNORECASE)
_ELEMENT = re.compile(
    r"(?:<|&lt;)(?P<tag>(?:[^<>&]|&(?![lg]t;)){1,240}+)(?:(?<!/)>|&gt;)\s{0,4}(?:<!\[CDATA\[)?"
    r"(?P<value>(?:[^<&]|&(?!lt;)){1,2048}+)"
)
"""What stands in an element whose name, or an attribute of which, is one."""
_FIELD_BEGINS = re.compile(rf"name={_Q}[\w.-]{{0,24}}$", re.IGNORECASE)
_OF_FIELD = re.compile(
    rf"{_Q}(?:\s|\\{{1,8}}[rn]){{1,8}}(?P<value>[^\s<>=\\]{{1,512}})(?![\w-]{{0,40}}=)",
    re.IGNORECASE,
)
"""A part of `multipart/form-data`."""
_OPTION_BEGINS = re.compile(r"(?<![\w-])--[\w-]{0,24}$")
_OF_OPTION = re.compile(r"\s(?P<value>[^\s-]\S{0,512})")
"""`--password pass`."""
_NEXT_WORD = re.compile(
    r"(?:\s|\\{1,8}t)(?:(?:is|was|of|key|token|value|provided|given|sent|used):?\s|:\s){0,3}"
    rf"[(]?{_Q}?(?P<value>[^\s\"'`()<>,;]{{2,512}})(?P<closing>{_Q}?)",
    re.IGNORECASE,
)
"""In a sentence: `invalid token 4fG7…`."""

# --- what is none ---

_EVENT = re.compile(
    r"error|exception|invalid|expir|missing|fail|mismatch|require|denied|unknown|wrong|incorrect"
    r"|not_?(?:found|valid)|revoked|unexpected|doesnot|too_?(?:short|long)|bad_?",
    re.IGNORECASE,
)
"""In the name of an error: `TokenExpiredError: …`."""
_WORDS = frozenset({
    "a", "access", "already", "an", "and", "are", "as", "at", "auth", "authentication",
    "authorization", "be", "because", "been", "before", "both", "but", "by", "can", "can't",
    "cannot", "challenge", "check", "confirm", "confirmation", "connection", "contains",
    "could", "couldn't", "credentials", "denied", "did", "didn't", "disabled", "do", "does",
    "doesn't", "don't", "empty", "end", "ensure", "enter", "error", "expected", "expired",
    "expires", "extra", "failed", "failure", "false", "field", "fields", "for", "forbidden",
    "format", "found", "from", "has", "have", "header", "if", "ignored", "in", "incorrect",
    "input", "insufficient", "invalid", "is", "isn't", "it", "its", "key", "kind", "length",
    "limit", "login", "lookup", "malformed", "may", "might", "mismatch", "missing", "must",
    "need", "needs", "neither", "new", "no", "non-empty", "none", "nor", "not", "null", "of",
    "on", "one", "only", "or", "out", "password", "passwords", "please", "provide", "provided",
    "rate", "realm", "refused", "rejected", "request", "required", "requires", "revoked",
    "same", "scheme", "see", "session", "should", "since", "some", "string", "that", "the",
    "their", "there", "these", "they", "this", "timed", "timeout", "to", "token", "tokens",
    "too", "true", "two", "type", "unable", "unauthorized", "undefined", "unexpected",
    "unknown", "unreadable", "unsupported", "until", "use", "used", "user", "validation",
    "value", "values", "verification", "was", "wasn't", "we", "were", "when", "which", "will",
    "with", "without", "wrong", "yes", "you", "your",
})  # fmt: skip
"""With which begins what is said of a secret: `password: must not be empty`."""
_ALSO_SCHEMES = frozenset({"access", "auth", "key", "session", "token"})
"""Of these, schemes of services: `Authorization: Token …`."""
_WORD = re.compile(
    rf"{_Q}?(?P<word>[A-Za-z][\w'\u2019-]{{0,24}})[.,;:!]?(?=\s|{_Q}?[\])}},]|{_Q}?$)"
)
_STATUS = re.compile(r"[1-5]\d\d [A-Z]")
"""`cannot fetch token: 401 Unauthorized`."""
_PLAIN = re.compile(r"[A-Za-z]?[a-z]{0,19}[.:!]?")


def without_secrets(text: str) -> str:
    """The text with `MASK` for what looks like a secret in it: bearer and basic credentials, JWTs,
    `user:pass@`, values after `password= token= secret= api_key=` and the like, known keys."""
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    if "eyJ" in text:
        text = _JWT.sub(MASK, text)
    text = _LONG_WORD.sub(_without_known, text)
    if "-" in text:
        text = _OF_COMMANDS.sub(_unless_other_command, text)
    text = _values_masked(without_secret_elements(text))
    if "://" in text:
        text = _IN_URL.sub(_address_alone, text)
    if "@" in text:
        text = _BEFORE_HOST.sub(_address_alone, text)
    lower = text.lower()
    if any(scheme in lower for scheme in _SCHEMES):
        text = _SCHEME.sub(_scheme_alone, text)
    return text


def without_secret_elements(text: str) -> str:
    """XML or HTML, perhaps escaped, with `MASK` for what is a secret by its element's name."""
    if ("<" not in text and "&lt;" not in text) or next(_names(text), None) is None:
        return text
    return _ELEMENT.sub(_unless_other_tag, text)


def _names(text: str) -> Iterator[tuple[int, int]]:
    """Where the names of secrets are."""
    lower = text.lower()
    if len(lower) != len(text):  # of some letters the small one is two
        lower = "".join(c if len(c.lower()) > 1 else c.lower() for c in text)
    for found in _NAME.finditer(lower):
        begin, end = found.span()
        if found[0] != "key" or _OF_KEY.search(lower, max(0, begin - 16), begin):
            yield begin, end


def _values_masked(text: str) -> str:
    """Mask what the names are given; what begins like a sentence is looked through as the rest."""
    parts: list[str] = []
    at = 0
    for begin, end in _names(text):
        if begin < at:
            continue  # within a value
        value = _value_of(text, begin, end)
        if value is not None:
            parts += (text[at : value.begin], value.mask)
            at = value.end
    parts.append(text[at:])
    return "".join(parts)


class _Value(NamedTuple):
    """Where it is, and what stands in its place."""

    begin: int
    end: int
    mask: str = MASK


def _value_of(text: str, name: int, name_end: int) -> _Value | None:
    """The value that the name that stands there is given; None: it is given none."""
    rest = _REST.match(text, name_end)
    behind = name_end if rest is None else rest.end()
    if given := _ASSIGNED.match(text, behind):
        value = _value_at(text, given, _WHOLE_LINE.match(text, name) is not None)
        return None if value.end == value.begin or _is_said(text, name, behind, given) else value
    for begins, pattern in ((_OPTION_BEGINS, _OF_OPTION), (_FIELD_BEGINS, _OF_FIELD)):
        found = pattern.match(text, behind)
        if found and begins.search(text, max(0, name - 48), name):
            said = found["value"].strip("\"'").lower() in _WORDS
            return None if said else _Value(*found.span("value"))
    word = _NEXT_WORD.match(text, behind)
    if word is None or not _is_opaque(word["value"]):
        passes = text[name:name_end].lower().startswith(("pass", "identified"))
        if word is None or not word["closing"] or not passes or word["value"].lower() in _WORDS:
            return None
    return _Value(*word.span("value"))


def _value_at(text: str, given: re.Match[str], whole_line: bool) -> _Value:
    begin = end = given.end()
    if quoted := _QUOTED.match(text, begin):
        # a line that was broken within: `'password': '` and the rest in marks of its own
        more = None if quoted["within"].strip() else _QUOTED.match(text, quoted.end())
        end = (more or quoted).end()
        if behind := _BEHIND_QUOTED.match(text, end):
            end = behind.end()
        return _Value(begin, end, f"{quoted['q']}{MASK}{quoted['end']}")
    if given["pair"] is not None:
        return _Value(begin, begin)
    if text[begin] in "[{(":
        return _Value(begin, _end_of_brackets(text, begin))
    if whole_line and (line := _TO_THE_END.match(text, begin)):
        return _Value(begin, line.end())
    while bare := _BARE.match(text, end):
        end = bare.end()
        if _NAMES_INNER.search(bare[0]) and (inner := _INNER.match(text, end)):
            end = inner.end()
    return _Value(begin, end)


def _end_of_brackets(text: str, begin: int) -> int:
    depth = 0
    for found in _BRACKET.finditer(text, begin):
        depth += 1 if found[0] in "[{(" else -1
        if not depth:
            return found.end()
    return len(text)


def _is_said(text: str, name: int, name_end: int, given: re.Match[str]) -> bool:
    """Whether a sentence begins where a value would, and none is given."""
    if "=" in (given["given"] or "") and "value" not in (given["given"] or ""):
        return False
    begin = given.end()
    while text[begin : begin + 1] in ("[", "("):
        begin += 1
    word = _WORD.match(text, begin)
    said = "" if word is None else word["word"].lower().replace("\u2019", "'")
    if said in _WORDS:
        return not (said in _ALSO_SCHEMES and _WHOLE_LINE.match(text, name))
    if word is not None and not given["closed"]:
        while name and (text[name - 1].isalnum() or text[name - 1] in "_-."):
            name -= 1
        if _EVENT.search(text, name, name_end):
            return True
    return _STATUS.match(text, begin) is not None


def _is_opaque(word: str) -> bool:
    """`invalid token 4fG7…`, but `token at position 7`."""
    digits = sum(c.isdigit() for c in word)
    mixed = word.lower() != word != word.upper()
    return len(word) >= 8 and digits > 0 and (mixed or (len(word) >= 20 and digits >= 4))


def _without_known(word: re.Match[str]) -> str:
    return _KNOWN.sub(MASK, word[0])


def _address_alone(found: re.Match[str]) -> str:
    before = "://" if found[0].startswith("://") else found.groupdict().get("before") or ""
    return f"{before}{MASK}{'@' if found[0].endswith('@') else ''}"


def _all_but_value(found: re.Match[str]) -> str:
    return found[0][: found.start("value") - found.start()] + MASK


def _scheme_alone(found: re.Match[str]) -> str:
    word = found["value"].rstrip(".:,").lower()
    plain = word in _WORDS
    if found["scheme"].lower() != "bearer":  # words with other meanings: "basic validation failed"
        plain = plain or _PLAIN.fullmatch(found["value"]) is not None
    return found[0] if plain else _all_but_value(found)


def _unless_other_tag(found: re.Match[str]) -> str:
    return found[0] if next(_names(found["tag"]), None) is None else _all_but_value(found)


def _unless_other_command(found: re.Match[str]) -> str:
    begin = found.start()
    if found["client"] and not _CLIENT.search(found.string, max(0, begin - 240), begin):
        return found[0]
    return _all_but_value(found)
