"""The documentation is true: links resolve, commands answer as shown, tables are complete."""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import get_args

import click
import httpx
import msgspec
import pytest

from docs.examples import first_app
from engine import wire
from engine.cli.main import COMMANDS, command_of
from engine.core.events import Count, Event, Started
from engine.core.filter import FILTER_CHARACTERS_MAX, TERMS_MAX
from engine.core.model import DelayBy, PauseReason, StepState
from engine.core.rules.action import FITS, Action
from engine.core.table import TABLE
from engine.front.api import events as feed
from engine.front.show.digests import Digests
from engine.jobs import bulk, plan
from engine.ports.views import EventRecord
from engine.process.environment import CLIENT_VARIABLES, service_links
from engine.store.tables.views.filter import ROWS_LOOKED_AT_MAX
from engine.telemetry.run_log import ERROR_CHARS_MAX
from engine.telemetry.throttle import LEFT_OUT, LINES_PER_S_MAX
from engine.wire import operate
from tests.reference_pages import DESIGN, ERRORS, design_page, errors_page, states
from tests.settings_page import settings
from tests.walkthrough import ENGINE, ROOT, SERVE, Shell, agree, blocks, follow, shown

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
OF_CLIENTS = ROOT / "docs" / "clients"  # followed in tests/clients, as they need their languages
WALKED = [
    page
    for page in PAGES
    if page.parent != OF_CLIENTS and any(True for _ in shown(page.read_text()))
]
REFERENCE = ROOT / "docs" / "reference"
PROTOCOL = (REFERENCE / "protocol.md").read_text()
BULK = (REFERENCE / "bulk.md").read_text()
INSTALL_AND_DEMO = (
    "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/atomic demo --once"
)
INSTALL_AND_TEST = (
    "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[dev]'"
    " && .venv/bin/python -m pytest -q -n auto -m 'not system'"
)


def name_of(page: Path) -> str:
    """The page as a test's id."""
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The fragments that the page's headings answer to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_resolves(page: Path):
    """Links inside the repository lead to a file that is there, and to a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


def test_pages_that_the_code_names_exist():
    """A docstring that sends its reader to a page sends him somewhere."""
    for source in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for page in re.findall(r"\bdocs/[\w/-]+\.md", source.read_text()):
            assert (ROOT / page).exists(), f"{name_of(source)}: {page}"


def files_called(name: str) -> list[Path]:
    """The project's files whose path ends so."""
    tops = ("engine", "tui", "demo_app", "tests", "bench", "docs", ".ci")
    files = (path for top in tops for path in (ROOT / top).rglob(Path(name).name))
    return [path for path in files if f"/{path.relative_to(ROOT)}".endswith(f"/{name}")]


