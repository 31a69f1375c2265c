"""What the package is made of: its bill of materials, and whether anything of it is known as bad.

`just audit` asks an advisory service over the network. It fails if anything is known of a pinned
version, and also if a version was not asked about: an audit of nothing finds nothing.
`just sbom` writes what the image installs as CycloneDX, offline.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = tuple(
    ROOT / it for it in ("requirements.lock", "deploy/requirements.lock", "deploy/build.lock")
)
SBOM = ROOT / "dist" / "sbom.json"


def pinned(lock: Path) -> set[str]:
    """The packages of a lock file, by name and version."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\;]+)", lock.read_text(), re.MULTILINE)
    return {f"{_plain(name)} {version}" for name, version in found}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def ran(program: str, package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a program said; ends the process where there is no such program."""
    if shutil.which(program) is None:
        sys.exit(f"{program} is not installed: pip install {package}")
    return subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True, check=False)


def audit() -> int:
    """How many packages were asked about. Ends the process for a finding, or for a gap."""
    wanted = set().union(*map(pinned, LOCKS))
    files = [part for lock in LOCKS for part in ("-r", str(lock))]
    done = ran("pip-audit", "pip-audit", "--strict", "--disable-pip", "--format=json", *files)
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.exit(f"pip-audit gave no report (exit code {done.returncode}).")
    asked = {f"{_plain(it['name'])} {it['version']}" for it in told if "vulns" in it}
    if missing := sorted(wanted - asked):
        sys.exit(f"{len(asked)} of {len(wanted)} were audited; not {', '.join(missing[:9])}.")
    bad = [(it, each) for it in told for each in it.get("vulns", ())]
    for it, each in bad:
        fixed = ", ".join(each.get("fix_versions", ())) or "no version"
        print(f"{it['name']} {it['version']}: {each['id']}; fixed in {fixed}")
    if bad or done.returncode:
        sys.exit(f"{len(bad)} advisories (exit code {done.returncode}).")
    return len(asked)


def sbom() -> int:
    """How many components were written. Ends the process if one of the lock file is missing."""
    SBOM.parent.mkdir(exist_ok=True)
    of_image = LOCKS[1]
    done = ran(
        "cyclonedx-py", "cyclonedx-bom", "requirements", str(of_image),
        f"--pyproject={ROOT / 'pyproject.toml'}", "--output-reproducible", f"-o={SBOM}",
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"cyclonedx-py failed (exit code {done.returncode}).")
    parts = json.loads(SBOM.read_text())["components"]
    if missing := pinned(of_image) - {f"{_plain(it['name'])} {it['version']}" for it in parts}:
        sys.exit(f"not in the bill of materials: {', '.join(sorted(missing))}")
    return len(parts)


if __name__ == "__main__":
    if sys.argv[1:] == ["audit"]:
        print(f"{audit()} packages audited, nothing known of them.")
    elif sys.argv[1:] == ["sbom"]:
        print(f"{sbom()} components in {SBOM.relative_to(ROOT)}")
    else:
        sys.exit("audit, or sbom")
