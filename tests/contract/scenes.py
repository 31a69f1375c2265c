"""What is asked of the engine, scene by scene: the table behind the recording."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from engine.core.errors import Problem
from tests.contract.asks import (
    AS_ADMIN,
    AS_SHOP,
    act,
    admin,
    apart,
    bulk,
    child,
    get,
    hold,
    notes,
    release,
    submission,
    submit,
)
from tests.contract.player import (
    Answers,
    Ask,
    Called,
    End,
    Follow,
    Pass,
    Raw,
    Scene,
    Step,
    Trouble,
    Until,
)
from tests.e2e.harness import Answer

ASYNC = "Prefer: respond-async"
PAST = "Last-Event-ID: <file>-0"
EVENTS = Follow((PAST,))
FAILURE = Answer(500, b'{"error":"out of luck"}')
FOR_GOOD = Answer(410, b"gone", {"Content-Type": "text/plain", "Atomic-No-Retry": "true"})
ROUTES = (
    "/shop", "/", "/openapi.json", "/healthz", "/readyz", "/metrics", "/problems/",
    "/problems/not-found", "/api/v1/status", "/api/v1/runs", "/api/v1/runs/none",
    "/api/v1/runs/none/actions", "/api/v1/causes", "/api/v1/retries", "/api/v1/bulk",
    "/api/v1/bulk/none", "/api/v1/bulk/none/abort", "/api/v1/holds", "/api/v1/holds/release",
    "/api/v1/steps/none", "/api/v1/limits", "/api/v1/limits/reset", "/api/v1/audit",
    "/api/v1/prune", "/api/v1/backups", "/api/v1/doctor", "/api/v1/whoami", "/api/v1/alerts/test",
    "/api/v1/steps/none/outcome", "/api/v1/steps/none/payload", "/api/v1/steps/none/response",
    "/api/v1/steps/none/attempts/1/response", "/api/v1/events", "/api/v1/nothing", "/a/b",
    "/api/v1/clients", "/api/v1/clients/none/targets", "/api/v1/clients/none/redact",
    "/api/v1/clients/none/disable", "/api/v1/clients/none/enable", "/api/v1/clients/none/remove",
    "/api/v1/tokens", "/api/v1/tokens/none/rotate", "/api/v1/tokens/none/remove",
    "/api/v1/clients/none/secrets", "/api/v1/clients/none/secrets/remove",
    *(f"/api/v1/causes/none/{it}" for it in ("notes", "notes/1/remove", "dismiss", "undismiss")),
)  # fmt: skip
NOT_ASKED = (("GET", "/api/v1/events"), ("GET", "/api/v1/doctor"))
"""The stream has scenes of its own; what the doctor says is this machine's."""
METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS")


def paths() -> tuple[Step, ...]:
    """Every path with every method, on an empty engine; and the pages for people."""
    asked = (Ask(f"{method} {path}", {} if method == "POST" else None)
             for path in ROUTES for method in METHODS
             if (method, path) not in NOT_ASKED)  # fmt: skip
    others = (Ask("DELETE /shop"), Ask("PATCH /api/v1/runs"), Ask("TRACE /healthz"))
    accept = ("Accept: application/openmetrics-text; version=1.0.0",)
    pages = get(*(f"/problems/{name}" for name in (*Problem, "none")))
    return (*asked, *others, Ask("GET /metrics", headers=accept), *pages)


SUBMISSIONS: tuple[Step, ...] = (
    submit("ok", payload={"b": 1, "a": [1.0, "ü"]}),
    submit("ok", payload={"a": [1, "\u00fc"], "b": 1.0}),
    submit("ok", payload={"b": 2}),
    submit("ok", client="bank"),
    submit("ok", workflowName="other", stepName="größe", stepKey="s"),
    submit("text", "text"), submit("empty", "empty"),
    Ask("POST /shop", {"workflowName": "order", "stepInvokeUrl": "http://<app>/ok"},
        ('Idempotency-Key: "quoted \\" key"',)),
    Ask("POST /shop", {"workflowName": "order", "stepInvokeUrl": "http://<app>/ok"},
        ("Idempotency-Key: bare",)),
    submit("ok", "same", "Idempotency-Key: same"),
    submit("order", "async", ASYNC), Called("order"),
    submit("order", "async", "Prefer: respond-async, wait=9"),
    submit("order", "async", "Prefer: wait=0"),
    submit("order", "async", "Prefer: wait=3", begin="waits 3 s"),
    submit("order", "async", timeout=2_000, begin="waits 2 s"),
    submit("order", "async", begin="waits"),
    Ask("GET /api/v1/steps/<run-8>/outcome", None, ("Prefer: wait=0",)),
    Ask("GET /api/v1/steps/<run-8>/outcome", begin="looks"),
    Pass(2.1), End("waits 2 s"), Pass(1.0), End("waits 3 s"),
    Answers("order"), End("waits"), End("looks"),
    submit("order", "async", ASYNC), submit("order", "async", "Prefer: wait=5", timeout=1),
    *get("/api/v1/steps/<run-8>/outcome", "/api/v1/runs/<run-8>", "/api/v1/status"), EVENTS,
)  # fmt: skip

