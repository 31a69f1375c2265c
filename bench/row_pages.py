"""createUser with no page of `/ui` open, and with ten (watchers.py).

One result for each number of pages, of callers and round: what the load generator prints, with `pages`.
What the pages' reader takes of the machine is in `other_cores`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import load
from forms import Form, Record, say
from systems import HERE, atomic, processes

CALLERS = (1, 50)
PAGES = (0, 10)


def run(form: Form, record: Record) -> None:
    """Round by round, with and without in turn, so that a machine that slows down slows both."""
    for turn in range(form.rounds):
        for pages in PAGES:
            with processes() as p:
                system = atomic(p)
                time.sleep(1)
                for callers in CALLERS:
                    with opened(system.port, pages):
                        result = load.closed_loop(
                            system, callers, warm_s=form.warm_s, window_s=form.window_s
                        )
                    say(f"{pages} pages {load.line(result)}")
                    record("pages", pages=pages, round=turn, **result)


@contextmanager
def opened(port: int, pages: int) -> Iterator[None]:
    """So many are open meanwhile: none, or all there are."""
    if not pages:
        yield
        return
    command = (sys.executable, str(HERE / "watchers.py"), str(port))
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        try:
            told = reader.stdout.readline()
            assert told == f"{pages} pages are open\n", told
            yield
            assert reader.poll() is None, "the pages were closed meanwhile"
        finally:
            reader.terminate()
