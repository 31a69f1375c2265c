"""What comes back from the file is what was written, in the order that was asked for."""

from __future__ import annotations

import sqlite3
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, get_args

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from engine.core.events import PayloadDiffered
from engine.core.machine import Change
from engine.core.model import (
    DelayBy,
    PauseReason,
    Repair,
    Run,
    Step,
    StepSpec,
    StepState,
    child_id,
    rebuild,
)
from engine.core.retry import OnExhausted, RetryPolicy
from engine.ports.store import Body, Due, Stored, Write
from tests.store.support import answered, change_file, new_run, rows, started, store_at, the_run
from tests.world import payload_of

TIMES = st.integers(0, 2**53)
COUNTS = st.integers(0, 10_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
POLICIES = st.builds(
    RetryPolicy,
    count=st.integers(0, 1_000),
    back_off_ms=st.integers(0, 86_400_000),
    factor=st.floats(1, 1_000),
    max_back_off_ms=st.integers(0, 86_400_000),
    jitter=st.floats(0, 1),
    max_elapsed_ms=st.none() | st.integers(1, 10**9),
    stop_on=st.lists(st.integers(100, 599), max_size=5).map(tuple),
    on_exhausted=st.none() | st.sampled_from(OnExhausted),
)
KEYS = st.lists(PRINTABLE, min_size=1, max_size=6, unique=True)
REPAIRS = st.builds(
    Repair,
    generation=COUNTS,
    act=TEXT,
    at=TIMES,
    actor=TEXT,
    reason=TEXT,
    key=st.none() | PRINTABLE,
    digest=st.binary(min_size=32, max_size=32),
    was_status=st.none() | COUNTS,
    was_error=st.none() | TEXT,
    was_excerpt=st.none() | TEXT,
)
FIRST = Due(-1, "", "")
T = TypeVar("T", bound=Struct)


VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: COUNTS,
    str: TEXT,
    bytes: st.binary(min_size=32, max_size=32),
    bool: st.booleans(),
    RetryPolicy: POLICIES,
    type(None): st.none(),
} | {words: st.sampled_from(words) for words in (StepState, DelayBy, PauseReason)}


def anything(draw: st.DrawFn, kind: type[T], **given: Any) -> T:
    """A record of which whatever is not given is drawn by its type: so what is added to it must
    come back, too."""
    rest = {it.name: it.type for it in fields(kind) if it.name not in given}
    drawn = {
        name: draw(st.one_of(*(VALUES[each] for each in get_args(it) or (it,))))
        for name, it in rest.items()
    }
    return kind(**drawn, **given)


