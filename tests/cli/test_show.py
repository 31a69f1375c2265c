"""What is printed: trees, tables, safe text, colours, and acting on runs."""

from __future__ import annotations

import json

import pytest

from engine.cli.show.lists import event_text
from engine.cli.show.text import json_text, safe, span_text
from engine.client import Event
from engine.wire import Problem
from engine.wire.events import LateEnd
from tests.cli.tree import ATTEMPT, DONE, TREE
from tests.client.fake_engine import RUN, STEP, Atomic, FakeEngine, answer, refusal
from tests.tui.support import standstill

NOON = "2026-09-21 14:13:20Z"
"""When a host stands still that `standstill` makes one of."""


def test_a_retry_names_what_may_have_undone_the_failure(atomic: Atomic):
    """With the way to do it again; many are counted, and nothing is said where there is nothing."""
    after = [{"stepId": f"01A-{n}", "stepName": f"undo{n}"} for n in range(12)]
    result = atomic("retry", "01A", answers=[answer(DONE | {"recordedAfter": after}, 202)])
    assert result.output.splitlines()[1:] == [
        "  recorded since the failure: "
        + ", ".join(f"undo{n}" for n in range(10)) + " and 2 more",
        "  They may be its compensation, and are not done again; `atomic rerun --step` does.",
    ]  # fmt: skip
    assert "recorded" not in atomic("retry", "01A", answers=[answer(DONE, 202)]).output


def test_a_failure_that_was_not_handled_is_told_once(atomic: Atomic):
    """The status and the reason stand in the error already, and a paused step has no next try."""
    error = "unhandled-failure: answered 500 after it was told that charge failed (answered 402)"
    paused = {"status": "paused", "pauseReason": "unhandled-failure", "error": error}
    step = STEP | paused | {"httpStatus": 500, "dueAt": "2026-11-23T12:00:14.000Z"}
    shown = atomic("show", "01A", answers=[answer(TREE | {"steps": [step]})]).output
    assert shown.splitlines()[-1].endswith(f"1 try, {error}")
    assert "HTTP 500" not in shown
    page = {"runs": [RUN | paused], "total": 1, "totalIsEstimate": False, "next": None}
    assert atomic("runs", answers=[answer(page)]).output.count("unhandled-failure") == 1


def test_of_a_failure_that_was_not_handled_the_own_mistake_is_told(atomic: Atomic):
    """What the function answered after it was told is what there is to mend."""
    error = "unhandled-failure: answered 500 after it was told that charge failed (answered 402)"
    paused = {"status": "paused", "error": error, "excerpt": "name 'sipment' is not defined"}
    step = STEP | paused | {"httpStatus": 500}
    shown = atomic("show", "01A", answers=[answer(TREE | {"steps": [step]})]).output
    told = "answered 500 (name 'sipment' is not defined) after it was told that charge failed (a"
    assert told in shown


@pytest.mark.parametrize(
    ("excerpt", "told"),
    [
        ("502 Bad Gateway", "HTTP 502 Bad Gateway"),
        ("502", "HTTP 502 502"),
        ("5023 parcels lost", "HTTP 502 5023 parcels lost"),
        ("Step 'charge' failed.", "HTTP 502 Step 'charge' failed"),
        ("and so on...", "HTTP 502 and so on..."),
    ],
)
def test_the_excerpt_fits_the_line(atomic: Atomic, excerpt: str, told: str):
    """The status once, and no full stop before a comma."""
    ended = {"httpStatus": 502, "error": "http-status: answered 502", "excerpt": excerpt}
    step = STEP | ended | {"endedAt": "2026-11-23T12:00:03.100Z"}
    shown = atomic("show", "01A", answers=[answer(TREE | {"steps": [step]})]).output
    assert f"1 try, {told}, took " in shown


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (500, ""),
        (500, "; its post to /other was refused: the run belongs to /shop"),
        (301, " with Location: /v2/order (redirects are not followed)"),
    ],
)
def test_what_a_reason_says_beyond_the_status_is_told(atomic: Atomic, status: int, more: str):
    """Why a post was refused, and where a redirect leads: of the step, the attempt, the event."""
    error = f"http-status: answered {status}{more}"
    ended = {"httpStatus": status, "error": error}
    step = STEP | ended | {"attemptRows": [ATTEMPT | ended | {"delayMs": 0}]}
    shown = atomic("show", "01A", "--attempts", answers=[answer(TREE | {"steps": [step]})]).stdout
    of_step, of_attempt = shown.splitlines()[-2:]
    assert of_step.endswith(f"1 try, HTTP {status}{more}")
    assert of_attempt.endswith(f"failure: HTTP {status}{more}")
    event = Event("1", "attempt", LateEnd(http_status=status, error=error))
    assert event_text(event).endswith(f"HTTP {status}{more}")


