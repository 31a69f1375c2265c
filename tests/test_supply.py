"""What is installed: pinned by hash, above the versions with known faults, and told of in full."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "deploy/requirements.lock", "deploy/build.lock")
FLOORS = {
    "h11": "0.16.0",  # CVE-2025-43859: chunked bodies read loosely, so requests smuggled
    "h2": "4.4.1",  # CVE-2025-57804, CVE-2026-71554: line ends in headers, two Hosts
    "hpack": "4.2.0",
    "werkzeug": "3.1.6",  # CVE-2024-49767 and later ones
    "flask": "3.1.3",  # CVE-2026-27205
    "jinja2": "3.1.6",  # CVE-2025-27516
    "idna": "3.7",  # CVE-2024-3651
    "quart": "0.20",
    "hypercorn": "0.18",
    "trio": "0.32",
    "textual": "8.2.8",
}
"""The lowest versions that may be installed, with what is known of those below."""


def pinned(lock: str) -> dict[str, tuple[Version, str]]:
    """The version of each package of a lock file, and the lines that pin it."""
    text = (ROOT / lock).read_text()
    found = re.finditer(r"^(\w[\w.-]*)==(\S+)(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    return {it[1].lower(): (Version(it[2]), it[3]) for it in found}


@pytest.mark.parametrize("lock", LOCKS[:2])
def test_no_package_is_below_its_floor(lock: str) -> None:
    """Also those that others bring along; and whoever installs by `pyproject.toml` gets none of
    these either, where we ask for the package ourselves."""
    found = pinned(lock)
    for name, floor in FLOORS.items():
        assert name in found, name
        assert found[name][0] >= Version(floor), name
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in map(Requirement, asked):
        assert any(it.operator == ">=" for it in requirement.specifier), f"{requirement}: no floor"
        if requirement.name in FLOORS:
            lowest = [it.version for it in requirement.specifier if it.operator == ">="]
            assert Version(FLOORS[requirement.name]) <= Version(lowest[0]), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_hash(lock: str) -> None:
    """And comes from wherever the installing machine has its packages: no address stands there."""
    lines = [it for it in (ROOT / lock).read_text().splitlines() if it and it[0] not in " #"]
    found = pinned(lock)
    assert len(found) == len(lines) > (5 if lock == "deploy/build.lock" else 40)
    for name, (_, how) in found.items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", how), name
        assert "://" not in how
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "--require-hashes" in dockerfile
    assert "--only-binary" in dockerfile


# -- the recipes, with stand-ins for the programs that they call ---------------------------------


def supply(what: str, directory: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """The recipe, with these programs on the path and no others."""
    for name, source in programs.items():
        path = directory / name.replace("_", "-")
        path.write_text(f"#!{sys.executable}\n{source}")
        path.chmod(0o700)
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "supply.py", what],
        env={**os.environ, "PATH": str(directory)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def report(**more: Any) -> str:
    """A program that audits all that is pinned, with something else for some."""
    told = [
        {"name": name, "version": str(version), "vulns": []} | more.get(name, {})
        for lock in LOCKS
        for name, (version, _) in pinned(lock).items()
    ]
    kept = [it for it in told if it.pop("kept", True)]
    return f"print({json.dumps(json.dumps({'dependencies': kept}))})"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("print('{\"dependencies\": []}')", "0 of "),
        ("import sys; sys.exit('no network')", "gave no report (exit code 1)"),
        (report(h11={"kept": False}), "not h11 "),
        (
            report(h11={"vulns": [{"id": "X-1", "fix_versions": ["9"]}]}),
            " advisories (exit code 0)",
        ),
        (f"{report()}\nimport sys; sys.exit(1)", "0 advisories (exit code 1)"),
    ],
    ids=["nothing", "no network", "one left out", "one bad", "it failed"],
)
def test_an_audit_of_less_than_all_fails(program: str, says: str, tmp_path: Path) -> None:
    """Of nothing, of all but one, without a network; and of course for a finding."""
    done = supply("audit", tmp_path, pip_audit=program)
    assert done.returncode == 1
    assert says in done.stderr


def test_an_audit_of_all_says_of_how_many(tmp_path: Path) -> None:
    """And a program that is not there is told with what brings it."""
    done = supply("audit", tmp_path, pip_audit=report())
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d{2,3} packages audited, nothing known of them\.\n", done.stdout)
    (tmp_path / "pip-audit").unlink()
    for what, package in (("audit", "pip-audit"), ("sbom", "cyclonedx-bom")):
        done = supply(what, tmp_path)
        assert done.returncode == 1
        assert f"pip install {package}" in done.stderr


@pytest.mark.parametrize("left_out", [0, 1])
def test_a_bill_of_materials_is_whole(left_out: int, tmp_path: Path) -> None:
    """Each package of the image is a component, or it is refused."""
    parts = [
        {"name": name, "version": str(version)}
        for name, (version, _) in pinned("deploy/requirements.lock").items()
    ]
    written = json.dumps({"components": parts[left_out:]})
    source = f"import sys; open(sys.argv[-1][3:], 'w').write({written!r})"
    done = supply("sbom", tmp_path, cyclonedx_py=source)
    assert done.returncode == left_out, done.stderr
    if left_out:
        assert f"not in the bill of materials: {parts[0]['name']} " in done.stderr
