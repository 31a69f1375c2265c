"""The engine's pages, by the command: one as a file, and the link to all."""

from __future__ import annotations

import httpx
import pytest

from engine.wire import Problem
from tests.client.fake_engine import RUN, Atomic, answer, refusal


def test_a_run_as_a_page(atomic: Atomic):
    """As the engine made it, byte for byte; it goes with no other way to show a run."""
    page = "<!doctype html>ä\r\n".encode()
    made = httpx.Response(200, content=page, headers={"Content-Type": "text/html"})
    result = atomic("show", "01A", "--html", answers=[made])
    assert result.stdout_bytes == page
    for wrong in (("--html", "--json"), ("--html", "--attempts"), ("--bodies",)):
        assert atomic("show", "01A", *wrong).exit_code == 2


def test_no_page_is_poured_over_a_terminal(atomic: Atomic, monkeypatch: pytest.MonkeyPatch):
    """It says what to do instead, and asks the engine for nothing."""
    monkeypatch.setattr("engine.cli.look.to_terminal", lambda: True)
    result = atomic("show", "01A", "--html", answers=[AssertionError("it was asked")])
    assert (result.exit_code, "add `> run.html`" in result.output) == (2, True)


def test_an_engine_without_pages_says_so(atomic: Atomic):
    """Not that there is no such run, if there is; of one that there is not it says that."""
    nothing = refusal(Problem.NOT_FOUND, "Nothing is at this address.")
    there = answer({"run": RUN, "steps": [], "serverTime": "2026-11-23T12:00:00.000Z"})
    assert "serves no pages" in atomic("show", "01A", "--html", answers=[nothing, there]).output
    unknown = refusal(Problem.NOT_FOUND, "There is no run 01A.")
    told = atomic("show", "01A", "--html", answers=[unknown, unknown]).output
    assert "There is no run 01A" in told


def test_the_link_to_the_pages(atomic: Atomic):
    """As the engine knows people to reach it, else as it was asked itself."""
    path = "/ui/login?code=abc"
    shown = atomic("ui", "--engine", "http://e:1/", answers=[answer({"path": path, "url": None})])
    assert shown.output == f"http://e:1{path}\n"
    known = {"path": path, "url": f"https://ops/atomic{path}"}
    assert atomic("ui", answers=[answer(known)]).output == f"https://ops/atomic{path}\n"
    refused = refusal(Problem.NOT_FOUND, "Nothing is at this address.")
    assert "serves no pages" in atomic("ui", answers=[refused]).output
