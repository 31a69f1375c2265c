"""A whole application: it creates users, and takes orders that it undoes when the card is declined.

`gunicorn -w 4 -b 127.0.0.1:9000 app:app` serves it.
"""

import json
import os
import sqlite3
import uuid

from flask import Flask, request

from atomic import StepFailed, answer_call, perform_workflow_step, post_workflow

OPTIONS = {"retry": {"count": 10, "backOff": 200}, "attemptTimeout": 5000}
BEGIN = {"prefer": "respond-async"}  # do not wait

app = Flask(__name__)


# -- Creating a user ------------------------------------------------------------------------------


@app.post("/users")
def create_user_endpoint():
    """Your application's API: starts the workflow, and does not wait. Who waits holds a worker."""
    user = request.get_json(force=True)
    key = user.pop("idempotencyKey")
    begun = post_workflow("createUser", "/workflows/userCreation/index", key, user, **BEGIN)
    return {"run": begun["id"], "user": begun.get("response")}


def create_user_workflow(key, payload):
    """It runs from its top whenever Atomic calls it; steps that have ended do not."""
    steps = "/workflows/userCreation/steps"
    user = perform_workflow_step(f"{steps}/createUser", key, payload, **OPTIONS)["response"]
    for wait in (BEGIN, {}):  # side by side: begin both, then wait for each
        perform_workflow_step(f"{steps}/sendEmail", key, user, **OPTIONS, **wait)
        perform_workflow_step(f"{steps}/sendAnalytics", key, user, **OPTIONS, **wait)
    return user


def save_user(payload):
    """A step: the user."""
    return once("users", {**payload, "userId": uuid.uuid4().hex})


def send_email(payload):
    """A step: the mail."""
    return once("mails", {"to": payload["email"], "text": f"Welcome, {payload['userName']}"})


def send_analytics(payload):
    """A step: the event."""
    return once("analytics", {"event": f"user {payload['userId']} created"})


# -- Taking an order ------------------------------------------------------------------------------


def order_workflow(key, payload):
    """Undoes what it did when the card is declined. It is called with `suspend`."""
    steps = "/workflows/order/steps"
    perform_workflow_step(f"{steps}/reserveStock", key, payload, **OPTIONS)
    try:
        charge = {**OPTIONS, "retry": {"stopOn": [402]}}
        perform_workflow_step(f"{steps}/chargeCard", key, payload, **charge)
    except StepFailed as failed:
        if (failed.problem.get("lastAttempt") or {}).get("httpStatus") != 402:
            raise  # given up for another reason: the money may have moved
        perform_workflow_step(f"{steps}/releaseStock", key, payload, **OPTIONS)
        return {"status": "declined"}
    return {"status": "confirmed"}


def reserve_stock(payload):
    """A step: sets the item aside."""
    return once("reserved", {"item": payload["item"]})


class Declined(Exception):
    """Another attempt would not help; `stopOn` says so."""

    status = 402


def charge_card(payload):
    """A step: takes the money."""
    if payload["card"] == "declined":
        raise Declined("card declined")
    return once("charges", payload)


def release_stock(payload):
    """A step: the compensation."""
    with database() as db:
        row = ("reserved", json.dumps({"item": payload["item"]}))
        db.execute("DELETE FROM effects WHERE kind = ? AND effect = ?", row)
    return {}


# -- The database ---------------------------------------------------------------------------------

KINDS = ("users", "mails", "analytics", "reserved", "charges")


def database():
    """One row for each effect, named by its step's key. So the effect and the note that it was done
    are one."""
    db = sqlite3.connect(os.path.join(os.environ.get("APP_DATA", "."), "app.db"), timeout=30)
    db.execute("CREATE TABLE IF NOT EXISTS effects (key PRIMARY KEY, kind, effect)")
    return db


def once(kind, effect):
    """Does the effect, unless a call with this key has; what was done first is the answer."""
    key = request.headers["Idempotency-Key"]  # the step's: the same at every attempt
    with database() as db:
        row = (key, kind, json.dumps(effect))
        db.execute("INSERT INTO effects VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row)
        (done,) = db.execute("SELECT effect FROM effects WHERE key = ?", (key,)).fetchone()
    return json.loads(done)


# -- HTTP -----------------------------------------------------------------------------------------

STEPS = {
    "createUser": save_user,
    "sendEmail": send_email,
    "sendAnalytics": send_analytics,
    "reserveStock": reserve_stock,
    "chargeCard": charge_card,
    "releaseStock": release_stock,
}


@app.post("/workflows/userCreation/index")
def user_creation():
    """The workflow."""
    return answer_call(request.headers, request.data, create_user_workflow)


@app.post("/workflows/order/index")
def order():
    """The workflow that waits for no step."""
    return answer_call(request.headers, request.data, order_workflow, suspend=True)


@app.post("/workflows/<workflow>/steps/<name>")
def step(workflow, name):
    """The steps. What goes wrong in one is answered, and is what people see of the attempt."""
    return answer_call(request.headers, request.data, lambda key, payload: STEPS[name](payload))


@app.get("/")
def count():
    """What was done."""
    with database() as db:
        done = dict(db.execute("SELECT kind, count(*) FROM effects GROUP BY kind").fetchall())
    return {kind: done.get(kind, 0) for kind in KINDS}