def test_a_status_is_said_once() -> None:
    """The title of a page often begins with it."""
    data = LateEnd(http_status=502, error="http-status: answered 502", excerpt="502 Bad Gateway")
    assert event_text(Event("1", "attempt", data)).endswith("  HTTP 502 Bad Gateway")


def test_the_excerpt_stands_behind_the_status(atomic: Atomic):
    """Of the step, the attempt, the event, and in lists the reason with the step's name; what an
    answer holds cannot drive the terminal."""
    error = "http-status: answered 402; its post to /b was refused"
    excerpt = "card_declined: no\x1b[2J funds"
    ended = {"httpStatus": 402, "error": error, "excerpt": excerpt}
    told = "HTTP 402 card_declined: no\\u001b[2J funds; its post to /b was refused"
    step = STEP | ended | {"attemptRows": [ATTEMPT | ended | {"delayMs": 0}]}
    shown = atomic("show", "01A", "--attempts", answers=[answer(TREE | {"steps": [step]})]).stdout
    of_step, of_attempt = shown.splitlines()[-2:]
    assert of_step.endswith(f"1 try, {told}")
    assert of_attempt.endswith(f"failure: {told}")
    data = LateEnd(http_status=402, error=error, excerpt=excerpt)
    assert event_text(Event("1", "attempt", data)).endswith(told)
    reason = {"stepId": "01A-1", "stepName": "charge", **ended}
    for step_id, name in (("01A-1", "charge: "), (RUN["id"], "")):
        run = RUN | {"error": "http-status: answered 500", "reason": reason | {"stepId": step_id}}
        page = answer({"runs": [run], "total": 1, "totalIsEstimate": False})
        assert f", {name}{told}" in atomic("runs", answers=[page]).stdout


def test_half_a_character_is_printed_as_it_is_written():
    """No terminal has one, and no answer is kept back for it."""
    shown = json_text(rb'{"note":"\ud83d \u202e","n":1}')
    assert shown == '{\n  "note": "\\ud83d \\u202e",\n  "n": 1\n}'


def test_a_run_is_drawn_as_a_tree(atomic: Atomic):
    """State as glyph and word, tries, and the time to the next try; strays and news are shown."""
    result = atomic("show", "01A", answers=[answer(TREE)])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "↻ backing-off  createUser  01A",
        "client shop, key k, submitted 2026-11-23 12:00:00Z",
        "◷ waiting  index            1 try",
        "├─ ✓ completed  createUser  4 tries, HTTP 201, took 3.1 s",
        "│  └─ ⊘ cancelled  log      1 try",
        "└─ ↻ backing-off  sendMail  3 tries, 3 of 10 retries used, HTTP 500, next try in 14 s",
        "? dreaming  stray           1 try",
    ]


def test_the_moves_of_a_run_are_told(atomic: Atomic):
    """From where to where, and since when if that was kept; of many the latest."""
    at = "2026-11-23T12:00:03.000Z"
    moves = [{"from": f"http://a/{n}", "to": "http://b\x1b"} for n in range(20)]
    moves.append({"from": "http://b", "to": "http://a", "at": at})
    lines = atomic("show", "01A", answers=[answer(TREE | {"moves": moves})]).stdout.splitlines()
    assert lines[2:4] == ["moved 1 time before", "moved: http://a/1 -> http://b\\u001b"]
    assert lines[22] == "moved 2026-11-23 12:00:03Z: http://b -> http://a"
    assert lines[23].startswith("◷ waiting  index")


def test_what_stopped_a_run_is_told(atomic: Atomic):
    """The steps of a run that a bug stopped do not say why it stands still."""
    why = {"status": "paused", "pauseReason": "engine-error", "error": "KeyError: 'a' (in fold)"}
    result = atomic("show", "01A", answers=[answer(TREE | {"run": RUN | why})])
    assert result.stdout.splitlines()[2] == (
        "the engine could not go on with it: KeyError: 'a' (in fold)"
    )


