"""What the engine says of itself is so: schemathesis makes requests of it, right and wrong, and
looks at every answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from engine.wire.routes import ROUTES
from tests.e2e.sse import event_stream
from tests.openapi.trial import ENDS_OPENNESS, a_trial, ask_all
from tests.reference_pages import OPENAPI

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_it_is_openapi() -> None:
    """By the schema of OpenAPI 3.1 itself."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = json.loads(OPENAPI.read_text())
    OpenAPIV31SpecValidator(document).validate()
    with pytest.raises(Exception, match="responses"):
        OpenAPIV31SpecValidator(document | {"paths": {"/x": {"get": {"responses": 1}}}}).validate()


@pytest.mark.parametrize("has_tokens", [False, True], ids=["open", "tokens"])
async def test_schemathesis_finds_nothing(has_tokens: bool, tmp_path: Path) -> None:
    """With all of its checks, on every route. What is excepted: `schemathesis.toml`, `hooks.py`."""
    async with a_trial(tmp_path, has_tokens=has_tokens) as trial:
        code, text = await ask_all(trial, "--generation-deterministic", seed=1, examples=3)
    assert code == 0, text
    asked = len(ROUTES) - 1 - (0 if has_tokens else len(ENDS_OPENNESS))  # not of where it came from
    assert f"Tested: {asked}\n" in text, text
    (passed,) = re.findall(r"(\d+) generated, (\d+) passed", text)
    assert int(passed[0]) == int(passed[1]) > 1_000


async def test_what_is_not_so_would_be_found(tmp_path: Path) -> None:
    """A route whose 404 is not told of, and one whose row has another type."""
    async with a_trial(tmp_path, has_tokens=False) as trial:
        document = httpx.get(f"{trial.engine.url}/openapi.json").json()
        paths, schemas = document["paths"], document["components"]["schemas"]
        del paths["/api/v1/bulk/{id}"]["get"]["responses"]["404"]
        schemas["CauseList"]["properties"]["runs"]["type"] = "string"
        file = tmp_path / "wrong.json"
        file.write_text(json.dumps(document))
        code, text = await ask_all(
            trial, "--include-operation-id", "job", "--include-operation-id", "causes", "--url",
            trial.engine.url, seed=1, examples=3, document=str(file),
        )  # fmt: skip
    assert code == 1
    assert "ST102 Undocumented HTTP status code: 1" in text or "status code" in text, text
    assert "Response violates schema" in text


async def test_events_are_what_is_said_of_them(tmp_path: Path) -> None:
    """Schemathesis reads two events; here are those of a run, each by the type that is told."""
    import jsonschema

    document = json.loads(OPENAPI.read_text())
    parts = document["components"]
    content = document["paths"]["/api/v1/events"]["get"]["responses"]["200"]["content"]
    of = {
        it["if"]["properties"]["event"]["const"]: it["then"]["properties"]["data"]["contentSchema"]
        for it in content["text/event-stream"]["schema"]["allOf"]
    }
    told: set[str] = set()
    async with a_trial(tmp_path, has_tokens=False) as trial:
        sequence = httpx.get(f"{trial.engine.url}/api/v1/status").json()["sequence"]
        for begin, until in ((f"{sequence.rpartition('-')[0]}-0", "counts"), ("none", "counts")):
            async with event_stream(trial.engine, begin) as stream:
                name = ""
                while name != until:
                    event = await stream.next()
                    name = event.name
                    jsonschema.validate(event.data, of[name] | {"components": parts})
                    told.add(name)
    assert told == {*of}
