"""What is submitted, as a pure function of a seed: workflow, key, payload, faults.

`Scenario(seed).submission(n)` depends on nothing but `seed` and `n`; `once()` is the small fixed
set of `atomic demo --once`, one submission for each thing there is to see, and `opening()` what the
steady mix begins with.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

from demo_app import newsletter, orders, partner, users

# Small back-offs: a demonstration takes seconds. The time-out is what ends a `hang`.
ATTEMPT_TIMEOUT_MS = 3000
OPTIONS: dict[str, Any] = {
    "retry": {"count": 10, "backOff": 200, "factor": 1.5, "maxBackOff": 1000},
    "attemptTimeout": ATTEMPT_TIMEOUT_MS,
}

# Of a hundred calls with faults. All of them pass within a step's ten retries.
MIX = (
    (("404",), 20),
    (("404", "404", "404"), 10),
    (("500",), 20),
    (("500", "500"), 10),
    (("retry-after:1",), 10),
    (("slow:200",), 14),
    (("drop",), 10),
    (("drop", "500"), 4),
    (("hang",), 2),
)
# Only for those who start the application again when it has died.
MIX_WITH_CRASHES = (*MIX, (("crash",), 3))
FAULTY_SHARE = 0.15
DECLINED_SHARE = 0.1

ITEMS = ("kettle", "lamp", "bicycle bell", "sextant")
NAMES = ("ada", "grace", "edsger", "barbara", "donald", "frances")


@dataclass(frozen=True)
class Submission:
    """One workflow to start. `path` is its own endpoint, `front` the application's for people.

    `expect` is what the run comes to when all has gone well; `met_by` reads it off the response.
    `needs_a_person`: it fails first, or is paused, and only a person lets it come to that.
    """

    workflow: str
    path: str
    front: str
    key: str
    payload: dict[str, Any]
    expect: str
    needs_a_person: bool = False

    def body(self, app_url: str) -> dict[str, Any]:
        """The submission to post to `{engine}/{client}`."""
        return {
            "workflowName": self.workflow,
            "stepInvokeUrl": f"{app_url}{self.path}",
            "idempotencyKey": self.key,
            "payload": self.payload,
            **self.payload.get("options", {}),
        }

    def met_by(self, response: Any) -> bool:
        """Whether the workflow's response is the expected one.

        The seed's workflow answers with the user it has created, the others with a `status`.
        """
        if not isinstance(response, dict):
            return False
        status = "created" if "userId" in response else response.get("status")
        return bool(status == self.expect)

    def front_body(self) -> dict[str, Any]:
        """The same asked for at the application: post to `{app_url}{front}`."""
        return {"idempotencyKey": self.key, **self.payload}


def create_user(key: str, name: str, faults: dict[str, list[str]]) -> Submission:
    """A submission of the seed's workflow."""
    payload = {"userName": name, "email": f"{name}@example.com"}
    return _submission(users, "/users", key, payload, faults, "created")


def place_order(
    key: str, item: str, parcels: int, faults: dict[str, list[str]], *, declined: bool = False
) -> Submission:
    """A submission of an order; `declined` pays with the card that is always declined."""
    payload = {
        "email": "customer@example.com",
        "item": item,
        "parcels": parcels,
        "amountCents": 1250 * parcels,
        "card": orders.DECLINED_CARD if declined else "4242-4242-4242-4242",
    }
    expect = "declined" if declined else "confirmed"
    return _submission(orders, "/orders", key, payload, faults, expect)


def onboard_partner(
    key: str, name: str, partner_ms: int, faults: dict[str, list[str]]
) -> Submission:
    """A submission of the long workflow; the partner takes `partner_ms` for each of two steps."""
    payload = {"name": name, "email": "partner@example.com", "partnerMs": partner_ms}
    return _submission(partner, "/partners", key, payload, faults, "onboarded")


def once(prefix: str = "once", *, crashes: bool = False) -> tuple[Submission, ...]:
    """The fixed set: the seed's diagram, a flaky carrier, a declined card, a slow partner.

    With `crashes` the application dies once, when it has charged the card and not said so.
    """
    flaky = {
        "bookCarrier/1": ["500", "drop"],
        "bookCarrier/2": ["retry-after:1"],
        "bookCarrier/3": ["slow:300"],
        "confirmOrder": ["drop"],
        **({"chargeCard": ["crash"]} if crashes else {}),
    }
    return (
        create_user(f"{prefix}-user", "ada", {"sendAnalytics": ["404", "404", "404"]}),
        place_order(f"{prefix}-order", "kettle", 3, flaky),
        place_order(f"{prefix}-declined", "sextant", 2, {"releaseStock": ["500"]}, declined=True),
        onboard_partner(f"{prefix}-partner", "Lovelace & Co", 400, {"provisionAccess": ["drop"]}),
    )