def test_no_more_retries_are_used_than_there_are(atomic: Atomic):
    """Where all are used, one of the failures was that of the first try."""
    used_up = STEP | {"status": "paused", "attempts": 2, "failures": 2, "retriesMax": 1}
    result = atomic("show", "01A", answers=[answer(TREE | {"steps": [used_up]})])
    assert "2 tries, 1 of 1 retry used" in result.stdout


def test_attempts_are_drawn_when_asked_for(atomic: Atomic):
    """Each with its time, its end and what set the delay after it."""
    result = atomic("show", "01A", "--attempts", answers=[answer(TREE)])
    line = "      try 1  12:00:00.000Z  failure: HTTP 500, waited 1 s (policy)"
    assert line in result.stdout.splitlines()


def test_an_attempt_of_another_day_has_its_date(atomic: Atomic):
    """So has a step's own key where it was given one, and no status is said twice."""
    late = ATTEMPT | {"startedAt": "2026-11-24T00:00:00.000Z", "error": "http-status: answered 500"}
    step = STEP | {
        "stepKey": "parcel/2",
        "attempts": 2,
        "attemptRows": [late, late | {"delayMs": 0}],
    }
    result = atomic("show", "01A", "--attempts", answers=[answer(TREE | {"steps": [step]})])
    assert result.stdout.splitlines()[2:] == [
        "▸ running  index (parcel/2)  2 tries",
        "   try 1  2026-11-24T00:00:00.000Z  failure: HTTP 500, waited 1 s (policy)",
        "   try 1  2026-11-24T00:00:00.000Z  failure: HTTP 500",
    ]


def test_a_terminal_without_unicode_gets_ascii(atomic: Atomic, monkeypatch: pytest.MonkeyPatch):
    """No question marks and no crash where the encoding has no glyphs."""
    result = atomic("show", "01A", answers=[answer(TREE)], charset="ascii")
    assert result.stdout.isascii()
    assert "|- + completed  createUser" in result.stdout
    assert "`- r backing-off  sendMail" in result.stdout
    dumb = atomic("show", "01A", answers=[answer(TREE)], env={"TERM": "dumb"})
    assert dumb.stdout.isascii()


def test_colours_are_for_terminals_and_no_color_is_honoured(atomic: Atomic):
    """A pipe gets plain text, a terminal colours, NO_COLOR none."""
    tree = [answer(TREE)]
    assert "\x1b" not in atomic("show", "01A", answers=tree).stdout
    assert "\x1b[32m" in atomic("show", "01A", answers=tree, color=True).stdout
    plain = atomic("show", "01A", answers=tree, color=True, env={"NO_COLOR": "1"})
    assert "\x1b" not in plain.stdout


def test_deep_trees_are_drawn(atomic: Atomic):
    """Depth is bounded by the engine's limit, not by Python's stack."""
    steps = [STEP] + [
        STEP | {"id": f"s{n}", "parentId": f"s{n - 1}" if n else "01A"} for n in range(2_000)
    ]
    result = atomic("show", "01A", answers=[answer(TREE | {"steps": steps})])
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2_003)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b]0;owned\x07", "\\u001b]0;owned\\u0007"),
        ("\x9b2J\x7f", "\\u009b2J\\u007f"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("one\r\ntwo\t", "one\\r\\ntwo\\t"),
        ("\ud800\U000e0041", "\\ud800\\udb40\\udc41"),
    ],
)
def test_text_of_others_cannot_drive_the_terminal(text: str, shown: str):
    """Escapes, C1, bidi marks, line breaks, surrogates and tags become visible."""
    assert safe(text) == shown


def test_hostile_text_is_safe_in_every_output(atomic: Atomic):
    """Errors, names, keys and JSON values: nothing unprintable reaches the terminal."""
    bad = "x\x1b[2J\x9b\u202e"
    run = RUN | {"workflowName": bad, "idempotencyKey": bad, "client": bad, "error": bad}
    step = STEP | {"name": bad, "error": bad, "status": bad, "attemptRows": [ATTEMPT]}
    tree = answer({"run": run, "steps": [step], "serverTime": TREE["serverTime"]})
    page = answer({"runs": [run], "total": 1, "totalIsEstimate": False})
    outputs = [
        atomic("show", "01A", answers=[tree]),
        atomic("show", "01A", "--json", answers=[tree]),
        atomic("runs", answers=[page]),
        atomic("runs", "--json", answers=[page]),
        atomic("show", "01A", answers=[refusal(Problem.NOT_FOUND, bad)]),
        atomic("status", answers=[answer({"version": bad, "instance": bad, "counts": {bad: 1}})]),
    ]
    for result in outputs:
        assert result.output.strip()
        assert all(line.isprintable() for line in result.output.split("\n"))
    assert json.loads(outputs[1].stdout)["run"]["workflowName"] == bad


