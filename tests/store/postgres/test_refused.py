"""Which servers are refused, in words for people; and what one is told of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from engine.ports.store import StoreError
from engine.store.postgres.follow import BYTES, TEXTS
from engine.store.postgres.store import open_postgres
from engine.store.tables.writing import COLUMNS
from tests.postgres import Postgres
from tests.store.contract.adapters import told
from tests.store.contract.on_server import OnServer
from tests.store.support import new_run


async def opened(url: str, wait_s: float = 0.0) -> None:
    """Open and close a store."""
    async with open_postgres(url, "it", started_at=0, wait_s=wait_s):
        pass


@contextmanager
def setting(server: Postgres, name: str, value: str) -> Iterator[None]:
    """For a while, of the whole server."""
    try:
        server.sql(f"ALTER SYSTEM SET {name} = {value}")
        server.sql("SELECT pg_reload_conf()")
        yield
    finally:
        server.sql(f"ALTER SYSTEM RESET {name}")
        server.sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
async def test_a_server_that_does_not_sync_is_refused(postgres: Postgres, name: str) -> None:
    """What it says is recorded may be gone with the next power cut."""
    url = postgres.database()
    with setting(postgres, name, "off"):
        with pytest.raises(StoreError, match=rf"cannot be used durably: .* {name} = off"):
            await opened(url)
    await opened(url)


@pytest.mark.parametrize(
    ("was", "becomes", "why"),
    [
        ("@/t", "@/no_t", "does not exist"),
        ("atomic@", "ada:s3cret@", 'role "ada" does not exist'),
        ("host=", "host=/nowhere", "No such file or directory"),
    ],
)
async def test_a_server_that_cannot_be_asked_is_named(
    postgres: Postgres, was: str, becomes: str, why: str
) -> None:
    """With what it says, and without the password."""
    url = postgres.database()
    with pytest.raises(StoreError, match=f"the store cannot be opened.*{why}") as refused:
        await opened(url.replace(was, becomes))
    assert "s3cret" not in str(refused.value)
    assert "postgresql://" in str(refused.value)


async def test_a_start_waits_for_its_server(postgres: Postgres) -> None:
    """As long as it is set: both may be started at once."""
    shared = OnServer(postgres)
    postgres.stop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opened, shared.url, 30.0)
        await trio.sleep(0.1)
        postgres.start()
    async with shared.life() as store:
        await store.write(new_run("a")[1]).wait()
        assert len(await told(store)) == 2


async def test_what_durability_rests_on_is_told(postgres: Postgres) -> None:
    """And where the store is, without who may open it."""
    shared = OnServer(postgres)
    async with shared.life() as store:
        found = store.durability()  # type: ignore[attr-defined]
        assert found["postgresql"].startswith("18")
        assert (found["fsync"], found["synchronous_standby_names"]) == ("on", "")
        assert store.place.startswith(f"postgresql://atomic@/{shared.name}")  # type: ignore[attr-defined]


async def test_rows_travel_as_what_their_columns_are(postgres: Postgres) -> None:
    """Each column that rows are written to is text, bytes or a number, and told as such."""
    shared = OnServer(postgres)
    await opened(shared.url)
    kinds = {"text": TEXTS, "bytea": BYTES}
    for table in ("run", "step", "attempt", "outcome", "body", "tally"):
        listed = shared.sql(
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_name = '{table}'"
        )
        found = dict(line.split("|") for line in listed.splitlines())
        for column in COLUMNS[table]:
            told_as = [kind for kind, names in kinds.items() if column in names] or ["bigint"]
            assert told_as == [found[column]], (table, column)
