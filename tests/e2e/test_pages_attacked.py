"""Whoever attacks the pages: with texts, with a page of their own, with what they have stolen.

In a real browser, one for all. What the pages answer to requests alone is tested without one
(`test_pages.py`, `test_login.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trio
from msgspec import Struct

from engine.client import Client
from engine.front.ui.site import ASSETS, asset_text
from tests.e2e import harness
from tests.e2e.harness import SETTINGS
from tests.front.ui.hostile import MARK, TOGETHER, pages
from tests.tui.browser.chromium import Browser, Page, browser
from tests.tui.endpoint import Handler, serving

pytestmark = [pytest.mark.slow, pytest.mark.system]
BODIES = 'main a[href*="/steps/"]'
HIT = "window.wasHit = false; window.hit = () => { window.wasHit = true; };"
LOOK = """new Promise((done) => setTimeout(() => done({
  hit: window.wasHit, title: document.title, text: document.documentElement.textContent,
  elements: [...document.querySelectorAll("*")].filter((it) =>
    it.localName !== "wbr" || it.attributes.length).map((it) =>
    [it.localName, ...it.getAttributeNames().sort()].join(" ")),
  elsewhere: [...document.querySelectorAll("[href], [src], [action]")].map(
    (it) => new URL(it.getAttribute("href") ?? it.getAttribute("src") ?? it.getAttribute("action"),
      location.href)).filter((it) => it.origin !== location.origin).map(String),
})))"""
"""What has become of a page, once its events have had their turn; without where names may break,
of which a text has as many as it has parts."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    flags = "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP hit.test 127.0.0.1"
    with browser(tmp_path_factory.mktemp("browser") / "profile", flags) as started:
        yield started


class Drawn(Handler):
    """Pages that were put together beforehand, by their paths; notes what else is asked for."""

    pages: dict[str, tuple[str, bytes]]
    asked_for: list[str]

    def do_GET(self) -> None:
        kind, body = self.pages.get(self.path, ("", b""))
        if not kind and not self.path.startswith("/ui/runs/"):  # the stream of a page of a run
            self.asked_for.append(self.path)
        self.answer(200 if kind else 404, body, kind or "text/plain")


def test_no_text_in_any_field_is_more_than_a_text(chromium: Browser) -> None:
    """Every page with each of the texts in each of its fields, and with no policy to help: it has
    the elements and attributes that it has with a harmless text, and those alone; nothing ran,
    nothing was asked for, the title is its own, and all is there to be read."""
    texts = ("harmless" + MARK, *TOGETHER)
    drawn = {
        f"/ui/static/{name}": (kind, asset_text(name).encode()) for name, kind in ASSETS.items()
    }
    for number, text in enumerate(texts):
        for name, body in trio.run(pages, text).items():
            drawn[f"/{number}/{name}"] = ("text/html; charset=utf-8", body)
    handler: Any = type("Pages", (Drawn,), {"pages": drawn, "asked_for": []})
    with serving(handler) as port:
        page = chromium.page("about:blank")
        page.call("Page.setBypassCSP", enabled=True)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=HIT)
        harmless: dict[str, list[str]] = {}
        for path in drawn:
            if path.startswith("/ui/"):
                continue
            page.go(f"http://127.0.0.1:{port}{path}")
            seen, name = page.result(LOOK), path.rpartition("/")[2]
            assert not seen["hit"], path
            assert not seen["title"].startswith("HIT"), path
            assert seen["elements"] == harmless.setdefault(name, seen["elements"]), path
            assert seen["elsewhere"] == [], path
            assert name == "logged_out" or MARK in seen["text"], path
            assert "\u202e" not in seen["text"], path
        page.close()
    assert handler.asked_for == []


class Answers(Handler):
    """An application whose answers are what it is called with; and the page of an attacker."""

    def do_GET(self) -> None:
        self.answer(200, b"<!doctype html><title>a page</title><body>", "text/html")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer(500, asked["payload"].encode(), "text/plain")


