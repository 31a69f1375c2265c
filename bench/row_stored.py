"""Throughput at 50 callers with finished runs in the file, against an empty file, in turn.

One result for each number of stored runs and round. The files with finished runs are made once by
loader.py and kept; they are made anew when the store or the core has changed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import load
from forms import Form, Record, say
from systems import HERE, HOME, ROOT, atomic, fresh, processes

CALLERS = 50


def load_file(path: Path, **options: Any) -> dict[str, Any]:
    """Make a file with loader.py; returns what it prints."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, HERE / "loader.py", path, *words]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def _digest() -> str:
    """Changes when a file that was loaded before may not be what the loader would make now."""
    files = sorted(
        [*ROOT.glob("engine/store/**/*.*"), *ROOT.glob("engine/core/**/*.py"), HERE / "loader.py"]
    )
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def finished_file(runs: int) -> Path:
    """A file with so many finished runs."""
    folder = HOME / "loaded"
    path = folder / f"finished-{runs}-{_digest()}.db"
    done = path.with_suffix(".json")
    if done.exists():
        return path
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"finished-{runs}-*"):
        old.unlink()
    say(f"loading {runs:,} finished runs")
    told = load_file(path, runs=runs, kind="finished")
    say(told)
    done.write_text(json.dumps(told))
    return path


def run(form: Form, record: Record) -> None:
    """A B C A B C: empty, a tenth, all."""
    files = {runs: finished_file(runs) for runs in (form.stored_runs // 10, form.stored_runs)}
    for turn in range(form.rounds):
        for runs in (0, *files):
            db = files.get(runs) or fresh("data-atomic") / "atomic.db"
            with processes() as p:
                system = atomic(p, db=db)
                time.sleep(1)
                result = load.closed_loop(
                    system, CALLERS, warm_s=form.warm_s, window_s=form.window_s
                )
            say(f"{runs:,} stored {load.line(result)}")
            size = sum(each.stat().st_size for each in db.parent.glob(f"{db.name}*"))
            record("stored", stored=runs, round=turn, file_bytes=size, **result)
