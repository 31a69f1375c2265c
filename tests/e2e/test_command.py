"""The command against a real engine: what is acted on in bulk, by whom, and what is shown."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from click.testing import CliRunner, Result

from engine.cli.main import main
from tests.e2e.harness import Answer, Call, Client, EngineProcess, application, eventually_async

NO_RETRY = {"count": 0}
NASTY = b"ill \x1b[2J \xff"


@pytest.fixture
def command(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> partial[Result]:
    """Runs the command in this process."""
    monkeypatch.setenv("ATOMIC_URL", engine.url)
    for name in ("ATOMIC_CLIENT", "ATOMIC_ACTOR", "ATOMIC_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    return partial(CliRunner().invoke, main, prog_name="atomic")


async def test_runs_that_failed_are_found_looked_at_and_retried(
    shop: Client, command: partial[Result]
) -> None:
    """By filter, with the bytes of an answer; in bulk by a name that their job and events keep."""
    mended = False

    async def ill(call: Call) -> Answer:
        return Answer(200) if mended else Answer(503, NASTY, {"Content-Type": "text/html"})

    async def atomic(*arguments: str) -> Result:
        return await trio.to_thread.run_sync(partial(command, list(arguments)))

    async with application(ill=ill) as app:
        for number in range(3):
            await shop.post(app.at("ill"), f"k{number}", retry=NO_RETRY)
        q = f"is:failed client:{shop.name}"
        listed = await atomic("runs", "--filter", q, "--since", "1h")
        assert (listed.exit_code, listed.stderr) == (0, "3 runs\n")
        run_id = listed.stdout.splitlines()[1].split()[2]
        body = await atomic("body", run_id)
        assert (body.exit_code, body.stdout_bytes) == (0, NASTY)
        wrong = await atomic("runs", "--filter", f"{q} is:sick")
        assert (wrong.exit_code, wrong.stderr.splitlines()[-1]) == (2, f"  {' ' * len(q)} ^")

        mended = True
        few = await atomic("bulk", "retry", "--filter", q, "--yes", "2")
        assert few.exit_code == 4
        done = await atomic(
            *("bulk", "retry", "--filter", q, "--yes", "3", "--rate", "100", "--as", "ada")
        )
        assert (done.exit_code, done.stdout.splitlines()[-2]) == (0, "retry done: 3 of 3 runs")

        async def all_completed() -> bool:
            page = await shop.read(f"/runs?client={shop.name}&status=completed")
            return len(page["runs"]) == 3

        await eventually_async(all_completed)
    (job,) = [job for job in (await shop.read("/bulk"))["jobs"] if job["q"] == q]
    assert (job["actor"], job["address"]) == ("ada", "127.0.0.1")
    jobs = await atomic("bulk", "list")
    assert "3 of 3  0           ada" in jobs.stdout
