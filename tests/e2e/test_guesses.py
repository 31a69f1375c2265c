"""What a client hides cannot be found by trying values, with a real engine: a person who may read
has the digests of payloads and results, and one who may post has the rest of the body."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.core.text.fingerprint import fingerprint
from tests.e2e.bank import Bank, bank
from tests.e2e.harness import SETTINGS, Answer, Call, restart

PINS = [f"{number:04}" for number in range(0, 10_000, 7)]
PIN = PINS[6]
"""One of few."""


def order(pin: str) -> dict[str, str]:
    return {"order": "o-1", "pin": pin}


def tried() -> set[bytes]:
    """The digests of whatever the payload, or a result that was set, may be."""
    found = set()
    for pin in PINS:
        payload = json.dumps(order(pin)).encode()
        spelled = json.dumps(order(pin), separators=(",", ":")).encode()
        found.add(fingerprint(payload))
        for status in (0, 200):
            found.add(sha256(f"{status} application/json\n".encode() + spelled).digest())
    return found


async def repair(it: Bank, run_id: str, **members: Any) -> None:
    path = f"/api/v1/runs/{run_id}/actions"
    done = await it.people["operate"].post(path, json={"reason": "a typo", **members})
    assert done.status_code == 202, done.text


def digests_in(events: list[dict[str, Any]]) -> list[tuple[str, bytes]]:
    """Each with the kind of its event."""
    told = []
    for event in events:
        spec = event.get("spec") or {}
        texts = (event.get("digest"), event.get("fingerprint"), spec.get("fingerprint"))
        told += [(event["kind"], b64decode(text)) for text in texts if text]
    return told


async def test_a_reader_of_events_cannot_try_out_what_is_hidden(tmp_path: Path) -> None:
    """Neither of a payload that was posted, posted otherwise or set, nor of a result: with the rest
    of it in sight, and few values to try. What is the same is told the same, also after a restart,
    and the engine knows the payload still."""
    async with bank(tmp_path, ["/pin"]) as it:

        async def shop(call: Call) -> Answer:
            step = await it.of.post(
                it.app.at("good"), "o-1", order(PIN if call.attempt == 1 else "x")
            )
            return Answer(500 if call.attempt == 1 else 200, step.content)

        it.app.handlers["shop"] = shop
        posted = await it.of.post(
            it.app.at("shop"), "o-1", order(PIN), retry={"count": 1, "backOff": 1}
        )
        run_id = posted.json()["runId"]
        assert posted.status_code == 200, posted.text
        await repair(it, run_id, action="set-result", step=run_id, result=order(PIN))
        told = digests_in(await it.events("read"))
        kinds = [kind for kind, _ in told]
        assert kinds == ["accepted", "accepted", "payload-differed", "result-set"]
        assert tried().isdisjoint(each for _, each in told)
        assert told[0] == told[1] != told[2]
        reused = await it.people["operate"].post("/bank", json={
            "workflowName": "w", "stepInvokeUrl": it.app.at("shop"), "idempotencyKey": "o-1",
            "payload": order("x"),
        })  # fmt: skip
        assert reused.status_code == 422
        names = ("recordedFingerprint", "postedFingerprint")
        both = [bytes.fromhex(reused.json()[name]) for name in names]
        assert both == [told[0][1], told[2][1]]
        await repair(it, run_id, action="rerun", payload=order(PIN))
        assert tried().isdisjoint(each for _, each in digests_in(await it.events("read")))
        it.engine.kill()
        files = {f"{name}_token_file": str(tmp_path / f"{name}.token") for name in it.people}
        del files["bank_token_file"]
        await restart(
            it.engine, tmp_path, **SETTINGS, **files, clients_dir=str(tmp_path / "clients")
        )
        assert digests_in(await it.events("read"))[:4] == told
        again = await it.of.post(it.app.at("shop"), "o-1", order(PIN))
        assert again.status_code == 200, again.text


async def test_who_posts_without_the_payload_is_shown_what_people_are(tmp_path: Path) -> None:
    """A step that is known is answered whatever payload it is posted with: a person, of any role
    that may post, gets that masked, and the application, and who has the payload, whole."""
    async with bank(tmp_path, ["/secretOf"]) as it:

        async def shop(call: Call) -> Answer:
            step = await it.of.post(it.app.at("good"), "o-1", order(PIN))
            return Answer(200, step.content)

        it.app.handlers["shop"] = shop
        assert (await it.of.post(it.app.at("shop"), "o-1", order(PIN))).status_code == 200
        for role in ("admin", "operate", "bank"):
            for payload in (order(PIN), order("x")):
                told = await it.people[role].post("/bank", json={
                    "workflowName": "w", "stepInvokeUrl": it.app.at("good"),
                    "idempotencyKey": "o-1", "payload": payload,
                })  # fmt: skip
                assert told.status_code == 200, told.text
                is_masked = role != "bank" and payload != order(PIN)
                assert told.headers.get("atomic-redacted") == ("true" if is_masked else None)
                assert (told.json()["response"]["secretOf"] == "***") is is_masked