def test_json_is_ascii_where_the_terminal_is(atomic: Atomic):
    """The values stay the same."""
    page = answer({"runs": [RUN | {"error": "é𝄞"}], "total": 1, "totalIsEstimate": False})
    result = atomic("runs", "--json", answers=[page], charset="ascii")
    assert result.stdout.isascii()
    assert json.loads(result.stdout)["runs"][0]["error"] == "é𝄞"


def test_runs_are_listed(atomic: Atomic, engine: FakeEngine):
    """Filters are sent, pages are followed to the limit, the rest is counted."""
    first = {"runs": [RUN], "total": 1_200, "totalIsEstimate": True, "next": "c"}
    failed = RUN | {"status": "failed", "failedSteps": 1, "dismissed": True, "dueAt": None}
    second = first | {"runs": [failed], "next": None}
    result = atomic(
        *("runs", "--client", "shop", "--status", "failed,backing-off", "--limit", "600"),
        answers=[answer(first), answer(second)],
    )
    head, one, two = result.stdout.splitlines()
    assert head.split() == ["STATE", "RUN", "CLIENT", "WORKFLOW", "KEY", "STEPS", "SUBMITTED"]
    assert one.startswith("↻ backing-off  01A  shop")
    assert one.endswith("next try 2026-11-23 12:00:14Z")
    assert two.startswith("✗ failed       01A  shop")
    assert "3 (1 failed)" in two
    assert two.endswith("dismissed")
    assert result.stderr == "2 of about 1,200 runs\n"
    params = dict(engine.requests[1].url.params)
    assert (params["limit"], params["cursor"], params["status"]) == (
        "500",
        "c",
        "failed,backing-off",
    )


def test_no_runs_are_told(atomic: Atomic):
    """An empty list is no error and no empty table."""
    result = atomic("runs", answers=[answer({"runs": [], "total": 0, "totalIsEstimate": False})])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "0 of 0 runs\n")


def test_the_status_is_shown(atomic: Atomic):
    """Counts by state with glyph and word; members that are missing are left out."""
    status = {
        "version": "0.1.0",
        "instance": "i-1",
        "startedAt": "2026-11-23T12:00:00.000Z",
        "counts": {"running": 1_200, "failed": 0},
        "lateCount": 2,
        "durability": {"synchronous": "FULL"},
    }
    assert atomic("status", answers=[answer(status)]).stdout.splitlines() == [
        "Atomic 0.1.0, instance i-1",
        "started 2026-11-23 12:00:00Z",
        "▸ running  1,200",
        "late 2",
        "durability: synchronous FULL",
    ]
    assert json.loads(atomic("status", "--json", answers=[answer(status)]).stdout) == status
    assert atomic("status", answers=[answer({})]).exit_code == 0


def test_what_waits_at_a_host_and_why_is_shown(atomic: Atomic):
    """For other reasons than places; one that this command does not know is shown as it is."""
    host = {"host": "app:9000", "ended": 0, "succeeded": 0, "p95Ms": None, "byMinute": []}
    waits = {"breaker": 1, "place": 7, "tide\x1b[2J": 1_200}
    status = {"hosts": [{**host, "inFlight": 1, "queued": 1_208, "waitsFor": waits}]}
    assert atomic("status", answers=[answer(status)]).stdout.splitlines()[1:] == [
        "app:9000: 1 waits for breaker",
        "app:9000: 1,200 wait for tide\\u001b[2J",
    ]
    del status["hosts"][0]["waitsFor"]  # an engine that does not say
    assert "wait" not in atomic("status", answers=[answer(status)]).stdout


