"""Bugs in how runs act on what the core decides, and in parent tokens: `engine/runs/`."""

from __future__ import annotations

from engine.core.model import Step
from engine.runs.acts import carry_out
from engine.runs.engine import Engine
from engine.runs.live import LiveRun
from engine.runs.memory import Memory
from engine.runs.open.parent import ParentTokens
from tests.mutants.catalog import KILLS, SIMULATION, Planting, plant


@plant("the answer 202 leaves before the commit", by=(SIMULATION, KILLS), rules=("R1", "I6"),
       slow_sync_ms=150)  # fmt: skip
def acknowledged_before_commit(bug: Planting) -> None:
    bug.rewrite(
        LiveRun.wait_durable, "if self.receipt is None or self.receipt.durable:", "if True:"
    )


@plant("callers are told an outcome before its commit", rules=("R2", "R3", "I6"))
def told_before_commit(bug: Planting) -> None:
    bug.rewrite(LiveRun.commit, "then = partial(self._when_durable, ended, promised)",
                "then = partial(self._when_durable, ended, promised)\n"
                "        if not promised:\n            then()")  # fmt: skip


@plant("an operator is told that an action is done before its commit", rules=("R21",))
def action_told_before_commit(bug: Planting) -> None:
    its = "await (live.wait_durable() if order.dry_run else live.wait_all_durable())"
    bug.rewrite(carry_out, its, "pass")


@plant("the signature of a parent token is not checked", rules=("R20",))
def parent_token_not_checked(bug: Planting) -> None:
    bug.rewrite(
        ParentTokens.read, "not hmac.compare_digest(self._sign(text).encode(), signature.encode())",
        "False",
    )  # fmt: skip


@plant("a parent token of another client's run is taken", rules=("R20",))
def other_clients_parent_token(bug: Planting) -> None:
    bug.rewrite(Engine._find_run, "if live.run.client != client:", "if False:")


@plant("runs are found without asking whose they are", rules=("R12", "R2", "R9", "R6"))
def runs_shared_by_clients(bug: Planting) -> None:
    same = "(live for (_, *key_of), live in self._by_identity.items() if key_of == [workflow, key])"
    bug.rewrite(
        Memory.by_key_nowait,
        "self._by_identity.get((client, workflow, key))",
        f"next({same}, None)",
    )


@plant("the key that an endpoint is sent is not the step's own", rules=("effects", "R23"))
def keys_shared_by_steps(bug: Planting) -> None:
    bug.replace(Step, "own_key", property(lambda step: step.spec.key))
