"""`atomic tui`: the dashboard, a program of its own that is imported only when it is asked for."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from msgspec.structs import replace

from engine.cli_options import engine_option
from engine.cli_show import echo_json, safe, unicode_terminal

if TYPE_CHECKING:
    from tui.options import Options

INSTALL = "pip install 'atomic-engine[tui]'"
BOARDS = ("runs", "retries", "causes", "hosts", "events", "jobs")
ONCE_WIDTH = 100


def on_terminal() -> bool:
    """Whether there are keys to read and a screen to draw on."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def can_show() -> bool:
    """Whether there are a terminal and a dashboard to show on it."""
    return on_terminal() and find_spec("textual") is not None


@click.command()
@click.argument("url", required=False)
@engine_option
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Settings, keys and profiles; else ~/.config/atomic/dashboard.toml, if it is there.",
)
@click.option(
    "--board",
    type=click.Choice(BOARDS),
    default="runs",
    show_default=True,
    help="What to begin with.",
)
@click.option("--filter", default="is:live", show_default=True, help="Which runs are listed.")
@click.option("--read-only", is_flag=True, help="Look, and change nothing.")
@click.option("--once", is_flag=True, help="Print the board once, as text, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: as JSON.")
@click.option("--record", type=click.Path(path_type=Path), help="Write what is seen into a file.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Show a recording instead of an engine.",
)
@click.option("--speed", type=click.FloatRange(0.01, 1_000), default=1.0, help="Of the replay.")
@click.option("--ascii", is_flag=True, help="Draw with ASCII alone.")
@click.option(
    "--no-mouse", "mouse", flag_value=False, default=True, help="Leave the mouse to the terminal."
)
@click.option("--theme", help="A look by its name; `:theme` lists them.")
@click.option("--bell", is_flag=True, help="Ring when something begins to need a person.")
@click.option("--slow-link", is_flag=True, help="Draw less often.")
@click.option(
    "--redact",
    multiple=True,
    metavar="NAME",
    help="Do not show what stands under this name in bodies either; may be repeated.",
)
@click.option("--no-redact", is_flag=True, help="Show bodies as they are, passwords and all.")
@click.pass_context
def tui(
    ctx: click.Context, /, url: str | None, engine: str, config_path: Path | None, once: bool,
    as_json: bool, record: Path | None, replay: Path | None, speed: float, redact: tuple[str, ...],
    no_redact: bool, **given: Any,
) -> None:  # fmt: skip
    """The dashboard: runs, retries, what is stuck and why, live, and keys that act on them.

    URL is the engine's address, as --engine is, or a profile of the file of settings.
    """
    options = _options(ctx, url, engine, config_path, given)
    if once or as_json:
        _once(options, as_json=as_json)
        return
    if not on_terminal():
        raise click.UsageError("The dashboard needs a terminal; --once prints a board as text.")
    try:
        from tui.start import Start, run
    except ModuleNotFoundError as error:
        if error.name not in ("textual", "rich"):
            raise
        raise click.UsageError(f"The dashboard needs Textual: {INSTALL}") from error
    from tui.query import fault
    from tui.record import RecordingError
    from tui.redact import NAMES

    if redact and no_redact:
        raise click.UsageError("--redact and --no-redact say the opposite: give one of them.")
    if (wrong := fault(options.filter)) is not None:
        raise click.UsageError(f"--filter: {safe(wrong.detail)}")
    options = replace(options, redact=frozenset() if no_redact else NAMES | {*redact})
    try:
        code = run(Start(options, record, replay, speed))
    except (RecordingError, OSError, ValueError) as error:
        raise click.UsageError(safe(error)) from error
    sys.exit(code)


def _options(
    ctx: click.Context,
    url: str | None,
    engine: str,
    config_path: Path | None,
    given: dict[str, Any],
) -> Options:
    """The command line before the profile, and that before the rest of the file of settings."""
    from tui.config import Config, ConfigError, Profile, read, usual_path
    from tui.options import Options

    path = config_path or usual_path()
    try:
        config = read(path) if config_path is not None or path.is_file() else Config()
    except (ConfigError, OSError) as error:
        raise click.UsageError(safe(error)) from error
    profile: Profile | None = config.profiles.get(url or "")
    if url is not None and profile is None and url.isidentifier():
        known = ", ".join(config.profiles) or "none"
        raise click.UsageError(
            f"There is no profile {safe(url)} in {path} (there is {safe(known)}),"
            " and an address begins with http:// or https://."
        )
    said = config.said(profile)

    def chosen(name: str) -> Any:
        is_given = ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
        return given[name] if is_given or name not in said else said[name]

    return Options(
        url=profile.url if profile is not None else url or engine,
        board=chosen("board"),
        filter=chosen("filter"),
        read_only=chosen("read_only"),
        theme=chosen("theme"),
        ascii_only=chosen("ascii") or not unicode_terminal(),
        slow_link=chosen("slow_link"),
        mouse=chosen("mouse"),
        bell=chosen("bell"),
        keys=config.keys,
        badge="" if profile is None else safe(profile.badge),
        strict=profile is not None and profile.strict,
    )


def _once(options: Options, *, as_json: bool) -> None:
    from engine.client import Client, Reposts
    from tui.clock import SystemClock
    from tui.looks import in_ascii
    from tui.once import BOARDS_ONCE, lines, read

    if options.board not in BOARDS_ONCE:
        raise click.UsageError(f"--once has no {options.board}; `atomic events` prints them.")
    try:
        client = Client(options.url, reposts=Reposts(count=0))
    except ValueError as error:
        raise click.UsageError(safe(error)) from error
    with client:
        store, snapshot = read(client, SystemClock(), options.board, options.filter)
    if as_json:
        echo_json(snapshot)
        return
    width = shutil.get_terminal_size((ONCE_WIDTH, 24)).columns
    shown = "\n".join(lines(store, options.board, width))
    click.echo(in_ascii(shown) if options.ascii_only else shown)
