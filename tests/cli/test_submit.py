"""`atomic submit` and `atomic outcome`: what is sent, printed, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import msgspec
import pytest

from engine.wire import Problem
from tests.client.fake_engine import OUTCOME, RUN, Atomic, FakeEngine, answer, refusal

URL = "http://app/index"
SUBMIT = ("submit", URL, "--client", "shop", "--workflow", "createUser", "--key", "k")
PAGE = {"runs": [RUN], "total": 1, "totalIsEstimate": False}
OPEN = {"id": "01A", "runId": "01A", "status": "running"}


def test_the_answer_goes_to_stdout_and_the_rest_to_stderr(atomic: Atomic, engine: FakeEngine):
    """A pipe gets the endpoint's answer and nothing else."""
    result = atomic(
        *SUBMIT,
        *("--data", '{"userName": "ada"}', "--timeout", "8s", "--retry-count", "3"),
        *("--back-off", "100", "--attempt-timeout", "1m", "--step-name", "start"),
        answers=[answer()],
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"id": 42}
    assert result.stderr == "✓ completed, run 01A, 4 attempts\n"
    assert engine.requests[0].url.path == "/shop"
    assert engine.body() == {
        "workflowName": "createUser",
        "stepInvokeUrl": URL,
        "idempotencyKey": "k",
        "payload": {"userName": "ada"},
        "timeout": 8000,
        "retry": {"count": 3, "backOff": 100},
        "attemptTimeout": 60_000,
        "stepName": "start",
    }


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("1m", {"backOff": 60_000}), ("1h", {"backOff": 3_600_000, "maxBackOff": 3_600_000})],
)
def test_a_long_back_off_is_not_cut(
    atomic: Atomic, engine: FakeEngine, typed: str, sent: dict[str, int]
):
    """It is the delay before the first retry, as it says; up to the limit that a policy has by
    itself, nothing more is sent."""
    assert atomic(*SUBMIT, "--back-off", typed, answers=[answer()]).exit_code == 0
    assert engine.body()["retry"] == sent


def test_the_whole_answer_is_printed_as_json(atomic: Atomic):
    """--json gives the protocol's own document."""
    result = atomic(*SUBMIT, "--json", answers=[answer(idempotent_replayed="true")])
    assert json.loads(result.stdout) == OUTCOME


def test_numbers_of_the_answer_are_printed_as_they_came(atomic: Atomic):
    """The answer's bytes are the endpoint's: no float takes a digit away."""
    raw = msgspec.Raw(b'{"a":1e400,"b":0.10000000000000000001}')
    content = msgspec.json.encode(OUTCOME | {"response": raw})
    result = atomic(*SUBMIT, answers=[httpx.Response(200, content=content)])
    assert result.stdout == '{\n  "a": 1e400,\n  "b": 0.10000000000000000001\n}\n'


NOT_YET = answer(OPEN, 202)
WAITS = RUN | {"reason": {"stepId": "01A", "stepName": "index", "error": "dns: no such name"}}
PAUSED = RUN | {"status": "paused", "pauseReason": "exhausted", "dueAt": None}


def tree(run: dict[str, object]) -> httpx.Response:
    """The look at a run while its outcome is waited for."""
    return answer({"run": run, "steps": [], "serverTime": "2026-11-23T12:00:00.000Z"})


@pytest.mark.parametrize("command", [SUBMIT, ("outcome", "01A")], ids=["submit", "outcome"])
def test_who_waits_long_is_told_what_keeps_the_run(
    atomic: Atomic, engine: FakeEngine, command: tuple[str, ...]
):
    """Once for each change of how it stands, with what to do where it waits for a person; the
    answer goes to stdout all the same. Nothing is told of a run that ends within five seconds."""
    looks = (tree(WAITS), NOT_YET, tree(WAITS), NOT_YET, tree(PAUSED))
    result = atomic(*command, answers=[NOT_YET, *looks, answer(idempotent_replayed="true")])
    assert json.loads(result.stdout) == {"id": 42}
    told = result.stderr.splitlines()
    assert told[:2] == [
        "↻ backing-off  next try 2026-11-23 12:00:14Z, dns: no such name",
        "Ctrl-C stops the waiting, not the run.",
    ]
    assert told[2:4] == [
        "◫ paused  exhausted",
        "It waits for you. When what is wrong is mended: atomic resume 01A"
        " (or give it up: atomic cancel 01A)",
    ]
    assert told[4:] == ["✓ completed, run 01A, 4 attempts"]
    asked = engine.requests[0]
    waits = asked.headers.get("prefer") if command is SUBMIT else asked.headers["prefer"]
    assert waits == "wait=5"


