"""URLs: however one is written, what is called is under a target, by every reading."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from engine.call.dial import TargetNotAllowed, called_url
from engine.core.target import BadTarget, covers, is_covered, normalise, normalise_prefix
from tests.fuzz.taken import refusal_of

TARGETS = ("http://app:9000/hooks", "https://api.example/", "http://[fd00::5]:9000/a/b/")
PIECES = st.sampled_from([
    "http://", "https://", "HTTP://", "app", "APP", ":9000", ":09000", ":80", "/hooks", "/hooksy",
    "/a/b/", "/", "//", "\\", "@", "user:pw@", "#", "?", "%2f", "%2F", "%2e", "%252e", "..", ".",
    ";", "api.example", "evil.example", "[fd00::5]", "[::1]", "127.1", "0x7f.1", "①", "。", " ",
    "\t", "\r\n", "\x00", "é", "%", "%zz", ":", "x",
])  # fmt: skip
URLS = st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=30)
UNDER = st.tuples(st.sampled_from(TARGETS), st.lists(PIECES, max_size=6).map("".join)).map("".join)


def readings(path: str) -> set[str]:
    """The paths that servers may make of one: decoded up to three times, dots taken out before or
    after, with parameters and without."""
    found = {path}
    for _ in range(3):
        found |= {unquote(each, "latin-1") for each in found}
    found |= {"/".join(part.partition(";")[0] for part in each.split("/")) for each in found}
    return {posixpath.normpath(each) for each in found}


@given(URLS | UNDER)
@example("http://app:9000/hooks/..;/admin")
@example("http://app:9000/hooks/%252e%252e/admin")
def test_what_is_under_a_target_is_so_by_every_reading(url: str) -> None:
    """Whoever takes the URL apart (urllib, httpx, the engine as it dials) is led to the same host,
    and to no path that is not below the target's."""
    if why := refusal_of(BadTarget, normalise, url):
        assert str(why)
        return
    known = normalise(url)
    assert normalise(known) == known
    assert is_covered(TARGETS, known) == any(covers(target, known) for target in TARGETS)
    for target in TARGETS:
        if not covers(target, known):
            continue
        wanted, dialled, other = urlsplit(target), called_url(known), httpx.URL(known)
        assert dialled.scheme == wanted.scheme == other.scheme
        assert dialled.host == wanted.hostname == other.host
        port = wanted.port or {"http": 80, "https": 443}[wanted.scheme]
        assert dialled.port == port == (other.port or port)
        start = dialled.post_start
        assert start.count(b"\r\n") == 2
        assert start.isascii()
        if wanted.path != "/":
            below = wanted.path.rstrip("/")
            for path in readings(urlsplit(known).path):
                assert path == below or path.startswith(f"{below}/"), path


@given(URLS | UNDER)
def test_a_target_is_written_in_one_way(text: str) -> None:
    """It covers itself and what is below it, or is refused in words."""
    if why := refusal_of(BadTarget, normalise_prefix, text):
        assert str(why)
        return
    prefix = normalise_prefix(text)
    assert normalise_prefix(prefix) == prefix
    assert covers(prefix, prefix)
    assert covers(prefix, f"{prefix}{'' if prefix.endswith('/') else '/'}x")


@given(URLS)
def test_any_text_is_a_url_or_none(url: str) -> None:
    """To dial it: nothing but a refusal comes out, and the head of a call is two lines."""
    try:
        found = called_url(url)
    except TargetNotAllowed:
        return
    assert 1 <= found.port <= 65_535
    assert found.host
    assert found.host == found.host.lower()
    assert found.post_start.count(b"\r\n") == 2
