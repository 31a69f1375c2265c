"""Headers of requests and answers: any value means something, or nothing, or is refused."""

from __future__ import annotations

from datetime import UTC
from email.utils import format_datetime
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.call.caller import parse_retry_after
from engine.core.errors import Refused
from engine.core.retry import RETRY_AFTER_MS_MAX
from engine.front.access.parent import parent_in, parent_of
from engine.front.access.proxies import Proxies
from engine.front.access.request import Access, host_name
from engine.front.access.tokens import digest_of_bearer
from engine.front.api.events import position
from engine.front.api.headers import PREFER_WAIT_S_MAX, read_headers
from engine.front.asked import NUMBER_MAX, whole_number
from engine.front.show.bodies import raw_body
from engine.ports.store import Body
from engine.registry.registry import digest_of
from engine.runs.open.parent import ParentTokens
from tests.fuzz.taken import refusal_of

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


def values(*pieces: str) -> st.SearchStrategy[bytes]:
    """Values of a header as the strict reader lets them through, of such pieces and others."""
    other = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
    texts = st.lists(st.sampled_from(pieces) | st.text(other, max_size=4), max_size=8).map("".join)
    return texts.map(lambda text: text.encode("latin1"))


@given(
    st.lists(values('"', "\\", "k", " ", "\t", '"k"'), max_size=2),
    st.lists(values("wait=", "respond-async", ",", ";", " ", "9", '"', "="), max_size=3),
)
def test_what_a_post_prefers(keys: list[bytes], prefers: list[bytes]) -> None:
    """A key that is none is refused, and one that is taken can be told in every header, log and
    file; a preference that is none is ignored."""
    headers = [(b"idempotency-key", key) for key in keys]
    headers += [(b"prefer", prefer) for prefer in prefers]
    if why := refusal_of(Refused, read_headers, tuple(headers)):
        assert keys, why
        assert why.detail.isprintable()
        return
    found = read_headers(tuple(headers))
    assert (found.key is None) == (not keys)
    assert found.key is None or (found.key.isascii() and found.key.isprintable())
    assert found.key is None or 1 <= len(found.key) <= 255
    assert found.wait_s is None or 0 <= found.wait_s <= PREFER_WAIT_S_MAX


@given(PRINTABLE.filter(lambda text: 1 <= len(text) <= 255))
def test_a_quoted_key_is_the_key(key: str) -> None:
    """Every key can be sent as a structured field's string (RFC 8941), and is that one then."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert read_headers(((b"idempotency-key", f'"{escaped}"'.encode()),)).key == key


@given(values("Bearer", "bearer ", "atomic_", " ", "Basic ", "=", ",", "a"))
def test_a_token_is_what_follows_bearer(value: bytes) -> None:
    """Of anything else there is no digest; and two headers are none, whichever is good."""
    found = digest_of_bearer(value)
    word, _, token = value.decode("latin1").strip(" \t").partition(" ")
    is_one = word.lower() == "bearer" and token.strip(" ").isascii() and " " not in token.strip(" ")
    assert found is None or (is_one and found == digest_of(token.strip(" ")))
    access, good = Access(()), (b"authorization", b"Bearer atomic_a")
    assert access.look("GET", (good,)).token == digest_of("atomic_a")
    assert access.look("GET", (good, (b"authorization", value))).token is None


@given(
    values("localhost", ":", "1", ".", "[::1]", "@", "evil", "-"),
    values("http://", "https://", "localhost", "null", ":1", "evil.example"),
)
def test_no_page_of_another_origin_passes(host: bytes, origin: bytes) -> None:
    """Whatever a page's origin is called, it passes only as the very host that was asked for; and
    a host passes by a name that there is."""
    access = Access(("engine.example",))
    headers = ((b"host", host), (b"origin", origin))
    refusal = access.check("GET", headers)
    where, page = (text.decode("latin1").strip(" \t").lower() for text in (host, origin))
    if refusal is None:
        assert page in ("", f"http://{where}", f"https://{where}")
        assert host_name(where) in ("localhost", "127.0.0.1", "[::1]", "engine.example")
    else:
        assert refusal.status in (403, 421)


@given(
    st.lists(values("10.0.0.5", "192.0.2.7", ",", " ", ":80", "unknown", "::1"), max_size=3),
    st.lists(values("for=", '"[fd00::1]:4"', "192.0.2.7", ";", ",", '"', "by=", "\\"), max_size=3),
)
def test_whom_proxies_speak_for(plain: list[bytes], by_rfc: list[bytes]) -> None:
    """It is an address that a line has, or the proxy's own; from anybody else lines say nothing."""
    headers = tuple([(b"x-forwarded-for", it) for it in plain]
                    + [(b"forwarded", it) for it in by_rfc])  # fmt: skip
    proxies = Proxies(("10.0.0.5",))
    found = proxies.address(headers, "10.0.0.5")
    assert found is not None
    assert str(ip_address(found)) == found
    assert proxies.address(headers, "192.0.2.1") == "192.0.2.1"
    assert Proxies(()).address(headers, "10.0.0.5") == "10.0.0.5"


