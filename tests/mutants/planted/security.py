"""Bugs of what strangers send and what operators are shown: rows of docs/reference/security.md."""

from __future__ import annotations

from engine.call import caller, signing
from engine.cli.access import clients
from engine.cli.show import lists, tree
from engine.client.bearer import TokenFile
from engine.core.access.client import Client
from engine.front.access import request, tokens
from engine.front.api import headers
from engine.front.show import bodies
from engine.process import toml
from engine.registry.audit import Audit
from engine.runs.open.parent import ParentTokens
from engine.telemetry import log
from tests.mutants.catalog import PROPERTY, Planting, plant

COMMAND = "tests/cli/test_hostile_answers.py::test_what_an_engine_says_only_prints"
LOG = "tests/telemetry/test_log_output.py::test_what_others_wrote_stays_one_line"
HEADS = "tests/fuzz/test_heads.py::test_"
FILES = "tests/fuzz/test_files.py::test_"
PAGES = "tests/front/test_access.py::test_what_a_page_can_send"


@plant("acts that are refused fill the audit", by=(PROPERTY,),
       test="tests/registry/test_audit.py::test_refused_acts_of_one_token_are_counted")  # fmt: skip
def refused_acts_fill_the_audit(bug: Planting) -> None:
    bug.rewrite(Audit._is_beyond, ">= REFUSALS_EACH_MAX", "< 0")


@plant("an act that may have been done leaves the audit", by=(PROPERTY,),
       test="tests/registry/test_audit.py::test_an_act_that_may_have_been_done_is_kept",
)  # fmt: skip
def act_leaves_the_audit(bug: Planting) -> None:
    bug.rewrite(Audit.end, "400 <= status < 500", "400 <= status")


@plant("targets of clients are printed as they came", by=(PROPERTY,), test=COMMAND)
def targets_as_they_came(bug: Planting) -> None:
    bug.rewrite(clients.client_lines, "map(safe, row.targets)", "row.targets")


@plant("the reason of a hold is printed as it came", by=(PROPERTY,), test=COMMAND)
def reason_as_it_came(bug: Planting) -> None:
    bug.rewrite(tree.hold_text, "safe(row.reason)", "row.reason")


@plant("what a job would act on is printed as it came", by=(PROPERTY,), test=COMMAND)
def action_as_it_came(bug: Planting) -> None:
    bug.rewrite(lists.action_text, "safe(answer.action)", "answer.action")


@plant("others' text ends a line of the log", by=(PROPERTY,), test=LOG)
def log_lines_end(bug: Planting) -> None:
    bug.rewrite(log._make_visible, "values[name] = visible(value)", "pass")


@plant("an error's text looks like a line of the log", by=(PROPERTY,), test=LOG)
def log_lines_forged(bug: Planting) -> None:
    bug.rewrite(log._set_in, 'f"  {it}"', "it")


@plant("a page passes by an origin that begins like the host", by=(PROPERTY,), test=PAGES)
def origins_that_begin_alike(bug: Planting) -> None:
    bug.rewrite(
        request.Access.look.__wrapped__, 'origin not in (f"http://{host}", f"https://{host}")',
        'not origin.startswith((f"http://{host}", f"https://{host}"))',
    )  # fmt: skip


@plant("what a form can send is taken for JSON", by=(PROPERTY,), test=PAGES)
def forms_are_json(bug: Planting) -> None:
    bug.rewrite(
        request.is_json, 'content_type.partition(";")[0].strip(" \\t").lower() ==',
        "content_type.lower()[-16:] ==",
    )  # fmt: skip


@plant(
    "of two tokens the first counts", by=(PROPERTY,), test=f"{HEADS}a_token_is_what_follows_bearer"
)
def first_of_two_tokens(bug: Planting) -> None:
    bug.rewrite(request.Access.look.__wrapped__, "if len(bearers) == 1 else", "if bearers else")


@plant("a token is found anywhere in the header", by=(PROPERTY,),
       test=f"{HEADS}a_token_is_what_follows_bearer")  # fmt: skip
def token_anywhere(bug: Planting) -> None:
    bug.rewrite(tokens.digest_of_bearer, "_BEARER.fullmatch(", "_BEARER.match(")


@plant("a quoted key keeps its backslashes", by=(PROPERTY,), test=f"{HEADS}a_quoted_key_is_the_key")
def key_with_backslashes(bug: Planting) -> None:
    bug.rewrite(headers._header_key, 'r"\\1", quoted[1]', 'r"\\\\\\1", quoted[1]')


@plant(
    "a range leaves out its last byte", by=(PROPERTY,), test=f"{HEADS}a_range_is_a_part_of_the_body"
)
def range_cut_short(bug: Planting) -> None:
    bug.rewrite(bodies.raw_body, "body.data[start : end + 1]", "body.data[start:end]")


@plant("a wait of any length is obeyed", by=(PROPERTY,), test=f"{HEADS}retry_after")
def endless_retry_after(bug: Planting) -> None:
    bug.rewrite(
        caller.parse_retry_after, "return min(RETRY_AFTER_MS_MAX, max(0, wait_ms))",
        "return max(0, wait_ms)",
    )  # fmt: skip


@plant("half of a parent token's signature is enough", by=(PROPERTY,),
       test=f"{HEADS}no_parent_token_is_made_up")  # fmt: skip
def half_a_signature(bug: Planting) -> None:
    bug.rewrite(
        ParentTokens.read, "hmac.compare_digest(self._sign(text).encode(), signature.encode())",
        "self._sign(text).startswith(signature)",
    )  # fmt: skip


@plant("a number of thousands of digits ends the engine", by=(PROPERTY,),
       test=f"{FILES}any_text_is_settings_or_refused")  # fmt: skip
def long_numbers(bug: Planting) -> None:
    bug.rewrite(toml.parse_toml, "except ValueError as", "except tomllib.TOMLDecodeError as")


@plant("a client prints with its signing secrets", by=(PROPERTY,),
       test=f"{FILES}no_error_repeats_a_secret")  # fmt: skip
def secrets_printed(bug: Planting) -> None:
    bug.rewrite(Client.__repr__, "len(self.signing_secrets)", "self.signing_secrets")


@plant("of calls at once one alone asks with the rotated token", by=(PROPERTY,),
       test="tests/client/test_token.py::test_calls_at_once_all_ask_with_the_rotated_token",
)  # fmt: skip
def one_asks_again(bug: Planting) -> None:
    bug.rewrite(
        TokenFile.has_another, 'if refused.get("Authorization") ==',
        'refused = httpx.Headers(self.headers())\n    if refused.get("Authorization") ==',
    )  # fmt: skip


@plant("what is signed has no time", by=(PROPERTY,),
       test="tests/call/test_signing.py::test_the_vector_of_the_standard")  # fmt: skip
def signed_without_time(bug: Planting) -> None:
    bug.rewrite(signing.Signer.header_lines, 'f"{own_key}.{now_s}."', 'f"{own_key}."')