def test_a_run_that_somebody_paused_is_not_called_wrong(atomic: Atomic):
    """Nothing need be mended; the address that was typed belongs to what is to be typed next."""
    paused = tree(PAUSED | {"pauseReason": "operator"})
    engine = ("--engine", "http://127.0.0.1:9")
    result = atomic("outcome", "01A", *engine, answers=[NOT_YET, paused, answer()])
    assert result.stderr.splitlines()[1] == (
        "Somebody has paused it. To let it go on: atomic resume 01A --engine http://127.0.0.1:9"
        " (or give it up: atomic cancel 01A --engine http://127.0.0.1:9)"
    )


def test_who_says_how_long_is_not_told(atomic: Atomic, engine: FakeEngine):
    """`--timeout` has its own end, which says what to do."""
    atomic(*SUBMIT, "--timeout", "8s", answers=[answer()])
    assert "prefer" not in engine.requests[0].headers


def test_the_wait_outlives_a_restart_of_the_engine(atomic: Atomic):
    """Also when a look, or the next wait, begins while nobody is there: the engine was met. An
    answer to a look that cannot be read tells nothing."""
    gone = httpx.ConnectError("refused")
    looks = (gone, tree(WAITS), gone, gone, NOT_YET, httpx.Response(200, content=b"?"))
    result = atomic(*SUBMIT, answers=[NOT_YET, *looks, answer(idempotent_replayed="true")])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"id": 42}
    assert result.stderr.count("again in") == 3
    assert result.stderr.count("next try") == 1


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_the_payload_comes_from_a_file_or_stdin(
    atomic: Atomic, engine: FakeEngine, tmp_path: Path, way: str
):
    """`@file` and `-` are what curl users expect."""
    file = tmp_path / "payload.json"
    file.write_text("[1, 2]")
    data, given = (f"@{file}", None) if way == "file" else ("-", "[1, 2]")
    assert atomic(*SUBMIT, "--data", data, input=given, answers=[answer()]).exit_code == 0
    assert engine.body()["payload"] == [1, 2]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "the value is not JSON"),
        ("NaN", "there is no NaN in JSON"),
        ("@/nowhere/at/all", "cannot be read"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_payload_that_is_no_json_is_a_usage_error(atomic: Atomic, data: str, said: str):
    """It is told before anything is sent."""
    result = atomic(*SUBMIT, "--data", data)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_key_is_made_up_and_told(atomic: Atomic, engine: FakeEngine):
    """Without --key each submission is new work, and its key is known."""
    result = atomic("submit", URL, "--workflow", "w", answers=[answer()])
    key = engine.body()["idempotencyKey"]
    assert len(key) == 32
    assert result.stderr.startswith(f"key: {key}\n")
    assert engine.requests[0].url.path == "/default"


def test_no_wait_returns_when_it_is_durable(atomic: Atomic, engine: FakeEngine):
    """An open run is what was asked for: exit code 0."""
    result = atomic(*SUBMIT, "--no-wait", "--json", answers=[answer(OPEN, 202)])
    assert (result.exit_code, json.loads(result.stdout)) == (0, OPEN)
    assert engine.requests[0].headers["prefer"] == "respond-async"


@pytest.mark.parametrize(
    ("it", "code", "said"),
    [
        (refusal(Problem.STEP_FAILED, "Gave up."), 1, "atomic: The step failed: Gave up (424"),
        (refusal(Problem.RUN_CANCELLED, "By ada."), 1, "atomic: The run was cancelled: By ada"),
        (refusal(Problem.KEY_REUSED, "Other."), 4, "422 idempotency-key-reused"),
        (
            refusal(Problem.WAIT_TIMEOUT, "Over.", id="01A"),
            5,
            ": atomic show 01A; wait on: atomic outcome 01A\n",
        ),
        (refusal(Problem.INTERNAL, "A bug."), 3, "500 internal-error"),
        (httpx.Response(200, text="<html>"), 3, "Another program may listen there: --engine"),
        (httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER]"), 3, "an engine is called at http://"),
        (httpx.ConnectError("certificate refused: expired"), 3, "authority: SSL_CERT_FILE="),
        (httpx.ConnectError("refused"), 3, "`atomic serve` starts one"),
    ],
)
def test_each_end_has_its_exit_code(atomic: Atomic, it, code: int, said: str):
    """Scripts tell ends apart by number, people by one line; there is no traceback."""
    result = atomic(*SUBMIT, "--timeout", "8s", answers=[it])
    assert result.exit_code == code
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_an_engine_that_goes_away_meanwhile_is_waited_for(atomic: Atomic, engine: FakeEngine):
    """A restart of the engine while the command waits only costs a line on stderr."""
    cut, gone = httpx.ReadError("reset"), httpx.ConnectError("refused")
    result = atomic(*SUBMIT, answers=[cut, gone, answer()])
    assert result.exit_code == 0
    assert "broke off: reset; again in 0." in result.stderr
    assert len(engine.requests) == 3


def test_ctrl_c_says_how_to_go_on(atomic: Atomic):
    """What was submitted goes on, and the way back to it is told."""

    def interrupt(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    away = refusal(Problem.STORE_UNAVAILABLE, "Full. Nothing was recorded.", {"retry-after": "1"})
    result = atomic(*SUBMIT, answers=[away, interrupt])
    assert result.exit_code == 130
    assert "\nStopped waiting. If it was recorded, it goes on; see: atomic" in result.stderr
    assert "atomic outcome --workflow createUser --key k" in result.stderr


@pytest.mark.parametrize("arguments", [("--timeout", "soon"), ("--client", "a/b")])
def test_wrong_values_are_usage_errors(atomic: Atomic, arguments):
    """Durations and names are checked before anything is sent."""
    assert atomic(*SUBMIT, *arguments).exit_code == 2


def test_an_engine_address_that_is_none_is_a_usage_error(atomic: Atomic):
    """From the flag or from the environment."""
    assert atomic("status", "--engine", "localhost:8420").exit_code == 2
    assert atomic("status", env={"ATOMIC_URL": "nonsense"}).exit_code == 2


def test_the_outcome_is_asked_for_by_id_or_by_key(atomic: Atomic, engine: FakeEngine):
    """Workflow and key find the run, then its outcome is waited for."""
    assert atomic("outcome", "01A", answers=[answer()]).exit_code == 0
    named = ("outcome", "--workflow", "createUser", "--key", "k")
    assert atomic(*named, answers=[answer(PAGE), answer()]).exit_code == 0
    assert dict(engine.requests[1].url.params) == {
        "workflow": "createUser",
        "key": "k",
        "limit": "2",
    }
    assert engine.requests[2].url.path == "/api/v1/steps/01A/outcome"


def test_only_a_post_is_told_that_it_was_recorded_before(atomic: Atomic):
    """Who asks for an outcome asks for what is recorded."""
    known = answer(idempotent_replayed="true")
    assert "recorded before" in atomic(*SUBMIT, answers=[known]).stderr
    assert "recorded before" not in atomic("outcome", "01A", answers=[known]).stderr


def test_an_open_outcome_has_its_own_exit_code(atomic: Atomic):
    """--wait is over and the run is not."""
    result = atomic("outcome", "01A", "--wait", "0", answers=[answer(OPEN, 202)])
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == "▸ running, run 01A\n"


@pytest.mark.parametrize("kind", [Problem.ENGINE_ERROR, Problem.STORE_UNAVAILABLE])
@pytest.mark.parametrize("named", [("01A",), ("--workflow", "createUser", "--key", "k")])
def test_a_wait_ends_at_its_time_where_the_engine_refuses(
    atomic: Atomic, engine: FakeEngine, kind: Problem, named: tuple[str, ...]
):
    """It does not obey a `Retry-After` beyond it, of the outcome nor of the list before."""
    no = refusal(kind, "Damaged.", {"retry-after": "30"})
    result = atomic("outcome", *named, "--wait", "1", answers=[no])
    assert (result.exit_code, len(engine.requests)) == (3, 1)
    assert f"Damaged (503 {kind})" in result.stderr


def test_a_timeout_ends_where_the_engine_refuses(atomic: Atomic, engine: FakeEngine):
    """A post is not made again after the time that was given, whatever `Retry-After` asks for."""
    no = refusal(Problem.STORE_UNAVAILABLE, "Full.", {"retry-after": "30"})
    result = atomic(*SUBMIT, "--timeout", "8s", answers=[no])
    assert (result.exit_code, len(engine.requests)) == (3, 1)
    assert result.stderr == "atomic: The store is not available: Full (503 store-unavailable)\n"


def test_no_run_and_several_runs_of_a_key_are_told(atomic: Atomic):
    """A name must fit exactly one run."""
    named = ("outcome", "--workflow", "w", "--key", "k")
    none = answer({"runs": [], "total": 0, "totalIsEstimate": False})
    two = answer({"runs": [RUN, RUN | {"client": "b"}], "total": 2, "totalIsEstimate": False})
    result = atomic(*named, answers=[none])
    assert (result.exit_code, result.stderr) == (
        4,
        "atomic: There is no run of workflow w with key k.\n",
    )
    result = atomic(*named, answers=[two])
    assert result.exit_code == 4
    assert "Clients shop and b each have" in result.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("--key", "k"), ("01A", "--key", "k"), ("01A", "--client", "c"), ("..",)]
)
def test_a_run_is_named_in_one_way(atomic: Atomic, arguments):
    """Half a name or two names are usage errors."""
    assert atomic("show", *arguments).exit_code == 2