@st.composite
def steps(draw: st.DrawFn, run_id: str, key: str, above: list[Step]) -> Step:
    """Any step a run could hold, and many that none would: the store has no opinion."""
    spec = anything(draw, StepSpec, key=key, url=f"http://app:9000/{len(above)}")
    parent = draw(st.sampled_from(above)) if above else None
    state = draw(st.sampled_from(StepState))
    return anything(
        draw,
        Step,
        id=run_id if parent is None else child_id(run_id, spec.identity),
        run_id=run_id,
        parent_id=None if parent is None else parent.id,
        ordinal=len(above),
        depth=0 if parent is None else parent.depth + 1,
        spec=spec,
        state=state,
        repairs=tuple(draw(st.lists(REPAIRS, max_size=2))),
        due_at=draw(TIMES if state is StepState.BACKING_OFF else st.none() | TIMES),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A run with up to six steps, indexes in place."""
    run = Run(
        id="01K",
        client=draw(PRINTABLE),
        submitted_at=draw(TIMES),
        rev=draw(COUNTS),
        progress=draw(COUNTS),
        shown=draw(st.sampled_from(StepState)),
        dismissed=draw(st.booleans()),
    )
    above: list[Step] = []
    for key in draw(KEYS):
        above.append(draw(steps(run.id, key, above)))
    run.steps = {step.id: step for step in above}
    return rebuild(run)


@pytest.mark.slow
@settings(max_examples=60)
@given(run=runs())
def test_a_run_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, run: Run) -> None:
    """Every field of every step survives, and the indexes are those of the run in memory."""
    wanted = deepcopy(run)
    path = tmp_path_factory.mktemp("round") / "a.db"

    async def there_and_back() -> Run | None:
        async with store_at(path, synchronous="OFF") as store:
            change = Change(run, touched=dict(run.steps))
            change.events.append(PayloadDiffered(1, run.id, b"f"))
            await store.write(Write(change)).wait()
            return the_run((await store.load_runs([run.id], 0))[0])

    found = trio.run(there_and_back)
    assert found is not None
    assert list(found.steps) == list(wanted.steps)
    for had, has in zip(wanted.steps.values(), found.steps.values(), strict=True):
        for name in StepSpec.__struct_fields__:
            assert getattr(has.spec, name) == getattr(had.spec, name), f"StepSpec.{name}"
    for name in Run.__struct_fields__:
        assert getattr(found, name) == getattr(wanted, name), name


async def test_what_is_not_there(path: Path) -> None:
    """An unknown run, key or body is None, not an error."""
    async with store_at(path) as store:
        assert await store.load_runs(["R"], 0) == []
        assert store.find_run("shop", "w", "k") is None
        assert await store.body("R", 1, answer=True) is None


async def test_a_run_is_found_by_all_of_its_identity(path: Path) -> None:
    """Client, workflow and key name a run together; none of them alone."""
    async with store_at(path) as store:
        await store.write(new_run("k")[1]).wait()
        assert store.find_run("shop", "w", "k") == "Rk"
        for other in (("x", "w", "k"), ("shop", "x", "k"), ("shop", "w", "x")):
            assert store.find_run(*other) is None


async def test_bodies_are_kept_byte_for_byte(path: Path) -> None:
    """Payloads by generation, answers by attempt; a cut one knows its full size, and a large one
    is found among other large ones of its commit."""
    async with store_at(path) as store:
        wanted = {}
        for key, data in (("a", b"\x00\xff"), ("b", b"b" * 5_000), ("c", b""), ("d", b"d" * 9_999)):
            run, write = new_run(key)
            payload = Body(run.id, 1, data * 2)
            store.write(Write(write.change, (payload,)))
            store.write(started(run, 1))
            cut = Body(run.id, 1, data, "text/plain; charset=x", answer=True, size=99_999)
            receipt = store.write(Write(answered(run, 2).change, (cut,)))
            wanted[run.id] = (payload.data, cut)
        await receipt.wait()
        assert store.writer.commits == 1
        for run_id, (data, answer) in wanted.items():
            assert await payload_of(store, run_id) == data
            assert await store.body(run_id, 1, answer=True) == answer
            assert await store.body(run_id, 2, answer=False) is None
            assert await store.body(run_id, 2, answer=True) is None


async def test_due_steps_come_in_order_and_page_by_page(path: Path) -> None:
    """Pages by (time, id) reach every due step once; what is later, ended or waits is not there."""
    async with store_at(path) as store:
        for number in range(10):
            await store.write(new_run(f"{number:02}")[1]).wait()
        await store.writer.wait_rows()
        times = {0: "0", 1: "50", 2: "20", 3: "20", 4: "NULL", 5: "20", 6: "51", 7: "0", 8: "49"}
        for number, wake_at in {**times, 9: "NULL"}.items():
            change_file(path, f"UPDATE step SET wake_at = {wake_at} WHERE id = 'R{number:02}'")
        pages, after = [], FIRST
        while page := await store.due(after, 50, 3):
            pages.append([(due.wake_at, due.run_id) for due in page])
            after = page[-1]
        assert pages == [
            [(0, "R00"), (0, "R07"), (20, "R02")],
            [(20, "R03"), (20, "R05"), (49, "R08")],
            [(50, "R01")],
        ]
        assert [due.step_id for due in await store.due(Due(0, "~", ""), 20, 9)] == [
            "R02",
            "R03",
            "R05",
        ]


async def test_open_steps_are_due_and_ended_ones_are_not(path: Path) -> None:
    """A step that is pending or running at a crash is looked at first at the next start."""
    async with store_at(path) as store:
        run, write = new_run("k")
        store.write(write)
        await store.writer.wait_rows(run.id)
        assert await store.due(FIRST, 0, 9) == [Due(0, run.id, run.id)]
        store.write(started(run, 1))
        await store.writer.wait_rows(run.id)
        assert await store.due(FIRST, 0, 9) == [Due(0, run.id, run.id)]
        assert rows(path, "SELECT wake_at FROM step") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM run", "CREATE TABLE x (y)", "PRAGMA user_version = 7", "BEGIN IMMEDIATE"],
)
async def test_readers_cannot_write(path: Path, statement: str) -> None:
    """A reading connection refuses what would change the file, or hold up the writer."""
    async with store_at(path) as store:
        store.write(new_run("k")[1])
        await store.writer.wait_rows()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await store.readers.read(lambda db: db.execute(statement))
    assert rows(path, "SELECT key FROM run") == [("k",)]


async def test_readers_see_nothing_uncommitted(path: Path) -> None:
    """Durable before visible, also for those who only look."""
    async with store_at(path) as store:
        store._connection.execute("BEGIN IMMEDIATE")
        store._connection.execute("INSERT INTO tally VALUES ('pending', 1)")
        count = await store.readers.read(lambda db: db.execute("SELECT * FROM tally").fetchall())
        store._connection.execute("ROLLBACK")
    assert count == []


@pytest.mark.parametrize(
    ("payload", "until", "comes"),
    [
        (b'{"small": 1}', 5_000, True),
        (b'{"small": 1}', 500, False),
        (b'"%b"' % (b"x" * 5_000), 5_000, False),
    ],
    ids=["small and due", "not due yet", "large"],
)
async def test_payloads_come_with_runs_that_are_called_before_long(
    path: Path, payload: bytes, until: int, comes: bool
) -> None:
    """The small ones: their calls need no look of their own. Others are read when they are due."""
    async with store_at(path) as store:
        for key in "abc":
            run, write = new_run(key)
            store.write(Write(write.change, (Body(run.id, 1, payload),)))
            store.write(started(run, 1))
            await store.write(answered(run, 2, 500)).wait()  # due 1 to 1.1 s later
        loaded = await store.load_runs(["Ra", "Rb", "Rc"], until)
        assert [the_run(each).id for each in loaded] == ["Ra", "Rb", "Rc"]
        expected = [{the_run(each).id: payload} if comes else {} for each in loaded]
        assert [isinstance(each, Stored) and each.payloads for each in loaded] == expected
        assert await payload_of(store, "Rb") == payload