READERS = 200
SPREAD_MS = 12_000
BLOCKED_ACCOUNTS = (4711, 1042, 8830, 5519, 2307)
SOLD_OUT = ("sextant", "bicycle bell")
FOUR_EYES = "four-eyes"


def send_newsletter(
    key: str, readers: int, spread_ms: int, faults: dict[str, list[str]]
) -> Submission:
    """A submission of the wide workflow; the slowest delivery takes `spread_ms`."""
    options = {**OPTIONS, "attemptTimeout": spread_ms + ATTEMPT_TIMEOUT_MS}
    payload = {"readers": readers, "spreadMs": spread_ms, "options": options}
    return _submission(newsletter, "/newsletters", key, payload, faults, "sent")


def opening(seed: int) -> tuple[Submission, ...]:
    """What the steady mix begins with, so that all there is to see is there soon: a wide run with
    failures in it, orders that fail for good for two reasons, and one that somebody will pause (its
    key ends in `FOUR_EYES`)."""
    flaky = {f"sendIssue/{n}": ["503"] * (1 + n % 3) for n in range(7, READERS, 16)}
    wide = send_newsletter(f"s{seed}-newsletter", READERS, SPREAD_MS, flaky)
    blocked = [
        place_order(
            f"s{seed}-account-{account}",
            "lamp",
            1,
            {"chargeCard": [f"refuse:account {account} is blocked by the card company"]},
        )
        for account in BLOCKED_ACCOUNTS
    ]
    sold_out = [
        place_order(
            f"s{seed}-sold-out-{n}",
            item,
            2,
            {"reserveStock": [f'refuse:no "{item}" left in stock']},
        )
        for n, item in enumerate(SOLD_OUT, 1)
    ]
    four_eyes = place_order(f"s{seed}-{FOUR_EYES}", "kettle", 40, {"chargeCard": ["slow:1000"]})
    people = [replace(one, needs_a_person=True) for one in (*blocked, *sold_out, four_eyes)]
    return wide, *people


class Scenario:
    """A steady mix: six users to three orders to one partner, some of the steps with faults."""

    def __init__(self, seed: int, *, crashes: bool = False) -> None:
        self.seed = seed
        self.crashes = crashes

    def submission(self, n: int) -> Submission:
        """Submission number n, from 0."""
        # A Random of its own for each: the n-th does not depend on what was drawn before.
        random = Random(f"submission/{self.seed}/{n}")
        key = f"s{self.seed}-{n:06d}"
        match random.choices(("user", "order", "partner"), (6, 3, 1))[0]:
            case "user":
                name = f"{random.choice(NAMES)}{n}"
                steps = ["createUser", "sendEmail", "sendAnalytics"]
                return create_user(key, name, self._faults(key, steps))
            case "order":
                parcels = random.randint(1, 4)
                declined = random.random() < DECLINED_SHARE
                steps = ["reserveStock", "chargeCard", "releaseStock", "confirmOrder"]
                for parcel in range(1, parcels + 1):
                    steps += [f"bookCarrier/{parcel}", f"printLabel/{parcel}"]
                faults = self._faults(key, steps)
                return place_order(key, random.choice(ITEMS), parcels, faults, declined=declined)
            case _:
                steps = ["registerPartner", "reviewContract", "provisionAccess", "welcomePartner"]
                partner_ms = random.randrange(200, 2000, 100)
                return onboard_partner(key, f"Partner {n}", partner_ms, self._faults(key, steps))

    def __iter__(self) -> Iterator[Submission]:
        """Without end."""
        return (self.submission(n) for n in count())

    def _faults(self, key: str, steps: list[str]) -> dict[str, list[str]]:
        drawn = {step: draw_faults(self.seed, key, step, crashes=self.crashes) for step in steps}
        return {step: plan for step, plan in drawn.items() if plan}


def draw_faults(seed: int, key: str, step: str, *, crashes: bool = False) -> list[str]:
    """The faults of one step: a pure function of its arguments, mostly none.

    Workflow functions and `ship` get none by themselves: their steps' faults are enough.
    """
    random = Random(f"faults/{seed}/{key}/{step}")
    if step.partition("/")[0] in ("index", "ship") or random.random() >= FAULTY_SHARE:
        return []
    plans, weights = zip(*(MIX_WITH_CRASHES if crashes else MIX), strict=True)
    return list(random.choices(plans, weights)[0])


def _submission(
    module: Any,
    front: str,
    key: str,
    payload: dict[str, Any],
    faults: dict[str, list[str]],
    expect: str,
) -> Submission:
    asked = {"options": OPTIONS, **payload, **({"faults": faults} if faults else {})}
    return Submission(module.WORKFLOW, module.INDEX, front, key, asked, expect)
