"""What scenes ask, in a word each."""

from __future__ import annotations

from typing import Any

from tests.contract.player import Ask, Pass, Step

AS_ADMIN, AS_SHOP = (f"Authorization: Bearer <secret-{number}>" for number in (2, 1))


def get(*targets: str) -> tuple[Ask, ...]:
    """Look at each of these."""
    return tuple(Ask(f"GET {target}") for target in targets)


def submission(endpoint: str, key: str = "k", /, **members: Any) -> dict[str, Any]:
    """The body of a submission."""
    url = f"http://<app>/{endpoint}"
    return {"workflowName": "order", "stepInvokeUrl": url, "idempotencyKey": key, **members}


def submit(
    endpoint: str, key: str = "k", *headers: str, begin: str = "", client: str = "shop", **more: Any
) -> Ask:
    """Post it."""
    return Ask(f"POST /{client}", submission(endpoint, key, **more), headers, begin)


def child(parent: int, endpoint: str, key: str = "k", begin: str = "", **more: Any) -> Ask:
    """Post a step with a parent token."""
    return submit(endpoint, key, f"Atomic-Parent: <parent-{parent}>", begin=begin, **more)


def apart(*steps: Step) -> tuple[Step, ...]:
    """At one time each: what is listed by time has one order then."""
    return tuple(it for step in steps for it in (step, Pass(0.01)))


def act(run: int, action: str, *headers: str, **members: Any) -> Ask:
    """What an operator does."""
    path = f"POST /api/v1/runs/<run-{run}>/actions"
    return Ask(path, {"action": action, **members}, headers)


def bulk(action: str, q: str, *headers: str, **members: Any) -> Ask:
    """The same to all that a filter finds."""
    return Ask("POST /api/v1/bulk", {"action": action, "q": q, **members}, headers)


def hold(kind: str, name: str, *headers: str, **members: Any) -> Ask:
    """Start nothing of it."""
    return Ask("POST /api/v1/holds", {"kind": kind, "name": name, **members}, headers)


def release(kind: str, name: str, *headers: str, **members: Any) -> Ask:
    """Let it start again."""
    return Ask("POST /api/v1/holds/release", {"kind": kind, "name": name, **members}, headers)


def admin(path: str, _as: str = AS_ADMIN, **members: Any) -> Ask:
    """What an admin changes."""
    return Ask(f"POST /api/v1/{path}", members, (_as,))


def notes(run: int, cause: int, too_long: str) -> tuple[Ask, ...]:
    """Notes of a run that failed and was dismissed, and of its cause: right ones and wrong ones;
    and the cause is dismissed."""
    of_it = f"POST /api/v1/causes/<cause-{cause}>/notes"
    return (
        act(run, "note"), act(run, "note", "Atomic-Actor: ada", reason="ticket 4711"),
        *get(f"/api/v1/runs/<run-{run}>"), act(run, "undismiss"),
        Ask(of_it, {"text": "so"}, ("Atomic-Actor: ada",)), *get("/api/v1/causes"),
        *(Ask(of_it, {"text": text}) for text in (too_long, " ")),
        Ask("POST /api/v1/causes/none/notes", {"text": "so"}),
        *(Ask(f"{of_it}/{number}/remove", {}) for number in (2, 1)), *dismissals(cause, too_long),
    )  # fmt: skip


def dismissals(cause: int, too_long: str) -> tuple[Ask, ...]:
    """A cause is dismissed and put back, rightly and wrongly."""
    of_it = f"POST /api/v1/causes/<cause-{cause}>"
    as_ada = ("Atomic-Actor: ada",)
    return (
        Ask(f"{of_it}/dismiss", {"reason": "seen", "lastAt": "2026-11-23T00:00:00Z"}, as_ada),
        *get("/api/v1/causes"), Ask(f"{of_it}/dismiss", {"reason": "ticket 4711"}, as_ada),
        *get("/api/v1/causes", "/api/v1/causes?dismissed=true", "/api/v1/causes?dismissed=so"),
        *get("/api/v1/status"),
        *(Ask(f"{of_it}/dismiss", {"reason": reason}) for reason in (too_long, " ")),
        Ask(f"{of_it}/dismiss", {"reason": "so", "lastAt": "yesterday"}),
        Ask("POST /api/v1/causes/none/dismiss", {"reason": "so"}),
        *(Ask(f"{of_it}/undismiss", {}) for _ in range(2)),
    )  # fmt: skip
