"""What looks like a secret in a text that people are shown, and is replaced before it is written.

A text is looked at as it stands, with no format in mind: it may be cut, or JSON within a string of
JSON, or a dump of any language. So what a name such as `password` is given is looked for the same
way whatever stands around it, and of what cannot be told for sure rather more is replaced than
less. What begins like a sentence stays: a reason often speaks of a secret without telling it.
Every repetition has a bound: texts are somebody else's.
"""

from __future__ import annotations

import re

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
_BY_ITSELF = re.compile(
    r"\beyJ[\w-]{2,4096}(?:\.[\w-]{0,4096}){0,4}"  # RFC 7519: base64url of `{"`, and its signature
    r"|-----BEGIN[A-Z ]{0,40}PRIVATE KEY.{0,4096}"
    r"|\b(?:[spr]k_(?:live|test)_\w{4,256}|whsec_[\w+/=]{16,128}|sq0[a-z]{3}-[\w-]{16,64}"  # to pay
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
_USER_INFO = re.compile(
    r"(?P<before>://)[^\s/?#\"'<>@:\[]{0,256}:"
    r"(?!\d{1,5}(?:[/?#]|(?![\w@])(?![^\s/@]{0,256}@)))"  # a port
    r"(?:[^\s\"'<>]{0,2048}@|[^\s\"'<>]{0,2048})"
    r"|\b[\w.%+-]{1,64}:(?:[^\s:/@\"'<>]{1,256}@(?=[\w\[])|[^\s@\"'<>]{1,256}@(?=tcp\(|unix\())"
    r"|(?P<jdbc>:(?:thin|oci8?):)[\w.-]{1,64}/[^\s\"'@]{1,256}@"
)
"""`user:pass@` before a host (RFC 3986 §3.2.1). Behind `://` what is no port is a password, whether
its `@` is still to be seen or not."""
_OF_COMMANDS = re.compile(
    rf"(?:(?<![\w-])(?:-u|-U|--user|--proxy-user)(?:=|\s{{1,4}})?{_Q}?[^\s:\"'=]{{1,64}}:"
    r"|\b(?:mysql|mariadb|sshpass|docker\slogin|redis-cli|mongo|ldap)[^|;]{0,200}?\s-[paw]\s?"
    rf"|(?<![\w-])(?:-b|--cookie)\s{{1,4}}{_Q}?(?=[\w.-]{{1,64}}=))(?P<value>[^\s\"']{{1,512}})"
)
"""`curl -u user:pass`, `mysql -ppass`."""

# --- what is one because of its name ---

_NAME = (
    r"pass(?:word|wd|phrase|code|wort)|(?:(?<![a-z])|db|user|smtp|root|login)pass(?![a-z])|pwd"
    r"|(?<![a-z])pw(?![a-z])|secret(?!ar|ly)|token(?!s|i)|credential|(?<![a-z])creds?(?![a-z])"
    r"|signature|(?<![a-z])sig(?![a-z])|(?<![a-z])auth(?![a-z])|authorization|bearer"
    r"|(?:api|access|account|app|auth|consumer|encryption|functions|license|master|private|role"
    r"|service|shared|signing|ssh|subscription)[_ -]?key(?![a-z])|identified by"
    r"|cookie|session[_-]?id|sessid|connect\.sid|[cx]srf|assertion|saml(?:request|response)"
    r"|card[_-]?number|(?<![a-z])(?:cv[cv]|otp|ssn)(?![a-z])|(?<=[?&])code(?==[\w%/.-]{16})"
)
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
    rf"(?P<name>{_NAME})(?P<rest>[\w.-]{{0,24}}){_CLOSED}"
    rf"(?:(?P<given>{_GIVEN})"
    rf"|(?P<pair>\s{{0,4}},\s{{0,4}}(?={_Q}|b[\"'])|(?<=[\"'])\s{{1,4}}(?={_Q})))"
    rf"{_TYPE}(?=\S)",
    re.IGNORECASE,
)
"""A name up to its value. A pair, `("Authorization", "…")`, has a quoted one."""
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
_WHOLE_LINE = re.compile(r"authorization|cookie", re.IGNORECASE)
_ELEMENT = re.compile(
    r"(?:<|&lt;)(?P<tag>(?:[^<>&]|&(?![lg]t;)){1,240}+)(?:(?<!/)>|&gt;)\s{0,4}(?:<!\[CDATA\[)?"
    r"(?P<value>(?:[^<&]|&(?!lt;)){1,2048}+)"
)
"""What stands in an element whose name, or an attribute of which, is one."""
_FIELD = re.compile(
    rf"name={_Q}[\w.-]{{0,24}}(?:{_NAME})[\w.-]{{0,24}}{_Q}(?:\s|\\{{1,8}}[rn]){{1,8}}"
    r"(?P<value>[^\s<>=\\]{1,512})(?![\w-]{0,40}=)",
    re.IGNORECASE,
)
"""A part of `multipart/form-data`."""
_OPTION = re.compile(
    rf"(?<![\w-])--[\w-]{{0,24}}(?:{_NAME})\s(?P<value>[^\s-]\S{{0,512}})", re.IGNORECASE
)
"""`--password pass`."""
_NEXT_WORD = re.compile(
    rf"(?P<name>{_NAME})[\w.-]{{0,24}}(?:\s|\\{{1,8}}t)"
    r"(?:(?:is|was|of|key|token|value|provided|given|sent|used):?\s|:\s){0,3}"
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
_SCHEMES = frozenset({"access", "auth", "key", "session", "token"})
"""Of these, schemes of services: `Authorization: Token …`."""
_WORD = re.compile(
    rf"{_Q}?(?P<word>[A-Za-z][\w'\u2019-]{{0,24}})[.,;:!]?(?=\s|{_Q}?[\])}},]|{_Q}?$)"
)
_STATUS = re.compile(r"[1-5]\d\d [A-Z]")
"""`cannot fetch token: 401 Unauthorized`."""
_PLAIN = re.compile(r"[A-Za-z]?[a-z]{0,19}[.:!]?")
_ANY_NAME = re.compile(_NAME, re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with `MASK` for what looks like a secret in it: bearer and basic credentials, JWTs,
    `user:pass@`, values after `password= token= secret= api_key=` and the like, known keys."""
    text = _BY_ITSELF.sub(MASK, text)
    text = _OF_COMMANDS.sub(_all_but_value, text)
    if _ANY_NAME.search(text):
        text = _ELEMENT.sub(_unless_other_tag, text)
        text = _FIELD.sub(_unless_said, text)
        text = _OPTION.sub(_unless_said, text)
        text = _NEXT_WORD.sub(_unless_plain, text)
        text = _values_masked(text)
    text = _USER_INFO.sub(_address_alone, text)
    return _SCHEME.sub(_scheme_alone, text)


def _values_masked(text: str) -> str:
    """Mask what the names are given; what begins like a sentence is looked through as the rest."""
    parts: list[str] = []
    at = 0
    while name := _ASSIGNED.search(text, at):
        begin = name.end()
        end, mask = _value_at(text, begin, name)
        parts.append(text[at:begin])
        at = begin
        if end > begin and not _is_said(text, begin, name):
            parts.append(mask)
            at = end
    parts.append(text[at:])
    return "".join(parts)


def _value_at(text: str, begin: int, name: re.Match[str]) -> tuple[int, str]:
    """Where the value that begins there ends, and what stands in its place."""
    if quoted := _QUOTED.match(text, begin):
        # a line that was broken within: `'password': '` and the rest in marks of its own
        more = None if quoted["within"].strip() else _QUOTED.match(text, quoted.end())
        end = (more or quoted).end()
        if behind := _BEHIND_QUOTED.match(text, end):
            end = behind.end()
        return end, f"{quoted['q']}{MASK}{quoted['end']}"
    if name["pair"] is not None:
        return begin, MASK
    if text[begin] in "[{(":
        return _end_of_brackets(text, begin), MASK
    if _WHOLE_LINE.search(name["name"]) and (line := _TO_THE_END.match(text, begin)):
        return line.end(), MASK
    end = begin
    while bare := _BARE.match(text, end):
        end = bare.end()
        if _NAMES_INNER.search(bare[0]) and (inner := _INNER.match(text, end)):
            end = inner.end()
    return end, MASK


def _end_of_brackets(text: str, begin: int) -> int:
    depth = 0
    for at in range(begin, len(text)):
        if text[at] in "[{(":
            depth += 1
        elif text[at] in ")}]":
            depth -= 1
            if not depth:
                return at + 1
    return len(text)


def _is_said(text: str, begin: int, name: re.Match[str]) -> bool:
    """Whether a sentence begins there, and no value."""
    if "=" in (name["given"] or "") and "value" not in (name["given"] or ""):
        return False
    while text[begin : begin + 1] in ("[", "("):
        begin += 1
    word = _WORD.match(text, begin)
    said = "" if word is None else word["word"].lower().replace("\u2019", "'")
    if said in _WORDS:
        return not (said in _SCHEMES and _WHOLE_LINE.search(name["name"]))
    if word is not None and not name["closed"]:
        start = name.start()
        while start and (text[start - 1].isalnum() or text[start - 1] in "_-."):
            start -= 1
        if _EVENT.search(text, start, name.end("rest")):
            return True
    return _STATUS.match(text, begin) is not None


def _address_alone(found: re.Match[str]) -> str:
    before = found["before"] or found["jdbc"] or ""
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
    return _all_but_value(found) if _ANY_NAME.search(found["tag"]) else found[0]


def _unless_said(found: re.Match[str]) -> str:
    plain = found["value"].strip("\"'").lower() in _WORDS
    return found[0] if plain else _all_but_value(found)


def _unless_plain(found: re.Match[str]) -> str:
    """`invalid token 4fG7…`, but `token at position 7`."""
    value = found["value"]
    digits = sum(c.isdigit() for c in value)
    mixed = value.lower() != value != value.upper()
    opaque = len(value) >= 8 and digits and (mixed or (len(value) >= 20 and digits >= 4))
    named = found["name"].lower().startswith(("pass", "identified"))
    quoted = named and found["closing"] and value.lower() not in _WORDS
    if not (opaque or quoted):
        return found[0]
    return _all_but_value(found) + found["closing"]
