"""A wide run: one step for each reader, all side by side.

sendNewsletter ─┬─ sendIssue/1
                ├─ sendIssue/2
                └─ … (one for each reader)
"""

import sqlite3
from random import Random
from typing import Any

from quart import Blueprint

from demo_app.atomic import parallel
from demo_app.calls import Answer, Call
from demo_app.endpoints import Services, add_endpoint, effect_handler, start, step_options

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, newsletter_key TEXT NOT NULL, reader INTEGER NOT NULL
) STRICT;
"""

WORKFLOW = "sendNewsletter"
INDEX = "/workflows/sendNewsletter/index"
STEPS = "/workflows/sendNewsletter/steps"


def routes(services: Services) -> Blueprint:
    """`POST /newsletters` for people; the workflow and its step for the engine."""
    blueprint = Blueprint("newsletter", __name__)
    atomic = services.atomic

    @blueprint.post("/newsletters")
    async def send_newsletter_endpoint() -> dict[str, Any]:
        outcome = await start(services, WORKFLOW, INDEX, ("readers",))
        return {"newsletterRun": outcome["id"], **outcome["response"]}

    async def send_newsletter(call: Call) -> Answer:
        options = step_options(call)
        readers, spread_ms = call.payload["readers"], call.payload.get("spreadMs", 0)
        await parallel(
            *(
                atomic.step(
                    call,
                    f"{STEPS}/sendIssue",
                    {"reader": reader, "spreadMs": spread_ms},
                    stepKey=f"sendIssue/{reader}",
                    **options,
                )
                for reader in range(1, readers + 1)
            )
        )
        return Answer({"status": "sent", "readers": readers})

    deliver = effect_handler(services, save_delivery)

    async def send_issue(call: Call) -> Answer:
        await services.world().sleep(delivery_s(call.payload["reader"], call.payload["spreadMs"]))
        return await deliver(call)

    add_endpoint(blueprint, services, INDEX, "index", send_newsletter)
    add_endpoint(blueprint, services, f"{STEPS}/sendIssue", "sendIssue", send_issue)
    return blueprint


def delivery_s(reader: int, spread_ms: int) -> float:
    """How long this reader's delivery takes (s): most are quick, few take it nearly whole."""
    return float(spread_ms) / 1000 * Random(f"delivery/{reader}").random() ** 2


def save_delivery(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """The issue is with one reader."""
    row = database.execute(
        "INSERT INTO deliveries (newsletter_key, reader) VALUES (?, ?) RETURNING id",
        (call.key, call.payload["reader"]),
    ).fetchone()
    return {"deliveryId": row["id"]}
