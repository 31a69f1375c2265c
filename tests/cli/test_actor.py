"""Who acts, and for which client: `--as`, `--client` and what the environment says of them."""

from __future__ import annotations

import pytest

from engine.cli.options import actor_of_process, user_at_host
from tests.cli.tree import DONE
from tests.client.fake_engine import RUN, Atomic, FakeEngine, answer

PAGE = {"runs": [RUN], "total": 1, "totalIsEstimate": False}
JOB = {
    "id": "01J", "state": "done", "action": "retry", "q": "is:failed", "matched": 1, "total": 1,
    "done": 1, "skipped": {}, "ratePerS": 20,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "name"),
    [
        ((), {}, "ada@laptop"),
        ((), {"ATOMIC_ACTOR": "night shift"}, "night shift"),
        ((), {"ATOMIC_ACTOR": ""}, "ada@laptop"),
        (("--as", "bob"), {"ATOMIC_ACTOR": "night shift"}, "bob"),
        (("--as", "b" * 64), {}, "b" * 64),
    ],
)
def test_who_acts_is_said(atomic: Atomic, engine: FakeEngine, arguments, environment, name):
    """The option, else the environment, else who runs the command; of actions and of jobs."""
    atomic("pause", "01A", *arguments, answers=[answer(DONE, 202)], env=environment)
    would = JOB | {"id": None, "state": "dry-run", "done": 0}
    bulk = ("bulk", "retry", "--filter", "is:failed", "--yes", "1")
    done = atomic(*bulk, *arguments, answers=[answer(would), answer(JOB, 202)], env=environment)
    atomic("bulk", "abort", "01J", *arguments, answers=[answer(JOB)], env=environment)
    assert done.exit_code == 0
    told = [request.headers.get("atomic-actor") for request in engine.requests]
    assert told == [name] * 4


@pytest.mark.parametrize("name", ["", "b" * 65, "Jörg", "a\nb", " ada"])
@pytest.mark.parametrize("by", ["--as", "ATOMIC_ACTOR"])
def test_a_name_that_cannot_be_sent_is_refused(atomic: Atomic, by: str, name: str):
    """With the limit, and where it was said, before the engine is asked."""
    if by == "--as":
        result = atomic("pause", "01A", "--as", name)
    elif name:
        result = atomic("pause", "01A", env={by: name})
    else:
        return
    assert result.exit_code == 2
    assert "1 to 64 printable ASCII" in result.stderr
    assert by in result.stderr


@pytest.mark.parametrize(
    ("user", "host", "name"),
    [
        ("ada", "laptop", "ada@laptop"),
        ("Jörg Ü", "büro\x1b", "J?rg??@b?ro?"),
        ("ada", "h" * 253, f"ada@{'h' * 60}"),
    ],
)
def test_what_this_process_is_called_can_be_sent(
    atomic: Atomic, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, user, host, name
):
    """Cut, and with a question mark for what is no printable ASCII."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    atomic("pause", "01A", answers=[answer(DONE, 202)], env={"USER": user})
    assert engine.requests[0].headers["atomic-actor"] == name


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch):
    """As in a container that runs under a number."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    monkeypatch.setattr("socket.gethostname", lambda: "c0ffee")
    assert user_at_host() == "4711@c0ffee"


def test_what_the_process_starts_acts_as(monkeypatch: pytest.MonkeyPatch):
    """As the commands that it starts; what is no name they refuse by themselves."""
    monkeypatch.setattr("engine.cli.options.user_at_host", lambda: "ada@desk")
    for named, actor in (("grace", "grace"), ("", "ada@desk"), (" grace", "ada@desk")):
        monkeypatch.setenv("ATOMIC_ACTOR", named)
        assert actor_of_process() == actor
    monkeypatch.delenv("ATOMIC_ACTOR")
    assert actor_of_process() == "ada@desk"


def test_the_environment_names_the_client(atomic: Atomic, engine: FakeEngine):
    """Wherever --client is; the option goes before it, and an empty one is every client's."""
    shop = {"ATOMIC_CLIENT": "shop"}
    atomic("runs", answers=[answer(PAGE)], env=shop)
    atomic("runs", "--client", "other", answers=[answer(PAGE)], env=shop)
    atomic("runs", "--client", "", answers=[answer(PAGE)], env=shop)
    named = ("--workflow", "w", "--key", "k")
    atomic("pause", *named, answers=[answer(PAGE), answer(DONE, 202)], env=shop)
    asked = [request.url.params.get("client") for request in engine.requests]
    assert asked == ["shop", "other", None, "shop", None]
    for environment, path in (({}, "/default"), (shop, "/shop")):
        done = atomic(
            "submit", "http://app/", "--workflow", "w", answers=[answer()], env=environment
        )
        assert done.exit_code == 0
        assert engine.requests[-1].url.path == path


def test_the_client_bounds_a_bulk_job(atomic: Atomic, engine: FakeEngine):
    """As it bounds the list, so that the same filter finds the same runs; no pattern is taken."""
    would = JOB | {"id": None, "state": "dry-run", "done": 0}
    bulk = ("bulk", "retry", "--filter", "is:failed", "--dry-run")
    for arguments in ((), ("--client", "a.b"), ("--client", "")):
        atomic(*bulk, *arguments, answers=[answer(would)], env={"ATOMIC_CLIENT": "shop"})
    asked = [body["q"] for body in engine.bodies()]
    assert asked == ["is:failed client:shop", "is:failed client:a.b", "is:failed"]
    for name in ("sh*", "a b", "x" * 65):
        assert atomic(*bulk, "--client", name).exit_code == 2
    assert atomic(*bulk, "--client", "x" * 64, answers=[answer(would)]).exit_code == 0


def test_an_id_says_whose_run_it_is(atomic: Atomic, engine: FakeEngine):
    """Whatever the environment names; only one who says both is told."""
    result = atomic("pause", "01A", answers=[answer(DONE, 202)], env={"ATOMIC_CLIENT": "shop"})
    assert result.exit_code == 0
    assert atomic("pause", "01A", "--client", "shop").exit_code == 2


def test_a_client_of_the_environment_is_told(atomic: Atomic):
    """Lest its runs be taken for all there are."""
    told = atomic("runs", answers=[answer(PAGE)], env={"ATOMIC_CLIENT": "shop"}).stderr
    assert told == "1 of 1 run of client shop\n"
    assert atomic("runs", "--client", "shop", answers=[answer(PAGE)]).stderr == "1 of 1 run\n"
