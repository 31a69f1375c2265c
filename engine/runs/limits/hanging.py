"""Attempts that have given their places up while a post of theirs hangs, and how many may.

Each keeps its connection to its endpoint, so their number is bounded too: in all, and for a client
that has an `in_flight_max`. One beyond keeps its place until there is room, or until it is sent
home (`runs/home.py`).

One whose posts hang no more counts again, and those of one client may do so in one moment. What is
then beyond its client's limit counts for the client alone, or a few clients would fill a host with
what each of them may not have; it keeps its room here, so that what is open stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.runs.limits.concurrency import ClientCalls

OF_A_CLIENT = 4
"""A client with an `in_flight_max` may have one part of so many that hang, and of those that one
host may have: what comes back beyond its limit keeps that room, and others need some too."""


class MayHang(Protocol):
    """An attempt, and under which limit of its client it counts."""

    calls: ClientCalls | None


class Hanging:
    """How many there are, and who keeps its place for want of room among them."""

    def __init__(self, most: int, at_host: int) -> None:
        """`at_host`: as many as may be in flight at one host."""
        self.most = most
        self.of_client_max = max(1, min(most, at_host) // OF_A_CLIENT)
        self.count = 0
        self.beyond = 0
        """Beside those: they work, and count for their client alone."""
        self.kept: dict[MayHang, None] = {}
        """Whose posts hang too, and who have their places all the same; in their order."""
        self.freed: Callable[[], None] = _nobody
        """Called when there is room, and one of those may want it."""

    def has_room(self, calls: ClientCalls | None) -> bool:
        """Whether one more may, as far as its client goes too."""
        has_left = self.count + self.beyond < self.most
        return has_left and (calls is None or calls.hanging + calls.beyond < self.of_client_max)

    def is_short(self, calls: ClientCalls | None) -> bool:
        """Whether one keeps its place for want of such room."""
        return bool(self.kept) and not self.has_room(calls)

    def enter(self, calls: ClientCalls | None) -> bool:
        """One gives its place up, if there is room. True: there is."""
        if not self.has_room(calls):
            return False
        if calls is not None:
            calls.hanging += 1
        self.count += 1
        return True

    def leave(self, calls: ClientCalls | None) -> None:
        """One hangs no more, or is over."""
        self.count -= 1
        assert self.count >= 0
        if calls is not None:
            calls.hanging -= 1
        if self.kept:
            self.freed()

    def come_back(self, calls: ClientCalls) -> None:
        """One hangs no more, and works beyond the limit of its client."""
        self.count -= 1
        calls.hanging -= 1
        self.beyond += 1
        calls.beyond += 1

    def hang_again(self, calls: ClientCalls) -> None:
        """One of those hangs: it has its room."""
        self.beyond -= 1
        calls.beyond -= 1
        self.count += 1
        calls.hanging += 1

    def next(self) -> MayHang | None:
        """Who of those that kept their places may give it up now."""
        return next((each for each in self.kept if self.has_room(each.calls)), None)


def _nobody() -> None:
    pass
