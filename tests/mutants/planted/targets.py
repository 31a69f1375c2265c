"""Bugs in where steps may be called, and how their calls are signed: `engine/core/target.py`,
`engine/call/policy.py`, `engine/call/signing.py`."""

from __future__ import annotations

from engine.call import address, caller, signing, transport
from engine.call.dial import Dialler
from engine.core import target
from engine.core.rules import attempt, post
from tests.mutants.catalog import PROPERTY, Planting, plant

PREFIXES = "tests/core/test_target.py::test_what_a_prefix_does_not_cover"
CHANGED = "tests/call/test_policy.py::test_a_list_that_changes_holds_for_the_next_call"
REBINDING = "tests/call/test_policy.py::test_rebinding"
LEADS = "tests/call/test_policy.py::test_where_an_address_leads"
PAUSED = "tests/core/test_not_allowed.py::test_a_step_whose_target_is_no_longer_allowed_is_paused"
SAME_ID = "tests/call/test_signing.py::test_the_second_attempt_has_the_same_id_and_a_new_time"
BOTH = "tests/call/test_signing.py::test_two_secrets_are_valid_at_once"
ELSEWHERE = "tests/core/test_not_allowed.py::test_a_new_step_elsewhere_is_refused"


@plant("encoded dots lead out of a target", by=(PROPERTY,), test=PREFIXES)
def encoded_dots(bug: Planting) -> None:
    bug.rewrite(target.steps_out, 'decoded = unquote(plain, "latin-1")', "decoded = plain")


@plant("a target covers half a segment", by=(PROPERTY,), test=PREFIXES)
def half_a_segment(bug: Planting) -> None:
    bug.rewrite(target.covers, 'behind[0] not in "/?"', "not behind[0]")


@plant("a connection is used under another list than it was made", by=(PROPERTY,), test=CHANGED)
def another_lists_connection(bug: Planting) -> None:
    bug.rewrite(
        transport.LeanTransport.exchange, "pool = (target.origin, gate)",
        "pool = (target.origin, None)",
    )  # fmt: skip


@plant("the first of a name's addresses is looked at, the others not", by=(PROPERTY,),
       test=REBINDING)  # fmt: skip
def first_address_alone(bug: Planting) -> None:
    bug.rewrite(Dialler.connect, "for ip in addresses:", "for ip in addresses[:1]:")


@plant("NAT64 of a private address is public", by=(PROPERTY,), test=LEADS)
def private_behind_nat64(bug: Planting) -> None:
    plain = address.place_of.__wrapped__
    bug.rewrite(
        plain, "return Place.PUBLIC if inner is Place.PUBLIC else Place.NOWHERE",
        "return Place.PUBLIC or inner",
    )  # fmt: skip


@plant("a step whose target is off the list fails", by=(PROPERTY,), test=PAUSED)
def off_the_list_fails(bug: Planting) -> None:
    bug.rewrite(
        attempt._verdict, "isinstance(outcome, Unanswered) and outcome.pauses",
        "outcome is None",
    )  # fmt: skip


@plant("a step of a run is recorded whatever the list says", by=(PROPERTY,), test=ELSEWHERE)
def children_pass(bug: Planting) -> None:
    bug.rewrite(
        post.find_or_record,
        "if why_not is not None:\n            check_target(run.client, spec.url, why_not)\n"
        "        step_id",
        "step_id",
    )


@plant("the second attempt is signed with another id", by=(PROPERTY,), test=SAME_ID)
def another_id_for_each_attempt(bug: Planting) -> None:
    bug.rewrite(
        caller.HttpCaller.call, "header_lines(own_key, now_s, body)",
        'header_lines(f"{own_key}-{now_s}", now_s, body)',
    )  # fmt: skip


@plant("of two secrets the first alone signs", by=(PROPERTY,), test=BOTH)
def first_secret_alone(bug: Planting) -> None:
    bug.rewrite(
        signing.Signer.header_lines, "signatures = [", "digests = digests[:1]; signatures = ["
    )
