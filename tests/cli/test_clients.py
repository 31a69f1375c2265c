"""`atomic client`: what a change of a list is told to mean."""

from __future__ import annotations

import json

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


HIDING = ROW | {"name": "bank", "redact": ["/card/number", "", "X-Key"], "definedIn": "bank.toml"}


def test_what_a_client_hides_is_said(atomic: Atomic) -> None:
    """Of each in the list, and of one that is named, also where a file defines it: then where it is
    changed. All of a body is told as `""`; nothing is changed."""
    found = answer({"clients": [HIDING, ROW]})
    listed = atomic("client", "ls", answers=[found])
    assert "HIDES" in listed.stdout
    assert '/card/number "" X-Key' in listed.stdout
    one = atomic("client", "redact", "bank", answers=[found])
    assert one.stdout == (
        'Of bodies of the client bank people are not shown: /card/number "" X-Key\n'
    )
    assert "bank.toml" in one.stderr
    none = atomic("client", "redact", "shop", answers=[found])
    assert (none.stdout, none.stderr) == ("All of the bodies of the client shop is shown.\n", "")
    as_json = atomic("client", "redact", "bank", "--json", answers=[found])
    assert json.loads(as_json.stdout) == HIDING


def test_of_a_client_that_is_not_known_that_is_said(atomic: Atomic) -> None:
    """And where those stand that are."""
    done = atomic("client", "redact", "nobody", answers=[answer({"clients": [ROW]})])
    assert done.exit_code == 4
    assert "no client nobody" in done.stderr
