"""Why an attempt failed, in one line: what is taken of an answer, what is left out of it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.outcome import FAILED_BODY_BYTES_MAX, Answered, CallError, Unanswered
from engine.core.rules.excerpt import CUT, EXCERPT_BYTES_MAX, excerpt_of, shortened
from engine.core.text.secrets import MASK, without_secrets

CANARY = "cAnArY-7f3a"


def told(body: bytes | str | object, content_type: str = "application/json", status: int = 500):
    """The excerpt of a failed answer; what is neither text nor bytes is written as JSON."""
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return excerpt_of(Answered(status, data, content_type))


JSON_ANSWERS: list[tuple[object, str]] = [
    ({"error": "card_declined", "decline_code": "insufficient_funds"}, "card_declined"),
    ({"error": "card_declined", "message": "no funds"}, "card_declined: no funds"),
    ({"code": "E42", "message": "no such user"}, "E42: no such user"),
    ({"error": {"code": "card_declined", "message": "No funds."}}, "card_declined: No funds."),
    ({"error": {"message": "deep", "inner": {"message": "deeper"}}}, "deep"),
    ({"error": {"error": {"error": "deepest"}}}, "deepest"),
    ({"error": 5, "message": None, "detail": " ", "title": "told"}, "told"),
    ({"title": "You have no credit.", "detail": "Your balance is 30."}, "Your balance is 30."),
    ({"detail": "d", "title": "t"}, "d"),
    ({"errors": [{"title": "Bad", "detail": "worse than that"}, {"detail": "not this"}]},
     "Bad: worse than that"),
    ({"errors": ["first", "second"]}, "first"),
    ({"error": "Internal Server Error", "message": "no bean"}, "Internal Server Error: no bean"),
    ({"error": "E1", "message": "E1"}, "E1"),
    ({"message": "E1: it is said already", "code": "E1"}, "E1: it is said already"),
    ({"message": "m", "code": 17}, "m"),
    ({"detail": [{"loc": ["body"], "msg": "Field required"}]}, "body: Field required"),
    ("just a text", "just a text"),
    ({"unknown": 1, "b": [2]}, '{"unknown":1,"b":[2]}'),
    ([], "[]"),
    ({"error": "two\nlines\tand  blanks"}, "two lines and blanks"),
    ({"error": "\ud83d half"}, "? half"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "excerpt"), JSON_ANSWERS)
def test_of_json_the_member_that_tells_it(answer: object, excerpt: str) -> None:
    """The first text in the order of the contract; objects, and the first of a list, the same."""
    found = told(answer)
    assert found is not None
    assert found.replace("\\ud83d", "?") == excerpt


def test_json_is_known_without_its_media_type() -> None:
    """Many endpoints do not say what they send; problem documents have a type of their own."""
    assert told('  {"error": "e"}', "") == "e"
    assert told('{"title": "t"}', "application/problem+json; charset=utf-8") == "t"
    assert told("{ no json", "text/plain") == "{ no json"
    assert told("<html><title>t</title>", "application/json") == "t"


def test_json_that_was_cut_still_tells_it() -> None:
    """Only the beginning of a long answer is kept."""
    whole = json.dumps({"trace": "x" * 200, "message": 'it said \\"no\\"', "rest": "y" * 50_000})
    kept = whole.encode()[:FAILED_BODY_BYTES_MAX]
    assert told(kept) == 'it said \\"no\\"'


PAGES = [
    ("<!DOCTYPE html><html><head><title>\n ValueError: x &amp; y </title></head>..",
     "ValueError: x & y"),
    ("<html><head><style>p{}</style></head><body><h1>Bad Gateway</h1><hr>nginx", "Bad Gateway"),
    ("<html><title></title><body><script>var a</script><p>told</p>", "told"),
    ("<html><body></body></html>", None),
    ("<title>cut here", "cut here"),
    ("<p>\u0130</p><TITLE lang='tr'>\u0130\u015flem yok</TITLE>", "\u0130\u015flem yok"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "excerpt"), PAGES)
def test_of_html_the_title_else_its_first_text(page: str, excerpt: str | None) -> None:
    """What a browser would show as the page's name."""
    assert told(page, "text/html; charset=utf-8") == excerpt