def test_a_store_that_cannot_be_written_is_shown(atomic: Atomic):
    """Why, since when and by whom; what a process calls itself cannot paint the terminal."""
    away = {"available": False, "since": "2026-11-23T12:00:00.000Z", "why": "the disk is full."}
    status = {"store": {**away, "heldBy": "process 7 (sh\x1b[2J)"}}
    assert atomic("status", answers=[answer(status)]).stdout.splitlines()[1:] == [
        "the store cannot be written since 2026-11-23 12:00:00Z: the disk is full.",
        "held by process 7 (sh\\u001b[2J)",
    ]
    status = {"store": {"available": True, "bytesUsed": 79, "bytesMax": 100}}
    assert "store" not in atomic("status", answers=[answer(status)]).stdout


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ({"bytesUsed": 8_000, "bytesMax": 10_000, "filling": True},
         "the store fills: 8,000 of 10,000 bytes (store_bytes_max): beyond that no new run is"
         " taken"),
        ({"bytesUsed": 12_000, "bytesMax": 10_000, "filling": True, "full": True},
         "the store is full: 12,000 of 10,000 bytes (store_bytes_max): no new run is taken, open"
         " ones go on"),
        ({"full": True},  # as who sees one client is told it
         "the store is full (store_bytes_max): no new run is taken, open ones go on"),
    ],
)  # fmt: skip
def test_a_store_that_fills_is_shown(atomic: Atomic, store: dict[str, object], told: str):
    """From when the log warns of it, and when it refuses new runs."""
    done = atomic("status", answers=[answer({"store": {"available": True} | store})])
    assert told in done.stdout.splitlines()


def test_a_run_is_acted_on(atomic: Atomic, engine: FakeEngine):
    """Options reach the engine, and what changed is told."""
    result = atomic(
        "retry", "01A", "--reason", "mended", "--if-rev", "3", answers=[answer(DONE, 202)]
    )
    assert result.stdout == "↻ backing-off  createUser  01A  retry: changed 2 steps\n"
    assert engine.requests[0].headers["atomic-actor"] == "ada@laptop"
    assert engine.requests[0].url.path == "/api/v1/runs/01A/actions"
    assert engine.body() == {"action": "retry", "ifRev": 3, "reason": "mended"}


def test_a_dry_run_names_the_steps(atomic: Atomic):
    """Beside their ids, which alone an older engine tells; of more than 100 the others are
    counted."""
    would = DONE | {"dryRun": True, "changedSteps": [{"stepId": "01B", "stepName": "a\x1b"}]}
    told = atomic("retry", "01A", "--dry-run", answers=[answer(would)]).stdout.splitlines()
    assert told[1:] == ["  a\\u001b  01B", "  01C"]
    for count, more in ((100, []), (101, ["  and 1 more"])):
        many = would | {"changed": [f"s{n}" for n in range(count)], "changedSteps": []}
        told = atomic("retry", "01A", "--dry-run", answers=[answer(many)]).stdout.splitlines()
        assert told[101:] == more


def test_a_step_is_named_by_id_or_by_name(atomic: Atomic, engine: FakeEngine):
    """A unique name will do; an unknown or shared one is a usage error."""
    would = DONE | {"action": "rerun", "dryRun": True}
    result = atomic(
        "rerun", "01A", "--step", "sendMail", "--dry-run", answers=[answer(TREE), answer(would)]
    )
    assert json.loads(engine.requests[1].content)["step"] == "01C"
    assert result.stdout.splitlines()[1:] == ["  01B", "  01C"]
    assert "rerun: would change 2 steps" in result.stdout
    assert atomic("rerun", "01A", "--step", "nope", answers=[answer(TREE)]).exit_code == 2
    twins = TREE | {"steps": [STEP, STEP | {"id": "01B", "parentId": "01A"}]}
    result = atomic("retry", "01A", "--step", "index", answers=[answer(twins)])
    assert result.exit_code == 2
    assert "01A, 01B" in result.stderr
    assert atomic("rerun", "01A").exit_code == 2


def test_a_step_is_named_as_it_is_shown(atomic: Atomic, engine: FakeEngine):
    """Steps of one name that differ in their key are told apart by it."""
    parcels = [STEP | {"id": f"01{n}", "name": "ship", "stepKey": f"ship/{n}"} for n in (1, 2)]
    tree, done = answer(TREE | {"steps": [STEP, *parcels]}), answer(DONE)
    assert atomic("retry", "01A", "--step", "ship/2", answers=[tree, done]).exit_code == 0
    assert json.loads(engine.requests[1].content)["step"] == "012"
    assert "Several steps" in atomic("retry", "01A", "--step", "ship", answers=[tree]).stderr


