"""The filter language: what each term means, what is refused and where, and that nothing else is
ever raised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.filter import (
    ABOUT,
    FILTER_CHARACTERS_MAX,
    IS_WORDS,
    TERMS_MAX,
    BadFilter,
    Compare,
    Field,
    Is,
    Named,
    Term,
    named_by,
    parse,
)
from engine.core.model import StepState

LESS, MORE = Compare.LESS, Compare.MORE
TERMS: list[tuple[str, Term]] = [
    ("is:failed", Term(Field.IS, "failed")),
    ("is:stuck", Term(Field.IS, "stuck")),
    ('is:"backing-off"', Term(Field.IS, "backing-off")),
    ("wf:order*", Term(Field.WORKFLOW, "order*")),
    ("wf:Order", Term(Field.WORKFLOW, "Order")),
    ('wf:"sign up"', Term(Field.WORKFLOW, "sign up")),
    (r'wf:"a \"b\" \\c"', Term(Field.WORKFLOW, r'a "b" \c')),
    ("client:shop", Term(Field.CLIENT, "shop")),
    ("!key:test*", Term(Field.KEY, "test*", negated=True)),
    ("key:a:b", Term(Field.KEY, "a:b")),
    ('key:a"b', Term(Field.KEY, 'a"b')),
    ("step:sendMail", Term(Field.STEP, "sendMail")),
    ("host:API.example.com:8080", Term(Field.HOST, "api.example.com:8080")),
    ("try:3", Term(Field.TRY, "3", number=3)),
    ("try:>3", Term(Field.TRY, ">3", MORE, 3)),
    ("!try:<3", Term(Field.TRY, "<3", LESS, 3, negated=True)),
    ("due:<1m", Term(Field.DUE, "<1m", LESS, 60_000)),
    ("due:>1h30m", Term(Field.DUE, ">1h30m", MORE, 5_400_000)),
    ("due:<250ms", Term(Field.DUE, "<250ms", LESS, 250)),
    ("age:>2d", Term(Field.AGE, ">2d", MORE, 172_800_000)),
    ("age:<30s", Term(Field.AGE, "<30s", LESS, 30_000)),
    ("code:503", Term(Field.CODE, "503", number=503)),
    ("code:5xx", Term(Field.CODE, "5xx", number=500)),
    ("cause:3fa2", Term(Field.CAUSE, "3fa2")),
    ("Ada", Term(Field.TEXT, "ada")),
    ("!ada", Term(Field.TEXT, "ada", negated=True)),
    ('"two words"', Term(Field.TEXT, "two words")),
    ("Ab:c", Term(Field.TEXT, "ab:c")),
    (":", Term(Field.TEXT, ":")),
    ("!!a", Term(Field.TEXT, "!a", negated=True)),
    ("ünï", Term(Field.TEXT, "ünï")),
]


@pytest.mark.parametrize(("text", "term"), TERMS, ids=[text for text, _ in TERMS])
def test_a_term(text: str, term: Term) -> None:
    """Each form of a term, alone and among others with any white space between."""
    assert parse(text) == (term,)
    assert parse(f" \t{text}\n  x ") == (term, Term(Field.TEXT, "x"))


@pytest.mark.parametrize("text", ["", " ", "\t\r\n"])
def test_an_empty_filter_has_no_terms(text: str) -> None:
    """It is no error: a list without a filter shows everything."""
    assert parse(text) == ()


def test_every_word_of_is() -> None:
    """All states of a run are words, and those that are no states; none is both."""
    assert set(IS_WORDS) == {*StepState, *Is}
    assert len(IS_WORDS) == len(StepState) + len(Is)
    for word in IS_WORDS:
        assert parse(f"is:{word}") == (Term(Field.IS, word),)


BAD: list[tuple[str, int, str]] = [
    ("colour:red", 0, "`colour:` is not known. There are is:, wf:, "),
    ("ada !colour:red", 5, "`colour:` is not known"),
    ("http://app", 0, "`http:` is not known"),
    ("text:ada", 0, "`text:` is not known"),
    ("is:", 0, "`is:` needs a state"),
    ("a wf:", 2, "`wf:` needs the workflow's name"),
    ('wf:""', 0, "`wf:` needs"),
    ("is:Failed", 0, "`is:Failed` is none of pending, running, "),
    ("is:fail*", 0, "is none of"),
    ("try:x", 0, "`try:` needs attempts"),
    ("try:=3", 0, "`try:` needs"),
    ("try:-3", 0, "`try:` needs"),
    ("try:٣", 0, "`try:` needs"),
    ("try:1234567890", 0, "`try:` needs"),
    ("due:1m", 0, "`due:` needs time until its next attempt"),
    ("due:<1", 0, "`due:` needs"),
    ("a due:<m", 2, "`due:` needs"),
    ("age:>1w", 0, "`age:` needs time since it was submitted"),
    ("age:>1234567s", 0, "`age:` needs"),
    ("code:600", 0, "`code:` needs"),
    ("code:5x", 0, "`code:` needs"),
    ("code:50x", 0, "`code:` needs"),
    ("code:>500", 0, "`code:` needs"),
    ('ab "cd', 3, "The quotation mark is not closed."),
    ('wf:"cd', 3, "The quotation mark is not closed."),
    ('"a\\', 0, "The quotation mark is not closed."),
    ('"a"b', 3, "Here a space was expected, not 'b'."),
    ("!", 1, "A term is missing here."),
    ("a ! b", 3, "A term is missing here."),
    ('""', 0, "A term is missing here."),
    ("ab\0", 2, "'\\x00' is in no name."),
    ("\ud800", 0, "is in no name."),
    ("x" * (FILTER_CHARACTERS_MAX + 1), 0, "longer than 500 characters"),
    ("a " * TERMS_MAX + " b", 2 * TERMS_MAX + 1, "More than 12 terms."),
]


@pytest.mark.parametrize(
    ("text", "at", "detail"),
    BAD,
    ids=[ascii(text[:20]) for text, _, _ in BAD],
)
def test_what_is_refused(text: str, at: int, detail: str) -> None:
    """Each refusal says what is wrong, and where it begins."""
    with pytest.raises(BadFilter) as caught:
        parse(text)
    assert detail in caught.value.detail
    assert (caught.value.at, str(caught.value)) == (at, caught.value.detail)


def test_as_much_as_is_allowed() -> None:
    """The limits themselves are within them."""
    assert len(parse("x" * FILTER_CHARACTERS_MAX)) == 1
    assert len(parse("a " * TERMS_MAX)) == TERMS_MAX


def test_every_field_can_be_asked_for() -> None:
    """What is told of the fields is all there is; only the words without a field have no name."""
    assert set(ABOUT) == set(Field) - {Field.TEXT}


@pytest.mark.parametrize(
    ("text", "given", "named"),
    [
        ("key:k", {}, Named("k")),
        ("key:k client:shop wf:w", {}, Named("k", "shop", "w")),
        ("client:shop", {Field.KEY: "*k"}, Named("*k", "shop")),
        ("", {Field.KEY: "k", Field.WORKFLOW: "w"}, Named("k", None, "w")),
        ("", {}, None),
        ("client:shop", {}, None),
        ("key:k*", {}, None),
        ("!key:k", {}, None),
        ("k", {}, None),
        ("key:k is:failed", {}, None),
        ("key:k", {Field.KEY: "k"}, None),
    ],
)
def test_what_a_filter_names_whole(text: str, given: dict[Field, str], named: Named | None) -> None:
    """A key, perhaps with a client and a workflow, and nothing else that a run must be."""
    assert named_by(parse(text), given) == named


PIECES = st.sampled_from(
    ["!", '"', "\\", ":", "*", " ", "\n", "\0", "<", ">", "3", "1m", "5xx", "stuck", "é", "\ud800"]
) | st.sampled_from([f"{field}:" for field in Field])


@given(st.text(max_size=40) | st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever is typed: terms, or a BadFilter that points into the text."""
    refused: BadFilter | None = None
    terms: tuple[Term, ...] = ()
    try:
        terms = parse(text)
    except BadFilter as error:
        refused = error
    assert refused is None or (refused.detail and 0 <= refused.at <= len(text))
    assert len(terms) <= TERMS_MAX
    assert all(term.text and 0 <= term.number < 2**53 for term in terms)
