"""The seed's workflow: create a user, then mail and analytics side by side."""

import sqlite3
from typing import Any

from quart import Blueprint

from demo_app.atomic import parallel
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
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY, user_name TEXT NOT NULL, email TEXT NOT NULL
) STRICT;
"""

WORKFLOW = "createUser"
INDEX = "/workflows/userCreation/index"
STEPS = "/workflows/userCreation/steps"


def routes(services: Services) -> Blueprint:
    """`POST /users` for people; the workflow and its three steps for the engine."""
    blueprint = Blueprint("users", __name__)
    atomic = services.atomic

    @blueprint.post("/users")
    async def create_user_endpoint() -> dict[str, Any]:
        outcome = await start(services, WORKFLOW, INDEX, ("userName", "email"))
        return {"status": 200, "userId": outcome["id"], "user": outcome["response"]}

    async def create_user_workflow(call: Call) -> Answer:
        options = step_options(call)
        created = await atomic.step(call, f"{STEPS}/createUser", call.payload, **options)
        user = created["response"]
        await parallel(
            atomic.step(call, f"{STEPS}/sendEmail", user, **options),
            atomic.step(call, f"{STEPS}/sendAnalytics", user, **options),
        )
        return Answer(user)

    async def send_analytics(call: Call) -> Answer:
        async def send() -> Any:
            answer = await services.http.post(
                f"{services.analytics_url}/events",
                json={"event": "userCreated", "userId": call.payload["userId"]},
                headers={"Idempotency-Key": f'"{call.own_key}"'},
            )
            answer.raise_for_status()
            return answer.json()

        return Answer(await services.effects.once_outside(call, send))

    add_endpoint(blueprint, services, INDEX, "index", create_user_workflow)
    for step, handler in (
        ("createUser", effect_handler(services, save_user)),
        ("sendEmail", mail_handler(services, welcome_mail)),
        ("sendAnalytics", send_analytics),
    ):
        add_endpoint(blueprint, services, f"{STEPS}/{step}", step, handler)
    return blueprint


def save_user(call: Call, database: sqlite3.Connection) -> dict[str, Any]:
    """The user in the database; gives what the later steps need of it."""
    user = call.payload
    row = database.execute(
        "INSERT INTO users (user_name, email) VALUES (?, ?) RETURNING id",
        (user["userName"], user["email"]),
    ).fetchone()
    return {"userId": row["id"], "userName": user["userName"], "email": user["email"]}


def welcome_mail(call: Call) -> tuple[str, str, str]:
    """Addressee, subject and text."""
    user = call.payload
    return user["email"], "Welcome", f"Hello {user['userName']}, your number is {user['userId']}."
