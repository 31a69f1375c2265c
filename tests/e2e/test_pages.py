"""The pages below `/ui`, on a real engine: what stands on them, who sees what, and that they do
nothing but show."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import reduce
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.front.ui.live import STREAMS_MAX
from engine.wire.routes import PAGES, UI_EVENTS, Role
from tests.e2e import harness
from tests.e2e.harness import Answer, Application, Client, EngineProcess, application, fine
from tests.e2e.sse import event_stream
from tests.e2e.tenants import ALPHA, a_world

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)> {{7*7}} \u202egnp \x1b[31m & '"
FAST = {"count": 0}


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [its for name, its in self.elements if name == tag]

    @property
    def links(self) -> list[str]:
        return [its["href"] or "" for its in self.all("a")]


async def declined(call: object) -> Answer:
    return Answer(402, b'{"error":"card_declined"}')


async def hostile(call: object) -> Answer:
    return Answer(500, HOSTILE.encode(), {"Content-Type": "text/plain"})


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with application(fine=fine, declined=declined, hostile=hostile) as app:
        yield app


async def page(shop: Client, path: str, status: int = 200) -> Page:
    answer = await shop.get(path, Accept="text/html")
    assert answer.status_code == status, answer.text
    assert HEADERS.items() <= dict(answer.headers).items()
    assert "set-cookie" not in answer.headers
    return Page(answer.text)


async def failed_run(shop: Client, app: Application, name: str = "declined", **more: Any) -> str:
    answer = await shop.post(app.at(name), "k", 1, retry=FAST, **more)
    assert answer.status_code == 424, answer.text
    return str(answer.json()["runId"])


async def test_home_says_what_needs_a_person(shop: Client, app: Application) -> None:
    """Why, how many, and which; with links to them."""
    run_id = await failed_run(shop, app)
    home = await page(shop, "/ui")
    assert "402 card_declined" in home.text
    assert "needs a person" in home.text or "need a person" in home.text
    assert f"/ui/runs/{run_id}" in home.links
    assert (await page(shop, "/ui/stuck")).text.count("402 card_declined") == 1


async def test_runs_by_filter(shop: Client, app: Application) -> None:
    """The filter is in the address, and stands in its field again."""
    run_id = await failed_run(shop, app)
    await shop.post(app.at("fine"), "other", 1)
    found = await page(shop, f"/ui/runs?q=client:{shop.name}%20error:DECLINED")
    assert [it for it in found.links if "/ui/runs/" in it] == 2 * [f"/ui/runs/{run_id}"]
    (field,) = [it for it in found.all("input") if it["name"] == "q"]
    assert field["value"] == f"client:{shop.name} error:DECLINED"


async def test_a_wrong_filter_is_told_below_it(shop: Client) -> None:
    """With where it is wrong; the status says so too."""
    wrong = await page(shop, "/ui/runs?q=is:nonsense", 400)
    assert "nonsense" in wrong.text
    (field,) = [it for it in wrong.all("input") if it["name"] == "q"]
    assert field["aria-invalid"] == "true"


async def test_runs_in_pages(shop: Client, app: Application) -> None:
    """100 of them, and a link to what follows; behind the last there is none."""
    for number in range(101):
        await shop.post(app.at("fine"), f"k{number}", 1, prefer="respond-async")
    first = await page(shop, f"/ui/runs?q=client:{shop.name}")
    assert len(first.all("tr")) == 101  # with the head
    (following,) = [it for it in first.links if "cursor=" in it]
    second = await page(shop, following)
    assert len(second.all("tr")) == 2
    assert not [it for it in second.links if "cursor=" in it]


async def test_a_run_with_all_that_is_known(shop: Client, app: Application) -> None:
    """Headline, steps, attempts, reasons, times and the chart, without any script."""
    run_id = await failed_run(shop, app, stepName="charge")
    given = "with the notes above, to whomever you give it"
    assert given not in (await page(shop, f"/ui/runs/{run_id}")).text
    await shop.act(run_id, "note", reason="vendor informed, ticket 4711")
    found = await page(shop, f"/ui/runs/{run_id}")
    assert given in found.text
    file = await page(shop, f"/ui/runs/{run_id}/file")
    assert ": vendor informed, ticket 4711" in file.text
    assert given not in file.text
    assert "http:127.0.0.1, " in found.text
    assert ": vendor informed, ticket 4711" in found.text
    for told in ("failed", "402 card_declined", "charge", shop.name, app.at("declined"), run_id):
        assert told in found.text, told
    assert [it["class"] for it in found.all("rect")] == ["b-failed"]
    assert [it["src"] for it in found.all("script")] == ["/ui/static/ui.js"]
    asked = await page(shop, f"/ui/runs/{run_id}?step={run_id}")
    (details,) = asked.all("details")
    assert "open" in details


async def test_what_there_is_not(shop: Client, app: Application) -> None:
    """It is said as a page."""
    run_id = await failed_run(shop, app)
    for path in ("/ui/runs/none", f"/ui/runs/{run_id}?below=none", "/ui/nothing", "/ui/jobs/none"):
        assert "There is no" in (await page(shop, path, 404)).text
    assert (await shop.get("/ui/static/none.css")).status_code == 404
    assert (await shop.http.post("/ui/runs", json={})).status_code == 405


async def test_texts_do_nothing(shop: Client, app: Application) -> None:
    """Whatever stands in a name, a key, an answer or an address: it is shown and does nothing."""
    evil = HOSTILE.replace("\u202e", "").replace("\x1b", "")
    run_id = await failed_run(shop, app, "hostile", workflowName=evil, stepKey=evil)
    await shop.http.post("/api/v1/bulk", json={"action": "dismiss", "q": f"client:{shop.name}",
                                               "expect": 9, "reason": HOSTILE})  # fmt: skip
    jobs = (await shop.read("/bulk"))["jobs"]
    for path in ("/ui", "/ui/runs", f"/ui/runs/{run_id}", f"/ui/runs/{run_id}?step={run_id}",
                 "/ui/stuck", "/ui/jobs", f"/ui/jobs/{jobs[0]['id']}",
                 f"/ui/runs?q={HOSTILE}", f"/ui/runs/{run_id}?page={HOSTILE}"):  # fmt: skip
        answer = await shop.http.get(path.partition("?")[0], params=_params(path))
        assert answer.status_code in (200, 400), path
        found = Page(answer.text)
        names = {name for name, _ in found.elements}
        assert [it["src"] for it in found.all("script")] == ["/ui/static/ui.js"], path
        assert not names & {"img", "iframe", "style", "base", "object"}, path
        given = {attribute for _, its in found.elements for attribute in its}
        assert not [it for it in given if it.startswith("on") or it == "style"], path
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
        assert "49" not in re.findall(r"onerror=alert\(2\)> (\S+)", found.text)
    assert "<script>alert(1)</script>" in found.text


def _params(path: str) -> dict[str, str]:
    name, equals, value = path.partition("?")[2].partition("=")
    return {name: value} if equals else {}


async def test_what_pages_are_made_of(shop: Client) -> None:
    """The style is a file of the engine's own: nothing comes from elsewhere."""
    home = await page(shop, "/ui")
    (style,) = [it for it in home.all("link") if it["rel"] == "stylesheet"]
    answer = await shop.get(str(style["href"]))
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "@media" in answer.text
    assert not re.findall(r"https?:|url\(|@import", answer.text)