@pytest.mark.parametrize("action", ["retry", "pause", "resume", "cancel", "dismiss", "undismiss"])
def test_each_action_has_a_command(atomic: Atomic, engine: FakeEngine, action: str):
    """By key as well; a refusal has its exit code."""
    page = {"runs": [RUN], "total": 1, "totalIsEstimate": False}
    named = (action, "--workflow", "createUser", "--key", "k", "--client", "shop", "--json")
    done = DONE | {"action": action}
    result = atomic(*named, answers=[answer(page), answer(done, 202)])
    assert json.loads(result.stdout)["action"] == action
    assert json.loads(engine.requests[1].content) == {"action": action}
    refused = refusal(Problem.NOT_POSSIBLE, "Nothing here is paused.")
    assert atomic(action, "01A", answers=[refused]).exit_code == 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.1234, "123 ms"), (59.6, "1 m 0 s"), (125, "2 m 5 s"), (12_000, "3 h 20 m")],
)
def test_durations_are_for_people(seconds: float, text: str):
    """Two units at most."""
    assert span_text(seconds) == text


def test_the_status_says_what_stands_still(atomic: Atomic):
    """And nothing of it where nothing does, or an engine of another kind says it otherwise."""
    why = "4 attempts at app:8000 wait for 4 steps that it has not accepted"
    told = {"version": "1", "instance": "i", "counts": {}}
    rows = [standstill("app:8000", why)]
    shown = atomic("status", answers=[answer(told | {"standstills": rows})]).stdout
    assert (
        f"app:8000 stands still since {NOON}: {why}; who waits there is sent home until {NOON}."
        " Have more workers there, or suspend\n"
    ) in shown
    others: tuple[object, ...] = ([], None, "odd", {"host": 1})
    for standstills in others:
        result = atomic("status", answers=[answer(told | {"standstills": standstills})])
        assert (result.exit_code, "still" in result.stdout) == (0, False)


def test_the_status_says_which_file_is_bad(atomic: Atomic):
    """What defines a client or token and is not taken as it is; nothing where all is well."""
    why = "clients/shop.toml: line 2: `privat\x1b`: unknown member"
    row = {"file": "clients/shop.toml", "since": "2026-11-23T12:00:00.000Z", "why": why}
    told = {"version": "1", "instance": "i", "counts": {}}
    shown = atomic("status", answers=[answer(told | {"badFiles": [row]})]).stdout
    assert (
        "a bad file since 2026-11-23 12:00:00Z, and what it said before holds: clients/shop.toml:"
        " line 2: `privat\\u001b`: unknown member\n"
    ) in shown
    others: tuple[object, ...] = ([], None, "odd")
    for rows in others:
        assert "bad" not in atomic("status", answers=[answer(told | {"badFiles": rows})]).stdout


def test_a_board_as_text_says_first_what_is_wrong(atomic: Atomic):
    """A store that is away, a host that stands still, a stop: above the board; else nothing."""
    runs = {"runs": [], "total": 0, "totalIsEstimate": False}
    store = {"available": False, "since": "2026-11-23T12:00:00.000Z", "why": "the disk is full."}
    status = {
        "serverTime": "2026-11-23T12:00:01.000Z",
        "draining": True,
        "store": {**store, "heldBy": "process 7 (sh\x1b[2J)"},
        "standstills": [standstill("app:8000", "4 attempts at app:8000 wait")],
    }
    shown = atomic("tui", "--once", answers=[answer(status), answer(runs)]).stdout.splitlines()
    assert shown[:-1] == [
        "it is stopping",
        "the store cannot be written since 2026-11-23 12:00:00Z: the disk is full.",
        "held by process 7 (sh\\u001b[2J)",
        f"app:8000 stands still since {NOON}: 4 attempts at app:8000 wait; who waits there is sent"
        f" home until {NOON}. Have more workers there, or suspend",
    ]
    well = status | {"draining": False, "store": {"available": True}, "standstills": []}
    assert atomic("tui", "--once", answers=[answer(well), answer(runs)]).stdout == f"{shown[-1]}\n"


@pytest.mark.parametrize(("failures", "last"), [(4, False), (5, True)])
def test_the_last_try_is_called_so(atomic: Atomic, failures: int, last: bool):
    """All retries are used with the one that is to come: else it would read as one too many."""
    due = {"status": "backing-off", "dueAt": "2026-11-23T12:00:14.000Z", "endedAt": None}
    step = STEP | due | {"attempts": failures, "failures": failures, "retriesMax": 5}
    shown = atomic("show", "01A", answers=[answer(TREE | {"steps": [step]})]).stdout
    assert f"{failures} of 5 retries used" in shown
    assert shown.rstrip().endswith(", the last") is last
