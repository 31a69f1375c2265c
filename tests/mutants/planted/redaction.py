"""Bugs in what people are not shown: `engine/core/text/redaction.py` and those who ask it; and in
whose database is opened."""

from __future__ import annotations

from engine.call.caller import HttpCaller
from engine.core.rules import excerpt, redacted
from engine.core.text import masked_json, masks_left, named_values, redaction
from engine.front.access import audited
from engine.front.api import act, events, read, submit
from engine.front.show.digests import Digests
from engine.registry.redactions import Redactions
from engine.store.sqlite.file import owner
from tests.mutants.catalog import PROPERTY, Planting, plant

CORE = "tests/core/test_redact.py::"
SHOWN = "tests/front/test_shown.py::"
DIGESTS = "tests/front/test_digests.py::"
OPENING = "tests/store/test_opening.py::"
PARSER = f"{CORE}test_pointers_find_what_a_parser_finds"
FOUND = f"{CORE}test_what_pointers_and_names_find_is_masked"


@plant("of members that come twice the first is shown", by=(PROPERTY,), test=FOUND)
def only_the_last_member(bug: Planting) -> None:
    bug.rewrite(redaction._spliced, "if not spans:", "spans = spans[-1:]\n    if not spans:")


@plant("an escaped name of a member is not known", by=(PROPERTY,), test=FOUND)
def escapes_unread(bug: Planting) -> None:
    bug.rewrite(masked_json._decoded, 'if b"\\\\" not in spelled:', "if True:")


@plant("`*` is for items alone", by=(PROPERTY,), test=PARSER)
def star_of_items_alone(bug: Planting) -> None:
    bug.rewrite(
        masked_json._led, "if node.any is not None)", "if node.any is not None and not token)"
    )


@plant("JSON in a string is shown where a pointer goes on", by=(PROPERTY,), test=FOUND)
def strings_of_json(bug: Planting) -> None:
    bug.rewrite(masked_json._Scan._value, "if is_hidden or is_json or", "if is_hidden or")


@plant("a pair of a header's name and its value is shown", by=(PROPERTY,), test=FOUND)
def pairs_shown(bug: Planting) -> None:
    bug.rewrite(named_values.Names.are, "if len(spelled) > OVERLAP_BYTES:", "if True:")


@plant("what is no JSON is shown though pointers are set", by=(PROPERTY,),
       test=f"{CORE}test_what_cannot_be_told_apart_is_masked_whole")  # fmt: skip
def pages_shown(bug: Planting) -> None:
    bug.rewrite(
        redaction.Redaction.shown, "if self._points or self._names is None:",
        "if self._names is None:\n        return data\n    if False:",
    )  # fmt: skip


@plant("of a body that was cut the last value is shown", by=(PROPERTY,),
       test=f"{CORE}test_a_body_that_was_cut_anywhere_shows_none_of_it")  # fmt: skip
def cut_pair_shown(bug: Planting) -> None:
    bug.rewrite(masked_json._Scan.end_all, "while self._frames:", "while False:")


@plant("a body of any size is looked through", by=(PROPERTY,),
       test=f"{CORE}test_of_one_that_is_too_large_or_hides_too_much_nothing_is_shown")  # fmt: skip
def any_size(bug: Planting) -> None:
    bug.rewrite(redaction.Redaction.shown, "or len(data) > LOOKED_AT_BYTES_MAX or", "or")


@plant("a reason quotes what the payload hides", by=(PROPERTY,),
       test=f"{CORE}test_no_reason_tells_what_the_payload_hides")  # fmt: skip
def quoted_in_a_reason(bug: Planting) -> None:
    bug.rewrite(redacted.redacted, "values=values or ()", "values=()")


@plant("a reason is masked after it was cut", by=(PROPERTY,),
       test=f"{CORE}test_no_reason_tells_what_the_payload_hides")  # fmt: skip
def masked_after_the_cut(bug: Planting) -> None:
    bug.rewrite(
        excerpt.excerpt_of, 'text = told(" ".join(text.split()))',
        'return told(shortened(text) or "")',
    )  # fmt: skip


@plant(
    "an answer quotes what the payload hides",
    by=(PROPERTY,),
    test=f"{SHOWN}test_an_answer_is_shown_without_what_its_payload_hides",
)
def quoted_in_an_answer(bug: Planting) -> None:
    bug.rewrite(
        read._hidden_of,
        "steps = redaction.values_in(payload.data)",
        "return ()",
    )


@plant(
    "an earlier answer quotes what its own payload hides",
    by=(PROPERTY,),
    test=f"{SHOWN}test_an_earlier_answer_is_shown_without_what_its_own_payload_hides",
)
def masked_by_todays_payload(bug: Planting) -> None:
    bug.rewrite(read._payload_behind, "if step.payload_generation == 1:", "if True:")


@plant("a value is known in one spelling alone", by=(PROPERTY,),
       test=f"{CORE}test_a_value_is_found_however_json_spells_it")  # fmt: skip
def one_spelling(bug: Planting) -> None:
    bug.rewrite(redaction._hits, 'if b"\\\\" in data else', "if False else")


@plant("the first letters of a value are shown where an answer was cut", by=(PROPERTY,),
       test=f"{CORE}test_an_answer_that_was_cut_anywhere_quotes_no_part")  # fmt: skip
def first_letters_shown(bug: Planting) -> None:
    bug.rewrite(redaction.Redaction.shown, "if values and is_cut:", "if hits and is_cut:")


