"""An engine that is none: answers what the dashboard reads, for a million runs, and streams events at
a rate. Only for `tui_budget.py`: what is measured is the dashboard."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

RUNS = 1_000_000
BODY = b'{"text":"' + b"x" * 5_000_000 + b'"}'
STATES = ("running", "backing-off", "completed", "failed")


def now():
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row(number):
    state = STATES[number % 4]
    run_id = f"01K{number:023d}"
    return {
        "id": run_id,
        "client": "shop",
        "workflowName": f"order{number % 50}",
        "idempotencyKey": f"key-{number}",
        "status": state,
        "rev": 3,
        "generation": 1,
        "openSteps": 1,
        "failedSteps": 0,
        "steps": 3,
        "dismissed": False,
        "submittedAt": "2026-01-01T00:00:00.000Z",
        "at": {
            "stepId": f"{run_id}-a",
            "name": "charge",
            "url": "http://pay.test/charge",
            "status": state,
            "attempts": 2,
            "failures": 1,
            "retriesMax": 10,
            "startedAt": now(),
            "httpStatus": 503,
        },
    }


def page(query):
    limit = int(query.get("limit", ["50"])[0])
    newest = query.get("sort", ["-submittedAt"])[0].startswith("-")
    cursor = query.get("cursor", [None])[0]
    step = 1 if query.get("q", [""])[0] in ("", "is:live") else 50
    at = int(cursor[3:]) if cursor else (RUNS if newest else -1)
    numbers = range(at - 1, -1, -1) if newest else range(at + 1, RUNS)
    rows = [row(n) for n in numbers[: limit * step : step]]
    more = bool(rows) and len(rows) == limit
    return {
        "runs": rows,
        "total": RUNS // step,
        "totalIsEstimate": False,
        "next": rows[-1]["id"] if more else None,
    }


def status():
    return {
        "instance": "fake",
        "version": "0",
        "serverTime": now(),
        "startedAt": now(),
        "counts": {"running": 250_000},
        "rates": {"finishedPerS": 10.0},
        "stuckCount": 5,
        "lateCount": 0,
        "hosts": [],
    }


async def events(writer, per_s):
    number = 0
    beat = 0.0
    began = time.monotonic()
    while True:
        passed = time.monotonic() - began
        if passed >= beat:
            beat += 5
            data = json.dumps({"serverTime": now(), "sequence": f"f-{number}", "instance": "fake"})
            writer.write(
                f"event: heartbeat\n{'id: f-0' if not number else ''}\ndata: {data}\n\n".replace(
                    "\n\ndata", "\ndata"
                ).encode()
            )
        parts = []
        while number < passed * per_s:
            number += 1
            run = f"01K{RUNS - 1 - number % 2000:023d}"
            data = json.dumps(
                {
                    "kind": "started",
                    "at": now(),
                    "runId": run,
                    "stepId": f"{run}-a",
                    "status": "running",
                    "rev": number,
                    "number": number % 9,
                    "prev": f"f-{number - 1}",
                }
            )
            parts.append(f"event: attempt\nid: f-{number}\ndata: {data}\n\n")
        writer.write("".join(parts).encode())
        await writer.drain()
        await asyncio.sleep(0.01 if per_s else 0.5)


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = urlsplit(head.split(b" ", 2)[1].decode())
            if target.path == "/api/v1/events":
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                )
                await events(writer, PER_S)
            if target.path.endswith("/payload"):
                first, last = (
                    int(number)
                    for number in head.decode()
                    .lower()
                    .split("range: bytes=")[1]
                    .split("\r\n")[0]
                    .split("-")
                )
                part = BODY[first : last + 1]
                writer.write(
                    (
                        f"HTTP/1.1 206 Partial Content\r\natomic-content-type: application/json\r\ncontent-length: {len(part)}\r\n"
                        f"content-range: bytes {first}-{first + len(part) - 1}/{len(BODY)}\r\n\r\n"
                    ).encode()
                    + part
                )
                await writer.drain()
                continue
            answer = page(parse_qs(target.query)) if target.path == "/api/v1/runs" else status()
            body = json.dumps(answer).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % len(body)
                + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


PER_S = int(sys.argv[1])
asyncio.run(main())
