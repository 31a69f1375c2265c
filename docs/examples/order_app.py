"""An order that is undone when the card is declined: Quart and the product's own client.

`python docs/examples/order_app.py` serves the engine at `POST /order` and `POST /steps/…`, and
tells at `GET /stock` what is reserved.
"""

from __future__ import annotations

import os
from typing import Any

from quart import Quart, request

from engine.client import AsyncClient, RunCancelled, StepFailed, pass_on

PORT = int(os.environ.get("APP_PORT", "9000"))
STEPS = f"http://127.0.0.1:{PORT}/steps"
DECLINED_STATUS = 402

app = Quart(__name__)
reserved: set[str] = set()


# What nobody caught ends the workflow: answered 424. Any other error is a 500, and it runs again.
app.register_error_handler(StepFailed, pass_on)
app.register_error_handler(RunCancelled, pass_on)


@app.before_serving
async def connect() -> None:
    """One client for the process."""
    app.extensions["atomic"] = AsyncClient()  # where the environment says


@app.after_serving
async def disconnect() -> None:
    """Close its connections."""
    await app.extensions["atomic"].aclose()


# -- The workflow ---------------------------------------------------------------------------------


@app.post("/order")
async def place_order() -> Any:
    """Runs from its top whenever it is invoked; steps that have ended are answered from the
    record."""
    called = await request.get_json()
    order, key, headers = called["payload"], called["idempotencyKey"], dict(request.headers)
    atomic: AsyncClient = app.extensions["atomic"]
    flow = atomic.workflow("placeOrder", key=key, headers=headers)
    await flow.step(f"{STEPS}/reserveStock", order)
    try:
        await flow.step(f"{STEPS}/chargeCard", order, retry={"stopOn": [DECLINED_STATUS]})
    except StepFailed as failed:
        if failed.last_attempt is None or failed.last_attempt.http_status != DECLINED_STATUS:
            # Given up for another reason: the money may have moved, so a person must look.
            raise
        await flow.step(f"{STEPS}/releaseStock", order)
        return {"status": "declined"}
    return {"status": "confirmed"}


# -- Its steps: idempotent by the key that the engine sends ----------------------------------------


@app.post("/steps/reserveStock")
async def reserve_stock() -> Any:
    """Sets the item aside."""
    order = (await request.get_json())["payload"]
    reserved.add(order["item"])
    return {"reserved": order["item"]}


@app.post("/steps/chargeCard")
async def charge_card() -> Any:
    """Declines every card but one. Another attempt would not help, and `stopOn` says so."""
    order = (await request.get_json())["payload"]
    if order.get("card") == "broken":
        return {"error": "the card company makes no sense"}, 400, {"Atomic-No-Retry": "true"}
    if order.get("card") != "good":
        return {"error": "card declined"}, DECLINED_STATUS
    return {"charged": True}


@app.post("/steps/releaseStock")
async def release_stock() -> Any:
    """The compensation: puts the item back."""
    order = (await request.get_json())["payload"]
    reserved.discard(order["item"])
    return {"released": order["item"]}


@app.get("/stock")
async def stock() -> Any:
    """What is reserved."""
    return sorted(reserved)


if __name__ == "__main__":
    app.run(port=PORT)
