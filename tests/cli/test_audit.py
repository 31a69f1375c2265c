"""`atomic audit`: what is asked of the engine, and what is shown."""

from __future__ import annotations

from typing import Any

from tests.client.fake_engine import Atomic, FakeEngine, answer


def _entry(**members: Any) -> dict[str, Any]:
    return {
        "id": "01A", "at": "2026-11-23T12:00:00.000Z", "actor": "root (ada)", "address": "10.0.0.7",
        "act": "retry", "what": "R1", "detail": "", "status": 202, "problem": None, "count": 1,
        **members,
    }  # fmt: skip


ENTRIES = [
    _entry(detail='{"reason":"the vendor is back","step":null,"dryRun":false,"to":"http://a/"}'),
    _entry(act="token refused", actor="unknown token 01020304\x1b[2J", what="POST /shop",
           status=401, detail="It is none of ours.", count=1_234),
    _entry(act="client add", what="shop", address=None, status=None),
    _entry(act="hold", status=409, problem="not-possible"),
]  # fmt: skip


def test_entries_are_lines(atomic: Atomic) -> None:
    """Who did what, from where, and what came of it; nothing of a stranger acts on the terminal."""
    shown = atomic("audit", answers=[answer({"entries": ENTRIES, "next": None})])
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    at = "2026-11-23 12:00:00Z"
    assert lines == [
        "AT WHO FROM ACT ON ANSWER",
        f'{at} root (ada) 10.0.0.7 retry R1 202 reason="the vendor is back" to=http://a/',
        f"{at} unknown token 01020304\\u001b[2J 10.0.0.7 token refused (1,234 times) POST /shop 401"
        " It is none of ours.",
        f"{at} root (ada) - client add shop not known",
        f"{at} root (ada) 10.0.0.7 hold R1 409 not-possible",
    ]
    assert shown.stderr == "4 entries\n"


def test_acts_on_runs_are_named(atomic: Atomic) -> None:
    """By client, workflow and key, and the step's name if one step was meant; an older engine, and
    an entry of before, have the id alone."""
    names = {"client": "shop", "workflowName": "order", "idempotencyKey": "k\x1b"}
    entries = [_entry(**names), _entry(**names, stepName="pay (2)"), _entry()]
    shown = atomic("audit", answers=[answer({"entries": entries, "next": None})])
    on = [
        line.split("retry", 1)[1].split("202")[0].strip() for line in shown.stdout.splitlines()[1:]
    ]
    assert on == ["R1 shop/order k\\u001b", "R1 shop/order k\\u001b step pay (2)", "R1"]


def test_an_act_that_there_is_not_is_called_so(atomic: Atomic) -> None:
    """With those that are near, or else all; one of a newer engine is believed when it is found."""
    none = answer({"entries": [], "next": None})
    for options in ((), ("--json",)):
        told = atomic("audit", "--act", "retyr", *options, answers=[none])
        assert (told.exit_code, told.stdout) == (2, "")
        assert (
            "Invalid value for '--act': there is no act 'retyr'; did you mean retry" in told.stderr
        )
    told = atomic("audit", "--act", "zzz", answers=[none])
    assert "there are alerts test, backup, backup failed, backup made, body --whole" in " ".join(
        told.stderr.split()
    )
    for act in ("retry", "token refused", "bulk cancel", "backup failed"):
        assert atomic("audit", "--act", act, answers=[none]).exit_code == 0
    newer = answer({"entries": [_entry(act="teleport")], "next": None})
    assert atomic("audit", "--act", "teleport", answers=[newer]).exit_code == 0


def test_pages_are_put_together(atomic: Atomic, engine: FakeEngine) -> None:
    """Up to the limit, and it is said when there is more."""
    first = answer({"entries": ENTRIES[:1] * 500, "next": "01B"})
    second = answer({"entries": ENTRIES[:1] * 100, "next": "01C"})
    shown = atomic("audit", "--limit", "600", "--actor", "root", answers=[first, second])
    assert shown.stderr == "600 entries; there are more (--limit)\n"
    assert [dict(it.url.params) for it in engine.requests] == [
        {"actor": "root", "limit": "500"},
        {"actor": "root", "cursor": "01B", "limit": "100"},
    ]


def test_nothing_is_told_as_such(atomic: Atomic) -> None:
    """And `--json` is what the engine answered."""
    none = answer({"entries": [], "next": None})
    assert (shown := atomic("audit", answers=[none])).stdout == ""
    assert shown.stderr == "0 entries\n"
    told = atomic(
        "audit", "--json", "--limit", "4", answers=[answer({"entries": ENTRIES, "next": "01B"})]
    )
    assert '"count": 1234' in told.stdout
