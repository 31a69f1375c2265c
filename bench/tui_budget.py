"""What the dashboard costs: bytes to the terminal, time to the first paint and to a key's answer,
many events, a million runs. `just tui-budget`; figures are printed beside their goals."""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from msgspec import convert  # noqa: E402

from engine.client import AsyncClient, Reposts  # noqa: E402
from engine.wire import RunTree, StepRow  # noqa: E402
from tests.tui.terminal import Terminal  # noqa: E402
from tui.screen.app import Dashboard  # noqa: E402
from tui.data.clock import SystemClock  # noqa: E402
from tui.data.model import step_of  # noqa: E402
from tui.settings import Options  # noqa: E402
from tui.act.sort import filter_by  # noqa: E402
from tui.act.open import open_run  # noqa: E402
from tui.screen.dialogs.body import BodyScreen  # noqa: E402
from tui.act.stage import BodyPage  # noqa: E402
from tui.data.store import Store, TreeRead  # noqa: E402

BEGAN = time.time()


def at(seconds):
    return (
        datetime.fromtimestamp(BEGAN + seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def run(number, state, due=None):
    run_id = f"01K{number:023d}"
    step = {
        "stepId": f"{run_id}-a",
        "name": "charge",
        "url": "http://pay.test/charge",
        "status": state,
        "attempts": 3,
        "failures": 2,
        "retriesMax": 10,
        "startedAt": at(-4),
        "dueAt": due and at(due),
        "httpStatus": 503,
    }
    return {
        "id": run_id,
        "client": "shop",
        "workflowName": "order.fulfil",
        "idempotencyKey": f"key-{number}",
        "status": state,
        "rev": 3,
        "generation": 1,
        "openSteps": 1,
        "failedSteps": 0,
        "steps": 3,
        "dismissed": False,
        "submittedAt": at(-90_000),
        "at": step,
    }


def recording(directory, rows, seconds):
    path = Path(directory) / "recording.ndjson"
    lines = [{"format": "atomic-recording-1", "began_ms": 0}]
    inputs = [
        (0, {"type": "link", "state": "live"}),
        (
            0,
            {
                "type": "status",
                "members": {
                    "instance": "a",
                    "serverTime": at(0),
                    "counts": {"backing-off": 10},
                    "stuckCount": 0,
                },
                "sent": 0.0,
                "received": 0.01,
            },
        ),
        (
            0,
            {
                "type": "runs",
                "listing": "runs",
                "edge": "head",
                "page": {"runs": rows, "total": len(rows), "totalIsEstimate": False, "next": None},
            },
        ),
    ]
    for beat in range(0, seconds, 5):
        inputs.append(
            (
                beat,
                {
                    "type": "event",
                    "id": "",
                    "kind": "heartbeat",
                    "members": {"serverTime": at(beat), "instance": "a"},
                },
            )
        )
    lines += [{"at_s": s, "input": i} for s, i in inputs]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return str(path)


def told(what, value, goal, unit):
    ok = "yes" if value <= goal else "NO"
    print(f"{what:<52} {value:>9.1f} {unit:<5} goal {goal:g} {unit:<5} {ok}", flush=True)


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent(rows, *options, seconds=20, recorded_s=90):
    """Bytes each second, and per cent of a core, while a recording is played, whose time is shown."""
    with tempfile.TemporaryDirectory() as directory:
        return written(("--replay", recording(directory, rows, recorded_s), *options), "STATE", seconds)


def due(per_s, *options, board="retries", shown="order.fulfil", seconds=45):
    """The same on a board, when so many retries are due a second."""
    process, url = server(0, per_s)
    try:
        return written((url, "--board", board, *options), shown, seconds)
    finally:
        process.kill()


def written(arguments, shown, seconds):
    with Terminal(*arguments) as terminal:
        terminal.until_shown(shown)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            terminal.read(0.1)
        before, cpu, end = (
            len(terminal.written),
            cpu_s(terminal.process.pid),
            time.monotonic() + seconds,
        )
        while time.monotonic() < end:
            terminal.read(0.1)
        cpu = cpu_s(terminal.process.pid) - cpu
        return (len(terminal.written) - before) / seconds, 100 * cpu / seconds


def first_paint():
    took = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as directory:
            path = recording(directory, [run(1, "running")], 10)
            began = time.monotonic()
            with Terminal("--replay", path, "--board", "home") as terminal:
                terminal.until_shown("Runs")
                took.append(time.monotonic() - began)
    return statistics.median(took)


def key_p95():
    rows = [run(n, "running") for n in range(200)]
    took = []
    with (
        tempfile.TemporaryDirectory() as directory,
        Terminal("--replay", recording(directory, rows, 90)) as terminal,
    ):
        terminal.until_shown("order.fulfil")
        terminal.read(1.0)
        for number in range(100):
            while terminal.read(0.02):
                pass
            began = time.monotonic()
            terminal.type("j" if number % 3 else "k")
            while not terminal.read(0.5):
                pass
            took.append((time.monotonic() - began) * 1000)
    return sorted(took)[94]


def server(per_s, due_per_s=0):
    process = subprocess.Popen(
        [sys.executable, ROOT / "bench" / "tui_server.py", str(per_s), str(due_per_s)],
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, f"http://127.0.0.1:{process.stdout.readline().strip()}"


def rss_mib():
    return (
        int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
        / 1024
    )


async def lateness(into):
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.01)
        into.append((time.monotonic() - began - 0.01) * 1000)


async def many_events(url, seconds):
    store = Store(SystemClock())
    app = Dashboard(
        store, Options(url=url, board="runs"), client=AsyncClient(url, reposts=Reposts(count=0))
    )
    late = []
    async with app.run_test(size=(120, 40)):
        await asyncio.sleep(3)
        rss, seen = rss_mib(), store.events_seen
        probe = asyncio.create_task(lateness(late))
        await asyncio.sleep(seconds)
        probe.cancel()
        return (
            sorted(late)[int(len(late) * 0.99)],
            rss_mib() - rss,
            (store.events_seen - seen) / seconds,
            store.link.missed_events,
        )


async def million(url):
    store = Store(SystemClock())
    app = Dashboard(
        store, Options(url=url, board="runs"), client=AsyncClient(url, reposts=Reposts(count=0))
    )
    took = {}
    async with app.run_test(size=(120, 40)):

        async def until(condition, began=None):
            began = began or time.monotonic()
            while not condition():
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.002)
            return (time.monotonic() - began) * 1000

        await until(lambda: len(app.selection().ids) >= 200)
        began = time.monotonic()
        app.run_command("last")
        took["jump"] = await until(
            lambda: app.selection().ids and app.selection().ids[-1].endswith("0" * 23), began
        )
        filter_by(app, "wf:order7")
        took["filter"] = await until(
            lambda: store.listing("runs").total == 20_000 and app.selection().ids
        )
        app.run_command("sort")
        took["sort"] = await until(
            lambda: app.selection().ids and app.selection().ids[0].endswith("0" * 23)
        )
        return took, rss_mib()


async def long_body(url):
    """Of one line of 5 MB: until its beginning is shown, the first time and again; how late the loop was for that, and while
    all of it is read."""
    app = Dashboard(
        Store(SystemClock()),
        Options(url=url),
        client=AsyncClient(url, reposts=Reposts(count=0)),
        feed=False,
    )
    step = step_of(
        convert(
            {
                "id": "s",
                "runId": "s",
                "parentId": None,
                "name": "charge",
                "workflowName": "order",
                "idempotencyKey": "k",
                "stepKey": "charge",
                "url": "http://pay.test/",
                "status": "running",
                "rev": 1,
                "generation": 1,
                "attempts": 1,
                "failures": 0,
                "retriesMax": 1,
                "submittedAt": at(0),
            },
            StepRow,
        )
    )
    late, found = [], []
    gc.freeze()  # as start.py has it
    async with app.run_test(size=(120, 40)) as pilot:
        await app.client.operate.payload("s", count=1)  # connected, as the dashboard is
        probe = asyncio.create_task(lateness(late))
        for _ in range(2):
            await pilot.pause(0.5)
            late.clear()
            began = time.monotonic()
            shown = BodyPage(step, None)
            screen = BodyScreen(app, app.client, shown, app.copying, app.outside)
            app.push_screen(screen)
            while (
                not screen.is_mounted or screen.query_one("#read-lines").virtual_size.height < 100
            ):
                await asyncio.sleep(0.002)
            found += [(time.monotonic() - began) * 1000, max(late)]
            await pilot.pause(0.5)
            if len(found) == 2:
                app.pop_screen()
        late.clear()
        while len(screen._parts[None].data) < 5_000_000:
            screen.action_scroll(1_000_000)
            await app.workers.wait_for_complete()
            await pilot.pause()
        probe.cancel()
        return *found, max(late)


async def wide_run():
    """A run with a fan-out of 4,998: taken in, and opened."""
    row = run(1, "running")
    common = {
        "workflowName": "order.fulfil",
        "idempotencyKey": "key-1",
        "runId": row["id"],
        "rev": 3,
        "generation": 1,
        "attempts": 1,
        "failures": 0,
        "retriesMax": 10,
        "submittedAt": at(-60),
        "url": "http://pay.test/ship",
    }

    def step(name, parent, status, number=""):
        id = row["id"] if parent is None else f"{row['id']}-{name}{number}"
        started = {"number": 1, "generation": 1, "status": "success", "startedAt": at(-50)}
        return common | {
            "id": id,
            "parentId": parent,
            "name": name,
            "stepKey": f"{name}{number}",
            "status": status,
            "attemptRows": [started],
        }

    fan = step("fan-out", row["id"], "waiting")
    steps = [step("index", None, "waiting"), fan]
    steps += [
        step("ship", fan["id"], "backing-off" if n % 50 == 0 else "completed", n)
        for n in range(4_998)
    ]
    tree = convert({"run": row, "steps": steps, "serverTime": at(0)}, RunTree)
    store = Store(SystemClock())
    app = Dashboard(store, Options(url="http://engine.test"))
    async with app.run_test(size=(80, 24)) as pilot:
        began = time.monotonic()
        store.apply(TreeRead(tree))
        taken = (time.monotonic() - began) * 1000
        began = time.monotonic()
        open_run(app, row["id"])
        while not app.selection("run").ids:
            await asyncio.sleep(0.001)
        await pilot.pause()
        return taken, (time.monotonic() - began) * 1000


def main():
    ticking = [run(n, "backing-off", 60 + 3 * n) for n in range(10)]
    still = [run(n, "completed") for n in range(10)]
    written, cpu = spent(ticking)
    told("bytes, 80x24, 10 ticking rows", written, 2_000, "B/s")
    told("CPU meanwhile", cpu, 1, "%")
    told("bytes with --slow-link", spent(ticking, "--slow-link")[0], 300, "B/s")
    over = spent(still, seconds=10, recorded_s=1)[0]  # its time stands
    told("bytes, idle, nothing changes", over, 0, "B/s")
    told("bytes, retries, 20 due a second", due(20)[0], 2_000, "B/s")
    told("bytes with --slow-link", due(20, "--slow-link")[0], 300, "B/s")
    at_home = {"board": "home", "shown": "TRIES"}
    told("bytes, home meanwhile", due(20, **at_home)[0], 2_000, "B/s")
    told("bytes with --slow-link", due(20, "--slow-link", **at_home)[0], 300, "B/s")
    told("start to first paint", first_paint() * 1000, 600, "ms")
    told("key to repaint, p95", key_p95(), 50, "ms")
    process, url = server(5_000)
    try:
        p99, grown, per_s, missed = asyncio.run(many_events(url, 30))
    finally:
        process.kill()
    told(f"loop late, p99, at {per_s:,.0f} events/s ({missed} gaps)", p99, 100, "ms")
    told("memory grown meanwhile", grown, 20, "MiB")
    process, url = server(0)
    try:
        took, rss = asyncio.run(million(url))
    finally:
        process.kill()
    process, url = server(0)
    try:
        opened, late, again, late_again, late_reading = asyncio.run(long_body(url))
    finally:
        process.kill()
    taken, shown = asyncio.run(wide_run())
    told("run of 5,000 steps: taken in", taken, 300, "ms")
    told("opened", shown, 300, "ms")
    told("5 MB in one line: opened the first time", opened, 200, "ms")
    told("loop late meanwhile, at most", late, 50, "ms")
    told("opened again", again, 200, "ms")
    told("loop late meanwhile, at most", late_again, 50, "ms")
    told("loop late while all of it is read, at most", late_reading, 50, "ms")
    for what, ms in took.items():
        told(f"1,000,000 runs: {what}", ms, 200, "ms")
    told("memory with them", rss, 100, "MiB")


os.environ.setdefault("PYTHONPATH", str(ROOT))
if __name__ == "__main__":
    main()
