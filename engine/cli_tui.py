"""`atomic tui`: the dashboard, a program of its own that is imported only when it is asked for."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from engine.cli_options import engine_option
from engine.cli_show import echo_json, safe, unicode_terminal

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
    "--board",
    type=click.Choice(BOARDS),
    default="runs",
    show_default=True,
    help="What to begin with.",
)
@click.option("--filter", "q", default="is:live", show_default=True, help="Which runs are listed.")
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
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
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
def tui(
    url: str | None, engine: str, board: str, q: str, read_only: bool, once: bool, as_json: bool,
    record: Path | None, replay: Path | None, speed: float, ascii_only: bool, no_mouse: bool,
    theme: str | None, slow_link: bool, bell: bool, redact: tuple[str, ...], no_redact: bool,
) -> None:  # fmt: skip
    """The dashboard: runs, retries, what is stuck and why, live, and keys that act on them.

    URL is the engine's address, as --engine is.
    """
    address = url or engine
    if once or as_json:
        _once(address, board, q, as_json=as_json, ascii_only=ascii_only)
        return
    if not on_terminal():
        raise click.UsageError("The dashboard needs a terminal; --once prints a board as text.")
    try:
        from tui.options import Options
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
    if (wrong := fault(q)) is not None:
        raise click.UsageError(f"--filter: {safe(wrong.detail)}")
    options = Options(
        url=address, board=board, filter=q, read_only=read_only, theme=theme,
        ascii_only=ascii_only or not unicode_terminal(), slow_link=slow_link,
        mouse=not no_mouse, bell=bell, redact=frozenset() if no_redact else NAMES | {*redact},
    )  # fmt: skip
    try:
        code = run(Start(options, record, replay, speed))
    except (RecordingError, OSError, ValueError) as error:
        raise click.UsageError(safe(error)) from error
    sys.exit(code)


def _once(address: str, board: str, q: str, *, as_json: bool, ascii_only: bool) -> None:
    from engine.client import Client, Reposts
    from tui.clock import SystemClock
    from tui.once import BOARDS_ONCE, lines, read

    if board not in BOARDS_ONCE:
        raise click.UsageError(f"--once has no {board}; `atomic events` prints them.")
    try:
        client = Client(address, reposts=Reposts(count=0))
    except ValueError as error:
        raise click.UsageError(safe(error)) from error
    with client:
        store, snapshot = read(client, SystemClock(), board, q)
    if as_json:
        echo_json(snapshot)
        return
    width = shutil.get_terminal_size((ONCE_WIDTH, 24)).columns
    plain = ascii_only or not unicode_terminal()
    click.echo("\n".join(lines(store, board, width, ascii_only=plain)))
