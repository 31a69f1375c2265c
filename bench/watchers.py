"""watchers.py PORT: ten pages of `/ui` that are open, as their script keeps them fresh, until it is ended.

Four are read every five seconds (home, the list of runs, what is stuck, what waits for another try); six are
those of open runs: each has a stream that looks through all events, and is read again when its run has
changed, at most once a second. The runs call an endpoint that is not there, and wait in back-off.
Prints a line when all are open.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

from http1 import Connection

POLLED = ("/ui", "/ui/runs", "/ui/stuck", "/ui/runs?q=is%3Abacking-off")
EVERY_S = 5
RUNS = 6
STREAM = re.compile(r'data-events="([^"]+)"')


async def read(connection: Connection, path: str) -> str:
    """A page."""
    status, _, text = await connection.request("GET", path)
    assert status == 200, (path, status)
    return text.decode()


async def polled(port: int, path: str, is_open: asyncio.Event) -> None:
    """A page without a stream."""
    connection = Connection(port)
    while True:
        await read(connection, path)
        is_open.set()
        await asyncio.sleep(EVERY_S)


async def of_run(port: int, number: int, is_open: asyncio.Event) -> None:
    """The page of an open run."""
    connection = Connection(port)
    body = {
        "workflowName": "watched", "stepInvokeUrl": "http://127.0.0.1:9/", "idempotencyKey": f"w{number}",
        "retry": {"count": 100, "backOff": 10_000, "maxBackOff": 10_000},
    }  # fmt: skip
    status, headers, told = await connection.request(
        "POST", "/watching", json.dumps(body), Prefer="respond-async"
    )
    assert status == 202, (status, told)
    page = f"/ui/runs/{headers['location'].split('/')[-2]}"
    found = STREAM.search(await read(connection, page))
    assert found, "the page of an open run has no stream"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {found[1]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    is_open.set()
    while line := await reader.readline():
        if line == b"event: changed\n":
            await read(connection, page)


async def main() -> None:
    """Open them all, and keep them fresh."""
    port = int(sys.argv[1])
    opened = [asyncio.Event() for _ in range(len(POLLED) + RUNS)]
    async with asyncio.TaskGroup() as group:
        for path, is_open in zip(POLLED, opened, strict=False):
            group.create_task(polled(port, path, is_open))
        for number, is_open in enumerate(opened[len(POLLED) :]):
            group.create_task(of_run(port, number, is_open))
        for is_open in opened:
            await is_open.wait()
        print(len(opened), "pages are open", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
