"""An application to be killed: `python -m tests.e2e.shop_app PORT ENGINE_URL CLIENT DIRECTORY`.

Its workflow charges, fails to ship for good, and refunds. The first refund does its effect and
then never answers: that is when the test kills the process. Effects are kept in files of the
directory, one line for each idempotency key however often a step is called.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import trio

from tests.e2e.harness import Answer, Call, Client, application, client

ONCE = {"count": 0}


class ShopApplication:
    """The endpoints of one process."""

    def __init__(self, engine: Client, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        self.url = ""

    def note(self, file: str, line: str) -> bool:
        """Append a line; returns whether it was not there before."""
        path = self.directory / file
        known = path.read_text().split() if path.exists() else []
        with path.open("a") as lines:
            lines.write(f"{line}\n")
        return line not in known

    def once(self, file: str, key: str) -> bool:
        """Do an effect unless this key has had it; returns whether it was done now."""
        path = self.directory / file
        if path.exists() and key in path.read_text().split():
            return False
        return self.note(file, key)

    async def step(self, name: str, call: Call) -> httpx.Response:
        """Post a step of the run."""
        url = f"{self.url}/workflows/order/steps/{name}"
        if name == "ship":
            return await self.engine.post(url, call.key, parent_token=call.parent_token, retry=ONCE)
        return await self.engine.post(url, call.key, parent_token=call.parent_token)

    async def index(self, call: Call) -> Answer:
        await self.step("charge", call)
        shipped = await self.step("ship", call)
        if shipped.status_code == 424:
            refunded = await self.step("refund", call)
            if refunded.status_code == 200:
                return Answer(200, b'{"refunded":true}')
        return Answer(500)

    async def charge(self, call: Call) -> Answer:
        self.once("charged", call.own_key)
        return Answer()

    async def ship(self, call: Call) -> Answer:
        return Answer(422, b'{"error":"out of stock"}')

    async def refund(self, call: Call) -> Answer:
        first = self.note("refund-calls", call.own_key)
        self.once("refunded", call.own_key)
        if first:
            await trio.sleep_forever()
        return Answer()


async def main(port: int, engine_url: str, client_name: str, directory: Path) -> None:
    """Serve until killed."""
    async with client(engine_url, client_name) as engine:
        shop = ShopApplication(engine, directory)
        handlers = {name: getattr(shop, name) for name in ("index", "charge", "ship", "refund")}
        async with application(port, **handlers) as app:
            shop.url = app.url
            await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
