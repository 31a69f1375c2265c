"""The systemd unit: systemd's own opinion of it, and the page that shows it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "atomic.service"
EXPOSURE_MAX = 20
"""Tenths of systemd's figure, of 100. What is left is the network, which it is for."""


def systemd_analyze(*arguments: str) -> None:
    """Fails with what it says."""
    ended = subprocess.run(
        ("systemd-analyze", *arguments), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.system
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """No unknown directive, no value that it would ignore; the sandbox is as tight as it says."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/atomic/bin/atomic", "/bin/true"))
    systemd_analyze("verify", str(unit))
    systemd_analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit))


@pytest.mark.system
def test_a_slip_in_the_unit_is_found(tmp_path: Path) -> None:
    """Else the test above proved nothing."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/atomic/bin/atomic", "atomic"))
    with pytest.raises(AssertionError, match="atomic"):
        systemd_analyze("verify", str(unit))
    with pytest.raises(AssertionError):
        systemd_analyze("security", "--offline=true", "--threshold=5", str(UNIT))


def test_the_page_shows_the_unit() -> None:
    """Who copies it from the page has the one that was checked."""
    page = (ROOT / "docs" / "how-to" / "run-as-a-service.md").read_text()
    assert f"```ini\n{UNIT.read_text()}```\n" in page
