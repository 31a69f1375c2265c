"""A long workflow with a slow partner.

The review takes a while, and the workflow does not hang for it: it begins the step, and while that
is under way it answers 503 with `Atomic-Suspend: true`: "invoke me again when a child ends".
Invoked again, it runs from its top and finds the review's outcome recorded.
"""

import sqlite3
from typing import Any

from quart import Blueprint

from demo_app.calls import Answer, Call
from demo_app.endpoints import (
    Services,
    add_endpoint,
    effect_handler,
    mail_handler,
    start,
    step_options,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS partners (
    id INTEGER PRIMARY KEY, partner_key TEXT NOT NULL, name TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS partner_log (
    id INTEGER PRIMARY KEY, partner_key TEXT NOT NULL, what TEXT NOT NULL
) STRICT;
"""

WORKFLOW = "onboardPartner"
INDEX = "/workflows/onboardPartner/index"
STEPS = "/workflows/onboardPartner/steps"

PARTNER_MS = 500  # how slow the partner is, unless the payload's partnerMs says otherwise


def routes(services: Services) -> Blueprint:
    """`POST /partners` for people; the workflow and its steps for the engine."""
    blueprint = Blueprint("partner", __name__)
    atomic = services.atomic

    @blueprint.post("/partners")
    async def onboard_partner_endpoint() -> dict[str, Any]:
        outcome = await start(services, WORKFLOW, INDEX, ("name", "email"))
        return {"partnerRun": outcome["id"], **outcome["response"]}

    async def onboard_partner(call: Call) -> Answer:
        partner, options = call.payload, step_options(call)
        await atomic.step(call, f"{STEPS}/registerPartner", partner, **options)
        review = await atomic.begin_step(call, f"{STEPS}/reviewContract", partner, **options)
        if review is None:
            return Answer({"status": "in review"}, 503, {"Atomic-Suspend": "true"})
        await atomic.step(call, f"{STEPS}/provisionAccess", partner, **options)
        await atomic.step(call, f"{STEPS}/welcomePartner", partner, **options)
        return Answer({"status": "onboarded", "review": review["response"]})

    async def slow(call: Call) -> Answer:
        await services.world().sleep(call.payload.get("partnerMs", PARTNER_MS) / 1000)
        return Answer(services.effects.once(call, lambda database: log_step(call, database)))

    add_endpoint(blueprint, services, INDEX, "index", onboard_partner)
    for step, handler in (
        ("registerPartner", effect_handler(services, register_partner)),
        ("reviewContract", slow),
        ("provisionAccess", slow),
        ("welcomePartner", mail_handler(services, partner_mail)),
    ):
        add_endpoint(blueprint, services, f"{STEPS}/{step}", step, handler)
    return blueprint


def register_partner(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """The partner in the database."""
    row = database.execute(
        "INSERT INTO partners (partner_key, name) VALUES (?, ?) RETURNING id",
        (call.key, call.payload["name"]),
    ).fetchone()
    return {"partnerId": row["id"]}


def log_step(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """What the partner did, on file."""
    row = database.execute(
        "INSERT INTO partner_log (partner_key, what) VALUES (?, ?) RETURNING id",
        (call.key, call.step),
    ).fetchone()
    return {"done": call.step, "entry": row["id"]}


def partner_mail(call: Call) -> tuple[str, str, str]:
    """Addressee, subject and text."""
    return call.payload["email"], "Welcome, partner", f"{call.payload['name']} is set up."