LONG = "x" * 300
BAD_MEMBERS: tuple[dict[str, Any], ...] = (
    {"workflowName": ""}, {"workflowName": 7}, {"workflowName": "ü"}, {"workflowName": LONG},
    {"idempotencyKey": ""}, {"idempotencyKey": "a\nb"}, {"idempotencyKey": LONG},
    {"idempotencyKey": None}, {"stepInvokeUrl": 1}, {"stepInvokeUrl": "/relative"},
    {"stepInvokeUrl": "ftp://127.0.0.1/x"}, {"stepInvokeUrl": "http://u:p@127.0.0.1/"},
    {"stepInvokeUrl": "http://127.0.0.1/#f"}, {"stepInvokeUrl": "http://127.0.0.1:99999/"},
    {"stepInvokeUrl": "http://127.0.0.1/" + "x" * 2_048}, {"stepInvokeUrl": "atomic:x"},
    {"timeout": 0}, {"timeout": "8"}, {"attemptTimeout": 0}, {"attemptTimeout": 86_400_001},
    {"stepKey": ""}, {"stepName": "a\u202eb"}, {"stepName": LONG}, {"parent": "made-up"},
    {"parent": ""}, {"retry": 3}, {"retry": {"times": 3}}, {"retry": {"count": -1}},
    {"retry": {"count": 1_001}}, {"retry": {"backOff": -1}}, {"retry": {"factor": 0.5}},
    {"retry": {"maxBackOff": 86_400_001}}, {"retry": {"jitter": 2}}, {"retry": {"maxElapsed": 0}},
    {"retry": {"stopOn": ["x"]}}, {"retry": {"onExhausted": "stop"}}, {"delay": 1},
    {"notBefore": 1}, {"signal": 1}, {"mode": 1}, {"unknown": 1},
)  # fmt: skip
BAD_BODIES = ("", "{", "[]", "null", '"text"', "{}{}", '{"workflowName": "w"}')
REFUSED: tuple[Step, ...] = (
    *(submit("ok", **members) if "idempotencyKey" not in members
      else Ask("POST /shop", submission("ok") | members) for members in BAD_MEMBERS),
    *(Ask("POST /shop", body) for body in BAD_BODIES),
    *(Ask("POST /shop", '{"workflowName":"w","stepInvokeUrl":"http://<app>/ok","idempotencyKey":"k",'
          f'"payload":{payload}}}') for payload in ("NaN", "01", "[" * 64 + "]" * 64)),
    Ask("POST /shop", submission("ok"), ("Idempotency-Key: other",)),
    Ask("POST /shop", submission("ok"), ('Idempotency-Key: "open',)),
    Ask("POST /shop", submission("ok", parent="a"), ("Atomic-Parent: b",)),
    *(submit("ok", client=name) for name in ("-shop", "x" * 65, "healthz", "sh%20op", "shop/")),
    *get("/api/v1/runs"),
)  # fmt: skip

STEPS: tuple[Step, ...] = (
    submit("order", begin="order"), Called("order"),
    child(1, "ok", "in turn"), child(1, "ok", "in turn"), child(1, "ok", "in turn", payload=1),
    child(1, "charge", begin="charge"), Called("charge"),
    child(1, "ship", begin="ship"), Called("ship"),
    child(2, "mail", "below", begin="mail"), Called("mail"),
    child(2, "order"), child(4, "charge"), child(1, "ok", client="bank"),
    *get("/api/v1/runs/<run-1>", "/api/v1/runs?q=step:mail"),
    Answers("mail"), End("mail"), Answers("charge"), End("charge"), child(2, "ok", "too late"),
    Answers("ship", Answer(200, b'"sent"')), End("ship"),
    submit("ok", "without a token"), submit("ok"), submit("ok", "loop", stepKey="loop 2"),
    child(1, "ok", "named", stepName="a name"),
    # the function is cut, and runs again
    child(1, "mail", "open", begin="open"), Called("mail", 2),
    Answers("order", Answer(503)), Pass(0.2), End("open"),
    child(1, "ok", "stale"), child(1, "ok", "in turn"), child(1, "mail", "open"),
    Answers("mail"), Called("order", 2),
    child(6, "ok", "in turn"), child(6, "ok", "in turn", payload="differs"),
    child(6, "mail", "open"),
    Answers("order"), End("order"), child(6, "ok", "new"), child(6, "ok", "in turn"),
    submit("ok", "afterwards"), submit("order"),
    *get("/api/v1/runs/<run-1>", "/api/v1/steps/<step-2>", "/api/v1/steps/<step-2>/outcome"),
    EVENTS,
)  # fmt: skip

