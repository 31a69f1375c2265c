"""The URL of an endpoint: what is taken, and the one spelling under which it names a step.

`docs/reference/protocol.md` §2: absolute http or https, at most 2,048 bytes, no userinfo, no
fragment.
Normalisation after RFC 3986 §6.2.2.1 and §6.2.3: case of scheme and host, default port, empty path.

And a client's **targets** (§7): prefixes of URLs under which its steps may be called. Scheme, host
and port are the same or they are not; of the path a prefix covers whole segments.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote, urlsplit

URL_BYTES_MAX = 2_048
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.?)+|\[[0-9a-f:.]+\]")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_UNSAFE = re.compile(r'["<>\\^`{|}]|%(?![0-9A-Fa-f]{2})')
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
DECODED_TIMES_MAX = 3
"""A path that is still encoded after so often was made to hide something."""


class BadTarget(ValueError):
    """The URL cannot be an endpoint's, or a target; the message says why."""


@lru_cache(maxsize=4_096)
def normalise(url: str) -> str:
    """The URL in its one spelling. Raises BadTarget with the reason."""
    if len(url.encode()) > URL_BYTES_MAX:
        raise BadTarget(f"is longer than {URL_BYTES_MAX:,} bytes")
    if not _VISIBLE_ASCII.fullmatch(url):
        raise BadTarget("must be visible ASCII without spaces (percent-encode the rest)")
    if _UNSAFE.search(url):
        raise BadTarget("has a character that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadTarget("has a bad host or port (1-65535)") from error
    if parts.scheme == "atomic":
        raise BadTarget("uses the scheme `atomic:`, which is reserved")
    if parts.scheme not in _DEFAULT_PORTS:
        raise BadTarget("must be an absolute http:// or https:// URL")
    if "@" in parts.netloc:
        raise BadTarget("must not carry a user name or password")
    if "#" in url:
        raise BadTarget("must not have a fragment (#)")
    host = parts.netloc.lower()
    if port is not None or host.endswith(":"):
        host = host.rpartition(":")[0]
    if not _HOST.fullmatch(host) or len(host) > 255:
        raise BadTarget("has no valid host")
    if port == 0:
        raise BadTarget("has a bad host or port (1-65535)")
    where = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{where}{parts.path or '/'}{query}"


@lru_cache(maxsize=4_096)
def last_segment(url: str) -> str:
    """What a person calls the step by default: the last segment of the URL's path."""
    parts = urlsplit(url)
    return parts.path.rstrip("/").rpartition("/")[2] or parts.netloc


@lru_cache(maxsize=4_096)
def normalise_prefix(text: str) -> str:
    """A target of a client in its one spelling. Raises BadTarget with the reason.

    Whatever could be read in two ways is refused: what is meant is then written plainly.
    """
    prefix = normalise(text)
    parts = urlsplit(prefix)
    if "?" in text:
        raise BadTarget("must end before the `?`: what follows it is always allowed")
    if "*" in text:
        raise BadTarget("must not hold a `*`: all below it is allowed as it stands")
    if steps_out(parts.path):
        raise BadTarget("must not have `.`, `..`, or an encoded `.`, `/` or `\\` in its path")
    host = parts.hostname or ""
    if ":" in host or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        _check_address(host)
    return prefix


def _check_address(host: str) -> None:
    """Of an IP address one spelling is taken: resolvers take `127.1` and `0x7f.1` too."""
    try:
        ip = ip_address(host)
    except ValueError as error:
        raise BadTarget("has a host that is neither a name nor an IP address in full") from error
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        raise BadTarget(f"has an IPv4 address wrapped in IPv6: write {ip.ipv4_mapped}")
    if str(ip) != host:
        raise BadTarget(f"has an IP address that is written in another way: write {ip}")


def covers(prefix: str, url: str) -> bool:
    """Whether a URL is under a prefix; both are normalised.

    `http://app/hooks` covers `/hooks`, `/hooks?x` and `/hooks/x`, not `/hooksy`; `http://app/hooks/`
    what is below it alone; `http://app/` everything of that host and port. Below a path, a URL
    that steps out of it or may be read so (`steps_out`) is not covered.
    """
    if not url.startswith(prefix):
        return False
    behind = url[len(prefix) :]
    if behind and not prefix.endswith("/") and behind[0] not in "/?":
        return False
    path_at = prefix.index("/", len("https://"))
    return len(prefix) == path_at + 1 or not steps_out(urlsplit(url).path)


@lru_cache(maxsize=4_096)
def is_covered(prefixes: tuple[str, ...], url: str) -> bool:
    """Whether one of a client's targets covers a URL; all are normalised."""
    return any(covers(prefix, url) for prefix in prefixes)


def whole_host(url: str) -> str:
    """The prefix that covers everything where this URL leads: what one adds to a list."""
    return url[: url.index("/", len("https://")) + 1]


def steps_out(path: str) -> bool:
    """Whether an application may read another path in this one: `..`, `%2e%2e`, `..;x`, `%2f`.

    Servers differ in how often they decode, and whether before or after they take a path apart.
    """
    plain = path
    for _ in range(DECODED_TIMES_MAX):
        decoded = unquote(plain, "latin-1")
        if decoded == plain:
            break
        plain = decoded
    else:
        return True
    if "\\" in plain or plain.count("/") != path.count("/"):
        return True
    return any(part.partition(";")[0] in (".", "..") for part in plain.split("/"))
