"""Where the engine listens: who can reach that, and how it is called from there."""

from __future__ import annotations

import ipaddress

from engine.process.config import Config, ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on. Of names `localhost` alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(config: Config) -> None:
    """Refuse to listen where others could reach the engine. Raises ConfigError.

    `docs/reference/protocol.md` §7: without tokens whoever can connect can submit, read and cancel.
    """
    if not is_loopback(config.host):
        raise ConfigError(
            f"host: {config.host} is not a loopback address. The engine has no tokens yet: whoever"
            " reaches it could run and read everything. Listen on 127.0.0.1 (or ::1), and put a"
            " proxy that checks its callers before it."
        )


def engine_url(config: Config, port: int) -> str:
    """The URL under which the engine is reached, as far as it can know: by the name or address it
    listens on; where that is any, by the first of `hosts`, else from this machine."""
    host = config.host
    if host in ("0.0.0.0", "::"):
        host = config.hosts[0] if config.hosts else "::1" if host == "::" else "127.0.0.1"
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if config.tls_cert else 'http'}://{host}:{port}"
