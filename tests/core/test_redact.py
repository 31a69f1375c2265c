"""What of a client's bodies people are not shown: nothing of it comes through, and the rest stays
byte for byte."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.outcome import FAILED_BODY_BYTES_MAX, Answered
from engine.core.rules.excerpt import excerpt_of
from engine.core.rules.redacted import VALUES_MAX, redacted
from engine.core.text import redaction
from engine.core.text.masked_json import SPANS_MAX
from engine.core.text.redaction import BadRule, Redaction, at_once, check_rule

CANARY = "cAnArY-9f"
RULES = ("/card/number", "/items/*/iban", "/deep/0/x", "/a~1b/m~0n", "X-Api-Key")


def shown(body: str | bytes, *rules: str, **how: Any) -> str:
    """A body as people are shown it."""
    data = body.encode() if isinstance(body, str) else body
    how.setdefault("content_type", "application/json")
    told: bytes = at_once(Redaction(rules or RULES).shown(data, **how))
    return told.decode()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"card":{"number":"C","x":1}}', '{"card":{"number":"***","x":1}}'),
        ('{ "card" :\n{"number": 4111 , "x":1e2}}', '{ "card" :\n{"number": "***" , "x":1e2}}'),
        ('{"card":{"number":{"a":["C"]}}}', '{"card":{"number":"***"}}'),
        ('{"card":{"number":1,"number":2}}', '{"card":{"number":"***","number":"***"}}'),
        ('{"c\\u0061rd":{"num\\u0062er":1}}', '{"c\\u0061rd":{"num\\u0062er":"***"}}'),
        ('{"card":"{\\"number\\":1}"}', '{"card":"***"}'),
        ('{"card":" \\u005b1]"}', '{"card":"***"}'),
        ('{"card":"none"}', '{"card":"none"}'),
        ('{"items":[{"iban":1},{"b":2},{"iban":[3]}]}',
         '{"items":[{"iban":"***"},{"b":2},{"iban":"***"}]}'),
        ('{"items":{"any":{"iban":1}}}', '{"items":{"any":{"iban":"***"}}}'),
        ('{"deep":[{"x":1},{"x":2}]}', '{"deep":[{"x":"***"},{"x":2}]}'),
        ('{"deep":{"0":{"x":1}}}', '{"deep":{"0":{"x":"***"}}}'),
        ('{"a/b":{"m~n":1}}', '{"a/b":{"m~n":"***"}}'),
        ('{"other":{"card":{"number":1}}}', '{"other":{"card":{"number":1}}}'),
        ('{"x-api-key":"C","h":[{"HTTP_X_API_KEY":["C"]},{"xApiKey":1}]}',
         '{"x-api-key":"***","h":[{"HTTP_X_API_KEY":"***"},{"xApiKey":"***"}]}'),
        ('{"x\\u002dapi-key":"C"}', '{"x\\u002dapi-key":"***"}'),
        ('{"e":"got X-Api-Key: C, D"}', '{"e":"got X-Api-Key:***"}'),
        ('{"e":"{\\"x-api-key\\":\\"C\\"}"}', '{"e":"{\\"x-api-key\\":***"}'),
        ('{"e":"x\\u002dapi-key=C"}', '{"e":"***"}'),
        ('{"h":[["Host","a"],["X-Api-Key","C"]]}', '{"h":[["Host","a"],"***"]}'),
        ('{"h":[{"value":"C","name":"X-API-KEY"}]}', '{"h":["***"]}'),
        ('{"e":"no X-Api-Key here"}', '{"e":"no X-Api-Key here"}'),
        ("\ufeff{\"card\":{\"number\":1}}", "\ufeff{\"card\":{\"number\":\"***\"}}"),
    ],
)  # fmt: skip
def test_what_pointers_and_names_find_is_masked(body: str, told: str) -> None:
    """Members, items, members that come twice, escapes, JSON in a string, headers as they are
    quoted; around it nothing changes."""
    assert shown(body, is_json=not body.startswith("\ufeff")) == told


@pytest.mark.parametrize(
    ("body", "kind", "rules", "told"),
    [
        ("<p>C</p>", "text/html", ("/a",), "***"),
        ("a C", "text/plain", ("/a",), "***"),
        ('{"a": C}', "application/json", ("/b",), '"***"'),
        ("{'b': 'C'}", "text/plain", ("/b",), "***"),
        ('{"b": 1} C', "text/plain", ("/b",), "***"),
        ('{"b": 1}', "text/plain", ("/b",), '{"b": "***"}'),
        (b"\xff\xfe{\x00", "application/json", ("/b",), '"***"'),
        (b"X-Key \xff C", "text/plain", ("X-Key",), "***"),
        ("a: 1\r\nX-Key: C D\r\nb: 2\n", "text/plain", ("X-Key",), "a: 1\r\nX-Key: ***\r\nb: 2\n"),
        ("x_key='C'\nok", "text/plain", ("X-Key",), "x_key=***\nok"),
        ("[(b'x-key', b'C')]", "text/plain", ("X-Key",), "[(b'x-key', ***"),
        ("X-Key is missing", "text/plain", ("X-Key",), "X-Key is missing"),
        ('{"anything": [1]}', "application/json", ("",), '"***"'),
        ("anything", "text/plain", ("",), "***"),
        ("", "text/plain", ("", "X"), ""),
    ],
)
def test_what_cannot_be_told_apart_is_masked_whole(
    body: str | bytes, kind: str, rules: tuple[str, ...], told: str
) -> None:
    """A body that is no JSON where pointers are set; of headers alone the rest of a text stays."""
    assert shown(body, *rules, content_type=kind) == told


def test_of_one_that_is_too_large_or_hides_too_much_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the limit it is looked through, one byte beyond it is not."""
    body = b'{"a": 1}'
    monkeypatch.setattr(redaction, "LOOKED_AT_BYTES_MAX", len(body))
    assert shown(body, "/a", is_json=True) == '{"a": "***"}'
    assert shown(body + b" ", "/a", is_json=True) == '"***"'
    monkeypatch.undo()
    many = json.dumps([1] * (SPANS_MAX + 1_000)).encode()
    assert shown(many, "/*", is_json=True) == '"***"'
    few = [1] * 1_000
    assert shown(json.dumps(few), "/*", is_json=True) == json.dumps(["***"] * 1_000)


