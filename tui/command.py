"""`atomic tui`: the dashboard, a program of its own that is imported only when it is asked for."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from engine.cli.exits import Refusal
from engine.cli.options import TOKEN_FILE, actor_option, engine_option, token_file
from engine.cli.show.lists import alarm_lines
from engine.cli.show.text import echo_json, on_terminal, safe, unicode_terminal
from engine.core.filter import duration_ms
from tui.keys import BOARDS

if TYPE_CHECKING:
    from tui.settings import Options
    from tui.start import Start

INSTALL_SERVE = "`pip install '.[serve]'` in the checkout, or with the wheel's name before [serve]"
SERVE_PORT = 8430
ONCE_WIDTH = 100
PROGRESS_EVERY = 10_000
SERVE_PORT_HELP = f"With --serve; 0: any that is free. [default: {SERVE_PORT}]"


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
    help="What to begin with.  [default: home; with --filter, --once or --replay runs]",
)
@click.option("--filter", default="is:live", show_default=True, help="Which runs are listed.")
@click.option("--run", metavar="ID[#STEP]", help="Open this run, at a step by its id or name.")
@click.option("--read-only", is_flag=True, help="Look, and change nothing.")
@click.option("--once", is_flag=True, help="Print the board once, as text, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: as JSON.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Write what comes from the engine into a file.",
)
@click.option(
    "--replay",
    metavar="FILE|TIME",
    help="Show a recording instead of an engine; or what the engine had since TIME: 1h, 90m or"
    " 1h30m before now, 03:12, 2026-11-23T03:12:00Z; 24h at most.",
)
@click.option("--speed", type=click.FloatRange(0.01, 1_000), default=1.0, help="Of the replay.")
@click.option("--ascii", is_flag=True, help="Draw with ASCII alone.")
@click.option(
    "--no-mouse", "mouse", flag_value=False, default=True, help="Leave the mouse to the terminal."
)
@click.option("--theme", help="A look by its name; `:theme` lists them.")
@click.option("--bell", is_flag=True, help="Ring when something begins to need a person.")
@actor_option
@click.option("--slow-link", is_flag=True, help="Draw less often.")
@click.option(
    "--redact",
    multiple=True,
    metavar="NAME",
    help="Do not show what stands under this name in bodies either; may be repeated.",
)
@click.option("--no-redact", is_flag=True, help="Show bodies as they are, passwords and all.")
@click.option("--serve", is_flag=True, help="In a browser of this machine; looks only.")
@click.option("--serve-port", type=click.IntRange(0, 65_535), help=SERVE_PORT_HELP)
@click.option("--allow-actions", is_flag=True, help="With --serve: keys that act do so.")
@click.pass_context
def tui(
    ctx: click.Context, /, once: bool, as_json: bool, record: Path | None, replay: str | None,
    speed: float, serve: bool, serve_port: int | None, allow_actions: bool, **given: Any,
) -> None:  # fmt: skip
    """The dashboard: runs, retries, what is stuck and why, live, and keys that act on them.

    URL is the engine's address, as --engine is, or a profile of the file of settings.
    """
    options = _options(ctx)
    if serve:
        _can_be_served(
            once=once or as_json, record=record is not None, no_mouse=not given["mouse"],
            bell=given["bell"], read_only=options.read_only and allow_actions,
        )  # fmt: skip
    elif allow_actions or serve_port is not None:
        raise click.UsageError("--allow-actions and --serve-port are for --serve.")
    if record is not None and replay is not None:
        raise click.UsageError("--record writes what comes from an engine: not with --replay.")
    if (once or as_json) and (record is not None or replay is not None):
        raise click.UsageError("--once asks an engine once: not with --record or --replay.")
    if once or as_json:
        if options.run:
            raise click.UsageError("--once prints a board: `atomic show ID` prints a run.")
        _once(options, as_json=as_json)
        return
    if not (serve or on_terminal()):
        raise click.UsageError("The dashboard needs a terminal; --once prints a board as text.")
    from tui.data.record import RecordingError
    from tui.past.reading import PastError
    from tui.start import Start, run

    file, since_ms = _replayed(replay)
    if since_ms is not None and serve:
        raise click.UsageError("--replay of a time is for one dashboard: with --serve give a file.")
    _check(options, is_past=since_ms is not None)
    kept, shown = (None if each is None else str(each.absolute()) for each in (record, file))
    start = Start(options, kept, shown, since_ms, speed)
    try:
        code = _serve(start, serve_port) if serve else run(start, _tell_progress)
    except OSError as error:
        raise (click.UsageError if record is None else Refusal)(safe(error)) from error
    except PastError as error:
        raise Refusal(safe(error)) from error
    except (RecordingError, ValueError) as error:
        raise click.UsageError(safe(error)) from error
    sys.exit(code)


def _replayed(text: str | None) -> tuple[Path | None, int | None]:
    """The recording that is meant, or since when (milliseconds since the epoch) what the engine had
    is. A file of that name goes before. Raises UsageError."""
    from tui.data.clock import SystemClock
    from tui.past.hour import LENGTH_MS_MAX
    from tui.text.fmt import time_typed

    if text is None or (path := Path(text)).is_file():
        return (None if text is None else path), None
    now_ms = SystemClock().wall() * 1000
    ago_ms = duration_ms(text)
    since = time_typed(text, now_ms) if ago_ms is None else now_ms - ago_ms
    if since is None:
        raise click.BadParameter(
            f"{safe(text)} is no file that is there, and no time: 1h, 90m, 03:12 or"
            " 2026-11-23T03:12:00Z",
            param_hint="--replay",
        )
    if not 0 < now_ms - since <= LENGTH_MS_MAX:
        told = "in the future" if now_ms < since else "more than 24h ago, which is the most"
        told = (
            "now, of which there is no past: 1h, or a time before now" if now_ms == since else told
        )
        raise click.BadParameter(f"{safe(text)} is {told}", param_hint="--replay")
    return None, round(since)


def _tell_progress(events: int) -> None:
    """While a past hour is read there is no screen yet."""
    if events % PROGRESS_EVERY == 0:
        click.echo(f"{events:,} events read", err=True)


def _options(ctx: click.Context) -> Options:
    """The command line before the profile, and that before the rest of the file of settings."""
    from tui.settings import Config, ConfigError, Options, Profile, read, usual_path
    from tui.text.redact import NAMES as SECRETS

    given: dict[str, Any] = ctx.params
    url, config_path = given["url"], given["config_path"]
    if given["redact"] and given["no_redact"]:
        raise click.UsageError("--redact and --no-redact say the opposite: give one of them.")
    path = config_path or usual_path()
    try:
        config = read(path) if config_path is not None or path.is_file() else Config()
    except (ConfigError, OSError) as error:
        raise click.UsageError(safe(error)) from error
    profile: Profile | None = config.profiles.get(url or "")
    if url is not None and profile is None and re.fullmatch(r"[\w-]+", url):
        known = ", ".join(config.profiles) or "none"
        raise click.UsageError(
            f"There is no profile {safe(url)} in {path} (there is {safe(known)}),"
            " and an address begins with http:// or https://."
        )
    said = config.said(profile)
    if url is not None and re.fullmatch(r"[\w.-]+:\d+(/.*)?", url):
        url = f"http://{url}"  # a host and its port, as everybody types it

    def chosen(name: str) -> Any:
        is_given = ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
        return given[name] if is_given or name not in said else said[name]

    return Options(
        url=profile.url if profile is not None else url or given["engine"],
        board=chosen("board") or _first_board(ctx, said),
        filter=chosen("filter"),
        run=given["run"] or "",
        read_only=chosen("read_only") or (given["serve"] and not given["allow_actions"]),
        theme=chosen("theme"),
        ascii_only=chosen("ascii") or not (given["serve"] or unicode_terminal()),
        slow_link=chosen("slow_link"),
        mouse=chosen("mouse"),
        bell=chosen("bell"),
        actor=chosen("actor"),
        token_file=_token_file(ctx, said, path, is_profile=profile is not None),
        keys=config.keys,
        columns=config.columns,
        badge="" if profile is None else safe(profile.badge),
        strict=profile is not None and profile.strict,
        redact=frozenset() if given["no_redact"] else SECRETS | {*given["redact"]},
    )


def _first_board(ctx: click.Context, said: Mapping[str, str | bool]) -> str:
    """Where nobody names one. A filter is of runs, and who has a board printed, or plays a
    recording, has it as ever."""
    given: dict[str, Any] = ctx.params
    filters = ctx.get_parameter_source("filter") is not ParameterSource.DEFAULT or "filter" in said
    runs = filters or given["once"] or given["as_json"] or given["replay"] is not None
    return "runs" if runs else "home"


def _token_file(
    ctx: click.Context, said: Mapping[str, str | bool], settings: Path, *, is_profile: bool
) -> str:
    """As typed, else the environment's, else of the file of settings. A profile names an engine of
    its own, to which the token of another, as the environment has it, is not sent."""
    source = ctx.get_parameter_source(TOKEN_FILE)
    typed = source is ParameterSource.COMMANDLINE
    if typed or (source is ParameterSource.ENVIRONMENT and not is_profile):
        return str(Path(token_file() or "").absolute())
    named = str(said.get(TOKEN_FILE, ""))
    return str((settings.parent / Path(named).expanduser()).absolute()) if named else ""


def _check(options: Options, *, is_past: bool = False) -> None:
    """Raises UsageError for what would only be found out on the screen."""
    from tui.act.columns import wanted_of
    from tui.data.filter import FAULTS
    from tui.screen.themes import LIKE, NAMES
    from tui.text.link import RUN_ID_CHARACTERS, Place

    if (wrong := FAULTS["past" if is_past else "filter"](options.filter)) is not None:
        raise click.UsageError(f"--filter: {safe(wrong.detail)}")
    try:
        wanted_of(options.columns)
    except ValueError as error:
        raise click.UsageError(f"[columns] of the file of settings: {safe(error)}") from error
    if options.run and not Place.of(options.run).is_whole():
        raise click.UsageError(
            f"--run: {safe(Place.of(options.run).run)!r} is no id of a run, which has"
            f" {RUN_ID_CHARACTERS} letters and digits: `atomic runs` lists them."
        )
    if options.theme is not None and options.theme not in (*NAMES, *LIKE):
        raise click.UsageError(f"--theme: {safe(options.theme)} is none of {', '.join(NAMES)}.")


def _can_be_served(**asked: bool) -> None:
    """Raises UsageError for what has no sense in a browser."""
    reasons = {
        "once": "--once and --json print a board and end: leave --serve out.",
        "record": "--record is for one dashboard, and a browser may open several.",
        "no_mouse": "--no-mouse is for terminals: in a browser hold shift to select text.",
        "bell": "--bell is for terminals: a browser has none.",
        "read_only": "--read-only (or that setting) and --allow-actions contradict each other.",
    }
    for name, reason in reasons.items():
        if asked[name]:
            raise click.UsageError(reason)


def _serve(start: Start, port: int | None) -> int:
    """In a browser, until Ctrl-C."""
    try:
        from tui.browser.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual_serve", "aiohttp"):
            raise
        raise click.UsageError(f"--serve needs textual-serve: {INSTALL_SERVE}") from error
    from engine.client.errors import without_user
    from tui.start import checked

    def tell(link: str) -> None:
        click.echo(f"The dashboard of {what}{acts}. Open it once, in one browser:\n\n  {link}\n")
        click.echo("Ctrl-C ends it.")

    checked(start)
    what = safe(without_user(start.options.url) if start.replay is None else start.replay)
    acts = ", to look at" if start.options.read_only else ", with keys that change the engine"
    serve(start.word(), SERVE_PORT if port is None else port, what, tell)
    return 0


def _once(options: Options, *, as_json: bool) -> None:
    from engine.client import Client, Reposts
    from tui.boards.looks import in_ascii
    from tui.data.clock import SystemClock
    from tui.once import BOARDS_ONCE, lines, read

    if options.board not in BOARDS_ONCE:
        other = {"home": "`atomic status` and `atomic causes` print what it tells"}
        told = other.get(options.board, "`atomic events` prints them")
        raise click.UsageError(f"--once has no {options.board}; {told}.")
    try:
        client = Client(options.url, reposts=Reposts(count=0), token_file=options.token_file)
    except ValueError as error:
        raise click.UsageError(safe(error)) from error
    with client:
        store, snapshot = read(client, SystemClock(), options.board, options.filter)
    if as_json:
        echo_json(snapshot)
        return
    width = shutil.get_terminal_size((ONCE_WIDTH, 24)).columns
    shown = "\n".join(alarm_lines(snapshot.status) + lines(store, options.board, width))
    click.echo(in_ascii(shown) if options.ascii_only else shown)
