"""Where the engine listens: what it needs to be reached there, and how it is called."""

from __future__ import annotations

import ipaddress

from engine.process.config import Config, ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on. Of names `localhost` alone, of
    IPv6 `::1` alone: what `is_loopback` says of IPv4 wrapped in it depends on the Python."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback if address.version == 4 else int(address) == 1


def check_bind(config: Config, *, asks_token: bool) -> None:
    """Refuse to listen where others reach the engine, unless it asks who they are, and what they
    say is kept secret or is said to need no secrecy. Raises ConfigError with the lines to add.

    `docs/reference/protocol.md` §7.
    """
    if is_loopback(config.host):
        return
    missing = []
    if not asks_token:
        or_first = (
            f" (or make one first: `atomic token add NAME --role admin --db {config.db}`)"
            if config.store is None
            else ""
        )
        missing.append(
            '`admin_token_file = "/path/of/a/file"` with a token in that file'
            f"{or_first}: without tokens whoever reaches the engine could run and read everything"
        )
    if not (config.tls_cert or config.behind_proxy or config.plain_http):
        missing.append(
            'one of `tls_cert = "/path/tls.crt"` with `tls_key = "/path/tls.key"`,'
            ' `behind_proxy = ["10.0.0.5"]` (the addresses of the proxies that encrypt before it)'
            " and `plain_http = true` (the network may read everything, tokens too)"
        )
    if missing:
        raise ConfigError(
            f"host: {config.host} is reached by others than this machine. Add to atomic.toml "
            + "; and ".join(missing)
            + '. Or listen on `host = "127.0.0.1"`.'
        )


def engine_url(config: Config, port: int) -> str:
    """The URL under which the engine is reached, as far as it can know: by the name or address it
    listens on; where that is any, by the first of `hosts`, else from this machine."""
    host = config.host
    if host in ("0.0.0.0", "::"):
        host = config.hosts[0] if config.hosts else "::1" if host == "::" else "127.0.0.1"
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if config.tls_cert else 'http'}://{host}:{port}"