@pytest.mark.parametrize("route", PAGES, ids=lambda it: it.path)
async def test_only_what_comes_from_here_is_answered(route: Any, engine: EngineProcess) -> None:
    """Another name, or a page of another origin that asks, is refused as everywhere."""
    path = re.sub(r"{\S+?}", "ui.css" if route.role is None else "x", route.path)
    if route.method == "POST" or route is UI_EVENTS:
        return  # each has tests of its own
    async with httpx.AsyncClient(base_url=engine.url) as http:
        wrong_host = await http.get(path, headers={"Host": "evil.example"})
        assert wrong_host.status_code == 421
        foreign = await http.get(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
        assert (await http.head(path)).content == b""


async def test_without_pages_there_is_none(tmp_path: Path) -> None:
    """`ui = false`: what was below `/ui` before."""
    with harness.running(tmp_path, ui=False) as engine:
        async with httpx.AsyncClient(base_url=engine.url) as http:
            for path, status in (("/ui", 405), ("/ui/runs", 404), ("/ui/static/ui.css", 404)):
                answer = await http.get(path)
                assert answer.status_code == status
                assert answer.headers["content-type"] == "application/problem+json"


async def test_roles_and_tenants(tmp_path: Path) -> None:
    """Who has a token sees what the API shows with it: nothing without one, with `submit` no page,
    and of other clients nothing."""
    async with a_world(tmp_path) as world:
        beta = world.beta
        async with httpx.AsyncClient(base_url=world.url) as nobody:
            assert (await nobody.get("/ui")).status_code == 401
            as_browser = {"Accept": "text/html,*/*;q=0.8"}
            assert (await nobody.get("/ui", headers=as_browser)).status_code == 303
            assert (await nobody.get("/ui/static/ui.css")).status_code == 200
        for person in world.alphas.values():
            allowed = person.role is not Role.SUBMIT
            for path in ("/ui", "/ui/runs", "/ui/runs?q=beta", "/ui/stuck", "/ui/jobs"):
                answer = await person.http.get(path)
                assert answer.status_code == (200 if allowed else 403), path
                asked = ('value="beta"', "q=beta", "<title>beta")  # in one's own words
                shown = reduce(lambda text, it: text.replace(it, ""), asked, answer.text)
                assert "beta" not in shown, path
            for id in (*beta.runs, *beta.steps, *beta.jobs):
                for path in (f"/ui/runs/{id}", f"/ui/jobs/{id}"):
                    assert (await person.http.get(path)).status_code == (404 if allowed else 403)
        reader, operator = world.alphas["reader"], world.alphas["operator"]
        assert ALPHA in (await reader.http.get("/ui/runs")).text
        own = (await reader.http.get("/api/v1/runs")).json()["runs"][0]["id"]
        assert (await reader.http.get(f"/ui/runs/{own}/file")).status_code == 200
        steps = f"/ui/steps/{own}"
        for path in (
            f"/ui/runs/{own}/file?bodies=yes", f"{steps}/payload", f"{steps}/response",
            f"{steps}/attempts/1/response",
        ):  # fmt: skip
            assert (await reader.http.get(path)).status_code == 403
            assert (await operator.http.get(path)).status_code == 200
            others = path.replace(own, beta.runs[0])
            assert (await operator.http.get(others)).status_code == 404
        assert "/payload" not in (await reader.http.get(f"/ui/runs/{own}")).text
        assert "/payload" in (await operator.http.get(f"/ui/runs/{own}")).text


async def test_a_run_tells_when_it_has_changed(
    engine: EngineProcess, shop: Client, app: Application
) -> None:
    """Once it has, and at once to who comes back; of other runs nothing is told."""
    slow = {"count": 5, "backOff": 3_600_000, "maxBackOff": 3_600_000}
    answer = await shop.post(app.at("declined"), "k", 1, retry=slow, prefer="respond-async")
    run_id = answer.json()["runId"]
    await shop.wait_run(run_id, "backing-off")
    (main,) = (await page(shop, f"/ui/runs/{run_id}")).all("main")
    path = main["data-events"] or ""
    assert path.startswith(f"/ui/runs/{run_id}/events?seen=")
    async with event_stream(engine, path=path) as stream:
        assert (await stream.next()).name == "heartbeat"
        listeners = (await shop.read("/status"))["listeners"]
        assert "http:127.0.0.1" in {it["actor"] for it in listeners}
        await failed_run(shop, app, workflowName="another")
        assert (await stream.next()).name == "heartbeat"
        await shop.act(run_id, "cancel")
        while (await stream.next()).name != "changed":
            pass
    async with event_stream(engine, path=path) as stream:  # the page is older than that
        assert [(await stream.next()).name for _ in range(2)] == ["heartbeat", "changed"]
    async with event_stream(engine, "1", path=path) as stream:
        assert (await stream.next()).name == "changed"
    assert (await shop.get("/ui/runs/none/events")).status_code == 404
    assert (await shop.http.head(path)).status_code == 200


async def test_twenty_streams_and_no_more(shop: Client, app: Application) -> None:
    """Of one login, or where none is needed of one address; who closes one has room for another."""
    run_id = await failed_run(shop, app)
    path = f"/ui/runs/{run_id}/events"
    async with AsyncExitStack() as stack:
        for _ in range(STREAMS_MAX):
            await stack.enter_async_context(shop.http.stream("GET", path))
        assert (await shop.get(path)).status_code == 429

    async def has_room() -> bool:
        async with shop.http.stream("GET", path) as answer:
            return answer.status_code == 200

    await harness.eventually_async(has_room)


async def test_bodies_are_text(shop: Client, app: Application) -> None:
    """JSON in lines, all else as it came, what is no text not at all; each as a file, too."""
    run_id = await failed_run(shop, app, "hostile")
    assert "1" in (await page(shop, f"/ui/steps/{run_id}/payload")).text
    for path in ("response", "attempts/1/response"):
        answer = await page(shop, f"/ui/steps/{run_id}/{path}")
        assert "<script>alert(1)</script>" in answer.text
        assert "\u202e" not in answer.text
        assert [it["src"] for it in answer.all("script")] == ["/ui/static/ui.js"]
        kept = await shop.get(f"/ui/steps/{run_id}/{path}?file=yes")
        assert kept.content == HOSTILE.encode()
        assert kept.headers["content-type"] == "application/octet-stream"
        assert kept.headers["content-disposition"].startswith("attachment; ")
    posted = await shop.post(app.at("fine"), "json", {"a": [1, {"b": "c\n"}]})
    shown = await page(shop, f"/ui/steps/{posted.json()['runId']}/payload")
    assert '{\n  "a": [\n    1,' in shown.text
    assert (await shop.get(f"/ui/steps/{run_id}/attempts/9/response")).status_code == 404


@pytest.mark.parametrize(("size", "cut"), [(65_536, False), (65_537, True)])
async def test_of_a_long_body_the_first_part(
    size: int, cut: bool, shop: Client, app: Application
) -> None:
    """64 KiB; that there is more is said, and a character that is cut is left out."""
    text = "ä" * ((size - 2) // 2)
    text += "x" * (size - 2 - len(text.encode()))
    answer = await shop.post(app.at("fine"), "long", text)
    shown = await page(shop, f"/ui/steps/{answer.json()['runId']}/payload")
    assert ("the first 64.0 KiB shown" in shown.text) is cut
    assert "ää" in shown.text


async def test_what_was_done_by_hand_is_said(shop: Client, app: Application) -> None:
    """On the line of the step, which nobody need unfold, by whom and why, and of a move by whom; in
    the file as well."""
    run_id = await failed_run(shop, app)
    move = {"from": app.at("declined"), "to": app.at("fine")}
    moved = await shop.act(run_id, "retarget", **move)
    assert moved.status_code == 202, moved.text
    skipped = {"step": run_id, "reason": "they paid in cash"}
    assert (await shop.act(run_id, "skip", **skipped)).status_code == 202
    for path in (f"/ui/runs/{run_id}", f"/ui/runs/{run_id}/file"):
        found = await shop.get(path)
        (line,) = re.findall("<summary.*?</summary>", found.text, re.DOTALL)
        assert re.search(r"✎</span> skipped by somebody at 127.0.0.1: they paid in cash", line)
        assert re.search(r"moved <time.*</time> by somebody at 127.0.0.1:", found.text)


async def test_a_run_as_one_file(shop: Client, app: Application) -> None:
    """It loads nothing, runs nothing, says what is not in it, and has bodies if they are asked
    for."""
    evil = HOSTILE.replace("\u202e", "").replace("\x1b", "")
    run_id = await failed_run(shop, app, "hostile", workflowName=evil)
    for query, bodies in (("", False), ("?bodies=yes", True)):
        answer = await shop.get(f"/ui/runs/{run_id}/file{query}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{run_id}.html"'
        found = Page(answer.text)
        assert not {name for name, _ in found.elements} & {"script", "link", "img", "iframe"}
        assert {link.partition("#")[0] for link in found.links} <= {""}
        assert not [its for _, its in found.elements if "src" in its or "style" in its]
        assert run_id in found.text
        assert ("Left out: payloads and answers." in found.text) is not bodies
        assert ("Payload" in found.text) is bodies
        assert len([it for it in found.all("details") if "open" in it]) == 1