POLICY = {"count": 1, "backOff": 1_000, "jitter": 0}
ONCE = {"count": 0}
FAILURES: tuple[Step, ...] = (
    submit("second", "second", begin="second"), Called("second"), Until("<run-1>", "backing-off"),
    *get("/api/v1/retries", "/api/v1/runs/<run-1>"), Pass(1.1), End("second"),
    submit("fails", "fails", retry=POLICY, begin="fails"), Called("fails"),
    Until("<run-2>", "backing-off"), Pass(1.1), End("fails"), submit("fails", "fails"),
    *apart(*(submit(name, name, retry=ONCE) for name in ("declined", "broken", "moved", "never")),
           submit("large", "large", retry=ONCE),
           submit("declined", "stop", retry={"stopOn": [402]})),
    submit("later", "later", ASYNC, retry={"count": 3, "jitter": 0}), Called("later"),
    Until("<run-9>", "backing-off"),
    submit("fails", "paused", ASYNC, retry={**ONCE, "onExhausted": "pause"}), Called("fails", 3),
    Until("<run-10>", "paused"), Pass(0.01),
    *apart(*(Ask("POST /shop", submission("ok", url, retry=ONCE) | {"stepInvokeUrl": url})
             for url in ("http://127.0.0.1:1/", "http://192.0.2.1/"))),
    submit("order", "slow", begin="slow", attemptTimeout=500, retry=ONCE), Called("order"),
    Pass(0.6), End("slow"), Answers("order"),
    *get("/api/v1/causes", "/api/v1/retries", "/api/v1/runs?status=failed,paused"),
    *get("/api/v1/status"), EVENTS,
)  # fmt: skip

BELOW: tuple[Step, ...] = (
    submit("order", "not said", ASYNC, retry=POLICY), Called("order"),
    child(1, "declined", "not said", retry=ONCE), Answers("order", FAILURE),
    Until("<run-1>", "backing-off"), Pass(1.1), Called("order", 2),
    child(2, "declined", "not said"), Answers("order", FAILURE), Until("<run-1>", "paused"),
    Pass(0.01), submit("order", "said", begin="said"), Called("order", 3),
    child(3, "declined", "said", retry=ONCE), Answers("order", Answer(424)), End("said"),
    submit("order", "again", begin="again"), Called("order", 4),
    child(4, "charge", "again", begin="charge"), Called("charge"),
    Answers("order", Answer(500, b"", {"Atomic-Suspend": "true"})), Pass(0.2), End("charge"),
    *get("/api/v1/runs/<run-3>"), Answers("charge"), Called("order", 5), Answers("order"),
    End("again"), *get("/api/v1/causes", "/api/v1/runs/<run-1>", "/api/v1/runs/<run-2>"),
    # a function whose steps cannot move is sent home
    submit("order", "home", begin="home"), Called("order", 6),
    child(7, "fails", "home", begin="waits", retry={"backOff": 60_000, "jitter": 0}),
    Called("fails"), Pass(20.1), End("waits"), child(7, "ok", "new"), Answers("order"),
    Until("<run-4>", "backing-off"), *get("/api/v1/runs/<run-4>", "/api/v1/status"), EVENTS,
)  # fmt: skip

MOVED: tuple[Step, ...] = (
    submit("later", "moved", ASYNC), Called("later"), Until("<run-1>", "backing-off"),
    submit("elsewhere", "moved"), submit("later", "moved", ASYNC),
    act(1, "retarget", **{"from": "http://<app>/later", "to": "http://<app>/ship"}, dryRun=True),
    act(1, "retarget", **{"from": "http://<app>/later", "to": "http://<app>/ship"}, reason="typo"),
    *get("/api/v1/runs/<run-1>"), act(1, "retry"), Called("ship"), Answers("ship"),
    Until("<run-1>", "completed"), submit("later", "moved"), submit("ship", "moved"),
    act(1, "retarget", **{"from": "http://<app>/later", "to": "http://<app>/ship"}),
    act(1, "retarget"), act(1, "retarget", **{"from": "x", "to": "http://<app>/"}),
    act(1, "retarget", **{"from": "http://<app>/", "to": "http://<app>/"}),
    act(1, "retarget", **{"from": "http://<app>/", "to": "http://192.0.2.1/"}),
    act(1, "retarget", step="<run-1>", **{"from": "http://<app>/", "to": "http://<app>/v2/"}),
    act(1, "retry", **{"from": "http://<app>/"}), EVENTS,
)  # fmt: skip

