"""The pages of the problem types: plain HTML, one for each, and their index."""

from __future__ import annotations

from html import escape

from engine.core.errors import Problem
from engine.front.server.reply import Reply
from engine.front.show.replies import problem_reply
from engine.wire import PROBLEMS

_HTML = ("content-type", "text/html; charset=utf-8")


def _page(title: str, body: str) -> Reply:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1>{body}</html>"
    )
    return Reply(200, (_HTML,), text.encode())


def problem_page(name: str) -> Reply:
    """The page of one type, or 404."""
    try:
        kind = Problem(name)
    except ValueError:
        return problem_reply(Problem.NOT_FOUND, f"There is no problem type {name[:64]!r}.")
    it = PROBLEMS[kind]
    source = {"request": "the request", "workflow": "the workflow", "engine": "the engine"}
    return _page(
        it.title,
        f"<p>{escape(it.page)}</p><dl><dt>Type</dt><dd><code>/problems/{kind}</code></dd>"
        f"<dt>Status</dt><dd>{it.status}</dd>"
        f"<dt>Where the cause lies</dt><dd>{source[it.source]}</dd></dl>"
        '<p><a href="/problems/">All problem types</a></p>',
    )


def problem_index() -> Reply:
    """All types."""
    rows = "".join(
        f'<tr><td>{it.status}</td><td><a href="/problems/{kind}">{kind}</a></td>'
        f"<td>{escape(it.title)}</td></tr>"
        for kind, it in sorted(PROBLEMS.items(), key=lambda pair: (pair[1].status, pair[0]))
    )
    return _page("Problem types", f"<table>{rows}</table>")
