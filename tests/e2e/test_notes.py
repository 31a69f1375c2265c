"""What people write of runs and causes, with a real engine: told where they look, over restarts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.harness import (
    Answer,
    Call,
    application,
    client,
    is_problem,
    restart,
    running,
)
from tests.e2e.tenants import a_world


async def bad(call: Call) -> Answer:
    return Answer(402, json.dumps({"error": f"order {call.payload} has no funds"}).encode())


async def test_notes_are_told_and_outlive_the_engine(tmp_path: Path) -> None:
    """With who and when; what was taken back is gone."""
    with running(tmp_path) as engine:
        async with application(bad=bad) as app, client(engine.url) as shop:
            posts = [
                await shop.post(app.at("bad"), f"{n}", n, retry={"count": 0}) for n in (17, 4711)
            ]
            run_id = posts[0].json()["runId"]
            done = await shop.act(run_id, "note", reason="vendor informed")
            assert (done.status_code, done.json()["action"]) == (202, "note")
            (cause,) = (await shop.read("/causes"))["causes"]
            assert (cause["runs"], cause["pattern"], cause["notes"]) == (
                2, "order * has no funds", [],
            )  # fmt: skip
            path = f"/api/v1/causes/{cause['cause']}/notes"
            for text in ("one", "two\x1b"):
                assert (await shop.http.post(path, json={"text": text})).status_code == 200
            taken = await shop.http.post(f"{path}/1/remove", json={})
            assert taken.json()["text"] == "one"
            is_problem(await shop.http.post(f"{path}/2/remove", json={}), 404, "not-found")
            is_problem(
                await shop.http.post(path, json={"text": "x" * 1_025}), 400, "invalid-request"
            )
            unknown = await shop.http.post("/api/v1/causes/00000000/notes", json={"text": "so"})
            is_problem(unknown, 404, "not-found")
            engine.kill()
            again = await restart(engine, tmp_path)
            try:
                (note,) = (await shop.read(f"/runs/{run_id}"))["notes"]
                (same,) = (await shop.read("/causes"))["causes"]
                page = (await shop.get("/ui/stuck")).text
            finally:
                again.kill()
    assert note["text"] == "vendor informed"
    assert note["actor"].startswith("http:")
    assert note["at"].endswith("Z")
    assert (same["cause"], [it["text"] for it in same["notes"]]) == (cause["cause"], ["two\x1b"])
    assert "all of them: order * has no funds<" in page
    assert ": two\u241b<" in page


async def test_one_client_learns_nothing_of_anothers_notes(tmp_path: Path) -> None:
    """Of a cause that both have: each has their own, and who sees all has others again."""
    async with a_world(tmp_path) as world:
        causes = (await world.admin.operate.causes()).causes
        assert causes
        for each in causes:
            await world.admin.operate.note_cause(each.cause, "of all")
        for person in world.alphas.values():
            answer = await person.http.get("/api/v1/causes")
            if answer.status_code == 200:
                assert all(it["notes"] == [] for it in answer.json()["causes"])
                assert "of all" not in (await person.http.get("/ui/stuck")).text