REPAIRED: tuple[Step, ...] = (
    submit("later", "k", ASYNC, payload={"to": "ada@"}), Called("later"),
    Until("<run-1>", "backing-off"), act(1, "set-result"), act(1, "set-result", result=1),
    act(1, "set-result", step="<run-1>", result=1), act(1, "skip", reason="so"),
    act(1, "retry", result=1), act(1, "skip", step="<run-1>", reason="so", httpStatus=200),
    act(1, "set-result", step="<run-1>", reason="so", result=1, contentType="text/plain"),
    act(1, "set-result", step="<run-1>", reason="so", result=1, httpStatus=500),
    act(1, "set-result", step="<run-1>", reason="so", result={"paid": 7}, dryRun=True),
    act(1, "set-result", "Idempotency-Key: one", "Atomic-Actor: ada", step="<run-1>",
        reason="by phone", result={"paid": 7}),
    act(1, "set-result", "Idempotency-Key: one", step="<run-1>", reason="so", result={"paid": 7}),
    act(1, "set-result", "Idempotency-Key: one", step="<run-1>", reason="so", result={"paid": 8}),
    submit("later", "k", payload={"to": "ada@"}),
    act(1, "skip", step="<run-1>", reason="not needed"),
    submit("later", "k", payload={"to": "ada@"}),
    act(1, "rerun", payload={"to": "ada@x"}),
    act(1, "rerun", payload={"to": "ada@x"}, reason="a typo"), Called("later", 2),
    act(1, "rerun", payload={"to": "ada@y"}, reason="again", step="<run-1>", ifRev=1),
    Until("<run-1>", "backing-off"), submit("later", "k", ASYNC, payload={"to": "ada@x"}),
    submit("later", "k", ASYNC, payload={"to": "ada@"}),
    *get("/api/v1/runs/<run-1>", "/api/v1/steps/<run-1>", "/api/v1/steps/<run-1>/payload"),
    *get(*(f"/api/v1/steps/<run-1>/payload?generation={it}" for it in (1, 4))),
    *get(*(f"/api/v1/steps/<run-1>/response?generation={it}" for it in (1, 2, 3))), EVENTS,
)  # fmt: skip

ACTIONS: tuple[Step, ...] = (
    submit("order", "k", begin="waits"), Called("order"), act(1, "pause", dryRun=True),
    act(1, "pause", "Atomic-Actor: ada", reason="look"), act(1, "pause"), act(1, "rerun"),
    child(1, "ship", "held back", begin="held back"), *get("/api/v1/runs/<run-1>"),
    act(1, "resume", ifRev=99), act(1, "resume"), Called("ship"), Answers("ship"),
    End("held back"), act(1, "resume"),
    act(1, "retry"), act(1, "dismiss"), act(1, "restore"), act(1, "rerun", step="<step-1>"),
    act(1, "pause", step="nothing"), act(1, "pause", step="<step-1>"),
    Answers("order"), End("waits"), act(1, "retry"), act(1, "cancel"),
    act(1, "rerun", step="<step-1>", dryRun=True), act(1, "rerun", step="<step-1>"),
    Called("order", 2), child(3, "ship", "held back", begin="again"), Called("ship", 2),
    Answers("ship"), End("again"), Answers("order"), Until("<run-1>", "completed"),
    *get("/api/v1/runs/<run-1>"),
    submit("order", "cancelled", begin="cancelled"), Called("order", 3),
    child(5, "charge", "cancelled", begin="below"), Called("charge"),
    act(2, "cancel", step="<step-2>"), End("below"), act(2, "cancel"), End("cancelled"),
    submit("order", "cancelled"), submit("ok", "cancelled"), child(5, "ok", "new"),
    *get("/api/v1/status"), Answers("charge"), Answers("order"), act(2, "dismiss"),
    act(2, "dismiss"), act(2, "restore"), act(2, "retry", step="<step-2>"),
    *get("/api/v1/runs/<run-2>"),
    submit("mail", "failed", begin="failed"), Called("mail"), Answers("mail", FOR_GOOD),
    End("failed"),
    act(3, "retry", "Atomic-Actor: ada", ifRev=2), Called("mail", 2), Answers("mail", FOR_GOOD),
    Until("<run-3>", "failed"), *get("/api/v1/causes"), act(3, "dismiss"), *get("/api/v1/causes"),
    *(Ask("POST /api/v1/runs/<run-1>/actions", body)
      for body in ("", "[]", {"action": "none"}, {"action": "retry", "more": 1},
                   {"action": "retry", "ifRev": -1}, {"action": "retry", "reason": LONG * 4})),
    *notes(3, 2, LONG * 4),
    act(1, "retry", "Atomic-Actor: "), act(1, "retry", "Atomic-Actor: größe"), EVENTS,
)  # fmt: skip

