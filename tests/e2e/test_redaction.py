"""What a client hides is nowhere that people look, with a real engine: a canary at each place of
payloads and answers, and everything that is written and shown searched for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.bank import CANARY, GOOD, OTHER, OWN, PAYLOAD, ROLES, RULES, bank, hidden
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Call,
    application,
    eventually,
    eventually_async,
    restart,
)


async def test_nobody_who_looks_sees_what_a_client_hides(tmp_path: Path) -> None:
    """Lists, trees, causes, bodies, events, commands, screens, metrics and the log; the calls and
    the application's own outcomes are whole."""
    async with bank(tmp_path) as it:
        ids = {name: await it.run(name) for name in ("good", "bad", "page", "elsewhere")}
        assert it.app.called("good")[0].payload == PAYLOAD
        outcome = await it.people["bank"].get(f"/api/v1/steps/{ids['good']}/outcome")
        assert json.dumps(outcome.json()["response"]) == GOOD.decode()
        again = await it.of.post(it.app.at("good"), "good", PAYLOAD)
        assert (again.json()["response"]["secretOf"], again.headers["idempotent-replayed"]) == (
            OWN,
            "true",
        )
        for role in ROLES:
            for path in _looks(ids):
                found = await it.people[role].get(path)
                assert found.status_code in (200, 403, 424), (role, path, found.text)
                if found.status_code != 403:
                    hidden(found.text)
        operator = it.people["operate"]
        body = await operator.get(f"/api/v1/steps/{ids['good']}/response")
        assert body.headers["atomic-redacted"] == "true"
        assert body.json() == {"card": {"number": "***"}, "secretOf": "***", "plain": "shown"}
        payload = await operator.get(f"/api/v1/steps/{ids['bad']}/payload")
        assert payload.json()["items"] == [{"iban": "***"}]
        bare = await it.of.post(it.app.at("good"), "bare")  # no payload is one that hides nothing
        told = await operator.get(f"/api/v1/steps/{bare.json()['runId']}/response")
        assert told.json()["plain"] == "shown"
        seen = await operator.get(f"/api/v1/steps/{ids['good']}/outcome")
        assert (seen.json()["response"]["secretOf"], seen.headers["atomic-redacted"]) == (
            "***",
            "true",
        )
        tree = (await operator.get(f"/api/v1/runs/{ids['bad']}")).json()
        assert tree["steps"][0]["excerpt"] == "card *** and *** declined; X-Bank-Key:***"
        page_tree = (await operator.get(f"/api/v1/runs/{ids['page']}")).json()
        assert page_tree["steps"][0]["excerpt"] == "***"
        for arguments in _commands(ids):
            done = await it.command(*arguments)
            assert done.exception is None or isinstance(done.exception, SystemExit), done.output
            hidden(done.output)
        hidden(json.dumps(await it.events("admin")))
        it.engine.stop()
        hidden(it.engine.text)


def _looks(ids: dict[str, str]) -> list[str]:
    one = [
        f"/api/v1/{path}"
        for run_id in ids.values()
        for path in (
            f"runs/{run_id}",
            f"steps/{run_id}",
            f"steps/{run_id}/outcome",
            f"steps/{run_id}/payload",
            f"steps/{run_id}/response",
            f"steps/{run_id}/attempts/1/response",
        )
    ]
    many = ["status", "runs", "causes", "retries", "bulk", "holds", "audit", "clients"]
    return [*one, *(f"/api/v1/{path}" for path in many), "/metrics"]


def _commands(ids: dict[str, str]) -> list[tuple[str, ...]]:
    each: list[tuple[str, ...]] = []
    for run_id in ids.values():
        each += [
            ("show", run_id), ("show", run_id, "--json"), ("body", run_id),
            ("body", run_id, "--payload"), ("outcome", run_id), ("outcome", run_id, "--json"),
        ]  # fmt: skip
    return [*each, ("runs",), ("runs", "--json"), ("causes",), ("status",), ("tui", "--once")]


