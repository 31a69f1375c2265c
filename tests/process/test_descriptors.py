"""What the process's descriptors are enough for."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from engine.process import descriptors
from engine.process.config import Config

DEFAULT = Config()
NEEDED = 12_000 + 2 * 4_096 + descriptors.OWN


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """The process's own limits, put back at the end."""
    found = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, found)


def test_enough_changes_nothing() -> None:
    """The configured limits hold, to the last descriptor."""
    room = descriptors.within(DEFAULT, NEEDED)
    assert descriptors.needed(DEFAULT) == NEEDED
    assert (room.is_enough, room.config, room.beyond_max) == (True, DEFAULT, 64)
    assert room.hanging_max == 4_096


@pytest.mark.parametrize(
    ("connections", "in_flight", "hanging"),
    [(12_000, 8, 4_096), (12_000, 6_000, 6_000), (1_000, 8, 1_000), (1_000, 4_096, 1_000)],
)
def test_how_many_functions_may_wait(connections: int, in_flight: int, hanging: int) -> None:
    """As many as may be in flight, however few those are at least 4,096, and no more than have a
    connection to wait on."""
    config = Config(connections_max=connections, in_flight_max=in_flight)
    needed = descriptors.needed(config)
    assert descriptors.within(config, needed).hanging_max == hanging
    assert needed == connections + in_flight + hanging + descriptors.OWN


def test_one_less_is_not_enough() -> None:
    """It is said, with what is there, what is needed, and what to raise."""
    room = descriptors.within(DEFAULT, NEEDED - 1)
    assert not room.is_enough
    assert f"may open {NEEDED - 1} files and needs {NEEDED}" in room.hint
    assert "LimitNOFILE" in room.hint


def test_what_is_nearly_enough_is_not_warned_of() -> None:
    """20,000 in the place of 20,320, as a common machine has it: nobody has to do anything."""
    near, far = (descriptors.within(DEFAULT, has) for has in (20_000, 19_000))
    assert (near.is_enough, near.is_nearly_enough) == (False, True)
    assert (far.is_enough, far.is_nearly_enough) == (False, False)


@pytest.mark.parametrize("has", [*range(1, 300), 1_024, 4_096, NEEDED - 1])
def test_all_limits_together_fit(has: int) -> None:
    """Callers, calls and what the engine itself needs: less than there is, from 48 on."""
    room = descriptors.within(DEFAULT, has)
    config = room.config
    calls = config.in_flight_max + room.hanging_max
    taken = config.connections_max + calls + room.beyond_max
    assert room.hanging_max >= 1
    assert config.connections_max >= 1
    assert 1 <= config.in_flight_per_host_max <= config.in_flight_max
    assert room.beyond_max >= 1
    assert has < 64 or taken + descriptors.STORE <= has + 1


def test_far_too_few_stop_the_start() -> None:
    """One less than the least is refused in words; with the least it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "setrlimit", lambda *_: None)
        patch.setattr(resource, "getrlimit", lambda which: (descriptors.LEAST, descriptors.LEAST))
        assert descriptors.make_room(DEFAULT).has == descriptors.LEAST
        few = descriptors.LEAST - 1
        patch.setattr(resource, "getrlimit", lambda which: (few, few))
        with pytest.raises(descriptors.TooFewDescriptors, match=rf"may open {few} files.*48"):
            descriptors.make_room(DEFAULT)


def test_the_soft_limit_is_raised_as_far_as_it_goes(limits: tuple[int, int]) -> None:
    """Up to what is needed, never beyond the hard one, never lowered."""
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    assert descriptors.raise_limit(32) == 64
    assert descriptors.raise_limit(65) == 65
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (65, hard)
    assert descriptors.raise_limit(hard + 1) == hard


def test_a_system_that_says_unlimited_and_grants_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS does: what is asked for is refused, so as many are taken as it is known to grant."""
    granted = (256, resource.RLIM_INFINITY)

    def set_limit(which: int, limits: tuple[int, int]) -> None:
        if limits[0] > descriptors.OPEN_MAX:
            raise ValueError("not allowed to raise maximum limit")
        nonlocal granted
        granted = limits

    monkeypatch.setattr(resource, "getrlimit", lambda which: granted)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert descriptors.raise_limit(100) == 256
    assert descriptors.raise_limit(descriptors.OPEN_MAX + 1) == descriptors.OPEN_MAX
    assert granted == (descriptors.OPEN_MAX, resource.RLIM_INFINITY)