def test_of_other_text_the_first_line() -> None:
    """Blank ones count for nothing; a traceback tells the error at its end."""
    assert told("\n \n  one\ntwo", "text/plain") == "one"
    trace = 'Traceback (most recent call last):\n  File "a"\nValueError: boom\n'
    assert told(trace, "text/plain") == "ValueError: boom"
    assert (
        told("Fehler: gr\xfcn".encode("latin-1"), "text/plain; charset=iso-8859-1")
        == "Fehler: gr\xfcn"
    )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/plain"),
        (b" \n ", "application/json"),
        (b"\x1f\x8b\x08\x00\x00\xff\xfe\x80\x81", "application/gzip"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
    ],
)
def test_no_text_tells_nothing(body: bytes, content_type: str) -> None:
    """An empty answer, or one that is no text, has no excerpt."""
    assert told(body, content_type) is None


@pytest.mark.parametrize("charset", ["rot13", "base64", "unicode_escape", "no-such", "utf-7", '"'])
def test_strange_encodings_are_read_as_utf_8(charset: str) -> None:
    """A name that Python knows for something else than an encoding of text does nothing."""
    assert told("plain gr\xfcn", f"text/plain; charset={charset}") == "plain gr\xfcn"


def test_success_and_suspension_have_none() -> None:
    """Nothing failed. An answer 2xx that is none is told by what was wrong with it."""
    assert excerpt_of(Answered(200, b"fine")) is None
    assert excerpt_of(Answered(503, b"later", suspend=True)) is None
    assert excerpt_of(Answered(200, b"{", fault="not JSON at byte 1")) == "not JSON at byte 1"


def test_a_connection_tells_its_error() -> None:
    """With the system's number where there is one."""
    why = "no connection: connection refused (errno 111, ECONNREFUSED)"
    lost = Unanswered(CallError.CONNECTION_REFUSED, "app:9000: no connection", why=why)
    assert excerpt_of(lost) == why
    assert excerpt_of(Unanswered(CallError.DNS, "unknown name")) == "unknown name"


def test_the_limit_is_kept_to_the_byte() -> None:
    """120 bytes of UTF-8 pass whole; one more is cut, and never within a character."""
    assert shortened("x" * EXCERPT_BYTES_MAX) == "x" * EXCERPT_BYTES_MAX
    cut = shortened("x" * (EXCERPT_BYTES_MAX + 1))
    assert cut == "x" * (EXCERPT_BYTES_MAX - 3) + CUT
    assert shortened(" " * 2_000 + "x") == "x"
    assert shortened(" " * 2_000) is None
    wide = shortened("\u20ac" * 100)
    assert wide is not None
    assert len(wide.encode()) == 120
    assert wide.removesuffix(CUT).strip("\u20ac") == ""


def test_nothing_that_a_terminal_or_a_log_obeys() -> None:
    """Escapes, controls, bidi marks and line ends are replaced."""
    found = told("\x1b[31mred\u202eder\x00\u0085x\u2028y", "text/plain")
    assert found is None or found.isprintable()
    found = told({"error": "\x1b]52;c;x\x07 \u202e \u2028 \x7f"})
    assert found is not None
    assert found.isprintable()


