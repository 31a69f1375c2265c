"""A board as text, once: for scripts, logs and screen readers. Imports no screen."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from engine.client import Client
from engine.wire import Status
from tui.boards import cells as boards
from tui.boards.cells import Cell, text_of
from tui.boards.rows import GRIDS, BoardRows
from tui.data.clock import Clock
from tui.data.inputs import (
    CausesRead,
    JobsRead,
    LinkMoved,
    LinkState,
    RetriesRead,
    RunsRead,
    StatusRead,
)
from tui.data.listing import Edge
from tui.data.store import Store
from tui.keys import BOARDS
from tui.text.sanitize import fit

ROWS_MAX = 200
NOTHING: Cell = ("", "plain")
BOARDS_ONCE = tuple(board for board in BOARDS if board not in ("home", "events"))
"""Events come one by one: they are no board that can be read. What home tells `atomic status` and
`atomic causes` print."""


class Snapshot(Struct, frozen=True):
    """A board and the engine's status, as the engine answered them."""

    status: Status
    board: str
    rows: Any


def read(client: Client, clock: Clock, board: str, q: str) -> tuple[Store, Snapshot]:
    """Ask the engine. Raises AtomicError."""
    store = Store(clock)
    store.apply(LinkMoved(LinkState.LIVE))
    sent = clock.monotonic()
    status = client.operate.status()
    store.apply(StatusRead(status, sent, clock.monotonic()))
    rows: Any = status.hosts or ()
    match board:
        case "runs":
            rows = client.operate.run_page(filter=q or None, limit=ROWS_MAX)
            store.apply(RunsRead(board, Edge.HEAD, rows))
        case "retries":
            rows = client.operate.retry_page(filter=q or None, limit=ROWS_MAX)
            store.apply(RetriesRead(board, rows))
        case "causes":
            rows = client.operate.causes()
            store.apply(CausesRead(rows))
        case "jobs":
            rows = client.operate.bulk_jobs()
            store.apply(JobsRead(rows))
        case _:
            pass
    return store, Snapshot(status, board, rows)


def lines(store: Store, board: str, width: int) -> list[str]:
    """The head, and a line for each row."""
    rows = BoardRows(store)
    rows.seen_now()
    sized = boards.layout(GRIDS[board], width)
    shown = [" ".join(fit(column.title, cells, right=column.right) for column, cells in sized)]
    for row_id in rows.ids(board):
        cells = rows.cells(board, row_id) or {}
        texts = (
            fit(
                text_of(cells.get(column.key, NOTHING)),
                wide,
                right=column.right,
                middle=column.middle,
            )
            for column, wide in sized
        )
        shown.append(" ".join(texts))
    return [line.rstrip() for line in shown]
