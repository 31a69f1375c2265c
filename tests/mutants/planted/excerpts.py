"""Bugs in what is told of a failure: `engine/core/rules/excerpt.py`,
`engine/store/tables/views/records.py`."""

from __future__ import annotations

from engine.core.rules import excerpt
from engine.core.text import secrets
from engine.store.tables.views import records
from tests.mutants.catalog import PROPERTY, Planting, plant

ACROSS_THE_CUT = "tests/core/test_excerpt.py::test_a_secret_across_the_cut_is_masked"
SHAPES = "tests/core/test_excerpt.py::test_a_secret_is_in_no_excerpt"
REASON = "tests/store/test_reason.py::test_it_is_the_steps_and_not_the_workflows"


@plant("an excerpt is cut before secrets are looked for", by=(PROPERTY,), test=ACROSS_THE_CUT)
def cut_before_masked(bug: Planting) -> None:
    bug.rewrite(excerpt.shortened, 'text = whole.rpartition(" ")[0] or whole', "text = whole")


@plant("a password in a URL is left in excerpts", by=(PROPERTY,), test=SHAPES)
def password_of_a_url_told(bug: Planting) -> None:
    bug.rewrite(secrets.without_secrets, "text = _IN_URL.sub(_address_alone, text)", "pass")


@plant("a run's reason is the 500 of its workflow", by=(PROPERTY,), test=REASON)
def workflows_own_reason(bug: Planting) -> None:
    bug.rewrite(records._reason, '_failed_below(db, run["id"], fault) or fault', "fault")