TOKENS = ParentTokens(b"secret", 7)


@given(st.text(max_size=40) | st.lists(st.sampled_from(["01A", ".", "7", "-"])).map("".join))
def test_no_parent_token_is_made_up(text: str) -> None:
    """Nothing but what was issued is one, and an issued one with a character more or less is none;
    what a head says is read without an error, whole or not."""
    assert TOKENS.read(text) is None
    issued = TOKENS.issue("01A", 3)
    for forged in (issued + text, text + issued, issued[: len(text) % len(issued)]):
        assert (TOKENS.read(forged) is None) is (forged != issued)
    latin = text.encode("latin1", "replace")
    assert parent_of(((b"atomic-parent", latin),)) == latin.decode("latin1").strip(" \t")
    assert isinstance(parent_in(b"GET / HTTP/1.1\r\nAtomic-Parent: " + latin), str)


RANGES = st.one_of(
    st.none(),
    st.text("bytes=-0123456789 ,", max_size=20),
    st.tuples(st.integers(0, 25) | st.just(""), st.integers(0, 25) | st.just("")).map(
        lambda ends: f"bytes={ends[0]}-{ends[1]}"
    ),
)


@given(st.binary(max_size=20), RANGES)
def test_a_range_is_a_part_of_the_body(data: bytes, asked: str | None) -> None:
    """Bytes that lie in it, in their place; or 416 for a range that it cannot have."""
    reply = raw_body(Body("s", 1, data, "text/plain\r\nx: y"), asked, redacted=False)
    headers = dict(reply.headers)
    assert all(value.isprintable() for value in headers.values())
    if reply.status == 206:
        first, last = headers["content-range"].removeprefix("bytes ").partition("/")[0].split("-")
        assert reply.body == data[int(first) : int(last) + 1] != b""
        assert asked == f"bytes={first}-{last}" or int(last) == len(data) - 1
    else:
        assert reply.body == (b"" if reply.status == 416 else data)
        assert reply.status in (200, 416)


@given(st.text(max_size=30) | st.text("file-0123456789", max_size=30), st.integers(0, 99))
def test_where_a_reader_goes_on(last_id: str, last: int) -> None:
    """An id of the stream in its one spelling, within what there is; all else is unknown."""
    front: Any = SimpleNamespace(file_id="file")
    found = position(front, last_id, 1, last)
    assert found is None or (last_id == f"file-{found}" and 0 <= found <= last)
    assert position(front, f"file-{last}", 1, last) == last
    assert -1 <= whole_number(last_id) <= NUMBER_MAX


NOW = 1_600_000_000.0


@given(
    st.binary(max_size=40)
    | st.text("0123456789-+ ", max_size=4_500).map(str.encode)
    | st.datetimes(timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True).encode())
)
def test_retry_after(value: bytes) -> None:
    """A time from now that is bounded, or none."""
    found = parse_retry_after(value, lambda: NOW)
    assert found is None or 0 <= found <= RETRY_AFTER_MS_MAX
    text = value.decode("latin1").strip()
    if text.isascii() and text.isdigit():
        assert found == min(RETRY_AFTER_MS_MAX, int(text[-4_000:] or "0") * 1_000)
