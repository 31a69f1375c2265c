"""A page in a browser on the engine's own machine: it reads nothing of the engine and changes
nothing in it, by whatever a page can send without being asked."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest

from engine.client import Client
from tests.e2e import harness
from tests.tui.browser.chromium import Page, browser
from tests.tui.endpoint import Handler, serving

SENDS = """
const engine = ENGINE, run = RUN, application = APPLICATION;
const post = (key) => JSON.stringify(
  {workflowName: "evil", stepInvokeUrl: application, idempotencyKey: key, payload: 1});
const cancel = JSON.stringify({action: "cancel"});
const actions = `${engine}/api/v1/runs/${run}/actions`;
const read = async (url, options = {}) => {
  const answer = await fetch(url, options);
  return answer.type === "opaque" ? "" : `${answer.status} ${await answer.text()}`;
};
const json = {"Content-Type": "application/json"}, text = {"Content-Type": "text/plain"};
const sends = {
  read: () => read(`${engine}/api/v1/runs`),
  readOpaque: () => read(`${engine}/api/v1/runs`, {mode: "no-cors"}),
  readWithCredentials: () => read(`${engine}/metrics`, {credentials: "include"}),
  postJson: () => read(`${engine}/shop`, {method: "POST", headers: json, body: post("json")}),
  postText: () => read(`${engine}/shop`, {method: "POST", headers: text, body: post("text")}),
  postOpaque: () => read(`${engine}/shop`,
    {method: "POST", mode: "no-cors", headers: text, body: post("opaque")}),
  postForm: () => read(`${engine}/shop`,
    {method: "POST", mode: "no-cors", body: new URLSearchParams({a: post("form")})}),
  postBlob: () => read(`${engine}/shop`,
    {method: "POST", mode: "no-cors", body: new Blob([post("blob")])}),
  act: () => read(actions, {method: "POST", mode: "no-cors", headers: text, body: cancel}),
  actJson: () => read(actions, {method: "POST", headers: json, body: cancel}),
  hold: () => read(`${engine}/api/v1/holds`, {method: "POST", mode: "no-cors",
    headers: text, body: JSON.stringify({kind: "client", name: "shop"})}),
  remove: () => read(`${engine}/api/v1/clients/shop/remove`, {method: "DELETE"}),
  beacon: async () => { navigator.sendBeacon(`${engine}/shop`,
    new Blob([post("beacon")], {type: "text/plain"})); return ""; },
  stream: () => new Promise((done, fail) => {
    const source = new EventSource(`${engine}/api/v1/events`);
    source.onmessage = source.onopen = () => done("opened"); source.onerror = fail; }),
  socket: () => new Promise((done, fail) => {
    const socket = new WebSocket(`${engine.replace("http", "ws")}/api/v1/events`);
    socket.onopen = () => done("opened"); socket.onerror = fail; }),
  image: () => new Promise((done, fail) => {
    const it = new Image(); it.onload = () => done("loaded"); it.onerror = fail;
    it.src = `${engine}/api/v1/runs`; }),
  script: () => new Promise((done, fail) => {
    const it = document.createElement("script"); it.onload = () => done("loaded");
    it.onerror = fail; it.src = `${engine}/api/v1/runs`; document.head.append(it); }),
  style: () => new Promise((done, fail) => {
    const it = document.createElement("link"); it.rel = "stylesheet"; it.onerror = fail;
    it.onload = () => done("loaded"); it.href = `${engine}/problems/`; document.head.append(it); }),
  frame: () => new Promise((done) => {
    const it = document.createElement("iframe"); it.name = "into"; it.src = `${engine}/problems/`;
    it.onload = () => { try { done(it.contentDocument.body.innerText); } catch { done(""); } };
    document.body.append(it); }),
};
const forms = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
for (const [at, kind] of forms.entries()) sends[kind] = () => new Promise((done) => {
  const form = document.createElement("form"), field = document.createElement("input");
  const it = document.createElement("iframe"); it.name = `form${at}`;
  [form.method, form.action, form.enctype, form.target] = ["POST", `${engine}/shop`, kind, it.name];
  const [before, after] = post("form" + at).split('"payload":1');
  field.name = `${before}"payload":"`; field.value = `"${after}`; form.append(field);
  document.body.append(it, form);
  it.onload = () => done("");
  form.submit(); });
