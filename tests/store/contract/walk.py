"""What an engine does with its store, drawn at random, while its database has troubles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from random import Random

import trio

from engine.core.model import Run
from engine.store.tables.reading import run_counts
from engine.store.tables.store import TableStore
from tests.store.contract.adapters import Shared, Trouble, as_recorded, told
from tests.store.support import answered, new_run, started

ON_THE_WAY = [Trouble.LOST, Trouble.UNANSWERED, Trouble.LATE]


async def walk(
    store: TableStore,
    shared: Shared,
    rng: Random,
    troubles: Sequence[Callable[[], None]],
    *,
    steps: int = 60,
    waits_s: Sequence[float] = (0, 0, 0.01, 0.6, 1.5),
) -> None:
    """Some writes and reads. No event is lost or there twice, and rows and counts are what events
    come to. `troubles`: what becomes of the server."""
    runs: dict[str, Run] = {}
    open_runs: list[Run] = []
    at = count(1)
    for number in range(steps):
        match rng.randrange(12):
            case 0 | 1 | 2:
                run, write = new_run(str(number))
                runs[run.id] = run
                open_runs.append(run)
                store.write(write)
            case 3 | 4 if open_runs:
                run = rng.choice(open_runs)
                store.write(answered(run, next(at)) if run.flights else started(run, next(at)))
                if run.root.ended:
                    open_runs.remove(run)
            case 5 if runs:
                await store.writer.wait_rows(rng.choice(list(runs)))
            case 6:
                await store.writer.wait_rows()
            case 7:
                shared.to_come.append(rng.choice(ON_THE_WAY))
            case 8 | 9:
                rng.choice(troubles)()
            case 10:
                await shared.bring_late()
            case _:
                await trio.sleep(rng.choice(waits_s))
    shared.to_come.clear()
    await store.write(new_run("last")[1]).wait()
    await store.writer.wait_rows()
    for run_id, run in runs.items():
        (found,) = await store.load_runs([run_id], 0)
        assert as_recorded(found) == as_recorded(run)
    assert await store.readers.read(run_counts) == counted(store)
    assert [seq for seq, _ in await told(store)] == list(range(1, store.last_seq + 1))


def counted(store: TableStore) -> dict[str, int]:
    """Runs by state, as memory counts them."""
    return {state: runs for state, runs in store.writer.run_counts.items() if runs}