BULK: tuple[Step, ...] = (
    *(submit("never", key) for key in ("a", "b", "c")), submit("ok", "d"),
    bulk("retry", "is:failed", dryRun=True), bulk("retry", "is:failed", expect=2),
    bulk("dismiss", "is:failed", 'Idempotency-Key: "job"', "Atomic-Actor: ada", expect=3,
         reason="seen"),
    bulk("dismiss", "is:failed", 'Idempotency-Key: "job"', expect=3),
    bulk("restore", "is:failed", 'Idempotency-Key: "job"', expect=3),
    *get("/api/v1/bulk", "/api/v1/bulk/<run-5>"), Pass(0.051), Pass(0.051), Pass(0.051),
    *get("/api/v1/bulk/<run-5>"), bulk("restore", "*", expect=9, ratePerS=1),
    *(Ask(f"POST /api/v1/bulk/<run-{job}>/abort", {}) for job in (6, 5)), Pass(1.1),
    *get("/api/v1/bulk"), bulk("rerun", "*"), bulk("retry", ""), bulk("retry", "is:nothing"),
    bulk("retarget", "*"), bulk("retry", "*", to="http://<app>/"), bulk("none", "*"),
    bulk("retarget", "*", **{"from": "http://<app>/", "to": "http://192.0.2.1/"}),
    bulk("retry", "*", ratePerS=0), bulk("retry", LONG * 2), bulk("retry", "*", expect=-1),
    Ask("POST /api/v1/bulk", "[]"), EVENTS,
)  # fmt: skip

HOLDS: tuple[Step, ...] = (
    hold("host", "<app>", "Atomic-Actor: ada", reason="a deploy"), hold("client", "shop"),
    submit("ok", "held", ASYNC), submit("ok", "held", "Prefer: wait=0"), Pass(3.0),
    *get("/api/v1/runs/<run-1>", "/api/v1/holds", "/api/v1/status"),
    act(1, "pause", "Atomic-Actor: ada"), act(1, "resume", "Atomic-Actor: ada"),
    hold("client", "shop", reason="another"), release("client", "shop"), release("client", "bank"),
    *(hold(kind, name) for kind, name in (
        ("host", "http://app"), ("host", "::1"), ("client", "a/b"), ("client", ""),
        ("workflow", "ü"), ("step", "x"), ("workflow", LONG * 2))),
    hold("client", "shop", reason=LONG * 2), hold("client", "shop", ratePerS=1),
    *(release("client", "shop", ratePerS=rate) for rate in (0, 1_001, "x")),
    Ask("POST /api/v1/holds", "[]"), Ask("POST /api/v1/holds/release", {"kind": "host"}),
    release("host", "<app>", "Atomic-Actor: ada", ratePerS=20), Called("ok"),
    Until("<run-1>", "completed"), *get("/api/v1/runs/<run-1>"), EVENTS,
)  # fmt: skip

SET: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("host", "<app>", {"in_flight_max": 1}), ("host", "<app>", {"calls_per_s": 0}),
    ("client", "shop", {"open_runs_max": 1}), ("host", "http://app", {"a": 1}))  # fmt: skip
