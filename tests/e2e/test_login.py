"""A browser gets in with a token, once, and a cookie that opens `/ui` and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from msgspec import Struct

from engine.client import AsyncClient
from tests.e2e import harness
from tests.e2e.harness import EngineProcess
from tests.e2e.tenants import kept

LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Locked(Struct):
    """An engine that asks for tokens, and two of them."""

    engine: EngineProcess
    admin: AsyncClient
    reader: str
    poster: str

    def browser(self) -> httpx.AsyncClient:
        """It keeps cookies, and follows nothing by itself."""
        accept = {"Accept": "text/html,*/*;q=0.8"}
        return httpx.AsyncClient(base_url=self.engine.url, timeout=60, headers=accept)

    async def log_in(
        self, http: httpx.AsyncClient, token: str, page: str = "/ui", **headers: str
    ) -> httpx.Response:
        """Send the form."""
        headers = {"Origin": self.engine.url} | headers
        form = {"token": token, "next": page}
        return await http.post("/ui/login", data=form, headers=headers)


@asynccontextmanager
async def locked(directory: Path, **settings: Any) -> AsyncIterator[Locked]:
    with harness.running(directory, **settings) as engine:
        async with AsyncClient(engine.url) as open_engine:
            made = await open_engine.admin.add_client("shop", ["http://127.0.0.1:9/"])
        assert made.admin is not None
        root = kept(directory, "admin", made.admin.secret)
        async with AsyncClient(engine.url, token_file=root) as admin:
            reader = await admin.admin.add_token("reader", "read")
            yield Locked(engine, admin, reader.made.secret, made.made.secret)
        if engine.exit_code is None:
            assert engine.stop() == 0
            assert not engine.events("request-failed"), engine.text


async def test_in_and_back_to_the_page(tmp_path: Path) -> None:
    """Who asks for a page without a login is led to the form, and by it to that page; the log and
    the file have neither token nor cookie; the engine knows it again after a restart."""
    async with locked(tmp_path) as it, it.browser() as http:
        page = "/ui/runs?q=is:failed%20wf:a*"
        asked = await http.get(page)
        assert asked.status_code == 303
        where = asked.headers["location"]
        form = await http.get(where)
        assert form.status_code == 200
        assert 'value="/ui/runs?q=is:failed%20wf:a*"' in form.text
        answer = await it.log_in(http, f" {it.reader}\n", page)
        assert (answer.status_code, answer.headers["location"]) == (303, page)
        given = answer.headers["set-cookie"]
        assert given.startswith("atomic-")
        for told in ("; HttpOnly", "; SameSite=Lax", "; Max-Age=43200", "; Path=/ui"):
            assert told in given
        assert "reader, read" in (await http.get(page)).text
        assert (await http.get(page, headers=LINK)).status_code == 200
        (cookie,) = http.cookies.jar
        written = [path.read_bytes() for path in tmp_path.glob("*") if path.is_file()]
        assert not [text for text in written if str(cookie.value).encode() in text]
        assert it.engine.stop() == 0
        again = await harness.restart(it.engine, tmp_path)
        try:
            assert (await http.get(page)).status_code == 200
        finally:
            again.kill()


async def test_the_cookie_opens_pages_alone(tmp_path: Path) -> None:
    """The API never takes one, and nothing can be done with it."""
    async with locked(tmp_path) as it, it.browser() as http:
        await it.log_in(http, it.reader)
        (cookie,) = http.cookies.jar
        whole = {"Cookie": f"{cookie.name}={cookie.value}"}
        for path in ("/api/v1/runs", "/api/v1/status", "/metrics", "/openapi.json"):
            assert (await http.get(path, headers=whole)).status_code == 401, path
        for path in ("/ui", "/ui/runs", "/shop", "/api/v1/bulk"):
            assert (await http.post(path, json={}, headers=whole)).status_code in (401, 405), path


async def test_it_ends(tmp_path: Path) -> None:
    """By logging out, and with its token: taken away, or given another secret."""
    async with locked(tmp_path) as it, it.browser() as http:
        await it.log_in(http, it.reader)
        (cookie,) = http.cookies.jar
        whole = {"Cookie": f"{cookie.name}={cookie.value}"}
        assert (await http.get("/ui/logout")).status_code == 200
        assert not list(http.cookies.jar)
        assert (await http.get("/ui", headers=whole)).status_code == 303
        admin = it.admin.admin
        for number, end in enumerate((lambda name: admin.rotate_token(name, overlap_ms=0),
                                      admin.remove_token)):  # fmt: skip
            made = await admin.add_token(f"t{number}", "read")
            await it.log_in(http, made.made.secret)
            assert (await http.get("/ui")).status_code == 200
            await end(f"t{number}")
            assert (await http.get("/ui")).status_code == 303


async def test_wrong_tokens(tmp_path: Path) -> None:
    """Five a minute, then none is looked at, a good one neither; the audit knows of them."""
    async with locked(tmp_path) as it, it.browser() as http:
        for _ in range(5):
            answer = await it.log_in(http, "atomic_wrong")
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
        answer = await it.log_in(http, it.reader)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        entries = (await it.admin.admin.audit(what="POST /ui/login")).entries
        assert {entry.status for entry in entries} == {401}


async def test_the_audit_knows_who_tried(tmp_path: Path) -> None:
    """A token that opens no page, by its name; a code that is none, by a link and by the button."""
    async with locked(tmp_path) as it, it.browser() as http:
        await it.log_in(http, it.poster)
        await http.get("/ui/login?code=x")
        form = {"code": "x"}
        await http.post("/ui/login", data=form, headers={"Origin": it.engine.url})
        found = (await it.admin.admin.audit()).entries
        refused = {(entry.actor, entry.what, entry.status) for entry in found if entry.status}
        poster = next(name for name, _, status in refused if status == 403)
        assert poster == "shop"
        assert refused >= {
            (poster, "POST /ui/login", 403),
            ("unknown code", "GET /ui/login", 401),
            ("unknown code", "POST /ui/login", 401),
        }


@pytest.mark.parametrize("asks_token", [True, False])
async def test_a_form_that_is_too_long_is_not_read(asks_token: bool, tmp_path: Path) -> None:
    """What it says it would send is refused before it has sent it."""
    async with AsyncExitStack() as stack:
        if asks_token:
            engine = (await stack.enter_async_context(locked(tmp_path))).engine
        else:
            engine = stack.enter_context(harness.running(tmp_path))
        port = int(engine.url.rpartition(":")[2])
        for length, status in ((8_193, b"413"), (10_000_000, b"413")):
            connection = await trio.open_tcp_stream("127.0.0.1", port)
            async with connection:
                await connection.send_all(
                    b"POST /ui/login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n"
                    b"Content-Length: %d\r\n\r\ntoken=" % length
                )
                with trio.fail_after(harness.PATIENCE_S):
                    answer = await connection.receive_some()
                assert answer.startswith(b"HTTP/1.1 " + status)


async def test_who_may_not(tmp_path: Path) -> None:
    """A token that opens no page; a form of another page, or of none that says; no form at all."""
    async with locked(tmp_path) as it, it.browser() as http:
        assert "submit" in (answer := await it.log_in(http, it.poster)).text
        assert answer.status_code == 403
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
        ):
            answer = await it.log_in(http, it.reader, **headers)
            assert answer.status_code in (403, 421), headers
            assert "set-cookie" not in answer.headers
        form = {"token": it.reader}
        assert (await http.post("/ui/login", data=form)).status_code == 403
        own = {"Origin": it.engine.url}
        assert (await http.post("/ui/login", json=form, headers=own)).status_code == 415
        long = {"token": "x" * 9_000}
        assert (await http.post("/ui/login", data=long, headers=own)).status_code == 413


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/ui", "//evil.example", "/ui//evil\\x", "/ui\r\nX: y", "/uix"]
)
async def test_nobody_is_led_elsewhere(wanted: str, tmp_path: Path) -> None:
    """What is no page of ours becomes the first one."""
    async with locked(tmp_path) as it, it.browser() as http:
        answer = await it.log_in(http, it.reader, wanted)
        assert answer.headers["location"] == "/ui"


async def test_only_a_link_comes_from_elsewhere(tmp_path: Path) -> None:
    """A click in a chat leads to a page; a picture, a frame, a script or a form from there does
    not, and below the API nothing does."""
    async with locked(tmp_path) as it, it.browser() as http:
        await it.log_in(http, it.reader)
        assert (await http.get("/ui", headers=LINK)).status_code == 200
        for more in (
            {"Sec-Fetch-Dest": "iframe"},
            {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
            {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
            {"Origin": "https://evil.example"},
        ):
            assert (await http.get("/ui", headers=LINK | more)).status_code == 403, more
        assert (await http.get("/ui", headers=LINK | {"Host": "evil.example"})).status_code == 421
        assert (await http.get("/api/v1/status", headers=LINK)).status_code == 403
        own = LINK | {"Origin": it.engine.url}
        assert (await it.log_in(http, it.reader, **own)).status_code == 403


async def test_behind_a_proxy_under_a_prefix(tmp_path: Path) -> None:
    """Links, forms and ways back begin with the path of `public_url`; its host is known; a cookie
    is for TLS alone, and for that host alone."""
    async with locked(tmp_path, public_url="https://ops.example.com/atomic/") as it:
        outside = {"Host": "ops.example.com", "Origin": "https://ops.example.com"}
        async with it.browser() as http:
            asked = await http.get("/ui/stuck", headers={"Host": "ops.example.com"})
            assert asked.headers["location"] == "/atomic/ui/login?next=%2Fui%2Fstuck"
            answer = await it.log_in(http, it.reader, "/ui/stuck", **outside)
            assert answer.headers["location"] == "/atomic/ui/stuck"
            given = answer.headers["set-cookie"]
            assert given.startswith("__Host-atomic-")
            assert "; Secure" in given
            assert "; Path=/;" in given
            cookie = given.partition(";")[0]
            page = await http.get("/ui/stuck", headers={"Cookie": cookie})
            assert 'href="/atomic/ui/static/ui.css"' in page.text
            assert 'href="/ui' not in page.text
            bearer = {"Authorization": f"Bearer {it.reader}"}
            status = (await http.get("/api/v1/status", headers=bearer)).json()
            assert status["pagesUrl"] == "https://ops.example.com/atomic/ui"
            link = (await http.post("/ui/codes", json={}, headers=bearer)).json()["url"]
            assert link.startswith("https://ops.example.com/atomic/ui/login?code=")


@pytest.mark.parametrize(("settings", "told"), [
    ({}, None),
    ({"public_url": "http://ops:8080"}, "http://ops:8080/ui"),
    ({"public_url": "http://ops:8080", "ui": False}, None),
])  # fmt: skip
async def test_where_the_pages_are_is_told(
    tmp_path: Path, settings: dict[str, Any], told: str | None
) -> None:
    """As far as the engine knows it, and where there are pages; to a token of one client too."""
    async with locked(tmp_path, **settings) as it, it.browser() as http:
        bound = await it.admin.admin.add_token("shop-reader", "read", client="shop")
        for token in (it.reader, bound.made.secret):
            bearer = {"Authorization": f"Bearer {token}"}
            status = (await http.get("/api/v1/status", headers=bearer)).json()
            assert status.get("pagesUrl") == told


async def test_a_code_logs_a_browser_in_once(tmp_path: Path) -> None:
    """`atomic ui` asks for one with its token: it is good once, gives what the token gives, and
    neither a login nor another method makes one; wrong ones count as wrong tokens do."""
    async with locked(tmp_path) as it, it.browser() as http, it.browser() as other:
        bearer = {"Authorization": f"Bearer {it.reader}"}
        made = await http.post("/ui/codes", json={}, headers=bearer)
        assert made.status_code == 200
        path = made.json()["path"]
        entered = await http.get(path)
        assert (entered.status_code, entered.headers["location"]) == (303, "/ui")
        assert "reader, read" in (await http.get("/ui")).text
        assert (await http.post("/ui/codes", json={})).status_code == 401
        again = await other.get(path)
        assert again.status_code == 401
        assert not list(other.cookies.jar)
        for _ in range(4):
            assert (await other.get("/ui/login?code=x")).status_code == 401
        good = await http.post("/ui/codes", json={}, headers=bearer)
        assert (await other.get(good.json()["path"])).status_code == 429
        poster = {"Authorization": f"Bearer {it.poster}"}
        assert (await http.post("/ui/codes", json={}, headers=poster)).status_code == 403
        code = path.partition("=")[2]
        written = [each.read_bytes() for each in tmp_path.glob("*") if each.is_file()]
        assert not [text for text in written if code.encode() in text]


async def test_a_link_of_another_page_logs_nobody_in_or_out(tmp_path: Path) -> None:
    """A code that comes so waits for a button of ours; HEAD does nothing; a login ends the one
    that the browser had."""
    async with locked(tmp_path) as it, it.browser() as http:
        await it.log_in(http, it.reader)
        (cookie,) = http.cookies.jar
        before = {"Cookie": f"{cookie.name}={cookie.value}"}
        assert (await http.get("/ui/logout", headers=LINK)).status_code == 403
        for site in ("same-site", "cross-site"):
            image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
            assert (await http.get("/ui/logout", headers=image)).status_code == 403
        assert "set-cookie" not in (await http.head("/ui/logout")).headers
        assert (await http.get("/ui")).status_code == 200
        bearer = {"Authorization": f"Bearer {it.reader}"}
        path = (await http.post("/ui/codes", json={}, headers=bearer)).json()["path"]
        code = path.partition("=")[2]
        for asked in (await http.get(path, headers=LINK), await http.head(path)):
            assert (asked.status_code, "set-cookie" in asked.headers) == (200, False)
        asked = await http.get(path, headers=LINK | {"Sec-Fetch-Site": "same-site"})
        assert f'name="code" value="{code}"' in asked.text
        form, own = {"code": code}, {"Origin": it.engine.url}
        assert (await http.post("/ui/login", data=form)).status_code == 403
        entered = await http.post("/ui/login", data=form, headers=own)
        assert (entered.status_code, entered.headers["location"]) == (303, "/ui")
        assert (await http.get("/ui")).status_code == 200
        async with it.browser() as other:
            assert (await other.get("/ui", headers=before)).status_code == 303
