"""Names on the pages: where they may be broken, and that they do nothing."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from engine.front.ui.words import TEXT_CHARACTERS_MAX, disarmed, jointed


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("createUser", "create|User"),
        ("order.fulfil", "order.|fulfil"),
        ("reserve_stock_in-eu", "reserve_|stock_|in-|eu"),
        ("pay.test:9000/v1", "pay.|test:|9000/|v1"),
        ("HTTPServer2Go", "HTTP|Server2|Go"),
        ("ORDER", "ORDER"),
        ("a._b", "a.|_|b"),
        ("", ""),
        ("注文処理", "注文処理"),
    ],
)
def test_where_a_name_may_be_broken(name: str, parts: str) -> None:
    """Where its parts meet; all of it is there, and nothing else."""
    assert jointed(name) == parts.replace("|", "<wbr>")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>&amp;Foo", "&lt;b&gt;&amp;amp;Foo"),
        ("a\u202eb", "a�b"),
        ("a" * (TEXT_CHARACTERS_MAX + 1), "a" * (TEXT_CHARACTERS_MAX - 1) + "…"),
    ],
)
def test_a_name_does_nothing(name: str, shown: str) -> None:
    """It is escaped once, disarmed and cut as any other text."""
    environment = Environment(autoescape=True, finalize=disarmed)
    environment.filters["jointed"] = jointed
    found = environment.from_string("{{ name|jointed }}").render(name=name)
    plain = environment.from_string("{{ name }}").render(name=name)
    assert found.replace("<wbr>", "") == plain
    if "\u202e" not in name:
        assert plain == shown
