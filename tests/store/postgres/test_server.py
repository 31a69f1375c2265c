"""The tests' own server."""

from __future__ import annotations

import signal

from tests.postgres import Postgres


def test_it_is_up_and_nobody_finds_it(postgres: Postgres) -> None:
    """It has no port, and syncs as one of people's does."""
    shown = "SELECT current_setting('listen_addresses'), current_setting('fsync')"
    assert postgres.sql(shown) == "|on"
    assert postgres.sql("SELECT 7 AS it UNION ALL SELECT 8 ORDER BY it") == "7\n8"


def test_databases_are_apart_and_outlive_a_crash(postgres: Postgres) -> None:
    """Each test has its own; what was committed is there when the server is back."""
    one, other = postgres.database(), postgres.database()
    assert one != other
    name = one.partition("@/")[2].partition("?")[0]
    postgres.sql("CREATE TABLE it (n int); INSERT INTO it VALUES (5)", name)
    postgres.restart(signal.SIGQUIT)
    assert postgres.sql("SELECT n FROM it", name) == "5"
