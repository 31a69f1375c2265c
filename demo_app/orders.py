"""An order: nested steps, a parallel fan-out to a flaky carrier, and a compensation.

    placeOrder ─ reserveStock ─ chargeCard ─┬─ ship ─ bookCarrier ─ printLabel ─┬─ confirmOrder
                                            └─ ship … (one for each parcel)     ┘
                                └─ declined: releaseStock

Every parcel calls the same URLs, so these steps are told apart by `stepKey`.
"""

import hashlib
import sqlite3
from typing import Any

from quart import Blueprint

from demo_app import carrier
from demo_app.atomic import StepFailed, parallel
from demo_app.calls import Answer, Call, Handler
from demo_app.endpoints import (
    NO_RETRY,
    Services,
    add_endpoint,
    effect_handler,
    mail_handler,
    start,
    step_options,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock_moves (
    id INTEGER PRIMARY KEY, order_key TEXT NOT NULL, item TEXT NOT NULL, change INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY, order_key TEXT NOT NULL, amount_cents INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS bookings (
    id INTEGER PRIMARY KEY, order_key TEXT NOT NULL, parcel INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS labels (
    id INTEGER PRIMARY KEY, order_key TEXT NOT NULL, parcel INTEGER NOT NULL,
    tracking TEXT NOT NULL
) STRICT;
"""

WORKFLOW = "placeOrder"
INDEX = "/workflows/placeOrder/index"
STEPS = "/workflows/placeOrder/steps"
REQUIRED = ("email", "item", "parcels", "amountCents", "card")

# The card that a card company always declines.
DECLINED_CARD = "4000-0000-0000-0002"
DECLINED_STATUS = 402


def routes(services: Services) -> Blueprint:
    """`POST /orders` for people; the workflow and its steps for the engine."""
    blueprint = Blueprint("orders", __name__)
    atomic = services.atomic
    carrier_url, carrier_options = at_carrier(services)

    @blueprint.post("/orders")
    async def place_order_endpoint() -> dict[str, Any]:
        outcome = await start(services, WORKFLOW, INDEX, REQUIRED)
        return {"orderId": outcome["id"], **outcome["response"]}

    async def place_order(call: Call) -> Answer:
        order, options = call.payload, step_options(call)
        await atomic.step(call, f"{STEPS}/reserveStock", order, **options)
        try:
            await atomic.step(call, f"{STEPS}/chargeCard", order, **options)
        except StepFailed as failed:
            if (failed.problem.get("lastAttempt") or {}).get("httpStatus") != DECLINED_STATUS:
                # Given up for another reason: the money may have moved, so a person must look.
                raise
            await atomic.step(call, f"{STEPS}/releaseStock", order, **options)
            return Answer({"status": "declined"})
        shipped = await parallel(
            *(
                atomic.step(
                    call,
                    f"{STEPS}/ship",
                    {"parcel": parcel, "item": order["item"], "options": options},
                    stepKey=f"ship/{parcel}",
                    **options,
                )
                for parcel in range(1, order["parcels"] + 1)
            )
        )
        tracking = [outcome["response"]["tracking"] for outcome in shipped]
        mail = {"email": order["email"], "item": order["item"], "tracking": tracking}
        await atomic.step(call, f"{STEPS}/confirmOrder", mail, **options)
        return Answer({"status": "confirmed", "tracking": tracking})

    async def ship(call: Call) -> Answer:
        parcel, options = call.payload, step_options(call)
        number = parcel["parcel"]
        booked = await atomic.step(
            call,
            f"{carrier_url}{STEPS}/bookCarrier",
            parcel,
            stepKey=f"bookCarrier/{number}",
            **{**options, **carrier_options},
        )
        labelled = await atomic.step(
            call,
            f"{STEPS}/printLabel",
            {"parcel": number, "bookingId": booked["response"]["bookingId"]},
            stepKey=f"printLabel/{number}",
            **options,
        )
        return Answer(labelled["response"])

    add_endpoint(blueprint, services, INDEX, "index", place_order)
    for step, handler in (
        ("reserveStock", effect_handler(services, reserve_stock)),
        ("releaseStock", effect_handler(services, release_stock)),
        ("chargeCard", charge_handler(services)),
        ("ship", ship),
        ("bookCarrier", effect_handler(services, book_carrier)),
        ("printLabel", effect_handler(services, print_label)),
        ("confirmOrder", mail_handler(services, confirmation_mail)),
    ):
        add_endpoint(blueprint, services, f"{STEPS}/{step}", step, handler)
    return blueprint


def at_carrier(services: Services) -> tuple[str, dict[str, Any]]:
    """Where the carrier is, if elsewhere than we are, and what its steps have in options then."""
    if services.carrier is None:
        return "", {}
    return services.carrier.url, {"retry": carrier.RETRY}


def charge_handler(services: Services) -> Handler:
    """The charge, unless the card is declined."""
    charge = effect_handler(services, save_charge)

    async def charge_card(call: Call) -> Answer:
        if call.payload["card"] == DECLINED_CARD:
            # Asking again will not help, so the engine is told not to.
            return Answer({"reason": "card declined"}, DECLINED_STATUS, NO_RETRY)
        return await charge(call)

    return charge_card


def _move_stock(call: Call, database: sqlite3.Connection, sign: int) -> dict[str, Any]:
    item, change = call.payload["item"], sign * call.payload["parcels"]
    database.execute(
        "INSERT INTO stock_moves (order_key, item, change) VALUES (?, ?, ?)",
        (call.key, item, change),
    )
    return {"item": item, "change": change}


def reserve_stock(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """One unit for each parcel leaves the stock."""
    return _move_stock(call, database, -1)


def release_stock(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """The compensation: what was reserved comes back."""
    return _move_stock(call, database, +1)


def save_charge(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """The card is charged."""
    row = database.execute(
        "INSERT INTO charges (order_key, amount_cents) VALUES (?, ?) RETURNING id",
        (call.key, call.payload["amountCents"]),
    ).fetchone()
    return {"chargeId": row["id"]}


def book_carrier(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """A carrier is booked for one parcel."""
    row = database.execute(
        "INSERT INTO bookings (order_key, parcel) VALUES (?, ?) RETURNING id",
        (call.key, call.payload["parcel"]),
    ).fetchone()
    return {"bookingId": row["id"]}


def print_label(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """The label for one parcel, with a tracking number that the step's own key determines."""
    parcel = call.payload["parcel"]
    tracking = "T" + hashlib.sha256(call.own_key.encode()).hexdigest()[:12].upper()
    database.execute(
        "INSERT INTO labels (order_key, parcel, tracking) VALUES (?, ?, ?)",
        (call.key, parcel, tracking),
    )
    return {"parcel": parcel, "tracking": tracking}


def confirmation_mail(call: Call) -> tuple[str, str, str]:
    """Addressee, subject and text."""
    tracking = "\n".join(call.payload["tracking"])
    return call.payload["email"], f"Your order: {call.payload['item']}", f"Tracking:\n{tracking}\n"
