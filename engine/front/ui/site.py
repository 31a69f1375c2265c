"""What every page has: its templates, its headers, how it is put together.

A page is put together in slices (`process/costly.py`): a hundred rows are some 20 ms of work, and
nobody's post waits for more than a moment of it. Every text goes through `words.disarmed` and the
escape of the templates, wherever it stands: who writes a template cannot forget it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlsplit

import trio
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from engine.front.access.who import Who
from engine.front.api.context import Front
from engine.front.server.reply import Reply
from engine.front.show.bodies import OPERATORS
from engine.front.ui import words
from engine.shown.jobs import TRIED_AGAIN
from engine.wire.routes import UI, UI_PAYLOAD

HEADERS = (
    ("content-security-policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
     " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    # with no-referrer a browser would send a form with `Origin: null`
    ("referrer-policy", "same-origin"),
    # who opened a page from elsewhere has no hold of its window
    ("cross-origin-opener-policy", "same-origin"),
)  # fmt: skip
"""In the place of what other answers have: a page has a style, links, and forms that ask for
another page. The other headers (`SAFE_HEADERS`) are as everywhere."""
HTML = ("content-type", "text/html; charset=utf-8")
ASSETS = {"ui.css": "text/css; charset=utf-8", "ui.js": "text/javascript; charset=utf-8"}
"""What pages are made of beside HTML, with its type."""
SHARED = ("base.html", "parts.html", "steps.html", "text.html")
PARTS_AT_ONCE = 20
"""Parts of a page put together between two pauses: some tenths of a millisecond."""


class TooLong(Exception):
    """A page is longer than it may be."""


class Site:
    """The pages of one engine."""

    def __init__(self, front: Front) -> None:
        self.front = front
        url = urlsplit(front.config.public_url or "")
        self.base = f"{url.path.rstrip('/')}{UI.path}"
        """What the address of a page begins with, behind the host."""
        self.is_secure = url.scheme == "https" or front.config.tls_cert is not None
        """Browsers reach the pages by TLS, as far as the engine knows."""
        self._templates: dict[str, Template] = {}
        self._making = trio.Lock()
        self._environment = Environment(
            loader=PackageLoader("engine.front.ui"),
            autoescape=True,
            auto_reload=False,  # a look at each file for each page, and after an upgrade new parts
            finalize=words.disarmed,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update({each.__name__: each for each in words.FILTERS})
        self._environment.filters["part"] = lambda text: quote(text, safe="", errors="replace")
        told = {
            "base": self.base,
            "version": front.version,
            "few": words.FEW,
            "tried_again": TRIED_AGAIN,
        }
        self._environment.globals["engine"] = told

    async def page(
        self, name: str, who: Who, members: Mapping[str, Any], status: int = 200
    ) -> Reply:
        """A page of this template, which is called with these members."""
        return Reply(status, (HTML, *HEADERS), await self.html(name, who, members))

    async def html(
        self, name: str, who: Who, members: Mapping[str, Any], bytes_max: float = math.inf
    ) -> bytes:
        """The page itself. Raises TooLong as soon as it is longer than it may be."""
        template = await self._template(name)
        sees_bodies = UI_PAYLOAD.opens_to(who.role)
        called_with = {"who": who, "sees_bodies": sees_bodies, **members}
        parts = _put_together(template, called_with, bytes_max)
        return await self.front.costly.run(parts, OPERATORS)

    async def _template(self, name: str) -> Template:
        """It takes some 10 ms to make one, once."""
        async with self._making:
            if name not in self._templates:
                self._templates[name] = await trio.to_thread.run_sync(self._make, name)
        return self._templates[name]

    def _make(self, name: str) -> Template:
        for shared in SHARED:  # else it would be made when the first page is put together
            self._environment.get_template(shared)
        return self._environment.get_template(f"{name}.html")


def _put_together(
    template: Template, members: Mapping[str, Any], bytes_max: float
) -> Generator[None, None, bytes]:
    found: list[str] = []
    characters = 0
    for part in template.generate(members):
        found.append(part)
        characters += len(part)
        if not len(found) % PARTS_AT_ONCE:
            if characters > bytes_max:
                raise TooLong
            yield
    page = "".join(found).encode()
    if len(page) > bytes_max:
        raise TooLong
    return page


def asset(name: str) -> Reply | None:
    """A file that pages are made of; None: there is no such."""
    if name not in ASSETS:
        return None
    return Reply(200, (("content-type", ASSETS[name]), *HEADERS), asset_text(name).encode())


@cache
def asset_text(name: str) -> str:
    """What is in one of the `ASSETS`, which is read from the disk once."""
    return (resources.files("engine.front.ui") / "static" / name).read_text("utf-8")
