"""Where the engine may listen with what, and what its URL is."""

from __future__ import annotations

from typing import Any

import pytest

from engine.process.bind import check_bind, engine_url
from engine.process.config import Config, ConfigError

TLS = {"tls_cert": "a.crt", "tls_key": "a.key"}
PROXY = {"behind_proxy": ("10.0.0.5",)}
PLAIN = {"plain_http": True}
NEEDS_TOKEN, NEEDS_WAY = "admin_token_file = ", "one of `tls_cert = "

LOOPBACK = ("127.0.0.1", "127.8.9.1", "::1", "localhost")
ELSEWHERE = ("0.0.0.0", "::", "10.0.0.1", "atomic.example", "127.1", "::ffff:127.0.0.1")
WAYS: tuple[dict[str, Any], ...] = ({}, TLS, PROXY, PLAIN, {**TLS, **PROXY})


@pytest.mark.parametrize("way", WAYS, ids=["none", "tls", "proxy", "plain", "tls+proxy"])
@pytest.mark.parametrize("asks_token", [False, True], ids=["no token", "token"])
@pytest.mark.parametrize("host", LOOPBACK)
def test_on_loopback_everything_goes(host: str, asks_token: bool, way: dict[str, Any]) -> None:
    """What only this machine reaches needs neither tokens nor secrecy, and may have both."""
    check_bind(Config(host=host, **way), asks_token=asks_token)


@pytest.mark.parametrize("way", WAYS, ids=["none", "tls", "proxy", "plain", "tls+proxy"])
@pytest.mark.parametrize("asks_token", [False, True], ids=["no token", "token"])
@pytest.mark.parametrize("host", ELSEWHERE)
def test_elsewhere_it_takes_tokens_and_a_way(
    host: str, asks_token: bool, way: dict[str, Any]
) -> None:
    """Both; the refusal has the lines that are missing, and no other."""
    config = Config(host=host, **way)
    if asks_token and way:
        return check_bind(config, asks_token=asks_token)
    with pytest.raises(ConfigError) as refused:
        check_bind(config, asks_token=asks_token)
    text = str(refused.value)
    assert text.startswith(
        f"host: {host} is reached by others than this machine. Add to atomic.toml"
    )
    assert (NEEDS_TOKEN in text, NEEDS_WAY in text) == (not asks_token, not way)
    assert ("`atomic token add NAME --role admin --db atomic.db`" in text) == (not asks_token)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8"),
        ({"host": "::1"}, "http://[::1]:8"),
        ({"host": "localhost", **TLS}, "https://localhost:8"),
        ({"host": "10.0.0.1"}, "http://10.0.0.1:8"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8"),
        ({"host": "::", **TLS}, "https://[::1]:8"),
        ({"host": "0.0.0.0", "hosts": ("a.example", "b"), **TLS}, "https://a.example:8"),
        ({"host": "::", "hosts": ("[fd00::1]",)}, "http://[fd00::1]:8"),
    ],
)
def test_the_url_is_one_that_can_be_asked(settings: dict[str, Any], url: str) -> None:
    """Of all addresses of the machine it is a name that the engine answers to."""
    assert engine_url(Config(**settings), 8) == url
