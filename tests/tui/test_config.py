"""The dashboard's file of settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.client import Unreachable
from tui.command import tui
from tui.keys import remapped
from tui.settings import Config, ConfigError, Options, read, usual_path
from tui.start import Start

WHOLE = """
theme = "cb-dark"
bell = true
filter = "is:live"

[keys]
next-problem = "f8, n"
help = "f1,?"
retry = "T"

[profiles.prod]
url = "https://atomic.example"
badge = "PROD"
strict = true
filter = "is:stuck"
read-only = true
"""


def file(folder: Path, text: str) -> Path:
    """A file with this in it."""
    path = folder / "dashboard.toml"
    path.write_text(text)
    return path


def test_the_whole_file(tmp_path: Path) -> None:
    """What is said of one engine goes before what is said of all."""
    config = read(file(tmp_path, WHOLE))
    assert config.keys == {"next-problem": "f8, n", "help": "f1,?", "retry": "T"}
    prod = config.profiles["prod"]
    assert (prod.url, prod.badge, prod.strict) == ("https://atomic.example", "PROD", True)
    assert config.said(None) == {"theme": "cb-dark", "bell": True, "filter": "is:live"}
    assert config.said(prod) == {
        "theme": "cb-dark", "bell": True, "filter": "is:stuck", "read_only": True,
    }  # fmt: skip


def test_who_acts(tmp_path: Path) -> None:
    """In a file as on the command line, of one engine before that of all."""
    config = read(file(tmp_path, f"as = '{'a' * 64}'\n[profiles.p]\nurl = 'x'\nas = 'ada'"))
    assert config.said(None) == {"actor": "a" * 64}
    assert config.said(config.profiles["p"]) == {"actor": "ada"}


def test_nothing_said(tmp_path: Path) -> None:
    """An empty file says nothing."""
    assert read(file(tmp_path, "")) == Config()
    assert Config().said(None) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("theme = ", "dashboard.toml: Invalid value"),
        ("colour = 1", "unknown field `colour`. There are board, filter, read-only, ascii, "),
        ("[profiles.prod]\nurl = 'x'\nbage = 'y'", "`bage` - at `$.profiles[...]`. There are "),
        ("bell = 'yes'", "Expected `bool`, got `str` - at `$.bell`"),
        ("[profiles.prod]\nbadge = 'x'", "missing required field `url` - at `$.profiles[...]`"),
        ("[keys]\nretri = 'R'", "[keys]: There is no command `retri`. There are home, "),
        ("[keys]\nhelp = 'j'", "[keys]: `j` would be both down and help."),
        ("[keys]\nretry = 'r'", "retry changes the engine: its key is a capital, not `r`."),
        ("[keys]\nhelp = 'Q'", "help only looks: its key is no capital, as `Q` is."),
        ("[keys]\nhelp = 'é è'", "`é è` is no key"),
        ("board = 'failed'", "board: there is no `failed`. There are causes, "),
        ("[profiles.a]\nurl = 'x'\nboard = 'b'", "profiles.a.board: there is no `b`."),
        (f"as = '{'a' * 65}'", "cannot say who acts: that takes 1 to 64 printable ASCII"),
        ("[profiles.a]\nurl = 'x'\nas = 'Jörg'", "profiles.a.as: 'Jörg' cannot say who acts"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    """Which file, where in it, and what was wrong."""
    with pytest.raises(ConfigError) as error:
        read(file(tmp_path, text))
    assert "dashboard.toml" in str(error.value)
    assert told in str(error.value)


def test_where_it_is_looked_for() -> None:
    """As the XDG specification says: a relative path does not count."""
    assert usual_path({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/atomic/dashboard.toml")
    for environment in ({"HOME": "/h"}, {"HOME": "/h", "XDG_CONFIG_HOME": "relative"}):
        assert usual_path(environment) == Path("/h/.config/atomic/dashboard.toml")


@pytest.mark.parametrize(
    ("text", "command", "keys"),
    [
        ("[keys]\nnext-problem = '0'", "home", ""),
        ("[keys]\nretry = 'H'", "hold", ""),
        ("[keys]\nnext-problem = 'w'", "wait", ""),
        ("[keys]\nnext-problem = 'full_stop'", "later", ""),
        ("[keys]\nnext-problem = 'm'", "every-event", ""),
        ("[keys]\nhome = 'f2'", "home", "f2"),
        ("", "home", "0"),
    ],
)
def test_keys_that_were_free_once_stay_with_whom_they_were_given(
    tmp_path: Path, text: str, command: str, keys: str
) -> None:
    """A file from before there was such a command is as good as it was: its name can be typed."""
    config = read(file(tmp_path, text))
    assert {each.id: each.keys for each in remapped(config.keys)}[command] == keys


def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """With what dashboards are started, which are none."""
    seen: list[Options] = []

    def run(start: Start, *_: object) -> int:
        seen.append(start.options)
        return 0

    monkeypatch.setattr("tui.command.on_terminal", lambda: True)
    monkeypatch.setattr("tui.start.run", run)
    return seen


FIRST = """
[profiles.plain]
url = "http://a.test"
[profiles.filtered]
url = "http://a.test"
filter = "is:stuck"
[profiles.hosts]
url = "http://a.test"
board = "hosts"
"""


@pytest.mark.parametrize(
    ("arguments", "board"),
    [
        ([], "home"),
        (["http://a.test"], "home"),
        (["plain"], "home"),
        (["--read-only"], "home"),
        (["--filter", "is:failed"], "runs"),
        (["--filter", "is:live"], "runs"),
        (["filtered"], "runs"),
        (["hosts"], "hosts"),
        (["hosts", "--filter", "x"], "hosts"),
        (["--board", "events"], "events"),
        (["--board", "home", "--filter", "age:<5m"], "home"),
        (["--board", "runs"], "runs"),
    ],
)
def test_what_opens_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], board: str
) -> None:
    """Home; but who names a board, or which runs are listed, gets those as ever."""
    seen = started(monkeypatch)
    path = str(file(tmp_path, FIRST))
    result = CliRunner().invoke(tui, ["--config", path, *arguments])
    assert result.exit_code == 0, result.output
    assert [options.board for options in seen] == [board]


def test_a_recording_opens_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded was looked at on the runs, mostly."""
    seen = started(monkeypatch)
    CliRunner().invoke(tui, ["--replay", str(file(tmp_path, ""))])
    assert [options.board for options in seen] == ["runs"]