class World(Struct):
    """An engine that asks for tokens, with two clients, and who has which token."""

    url: str
    app: str
    admin: Client
    http: httpx.Client
    tokens: dict[str, str]

    def post(self, client: str, name: str, payload: str) -> str:
        """A run that has failed; its id."""
        posted = {
            "workflowName": name, "idempotencyKey": name, "stepKey": name, "payload": payload,
            "stepInvokeUrl": f"{self.app}/steps/x", "retry": {"count": 0},
        }  # fmt: skip
        answer = self.ask("POST", f"/{client}", client, json=posted)
        assert answer.status_code == 424, answer.text
        return str(answer.json()["runId"])

    def ask(self, method: str, path: str, token: str, **more: Any) -> httpx.Response:
        """Ask as a program does."""
        headers = {"Authorization": f"Bearer {self.tokens[token]}"}
        return self.http.request(method, path, headers=headers, **more)

    def log_in(self, page: Page, token: str) -> None:
        """As a person does; and the page is the first one."""
        page.go(f"{self.url}/ui/login")
        page.evaluate(f"document.getElementById('token').value = {self.tokens[token]!r}")
        page.evaluate("document.querySelector('button').click()")
        page.until(lambda: f"{token}, " in page.text, "logged in")

    def statuses(self) -> dict[str, int]:
        """How many answers of each status the engine has given."""
        found: dict[str, int] = {}
        for line in self.ask("GET", "/metrics", "admin").text.splitlines():
            if line.startswith("atomic_http_requests_total"):
                status = line.partition('status="')[2][:3]
                found[status] = found.get(status, 0) + int(float(line.rpartition(" ")[2]))
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("engine")
    with serving(Answers) as port, harness.running(directory, **SETTINGS) as engine:
        app = f"http://127.0.0.1:{port}"
        with Client(engine.url) as anybody:
            made = anybody.admin.add_client("shop", [f"{app}/"])
        assert made.admin is not None
        tokens = {"admin": made.admin.secret, "shop": made.made.secret}
        token_file = directory / "admin.token"
        token_file.write_text(made.admin.secret)
        with (
            Client(engine.url, token_file=token_file) as admin,
            httpx.Client(base_url=engine.url, timeout=60) as http,
        ):
            tokens["bank"] = admin.admin.add_client("bank", [f"{app}/"]).made.secret
            for name, role, client in (
                ("reader", "read", "shop"), ("leaver", "read", None), ("operator", "operate", None),
            ):  # fmt: skip
                tokens[name] = admin.admin.add_token(name, role, client=client).made.secret
            yield World(engine.url, app, admin, http, tokens)
        assert engine.stop() == 0
        assert not engine.events("request-failed"), engine.text


def test_texts_that_are_posted_and_asked_for(
    chromium: Browser, world: World, tmp_path: Path
) -> None:
    """Names, keys, answers and reasons of runs, and addresses: they are shown, on the page and in
    the file of the run, and the policy of the pages has nothing to forbid."""
    page = chromium.page("about:blank", chromium.context())
    world.log_in(page, "operator")
    page.call("Page.addScriptToEvaluateOnNewDocument", source=HIT)
    paths = ["/ui", "/ui/runs", "/ui/stuck"]
    for number, text in enumerate(TOGETHER):
        name = "".join(it for it in text if " " <= it <= "~")[-110:]
        run_id = world.post("shop", f"{name} {number}", text.encode("utf-8", "replace").decode())
        paths.append(f"/ui/runs/{run_id}?step={run_id}")
        asked = quote(text.replace("A" * 100, ""), safe="", errors="replace")
        paths += [f"/ui/steps/{run_id}/response", f"/ui/runs?q={asked}", f"/ui/{asked}"]
        paths.append(f"/ui/runs/{run_id}?below={asked}#{asked}")
        file = tmp_path / f"{run_id}.html"
        file.write_bytes(world.ask("GET", f"/ui/runs/{run_id}/file?bodies=yes", "admin").content)
        paths.append(file.as_uri())
    for path in paths:
        page.go(path if path.startswith("file:") else world.url + path)
        seen = page.result(LOOK)
        scripts = [it for it in seen["elements"] if it.split()[0] == "script"]
        has_none = path.startswith("file:") or "%0D" in path.partition("?")[0]  # no page: JSON
        assert scripts == ([] if has_none else ["script defer src"]), path
        assert not seen["hit"], path
        assert not seen["title"].startswith("HIT"), path
        assert MARK in seen["text"] or "%0D" in path, path
    assert [it for it in page.complaints if "with a status of 4" not in it] == []
    page.close()


