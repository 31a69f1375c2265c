"""`atomic serve`: an engine; `atomic health`: whether it takes posts; and which one this is."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from engine import __version__
from engine.cli.options import was_typed
from engine.cli.show.text import safe
from engine.process.exits import EXIT_FAILED, EXIT_UNREACHABLE

HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where this machine reaches an engine that listens at any address."""
ANSWER_BYTES_MAX = 1_024


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="TCP port; 0 takes any free one.  [default: 8420]")
@click.option("--db", help="The SQLite file that holds everything.  [default: atomic.db]")
@click.option(
    "--store",
    metavar="URL",
    help="A PostgreSQL database in its place: postgresql://USER@HOST/NAME.",
)
@click.option("--allow-host", "hosts", multiple=True, help="Another Host name to answer under.")
@click.option("--log-format", help="auto, console or json.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="TOML file.  [default: atomic.toml]"
)
def serve(file: Path | None, hosts: tuple[str, ...], **flags: Any) -> None:
    """Start an engine, and stop it gracefully on Ctrl-C or SIGTERM.

    Every setting can be given in the file or as an ATOMIC_… environment variable.
    """
    from engine import main as engine_main
    from engine.process import config

    settings = config.load({**flags, "hosts": hosts or None}, os.environ, file)
    sys.exit(engine_main.serve(settings, config.settings_file(file)))


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The settings of the engine on this machine.  [default: atomic.toml]",
)
@click.option(
    "--timeout", type=click.IntRange(1, 60), default=2, show_default=True, help="Seconds."
)
@click.option(
    "--engine",
    envvar="ATOMIC_URL",
    show_envvar=True,
    metavar="URL",
    help="Ask this engine instead, and verify its certificate.",
)
def health(file: Path | None, timeout: int, engine: str | None) -> None:
    """Say whether the engine takes posts: exit code 0, 1 not yet, 3 nobody answers.

    Without --engine, and without ATOMIC_URL or with --config, it asks the engine that has these
    settings, on this machine, https:// where they say so. It needs no token and sends none.
    """
    if engine and (file is None or was_typed("engine")):  # a file that is named is not for nothing
        url, context = engine, ssl.create_default_context()
    else:
        url, context = _url_of_settings(file), _unverified()
    try:
        status, text = _ask(f"{url.rstrip('/')}/readyz", context, timeout)
    except (OSError, ValueError, http.client.HTTPException) as error:
        click.echo(
            f"atomic: {safe(url)}: {safe(getattr(error, 'strerror', None) or error)}", err=True
        )
        sys.exit(EXIT_UNREACHABLE)
    click.echo(safe(text))
    if status != http.client.OK:
        sys.exit(EXIT_FAILED)


def _url_of_settings(file: Path | None) -> str:
    from msgspec.structs import replace

    from engine.process import config
    from engine.process.bind import engine_url

    settings = config.load({}, os.environ, file)
    if not settings.port:
        raise click.UsageError("port: is 0, so nobody knows which one it is: give --engine.")
    here = replace(settings, host=HERE.get(settings.host, settings.host))
    return engine_url(here, settings.port)


def _unverified() -> ssl.SSLContext:
    """As a kubelet asks: a certificate is another machine's to trust, under its name; this says
    nothing that is secret, and believes no more than a word."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _ask(url: str, context: ssl.SSLContext, timeout: int) -> tuple[int, str]:
    """Its status and first line. Raises OSError, HTTPException, and ValueError for what is no
    URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no http:// or https:// URL")
    host, port = parts.hostname, parts.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        text = answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    finally:
        connection.close()
    return answer.status, text.strip().partition("\n")[0]


@click.command()
def version() -> None:
    """Print the version of this command."""
    click.echo(__version__)
