"""Clients of which one has limits."""

from __future__ import annotations

from engine.core.access.client import Client, ClientLimits


class Limited:
    """`shop` has limits, `bank` has none, and nobody else is defined."""

    def __init__(self, limits: ClientLimits) -> None:
        self.clients = {"shop": Client("shop", limits=limits), "bank": Client("bank")}
        self.limits = {"shop": limits}
