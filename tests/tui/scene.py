"""A store with something of everything in it, for tests of what is shown."""

from __future__ import annotations

from typing import Any

from engine.core.text.times import rfc3339
from engine.wire import BulkAnswer, CauseList, CauseRow, RetryPage, RunRow
from tests.tui.support import (
    NOW,
    RUN,
    FakeClock,
    attempt_row,
    event,
    page,
    retry_row,
    run_row,
    status_read,
    step_at,
    step_row,
    store_at,
    tree_read,
)
from tui.data.inputs import CausesRead, JobsRead, RetriesRead, RunsRead
from tui.data.listing import Edge
from tui.data.store import Store

SHIP = f"{RUN}-ship"


def ago(seconds: float) -> str:
    return rfc3339(NOW - round(seconds * 1000))


def runs() -> list[RunRow]:
    """A run in each state, and one of a later engine."""
    due = rfc3339(NOW + 29_000)
    late = rfc3339(NOW - 3_000)
    backing_off = step_at("backing-off", due_at=due, http_status=503, error="http-status")
    timed_out = step_at(
        "backing-off", name="push_erp", url="http://erp.internal:8080/x", due_at=late, attempts=7,
        failures=7, error="attempt-timeout: nothing within 30 s",
    )  # fmt: skip
    settle = step_at("running", name="settle", attempts=1, failures=0, started_at=ago(29))
    more: list[tuple[str, str, float, dict[str, Any]]] = [
        ("backing-off", "webhook.fanout", 62, {"at": backing_off}),
        ("backing-off", "report.daily", 4_983, {"at": timed_out}),
        ("running", "invoice.sync", 78, {"at": settle}),
        ("waiting", "invoice.sync", 107, {"at": step_at("waiting", name="notify")}),
        ("paused", "kyc.check", 200, {"at": step_at("paused", name="reserve_stock")}),
        ("pending", "order.fulfil", 0, {}),
        ("failed", "order.fulfil", 183, {"at": step_at("failed", http_status=402)}),
        ("completed", "order.fulfil", 7_400, {}),
        ("cancelled", "order.fulfil", 400_000, {}),
        ("teleported", "注文処理ワークフロー", 5, {}),
    ]
    return [
        run_row(f"01kaq3x0c4gq2mfz{number:010}", status, workflow_name=name, submitted_at=ago(age),
                **members)
        for number, (status, name, age, members) in enumerate(more)
    ]  # fmt: skip


def fan_out() -> Any:
    """A run with an attempt of each kind, back-off, a failed step, and one that waits."""
    first = attempt_row(1, "interruption", 0, 3_000, delay_ms=0, delay_by="interrupted")
    second = attempt_row(2, "interruption", 3_500, 13_000)
    charge = [
        attempt_row(1, "failure", 4_000, 6_000, http_status=503, error="http-status",
                    delay_ms=2_000, delay_by="policy"),
        attempt_row(2, "success", 8_000, 12_000, http_status=200),
    ]  # fmt: skip
    ship = [
        attempt_row(1, "failure", 13_000, 15_000, error="connection-refused: no",
                    delay_ms=2_000, delay_by="policy"),
        attempt_row(2, "failure", 17_000, 26_000, http_status=503, error="http-status",
                    delay_ms=14_000, delay_by="retry-after"),
    ]  # fmt: skip
    failed = [attempt_row(1, "failure", 13_000, 20_000, http_status=402, error="http-status")]
    return tree_read(
        step_row("fulfil", "waiting", attempts=[first, second]),
        step_row("charge_card", "completed", parent=RUN, attempts=charge, at=4_000, ended=12_000),
        step_row("ship", "backing-off", parent=RUN, attempts=ship, at=13_000, due=40_000,
                 delay_ms=14_000, delay_by="retry-after", http_status=503, error="http-status"),
        step_row("label", "failed", parent=SHIP, attempts=failed, at=13_000, ended=20_000,
                 http_status=402, error="http-status"),
        step_row("notify", "pending", parent=RUN, at=26_000),
        submitted_at=rfc3339(NOW), status="backing-off",
    )  # fmt: skip


def scene(clock: FakeClock | None = None) -> Store:
    """All of it."""
    clock = clock or FakeClock()
    store = store_at(clock)
    minutes = [[0, 0], [9, 9], [9, 8], [9, 5], [9, 1], [9, 0], [9, 9], [9, 9]]
    results = {"2xx": [ok for _, ok in minutes], "5xx": [ended - ok for ended, ok in minutes]}
    hosts = [
        {"host": "api.stripe.com", "ended": 3_296, "succeeded": 3_290, "p95Ms": 210,
         "byMinute": [[1, 1]] * 8, "inFlight": 3, "queued": 0},
        {"host": "erp.internal:8080", "ended": 63, "succeeded": 41, "p95Ms": 9_000,
         "byMinute": minutes, "inFlight": 0, "queued": 1_097, "results": results},
        {"host": "kyc.vendor.eu", "ended": 3, "succeeded": 3, "p95Ms": None,
         "byMinute": [[0, 0]] * 8, "inFlight": 0, "queued": 0},
    ]  # fmt: skip
    store.apply(status_read(NOW, clock, hosts=hosts))
    store.apply(RunsRead("runs", Edge.HEAD, page(*runs())))
    retries = (
        retry_row(f"{RUN}-a", -3_000, error="http-status", http_status=500, delay_by="policy"),
        retry_row(f"{RUN}-b", 0, delay_by="operator"),
        retry_row(f"{RUN}-c", 898_000, failures=7, error="tls-failed: expired"),
    )
    store.apply(RetriesRead("retries", RetryPage(retries)))
    stuck = step_at("failed", name="charge_card", http_status=402, error="http-status")
    causes = (
        CauseRow("a91c55e1", 1_231, 12, ago(9_000), ago(12), RUN, "order.fulfil", "failed", stuck),
        CauseRow("0b1c", 3, 0, ago(9_000), ago(4_000), RUN, "kyc.check", "paused", None),
    )
    store.apply(CausesRead(CauseList(causes, 1_234, 300_000)))
    skipped = {"already running": 9, "cancelled": 3}
    job = BulkAnswer("j1", "running", "retry", "is:stuck cause:a91c", 231, 219, 40, skipped, 20,
                     started_at=ago(5))  # fmt: skip
    store.apply(JobsRead((job,)))
    store.apply(fan_out())
    spec = {"name": "notify", "workflow": "order.fulfil", "url": "http://app/notify"}
    ended = {"number": 3, "countsAs": "failure", "error": "http-status", "httpStatus": 503}
    for read in (
        event("accepted", 1, "pending", "s-9", seq=1, parentId=RUN, spec=spec),
        event("started", 1, "running", SHIP, seq=2, at=100, number=3),
        event("attempt-ended", 1, "backing-off", SHIP, seq=3, at=4_100, delayMs=8_000, **ended),
        event("acted", 1, "backing-off", SHIP, seq=4, at=5_000, action="retry", actor="ana",
              reason="the vendor is back"),
        event("run-moved", 1, "running", seq=5, at=5_001),
    ):  # fmt: skip
        store.apply(read)
    return store