SHAPES = [
    f"Authorization: Bearer {CANARY}",
    f"bad header 'bearer {CANARY}.x'",
    "refused Basic dXNlcjpjQW5BclktN2YzYQ==",
    f"jwt eyJ{CANARY}.eyJ{CANARY}.{CANARY} has expired",
    f"cannot reach postgres://app:{CANARY}@db:5432/shop",
    f"cannot reach https://app:{CANARY}/{CANARY}@db/shop",
    f"amqp://app:{CANARY}",
    f"login of app:{CANARY}@db failed",
    f"password={CANARY} is wrong",
    f"GET /x?api_key={CANARY}&b=1",
    f"TOKEN={CANARY}",
    f'client_secret = "two words {CANARY}"',
    f"X-Api-Key: {CANARY}",
    f"Set-Cookie: a={CANARY}; b={CANARY}",
    f"secret: {CANARY}",
    f"{{'access_token': '{CANARY}'}}",
    f"<e><password>{CANARY}</password></e>",
    f"redirect to /login?next=%2F&password%3D{CANARY}",
    f'("Authorization", "Bearer {CANARY}")',
    f"sk_live_{CANARY.replace('-', '')}",
]
PARSED = [
    {"password": CANARY},
    {"data": {"apiKey": CANARY, "n": 1}},
    {"x": json.dumps({"password": CANARY})},
    {"x": json.dumps({"y": json.dumps({"secret": CANARY})})},
    {"password": f'a"b{CANARY}'},
    {"errors": [{"token": CANARY}]},
    [{"private_key": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}"}],
]


@pytest.mark.parametrize("text", SHAPES)
def test_a_secret_is_in_no_excerpt(text: str) -> None:
    """However the text comes: as itself, in a page, in a member, in JSON within JSON."""
    hidden = (CANARY, CANARY.replace("-", ""), "dXNlcjpjQW5B")
    wrapped = {"error": {"message": text}, "errors": [text]}
    found = [
        told(text, "text/plain"),
        told(text, "text/html"),
        told(f"<html><title>{text}</title>", "text/html"),
        told(wrapped),
        told({"message": json.dumps(wrapped)}),
        told(json.dumps(wrapped)[:-8]),
        told({"unknown": text}),
        told(f"{'word ' * 10}{text}", "text/plain"),
        excerpt_of(Unanswered(CallError.CONNECTION_LOST, text)),
        excerpt_of(Answered(200, fault=text)),
    ]
    for excerpt in found:
        assert not any(each in (excerpt or "") for each in hidden), excerpt
    assert sum(MASK in (excerpt or "") for excerpt in found) > 5


@pytest.mark.parametrize("answer", PARSED)
def test_a_member_that_holds_a_secret_is_masked(answer: object) -> None:
    """Where nothing tells the reason the JSON itself is shown, without what is secret by name."""
    spelled = json.dumps(answer).replace("password", "pass\\u0077ord")
    for text in (json.dumps(answer), json.dumps(answer)[:-1], spelled):
        excerpt = told(text)
        assert excerpt is None or CANARY not in excerpt


@pytest.mark.parametrize("at", range(0, 1_100, 37))
def test_a_secret_across_the_cut_is_masked(at: int) -> None:
    """Masks shorten a text, so more of it is seen; half a secret is no less secret."""
    filler = ("password=" + "y" * 300 + " ") * 4
    for text in (filler[:at] + f" x://u:{CANARY * 40}@h", filler[:at] + f" u:{CANARY * 20}@h"):
        assert CANARY not in (shortened(text) or "")


PLAIN = [
    "bearer token expired",
    "invalid token: expired",
    "Basic validation failed",
    "http://db:8080/path refused",
    "max_tokens=4096 is too many",
    "password: must not be empty",
    "cannot connect to 127.0.0.1:5432",
    "Bearer is required",
    "bypass=1 compass: north",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    """A reason that only speaks of secrets is still the reason."""
    assert without_secrets(text) == text


LONG = ["a", "password", "a:", "://a:", 'token="', "eyJ.", "<", "<title>", "<script ",
        '"error":"', '{"error":', "x=", "bearer ", 'secret"', "\\", "password\\\\",
        "u:p@", "\u20ac", "[,", "{,", "(password: ", "\tpassword: a:", "&lt;password", "--", "-u ",
        "<p ", "password is ", "mysql ", '\\\\"', "cookie=", "<![CDATA[", "a\n",
        "Traceback (most recent call last)"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", LONG)
def test_hostile_answers_cost_little(piece: str) -> None:
    """No answer of 16 KiB takes the loop for long, whatever is repeated in it."""
    body = (piece * FAILED_BODY_BYTES_MAX).encode()[:FAILED_BODY_BYTES_MAX]
    for content_type in ("text/plain", "application/json", "text/html"):
        begin = time.process_time()
        told(body, content_type)
        assert time.process_time() - begin < 0.1  # 10 ms at most; an exponential one never ends


@pytest.mark.slow
@settings(max_examples=300)
@given(
    body=st.binary(max_size=300) | st.text(max_size=300).map(str.encode),
    content_type=st.sampled_from(["", "text/html", "application/json", "text/plain; charset=x"]),
)
def test_any_answer_has_a_fitting_excerpt(body: bytes, content_type: str) -> None:
    """One line of at most 120 bytes that prints, or none."""
    excerpt = told(body, content_type)
    if excerpt is not None:
        assert 0 < len(excerpt.encode()) <= EXCERPT_BYTES_MAX
        assert excerpt.isprintable()
        assert excerpt == excerpt.strip()