LIMITS = (
    *(Ask("POST /api/v1/limits", {"kind": kind, "name": of, "set": its}) for kind, of, its in SET),
    *get("/api/v1/limits"), Ask("POST /api/v1/limits/reset", {"kind": "host", "name": "<app>"}),
    Ask("POST /api/v1/backups", {"file": "a.db"}),
    Ask("POST /api/v1/alerts/test", {}),
    *get(*(f"/api/v1/audit?{query}" for query in ("since=1h", "act=limits+set&limit=1", "since="))),
)  # fmt: skip
QUERIES = (
    "client=shop", "client=nobody", "workflow=order", "workflow=none", "key=b", "key=none",
    "status=completed", "status=completed,failed", "status=done", "sort=submittedAt",
    "sort=-submittedAt", "sort=key", "limit=1", "limit=0", "limit=501", "limit=x",
    "limit=1&cursor=<run-2>", "cursor=none", "page=2",
)  # fmt: skip
TERMS = (
    "is:failed", "is:stuck", "is:late", "is:live", "is:ended", "is:dismissed", "is:odd", "wf:ord*",
    "client:shop", "key:a", "step:ok", "host:<app>", "try:1", "try:>1", "try:x", "due:<1m",
    "due:1m", "age:>1h", "age:<30s", "age:x", "code:409", "code:4xx", "code:9", "error:no",
    "cause:<cause-1>", "cause:none", "a", "!key:a", 'key:"a b"', '"open', "none:x", "!",
)  # fmt: skip
LISTS: tuple[Step, ...] = (
    submit("ok", "a"), submit("never", "b"), submit("later", "c", ASYNC), Called("later"),
    Until("<run-3>", "backing-off"), *get("/api/v1/causes", "/api/v1/runs"),
    *get(*(f"/api/v1/runs?{query}" for query in QUERIES)),
    *get(*(f"/api/v1/runs?limit=1&q={quote(term, safe='<>')}" for term in TERMS)),
    *get(f"/api/v1/runs?q={LONG * 2}", "/api/v1/runs?q=" + "+".join("abcdefghijklm")),
    *get(*(f"/api/v1/retries?{query}" for query in (
        "q=key:c", "q=is:odd", "limit=1", "limit=0", "cursor=0", "cursor=1-x", "page=2"))),
)  # fmt: skip

RANGES = ("0-3", "2-", "-3", "0-0", "99-", "3-1", "x", "0-1,3-4")
BODIES: tuple[Step, ...] = (
    submit("text", payload={"a": "grüße"}), submit("fails", "fails", retry=ONCE),
    submit("empty", "empty"),
    *(Ask(f"GET /api/v1/steps/<run-{run}>/{what}") for run in (1, 2, 3)
      for what in ("payload", "response", "attempts/1/response")),
    *(Ask(f"GET /api/v1/steps/<run-1>/{what}", None, (f"Range: bytes={span}",))
      for what in ("payload", "response") for span in RANGES),
    Ask("HEAD /api/v1/steps/<run-1>/response"), Ask("HEAD /api/v1/runs/<run-1>"),
    *get(*(f"/api/v1/steps/<run-1>/attempts/{it}/response" for it in ("0", "2", "x", "9" * 30))),
    *get("/api/v1/steps/<run-1>", "/api/v1/steps/<run-2>/outcome"),
)  # fmt: skip


def raw(line: str, *headers: str, body: str = "", host: str = "Host: <engine>") -> Raw:
    """A request as its bytes are."""
    return Raw("\r\n".join([line, *([host] if host else []), *headers, "", body]))


MALFORMED: tuple[Step, ...] = (
    *(raw(line) for line in (
        "GET /healthz HTTP/2.0", "get /healthz HTTP/1.1", "GET healthz HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET http://<engine>/healthz HTTP/1.1", "CONNECT <engine> HTTP/1.1", "nonsense",
        "PRI * HTTP/2.0", f"GET /{'x' * 2_048} HTTP/1.1")),
    *(raw("GET /healthz HTTP/1.1", host=host) for host in (
        "", "Host: ", "Host: a b", "Host: a\r\nHost: a")),
    *(raw("GET /healthz HTTP/1.1", header) for header in (
        "no colon", "bad name: x", " folded: x", "a: b\nc: d", "a: \x00", "Expect: tea",
        "Content-Length: x", "Content-Length: 1\r\nContent-Length: 1", "Content-Length: 9999999999",
        "Transfer-Encoding: gzip", "Transfer-Encoding: chunked\r\nContent-Length: 1",
        f"a: {'x' * 16_384}", "\r\n".join(["a: b"] * 65))),
    *(raw("POST /shop HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json",
          body=body) for body in ("x\r\n", "1\r\nab\r\n", "0\r\nbad trailer\r\n\r\n", "1" * 300)),
    raw("POST /shop HTTP/1.0", "Transfer-Encoding: chunked"), Raw("\r\n\r\n"), Raw("\x16\x03\x01"),
    raw("GET /healthz HTTP/1.0"), raw("GET /healthz HTTP/1.1", "Connection: close"),
    raw("GET /healthz HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade, close"),
    raw("POST /shop HTTP/1.1", "Content-Length: 2", "Content-Type: application/json",
        "Connection: close", body="{}"),
    raw("POST /shop HTTP/1.1", "Transfer-Encoding: chunked", "Content-Type: application/json",
        "Connection: close", body="2\r\n{}\r\n0\r\n\r\n"),
    raw("GET /healthz HTTP/1.1", "", "GET /readyz HTTP/1.1", "Host: <engine>", "Connection: close"),
)  # fmt: skip

