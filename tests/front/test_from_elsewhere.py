"""Which pages other pages lead to: by a link alone, and by none to what a page does."""

from __future__ import annotations

import pytest

from engine.core.access.token import Role
from engine.front.access.who import Who
from engine.wire.routes import UI, UI_LOGIN, UI_LOGOUT, Route
from tests.front.gates import HOST, gate_of, token

READER = token("reader", Role.READ)
LINK, IMAGE, FETCH = ("navigate", "document"), ("no-cors", "image"), ("cors", "empty")


@pytest.mark.parametrize("route", [UI, UI_LOGIN, UI_LOGOUT], ids=lambda it: it.path)
@pytest.mark.parametrize(
    ("site", "how", "method", "passes"),
    [
        ("none", LINK, "GET", True),
        ("same-origin", LINK, "GET", True),
        ("same-origin", FETCH, "GET", True),
        ("same-origin", FETCH, "HEAD", True),
        *((site, how, "GET", how is LINK) for site in ("same-site", "cross-site", "other")
          for how in (LINK, IMAGE, FETCH, ("navigate", "iframe"))),
        ("same-site", LINK, "HEAD", False),
        ("cross-site", LINK, "HEAD", False),
    ],
)  # fmt: skip
def test_what_leads_to_a_page(
    route: Route[bytes], site: str, how: tuple[str, str], method: str, passes: bool
) -> None:
    """Another port of this host is another page, and logs nobody out, by a link neither."""
    mode, destination = (each.encode() for each in how)
    headers = (HOST, (b"sec-fetch-site", site.encode()), (b"sec-fetch-mode", mode),
               (b"sec-fetch-dest", destination))  # fmt: skip
    found = gate_of(READER).check_page(route, method, headers, lambda headers: READER)
    is_own = site in ("none", "same-origin")
    assert isinstance(found, Who) is (passes and (is_own or route is not UI_LOGOUT))


def test_a_program_says_nothing_of_where_it_comes_from() -> None:
    """It has no cookies of somebody else."""
    found = gate_of(READER).check_page(UI, "GET", (HOST,), lambda headers: READER)
    assert isinstance(found, Who)