def test_places_in_the_code_that_pages_name_are_there():
    """Each file is one only, by its whole path or as much as tells it from others; and in
    "`function` in `file`" has that function. So a move or a new name makes the page stale."""
    for page in (ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        text = prose(page.read_text())
        for name in re.findall(r"`([\w./-]+\.(?:py|sql|html|tcss))`", text):
            assert len(files_called(name)) == 1, f"{name_of(page)}: {name}"
        for function, name in re.findall(r"`([\w.]+)` in `([\w./]+\.py)`", text):
            (file,) = files_called(name)
            defined = rf"^ *(?:(?:async )?def|class) {function.rpartition('.')[2]}\b"
            assert re.search(defined, file.read_text(), re.MULTILINE), (
                f"{name_of(page)}: {function}"
            )


def test_every_page_is_linked():
    """No page is an island: each is reached from another one."""
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert [page for page in PAGES if page not in linked and page.name != "README.md"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "curl",
    [pytest.param(True, marks=pytest.mark.system, id="curl"), pytest.param(False, id="stand-in")],
)
@pytest.mark.parametrize("page", WALKED, ids=name_of)
def test_every_command_answers_as_shown(page: Path, curl: bool, tmp_path: Path):
    """Who follows the page to the letter, against a real engine and application, sees what it says.

    Once with the real curl, and once with a stand-in where there is none.
    """
    assert not curl or shutil.which("curl")
    for it, answer in follow(page.read_text(), tmp_path, curl=curl):
        assert agree(it.answer, answer), f"{name_of(page)}:{it.line}: {it.command}\n{answer}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks_compile_and_excerpts_are_true(page: Path):
    """Python on a page is Python, and an excerpt stands in the file that it says it is from."""
    for block in blocks(page.read_text()):
        if block.language == "python":
            in_function = "async def _():\n" + textwrap.indent(block.text, "    ")
            compile(in_function, f"{name_of(page)}:{block.line}", "exec")
        if block.source is not None:
            lines = [line.strip() for line in (ROOT / block.source).read_text().splitlines()]
            wanted = [line.strip() for line in block.text.splitlines()]
            starts = [i for i, line in enumerate(lines) if line == wanted[0]]
            found = any(lines[i : i + len(wanted)] == wanted for i in starts)
            assert found, f"{name_of(page)}:{block.line} is not in {block.source}"


def test_the_readme_has_the_two_commands():
    """They install and run the demonstration and the tests; each stands alone on its line."""
    code = [block.text.strip() for block in blocks((ROOT / "README.md").read_text())]
    assert INSTALL_AND_DEMO in code
    assert INSTALL_AND_TEST in code


def test_commands_on_the_pages_exist():
    """Every `atomic …` on a page, in code or in a line of text, is a command with its options."""
    for page in PAGES:
        text = page.read_text()
        lines = [line for block in blocks(text) for line in block.text.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", prose(text))
        for line in lines:
            for call in re.finditer(r"(?:^|[ /])atomic ([a-z][a-z-]*)\b([^|;&]*)", line):
                command = command_of(call[1]) if call[1] in COMMANDS else None
                assert command is not None, f"{name_of(page)}: {line}"
                for below in re.findall(r"(?<= )[a-z]+\b", call[2]):
                    if not isinstance(command, click.Group):
                        break
                    command = command.commands.get(below)
                    assert command is not None, f"{name_of(page)}: {line}"
                known = {name for option in command.params for name in option.opts}
                for option in re.findall(r"(?<= )--[a-z-]+", call[2]):
                    assert option in known, f"{name_of(page)}: {line}"


def test_every_how_to_says_which_helper_it_uses():
    """In its first line, so that who has another language knows where to look."""
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        assert page.read_text().split("\n\n")[1].startswith("**Helper:** "), page.name


def test_nothing_says_that_the_package_is_on_an_index():
    """It is installed of a checkout or a wheel; no page and no message says otherwise."""
    sources = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "tui").rglob("*.py")]
    for file in [*PAGES, *sources, *(ROOT / "demo_app").rglob("*.py")]:
        for line in file.read_text().splitlines():
            assert not re.search(r"install.*\batomic-engine\b", line), f"{name_of(file)}: {line}"


def test_recipes_on_the_pages_exist():
    """Every `just …` on a page is a recipe of the justfile."""
    recipes = set(
        re.findall(r"^([a-z-]+)[a-z0-9=\"* ]*:", (ROOT / "justfile").read_text(), re.MULTILINE)
    )
    for page in PAGES:
        for recipe in re.findall(r"`just ([a-z][a-z-]*)", page.read_text()):
            assert recipe in recipes, f"{name_of(page)}: just {recipe}"


def test_environment_variables_on_the_pages_are_settings():
    """Every `ATOMIC_…` on a page is a setting, or of the command."""
    known = {it.environment for it in settings()}
    known |= {f"ATOMIC_{name.upper()}" for name in CLIENT_VARIABLES}
    known |= set(service_links(dict.fromkeys(("ATOMIC_SERVICE_HOST", "ATOMIC_SERVICE_PORT"), "")))
    for page in PAGES:
        for name in re.findall(r"\bATOMIC_[A-Z_]+\b", page.read_text()):
            assert name in known, f"{name_of(page)}: {name}"


def test_the_errors_page_is_what_the_code_says():
    """Every problem type with its text; `just pages` writes the page."""
    assert ERRORS.read_text() == errors_page()
    for kind, it in wire.PROBLEMS.items():
        rows = [row for row in PROTOCOL.splitlines() if f"`{kind}`" in row and row[0] == "|"]
        assert any(str(it.status) in row.split("|")[1] for row in rows), kind