@pytest.mark.parametrize("cut", range(1, 76))
def test_a_body_that_was_cut_anywhere_shows_none_of_it(cut: int) -> None:
    """What is there of a JSON answer is shown, and of what it hides no part."""
    body = '{"ok":1,"card":{"number":"CCCCCC\\"CCC"},"h":[["x-api-key","CCC"]],"z":2}'[:cut]
    told = shown(body, is_cut=True)
    assert "C" not in told
    assert told.startswith(body[: min(cut, 8)]) or "***" in told


@pytest.mark.parametrize(
    ("body", "values", "told"),
    [
        ('{"e":"no cAnArY-9f","f":"fine"}', [CANARY], '{"e":"***","f":"fine"}'),
        ('{"e":"no CANARY-9f-and-more","f":1}', [CANARY], '{"e":"***","f":1}'),
        ('{"e":["so much of a-long-value"]}', ["a-long-value-that-is-cut"], '{"e":["***"]}'),
        ('{"n":99887766,"m":998877665}', ["99887766"], '{"n":"***","m":998877665}'),
        ('{"by":{"cAnArY-9f":1,"a":2},"z":3}', [CANARY], '{"by":"***","z":3}'),
        ('{"e":"caf\\u00e9-caf\\u00e9 x"}', ["caf\u00e9-caf\u00e9"], '{"e":"***"}'),
        ('{"e":1}', None, '"***"'),
    ],
)
def test_what_a_payload_hides_is_masked_in_an_answer_too(
    body: str, values: list[str] | None, told: str
) -> None:
    """Wherever it is quoted: in a text, as a number, as a name, by its beginning."""
    assert shown(body, values=values) == told


@pytest.mark.parametrize("cut", range(12, 80))
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "application/json",
            '{"ok":1,"e":"QQQQQQQQQQQQQQQ","f":{"g":2,"QQQQQQQQQQQQQQQ":1},"z":2}',
        ),
        ("text/plain", "not a thing here: QQQQQQQQQQQQQQQ and QQQQQQQQQQQQQQQ"),
    ],
)
def test_an_answer_that_was_cut_anywhere_quotes_no_part(kind: str, body: str, cut: int) -> None:
    """It may end with the first letters of a value."""
    values = ["QQQQQQQQQQQQQQQ"]
    told = shown(body[:cut], "X-Key", content_type=kind, is_cut=cut < len(body), values=values)
    assert "Q" not in told


