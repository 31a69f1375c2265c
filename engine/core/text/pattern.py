"""What a reason says, whatever it says it of: `order * not found` of `order 17 not found`.

Numbers, ids, quoted texts, addresses and times are `*`, which in filters stands for any text. Words
stay, and so do numbers that are said to be codes: `errno 111`, `"code":40001`. What is drawn and
not written is told by its shape, so some ids of letters alone stay, and a word with a digit in it
goes: to see two faults as one where one number alone tells them apart is the lesser evil, as five
hundred groups of one fault help nobody, and the reason itself is shown beside.
"""

from __future__ import annotations

import re

PATTERN_BYTES_MAX = 80
"""Of UTF-8, without the sign for what was cut. Well below an excerpt's bound: where that was cut
depends on how long its numbers are."""
LOOKED_AT_CHARACTERS_MAX = 256
BARE_CODE_CHARACTERS_MAX = 12
"""A reason that is one short word of digits is itself the code: `E1001`, `23505`."""
DRAWN_LETTERS_MIN = 10
ANY = "*"
CUT = "…"

_KEPT = "code|errno|error|kind|reason|state|status|type"
_JSON_MEMBERS = rf"""
  (?P<member>"\w{{0,40}}(?i:{_KEPT})"\s?:\s?(?:-?\d{{1,6}}(?![\w.])|"[A-Za-z_.-]{{1,40}}\d{{0,5}}"))
| (?P<name>"[^"\\]{{0,100}}"(?=\s?:))
|"""
_QUOTED = r"""
  "(?:[^"\\]|\\.)*" | (?<!\w)[bru]?'(?:[^']|(?<=\w)'(?=\w))*'(?!\w) | `[^`]*`
| “[^”]*” | „[^“”]*[“”] | «[^»]*» | \u2018[^\u2019]*\u2019
| (?:["`“„«\u2018]|(?<!\w)')[^"'`”»\u2019]*…\Z"""
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_OTHERS = rf"""
  (?P<gone>{_QUOTED}
  | [A-Za-z][A-Za-z0-9+.-]{{0,20}}://[^\s"'<>)\]}}]*
  | [\w.+-]{{1,64}}@[\w-]{{1,64}}(?:\.[\w-]{{1,64}})+
  | (?<==)\([^()]{{0,100}}\)
  | (?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{{0,6}},?\s)?
    (?:\d{{1,2}}[\s-]{_MONTHS}|{_MONTHS}\.?\s\d{{1,2}})(?!\w)
  | (?<=\d)\s?[AP]M\b
  | [0-9A-Fa-f]{{8}}-(?:[0-9A-Fa-f]{{4}}-){{3}}[0-9A-Fa-f]{{12}}(?!\w)
  | [A-Za-z0-9+/_-]{{16,100}}={{1,2}}(?![\w=]))
| (?P<code>\b(?:(?i:http|status)[\s:=(]{{1,3}}\d{{1,3}}
    |(?i:errno|(?:error|exit|response|result|return|status)[ _-]?code)[\s:=(]{{1,3}}\d{{1,5}}
    |(?i:sqlstate)[\s:=(\[]{{1,3}}[0-9A-Z]{{5}})\b(?![.,:-]?\d))
| (?P<ipv6>(?<![\w:])[0-9A-Fa-f]{{0,4}}(?::[0-9A-Fa-f]{{0,4}}){{2,8}}(?![\w:]))
| (?P<word>(?:(?<![\w)])[+-])?[0-9A-Za-z_][0-9A-Za-z_-]*|\d+)"""
_ANYWHERE = re.compile(_OTHERS, re.VERBOSE | re.DOTALL)
_IN_JSON = re.compile(_JSON_MEMBERS + _OTHERS, re.VERBOSE | re.DOTALL)
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_JOINT = re.compile(r"([_-])")
_LETTERS_AND_NUMBER = re.compile(r"[^\W\d]{1,12}\d{1,12}|\d{1,12}[^\W\d]{1,3}|\d+")
"""`order17`, `v2`, `30ms`: a word with its number. Digits among letters are an id's."""
_CASE_CHANGE = re.compile(r"(?<=[a-z])[A-Z]|(?<=[A-Z])[a-z]")
_IN_A_ROW = re.compile(r"\*(?:[\s.,:;/_+-]{0,3}\*)+")
_QUOTES = str.maketrans("", "", "\"'`“”„«»\u2018\u2019")


def pattern_of(reason: str) -> str:
    """The pattern of a reason, at most `PATTERN_BYTES_MAX` bytes and the sign for what was cut.

    It takes time by the reason's length alone, of which `LOOKED_AT_CHARACTERS_MAX` count.
    """
    text = reason[:LOOKED_AT_CHARACTERS_MAX]
    if text.endswith(CUT):  # within a word, mostly: how much of it is there tells nothing
        text = (text.rpartition(" ")[0] or text.removesuffix(CUT)) + CUT
    found = without_particulars(text)
    if not _LETTER.search(found):
        if len(text) <= BARE_CODE_CHARACTERS_MAX and not re.search(r"\s", text):
            return text
        found = without_particulars(text.translate(_QUOTES))
    data = found.encode()
    if len(data) <= PATTERN_BYTES_MAX:
        return found
    return data[:PATTERN_BYTES_MAX].decode(errors="ignore").rstrip() + CUT


def without_particulars(text: str) -> str:
    """A text with `*` for what differs from run to run."""
    signs = _IN_JSON if text[:1] in ("{", "[") else _ANYWHERE
    return _IN_A_ROW.sub(ANY, signs.sub(_seen, text))


def _seen(found: re.Match[str]) -> str:
    text = found[0]
    match found.lastgroup:
        case "gone":
            return ANY
        case "ipv6":
            return ANY if _DIGIT.search(text) else text
        case "name":
            return f'"{without_particulars(text[1:-1])}"'
        case "word":
            return _word(text)
    return text


def _word(text: str) -> str:
    """Of words that are joined each number goes, and from what is an id by its shape on all: its
    other parts may be letters by chance (`app-6d4cf56db6-xkzwp`)."""
    parts: list[str] = []
    for part in _JOINT.split(text):
        numbered = _DIGIT.search(part) is not None
        parts.append(ANY if numbered else part)
        if _was_drawn(part) if not numbered else not _LETTERS_AND_NUMBER.fullmatch(part):
            parts[-1] = ANY
            break
    seen = "".join(parts)
    return seen if seen == text else seen.lstrip("+-")


def _was_drawn(word: str) -> bool:
    """Whether it changes between upper and lower case too often for a word that was written."""
    letters = len(word)
    return letters >= DRAWN_LETTERS_MIN and len(_CASE_CHANGE.findall(word)) * 3 >= letters