@plant("values are looked for without an end", by=(PROPERTY,),
       test=f"{CORE}test_looking_at_the_same_places_again_and_again_ends")  # fmt: skip
def no_end(bug: Planting) -> None:
    bug.rewrite(redaction._hits, "or compared > COMPARED_MAX", "")


@plant(
    "reasons are recorded as they came",
    by=(PROPERTY,),
    test="tests/call/test_redacted.py::test_a_reason_is_masked_before_anybody_has_it",
)
def reasons_unmasked(bug: Planting) -> None:
    bug.rewrite(HttpCaller.call, "policy.redaction is not None:", "False:")


@plant(
    "an operator is shown an outcome whole",
    by=(PROPERTY,),
    test=f"{SHOWN}test_an_outcome_is_shown_without_it",
)
def outcomes_whole(bug: Planting) -> None:
    bug.rewrite(
        read.shown_outcome, "if not isinstance(result, Recorded)", "if isinstance(result, Recorded)"
    )


@plant(
    "who operates may ask for all of a body",
    by=(PROPERTY,),
    test=f"{SHOWN}test_an_admin_may_ask_for_all_of_a_body",
)
def whole_for_operators(bug: Planting) -> None:
    bug.rewrite(read.asks_whole, "who.role is not Role.ADMIN", "who.role is Role.READ")


@plant(
    "that all of a body was asked for is not kept",
    by=(PROPERTY,),
    test="tests/front/test_audited.py::test_that_all_of_a_body_is_asked_for_is_an_act",
)
def whole_not_kept(bug: Planting) -> None:
    bug.rewrite(audited.is_act, 'query.get(WHOLE) == "true"', "False")


@plant("digests are shown as they are recorded", by=(PROPERTY,),
       test=f"{DIGESTS}test_nothing_that_is_shown_is_what_is_recorded")  # fmt: skip
def digests_as_recorded(bug: Planting) -> None:
    bug.rewrite(Digests.shown, "return hmac.digest(", "return digest or hmac.digest(")


@plant("who sees one client's events has digests as they are recorded", by=(PROPERTY,),
       test=f"{DIGESTS}test_no_stream_has_what_is_recorded")  # fmt: skip
def own_digests_as_recorded(bug: Planting) -> None:
    bug.rewrite(events._event_frame, "digests.put_in(data, record.run_id)", "pass")


@plant("the same payload is told the same in every run", by=(PROPERTY,),
       test=f"{DIGESTS}test_what_is_the_same_is_told_in_one_run_alone")  # fmt: skip
def digests_over_runs(bug: Planting) -> None:
    bug.rewrite(Digests.shown, 'f"{run_id} ".encode() + digest', "digest")


@plant(
    "the refusal of another payload has its SHA-256",
    by=(PROPERTY,),
    test=f"{SHOWN}test_the_refusal_of_another_payload_has_no_digest_of_the_recorded",
)
def refusals_as_recorded(bug: Planting) -> None:
    bug.rewrite(
        submit.answer_submission, "refusal(_without_digests(refused, front.digests))",
        "refusal(refused)",
    )  # fmt: skip


@plant("who posts another payload is shown all of the outcome", by=(PROPERTY,),
       test=f"{SHOWN}test_who_posts_without_the_payload_is_shown_what_people_are")  # fmt: skip
def posts_whole(bug: Planting) -> None:
    bug.rewrite(submit._is_of_a_person, "result.payload_differs", "False")


@plant("a masked payload that is sent back is taken", by=(PROPERTY,),
       test=f"{SHOWN}test_what_was_read_masked_is_not_given_back")  # fmt: skip
def masks_taken(bug: Planting) -> None:
    bug.rewrite(act._refuse_masked, "if redaction is None:", "if True:")


@plant("of masks that are sent back those in arrays are not seen", by=(PROPERTY,),
       test="tests/core/test_masks_left.py::test_it_finds_what_a_parser_finds")  # fmt: skip
def masks_in_arrays(bug: Planting) -> None:
    bug.rewrite(masks_left.masks_left, "place.is_object and place.is_name_next", "True")


@plant(
    "a result that somebody sets says which of their guesses is right",
    by=(PROPERTY,),
    test=f"{SHOWN}test_a_result_that_was_set_does_not_tell_what_is_hidden",
)
def guesses_in_results(bug: Planting) -> None:
    bug.rewrite(read._hidden_of, "if answer < 0 and values:", "if False:")


@plant("for a payload that is not kept today's is shown", by=(PROPERTY,),
       test=f"{SHOWN}test_a_generation_has_its_own_payload_or_none")  # fmt: skip
def todays_payload(bug: Planting) -> None:
    bug.rewrite(
        read.payload, "payload_number(step_id, asked)", "payload_number(step_id, asked) or number"
    )


@plant("a client that goes takes its rules along", by=(PROPERTY,),
       test="tests/registry/test_redactions.py::test_the_rules_of_a_client_outlive_it")  # fmt: skip
def rules_go_along(bug: Planting) -> None:
    bug.rewrite(Redactions.follow, "self._store.register(", "(lambda entry: None)(")


@plant("a database that everybody may write is opened", by=(PROPERTY,),
       test=f"{OPENING}test_a_database_that_anybody_may_have_prepared_is_refused")  # fmt: skip
def anybodys_database(bug: Planting) -> None:
    bug.rewrite(owner.why_not_trusted, "if mode & stat.S_IWOTH:", "if False:")
