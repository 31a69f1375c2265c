"""How a browser gets in: a token given once, and a cookie that stands for it below `/ui` alone."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote

from msgspec.structs import replace

from engine.core.access.token import Role, Token
from engine.core.errors import Problem
from engine.front.access.codes import Codes
from engine.front.access.who import EVERYBODY
from engine.front.access.wrong import TRIES_MAX, WrongTries
from engine.front.api.context import pages_url
from engine.front.server.reply import Reply
from engine.front.server.strict import RawHeaders
from engine.front.show.replies import problem_reply
from engine.front.ui.site import HEADERS, Site
from engine.registry.audit import Refusal
from engine.registry.logins import LOGIN_MS
from engine.registry.registry import digest_of
from engine.wire import PageLink
from engine.wire.routes import UI, UI_LOG_IN, UI_LOGIN, UI_LOGOUT, Route

CODE_CHARACTERS_MAX = 64
"""Of a code in a link; no code has more."""
TWO_LOGINS = (
    "This browser sends two logins, and one may be somebody else's: neither is taken."
    " To log in ends both."
)
_LOCAL = re.compile(r"/ui(?:[/?][\x21-\x5b\x5d-\x7e]*)?")
"""A page of ours, without a host: nobody is led elsewhere from here."""
_COOKIE = re.compile(r"[A-Za-z0-9_-]{20,64}")


class Door:
    """The logins of one engine's pages."""

    def __init__(self, site: Site) -> None:
        front = site.front
        self._site, self._front = site, front
        self._wrong = WrongTries(front.clock.steady_ms)
        self._codes = Codes(front.clock.steady_ms, front.clock.token_bytes)
        # Browsers keep cookies by host, whatever the port: two engines have one each.
        self._cookie = f"atomic-{front.file_id[:8]}"
        self._attributes = f"Path={site.base}; HttpOnly; SameSite=Lax"
        if site.is_secure:
            self._cookie = f"__Host-{self._cookie}"
            self._attributes = "Path=/; HttpOnly; SameSite=Lax; Secure"

    def logged_in(self, headers: RawHeaders) -> Token | None:
        """The token that a login of these headers was begun with."""
        cookie = self._login_in(headers)
        return None if cookie is None else self._front.logins.token_of(cookie)

    def whose(self, headers: RawHeaders) -> str | None:
        """What tells one good login from others; None: there is none. It is no secret."""
        cookie = self._login_in(headers)
        return None if cookie is None else f"login {digest_of(cookie).hex()}"

    def _login_in(self, headers: RawHeaders) -> str | None:
        """The cookie of the one good login. Of two one may be of somebody else, set by another
        page of this host so that a person looks with it: neither is taken."""
        good = self._logins_in(headers)
        return good.pop() if len(good) == 1 else None

    def _logins_in(self, headers: RawHeaders) -> set[str]:
        """Cookies of good logins."""
        texts: set[str] = set()
        for name, value in headers:
            if name == b"cookie":
                for part in value.decode("latin1").split(";"):
                    its, _, text = part.strip().partition("=")
                    if its == self._cookie and _COOKIE.fullmatch(text):
                        texts.add(text)
        return {text for text in texts if self._front.logins.token_of(text) is not None}

    def to_login(self, path_and_query: str) -> Reply:
        """Lead to where a token is given, and back."""
        return self._led_to(f"/login?next={quote(path_and_query, safe='')}")

    def _led_to(self, path: str, *headers: tuple[str, str]) -> Reply:
        location = ("location", f"{self._site.base}{path}")
        return Reply(303, (location, *headers, *HEADERS), b"")

    async def ask_for(self, wanted: str, headers: RawHeaders) -> Reply:
        """`GET /ui/login`: the form."""
        return await self.ask(wanted, TWO_LOGINS if len(self._logins_in(headers)) > 1 else "")

    async def ask(self, wanted: str, why: str = "", status: int = 200) -> Reply:
        """The form; `why` it is asked again."""
        if not self._front.registry.asks_token:
            return self._led_to("")
        members = {"next": _page_of(wanted), "why": why, "hours": LOGIN_MS // 3_600_000}
        return await self._site.page("login", EVERYBODY, members, status)

    def link(self, headers: RawHeaders) -> PageLink:
        """`POST /ui/codes`: a link for the browser of who has a token; where none is asked for it
        leads to the pages."""
        digest, path = self._front.gate.digest_of(headers), UI.path
        if self._front.registry.asks_token and digest is not None:
            path = f"{UI_LOGIN.path}?code={self._codes.make(digest)}"
        outside = pages_url(self._front.config)
        return PageLink(path, outside and outside + path.removeprefix(UI.path))

    async def ask_first(self, code: str) -> Reply:
        """`GET /ui/login?code=…` by a link of another page, which may be somebody's who wants a
        person to look with another login than their own: only a button of ours uses the code."""
        return await self._site.page("enter", EVERYBODY, {"code": code[:CODE_CHARACTERS_MAX]})

    async def enter(
        self, headers: RawHeaders, code: str, address: str | None, route: Route[Any] = UI_LOGIN
    ) -> Reply:
        """`GET /ui/login?code=…`, or the button of `ask_first`: the code begins a login."""
        digest = self._codes.take(code)  # first: what has stood in an address is good for nothing
        if wait_s := self._wrong.wait_s(address or ""):
            return await self._wait(wait_s)
        token = None if digest is None else self._front.registry.good_token(digest)
        if token is None or digest is None:
            self._wrong.was_wrong(address or "")
            self._note(route, "unknown code", address, 401, known=False)
            why = "That link was used, or is older than a minute: `atomic ui` makes another."
            return await self.ask("", why, 401)
        return await self._begin(headers, token, digest, UI.path)

    async def log_in(self, headers: RawHeaders, body: bytes, address: str | None) -> Reply:
        """`POST /ui/login`: the token of the form begins a login."""
        if b"origin" not in dict(headers):  # of one that is not ours the gate has refused it
            detail = "A login begins from the engine's own page: the header Origin says which."
            return problem_reply(Problem.FORBIDDEN, detail)
        if wait_s := self._wrong.wait_s(address or ""):
            return await self._wait(wait_s)
        form = {name: its[-1] for name, its in parse_qs(body.decode("latin1")).items()}
        if "code" in form:
            return await self.enter(headers, form["code"], address, UI_LOG_IN)
        wanted, digest = _page_of(form.get("next", "")), digest_of(form.get("token", "").strip())
        token = self._front.registry.token_by_digest(digest)
        if token is None:
            self._wrong.was_wrong(address or "")
            self._note(UI_LOG_IN, f"unknown token {digest[:4].hex()}", address, 401, known=False)
            why = "That is no token of this engine, or one that has run out or was taken away."
            return await self.ask(wanted, why, 401)
        if not UI.opens_to(token.role):
            self._note(UI_LOG_IN, token.name, address, 403, known=True)
            why = f"The pages need the role {Role.READ}; the token {token.name!r} has {token.role}."
            return await self.ask(wanted, why, 403)
        return await self._begin(headers, token, digest, wanted)

    async def _begin(self, headers: RawHeaders, token: Token, digest: bytes, wanted: str) -> Reply:
        """A login, in the place of what the browser had."""
        for before in self._logins_in(headers):
            await self._front.logins.end(before)
        cookie = await self._front.logins.begin(token, digest)
        age_s = LOGIN_MS // 1000
        given = f"{self._cookie}={cookie}; Max-Age={age_s}; {self._attributes}"
        return self._led_to(wanted.removeprefix(UI.path), ("set-cookie", given))

    async def _wait(self, wait_s: int) -> Reply:
        why = f"There were {TRIES_MAX} wrong tries from here within a minute: wait {wait_s} s."
        page = await self.ask("", why, 429)
        return replace(page, headers=(*page.headers, ("retry-after", str(wait_s))))

    def _note(
        self, route: Route[Any], who: str, address: str | None, status: int, *, known: bool
    ) -> None:
        what = f"{route.method} {route.path}"
        refusal = Refusal(who, address, what, status, "no login begins with it", known)
        self._front.audit.refused(refusal)

    async def log_out(self, headers: RawHeaders, method: str) -> Reply:
        """`GET /ui/logout`; HEAD ends nothing."""
        page = await self._site.page("logged_out", EVERYBODY, {})
        if method != "GET":
            return page
        for cookie in self._logins_in(headers):
            await self._front.logins.end(cookie)
        taken = f"{self._cookie}=; Max-Age=0; {self._attributes}"
        return replace(page, headers=(*page.headers, ("set-cookie", taken)))


def _page_of(wanted: str) -> str:
    """The page that was asked for, if it is one of ours and none of the login's own."""
    is_own = wanted.startswith((UI_LOG_IN.path, UI_LOGOUT.path))
    return wanted if _LOCAL.fullmatch(wanted) and not is_own else UI.path
