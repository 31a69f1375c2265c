"""The pictures of the pages show the dashboard as it is."""

from __future__ import annotations

import re

import pytest

from docs.pictures import make, plans, shop
from tui.data import record
from tui.data.model import State

MEND = "`just pictures` draws them anew"
RECORDING_BYTES_MAX, PICTURE_BYTES_MAX = 150_000, 68_000


def test_the_recording_is_of_this_dashboard() -> None:
    """Made anew it is the same, byte for byte, and small; each line of it can be read."""
    kept = shop.FILE.read_bytes()
    assert kept == shop.recording(), f"{shop.FILE.name} is old: {MEND}"
    assert len(kept) <= RECORDING_BYTES_MAX
    assert len(list(record.read(kept.splitlines()))) > 100


def test_the_shop_makes_sense() -> None:
    """Played, it has a run in each state, and its events fit the lists that were read."""
    store = make.replayed(shop.recording())
    states = {run.state for run in store.runs.values()}
    assert states == set(State) - {State.UNKNOWN, State.PENDING}
    (tree,) = store.trees.values()
    assert not tree.outdated
    assert not store.stale
    assert store.link.unreadable == 0
    read = {step.id: step for run in map(shop.Run, plans.PLANS) for step in run.steps}
    for step in tree.steps.values():
        assert (step.state, step.rev) == (
            read[step.id].state(plans.LAST_S),
            read[step.id].rev(plans.LAST_S),
        )


@pytest.mark.slow
def test_the_pictures_are_of_this_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn anew they are the same: who changes what is seen changes what the pages show."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    drawn = make.pictures(shop.FILE.read_bytes())
    assert {path.name for path in make.HERE.glob("*.svg")} == set(drawn)
    old = [name for name, svg in drawn.items() if (make.HERE / name).read_text() != svg]
    assert old == [], f"these pictures are old: {MEND}"


@pytest.mark.parametrize("name", [picture.name for picture in make.PICTURES])
def test_a_picture_stands_alone(name: str) -> None:
    """It is small, and whoever looks at it asks no other host for anything."""
    svg = (make.HERE / f"{name}.svg").read_text()
    assert len(svg.encode()) <= PICTURE_BYTES_MAX
    assert set(re.findall(r"url\((?!#)[^)]*\)|@import|<!--|href", svg)) == set()
    hosts = set(re.findall(r"https?://([\w.-]+)", svg)) - {"www.w3.org"}
    assert [host for host in hosts if not host.endswith(".example")] == []


def test_the_picture_of_home_has_a_row_of_each_kind() -> None:
    """But of what is held: in the shop nothing is."""
    svg = (make.HERE / "home.svg").read_text()
    kinds = ("STUCK", "HOSTS", "DUE", "RUNNING", "TRIES")
    assert [kind for kind in kinds if f">{kind}" not in svg] == []