def once(*arguments: str) -> str:
    """What `atomic tui --once` says."""
    return CliRunner().invoke(tui, [*arguments, "--once"]).output


def test_a_profile_on_the_command_line(tmp_path: Path) -> None:
    """Its address and board are used unless the command line says another; a name that there is not
    is told with those that there are."""
    text = '[profiles.here]\nurl = "http://127.0.0.1:1"\nboard = "events"'
    path = str(file(tmp_path, text))
    assert "--once has no events" in once("here", "--config", path)
    told = "--once has no home; `atomic status` and `atomic causes` print what it tells."
    assert told in once("here", "--config", path, "--board", "home")
    refused = CliRunner().invoke(tui, ["here", "--config", path, "--board", "runs", "--once"])
    assert isinstance(refused.exception, Unreachable)
    assert "127.0.0.1:1" in str(refused.exception)
    for wanted in ("prod", "prod-eu"):
        assert f"There is no profile {wanted} in" in once(wanted, "--config", path)
    assert "(there is here)" in once("prod", "--config", path)


def test_recordings_and_one_board_go_not_together(tmp_path: Path) -> None:
    """What would be left out without a word is refused; no file is made."""
    path = tmp_path / "new.ndjson"
    replayed = ("--replay", str(file(tmp_path, "")))
    assert "not with --record or --replay" in once(*replayed)
    assert "not with --record or --replay" in once("--record", str(path))
    refused = CliRunner().invoke(tui, [*replayed, "--record", str(path)])
    assert (refused.exit_code, "not with --replay" in refused.output) == (2, True)
    assert not path.exists()


def test_a_run_to_begin_with_is_named_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be no id is refused before a screen is there; a board as text has no run."""
    monkeypatch.setattr("tui.command.on_terminal", lambda: True)
    for named in ("8733", "8733#charge", "#charge", "x" * 27):
        refused = CliRunner().invoke(tui, ["--run", named])
        assert (refused.exit_code, "is no id of a run, which has 26" in refused.output) == (2, True)
    assert "`atomic show ID` prints a run" in once("--run", "x" * 26)


PROFILES = """
token-file = "all.token"
[profiles.prod]
url = "http://prod.test"
token-file = "~/prod.token"
[profiles.near]
url = "http://near.test"
"""


@pytest.mark.parametrize(
    ("arguments", "environ", "sent"),
    [
        ([], {}, "all"),
        ([], {"ATOMIC_TOKEN_FILE": "env.token"}, "env"),
        (["--token-file", "typed.token"], {"ATOMIC_TOKEN_FILE": "env.token"}, "typed"),
        (["http://other.test"], {"ATOMIC_TOKEN_FILE": "env.token"}, "env"),
        (["prod"], {"ATOMIC_TOKEN_FILE": "env.token"}, "prod"),
        (["prod", "--token-file", "typed.token"], {}, "typed"),
        (["near"], {"ATOMIC_TOKEN_FILE": "env.token"}, "all"),
    ],
)
def test_which_token_is_sent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environ: dict[str, str],
    sent: str,
) -> None:
    """As typed, of the environment, of the settings; to a profile's engine never the environment's,
    which is another's."""
    for name in ("all", "env", "typed", "prod"):
        (tmp_path / f"{name}.token").write_text(f"atomic_{name}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ATOMIC_TOKEN_FILE", raising=False)
    seen: list[object] = []

    class Told(Exception):
        """Enough is known."""

    def client(*_: object, **named: object) -> None:
        seen.append(named["token_file"])
        raise Told

    monkeypatch.setattr("engine.client.Client", client)
    command = ["--config", str(file(tmp_path, PROFILES)), "--once", *arguments]
    result = CliRunner().invoke(tui, command, env=environ)
    assert isinstance(result.exception, Told)
    assert seen == [str(tmp_path / f"{sent}.token")]


def test_a_token_file_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is drawn or asked, by its name."""
    monkeypatch.setattr("tui.command.on_terminal", lambda: True)
    path = tmp_path / "none.token"
    for more in ([], ["--once"]):
        result = CliRunner().invoke(tui, ["http://e.test", "--token-file", str(path), *more])
        assert result.exit_code == 2
        assert f"the token file {path} cannot be read: No such file" in result.output