async def test_what_was_hidden_before_another_payload_is_hidden_after_it(tmp_path: Path) -> None:
    """The answer of then quotes the payload of then, which today's payload knows nothing of."""

    async def charge(call: Call) -> Answer:
        return Answer(200, json.dumps({"note": f"charged {call.payload['card']}"}).encode())

    async with bank(tmp_path, ["/card"]) as it:
        it.app.handlers["charge"] = charge
        posted = await it.of.post(it.app.at("charge"), "charge", {"card": CANARY})
        run_id = posted.json()["runId"]
        operator = it.people["operate"]
        order = {"action": "rerun", "payload": {"card": OTHER}, "reason": "a typo"}
        done = await operator.post(f"/api/v1/runs/{run_id}/actions", json=order)
        assert done.status_code == 202, done.text
        path = f"/api/v1/steps/{run_id}"

        async def completed() -> bool:
            found = (await operator.get(f"/api/v1/runs/{run_id}")).json()["run"]
            return (found["status"], found["generation"]) == ("completed", 2)

        await eventually_async(completed)
        looks = ("response", "response?generation=1", "response?generation=2",
                 "attempts/1/response", "attempts/2/response", "outcome")  # fmt: skip
        for look in looks:
            found = await operator.get(f"{path}/{look}")
            assert (found.status_code, "***" in found.text) == (200, True), found.text
            hidden(found.text)


async def test_a_masked_body_that_is_edited_and_sent_back_is_refused(tmp_path: Path) -> None:
    """By the command too, which says where; nothing has changed. With the values it is taken."""
    async with bank(tmp_path) as it:
        run_id = await it.run("bad")
        masked = (await it.command("body", run_id, "--payload")).stdout
        edited = masked.replace('"shown"', '"mended"')
        assert edited != masked
        for arguments in (
            ("rerun", run_id, "--payload", edited, "--reason", "a typo"),
            ("rerun", run_id, "--payload", edited, "--reason", "a typo", "--dry-run"),
            ("set-result", run_id, "--step", run_id, "--result", edited, "--reason", "so"),
        ):
            refused = await it.command(*arguments)
            assert refused.exit_code == 4, refused.output
            assert "/card/number, /items/0/iban" in refused.stderr
        tree = (await it.people["operate"].get(f"/api/v1/runs/{run_id}")).json()
        assert (tree["run"]["generation"], tree["run"]["status"]) == (1, "failed")
        whole = json.dumps(PAYLOAD | {"ok": "mended"})
        done = await it.command("rerun", run_id, "--payload", whole, "--reason", "a typo")
        assert done.exit_code == 0, done.output
        await eventually(lambda: len(it.app.calls) == 2)
        assert it.app.calls[1].payload == json.loads(whole)


async def test_what_is_hidden_is_said(tmp_path: Path) -> None:
    """Of a client that a file defines, by the command and its list, to who may see clients."""
    async with bank(tmp_path) as it:
        for arguments in (("client", "redact", "bank"), ("client", "ls")):
            said = await it.command(*arguments, role="admin")
            assert " ".join(RULES) in said.stdout, said.output
            assert (await it.command(*arguments)).exit_code == 4
        one = await it.command("client", "redact", "bank", role="admin")
        assert "bank.toml" in one.stderr