def test_a_value_of_several_lines_is_masked_in_a_text() -> None:
    """All of its lines, as they stand in the payload."""
    names = Redaction(("X-Key",))
    key = "-----BEGIN\nabcdef\nghi\n-----END"
    values = at_once(names.values_in(json.dumps({"x-key": key}).encode()))
    told = shown(f"got {key}, no", "X-Key", content_type="text/plain", values=values)
    assert told == "got ***, no"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (r'{"e":"no http:\/\/a.b\/c"}', "http://a.b/c"),
        (r'{"e":"no a\u0026b\u003Cc\u003e-and"}', "a&b<c>-and"),
        (r'{"e":"no a\u0026b"}', "a&b"),
        (r'{"e":"{\"k\":\"a\\\/b\\u0026c\"}"}', "a/b&c"),
        (r'{"e":"\ud83d\uDE00abcdefghijkl"}', "\U0001f600abcdefghijkl"),
        (r'{"e":"caf\u00e9 4"}', "caf\u00e9 4"),
        (r'{"e":"a\\b\tc\"d"}', 'a\\b\tc"d'),
        (r'{"e":"line\n4111 x"}', "4111"),
        (r'{"e":"\u0441\u00e94111 x"}', "4111"),
        (r'{"\u0061bcd":1}', "abcd"),
    ],
)
def test_a_value_is_found_however_json_spells_it(body: str, value: str) -> None:
    """As PHP, Go, .NET and others write it, and behind what is escaped."""
    json.loads(body)
    assert shown(f'[{body},{{"z":"fine"}}]', "X-Key", values=[value]) in (
        '[{"e":"***"},{"z":"fine"}]', '["***",{"z":"fine"}]',
    )  # fmt: skip


def test_beside_escapes_the_rest_stays() -> None:
    """A part of a word is none of it."""
    body = r'{"e":"a\nb x4111 41112","f":"a\/b"}'
    assert shown(body, "X-Key", values=["4111", "a/c"]) == body


def test_half_of_a_sign_is_a_value_too() -> None:
    """JSON can spell what is no text (RFC 8259 section 8.2)."""
    values = at_once(Redaction(("X-Key",)).values_in(b'{"x-key":"abc\\ud83ddef"}'))
    told = shown('{"a":"abc\\ud83ddef","b":1}', "X-Key", values=values)
    assert told == '{"a":"***","b":1}'


SPELLED = st.sampled_from(["card", "number", "a/b", "m~n", "*", "", "0", "é", 'q"', "😀", "items"])
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["x", "é\n", '"', "\\", "{", "[1]", " [", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SPELLED, inner, max_size=4),
    max_leaves=25,
)
POINTERS = st.lists(st.lists(SPELLED, max_size=3), min_size=1, max_size=4)


@given(TREES, POINTERS, st.booleans(), st.sampled_from([None, 1]))
@example({"card": {"number": "x"}}, [["card", "number"], ["card"]], False, None)
def test_pointers_find_what_a_parser_finds(
    tree: Any, pointers: list[list[str]], escape: bool, indent: int | None
) -> None:
    """Against a mask of the parsed document, whatever it holds and however it is spelled."""
    body = json.dumps(tree, ensure_ascii=escape or "\\ud83d" in json.dumps(tree), indent=indent)
    rules = ["".join("/" + it.replace("~", "~0").replace("/", "~1") for it in p) for p in pointers]
    assert json.loads(shown(body, *rules, is_json=True)) == _masked(tree, pointers)


def _masked(value: Any, pointers: list[list[str]]) -> Any:
    if any(not pointer for pointer in pointers):
        return "***"
    begins = value.lstrip(" \n\t\r")[:1] if isinstance(value, str) else ""
    if pointers and begins in ("{", "[", '"', "\\") and begins:
        return "***"
    if pointers and value == "\ud83d":  # an escape may be any sign
        return "***"

    def led(token: str) -> list[list[str]]:
        return [pointer[1:] for pointer in pointers if pointer[0] in (token, "*")]

    if isinstance(value, list):
        return [_masked(it, led(str(at))) for at, it in enumerate(value)]
    if isinstance(value, dict):
        return {name: _masked(it, led(name)) for name, it in value.items()}
    return value


@given(st.text(max_size=80) | st.binary(max_size=80))
def test_any_body_is_masked_or_left_as_it_is(body: str | bytes) -> None:
    """No body raises; without a rule that meets something it is the same object."""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    at_once(Redaction(RULES).shown(data, "application/json"))
    at_once(Redaction(("X-Key",)).shown(data, "text/plain", is_cut=True))
    tree = json.dumps({"a": [1, "b"]}).encode()
    assert at_once(Redaction(RULES).shown(tree, is_json=True)) is tree