WHO: tuple[Step, ...] = tuple(
    Ask(f"{method} {path}", body, header)
    for header in (
        ("Host: evil.example",), ("Host: localhost:1",), ("Host: Allowed.example",),
        ("Host: [::1]:8420",),
        ("Origin: http://evil.example",), ("Origin: http://<engine>",), ("Origin: null",),
        ("Sec-Fetch-Site: cross-site",), ("Sec-Fetch-Site: same-origin",),
        ("Content-Type: text/plain",), ("Content-Type: application/json; charset=utf-8",),
        ("Content-Type: application/json", "Content-Encoding: gzip"),
        ("Content-Type: application/json", "Content-Encoding: identity"),
    )
    for method, path, body in (("GET", "/healthz", None), ("GET", "/api/v1/bulk", None),
                               ("POST", "/shop", "{}"), ("POST", "/api/v1/bulk", "{}"))
)  # fmt: skip

SMALL: tuple[Step, ...] = (
    submit("ok", "large", payload="x" * 1_500), submit("ok", "deep", payload=[[[[[[[[1]]]]]]]]),
    Ask("POST /api/v1/bulk", {"q": "x" * 1_500}),
    submit("order", "k", ASYNC), Called("order"), submit("ok", "no room"), submit("ok", "untold"),
    child(1, "charge", "one", begin="one"), Called("charge"), child(2, "ok", "deeper"),
    child(1, "ok", "two"), child(1, "ok", "three"), *get("/api/v1/status"),
)  # fmt: skip

AWAY: tuple[Step, ...] = (
    submit("ok", "before"), Trouble("disk"), submit("ok", "first", ASYNC, begin="first"), Pass(0.6),
    Pass(0.3), End("first"), submit("ok", "new"), submit("ok", "before"), act(1, "dismiss"),
    bulk("retry", "*", expect=9),
    *get("/readyz", "/healthz", "/api/v1/status", "/api/v1/runs?limit=1", "/api/v1/runs/<run-1>"),
    Trouble("disk mended"), Pass(0.3), *get("/readyz"), submit("ok", "new"),
)  # fmt: skip

BUGS: tuple[Step, ...] = (
    Trouble("bug"), submit("ok", "stopped"), submit("ok", "stopped"), Trouble("bug mended"),
    *get("/api/v1/runs/<run-1>", "/api/v1/runs", "/api/v1/causes", "/api/v1/steps/<run-1>/outcome"),
    act(1, "pause"), act(1, "retry"), Pass(1.1), Until("<run-1>", "completed"),
    submit("ok", "stopped"), Trouble("bug in reading"), *get("/api/v1/causes"),
    Trouble("bug mended"),
    *get("/api/v1/causes"), EVENTS,
)  # fmt: skip

STOPPING: tuple[Step, ...] = (
    submit("order", "k", begin="waits"), Called("order"), Trouble("stop"),
    *get("/readyz", "/healthz"),
    submit("ok", "new"), submit("ok", "new", ASYNC), submit("order", "k", begin="attaches"),
    child(1, "ok", "new"), act(1, "pause"), bulk("retry", "*", expect=9), *get("/api/v1/status"),
    Pass(4.1), End("waits"), End("attaches"),
)  # fmt: skip

STREAM: tuple[Step, ...] = (
    Follow(), Follow(("Last-Event-ID: other-1",)), Follow(("Last-Event-ID: <file>-01",)),
    Follow(("Last-Event-ID: <file>-999",)), Follow(("Last-Event-ID: nonsense",)),
    submit("ok"), Follow(("Last-Event-ID: <file>-3",)), Follow(("Last-Event-ID: <file>-5",)),
    Pass(5.0), Follow(), Ask("HEAD /api/v1/events"), Follow(query="?since=1h"),
    Follow(("Last-Event-ID: <file>-5",), "?since=1h"), Ask("GET /api/v1/events?since=yesterday"),
)  # fmt: skip

