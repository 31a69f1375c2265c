"""What the shop of the pictures does: its runs, hosts, bulk jobs and what needs a person.

Times are seconds: of runs, jobs and causes from the beginning of the recording, of everything in a
run from the run's own beginning.
"""

from __future__ import annotations

from typing import NamedTuple

LAST_S = 24.0
"""The recording ends, and the pictures are taken."""
SHOP = "http://shop.example:9000"
PAY = "https://api.pay.example"
HOOKS = "https://hooks.acme.example"
ERP = "https://erp.example:8443"
KYC = "https://kyc.vendor.example"
EXCERPTS = {
    402: "card_declined: insufficient funds",
    502: "Bad Gateway",
    503: "carrier is busy, try again later",
}
"""What an answer of this status says."""
FIRST_SHOWN = "ord-48213"
"""The key of the run that is opened."""


class Try(NamedTuple):
    """An attempt; `ended` None: it is in flight at the end of the recording."""

    began: float
    ended: float | None
    http: int | None = None
    error: str | None = None
    delay: float | None = None
    """After it another one follows."""
    by: str = "policy"

    @property
    def counts_as(self) -> str:
        """success or failure."""
        return "failure" if self.error else "success"

    @property
    def excerpt(self) -> str | None:
        """Why it failed, as its answer says or its connection."""
        if self.error is None:
            return None
        return EXCERPTS.get(self.http or 0) or self.error.partition(": ")[2] or None


class Planned(NamedTuple):
    """A step."""

    name: str
    host: str
    at: float
    """When it is posted."""
    tries: tuple[Try, ...] = ()
    key: str = ""
    """What tells it from its siblings, as in a fan-out."""
    below: str = ""
    """The key of the step above it; else the root is."""
    then: str = ""
    """Its state after the last attempt, if that does not follow from it."""
    acts: tuple[tuple[float, str, str], ...] = ()
    """When an operator paused it, who (empty: with its run), why."""


class PlannedRun(NamedTuple):
    """A run: its root and the steps below."""

    workflow: str
    key: str
    steps: tuple[Planned, ...]


class Stuck(NamedTuple):
    """A cause for which runs need a person; `key` is that of the latest."""

    id: str
    runs: int
    new: int
    first: float
    last: float
    key: str


class Job(NamedTuple):
    """A bulk job."""

    action: str
    q: str
    reason: str
    began: float
    matched: int
    total: int
    skipped: dict[str, int]
    rate: int

    def done(self, at_s: float) -> int:
        """On how many it has acted."""
        return min(self.total, int(max(0.0, at_s - self.began) * self.rate))

    def state(self, at_s: float) -> str:
        """Whether it still runs."""
        return "done" if self.done(at_s) == self.total else "running"


def ok(began: float, ended: float) -> Try:
    """An attempt that is answered 200."""
    return Try(began, ended, 200)


def no(began: float, ended: float, http: int, delay: float | None, by: str = "policy") -> Try:
    """One that is answered with a failure."""
    return Try(began, ended, http, "http-status", delay, by)


def cut(began: float, ended: float, error: str, delay: float | None) -> Try:
    """One that is not answered."""
    return Try(began, ended, None, error, delay)


def again(count: int, first: Try, next_after: float) -> tuple[Try, ...]:
    """The same attempt over and over; after the last one the next follows `next_after` later."""
    assert first.ended is not None
    assert first.delay is not None
    every = first.ended - first.began + first.delay
    found = [
        first._replace(began=first.began + n * every, ended=first.ended + n * every)
        for n in range(count)
    ]
    return (*found[:-1], found[-1]._replace(delay=next_after))


def given_up(tries: tuple[Try, ...]) -> tuple[Try, ...]:
    """After the last attempt nothing follows."""
    return (*tries[:-1], tries[-1]._replace(delay=None))


def run(
    workflow: str,
    key: str,
    at: float,
    *steps: Planned,
    ends: float | None = None,
    then: str = "",
    acts: tuple[tuple[float, str, str], ...] = (),
) -> PlannedRun:
    """A run whose function hangs until its steps have ended, or ends as it says."""
    error = "step-failed" if then == "failed" else None
    tries = (Try(0.02, ends, 200, error),)
    root = Planned(workflow.partition(".")[2], SHOP, 0.0, tries, then=then, acts=acts)
    moved = [_moved(step, at) for step in (root, *steps)]
    return PlannedRun(workflow, key, tuple(moved))


