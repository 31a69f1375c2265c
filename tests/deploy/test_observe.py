"""Alarms and the board: promtool's opinion of the rules, and every figure in them is told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import harness

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RULES_TEST = RULES.with_name("alerts_test.yaml")
BOARD = ROOT / "deploy" / "grafana" / "atomic.json"
OF_A_HISTOGRAM = ("_bucket", "_count", "_sum")
VALUES = {"$__rate_interval": "1m", "$job": "atomic", "$workflow": ".*"}
METRIC = re.compile(r"\batomic_\w+")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("promtool", *arguments), cwd=RULES.parent, capture_output=True, text=True, check=False
    )


def expressions(board: Any) -> list[str]:
    """What a board asks Prometheus for, for its panels and for its variables."""
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return asked + [
        each["query"] for each in board["templating"]["list"] if each["type"] == "query"
    ]


def names(text: str) -> set[str]:
    """The metrics in it."""
    return set(METRIC.findall(text))


async def scraped(directory: Path) -> str:
    """What a scraper sees of an engine with work of every kind, limits, a hold and a copy."""
    settings = {**harness.SETTINGS, "backup_dir": str(directory / "copies")}
    (directory / "copies").mkdir()
    with harness.running(directory, **settings) as engine:
        async with (
            harness.application(fine=harness.fine) as app,
            harness.client(engine.url) as shop,
        ):
            limits = {"open_runs_max": 9, "in_flight_max": 5, "waiting_callers_max": 9,
                      "new_runs_per_s": 0.01}  # fmt: skip
            asked = {"kind": "client", "name": "shop", "set": limits}
            ended = await shop.post(app.at("fine"), "completed")
            assert ended.status_code == 200
            await shop.post(app.at("none"), "failed", retry={"count": 0})
            for action in ("pause", "cancel"):
                later = {"count": 1, "backOff": 3_600_000, "maxBackOff": 3_600_000}
                await shop.post(app.at("none"), action, retry=later, prefer="respond-async")
                (run,) = (await shop.read(f"/runs?key={action}"))["runs"]
                assert (await shop.act(run["id"], action)).status_code == 202
            await shop.http.post("/api/v1/limits", json=asked)
            await shop.http.post("/api/v1/holds", json={"kind": "host", "name": "elsewhere"})
            for number in range(2):
                await shop.post(app.at("fine"), f"refused-{number}")

            async def copied() -> bool:
                return "lastGood" in (await shop.read("/status")).get("backup", {})

            await harness.eventually_async(copied)
            await shop.read("/status")  # counts what clients take
            return (await shop.http.get("/metrics")).text


def series(text: str) -> dict[str, dict[str, set[str]]]:
    """Each name that is told, with its labels and the values that they have."""
    found: dict[str, dict[str, set[str]]] = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        for end in OF_A_HISTOGRAM if kind == "histogram" else ("",):
            found[name + end] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            found.setdefault(name, {}).setdefault(label, set()).add(value)
    return found


def of_scraper(label: str) -> bool:
    """What Prometheus itself adds to each figure."""
    return label in ("job", "instance")


def strangers(text: str, told: dict[str, dict[str, set[str]]]) -> Iterator[str]:
    """What of an expression no scrape has: names, labels, and values of labels."""
    used = names(text)
    yield from used - told.keys()
    labels = {label for name in used for label in told.get(name, {})}
    for name, matchers in re.findall(r"(atomic_\w+)\{(.*?)\}", text):
        for label, how, value in re.findall(r'(\w+)(=~|=)"(.*?)"', matchers):
            if of_scraper(label):
                continue
            values = told.get(name, {}).get(label)
            if values is None:
                yield f"{name}{{{label}}}"
            elif not value.startswith("$"):
                yield from {*(value.split("|") if how == "=~" else [value])} - values
    for by in re.findall(r"by \((.*?)\)", text):
        yield from {it for it in re.findall(r"\w+", by) if not of_scraper(it)} - labels


@pytest.mark.system
def test_each_alarm_rings_when_it_is_time() -> None:
    """The rules are rules, each rings for an engine that is ill, and none for one that is well."""
    for arguments in (("check", "rules", RULES.name), ("test", "rules", RULES_TEST.name)):
        ended = promtool(*arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_no_alarm_is_untested() -> None:
    """Each is in the test of the rules twice: where it rings, and where it does not."""
    alarms = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    text = RULES_TEST.read_text()
    assert alarms
    for alarm in alarms:
        assert f"{{eval_time: 30m, alertname: {alarm}}}" in text, alarm
        assert re.search(rf"alertname: {alarm}\n +exp_alerts: \[", text), alarm


def test_the_page_tells_of_every_alarm() -> None:
    """The table gives the reason for each rule, and has one row whose limit is yours to choose."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = names(page.partition("| condition | because |")[2])
    assert names(RULES.read_text()) == rows - {"atomic_run_duration_seconds_bucket"}


@pytest.mark.slow
@pytest.mark.system
async def test_every_figure_that_is_asked_for_is_told(tmp_path: Path) -> None:
    """A name, a label or a value of one that is not there would be an alarm that never rings, or an
    empty panel; and Prometheus has nothing to say against what is told."""
    text = await scraped(tmp_path)
    told = series(text)
    rules = re.findall(r"expr: (?:\|\n)?(.*?)(?=\n +(?:for|labels):)", RULES.read_text(), re.DOTALL)
    assert len(rules) >= 15
    board = json.loads(BOARD.read_text())
    for expression in (*rules, *expressions(board)):
        assert [*strangers(expression, told)] == [], expression
    for panel in board["panels"]:
        for target in panel["targets"]:
            shown = {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
            its = {label for name in names(target["expr"]) for label in told[name]}
            assert shown <= its, panel["title"]
    checked = subprocess.run(
        ("promtool", "check", "metrics"), input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked


def test_what_is_not_told_would_be_found() -> None:
    """A slip in a name, in a label, in its value, and in what is summed by."""
    told = series('# TYPE atomic_a_total counter\natomic_a_total{state="paused"} 1\n')
    for right in ('atomic_a_total{state=~"paused"}', 'sum by (state) (atomic_a_total{job="$job"})'):
        assert [*strangers(right, told)] == []
    for wrong in ("atomic_b_total", 'atomic_a_total{stat="paused"}', 'atomic_a_total{state="idle"}',
                  "sum by (host) (atomic_a_total)"):  # fmt: skip
        assert [*strangers(wrong, told)] != [], wrong


@pytest.mark.system
def test_the_boards_expressions_are_prometheus_own(tmp_path: Path) -> None:
    """Each is read by Prometheus, with values in the place of Grafana's variables."""

    def rules(texts: list[str]) -> Iterator[str]:
        yield "groups: [{name: board, rules: ["
        for number, text in enumerate(texts):
            for variable, value in VALUES.items():
                text = text.replace(variable, value)
            yield f"{{record: 'board:{number}', expr: {json.dumps(text)}}},"
        yield "]}]"

    board = json.loads(BOARD.read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(texts) > 20
    file = tmp_path / "board.yaml"
    file.write_text("\n".join(rules(texts)))
    ended = promtool("check", "rules", str(file))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    file.write_text("\n".join(rules([*texts, "rate(atomic_connections_open"])))
    assert promtool("check", "rules", str(file)).returncode != 0


def test_the_board_has_one_of_each_panel() -> None:
    """Numbers and places are each panel's own, and all are of the data source that is chosen."""
    panels = json.loads(BOARD.read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
