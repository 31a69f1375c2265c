"""An engine that is none: answers what the dashboard reads, for a million runs, and streams events at
a rate; or, with a second number, that many retries a second. Only for `tui_budget.py`: what is
measured is the dashboard."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

RUNS = 1_000_000
BODY = b'{"text":"' + b"x" * 5_000_000 + b'"}'
STATES = ("running", "backing-off", "completed", "failed")


BACK_OFF_S, IN_FLIGHT_S = 10.0, 0.2
WORKFLOWS = ("order.fulfil", "invoice.sync", "webhook.fanout", "kyc.check", "report.daily")
STEPS = ("charge_card", "ship", "notify", "settle", "push_erp", "verify", "reserve")
REASONS = (
    (503, None, "upstream is being restarted"),
    (429, None, "slow down"),
    (None, "connection-refused: nothing listens there", None),
    (502, None, None),
)
BEGAN = time.time()


def now():
    return rfc3339(time.time())


def rfc3339(at):
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


def retry_row(number, tries, due):
    """A step of an incident at several hosts: each row says something else than its neighbours."""
    http_status, error, excerpt = REASONS[number % 4]
    run_id = f"01K{number * 7_919:023d}"
    return {
        "runId": run_id,
        "client": "shop",
        "workflowName": WORKFLOWS[number % 5],
        "rev": tries,
        "at": {
            "stepId": f"{run_id}-a",
            "name": STEPS[number % 7],
            "url": f"http://host{number % 3}.test/x",
            "status": "backing-off",
            "attempts": tries,
            "failures": tries,
            "retriesMax": 1_000,
            "startedAt": rfc3339(due - BACK_OFF_S),
            "dueAt": rfc3339(due),
            "delayBy": "policy",
            "httpStatus": http_status,
            "error": error,
            "excerpt": excerpt,
        },
    }


def retries():
    """Each of so many steps that `DUE_PER_S` are due each second, but for those in flight."""
    passed, found = time.time() - BEGAN, []
    for number in range(int(DUE_PER_S * BACK_OFF_S)):
        first = number / DUE_PER_S
        tries = max(0, int((passed - IN_FLIGHT_S - first) // BACK_OFF_S) + 1)
        due = first + tries * BACK_OFF_S
        if due > passed:
            found.append((due, retry_row(number, tries + 1, BEGAN + due)))
    return {"retries": [row for _, row in sorted(found, key=lambda each: each[0])], "next": None}


def running():
    """The ten that have been running for longest, as home has them."""
    rows = []
    for number in range(10):
        found = row(4 * number)
        began = rfc3339(BEGAN - 40 * (10 - number))
        rows.append(found | {"submittedAt": began, "at": found["at"] | {"startedAt": began}})
    return {"runs": rows, "total": len(rows), "totalIsEstimate": False, "next": None}


def causes():
    """Why more and more runs need a person."""
    found = []
    for number, (http_status, error, excerpt) in enumerate(REASONS):
        at = row(4 * number)["at"] | {
            "status": "failed",
            "httpStatus": http_status,
            "error": error,
            "excerpt": excerpt,
        }
        found.append(
            {
                "cause": f"cause{number}",
                "runs": stuck(number),
                "newRuns": min(stuck(number), 300),
                "firstAt": rfc3339(BEGAN - 9_000),
                "lastAt": rfc3339(time.time() - 7 * number),
                "runId": f"01K{number:023d}",
                "workflowName": WORKFLOWS[number],
                "status": "failed",
                "at": at,
            }
        )
    return {"causes": found, "runs": sum(each["runs"] for each in found), "newWithinMs": 300_000}


def stuck(number):
    return 40 * (4 - number) + int((time.time() - BEGAN) / (number + 1))


def hosts():
    """Of three one fails more and more, and one is down."""
    lately = int((time.time() - BEGAN) % 60 * DUE_PER_S / 3)
    well, ill = [400] * 10 + [lately], [0] * 7 + [60, 120, 180, lately]
    return [
        host_row("host0.test", {"2xx": well, "5xx": ill}),
        host_row("host1.test", {"2xx": well}),
        host_row("host2.test", {"2xx": [0] * 11, "connection-refused": well}),
    ]


def host_row(name, results):
    minutes = [sum(counts) for counts in zip(*results.values(), strict=True)][-8:]
    succeeded = results["2xx"][-8:]
    return {
        "host": name,
        "ended": sum(minutes),
        "succeeded": sum(succeeded),
        "p95Ms": 212,
        "byMinute": list(zip(minutes, succeeded, strict=True)),
        "inFlight": 4,
        "queued": 0,
        "results": results,
    }


def due_when():
    """How many of those that wait are due when."""
    waiting = int(DUE_PER_S * (BACK_OFF_S - 1))
    return [
        {"upToMs": 10_000, "attempts": waiting - int(time.time()) % 7},
        {"upToMs": 60_000, "attempts": 0},
        {"upToMs": None, "attempts": 0},
    ]


def happened(number):
    """Of those the event of this number: an attempt has started, or ended."""
    order, is_end = divmod(number - 1, 2)
    step = order % int(DUE_PER_S * BACK_OFF_S)
    http_status, error, excerpt = REASONS[step % 4]
    run = f"01K{step * 7_919:023d}"
    fact = {"kind": "started", "status": "running"}
    if is_end:
        fact = {
            "kind": "attempt-ended",
            "status": "backing-off",
            "countsAs": "failure",
            "httpStatus": http_status,
            "error": error,
            "excerpt": excerpt,
            "delayMs": int(BACK_OFF_S * 1000),
            "delayBy": "policy",
            "dueAt": rfc3339(time.time() + BACK_OFF_S),
        }
    return fact | {"runId": run, "stepId": f"{run}-a", "rev": number + 1}


def status():
    return {
        "instance": "fake",
        "version": "0",
        "serverTime": now(),
        "startedAt": now(),
        "counts": {"running": 250_000},
        "rates": {
            "finishedPerS": 10.0,
            "runsPerS": 10.0,
            "attemptsPerS": DUE_PER_S + int(time.time()) % 5,
        },
        "stuckCount": sum(map(stuck, range(len(REASONS)))) if DUE_PER_S else 5,
        "lateCount": 0,
        "due": due_when() if DUE_PER_S else [],
        "hosts": hosts() if DUE_PER_S else [],
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
            fact = {
                "kind": "started",
                "runId": run,
                "stepId": f"{run}-a",
                "status": "running",
                "rev": number,
                "number": number % 9,
            }
            fact = happened(number) if DUE_PER_S else fact
            data = json.dumps(fact | {"at": now(), "prev": f"f-{number - 1}"})
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
                await events(writer, PER_S or 2 * DUE_PER_S)
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
            answer = status()
            if target.path == "/api/v1/runs":
                query = parse_qs(target.query)
                answer = running() if query.get("q") == ["is:running"] else page(query)
            elif target.path == "/api/v1/causes":
                answer = causes()
            elif target.path == "/api/v1/retries":
                answer = retries()
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
DUE_PER_S = int(sys.argv[2]) if len(sys.argv) > 2 else 0
asyncio.run(main())
