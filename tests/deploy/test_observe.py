"""Alarms and the board: promtool's opinion of the rules, and every figure in them is told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
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


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that a scraper of an engine sees."""
    with harness.running(tmp_path_factory.mktemp("engine"), **harness.SETTINGS) as engine:
        text = httpx.get(f"{engine.url}/metrics").text
    assert text.startswith("# HELP")
    found = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        found |= {name + end for end in OF_A_HISTOGRAM} if kind == "histogram" else {name}
    return found


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
def test_every_figure_that_is_asked_for_is_told(told: set[str]) -> None:
    """A name that is not there would be an alarm that never rings, and an empty panel."""
    board = json.loads(BOARD.read_text())
    asked = names(RULES.read_text()) | names("\n".join(expressions(board)))
    assert asked - told == set()
    assert names("rate(atomic_steps_record_total[5m])") - told  # a slip would be found


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