def test_the_diagram_of_states_is_the_machines_table(monkeypatch: pytest.MonkeyPatch):
    """Each row and where it leads; `just pages` draws it. An arrow more, and the page is stale."""
    assert DESIGN.read_text() == design_page()
    monkeypatch.setitem(TABLE[StepState.WAITING], Started, frozenset({StepState.RUNNING}))
    assert DESIGN.read_text() != design_page()
    assert set(re.findall(r"waiting --> running: (.*)", states())) == {"started"}


def camel(name: str) -> str:
    """The member's name on the wire."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@pytest.mark.parametrize(
    "struct",
    [wire.Submission, wire.RetryPolicy, wire.OutcomeAnswer, wire.OpenAnswer, wire.RunRow,
     wire.StepRow, wire.AttemptRow, wire.RunPage, wire.RunTree, wire.ActionRequest,
     wire.ActionAnswer, wire.StepAt, wire.CauseList, wire.CauseRow, wire.RetryPage, wire.RetryRow,
     wire.DueBucket, wire.HostRow, wire.StandstillRow, wire.Status, wire.StoreStatus, wire.Memory,
     wire.BadFileRow,
     wire.Rates, wire.BulkRequest, wire.BulkAnswer, wire.BulkList],
)  # fmt: skip
def test_every_member_of_the_contract_is_documented(struct: type[msgspec.Struct]):
    """What can be posted and what is answered stands on the protocol's page, or on that of bulk
    jobs."""
    is_bulk = struct.__name__.startswith("Bulk")
    page, file = (BULK, "bulk.md") if is_bulk else (PROTOCOL, "protocol.md")
    for field in msgspec.structs.fields(struct):
        name = field.encode_name
        assert re.search(rf'`{name}`|"{name}"|[{{, ]{name}[,}}]', page), f"{file}: {name}"


def test_the_filter_language_is_documented():
    """Every field and every word of `is:` has its row, the example can be read, limits are told."""
    text = (REFERENCE / "filter.md").read_text()
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    shown = [term for row in rows for term in re.findall(r"`([^`]+)`", row)]
    fields = {term.field for text in shown if text != "is:" for term in wire.parse(text)}
    assert {*wire.ABOUT} <= fields
    assert {*wire.IS_WORDS} <= {*shown}
    (example,) = [block.text for block in blocks(text) if block.language == "text"]
    assert len(wire.parse(example)) == len(example.split())
    for limit in (FILTER_CHARACTERS_MAX, TERMS_MAX, ROWS_LOOKED_AT_MAX):
        assert f"{limit:,} " in text


def test_bulk_jobs_are_documented():
    """Which actions there are in bulk, and the limits; the answers on the page are such."""
    for action in FITS:
        assert f"`{action}`" in BULK
    limits = (bulk.JOBS_UNDER_WAY_MAX, bulk.JOBS_KEPT_MAX, bulk.RUNS_KEPT_MAX)
    for limit in (*limits, plan.RUNS_MAX, operate.FIRST_MAX):
        assert f"{limit:,} " in BULK
    asked, answered = [block.text for block in blocks(BULK) if block.language == "json"]
    msgspec.json.decode(asked, type=wire.BulkRequest)
    answer = msgspec.json.decode(answered, type=wire.BulkAnswer)
    assert {*msgspec.json.decode(answered)} == {*msgspec.to_builtins(answer)}


def test_every_word_of_the_contract_is_documented():
    """States, reasons and actions stand on the protocol's page; states in the glossary, too."""
    for word in (*StepState, *PauseReason, *Action):
        assert f"`{word}`" in PROTOCOL, word
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    for state in StepState:
        assert f"| `{state}` |" in glossary


