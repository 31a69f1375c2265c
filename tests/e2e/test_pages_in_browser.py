"""The pages in a real browser: a login, a link from elsewhere, a run that is followed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from engine.client import Client
from tests.e2e import harness
from tests.e2e.harness import SETTINGS
from tests.tui.browser.chromium import browser

LATER = {"count": 3, "backOff": 3_600_000, "maxBackOff": 3_600_000}
NAME = "<script>document.title='bad'</script><img src=x onerror=document.title='bad'>"


@pytest.mark.slow
@pytest.mark.system
def test_in_a_browser(tmp_path: Path) -> None:
    """Who follows a link from a chat is asked for a token, and led to the page; a run's page shows
    what becomes of it, keeps folded what was folded, and does nothing of what its names say."""
    with (
        harness.running(tmp_path, **SETTINGS) as engine,
        browser(tmp_path / "profile") as chromium,
        httpx.Client(base_url=engine.url, timeout=60) as http,
    ):
        posted = {"workflowName": NAME, "stepInvokeUrl": "http://127.0.0.1:9/x", "retry": LATER,
                  "idempotencyKey": NAME}  # fmt: skip
        answer = http.post("/shop", json=posted, headers={"Prefer": "respond-async"})
        run_id = answer.json()["runId"]
        with Client(engine.url) as admin:
            made = admin.admin.add_client("shop", ["http://127.0.0.1:9/"]).admin
        assert made is not None
        page = chromium.page(f"{engine.url}/ui/runs/{run_id}")
        page.until(lambda: "Log in" in page.text, "asked for a token")
        page.evaluate(f"document.getElementById('token').value = {made.secret!r}")
        page.evaluate("document.querySelector('button').click()")
        page.until(lambda: "● live" in page.text and "backing-off" in page.text, "live")
        page.evaluate("document.querySelector('summary').click()")
        http.headers["Authorization"] = f"Bearer {made.secret}"
        http.post(f"/api/v1/runs/{run_id}/actions", json={"action": "cancel"})
        page.until(lambda: "cancelled" in page.text, "fresh")
        assert not page.evaluate("document.querySelector('details').open")  # it was closed by hand
        assert NAME in page.text
        assert "bad" not in page.evaluate("document.title").partition("<")[0]
        assert page.evaluate("document.cookie") == ""
        assert page.complaints == []
        page.call("Page.navigate", url=f"{engine.url}/ui/runs?q=is:cancelled")
        page.until(lambda: "cancelled" in page.text, "runs")
        page.evaluate("document.querySelector('header nav a').click()")
        page.until(lambda: "needs a person" in page.text, "home")
        assert page.complaints == []