TOKENS: tuple[Step, ...] = (
    submit("ok"), admin("clients", "X-No: 1", name="shop", targets=["http://<app>/"]),
    submit("ok", "k2"), submit("ok", "k2", AS_SHOP), submit("ok", "k2", AS_SHOP, client="other"),
    Ask("POST /shop", submission("ok", "k9") | {"stepInvokeUrl": "http://other:1/"}, (AS_SHOP,)),
    *(Ask(f"GET {it}", headers=(AS_SHOP,)) for it in ("/api/v1/runs", "/metrics", "/nothing/at")),
    *(Ask(f"GET /api/v1/steps/<run-{run}>/outcome", headers=(AS_SHOP,)) for run in (1, 2)),
    *(Ask(f"GET /api/v1/{it}", headers=(AS_ADMIN,)) for it in ("clients", "tokens")),
    Ask("POST /shop", submission("ok"), ("Authorization: Basic YTpi",)),
    Ask("POST /shop", submission("ok"), ("Authorization: Bearer atomic_none",)),
    admin("clients", name="shop", targets=[]), admin("clients", name="api", targets=[]),
    admin("clients", name="a b", targets=[]), admin("clients", name="b", targets=["ftp://b/"]),
    admin("clients", name="b"), admin("clients", name="b", targets=[], nothing=1),
    admin("tokens", name="ada", role="operate", expiresInMs=5_000),
    admin("tokens", name="ada", role="read"), admin("tokens", name="t", role="submit"),
    admin("tokens", name="t", role="admin", client="shop"), admin("tokens", name="t", role="x"),
    admin("tokens", name="t", role="submit", client="none"),
    admin("tokens", name="t", role="read", expiresInMs=0),
    admin("tokens/ada/rotate", overlapMs=2_000), admin("tokens/ada/rotate", overlapMs=-1),
    Ask("POST /api/v1/runs/<run-1>/actions", {"action": "dismiss"},
        ("Authorization: Bearer <secret-4>", "Atomic-Actor: ada@laptop")),
    Follow((PAST, AS_ADMIN)), Pass(5.0),
    Ask("GET /api/v1/causes", headers=("Authorization: Bearer <secret-4>",)),
    admin("tokens/ada/rotate"), admin("tokens/admin/remove"), admin("tokens/ada/remove"),
    admin("clients/shop/targets", add=["http://other:1/x"], privateTargets=True),
    admin("clients/shop/targets", remove=["http://other:1/x"], privateTargets=False),
    admin("clients/shop/targets", remove=["http://other:1/x"]), admin("clients/shop/targets"),
    admin("clients/shop/redact", add=["/a/*", "X-Key"]), admin("clients/none/redact", add=["/a"]),
    admin("clients/shop/redact", remove=["/a/*", "X-Key"]), admin("clients/shop/redact"),
    admin("clients/shop/redact", add=["a/b"]), admin("clients/shop/redact", remove=["/b"]),
    admin("clients/shop/targets", add=["ftp://b/"]), admin("clients/none/targets", add=["http://b/"]),
    *(admin(f"clients/shop/secrets{then}") for then in ("", "", "", "/remove", "/remove")),
    admin("clients/shop/secrets/remove", last=True), admin("clients/shop/secrets/remove", last=1),
    admin("clients/none/secrets"),
    admin("clients/shop/disable"), submit("ok", "k3", AS_SHOP), admin("clients/shop/enable"),
    submit("order", "k4", AS_SHOP, ASYNC), Called("order"), admin("clients/shop/remove"),
    Answers("order"), Until("<run-3>", "completed", (AS_ADMIN,)), admin("clients/shop/remove"),
    submit("ok", "k5", AS_SHOP), Ask("GET /api/v1/tokens", headers=(AS_ADMIN,)),
)  # fmt: skip

SCENES: dict[str, Scene] = {
    "every path and method": Scene(paths()),
    "submissions": Scene(SUBMISSIONS),
    "submissions that are refused": Scene(REFUSED),
    "a workflow and its steps": Scene(STEPS),
    "failures": Scene(FAILURES, {"answer_bytes_max": 4_096}),
    "failures below, and who only waits": Scene(BELOW),
    "a workflow that moves": Scene(MOVED),
    "repairs": Scene(REPAIRED),
    "what operators do": Scene(ACTIONS),
    "what they do to many": Scene(BULK),
    "holds": Scene(HOLDS),
    "limits": Scene(LIMITS),
    "lists and filters": Scene(LISTS),
    "bodies": Scene(BODIES),
    "malformed HTTP": Scene(MALFORMED),
    "who may ask": Scene(WHO, {"hosts": ["allowed.example"]}),
    "small limits": Scene(SMALL, {
        "body_bytes_max": 1_024, "json_depth_max": 8, "runs_in_memory_max": 1,
        "steps_per_run_max": 3, "depth_max": 1}),
    "steps need a parent token": Scene(
        (submit("order", begin="order"), Called("order"), submit("ok")),
        {"steps_need_parent": True}),
    "clients and tokens": Scene(TOKENS),
    "a store that cannot be written": Scene(AWAY),
    "bugs of the engine": Scene(BUGS),
    "stopping": Scene(STOPPING),
    "the event stream": Scene(STREAM),
}  # fmt: skip
