"""The third service: analytics, with a database of its own, reached by HTTP only.

It is here under `/analytics` so that the demonstration needs one process less. As services ought
to, it takes an idempotency key and counts an event once.
"""

import json
import sqlite3

from quart import Blueprint, Response, jsonify, request

from demo_app.calls import unquote_key
from demo_app.database import transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, event TEXT NOT NULL
) STRICT;
"""


def routes(database: sqlite3.Connection) -> Blueprint:
    """`POST /analytics/events` (header Idempotency-Key) and `GET /analytics/events`."""
    blueprint = Blueprint("analytics", __name__, url_prefix="/analytics")

    @blueprint.post("/events")
    async def add() -> Response:
        event = await request.get_json()
        key = unquote_key(request.headers["Idempotency-Key"])
        with transaction(database):
            database.execute(
                "INSERT INTO events (key, event) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (key, json.dumps(event)),
            )
            row = database.execute("SELECT id FROM events WHERE key = ?", (key,)).fetchone()
        return jsonify({"eventId": row["id"]})

    @blueprint.get("/events")
    async def listing() -> Response:
        rows = database.execute("SELECT * FROM events ORDER BY id")
        return jsonify(
            {"events": [{**dict(row), "event": json.loads(row["event"])} for row in rows]}
        )

    return blueprint
