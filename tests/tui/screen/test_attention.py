"""The terminal's title and bell."""

from __future__ import annotations

from tests.tui.on_screen import World
from tui.data.inputs import LinkMoved, LinkState
from tui.screen.attention import Attention


def test_the_title_says_what_is_stuck() -> None:
    """Counts of what needs a person and of what backs off; said again only when it differs."""
    world = World()
    attention = Attention(world.store)
    world.live(stuckCount=512, counts={"backing-off": 1_421})
    assert attention.new_title() == "\x1b]2;✗512 ↻1.4k atomic\x07"
    assert attention.new_title() is None
    world.live(stuckCount=0)
    assert attention.new_title() == "\x1b]2;atomic\x07"
    world.clock.pass_s(60)
    assert attention.new_title() == "\x1b]2;stale atomic\x07"


def test_the_bell_rings_once_for_each_beginning() -> None:
    """When the first run gets stuck, and when the engine goes; not while either lasts."""
    world = World()
    attention = Attention(world.store)
    heard = []
    for stuck in (0, 0, 3, 5, 0, 1):
        world.live(stuckCount=stuck)
        heard.append(attention.rings())
    assert heard == [False, False, True, False, False, True]
    world.store.apply(LinkMoved(LinkState.LOST, "gone", 1, 1.0))
    assert attention.rings()
    world.store.apply(LinkMoved(LinkState.LOST, "gone", 2, 1.0))
    assert not attention.rings()
