"""loader.py FILE --runs N --kind finished|single|waiting: a database file, through the engine's
own store.

single    a root that was called once, and has completed
finished  createUser as it stands after it has completed: a root and three children, each called once
waiting   a root that failed once and waits in back-off; due from 30 s to 2 h after the loading ends,
          but for `--soon` of them, which are due together `--soon-s` after the loading ends

Keys are random, client and workflow those of the load generator, times those of a life a few hours
ago. The file is written without syncs: it is no record of anything, and is made again if it breaks.
Prints one JSON line; times in it are seconds, `soon_at` is seconds since the epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.process.clock import Ids  # noqa: E402
from engine.core.rules import attempt as settle  # noqa: E402
from engine.core.events import Started  # noqa: E402
from engine.core.text.fingerprint import fingerprint  # noqa: E402
from engine.core.model import Run, StepSpec  # noqa: E402
from engine.core.outcome import Answered  # noqa: E402
from engine.core.rules.post import RunLimits, find_or_record, open_run  # noqa: E402
from engine.core.retry import RetryPolicy  # noqa: E402
from engine.ports.store import Body, Write  # noqa: E402
from engine.store.sqlite.file.owner import Owner  # noqa: E402
from engine.store.sqlite.store import open_store  # noqa: E402

HOUR_MS = 3_600_000
BATCH_RUNS = 2_000
"""Runs written before one commit is waited for: what is held in memory at once."""
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
STOPS = RetryPolicy(stop_on=(422,))
CHILD_RETRY = RetryPolicy(count=10, back_off_ms=1_000)
WAITING_RETRY = RetryPolicy(
    count=10, back_off_ms=3 * HOUR_MS, max_back_off_ms=6 * HOUR_MS, jitter=1.0
)
"""Delays of 3 to 6 h, by chance: what failed some 3 h ago can be due at any time of the next 2 h."""
FIRST_RUNS = 20_000
"""While the speed is not well known runs are due only in the second hour."""


class Past:
    """The clock that ids are made by: stands where it is put."""

    def __init__(self) -> None:
        self.now = 0

    def steady_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.now

    def token_bytes(self, count: int) -> bytes:
        """Chance."""
        return random.randbytes(count)


def new_key() -> str:
    """26 random characters."""
    return "".join(random.choices(ALPHABET, k=26))


def payload_of(key: str) -> bytes:
    """What the load generator posts, byte for byte."""
    return b'{"id":"%b","email":"%b@example.com","name":"Some One"}' % (key.encode(), key.encode())


def answer_of(step: str, key: str) -> bytes:
    """What a step's endpoint answers."""
    return json.dumps({"ok": True, "step": step, "id": key}).encode()


def finished_run(run_id: str, base: str, at: int, *, fails: bool = False) -> Write:
    """One createUser that has completed, or failed when its steps were done, as one write."""
    key = new_key()
    payload = payload_of(key)
    root_url = f"{base}/workflows/createUser"
    run = Run(id=run_id, client="bench", submitted_at=at)
    policy = STOPS if fails else None
    spec = StepSpec(
        "createUser", key, root_url, root_url, "createUser", fingerprint(payload), policy
    )
    change, _ = open_run(run, spec, at)
    change.close(at)
    change.do(Started(at, run_id, 1))
    change.close(at)
    bodies = [Body(run_id, 1, payload)]
    user = answer_of("createUser", key)
    given = (("createUser", payload), ("sendEmail", user), ("sendAnalytics", user))
    for name, posted in given:
        at += 2
        url = f"{base}/steps/{name}"
        spec = StepSpec("createUser", key, url, url, name, fingerprint(posted), CHILD_RETRY)
        step_id = find_or_record(change, spec, None, RunLimits(), at).step_id
        change.do(Started(at, step_id, 1))
        settle.settle(change, step_id, 1, Answered(200), now=at + 1, chance=0.0)
        answer = answer_of(name, key)
        bodies += [
            Body(step_id, 1, posted),
            Body(step_id, 1, answer, "application/json", answer=True, size=len(answer)),
        ]
    members = (b'"%b": %b' % pair for pair in (
        (b"user", user), (b"email", answer_of("sendEmail", key)),
        (b"analytics", answer_of("sendAnalytics", key)),
    ))  # fmt: skip
    result = b"{" + b", ".join(members) + b"}"
    answer_to_it = Answered(422 if fails else 200)
    settle.settle(change, run_id, 1, answer_to_it, now=at + 2, chance=0.0)
    change.close(at + 2)
    bodies.append(Body(run_id, 1, result, "application/json", answer=True, size=len(result)))
    return Write(change, tuple(bodies))


