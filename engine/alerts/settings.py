"""Alerts as the settings ask for them, checked before anything is listened to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from engine.alerts.rules import Rule
from engine.core.access.client import ALERTS_CLIENT, Client
from engine.core.target import BadTarget, normalise
from engine.core.text.secrets import without_secrets
from engine.process.config import Config, shown
from engine.process.toml import ConfigError, resembling
from engine.registry.look import Look
from engine.registry.members import check_certificates
from engine.registry.secrets import read_signing_secrets

_OTHERS = ("alerts_signing_secret_file", "alerts_ca_file", "alerts_private_target", "alerts_rules")


class AlertSettings(Struct, frozen=True):
    """Where alerts go, and of what."""

    client: Client
    """As which they are called: its only target is where they go."""
    rules: frozenset[Rule]
    late_after_s: int

    @property
    def url(self) -> str:
        """Where they go."""
        return self.client.targets[0]

    @property
    def host(self) -> str:
        """Its host, as hosts are counted."""
        return urlsplit(self.url).netloc


def alerts_of(config: Config) -> AlertSettings | None:
    """None: nobody asks for alerts. Raises ConfigError."""
    if config.alerts_url is None:
        for name in _OTHERS:
            if getattr(config, name):
                raise ConfigError(
                    f"{name} says nothing without alerts_url, where alerts go. Set that, or take"
                    f" {name} away."
                )
        return None
    if config.alerts_signing_secret_file is None:
        raise ConfigError(
            "alerts_url is set and alerts_signing_secret_file is not: alerts are always signed, so"
            " that who gets them can tell that they come from this engine. Make one:"
            ' echo "whsec_$(openssl rand -base64 32)" > alerts.secret && chmod 600 alerts.secret'
        )
    url = _url(config.alerts_url)
    look = Look()
    secrets = read_signing_secrets(
        look, Path(config.alerts_signing_secret_file), named="alerts_signing_secret_file"
    )
    if config.alerts_ca_file is not None:
        check_certificates(look, Path(config.alerts_ca_file), "alerts_ca_file")
    client = Client(
        ALERTS_CLIENT,
        targets=(url,),
        private_targets=config.alerts_private_target,
        signing_secrets=secrets,
        ca_file=config.alerts_ca_file,
    )
    return AlertSettings(client, _rules(config.alerts_rules), config.alerts_late_after_s)


def _url(text: str) -> str:
    try:
        url = normalise(text)
    except BadTarget as error:
        raise ConfigError(f"alerts_url: {without_secrets(shown(text))} {error}") from error
    if "?" in url:
        raise ConfigError(
            "alerts_url has a query, which may hold a secret: it is shown to all who may read runs."
            " Take it away: who gets an alert knows by its signature that it is ours"
        )
    return url


def _rules(names: tuple[str, ...]) -> frozenset[Rule]:
    found = set()
    for name in names:
        try:
            found.add(Rule(name))
        except ValueError as error:
            near = resembling(name, Rule)
            hint = f"; did you mean `{near}`?" if near else "."
            raise ConfigError(
                f"alerts_rules: there is no rule {shown(name)}{hint} There are {', '.join(Rule)}"
            ) from error
    return frozenset(found) or frozenset(Rule)
