"""A client's targets: which URLs a prefix covers, and what can be a prefix."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.target import (
    BadTarget,
    covers,
    is_covered,
    normalise,
    normalise_prefix,
    steps_out,
    whole_host,
)

COVERED = [
    ("http://app:9000/", "http://app:9000/"),
    ("http://app:9000/", "http://app:9000"),
    ("http://app:9000", "http://app:9000/hooks/x?y"),
    ("http://app:9000/", "http://app:9000/a/../b"),
    ("http://app:9000/", "http://app:9000/%2e%2e/b"),
    ("http://app/", "http://app:80/x"),
    ("http://app:80/", "http://app/x"),
    ("https://app/", "https://APP:443/x"),
    ("HTTP://App/", "http://app/x"),
    ("http://app:9000/hooks", "http://app:9000/hooks"),
    ("http://app:9000/hooks", "http://app:9000/hooks/"),
    ("http://app:9000/hooks", "http://app:9000/hooks/x"),
    ("http://app:9000/hooks", "http://app:9000/hooks?x=/../y"),
    ("http://app:9000/hooks", "http://app:9000/hooks/x?to=%2e%2e%2f"),
    ("http://app:9000/hooks/", "http://app:9000/hooks/x"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..x"),
    ("http://app:9000/hooks", "http://app:9000/hooks/x.y;v=1"),
    ("http://app:9000/hooks", "http://app:9000/hooks/%41%20"),
    ("http://app:9000/hooks", "http://app:9000/hooks//x"),
    ("http://[::1]:9000/", "http://[::1]:9000/x"),
    ("http://10.0.0.1/", "http://10.0.0.1/x"),
    ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/x"),
]
NOT_COVERED = [
    ("http://app:9000/hooks", "http://app:9000/hooksy"),
    ("http://app:9000/hooks", "http://app:9000/hook"),
    ("http://app:9000/hooks", "http://app:9000/"),
    ("http://app:9000/hooks", "http://app:9000/Hooks"),
    ("http://app:9000/hooks", "http://app:9000/hooks%2fx"),
    ("http://app:9000/hooks/", "http://app:9000/hooks"),
    ("http://app:9000/hooks", "http://app:9000/hooks/.."),
    ("http://app:9000/hooks", "http://app:9000/hooks/../admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/./../admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/."),
    ("http://app:9000/hooks", "http://app:9000/hooks/%2e%2e/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/.%2E/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/%252e%252e/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/%25252e%25252e/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..;/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..;x=1/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..%3b/admin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..%2fadmin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/x%2Fy"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..%5cadmin"),
    ("http://app:9000/hooks", "http://app:9000/hooks/..%255cadmin"),
    ("http://app:9000/", "http://app/"),
    ("http://app:9000/", "http://app:9001/"),
    ("http://app:900/", "http://app:9000/"),
    ("http://app/", "https://app/"),
    ("http://app/", "http://app.evil.example/"),
    ("http://app/", "http://application/"),
    ("http://app/", "http://app./"),
    ("http://app.example/", "http://www.app.example/"),
    ("http://127.0.0.1/", "http://127.1/"),
    ("http://[::1]/", "http://[0:0:0:0:0:0:0:1]/"),
]


@pytest.mark.parametrize(("prefix", "url"), COVERED)
def test_what_a_prefix_covers(prefix: str, url: str) -> None:
    """Whole segments below it, and everything of a host and port that it names whole."""
    assert covers(normalise_prefix(prefix), normalise(url))


@pytest.mark.parametrize(("prefix", "url"), NOT_COVERED)
def test_what_a_prefix_does_not_cover(prefix: str, url: str) -> None:
    """No other host, port or scheme, no half a segment, and no way out by dots or slashes."""
    assert not covers(normalise_prefix(prefix), normalise(url))


def test_one_of_several_is_enough() -> None:
    """And of none, none."""
    prefixes = ("http://a/", "http://b/x")
    assert is_covered(prefixes, "http://b/x/y")
    assert not is_covered(prefixes, "http://c/")
    assert not is_covered((), "http://a/")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("app:9000", "absolute http"),
        ("ftp://app/", "absolute http"),
        ("http://u:p@app/", "user name"),
        ("http://app/#x", "fragment"),
        ("http://app/x?y", r"before the `\?`"),
        ("http://app/?", r"before the `\?`"),
        ("http://*.example/", "no valid host"),
        ("http://app/*", r"`\*`"),
        ("http://app/a/../b", r"`\.\.`"),
        ("http://app/%2e%2e/b", r"`\.\.`"),
        ("http://app/a%2Fb", r"`\.\.`"),
        ("http://127.1/", "neither a name nor an IP address"),
        ("http://0x7f.0.0.1/", "neither a name nor an IP address"),
        ("http://0x7f000001/", "neither a name nor an IP address"),
        ("http://0177.0.0.1/", "neither a name nor an IP address"),
        ("http://2130706433/", "neither a name nor an IP address"),
        ("http://127.0.0.1./", "neither a name nor an IP address"),
        ("http://app.0x1/", "neither a name nor an IP address"),
        ("http://[0:0:0:0:0:0:0:1]/", r"write ::1$"),
        ("http://[::ffff:10.0.0.1]/", r"write 10\.0\.0\.1$"),
        ("http://[fe80::1%25eth0]/", "no valid host"),
        ("http://app:0/", "port"),
        ("http://app:65536/", "port"),
        ("http://①②⑦.0.0.1/", "ASCII"),
        ("http://app/" + "x" * 2_048, "2,048"),
    ],
)
def test_what_can_be_no_prefix(text: str, why: str) -> None:
    """What could be read in two ways is refused, and the reason helps to write it plainly."""
    with pytest.raises(BadTarget, match=why):
        normalise_prefix(text)


@pytest.mark.parametrize(
    "text", ["http://app:9000/a/b.c/", "https://a.example", "http://10.0.0.1:8/", "http://[::1]:8/"]
)
def test_a_prefix_stays_what_it_is(text: str) -> None:
    """One spelling: normalised once more it is the same."""
    assert normalise_prefix(normalise_prefix(text)) == normalise_prefix(text)


def test_the_line_to_add() -> None:
    """The whole host: what a refusal proposes covers the URL that was refused."""
    assert whole_host("http://app:9000/x/y?z") == "http://app:9000/"
    assert whole_host("https://[::1]/") == "https://[::1]/"


SEGMENTS = st.sampled_from(["a", "..", ".", "", "%2e", "%2E.", "..;x", "%2f", "%5c", "%252e", "b?"])


@given(st.lists(SEGMENTS, max_size=6))
def test_no_covered_url_resolves_elsewhere(segments: list[str]) -> None:
    """However a browser or a decoding server resolves the dots, what is covered stays below."""
    prefix = "http://app/hooks"
    url = normalise(f"{prefix}/{'/'.join(segments)}")
    if covers(prefix, url):
        path = urlsplit(url).path
        assert urlsplit(urljoin("http://app/", path)).path.startswith("/hooks")
        assert not steps_out(path)
