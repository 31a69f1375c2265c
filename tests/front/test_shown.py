"""What people are shown of bodies and outcomes: not what the client hides."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from engine.core.access.token import Role
from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import Step, StepSpec, StepState
from engine.core.rules.post import reused
from engine.core.text.fingerprint import fingerprint
from engine.core.text.redaction import Redaction
from engine.front.access.who import EVERYBODY, Who
from engine.front.api import read
from engine.front.api.act import action as action_of
from engine.front.api.context import Front
from engine.front.api.submit import answer_submission
from engine.front.server.reply import Reply
from engine.front.show.digests import Digests
from engine.ports.caller import SMALL_BYTES_MAX
from engine.ports.store import Body, Larger
from engine.ports.views import AttemptRecord
from engine.process.budget import Parcel
from engine.process.config import Config
from engine.process.costly import CostlyWork
from engine.runs.open.callers import Recorded

CANARY = "cAnArY-9f"


def answer(value: object, **more: Any) -> Body:
    return Body("S", 1, json.dumps(value).encode(), answer=True, json=True, **more)


class Room:
    """Room that is taken and given back."""

    def __init__(self) -> None:
        self.taken = 0

    async def wait(self, *_: object, **__: object) -> Room:
        self.taken += 1
        return self

    def give_back(self) -> None:
        self.taken -= 1


class Desk:
    """A front with a step of the client `shop`, and what that hides."""

    def __init__(self, *rules: str, payload: object = None) -> None:
        self.payload = Body("S", 1, json.dumps(payload).encode())
        self.earlier: dict[int, Body] = {}
        """Payloads that another was set for, by their numbers."""
        self.room = Room()
        self.client: str | None = "shop"
        spec = StepSpec("w", "k", "http://a/", "http://a/", "s", b"")
        self.step = Step("S", "R", None, 0, 0, spec, 0, 0)
        redactions = {"shop": Redaction(rules)} if rules else {}
        stub = SimpleNamespace(
            registry=SimpleNamespace(redactions=_Redactions(redactions)),
            costly=CostlyWork(),
            views=SimpleNamespace(
                client_of=self.client_of,
                body=self.body,
                step=self.found,
                payload_number=self.payload_number,
            ),
            engine=SimpleNamespace(
                memory=SimpleNamespace(client_of=lambda run_id: None),
                budget=SimpleNamespace(replies=self.room),
            ),
        )
        self.front = cast(Front, stub)

    async def client_of(self, run_id: str) -> str | None:
        return self.client

    async def body(
        self, step_id: str, number: int, *, answer: bool, bytes_max: int = 1 << 30
    ) -> Body | Larger:
        assert not answer
        payload = self.earlier.get(number, self.payload)
        size = len(payload.data)
        return payload if size <= bytes_max else Larger(size)

    async def found(self, step_id: str) -> tuple[Step, list[AttemptRecord]]:
        """Its first attempt was of its first generation, its second of the third."""
        return self.step, [AttemptRecord("S", 1, 1, 0, 1), AttemptRecord("S", 2, 3, 0, 1)]

    async def payload_number(self, step_id: str, generation: int) -> int | None:
        kept = {*self.earlier, self.step.payload_generation}
        return max((number for number in kept if number <= generation), default=None)

    async def shown(self, body: Body) -> Any:
        """What of a body is shown, read as JSON."""
        return json.loads((await read.shown_body(self.front, self.step, body)).data)


class _Redactions(dict[str, Redaction]):
    def of(self, client: str) -> Redaction | None:
        return self.get(client)


@pytest.mark.parametrize("fill", [0, SMALL_BYTES_MAX])
async def test_an_answer_is_shown_without_what_its_payload_hides(fill: int) -> None:
    """At the place of the pointer, and wherever it quotes the payload, also a large one; the room
    for that is given back."""
    desk = Desk("/card", payload={"card": CANARY, "fill": "x" * fill})
    body = answer({"card": 1, "told": f"no {CANARY}", "fine": 2})
    assert await desk.shown(body) == {"card": "***", "told": "***", "fine": 2}
    assert desk.room.taken == 0
    found = await read.shown_body(desk.front, desk.step, desk.payload)
    assert json.loads(found.data)["card"] == "***"


async def test_an_earlier_answer_is_shown_without_what_its_own_payload_hides() -> None:
    """Also when another payload has been set since. Where that of then is not kept nothing is
    shown; an answer to today's is masked by today's."""
    desk = Desk("/card", payload={"card": "today"})
    desk.step.generation = desk.step.payload_generation = 3
    early = answer({"told": f"no {CANARY}", "other": "not today", "fine": 2})
    assert (await read.shown_body(desk.front, desk.step, early)).data == b'"***"'
    desk.earlier[1] = Body("S", 1, json.dumps({"card": CANARY}).encode())
    assert await desk.shown(early) == {"told": "***", "other": "not today", "fine": 2}
    late = replace(early, number=2)
    assert (await desk.shown(late))["other"] == "***"
    unknown = replace(early, number=9)
    assert (await read.shown_body(desk.front, desk.step, unknown)).data == b'"***"'


async def test_a_result_that_was_set_does_not_tell_what_is_hidden() -> None:
    """Whoever set it may have tried a thousand values in it: nothing of it is shown, whether one is
    right or not. Where the payload hides nothing it is shown as an answer is."""
    desk = Desk("/card", payload={"card": CANARY})
    for tried in (["wrong", CANARY], ["wrong", "wrong as well"]):
        was_set = replace(answer({"tried": tried}), number=-1)
        assert (await read.shown_body(desk.front, desk.step, was_set)).data == b'"***"'
    desk.payload = Body("S", 1, b'{"other": 1}')
    assert await desk.shown(replace(answer({"card": 1, "fine": 2}), number=-1)) == {
        "card": "***",
        "fine": 2,
    }


async def test_a_body_whose_run_has_gone_meanwhile_is_not_shown() -> None:
    """Whose rules hold for it nobody knows."""
    desk = Desk("/card", payload={"card": CANARY})
    desk.client = None
    with pytest.raises(Refused) as refused:
        await desk.shown(desk.payload)
    assert refused.value.problem is Problem.NOT_FOUND


async def test_of_a_large_body_that_expired_while_room_was_waited_for_that_is_said() -> None:
    """As of a small one; the room is given back."""
    desk = Desk(payload="x" * SMALL_BYTES_MAX)
    expired = Refused(Problem.OUTCOME_EXPIRED, "It has expired.")

    async def gone_or(run_id: str, unknown: Refused) -> Refused:
        return expired

    async def body(*args: object, bytes_max: int | None = None, **more: object) -> Larger | None:
        return None if bytes_max is None else Larger(SMALL_BYTES_MAX + 2)

    stub = cast(Any, desk.front)
    stub.engine.gone_or, stub.views.body = gone_or, body
    with pytest.raises(Refused) as refused:
        await read.payload(desk.front, EVERYBODY, "S", {}, None)
    assert refused.value is expired
    assert desk.room.taken == 0


async def test_of_who_hides_nothing_the_body_is_the_same_object() -> None:
    """And so is that in which nothing is to be hidden."""
    body = answer({"fine": 1})
    assert await read.shown_body(Desk().front, Desk().step, body) is body
    desk = Desk("/card", payload={})
    assert await read.shown_body(desk.front, desk.step, body) is body


async def test_an_outcome_is_shown_without_it() -> None:
    """Its body is masked and the rest stays."""
    desk = Desk("/card", payload={"card": CANARY})
    result = Recorded(desk.step, answer({"card": 1}), None, replayed=False)
    shown = await read.shown_outcome(desk.front, result)
    assert isinstance(shown, Recorded)
    assert shown.body is not None
    assert (shown.body.data, shown.step) == (b'{"card": "***"}', desk.step)


POST = {"workflowName": "w", "stepInvokeUrl": "http://a/", "idempotencyKey": "k"}


async def posted(desk: Desk, who: Who, result: Recorded | Refused) -> Reply:
    """The answer to a post of somebody, of which this comes."""
    stub = cast(Any, desk.front)
    stub.config, stub.digests = SimpleNamespace(json_depth_max=64), Digests(b"")
    stub.engine.is_full = stub.engine.note_reason = lambda *args, **more: None

    async def submit(*args: object) -> Recorded:
        if isinstance(result, Refused):
            raise result
        return result

    stub.engine.submit = submit
    return await answer_submission(desk.front, who, "shop", (), Parcel(json.dumps(POST).encode()))


@pytest.mark.parametrize("differs", [False, True])
@pytest.mark.parametrize("who", [*(Who("t", role) for role in Role), EVERYBODY])
async def test_who_posts_without_the_payload_is_shown_what_people_are(
    who: Who, differs: bool
) -> None:
    """But for an application, by its role, and where nobody has one; who has the payload may know
    the outcome."""
    desk = Desk("/card", payload={"card": CANARY})
    desk.step.state, body = StepState.COMPLETED, answer({"card": CANARY})
    reply = await posted(desk, who, Recorded(desk.step, body, None, True, differs))
    is_masked = differs and who != EVERYBODY and who.role is not Role.SUBMIT
    assert (CANARY.encode() not in reply.body) is is_masked
    assert (("atomic-redacted", "true") in reply.headers) is is_masked


async def test_the_refusal_of_another_payload_has_no_digest_of_the_recorded() -> None:
    """Neither of that nor of the posted; that they differ is told."""
    desk = Desk()
    spec = replace(desk.step.spec, fingerprint=fingerprint(b'"ours"'))
    desk.step.spec = spec
    refused = reused(desk.step, replace(spec, fingerprint=fingerprint(b"null")))
    reply = await posted(desk, EVERYBODY, refused)
    told = [json.loads(reply.body)[f"{which}Fingerprint"] for which in ("recorded", "posted")]
    plain = [fingerprint(text).hex() for text in (b'"ours"', b"null")]
    assert (reply.status, len({*told, *plain})) == (422, 4)
    assert all(len(bytes.fromhex(each)) == 32 for each in told)


REPAIRS: dict[str, dict[str, object]] = {
    "rerun": {"payload": {"card": "***", "n": 1}},
    "set-result": {"step": "S", "result": {"card": "***"}},
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("action", REPAIRS)
async def test_what_was_read_masked_is_not_given_back(action: str, dry_run: bool) -> None:
    """By its place; where nothing is hidden, and where asterisks are meant, it is taken."""

    async def done_with(desk: Desk, text: str) -> Refused:
        stub = cast(Any, desk.front)
        stub.config, stub.engine.draining = Config(), True

        async def act(*args: object) -> None:
            raise Refused(Problem.NOT_FOUND, "It was taken as far as the run.")

        stub.engine.act = act
        stub.engine.memory.live = {}
        with pytest.raises(Refused) as refused:
            await action_of(desk.front, EVERYBODY, "R", text.encode(), Actor("ada"), lambda: None)
        return refused.value

    asked = {"action": action, "reason": "why", "dryRun": dry_run, **REPAIRS[action]}
    refused = await done_with(Desk("/other"), json.dumps(asked))
    assert refused.problem is Problem.INVALID_REQUEST
    member = "payload" if action == "rerun" else "result"
    assert refused.members == {"member": member, "pointers": ["/card"]}
    assert f"`{member}` has *** in the place of a value: /card." in refused.detail
    for desk, text in (
        (Desk(), json.dumps(asked)),
        (Desk("/card"), json.dumps(asked).replace('"***"', r'"\u002a**"')),
        (Desk("/card"), json.dumps(asked).replace("***", "4111")),
    ):
        assert (await done_with(desk, text)).problem is Problem.NOT_FOUND
    text_result = {"action": action, "reason": "why", "step": "S", "contentType": "text/plain"}
    if action == "set-result":
        whole = json.dumps({**text_result, "result": "***"})
        assert (await done_with(Desk("/card"), whole)).members["pointers"] == [""]
        said = json.dumps({**text_result, "result": "***bold***"})
        assert (await done_with(Desk("/card"), said)).problem is Problem.NOT_FOUND


@pytest.mark.parametrize(("generation", "told"), [("1", "first"), ("3", "now"), ("2", None)])
async def test_a_generation_has_its_own_payload_or_none(generation: str, told: str | None) -> None:
    """Where the step was posted again that of before is not kept; today's is not shown for it."""
    desk = Desk(payload="now")
    desk.step.generation = desk.step.payload_generation = 3
    if told == "first":
        desk.earlier[1] = Body("S", 1, b'"first"')

    async def gone_or(run_id: str, unknown: Refused) -> Refused:
        return unknown

    cast(Any, desk.front).engine.gone_or = gone_or
    asked = read.payload(desk.front, EVERYBODY, "S", {"generation": generation}, None)
    if told is not None:
        assert json.loads((await asked).body) == told
        return
    with pytest.raises(Refused, match="generation 2 of the step") as refused:
        await asked
    assert refused.value.problem is Problem.NOT_FOUND
    assert "posted again for generation 3" in refused.value.detail


async def test_of_a_body_that_was_cut_the_full_size_is_told() -> None:
    """Else its size is that of what is shown."""
    desk = Desk("/card", payload={})
    found = await read.shown_body(desk.front, desk.step, answer({"card": 1}, size=99))
    assert found.size == 99
    assert (await read.shown_body(desk.front, desk.step, answer({"card": 1}))).size == -1


@pytest.mark.parametrize("role", list(Role))
def test_an_admin_may_ask_for_all_of_a_body(role: Role) -> None:
    """And nobody else, told in words; without tokens everybody may do everything."""
    who = Who("ada", role)
    assert not read.asks_whole({}, who)
    assert not read.asks_whole({"whole": "false"}, who)
    if role is Role.ADMIN:
        assert read.asks_whole({"whole": "true"}, who)
    else:
        with pytest.raises(Refused, match=f"'ada' has {role}") as refused:
            read.asks_whole({"whole": "true"}, who)
        assert refused.value.problem is Problem.FORBIDDEN
    assert read.asks_whole({"whole": "true"}, EVERYBODY)
    with pytest.raises(Refused, match="true or false") as refused:
        read.asks_whole({"whole": "yes"}, who)
    assert refused.value.problem is Problem.INVALID_REQUEST
