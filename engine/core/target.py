"""The URL of an endpoint: what is taken, and the one spelling under which it names a step.

`docs/reference/protocol.md` §2: absolute http or https, at most 2,048 bytes, no userinfo, no
fragment.
Normalisation after RFC 3986 §6.2.2.1 and §6.2.3: case of scheme and host, default port, empty path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

URL_BYTES_MAX = 2_048
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.?)+|\[[0-9a-f:.]+\]")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_UNSAFE = re.compile(r'["<>\\^`{|}]|%(?![0-9A-Fa-f]{2})')


class BadTarget(ValueError):
    """The URL cannot be an endpoint's; the message says why."""


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
