"""The engine's pages, by the command: one as a file, and the link to all."""

from __future__ import annotations

import httpx
import pytest

from engine.wire import Problem
from tests.client.fake_engine import Atomic, answer, refusal


def test_a_run_as_a_page(atomic: Atomic):
    """As the engine made it, byte for byte; it goes with no other way to show a run."""
    page = "<!doctype html>ä\r\n".encode()
    made = httpx.Response(200, content=page, headers={"Content-Type": "text/html"})
    result = atomic("show", "01A", "--html", answers=[made])
    assert result.stdout_bytes == page
    for wrong in (("--html", "--json"), ("--html", "--attempts"), ("--bodies",)):
        assert atomic("show", "01A", *wrong).exit_code == 2


def test_no_page_goes_to_a_terminal(atomic: Atomic, monkeypatch: pytest.MonkeyPatch):
    """It is for a file; and whatever answered may be no engine."""
    monkeypatch.setattr("engine.cli.look.to_terminal", lambda: True)
    refused = atomic("show", "01A", "--html")
    assert (refused.exit_code, "> run.html" in refused.stderr) == (2, True)


def test_the_link_to_the_pages(atomic: Atomic):
    """As the engine knows people to reach it, else as it was asked itself."""
    path = "/ui/login?code=abc"
    shown = atomic("ui", "--engine", "http://e:1/", answers=[answer({"path": path, "url": None})])
    assert shown.output == f"http://e:1{path}\n"
    known = {"path": path, "url": f"https://ops/atomic{path}"}
    assert atomic("ui", answers=[answer(known)]).output == f"https://ops/atomic{path}\n"
    refused = refusal(Problem.NOT_FOUND, "Nothing is at this address.")
    assert "serves no pages" in atomic("ui", answers=[refused]).output
