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
