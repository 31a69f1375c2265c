"""The description of the interface against the recording of it: whatever was answered is told of
there, with its status, its kind, its headers and, of a problem, its type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from engine.core.errors import Problem
from engine.core.model import StepState
from engine.front.openapi.document import document
from engine.wire.routes import EVENTS, ROUTES, Route
from tests.contract import recording
from tests.reference_pages import OPENAPI, openapi_page

Json = dict[str, Any]
DOCUMENT: Json = document("0")
SAID_ELSEWHERE = {
    "content-type", "content-length", "<usual>", "connection", "Connection", "Transfer-Encoding",
}  # fmt: skip
"""What is HTTP's, or the content's."""
UNTRIED = {Problem.OUTCOME_EXPIRED, Problem.RATE_LIMITED, Problem.TOO_MANY_RUNS}


def answers() -> Iterator[tuple[Route[Any], Json]]:
    """All that are recorded, with the route that gave them."""
    like = [(re.compile(re.sub(r"\{\w+\}", "[^/?]+", it.path) + r"/?(\?.*)?"), it) for it in ROUTES]
    for name, scene in recording.read().items():
        for told in scene if name != recording.COMMANDS else ():
            if "ask" in told and "status" in told:
                method, target = told["ask"].split(" ", 1)
                of = [it for pattern, it in like if pattern.fullmatch(target)]
                if of and of[0].method == method:
                    yield of[0], told


def described(route: Route[Any], status: str) -> Json | None:
    """The answer as the description has it."""
    found: Json = DOCUMENT["paths"][route.path][route.method.lower()]["responses"].get(status)
    if found is not None and "$ref" in found:
        return resolved(found)
    return found


def resolved(reference: Json) -> Json:
    found: Any = DOCUMENT
    for name in reference["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def faults(route: Route[Any], told: Json) -> Iterator[str]:
    """What of an answer is not described."""
    found = described(route, told["status"])
    if found is None:
        yield "status"
        return
    headers = [it.split(": ", 1) for it in told["headers"]]
    kinds = [it[1].partition(";")[0] for it in headers if it[0] == "content-type"]
    known = {it.partition(";")[0]: content for it, content in found["content"].items()}
    if kinds and kinds[0] not in known:
        yield f"content {kinds[0]}"
    elif kinds == ["application/problem+json"] and isinstance(told.get("answer"), dict):
        types = known[kinds[0]]["schema"]["properties"]["type"]["enum"]
        if told["answer"]["type"] not in types:
            yield told["answer"]["type"]
    names = {it.lower() for it in found.get("headers", {})}
    for name in {it[0] for it in headers} - SAID_ELSEWHERE:
        if name.lower() not in names:
            yield f"header {name}"


def test_whatever_is_answered_is_described() -> None:
    """Every answer of the recording, which has those of every route and of every problem."""
    tried = 0
    for route, told in answers():
        assert [*faults(route, told)] == [], (told["ask"], told["status"], told.get("answer"))
        tried += 1
    assert tried > 500


def test_an_answer_that_is_not_described_would_be_found() -> None:
    """Another status, another kind, another type, another header."""
    route, told = next(it for it in answers() if it[1]["status"] == "404")
    for wrong in (
        told | {"status": "418"},
        told | {"headers": ["content-type: text/html"]},
        told | {"answer": {"type": "/problems/draining"}},
        told | {"headers": [*told["headers"], "x-new: 1"]},
    ):
        assert [*faults(route, wrong)] != []


def test_every_type_of_a_problem_is_described() -> None:
    """Of some route; `method-not-allowed` is an answer to what no route takes."""
    text = json.dumps(DOCUMENT["components"]["responses"])
    told = {Problem(it) for it in re.findall(r'"/problems/([a-z-]+)"', text)}
    assert told == {*Problem} - {Problem.METHOD_NOT_ALLOWED}


@pytest.mark.parametrize("route", ROUTES, ids=lambda it: f"{it.method}-{it.path}")
def test_every_route_is_described_whole(route: Route[Any]) -> None:
    """A route that is added comes by itself: with a summary, its names, its query, its body, who
    may ask, and what is answered; each told in words or by a type."""
    told = DOCUMENT["paths"][route.path][route.method.lower()]
    assert told["summary"].endswith(".")
    given = {it["name"]: it for it in told.get("parameters", ())}
    assert {*re.findall(r"\{(\w+)\}", route.path), *route.queries} <= {*given}
    assert ("Atomic-Actor" in given) == (bool(route.act) or route is EVENTS)  # who acts, or listens
    assert all(it["description"] and it["schema"] for it in given.values())
    assert ("requestBody" in told) == (route.method == "POST")
    assert ("security" in told) == (route.role is not None)
    assert ("401" in told["responses"]) == (route.role is not None)
    for status, answer in told["responses"].items():
        answer = resolved(answer) if "$ref" in answer else answer
        assert answer["description"]
        if status in ("429", "503"):
            assert "Retry-After" in answer["headers"]


def test_every_reference_leads_somewhere_and_each_type_is_used() -> None:
    """No name without its type, no type without its use."""
    text = json.dumps(DOCUMENT)
    named = {*re.findall(r'"#/components/(\w+/[\w.-]+)"', text)}
    parts = DOCUMENT["components"]
    there = {f"{part}/{name}" for part in ("schemas", "responses") for name in parts[part]}
    assert named == there


def test_the_file_for_readers_is_the_description() -> None:
    """`just pages` writes it."""
    assert OPENAPI.read_text() == openapi_page()


def test_what_a_list_of_states_may_be_is_what_is_taken() -> None:
    """An empty word between commas is taken, and says nothing: found by schemathesis."""
    given = {it["name"]: it for it in DOCUMENT["paths"]["/api/v1/runs"]["get"]["parameters"]}
    assert given["status"]["schema"]["items"]["enum"] == [*StepState, ""]
