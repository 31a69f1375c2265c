"""What a page says beside its rows has an end, too, and says how much more there is."""

from __future__ import annotations

from itertools import count, islice

import pytest
from jinja2 import DictLoader

from engine.front.access.who import Who
from engine.front.ui import site as made
from engine.front.ui.site import TooLong, asset
from engine.front.ui.words import FEW
from engine.wire import BulkAnswer, FailedRuns, HoldRow
from tests.front.ui.support import NOW, site

HELD = HoldRow(kind="workflow", name="w", since=NOW, actor="ana", reason="the vendor is down")


@pytest.mark.parametrize(
    ("holds", "more"),
    [(FEW, ""), (FEW + 1, "and 1 more hold"), (FEW + 2, "and 2 more holds")],
)
def test_holds(holds: int, more: str) -> None:
    """With the command that lists them all."""
    source = '{% import "parts.html" as parts %}{{ parts.holds_list(holds, now) }}'
    text = site()._environment.from_string(source).render(holds=(HELD,) * holds, now=NOW)
    assert text.count("the vendor is down") == FEW
    assert (more in text, "<code>atomic holds</code>" in text) == (True, bool(more))


@pytest.mark.parametrize(("text", "bytes_max"), [("a", 1_000), ("ä", 1_000), ("ä" * 400, 1_000)])
async def test_a_page_that_becomes_too_long_is_not_made(text: str, bytes_max: int) -> None:
    """One byte beyond, also of characters that take two, and before all of it is there."""
    its, asked = site(), count()
    its._environment.loader = DictLoader({"x.html": "{% for it in those %}{{ it }}{% endfor %}"})
    its._make = its._environment.get_template  # type: ignore[method-assign]
    rows = [text] * (bytes_max // len(text.encode()))
    fits = await its.html("x.html", Who(), {"those": rows}, bytes_max)
    assert len(fits) <= bytes_max < len(fits) + len(text.encode())
    with pytest.raises(TooLong):
        await its.html("x.html", Who(), {"those": [*rows, text]}, bytes_max)
    endless = (text for _ in islice(asked, 100_000))
    with pytest.raises(TooLong):
        await its.html("x.html", Who(), {"those": endless}, bytes_max)
    assert next(asked) < bytes_max + 100


@pytest.mark.parametrize("kinds", [FEW, FEW + 1])
async def test_failures_of_a_job(kinds: int) -> None:
    """Those of most runs, which come first."""
    failures = tuple(FailedRuns(None, f"error{number}", 1) for number in range(kinds))
    job = BulkAnswer("J", "done", "retry", "is:stuck", 9, 9, 9, {}, 10, failures=failures)
    page = (await site().page("job", Who(), {"now": NOW, "job": job})).body.decode()
    assert page.count("error") == FEW
    assert ("and 1 more kind" in page) is (kinds > FEW)


@pytest.mark.parametrize(("action", "head"), [("retry", "Failed again"), ("dismiss", "Failed")])
async def test_who_was_not_tried_again_has_not_failed_again(action: str, head: str) -> None:
    """Runs that were dismissed had failed before."""
    failures = (FailedRuns(422, None, 7),)
    job = BulkAnswer("J", "done", action, "is:failed", 7, 7, 7, {}, 10, failures=failures)
    page = (await site().page("job", Who(), {"now": NOW, "job": job})).body.decode()
    assert f"<h2>{head}</h2>" in page


def test_what_pages_are_made_of_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not from the disk for each page."""
    made.asset_text.cache_clear()
    before = {name: asset(name) for name in made.ASSETS}
    monkeypatch.setattr(made, "resources", None)
    assert {name: asset(name) for name in made.ASSETS} == before
    assert asset("none.css") is None
    assert made.asset_text.cache_info().currsize == len(made.ASSETS)