SENDS = """
const engine = ENGINE, run = RUN, code = CODE, token = TOKEN;
const all = {mode: "no-cors", credentials: "include"};
const read = async (path, options) => {
  const answer = await fetch(engine + path, options);
  return answer.type === "opaque" ? "" : `${answer.status} ${await answer.text()}`;
};
const made = (name, its) => new Promise((done) => {
  const it = Object.assign(document.createElement(name), its);
  it.onload = () => {
    try { done(name === "iframe" ? it.contentDocument.body.innerText : "loaded"); }
    catch { done(""); }
  };
  it.onerror = () => done("");
  document.body.append(it);
});
const sent = (method, path, fields) => new Promise((done) => {
  const form = Object.assign(document.createElement("form"), {method, action: engine + path});
  const it = document.createElement("iframe");
  form.target = it.name = `into${document.forms.length}`;
  for (const [name, value] of Object.entries(fields))
    form.append(Object.assign(document.createElement("input"), {name, value}));
  document.body.append(it, form);
  it.onload = () => { try { done(it.contentDocument.body.innerText); } catch { done(""); } };
  form.submit();
});
const sends = [
  () => read("/ui", {credentials: "include"}), () => read("/ui", all),
  () => read("/ui/logout", all),
  () => read(`/ui/runs/${run}/file`, {credentials: "include"}),
  () => read("/ui/codes", {...all, method: "POST", body: "{}"}),
  () => read("/ui/login", {...all, method: "POST", body: new URLSearchParams({token})}),
  () => made("img", {src: `${engine}/ui/logout`}),
  () => made("script", {src: `${engine}/ui/static/ui.js`}),
  () => made("link", {rel: "stylesheet", href: `${engine}/ui/static/ui.css`}),
  () => made("iframe", {src: `${engine}/ui`}), () => made("iframe", {src: `${engine}/ui/logout`}),
  () => made("iframe", {src: `${engine}/ui/login?code=${code}`}),
  () => made("object", {data: `${engine}/ui/runs/${run}`}),
  () => sent("get", "/ui/logout", {}), () => sent("get", "/ui/runs", {q: "is:failed"}),
  () => sent("post", "/ui/login", {token}), () => sent("post", "/ui/login", {code}),
  () => sent("post", `/api/v1/runs/${run}/actions`, {action: "cancel"}),
  () => new Promise((done) => {
    const it = new EventSource(`${engine}/ui/runs/${run}/events`, {withCredentials: true});
    it.onopen = () => done("opened"); it.onerror = () => { it.close(); done(""); };
  }),
];
return Promise.all(sends.map(async (send) => {
  const late = new Promise((done) => setTimeout(() => done(`late: ${send}`), 20000));
  try { return await Promise.race([send(), late]); } catch { return ""; }
}))
"""
"""All that a page of somebody's can ask of the pages, and what it could read of the answers."""


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.test"], ids=["another-port", "another-site"])
def test_a_page_of_somebody_elses(host: str, chromium: Browser, world: World) -> None:
    """It frames, posts, fetches, embeds and listens, in the browser of who is logged in: all of it
    is refused, it reads nothing, and nobody is logged out or in. A link of it leads to the page, of
    which it has no hold then; one with a code logs nobody in."""
    run_id = world.post("shop", f"of {host}", "x")
    code = world.ask("POST", "/ui/codes", "reader", json={}).json()["path"].partition("=")[2]
    page = chromium.page("about:blank", chromium.context())
    world.log_in(page, "operator")
    page.go(f"http://{host}:{world.app.rpartition(':')[2]}/")
    script = SENDS
    for name, value in (
        ("ENGINE", world.url), ("RUN", run_id), ("CODE", code), ("TOKEN", world.tokens["reader"]),
    ):  # fmt: skip
        script = script.replace(name, json.dumps(value), 1)
    before = world.statuses()
    could_read = page.result(f"(() => {{ {script} }})()")
    assert not [it for it in could_read if it]
    after = world.statuses()
    gained = {status: after[status] - before.get(status, 0) for status in after}
    assert gained.pop("200") == 1, "but for what the test asked itself"
    assert {status for status, count in gained.items() if count} == {"403"}
    assert gained["403"] >= len(could_read) - 5, "but for posts, of which the head is refused"
    opens = f"window.opened = open({world.url + '/ui'!r})"
    page.call("Runtime.evaluate", expression=opens, userGesture=True)
    page.until(lambda: page.evaluate("window.opened.closed"), "out of its hands")
    _follow(page, f"{world.url}/ui/login?code={code}", "A link on another page led here")
    page.go(f"http://{host}:{world.app.rpartition(':')[2]}/")
    _follow(page, f"{world.url}/ui", "operator, operate")
    page.close()


