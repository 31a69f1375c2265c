"""`atomic client`: what a change of a list is told to mean."""

from __future__ import annotations

import pytest

from tests.client.fake_engine import Atomic, answer

ROW = {
    "name": "shop", "targets": [], "privateTargets": False, "stepsNeedParent": None,
    "disabled": False, "definedIn": None, "signingSecrets": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "targets", "told"),
    [
        (("--remove", "http://a/"), [], "all of its open runs will be paused"),
        (("--remove", "http://a/"), ["http://b/"], "what no target covers any more will be paused"),
        (("--add", "http://b/"), ["http://b/"], ""),
    ],
)
def test_a_target_that_is_taken_away(
    atomic: Atomic, arguments: tuple[str, ...], targets: list[str], told: str
) -> None:
    """What happens to open runs is said, as an empty list says nothing."""
    done = atomic(
        "client", "targets", "shop", *arguments, answers=[answer(ROW | {"targets": targets})]
    )
    assert done.exit_code == 0
    assert told in done.stderr
    assert bool(told) is bool(done.stderr)