def test_every_event_is_documented():
    """Each kind of fact has its row: the event it comes as, and its own members."""
    text = (REFERENCE / "events.md").read_text()
    kinds = {}
    for row in re.findall(r"^\| `([a-z-]+)` \| `(run|step|attempt)` \|(.*)\|$", text, re.MULTILINE):
        kinds[row[0]] = (row[1], row[2])
    facts = {str(fact.__struct_config__.tag): fact for fact in get_args(Event)}
    assert kinds.keys() == facts.keys()
    for kind, fact in facts.items():
        data = msgspec.json.encode({"kind": kind}).decode()
        record = EventRecord(1, 0, "r", "s", StepState.RUNNING, 1, data)
        assert f"event: {kinds[kind][0]}\n".encode() in feed.event_frame("f", record, Digests(b""))
        for field in msgspec.structs.fields(fact):
            if field.name not in ("at", "step_id"):
                assert f"`{camel(field.name)}`" in kinds[kind][1], f"{kind} {field.name}"
    for word in (*Count, *DelayBy):
        assert f"`{word}`" in text, word


@pytest.mark.slow
def test_what_the_engine_tells_of_itself_is_documented(tmp_path: Path):
    """Every metric with its type, every member of the status, every event of a fresh stream."""
    with ExitStack() as stack:
        shell = Shell(stack, tmp_path)
        shell.serve(SERVE)
        http = stack.enter_context(httpx.Client(base_url=shell.real(f"http://{ENGINE}")))
        metrics = http.get("/metrics").text
        status = http.get("/api/v1/status").json()
        with http.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "x-1"}) as answer:
            lines = answer.iter_lines()
            seen = [next(line for line in lines if line.startswith("event")) for _ in range(3)]
    told = set(re.findall(r"^# TYPE (\w+) (\w+)$", metrics, re.MULTILINE))
    told = {(name, kind) for name, kind in told if not name.endswith("_created")}
    page = (REFERENCE / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(atomic_\w+)` \| (\w+) \|", page, re.MULTILINE)) == told
    for member in (*status, *status["rates"]):
        assert f"`{member}`" in PROTOCOL, member
    assert seen == ["event: reset", "event: heartbeat", "event: counts"]
    events = (REFERENCE / "events.md").read_text()
    assert all(f"| `{it.removeprefix('event: ')}` |" in events for it in seen)


SAYS = frozenset(
    {"_add", "_inform", "_log", "_say", "_warn", "error", "info", "log", "say", "warning"}
)
"""How the functions are called that say something to the log."""


def said() -> Iterator[tuple[str, set[str]]]:
    """Every event that the engine says, with the members that its call names."""
    for source in (ROOT / "engine").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if not isinstance(node, ast.Call) or source.name.startswith("cli"):
                continue
            if ast.unparse(node.func).rpartition(".")[2] not in SAYS:
                continue
            for it in node.args:
                text = it.value if isinstance(it, ast.Constant) else None
                if isinstance(text, str) and re.fullmatch(r"[a-z]+(-[a-z]+)*", text):
                    yield text, {word.arg for word in node.keywords if word.arg is not None}


def test_every_line_of_the_log_is_documented():
    """Each event has a row, with its members; and no row is of one that nobody says."""
    text = (REFERENCE / "log.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (?:info|warning|error|info, warning) \| (.*) \|$",
                           text, re.MULTILINE))  # fmt: skip
    told = dict(said())
    assert rows.keys() == told.keys() | {LEFT_OUT, "log-lines-dropped"}
    for event, members in said():
        for member in members:
            name = "exception" if member == "exc_info" else member
            assert f"`{name}`" in rows[event], f"{event} {member}"
    limits = (f"{LINES_PER_S_MAX} lines a second", f"{ERROR_CHARS_MAX} characters")
    assert all(limit in text for limit in limits)


def test_the_first_application_does_each_effect_once():
    """Calls of one step at the same time: one effect, one answer. Another step's key: another."""
    together = Barrier(8)

    def call(key: str) -> object:
        together.wait()
        return first_app.once(key, first_app.save_user, {"userName": "a", "email": "a@b"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, ["k1", "k2"] * 4))
    assert sorted(str(answer) for answer in answers) == sorted(
        [str(answers[0])] * 4 + [str(answers[1])] * 4
    )
    assert first_app.database.execute("SELECT count(*) FROM users").fetchone() == (2,)