def _moved(step: Planned, by: float) -> Planned:
    tries = tuple(
        tried._replace(
            began=tried.began + by, ended=None if tried.ended is None else tried.ended + by
        )
        for tried in step.tries
    )
    acts = tuple((at + by, actor, reason) for at, actor, reason in step.acts)
    return step._replace(at=step.at + by, tries=tries, acts=acts)


def parcel(key: str, *tries: Try, label: Try | None = None) -> tuple[Planned, ...]:
    """One of a fan-out: a carrier is booked, then a label printed."""
    ship, over = f"ship/{key}", None if label is None else label.ended
    found = [
        Planned("ship", SHOP, 6.15, (Try(6.2, None if over is None else over + 0.2, 200),), ship),
        Planned("book-carrier", HOOKS, 6.25, tries, f"book-carrier/{key}", ship),
    ]
    if label is not None:
        printed = (label,)
        found.append(
            Planned("print-label", SHOP, label.began - 0.05, printed, f"print-label/{key}", ship)
        )
    return tuple(found)


RESERVED = Planned("reserve-stock", SHOP, 0.05, (ok(0.07, 0.31),))
CHARGED = Planned("charge-card", PAY, 0.33, (ok(0.36, 1.42),))
BOOKED = Planned("book-carrier", HOOKS, 1.45, (ok(1.5, 6.2),))
COLLECTED = Planned("collect", SHOP, 0.05, (ok(0.1, 31.0),))


def fulfilled(number: int, at: float) -> PlannedRun:
    """An order without trouble."""
    return run("order.fulfil", f"ord-{number}", at, RESERVED, CHARGED, BOOKED, ends=6.4)


def charging(number: int, at: float) -> PlannedRun:
    """An order whose card is being charged."""
    charge = Planned("charge-card", PAY, 0.33, (Try(0.36, None),))
    return run("order.fulfil", f"ord-{number}", at, RESERVED, charge)


FAN_OUT = run(
    "order.fulfil", FIRST_SHOWN, -14.0,
    RESERVED,
    Planned("charge-card", PAY, 0.33, (no(0.35, 2.4, 502, 2.0), ok(4.4, 6.1))),
    *parcel("eu-1", ok(6.3, 15.2), label=ok(15.3, 18.8)),
    *parcel(
        "us-2",
        no(6.3, 9.1, 503, 4.0),
        no(13.1, 14.9, 503, 8.0, "retry-after"),
        no(22.9, 24.3, 503, 20.0, "retry-after"),
    ),
    *parcel(
        "ap-3", cut(6.3, 11.0, "connection-refused: nothing listens there", 2.2), ok(13.2, 26.8),
        label=ok(26.9, 37.2),
    ),
    Planned("mail-receipt", HOOKS, 6.15, (ok(6.2, 6.9),)),
)  # fmt: skip
"""An order of three parcels: one is on its way, one is not booked yet, one took two attempts."""

SLOW = cut(0.1, 30.1, "attempt-timeout: nothing within 30 s", 30.0)
NO_TLS = cut(0.1, 0.5, "tls-failed: certificate has expired", 15.0)
BUSY = no(0.1, 0.9, 503, 8.0, "retry-after")

