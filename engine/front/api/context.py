"""What every route needs: the engine, what it reads, its limits and names."""

from __future__ import annotations

from msgspec import Struct

from engine.alerts.alerts import Alerts
from engine.front.access.gate import Gate
from engine.front.access.listeners import Listeners
from engine.front.access.places import Places
from engine.front.access.proxies import Proxies
from engine.front.admin.doctor import Examined
from engine.front.show.digests import Digests
from engine.jobs.backups import Backups
from engine.jobs.bulk import Bulk
from engine.jobs.retention import Pruning
from engine.ports.views import Views
from engine.process.clock import Clock
from engine.process.config import Config
from engine.process.costly import CostlyWork
from engine.registry.audit import Audit
from engine.registry.causes import SaidOfCauses
from engine.registry.changes import Changes
from engine.registry.limits import SetLimits
from engine.registry.logins import Logins
from engine.registry.registry import Registry
from engine.runs.engine import Engine
from engine.telemetry.log import Log
from engine.telemetry.metrics import Metrics
from engine.wire.routes import UI


class Front(Struct, frozen=True):
    """Made once by the composition root."""

    engine: Engine
    views: Views
    registry: Registry
    said_of_causes: SaidOfCauses
    audit: Audit
    changes: Changes
    logins: Logins
    limits: SetLimits
    clock: Clock
    config: Config
    gate: Gate
    proxies: Proxies
    places: Places
    listeners: Listeners
    digests: Digests
    metrics: Metrics
    log: Log
    bulk: Bulk
    pruning: Pruning
    backups: Backups
    alerts: Alerts | None
    """None: nobody is told anything."""
    costly: CostlyWork
    file_id: str
    instance: str
    version: str
    started_at: int
    durability: dict[str, str | int]
    """As it was read at the start."""
    examined: Examined


def pages_url(config: Config) -> str | None:
    """What the addresses of pages begin with, as people reach them; None: that is not known
    (`public_url`), or there are no pages."""
    if config.public_url is None or not config.ui:
        return None
    return config.public_url.rstrip("/") + UI.path