def single_run(run_id: str, base: str, at: int, *, fails: bool = False) -> Write:
    """One run of one step that has completed, or failed, as one write."""
    key = new_key()
    payload, url = payload_of(key), f"{base}/workflows/createUser"
    run = Run(id=run_id, client="bench", submitted_at=at)
    policy = STOPS if fails else None
    spec = StepSpec("createUser", key, url, url, "createUser", fingerprint(payload), policy)
    change, _ = open_run(run, spec, at)
    change.close(at)
    change.do(Started(at, run_id, 1))
    change.close(at)
    settle.settle(change, run_id, 1, Answered(422 if fails else 200), now=at + 2, chance=0.0)
    change.close(at + 2)
    answer = answer_of("createUser", key)
    answered = Body(run_id, 1, answer, "application/json", answer=True, size=len(answer))
    return Write(change, (Body(run_id, 1, payload), answered))


def waiting_run(run_id: str, url: str, at: int, due_at: int) -> Write:
    """A root that failed at `at` and is due at `due_at`, 3 to 6 h later; as one write."""
    key = new_key()
    payload = payload_of(key)
    run = Run(id=run_id, client="bench", submitted_at=at)
    spec = StepSpec("createUser", key, url, url, "createUser", fingerprint(payload), WAITING_RETRY)
    change, _ = open_run(run, spec, at)
    change.close(at)
    change.do(Started(at, run_id, 1))
    change.close(at)
    chance = (due_at - at) / (3 * HOUR_MS) - 1
    settle.settle(change, run_id, 1, Answered(500), now=at, chance=min(max(chance, 0.0), 0.999999))
    change.close(at)
    failed = Body(run_id, 1, b"", "", answer=True, size=0)
    return Write(change, (Body(run_id, 1, payload), failed))


class Loader:
    """Makes the writes of one file, in order of submission."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.clock = Past()
        self.ids = Ids(self.clock)
        self.began = time.time()
        self.soon_at = 0.0
        self.url = f"http://127.0.0.1:{options.app_port}"

    def write(self, number: int) -> Write:
        """The write of run `number`, counted from 0."""
        options = self.options
        now = int(time.time() * 1000)
        lasts_ms = 10 * 60_000  # the runs were submitted over ten minutes
        into = lasts_ms * number // options.runs
        if options.kind != "waiting":
            ago = 4 * HOUR_MS + options.days_ago * 24 * HOUR_MS
            self.clock.now = int(self.began * 1000) - ago + into
            every = options.failed_every
            fails = every > 0 and number % every == 0
            make = finished_run if options.kind == "finished" else single_run
            return make(self.ids.run_id(), self.url, self.clock.now, fails=fails)
        self.clock.now = int(self.began * 1000) - 3 * HOUR_MS - lasts_ms + into
        if number >= options.runs - options.soon:
            due_at = int(self.soon_at * 1000)
            return waiting_run(self.ids.run_id(), self.url + "/soon", self.clock.now, due_at)
        speed = (number + 1) / max(time.time() - self.began, 0.01)
        ends = now + int((options.runs - number) / speed * 1100) + 5_000
        earliest = 30_000 if number >= FIRST_RUNS or options.runs <= FIRST_RUNS else HOUR_MS
        due_at = ends + earliest + int(random.random() * (2 * HOUR_MS - earliest))
        return waiting_run(self.ids.run_id(), self.url + "/later", self.clock.now, due_at)

    async def load(self) -> None:
        """Write them all, waiting for a commit after each BATCH_RUNS."""
        options = self.options
        owner = Owner(os.getpid(), "loader", "now")
        at = int(time.time() * 1000)
        path = Path(options.file)
        async with open_store(path, owner, started_at=at, synchronous="OFF") as store:
            said = time.time()
            for number in range(options.runs):
                if number == options.runs - options.soon:
                    self.soon_at = time.time() + options.soon_s
                receipt = store.write(self.write(number))
                if number % BATCH_RUNS == BATCH_RUNS - 1:
                    await receipt.wait()
                    await store.writer.wait_rows()  # they would gather in memory
                    if time.time() - said > 10:
                        said = time.time()
                        speed = (number + 1) / (said - self.began)
                        print(f"  {number + 1:,} runs, {speed:,.0f}/s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--kind", choices=("finished", "single", "waiting"), required=True)
    parser.add_argument(
        "--app-port", type=int, default=9300, help="of the runs' endpoints, on loopback"
    )
    parser.add_argument(
        "--soon", type=int, default=0, help="how many waiting runs are due together"
    )
    parser.add_argument(
        "--soon-s", type=float, default=60, help="how long after the loading they are"
    )
    parser.add_argument(
        "--days-ago", type=int, default=0, help="how many days earlier the finished runs were"
    )
    parser.add_argument(
        "--failed-every", type=int, default=0, help="of so many finished runs one has failed"
    )
    options = parser.parse_args()
    loader = Loader(options)
    trio.run(loader.load)
    took = time.time() - loader.began
    path, runs = Path(options.file), options.runs
    with path.open("rb") as file:
        os.fsync(file)  # else the engine's first commits wait for a gigabyte that is not theirs
    told = {
        "runs": runs, "kind": options.kind, "took_s": round(took, 1), "runs_per_s": round(runs / took),
        "soon_at": loader.soon_at, "payload_bytes": len(payload_of(new_key())),
        "file_bytes": sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*")),
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
