"""Whose bodies people are not shown whole, also when the client has gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.core.access.client import Client
from engine.core.errors import Problem, Refused
from engine.core.text.redaction import RULES_MAX
from engine.front.admin.clients import client_of
from engine.registry.changes import Changes
from engine.registry.files import read_files
from engine.registry.registry import Registry
from engine.wire.access import ClientRequest
from tests.registry.files import in_directory, in_settings
from tests.store.support import store_at

SHOP = Client("shop", ("http://shop:9000/",), redact=("/card", "X-Key"))


async def test_the_rules_of_a_client_outlive_it(path: Path) -> None:
    """Of the store as of a file, over a start; one of that name that is made anew has its own."""
    async with store_at(path) as store:
        registry = Registry(store, lambda: 1)
        assert not registry.redactions
        await registry.put_client(SHOP, "ada")
        registry.set_defined([Client("bank", redact=("/iban",)), Client("open")], [])
        assert None not in (registry.redactions.of("shop"), registry.redactions.of("bank"))
        assert registry.redactions.of("open") is registry.redactions.of("unknown") is None
        await registry.remove_client("shop", "ada")
    async with store_at(path) as store:
        registry = Registry(store, lambda: 1)
        assert registry.clients == {}
        for name in ("shop", "bank"):
            assert registry.redactions.of(name) is not None
        await registry.put_client(replace(SHOP, redact=()), "ada")
        assert registry.redactions.of("shop") is None
    async with store_at(path) as store:
        assert Registry(store, lambda: 1).redactions.of("shop") is None


async def _nothing_open() -> dict[str, int]:
    return {}


async def test_rules_are_added_and_taken_away(path: Path) -> None:
    """In their order, each once; as many as there may be, and no more."""
    async with store_at(path) as store:
        registry = Registry(store, lambda: 1)
        await registry.put_client(SHOP, "ada")
        change = Changes(
            registry, now=lambda: 1, token_bytes=bytes, open_by_client=_nothing_open
        ).set_redact
        found = await change("shop", "ada", add=("/card", "/iban"), remove=("X-Key",), most=2)
        assert found.redact == registry.clients["shop"].redact == ("/card", "/iban")
        with pytest.raises(Refused, match="at most 2") as refused:
            await change("shop", "ada", add=("/more",), remove=(), most=2)
        assert refused.value.problem is Problem.INVALID_REQUEST
        with pytest.raises(Refused, match="does not hide 'X-Key'"):
            await change("shop", "ada", add=(), remove=("X-Key",), most=2)
        with pytest.raises(Refused, match="what to add"):
            await change("shop", "ada", add=(), remove=(), most=2)
        with pytest.raises(Refused, match="no client"):
            await change("bank", "ada", add=("/a",), remove=(), most=2)


def test_files_say_it(tmp_path: Path) -> None:
    """In a table and in a file of its own."""
    text = 'redact = ["/card/number", "X-Key", "X-Key"]\n'
    (tmp_path / "a").mkdir()
    for sources in (
        in_directory(tmp_path / "a", shop=text),
        in_settings(tmp_path, f"[clients.shop]\n{text}"),
    ):
        (found,) = read_files(sources).clients
        assert found.redact == ("/card/number", "X-Key")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('redact = ["card/number"]', "`clients.shop.redact`: 'card/number' is neither the name"),
        ('redact = ["/a~b"]', "'/a~b' has `~` in it"),
        ('redact = "/a"', "Expected `array`"),
        (f"redact = {['/a'] * (RULES_MAX + 1)}", "length <= 100"),
    ],
)
def test_what_is_no_rule_is_told_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    """Of a file; a command is refused in the same words."""
    bad = read_files(in_settings(tmp_path, f"[clients.shop]\n{text}\n")).bad
    (found,) = bad.values()
    assert why in found.why
    assert "line 2" in found.why


def test_a_command_is_refused_in_the_same_words() -> None:
    """With the member that is at fault."""
    with pytest.raises(Refused, match="'card/number' is neither") as refused:
        client_of(ClientRequest("shop", (), redact=("card/number",)))
    assert refused.value.members["member"] == "redact"