def _follow(page: Page, url: str, shown: str) -> None:
    """Click a link."""
    link = f"Object.assign(document.createElement('a'), {{ href: {url!r} }})"
    page.evaluate(f"document.body.appendChild({link}).click()")
    page.until(lambda: shown in page.text, shown)


def test_what_was_stolen(chromium: Browser, world: World) -> None:
    """A code is good for the browser that came first; a login ends with its token, also on a page
    that is being looked at."""
    run_id = world.post("shop", "stolen", "x")
    path = world.ask("POST", "/ui/codes", "leaver", json={}).json()["path"]
    page = chromium.page("about:blank", chromium.context())
    thief = chromium.page("about:blank", chromium.context())
    page.go(world.url + path)
    assert "leaver, read" in page.text
    thief.go(world.url + path)
    assert "That link was used" in thief.text
    thief.go(f"{world.url}/ui/runs/{run_id}")
    assert "Log in" in thief.text
    assert run_id not in thief.text
    thief.close()
    page.go(f"{world.url}/ui/runs/{run_id}")
    assert "stolen" in page.text
    page.go(f"{world.url}/ui")
    page.until(lambda: "● live" in page.text, "live")
    world.admin.admin.remove_token("leaver")
    page.until(lambda: "This engine asks for a token" in page.text, "led to the login")
    page.go(f"{world.url}/ui/runs/{run_id}")
    assert "stolen" not in page.text
    page.close()


def test_what_is_not_for_them(chromium: Browser, world: World) -> None:
    """Who may read one client is shown no body of it, and of another client's that there is none,
    in the words of what never was."""
    own, other = world.post("shop", "own", "secret-x"), world.post("bank", "theirs", "secret-y")
    page = chromium.page("about:blank", chromium.context())
    world.log_in(page, "reader")
    page.go(f"{world.url}/ui/runs/{own}?step={own}")
    assert "own" in page.text
    assert not page.evaluate(f"document.querySelector({json.dumps(BODIES)})")
    for path in (f"/ui/steps/{own}/payload", f"/ui/steps/{own}/response",
                 f"/ui/steps/{own}/attempts/1/response", f"/ui/runs/{own}/file?bodies=yes",
                 f"/ui/steps/{other}/payload"):  # fmt: skip
        page.go(world.url + path)
        assert "role operate" in page.text, path
        assert "secret-" not in page.text, path
    never = "01ZZZZZZZZZZZZZZZZZZZZZZZZ"
    for path in ("/ui/runs/ID", "/ui/runs/ID/file", "/ui/runs/ID?step=ID", "/ui/jobs/ID"):
        said = []
        for id in (other, never):
            page.go(world.url + path.replace("ID", id))
            said.append(page.text.replace(id, "ID"))
        assert said[0] == said[1], path
        assert "There is no" in said[0], path
    for path in ("/ui", "/ui/runs", "/ui/stuck", "/ui/runs?q=client:bank", f"/ui/runs?q={other}"):
        page.go(world.url + path)
        assert "theirs" not in page.text, path
        links = f'main a[href*="/runs/{other}"]'
        assert not page.evaluate(f"document.querySelector({json.dumps(links)})"), path
    page.close()
