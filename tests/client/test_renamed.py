"""Who uses a name of before is told the new one."""

from __future__ import annotations

import re
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest

from engine.client import AsyncClient, Client
from engine.client.renamed import FORMS, NAMES
from engine.wire import Status

PAGES = [Path(__file__).parents[2] / name for name in ("CHANGELOG.md", "docs/how-to/upgrade.md")]
BOTH: Any = pytest.mark.parametrize("kind", [AsyncClient, Client])


@BOTH
@pytest.mark.parametrize(("old", "new"), NAMES.items())
def test_an_old_method_says_where_it_is_now(kind: type, old: str, new: str):
    """The error is an AttributeError, as of any name that is not there; the new name is."""
    client = kind()
    with pytest.raises(AttributeError) as told:
        getattr(client, old)
    assert str(told.value) == f"{kind.__name__}.{old} is now {new}"
    at, _, name = new.partition(",")[0].partition(".")
    assert at == "workflow(…)" or callable(getattr(getattr(client, at), name))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_pages_have_each_of_them(page: Path):
    """Who reads before the upgrade finds what the errors say."""
    _, table = re.split(r"^ *\| before \| now \|", page.read_text(), maxsplit=1, flags=re.MULTILINE)
    table = table.partition("\n\n")[0]
    missing = [old for old in NAMES if f"`{old}`" not in table and f"`{old}(" not in table]
    assert missing == [old for old, new in FORMS.items() if f"`{new}`" not in table] == []


@BOTH
def test_a_name_that_never_was_is_no_name(kind: type):
    """`hasattr` is as it was."""
    with pytest.raises(AttributeError, match="there is no"):
        kind().explode  # noqa: B018
    assert not hasattr(kind(), "act")


@pytest.mark.parametrize("read", [lambda it: it["stuckCount"], lambda it: it.get("stuckCount", 0)])
def test_a_status_read_as_a_mapping_says_how_it_is_read(read: Any):
    """A script of before does not have to guess."""
    with pytest.raises(TypeError) as told:
        read(Status(stuck_count=1))
    assert str(told.value) == "the status is a struct now: its stuckCount is .stuck_count"


@pytest.mark.parametrize("read", [dict, list, lambda it: "stuckCount" in it, lambda it: it["x"]])
def test_a_status_gone_through_as_a_mapping_says_that_it_is_none(read: Any):
    """No name is made up for what it has not."""
    with pytest.raises(TypeError) as told:
        read(Status(stuck_count=1))
    assert str(told.value) == "the status is a struct now, with a name for each member"


@BOTH
@pytest.mark.parametrize("method", ["bulk", "retry_page", "run_page", "runs"])
async def test_a_q_of_before_is_told_that_it_is_the_filter(kind: type, method: str):
    """In the new place, too."""
    with pytest.raises(TypeError) as told:
        await getattr(kind().operate, method)(q="is:live")
    assert str(told.value) == f"{method}() has `filter` where it had `q`"


def test_the_asynchronous_methods_are_coroutine_functions():
    """An application that stands `create_autospec(AsyncClient)` in for it can await them."""
    assert iscoroutinefunction(AsyncClient.submit)
    assert iscoroutinefunction(AsyncClient().operate.run_page)


OLD: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "submit": [
        (("shop", "w", "http://app/", "k"), {}),
        (("shop", "w", "http://app/", "k", {"n": 1}), {"timeout": 1}),
        (("shop",), {"workflow_name": "w", "url": "http://app/", "key": "k"}),
    ],
    "workflow": [(("shop", "w", "k"), {"parent": "t"}), (("shop",), {"workflow_name": "w"})],
}


@pytest.mark.parametrize(
    ("method", "args", "named"),
    [(method, *call) for method, calls in OLD.items() for call in calls],
)
async def test_a_call_in_the_old_form_is_told_the_new_one(
    method: str, args: tuple[Any, ...], named: dict[str, Any]
):
    """Nothing is posted under another name than was meant."""
    told = f"{method}() is called so now: {FORMS[method]}"
    with pytest.raises(TypeError) as blocking:
        getattr(Client(), method)(*args, **named)
    with pytest.raises(TypeError) as waited:  # noqa: PT012 - one is awaited, the other is not
        called = getattr(AsyncClient(), method)(*args, **named)
        await called
    assert [str(blocking.value), str(waited.value)] == [told, told]
