"""Traces as the settings ask for them: where spans go, and with which headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from msgspec import Struct

from engine.http.tls import default_ssl_context
from engine.process.config import Config
from engine.process.toml import ConfigError
from engine.registry.look import Look
from engine.traces.spans import Spans

SERVICE = "atomic"
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)")
_NOT_THERE = (
    "otlp_endpoint: traces need the extra `otel`: pip install '.[otel]' in the checkout, or take"
    " the setting out."
)


class Tracing(Struct, frozen=True):
    """What is made of the settings, before anything is listened to."""

    spans: Spans
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    resource: dict[str, str]

    async def run(self, warn: Callable[..., None]) -> None:
        """Send spans until cancelled."""
        from engine.traces.otlp import Exporter

        async with httpx.AsyncClient(verify=default_ssl_context(), trust_env=False) as http:
            await Exporter(self.spans, http, self.endpoint, self.headers, self.resource, warn).run()


def tracing_of(config: Config, version: str, instance: str) -> Tracing | None:
    """None: nobody asks for traces. Raises ConfigError."""
    if config.otlp_endpoint is None:
        return None
    try:
        import engine.traces.otlp  # noqa: F401 - only whether it can be
    except ImportError as error:
        raise ConfigError(_NOT_THERE) from error
    file = config.otlp_headers_file
    headers = () if file is None else tuple(_headers(Path(file)))
    resource = {
        "service.name": SERVICE, "service.version": version, "service.instance.id": instance,
    }  # fmt: skip
    return Tracing(Spans(), config.otlp_endpoint, headers, resource)


def _headers(path: Path) -> Iterator[tuple[str, str]]:
    """One a line, `name: value`; without blank lines and those that begin with `#`."""
    for number, line in Look().secret_lines(path, named="otlp_headers_file"):
        found = _HEADER.fullmatch(line)
        if found is None:
            raise ConfigError(f"{path}: line {number}: is no header: write `name: value`.")
        yield found[1], found[2]
