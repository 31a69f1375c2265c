"""`python -m tests.mutants [NAME …]`: plant each bug of the catalog; 1 if one is not found."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.mutants.catalog import KILLS, PROPERTY, SIMULATION, catalog
from tests.mutants.search import SEEDS_MAX, Found, end_with_parent, look


def results(searches: list[tuple[str, str]], seeds_max: int, jobs: int) -> Iterator[Found]:
    """Make these searches; each result as it comes."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=fresh, max_tasks_per_child=1, initializer=end_with_parent
    ) as pool:
        for future in as_completed([pool.submit(look, *each, seeds_max) for each in searches]):
            yield future.result()


def main(arguments: list[str] | None = None) -> int:
    """Search for the bugs asked for, print a table."""
    known = catalog()
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--by", choices=(SIMULATION, KILLS, PROPERTY), help="only this way")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="at most so many for each")
    parser.add_argument("--jobs", type=int, default=1, help="so many at once")
    parser.add_argument("--list", action="store_true", help="say what there is, plant nothing")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; --list says what there is")
    chosen = [known[name] for name in asked.names or known]
    if asked.list:
        for mutant in chosen:
            print(f"{mutant.name:<36} {', '.join(mutant.by):<20} {mutant.what}")
        return 0
    searches = [(m.name, by) for m in chosen for by in m.by if asked.by in (None, by)]
    print(
        f"{'planted':<36} {'by':<10} {'found after':>14} {'seconds':>8}  what was seen", flush=True
    )
    survived = []
    for found in results(searches, asked.seeds, asked.jobs):
        after = found.after if found.found else f"NOT: {found.after}"
        print(f"{found.name:<36} {found.by:<10} {after:>14} {found.seconds:>8.1f}  {found.what}",
              flush=True)  # fmt: skip
        survived += [] if found.found else [f"{found.name} ({found.by})"]
    print(f"{len(searches) - len(survived)} of {len(searches)} found")
    if survived:
        print(f"not found: {', '.join(survived)}")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