window.found = null;
Promise.all(Object.entries(sends).map(async ([name, send]) => {
  let timer; const late = new Promise((done) => { timer = setTimeout(() => done("late"), 20000); });
  try { return [name, await Promise.race([send(), late])]; }
  catch (error) { return [name, ""]; }
})).then((all) => { window.found = Object.fromEntries(all); });
"""
"""Everything that a page can send, and what it could read of the answers."""
PAGE = b"<!doctype html><title>a page</title><body>"


class Evil(Handler):
    """A site of somebody's, and the application that its posts would have called."""

    def do_GET(self) -> None:
        self.answer(200, PAGE, "text/html")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, b"{}", "application/json")


def sent(page: Page, engine: str, run_id: str, application: str) -> dict[str, str]:
    """What a page could read when it had sent everything."""
    script = SENDS.replace("ENGINE", json.dumps(engine)).replace("RUN", json.dumps(run_id))
    page.until(lambda: page.evaluate("document.readyState") == "complete", "loaded")
    page.evaluate(f"{{{script.replace('APPLICATION', json.dumps(application))}}}")
    page.until(lambda: page.evaluate("window.found !== null"), "answered")
    found: dict[str, str] = page.evaluate("window.found")
    return found


def refused_by(url: str) -> dict[str, int]:
    """How often the engine has answered what, by status."""
    page = httpx.get(f"{url}/metrics").text
    lines = re.findall(r"^atomic_http_requests_total\{(.*)\} (\d+)", page, re.MULTILINE)
    found: dict[str, int] = {}
    for labels, count in lines:
        status = labels.partition('status="')[2][:3]
        found[status] = found.get(status, 0) + int(count)
    return found


@pytest.mark.system
@pytest.mark.slow
def test_no_page_reads_or_changes_anything(tmp_path: Path) -> None:
    """A page of another port of the machine, of another site, and of a name that was made to lead
    to the engine (rebinding), whose origin then is the very host that it asks for."""
    tail = f"/a/{time.time_ns()}"  # a page of a test before is in no cache
    with serving(Evil) as port, harness.running(tmp_path, **harness.SETTINGS) as engine:
        application = f"http://127.0.0.1:{port}/x"
        with Client(engine.url) as client:
            waits = client.submit(
                "w",
                client="shop",
                url="http://127.0.0.1:1/",
                key="k",
                prefer="respond-async",
            )
            client.operate.act(waits.id, "pause")
            before = client.operate.run(waits.id).run
            engine_port = engine.url.rpartition(":")[2]
            flags = "--host-resolver-rules=MAP evil.test 127.0.0.1"
            with browser(tmp_path / "profile", flags) as chromium:
                for start, asked in (
                    (f"http://127.0.0.1:{port}{tail}", engine.url),
                    (f"http://evil.test:{port}{tail}", engine.url),
                    (f"http://evil.test:{engine_port}{tail}", f"http://evil.test:{engine_port}"),
                ):
                    page = chromium.page(start)
                    page.call("Page.setBypassCSP", enabled=True)
                    page.call("Page.navigate", url=start)
                    read = sent(page, asked, waits.id, application)
                    told = {name: text for name, text in read.items() if text}
                    if "evil.test" in asked:
                        refusals = [text for text in told.values() if not text.startswith("421 ")]
                        assert refusals == [], told
                        told = {}
                    assert told == {}, start
                    page.close()
            assert client.operate.run(waits.id).run == before
            assert client.operate.run_page().total == 1
            assert client.operate.holds().holds == ()
        counted = refused_by(engine.url)
        assert {"403", "421"} <= counted.keys(), "they came as far as the engine"
        assert counted["403"] >= 20
        assert engine.stop() == 0
