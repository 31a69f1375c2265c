"""Which figures the engine shows under /metrics, beside what `telemetry/metrics.py` counts.

Each is read from the part that has it when the page is asked for. `docs/reference/metrics.md` has a
row for each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from engine.alerts.alerts import Alerts
from engine.front.server.certificate import Certificate
from engine.front.server.server import ServerCounters
from engine.jobs.backups import Backups
from engine.jobs.retention import Pruning
from engine.ports.store import OpenStore
from engine.process.budget import Budget
from engine.registry.registry import Registry
from engine.runs.engine import Engine
from engine.telemetry.metrics import Metrics
from engine.traces.spans import Spans


def show_process(metrics: Metrics, dropped: Callable[[], int], version: str, instance: str) -> None:
    """What this process is, and how many lines its log has dropped."""
    facts = {"version": version, "instance_id": instance}  # `instance` is the scraper's own word
    metrics.info("atomic_engine", "Which engine this is", facts)
    metrics.counter("atomic_log_lines_dropped", "Log lines that could not be written", dropped)


def show_engine(metrics: Metrics, engine: Engine) -> None:
    """Runs, attempts, and who waits for what."""
    rule = engine.home.rule
    metrics.gauge("atomic_hosts_standing_still", "Hosts whose workers wait for each other",
                  lambda: rule.standing_still)  # fmt: skip
    metrics.counter("atomic_standstills", "Times that hosts came to stand still",
                    lambda: rule.stood_still)  # fmt: skip
    metrics.gauge("atomic_runs_in_memory", "Runs in memory", lambda: len(engine.memory.live))
    metrics.gauge(
        "atomic_attempts_in_flight", "Places in use", lambda: engine.places.at_hosts.in_flight
    )
    metrics.gauge("atomic_attempts_hanging", "Attempts that gave their places up to wait for steps",
                  lambda: engine.places.hanging.count)  # fmt: skip
    metrics.gauge("atomic_attempts_beyond_client_limit",
                  "Attempts that work beyond in_flight_max of their client",
                  lambda: engine.places.hanging.beyond)  # fmt: skip
    metrics.gauge("atomic_attempts_queued", "Attempts without a place",
                  lambda: engine.places.queued)  # fmt: skip
    metrics.gauges("atomic_attempts_waiting", "Attempts that could start but for a limit or a hold",
                   "waits_for", lambda: engine.waiting_for)  # fmt: skip
    metrics.gauges("atomic_holds", "What is held, and what was released and still lets go", "kind",
                   lambda: Counter(str(hold.kind) for hold in engine.holds.all))  # fmt: skip
    metrics.gauge("atomic_breakers_open", "Hosts that fail, and get one attempt a second",
                  lambda: engine.places.gates.breakers_open)  # fmt: skip
    metrics.counter("atomic_breakers_opened", "Times that a host came to fail so",
                    lambda: engine.places.gates.opened)  # fmt: skip
    metrics.counter("atomic_attempts_sent_home", "Attempts let go because they only waited",
                    lambda: engine.home.sent)  # fmt: skip
    metrics.counter("atomic_late_calls_closed", "Calls of cancelled steps, closed for others",
                    lambda: engine.shared.late.closed)  # fmt: skip
    metrics.gauge("atomic_runs_under_way", "Runs with a request open, or without a place for one",
                  lambda: engine.shared.under_way)  # fmt: skip
    metrics.gauge("atomic_new_runs_waiting", "Posts that wait for their turn to open a run",
                  lambda: len(engine.admission))  # fmt: skip
    metrics.counter("atomic_new_runs_refused", "Posts refused because the wait would be too long",
                    lambda: engine.admission.refused)  # fmt: skip
    metrics.counters("atomic_new_runs_limited", "Posts refused by a limit of their client",
                     "client", lambda: engine.new_runs.refused)  # fmt: skip
    _show_clients(metrics, engine)
    metrics.gauge("atomic_store_full", "Whether no run is opened, for store_bytes_max",
                  lambda: engine.shared.store_room.is_full)  # fmt: skip
    metrics.gauge("atomic_store_filling", "Whether 80 % of store_bytes_max are in use",
                  lambda: engine.shared.store_room.is_filling)  # fmt: skip
    _show_memory(metrics, engine.budget)


def _show_clients(metrics: Metrics, engine: Engine) -> None:
    """What clients take of limits of their own: those of them that have one."""
    metrics.gauges("atomic_client_calls_in_flight", "Calls of clients with in_flight_max",
                   "client", lambda: engine.places.limited.by_client)  # fmt: skip
    metrics.gauges("atomic_client_open_runs", "Open runs of clients with open_runs_max",
                   "client", lambda: dict(engine.new_runs.open))  # fmt: skip
    metrics.gauges("atomic_client_waiting_callers", "Callers of clients with waiting_callers_max",
                   "client", lambda: dict(engine.new_runs.waiting))  # fmt: skip


def _show_memory(metrics: Metrics, budget: Budget) -> None:
    metrics.gauges("atomic_memory_bytes", "Bytes that count against memory_bytes_max", "kind",
                   lambda: {kind: pool.used for kind, pool in budget.pools.items()})  # fmt: skip
    metrics.gauges("atomic_memory_waiting", "Who waits for room in memory", "kind",
                   lambda: {kind: pool.waiting for kind, pool in budget.pools.items()})  # fmt: skip
    metrics.counter("atomic_memory_refused", "Posts refused for want of room in memory",
                    lambda: budget.refused)  # fmt: skip


def show_store(metrics: Metrics, store: OpenStore) -> None:
    """The record: whether it can be written, and what waits for that."""
    store.tell_commits(metrics.commits.add)
    metrics.gauge("atomic_store_available", "Whether the store can be written",
                  lambda: store.away is None)  # fmt: skip
    metrics.gauge("atomic_store_bytes", "Size of the database's file", lambda: store.file_bytes)
    metrics.gauge("atomic_store_log_bytes", "Size of the write-ahead log", lambda: store.log_bytes)
    metrics.gauge("atomic_events_waiting", "Events that wait for a commit", lambda: store.backlog)
    metrics.gauge("atomic_event_sequence", "Number of the last event, of the file",
                  lambda: store.last_seq)  # fmt: skip


def show_backups(metrics: Metrics, backups: Backups) -> None:
    """Copies of the record."""

    def good_at() -> float:
        return (backups.made_at(backups.good) or 0) / 1000

    def every_s() -> float:
        return math.inf if backups.every_ms is None else backups.every_ms / 1000

    metrics.gauge("atomic_backup_end_seconds", "When the last good backup was made", good_at)
    metrics.gauge("atomic_backup_interval_seconds", "How often one is made by itself", every_s)
    metrics.gauge("atomic_backup_bytes", "Size of the last good backup",
                  lambda: 0 if backups.good is None else backups.good.size)  # fmt: skip
    metrics.gauge("atomic_backup_under_way", "Whether one is being made",
                  lambda: backups.under_way is not None)  # fmt: skip
    metrics.counter("atomic_backups_failed", "Backups that failed", lambda: backups.failed)


def show_server(
    metrics: Metrics, counters: ServerCounters, certificate: Certificate | None
) -> None:
    """Connections, and what came over them that was no request."""

    def ends_at() -> float:
        return math.inf if certificate is None else certificate.ends_at or math.inf

    metrics.gauge("atomic_certificate_end_seconds", "When the certificate ends", ends_at)
    metrics.gauge("atomic_connections_open", "Connections open", lambda: counters.connections_open)
    metrics.counter("atomic_connections", "Connections taken", lambda: counters.connections)
    metrics.counter("atomic_connections_refused", "Connections above connections_max",
                    lambda: counters.connections_refused)  # fmt: skip
    metrics.counter("atomic_accepts_failed", "Connections for which the system had no descriptor",
                    lambda: counters.accepts_failed)  # fmt: skip
    metrics.counter("atomic_tls_failures", "Connections without a handshake, or that TLS has ended",
                    lambda: counters.tls_failures)  # fmt: skip
    metrics.counter("atomic_http_requests_refused", "Requests refused before they were read",
                    lambda: counters.requests_refused)  # fmt: skip


def show_pruning(metrics: Metrics, pruning: Pruning) -> None:
    """What retention removed."""
    metrics.counter("atomic_runs_expired", "Runs removed, as they ended longer ago than they are"
                    " kept", lambda: pruning.runs_expired)  # fmt: skip
    metrics.counter("atomic_keys_forgotten", "Keys of such runs that were forgotten",
                    lambda: pruning.keys_forgotten)  # fmt: skip


def show_alerts(metrics: Metrics, alerts: Alerts | None) -> None:
    """What somebody was told, and what came of that; where nobody is, nothing."""
    metrics.counters("atomic_alerts_sent", "Alerts recorded, to be sent", "rule",
                     lambda: {} if alerts is None else dict(alerts.sent))  # fmt: skip
    metrics.counter("atomic_alerts_delivered", "Alerts that the receiver took",
                    lambda: 0 if alerts is None else alerts.delivered)  # fmt: skip
    metrics.counter("atomic_alerts_failed", "Alerts that it did not take within a day",
                    lambda: 0 if alerts is None else alerts.failed)  # fmt: skip
    metrics.gauge("atomic_alerts_held_back", "Alerts that wait for room within the hour",
                  lambda: 0 if alerts is None else alerts.held_back)  # fmt: skip


def show_registry(metrics: Metrics, registry: Registry) -> None:
    """Files that define clients and tokens."""
    metrics.gauge("atomic_bad_files", "Files that cannot be used as they are, so that what they"
                  " said before holds", lambda: len(registry.bad_files))  # fmt: skip


def show_traces(metrics: Metrics, spans: Spans) -> None:
    """How spans do on their way to the collector; with them come exemplars."""
    spans.exemplify = metrics.exemplify
    metrics.counter("atomic_spans_sent", "Spans that the collector took", lambda: spans.sent)
    metrics.counter("atomic_spans_dropped", "Spans that it did not take, or not in time",
                    lambda: spans.dropped)  # fmt: skip
