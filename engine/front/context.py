"""What every route needs: the engine, what it reads, its limits and names."""

from __future__ import annotations

from msgspec import Struct

from engine.clock import Clock
from engine.config import Config
from engine.front.access import Access
from engine.front.dear import Dear
from engine.jobs.bulk import Bulk
from engine.metrics import Metrics
from engine.ports.views import Views
from engine.supervisor import Engine
from engine.telemetry import Log


class Front(Struct, frozen=True):
    """Made once by the composition root."""

    engine: Engine
    views: Views
    clock: Clock
    config: Config
    access: Access
    metrics: Metrics
    log: Log
    bulk: Bulk
    dear: Dear
    file_id: str
    instance: str
    version: str
    started_at: int
    durability: dict[str, str | int]