PLANS: tuple[PlannedRun, ...] = (
    run("order.fulfil", "ord-48231", 23.6, Planned("reserve-stock", SHOP, 0.05, (Try(0.1, None),))),
    run("webhook.fanout", "evt-90417", 21.2, Planned("notify", HOOKS, 0.05, (Try(0.1, None),))),
    charging(48230, 19.8),
    run("kyc.check", "kyc-3311", 17.0, Planned("verify", KYC, 0.05, (ok(0.1, 2.0),)), ends=2.1),
    fulfilled(48229, 14.3),
    run("webhook.fanout", "evt-90416", 12.0, Planned("notify", HOOKS, 0.05, again(2, BUSY, 16.0))),
    run(
        "invoice.sync", "inv-7702", 9.0,
        Planned("push-erp", ERP, 0.05, (ok(0.1, 4.2),)),
        Planned("settle", PAY, 4.3, (Try(4.4, None),)),
    ),
    fulfilled(48228, 5.5),
    run("report.daily", "rep-0921", 2.0, Planned("collect", SHOP, 0.05, (Try(0.1, None),))),
    FAN_OUT,
    run("invoice.sync", "inv-7701", -22.0, Planned("push-erp", ERP, 0.05, again(3, NO_TLS, 15.6))),
    run(
        "kyc.check", "kyc-3310", -47.0,
        Planned("verify", KYC, 0.05, (SLOW,), acts=((55.0, "", ""),)),
        acts=((55.0, "ana", "vendor maintenance until 15:00"),),
    ),
    run(
        "order.fulfil", "ord-48227", -63.0, RESERVED,
        Planned("charge-card", PAY, 0.33, (no(0.36, 1.3, 402, None),)), ends=1.4, then="failed",
    ),
    run(
        "partner.onboard", "par-118", -88.0,
        Planned("review-contract", SHOP, 0.05, given_up(again(3, BUSY, 0.0)), then="paused"),
        ends=30.0, then="waiting",
    ),
    run("webhook.fanout", "evt-90413", -120.0,
        Planned("notify", HOOKS, 0.05, given_up(again(11, BUSY, 0.0))), ends=99.0, then="failed"),
    run("invoice.sync", "inv-7700", -185.0,
        Planned("push-erp", ERP, 0.05, again(10, NO_TLS, 118.0))),
    fulfilled(48226, -260.0),
    run("report.daily", "rep-0920", -903.0, COLLECTED,
        Planned("render", SHOP, 31.1, (ok(31.2, 40.0),), then="cancelled"),
        ends=40.1, then="cancelled"),
    run("webhook.fanout", "evt-90409", -1_260.0, Planned("notify", HOOKS, 0.05, (ok(0.1, 0.4),)),
        ends=0.5),
    fulfilled(48201, -1_500.0),
    run("kyc.check", "kyc-3302", -2_110.0,
        Planned("verify", KYC, 0.05, given_up(again(11, SLOW, 0.0)), then="paused"),
        ends=630.0, then="paused"),
    run("invoice.sync", "inv-7694", -2_640.0,
        Planned("push-erp", ERP, 0.05, given_up(again(11, NO_TLS, 0.0))), ends=160.0,
        then="failed"),
    fulfilled(48187, -2_990.0),
    fulfilled(48186, -3_020.0),
)  # fmt: skip

STUCK = (
    Stuck("a91c55e1", 231, 12, -9_400.0, -21.0, "evt-90413"),
    Stuck("3fa2c9d1", 18, 2, -14_000.0, -61.6, "ord-48227"),
    Stuck("c07be412", 7, 0, -86_000.0, -2_480.0, "inv-7694"),
    Stuck("5d118e90", 3, 0, -8_000.0, -1_500.0, "kyc-3302"),
)
JOBS = (
    Job("retry", "is:stuck host:erp.example:8443", "the certificate is renewed", 12.0, 64, 60,
        {"it is running": 4}, 2),
    Job("dismiss", "is:failed wf:report.daily age:>1d", "old reports", -1_900.0, 64, 64, {}, 20),
)  # fmt: skip
PLAN = ("is:stuck cause:a91c55e1", 231, 219, {"it is running": 9, "it is cancelled": 3}, 20)
"""What a bulk job would do: filter, found, acted on, left alone and why, how many each second."""


def hosts_at(at_s: float) -> list[tuple[str, int, int, int, tuple[tuple[int, int], ...], int, int]]:
    """How the hosts do: name, ended, succeeded, p95 in ms, by minute, in flight, queued."""
    more = int(at_s)
    return [
        ("api.pay.example", 3_296 + 7 * more, 3_290 + 7 * more, 212, _by_minute(412, "99999999"),
         3, 0),
        ("erp.example:8443", 312, 128, 9_040, _by_minute(39, "98642000"), 2, 97),
        ("hooks.acme.example", 960 + 2 * more, 797 + 2 * more, 1_870, _by_minute(120, "96435678"),
         8, 41),
        ("kyc.vendor.example", 72, 70, 3_120, _by_minute(9, "99989999"), 1, 0),
        ("shop.example:9000", 5_104 + 9 * more, 5_104 + 9 * more, 38, _by_minute(638, "99999999"),
         12, 0),
    ]  # fmt: skip


FAILS_BY = {"erp.example:8443": "tls-failed", "kyc.vendor.example": "attempt-timeout"}
"""What attempts at a host come to that fail; of the others they are answered 5xx."""


def results_of(host: str, by_minute: tuple[tuple[int, int], ...]) -> dict[str, tuple[int, ...]]:
    """What attempts at a host came to, by minute."""
    found = {
        "2xx": tuple(succeeded for _, succeeded in by_minute),
        FAILS_BY.get(host, "5xx"): tuple(ended - succeeded for ended, succeeded in by_minute),
    }
    return {name: counts for name, counts in found.items() if any(counts)}


def _by_minute(ended: int, ninths: str) -> tuple[tuple[int, int], ...]:
    """So many each minute; how many of them went well, in ninths."""
    return tuple((ended, ended * int(each) // 9) for each in ninths)