@pytest.mark.parametrize(
    ("kind", "body", "values"),
    [
        ("text/plain", b"abcdefghi " * 50_000, ["abcdefghi"]),
        ("text/plain", b"abcd-" * 50_000, ["abcd"]),
        ("application/json", b'["%b"]' % (b"abcd-" * 50_000), ["abcd"]),
        ("application/json", b'["%b"]' % (b"abcde" * 50_000), ["abcde"]),
        ("text/plain", b"x" * 1_000_000, ["abcdefghi"]),
        ("application/json", b'["%b"]' % (b"x" * 1_000_000), ["abcdefghi"]),
        ("application/json", b'["%b"]' % (rb"\\" * 500_000), ["\\" * 12 + "x", "\\a\\b\\c"]),
    ],
)
def test_looking_for_values_is_done_in_slices(kind: str, body: bytes, values: list[str]) -> None:
    """However often one stands there, and where none does."""
    names = Redaction(("X-Key",))
    without = sum(1 for _ in names.shown(body, kind))
    assert sum(1 for _ in names.shown(body, kind, values=values)) - without > 10


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_where_values_are_found_too_often_nothing_is_shown(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So often they are masked one by one, and once more the body is."""
    monkeypatch.setattr(redaction, "SPANS_MAX", 3)
    many = '["abcd", "abcd", "abcd"]' if kind == "application/json" else "abcd abcd abcd, more"
    told = shown(many, "X-Key", content_type=kind, values=["abcd"])
    assert told == many.replace("abcd", "***")
    more = many.replace("abcd", "abcd abcd", 1)
    assert shown(more, "X-Key", content_type=kind, values=["abcd"]).strip('"') == "***"


def test_work_beyond_the_limit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body's bytes times the values."""
    monkeypatch.setattr(redaction, "COMPARED_BYTES_MAX", 16)
    two = ["abc", "def"]
    assert shown("abc more", "X-Key", content_type="text/plain", values=two) == "*** more"
    assert shown("abc more!", "X-Key", content_type="text/plain", values=two) == "***"


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_looking_at_the_same_places_again_and_again_ends(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of words are none of the values, but each has to be looked at: so many, no more."""
    body = f'["{"abcd" * 50}"]'
    values = ["abcd", "bcda"]  # 50 places, 49, and the end of the one piece for each
    monkeypatch.setattr(redaction, "COMPARED_MAX", 101)
    assert shown(body, "X-Key", content_type=kind, values=values) == body
    monkeypatch.setattr(redaction, "COMPARED_MAX", 100)
    assert shown(body, "X-Key", content_type=kind, values=values).strip('"') == "***"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("AAAAAAAAAAAAbc, aaaaaaaaaaaaxyz1.", "***, ***."),
        ("aaaaaaaaaaaax then aaaaaaaaaaaa", "*** then ***"),
        ("aaaaaaaaaaaaaaaa!", "***!"),
        ("\u0130\u0130 abc, xabc, ODO\u03a3-1, odo\u03c3-1", "\u0130\u0130 ***, xabc, ***, ***"),
    ],
)
def test_of_values_that_begin_alike_none_leaves_a_rest(text: str, told: str) -> None:
    """Each is masked as far as it goes, wherever another began, and in any case of letters."""
    values = ["aaaaaaaaaaaaxyz1", "aaaaaaaaaaaabc", "abc", "odo\u03a3-1"]
    assert shown(text, "X-Key", content_type="text/plain", values=values) == told


def _slices(steps: Generator[None, None, bytes]) -> tuple[float, float, int]:
    """CPU seconds of the longest slice and of all, and how many there were."""
    longest = 0.0
    number = 0
    begin = began = time.process_time()
    for _ in steps:
        now = time.process_time()
        longest, began = max(longest, now - began), now
        number += 1
    return max(longest, time.process_time() - began), time.process_time() - begin, number


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b'{"items":[%b],"z":1}' % b",".join([b'{"iban":"DE","n":1.5}'] * 60_000),
        b'{"x":[%b]}' % b",".join([b"1"] * 700_000),
        b'{"x":[%b]}' % b",".join([b'{"a":"b"}'] * 140_000),
        b'{"x":"%b"}' % (b'\\"' * 700_000),
        b'{"x":"%b"}' % (b"x" * 1_400_000),
        b'{"card":"%b"}' % (b"x-" * 700_000),
    ],
)
def test_a_large_body_is_looked_through_in_small_slices(body: bytes) -> None:
    """A MiB and a half: none of its slices holds the loop up for long."""
    longest, took, number = _slices(Redaction(RULES).shown(body, is_json=True))
    assert number > 10
    assert longest < max(0.02, took / 5)


@pytest.mark.parametrize(
    "rule",
    ["", "/", "/a", "/a/*/b", "/~0~1", "X-Api-Key", "x_y", "a", "n" * 128, "/" + "p" * 1_023],
)
def test_rules_that_are_taken(rule: str) -> None:
    """Pointers, with any names, and names of headers, up to the longest."""
    check_rule(rule)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("card/number", "neither the name of a header"),
        ("$.card", "neither the name of a header"),
        ("card.number", "neither the name of a header"),
        ("X-Key:", "neither the name of a header"),
        ("-x", "neither the name of a header"),
        ("n" * 129, "neither the name of a header"),
        ("/a~2", "`~0`"),
        ("/a~", "`~0`"),
        ("/" + "p" * 1_024, "1,024 characters"),
    ],
)
def test_rules_that_are_none(rule: str, why: str) -> None:
    """What looks like a pointer of another kind is no name of a header."""
    with pytest.raises(BadRule, match=re.escape(why)):
        check_rule(rule)


# -- reasons -------------------------------------------------------------------------------------


def reason(answer: str | bytes, payload: str | None, *rules: str, **how: Any) -> str | None:
    """The reason that is recorded of a failed attempt."""
    data = answer.encode() if isinstance(answer, str) else answer
    how.setdefault("content_type", "application/json")
    sent = None if payload is None else payload.encode()
    return excerpt_of(redacted(Answered(500, data, **how), Redaction(rules or RULES), sent))


PAYLOAD = json.dumps({"card": {"number": CANARY}, "items": [{"iban": 99887766}], "name": "ada"})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (f'{{"error":"no {CANARY} here"}}', "no *** here"),
        (f'{{"error":"no {CANARY.upper()}"}}', "no ***"),
        (f'{{"error":"{"x" * 106} {CANARY} and more"}}', f"{'x' * 106} *** and more"),
        ('{"error":"account 99887766 of ada"}', "account *** of ada"),
        ('{"error":"account 998877665 of ada"}', "account 998877665 of ada"),
        (f'{{"card":{{"number":"{CANARY}"}}}}', '{"card":{"number":"***"}}'),
        ('{"error":"X-Api-Key: abc is wrong"}', "X-Api-Key:***"),
        ('{"error":{"message":"fine"}}', "fine"),
        ("", None),
    ],
)
def test_no_reason_tells_what_the_payload_hides(answer: str, told: str | None) -> None:
    """Neither by a pointer into the answer, nor as the answer quotes it from the payload."""
    found = reason(answer, PAYLOAD)
    assert CANARY.lower()[:6] not in (found or "").lower()
    assert told is None or found == told
    assert (found is None) == (not answer)


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (f"<h1>{CANARY}</h1>", {"content_type": "text/html"}),
        (CANARY, {"content_type": "text/plain"}),
        (f'{{"error":"{CANARY}"', {"size": 20_000}),
        ("x" * (FAILED_BODY_BYTES_MAX + 1), {}),
    ],
)
def test_of_an_answer_that_is_not_looked_through_no_reason_is_told(
    answer: str, how: dict[str, Any]
) -> None:
    """No JSON, cut, or longer than is kept."""
    assert reason(answer, PAYLOAD, **how) == "***"


def test_beside_a_payload_that_is_too_large_no_reason_is_told() -> None:
    """Nobody has looked at what it might quote."""
    assert reason('{"error":"anything"}', None) == "***"


@pytest.mark.parametrize(("number", "told"), [(VALUES_MAX, "no ***"), (VALUES_MAX + 1, "***")])
def test_beside_very_many_values_no_reason_is_told(number: int, told: str) -> None:
    """Each attempt would look for all of them, while others wait."""
    payload = json.dumps({"card": {"number": list(range(1_000, 1_000 + number))}})
    assert reason('{"error":"no 1000"}', payload) == told


def test_where_a_redirect_leads_is_told_without_it() -> None:
    """The address is recorded in the error; the body of an answer that is recorded stays whole."""
    answer = Answered(302, b"", location=f"http://a/cards/{CANARY}/x")
    assert redacted(answer, Redaction(RULES), PAYLOAD.encode()).location == "http://a/cards/***/x"
    fine = Answered(200, f'{{"card":{{"number":"{CANARY}"}}}}'.encode(), "application/json")
    assert redacted(fine, Redaction(RULES), PAYLOAD.encode()) is fine
    failed = Answered(500, CANARY.encode())
    assert redacted(failed, Redaction(RULES), PAYLOAD.encode()).body == CANARY.encode()


def test_values_of_a_payload_are_all_that_is_hidden() -> None:
    """In arrays and objects too, however they are spelled, the longest first; none so short that
    every text has it."""
    payload = b'{"card":{"number":[12,"a\\nb",{"c":"\\u0064ddd","d":null}]},"x-api-key":1.50}'
    assert at_once(Redaction(RULES).values_in(payload)) == ["1.50", "a\\nb", "dddd", "a\nb", "a b"]