async def test_an_admin_may_ask_for_all_of_it_and_that_is_kept(tmp_path: Path) -> None:
    """Others are refused, in words; both are in the audit. Nobody else's rules and no range show a
    part of it."""
    async with bank(tmp_path) as it:
        run_id = await it.run("good")
        path = f"/api/v1/steps/{run_id}/response"
        refused = await it.people["operate"].get(path, params={"whole": "true"})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        assert "for the role admin" in refused.json()["detail"]
        for role in ("read", "bank"):
            assert (await it.people[role].get(path, params={"whole": "true"})).status_code == 403
        whole = await it.people["admin"].get(
            path, params={"whole": "true"}, headers={"Atomic-Actor": "ada"}
        )
        assert (whole.content, whole.headers["atomic-redacted"]) == (GOOD, "false")
        assert (await it.people["admin"].get(path, params={"whole": "yes"})).status_code == 400
        shown = (await it.people["admin"].get(path)).content
        part = await it.people["admin"].get(path, headers={"Range": "bytes=10-29"})
        assert (part.status_code, part.content) == (206, shown[10:30])
        assert part.headers["content-range"] == f"bytes 10-29/{len(shown)}"
        assert part.headers["atomic-full-size"] == str(len(shown))
        printed = await it.command("body", run_id, "--payload", "--whole", role="admin")
        assert json.loads(printed.stdout) == PAYLOAD
        denied = await it.command("body", run_id, "--whole")
        assert (denied.exit_code, "for the role admin" in denied.output) == (4, True)
        assert "masked in part" in (await it.command("body", run_id)).stderr
        audit = (await it.people["admin"].get("/api/v1/audit")).json()["entries"]
    acts = [(e["actor"], e["act"], e["what"], e["status"]) for e in audit if "body" in e["act"]]
    own = f"{run_id} 1"
    names = [name.rpartition(" (")[0] or name for name, *_ in acts]
    assert [name.partition(".")[0] for name in names] == ["operate", "admin", "admin", "operate"]
    assert [it[1:] for it in acts] == [
        ("body --whole --attempt", own, 403),
        ("body --whole --payload", run_id, 200),
        ("body --whole", run_id, 200),
        ("body --whole", run_id, 403),
    ]
    assert "(ada)" in acts[2][0]


@pytest.mark.slow
async def test_it_holds_after_a_crash_and_when_the_client_has_gone(tmp_path: Path) -> None:
    """The reason was masked before it was recorded; the rules of a client outlive it, as its runs
    do; the body is recorded whole."""
    async with bank(tmp_path) as it:
        run_id = await it.run("bad")
        it.engine.kill()
        (tmp_path / "clients" / "bank.toml").unlink()
        files = {f"{name}_token_file": str(tmp_path / f"{name}.token") for name in ROLES}
        files["clients_dir"] = str(tmp_path / "clients")
        again = await restart(it.engine, tmp_path, **SETTINGS, **files)
        for path in (f"runs/{run_id}", f"steps/{run_id}/payload", f"steps/{run_id}/response"):
            found = await it.people["operate"].get(f"/api/v1/{path}")
            assert found.status_code == 200
            hidden(found.text)
        path = f"/api/v1/steps/{run_id}/payload"
        whole = await it.people["admin"].get(path, params={"whole": "true"})
        assert whole.json() == PAYLOAD
        again.stop()
        hidden(again.text)


async def test_who_hides_nothing_is_shown_everything(tmp_path: Path) -> None:
    """As before there was anything to hide."""
    async with bank(tmp_path, []) as it:
        run_id = await it.run("good")
        found = await it.people["operate"].get(f"/api/v1/steps/{run_id}/response")
        assert (found.content, found.headers["atomic-redacted"]) == (GOOD, "false")
        seen = await it.people["operate"].get(f"/api/v1/steps/{run_id}/outcome")
        assert seen.json()["response"] == json.loads(GOOD)
        assert "atomic-redacted" not in seen.headers


async def test_traces_have_none_of_it(tmp_path: Path) -> None:
    """Spans say why attempts failed, by the reason that was recorded."""
    spans: list[bytes] = []

    async def traces(call: Call) -> Answer:
        spans.append(call.body)
        return Answer(200, b"")

    async with application(traces=traces) as collector:
        async with bank(tmp_path, otlp_endpoint=collector.url) as it:
            await it.run("bad")
            await it.run("elsewhere")
            await eventually(lambda: b"declined" in b"".join(spans))
            it.engine.stop()
    hidden(b"".join(spans))
