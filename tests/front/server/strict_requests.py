"""Requests that a strict server refuses, and those that it just takes."""

from __future__ import annotations

from engine.front.server.strict import ServerLimits
from tests.front.raw_http import get, post

LIMITS = ServerLimits(
    header_bytes_max=1024, header_lines_max=8, target_bytes_max=64, body_bytes_max=100
)
CHUNKED = "Transfer-Encoding: chunked"


def echo(*lines: str, body: bytes = b"", version: str = "1.1", host: str = "Host: a") -> bytes:
    head = [f"POST /echo HTTP/{version}", host, *lines, "", ""]
    return "\r\n".join(line for line in head[:-2] if line).encode() + b"\r\n\r\n" + body


# Each is followed on the wire by a whole second request, which must never be served.
REFUSED: dict[str, tuple[int, bytes]] = {
    "length beside chunked": (400, echo("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n")),
    "chunked beside length": (400, echo(CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n")),
    "two lengths": (400, echo("Content-Length: 1", "Content-Length: 2", body=b"ab")),
    "one length twice": (400, echo("Content-Length: 1", "Content-Length: 1", body=b"a")),
    "list of lengths": (400, echo("Content-Length: 1, 1", body=b"a")),
    "negative length": (400, echo("Content-Length: -1")),
    "signed length": (400, echo("Content-Length: +1", body=b"a")),
    "hexadecimal length": (400, echo("Content-Length: 0x1", body=b"a")),
    "empty length": (400, echo("Content-Length:")),
    "endless length": (400, echo("Content-Length: " + "9" * 40)),
    "chunked twice": (400, echo(CHUNKED, CHUNKED, body=b"0\r\n\r\n")),
    "gzip, chunked": (501, echo("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "chunked, identity": (501, echo("Transfer-Encoding: chunked, identity")),
    "coding with a tail": (501, echo("Transfer-Encoding: xchunked")),
    "coding after a vertical tab": (400, echo("Transfer-Encoding:\x0bchunked")),
    "chunked in HTTP/1.0": (400, echo(CHUNKED, body=b"0\r\n\r\n", version="1.0")),
    "chunk without CRLF": (400, echo(CHUNKED, body=b"1\r\naXX0\r\n\r\n")),
    "chunk with bare LF": (400, echo(CHUNKED, body=b"1\na\n0\n\n")),
    "chunk size signed": (400, echo(CHUNKED, body=b"+1\r\na\r\n0\r\n\r\n")),
    "chunk size empty": (400, echo(CHUNKED, body=b"\r\na\r\n0\r\n\r\n")),
    "chunk size too long": (400, echo(CHUNKED, body=b"0" * 300 + b"1\r\na\r\n0\r\n\r\n")),
    "chunk extension endless": (400, echo(CHUNKED, body=b"1;" + b"x" * 300)),
    "chunk extension with LF": (400, echo(CHUNKED, body=b"1;a\nb\r\na\r\n0\r\n\r\n")),
    "trailer with bare LF": (400, echo(CHUNKED, body=b"0\r\nA: b\n\r\n")),
    "trailer folded": (400, echo(CHUNKED, body=b"0\r\nA: b\r\n c\r\n\r\n")),
    "too many trailers": (431, echo(CHUNKED, body=b"0\r\n" + b"A: b\r\n" * 9 + b"\r\n")),
    "trailers ended by bare LF": (400, echo(CHUNKED, body=b"0\r\n\n")),
    "no host": (400, b"GET /fine HTTP/1.1\r\n\r\n"),
    "no host in HTTP/1.0": (400, b"GET /fine HTTP/1.0\r\n\r\n"),
    "empty host": (400, b"GET /fine HTTP/1.1\r\nHost:\r\n\r\n"),
    "two hosts": (400, get("/fine", "Host: b")),
    "host with user": (400, echo(host="Host: a@b")),
    "host with path": (400, echo(host="Host: a/b")),
    "host with space": (400, echo(host="Host: a b")),
    "host list": (400, echo(host="Host: a, b")),
    "folded line": (400, get("/fine", "A: b", " c")),
    "folded first line": (400, b"GET /fine HTTP/1.1\r\n Host: a\r\n\r\n"),
    "bare LF": (400, b"GET /fine HTTP/1.1\nHost: a\n\n"),
    "bare LF in one line": (400, b"GET /fine HTTP/1.1\r\nHost: a\nA: b\r\n\r\n"),
    "bare CR": (400, b"GET /fine HTTP/1.1\r\nHost: a\rA: b\r\n\r\n"),
    "NUL in a value": (400, get("/fine", "A: b\0c")),
    "space before colon": (400, get("/fine", "A : b")),
    "tab before colon": (400, get("/fine", "Content-Length\t: 5")),
    "no colon": (400, get("/fine", "A")),
    "empty name": (400, get("/fine", ": b")),
    "empty line first": (400, b"\r\n" + get("/fine")),
    "space first": (400, b" " + get("/fine")),
    "HTTP/2 preface behind an upgrade": (
        505,
        b"PRI * HTTP/2.0\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\nSM\r\n\r\n",
    ),
    "two upgrades": (400, get("/fine", "Upgrade: h2c", "Upgrade: websocket")),
    "CONNECT": (400, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "PRI in HTTP/1.1": (400, b"PRI /fine HTTP/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2.0": (505, b"GET /fine HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/1.2": (505, b"GET /fine HTTP/1.2\r\nHost: a\r\n\r\n"),
    "HTTP/0.9": (400, b"GET /fine\r\n\r\n"),
    "http in lower case": (400, b"GET /fine http/1.1\r\nHost: a\r\n\r\n"),
    "method in lower case": (400, b"get /fine HTTP/1.1\r\nHost: a\r\n\r\n"),
    "two spaces": (400, b"GET  /fine HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space in the target": (400, b"GET /fi ne HTTP/1.1\r\nHost: a\r\n\r\n"),
    "absolute target": (400, b"GET http://a/fine HTTP/1.1\r\nHost: a\r\n\r\n"),
    "asterisk target": (400, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment": (400, get("/fine#a")),
    "target not ASCII": (400, get("/finé")),
    "unknown expectation": (417, get("/fine", "Expect: 200-ok")),
    "TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "body too long": (413, post("/echo", b"x" * 101)),
    "chunked body too long": (413, echo(CHUNKED, body=b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n")),
    "chunk size enormous": (413, echo(CHUNKED, body=b"FFFFFFFFFFFFFFFF\r\n")),
    "target too long": (414, get("/" + "x" * 64)),
    "too many lines": (431, get("/fine", *["A: b"] * 8)),
    "head too long": (431, get("/fine", "A: " + "b" * 1024)),
}
GOOD: dict[str, tuple[bytes, bytes]] = {
    "body at its limit": (post("/echo", b"x" * 100), b"x" * 100),
    "chunked at the limit": (
        echo(CHUNKED, body=b"32\r\n" + b"x" * 50 + b"\r\n32\r\n" + b"y" * 50 + b"\r\n0\r\n\r\n"),
        b"x" * 50 + b"y" * 50,
    ),
    "chunked with extension and trailers": (
        echo("Transfer-Encoding: Chunked", body=b"3;a=b\r\nabc\r\n0;c\r\nA: b\r\nC: d\r\n\r\n"),
        b"abc",
    ),
    "target at its limit": (get("/fine?" + "x" * 58), b"fine"),
    "lines at their limit": (get("/fine", *["A: b"] * 7), b"fine"),
    "head at its limit": (get("/fine", "A: " + "b" * (1024 - len(get("/fine", "A: ")))), b"fine"),
    "HTTP/1.0": (b"GET /fine HTTP/1.0\r\nHost: a\r\n\r\n", b"fine"),
    "host with port": (echo("Content-Length: 1", body=b"a", host="Host: a-b.c_d:8080"), b"a"),
    "host is IPv6": (echo("Content-Length: 1", body=b"a", host="hOST:[::1]:80 "), b"a"),
    "obs-text in a value": (b"GET /fine HTTP/1.1\r\nHost: a\r\nA: \xe9\r\n\r\n", b"fine"),
    "empty value": (get("/fine", "A:"), b"fine"),
    "escaped target": (get("/%66ine"), b"fine"),
}
