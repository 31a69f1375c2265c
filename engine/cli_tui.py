"""`atomic tui`: the dashboard, a program of its own that is imported only when it is asked for."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli_options import engine_option
from engine.cli_show import echo_json, safe, unicode_terminal

if TYPE_CHECKING:
    from tui.options import Options
    from tui.start import Start

INSTALL = "pip install 'atomic-engine[tui]'"
INSTALL_SERVE = "pip install 'atomic-engine[serve]'"
SERVE_PORT = 8430
BOARDS = ("runs", "retries", "causes", "hosts", "events", "jobs")
ONCE_WIDTH = 100
SERVE_PORT_HELP = f"With --serve; 0: any that is free. [default: {SERVE_PORT}]"


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
@click.option("--serve", is_flag=True, help="In a browser of this machine; looks only.")
@click.option("--serve-port", type=click.IntRange(0, 65_535), help=SERVE_PORT_HELP)
@click.option("--allow-actions", is_flag=True, help="With --serve: keys that act do so.")
def tui(
    url: str | None, engine: str, board: str, q: str, read_only: bool, once: bool, as_json: bool,
    record: Path | None, replay: Path | None, speed: float, ascii_only: bool, no_mouse: bool,
    theme: str | None, slow_link: bool, bell: bool, serve: bool, serve_port: int | None,
    allow_actions: bool,
) -> None:  # fmt: skip
    """The dashboard: runs, retries, what is stuck and why, live, and keys that act on them.

    URL is the engine's address, as --engine is.
    """
    address = url or engine
    if serve:
        _can_be_served(
            once=once or as_json, record=record is not None, no_mouse=no_mouse, bell=bell,
            read_only=read_only and allow_actions,
        )  # fmt: skip
        read_only = not allow_actions
    elif allow_actions or serve_port is not None:
        raise click.UsageError("--allow-actions and --serve-port are for --serve.")
    if once or as_json:
        _once(address, board, q, as_json=as_json, ascii_only=ascii_only)
        return
    served = "TEXTUAL_DRIVER" in os.environ  # it draws in a browser, and is no terminal's
    if not (serve or served or on_terminal()):
        raise click.UsageError("The dashboard needs a terminal; --once prints a board as text.")
    try:
        from tui.options import Options
        from tui.start import Start, run
    except ModuleNotFoundError as error:
        if error.name not in ("textual", "rich"):
            raise
        install = INSTALL_SERVE if serve else INSTALL
        raise click.UsageError(f"The dashboard needs Textual: {install}") from error
    from tui.record import RecordingError

    options = Options(
        url=address, board=board, filter=q, read_only=read_only, theme=theme,
        ascii_only=ascii_only or not (serve or served or unicode_terminal()),
        slow_link=slow_link, mouse=not no_mouse, bell=bell,
    )  # fmt: skip
    _check(options)
    start = Start(options, record, replay, speed)
    try:
        code = _serve(start, serve_port) if serve else run(start)
    except (RecordingError, OSError, ValueError) as error:
        raise click.UsageError(safe(error)) from error
    sys.exit(code)


def _check(options: Options) -> None:
    """Raises UsageError for what would only be found out on the screen."""
    from tui.query import fault
    from tui.themes import NAMES

    if (wrong := fault(options.filter)) is not None:
        raise click.UsageError(f"--filter: {safe(wrong.detail)}")
    if options.theme is not None and options.theme not in NAMES:
        raise click.UsageError(
            f"--theme: {safe(options.theme)} is none of {', '.join(sorted(NAMES))}."
        )


def _can_be_served(**asked: bool) -> None:
    """Raises UsageError for what has no sense in a browser."""
    reasons = {
        "once": "--once and --json print a board and end: leave --serve out.",
        "record": "--record is for one dashboard, and a browser may open several.",
        "no_mouse": "--no-mouse is for terminals: in a browser hold shift to select text.",
        "bell": "--bell is for terminals: a browser has none.",
        "read_only": "--read-only and --allow-actions contradict each other.",
    }
    for name, reason in reasons.items():
        if asked[name]:
            raise click.UsageError(reason)


def _serve(start: Start, port: int | None) -> int:
    """In a browser, until Ctrl-C."""
    try:
        from tui.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual_serve", "aiohttp"):
            raise
        raise click.UsageError(f"--serve needs textual-serve: {INSTALL_SERVE}") from error
    from tui.start import checked

    def tell(link: str) -> None:
        click.echo(f"The dashboard of {what}{acts}. Open it once, in one browser:\n\n  {link}\n")
        click.echo("Ctrl-C ends it.")

    checked(start)
    what = safe(start.options.url if start.replay is None else start.replay)
    acts = ", to look at" if start.options.read_only else ", with keys that change the engine"
    serve(start.arguments(), SERVE_PORT if port is None else port, what, tell)
    return 0


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
