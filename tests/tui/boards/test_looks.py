"""How states look, on any terminal."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len

from tui.boards.looks import LOOKS, SHAPES, STYLES, glyph, in_ascii
from tui.data.model import State

EMOJI_BLOCKS = ((0x1F000, 0x1FAFF), (0x2600, 0x26FF))
EMOJI_ELSEWHERE = {
    0xA9, 0xAE, 0x203C, 0x2049, 0x2122, 0x2139, 0x2194, 0x2195, 0x2196, 0x2197, 0x2198, 0x2199,
    0x21A9, 0x21AA, 0x231A, 0x231B, 0x2328, 0x23CF, 0x23E9, 0x23EA, 0x23EB, 0x23EC, 0x23ED,
    0x23EE, 0x23EF, 0x23F0, 0x23F1, 0x23F2, 0x23F3, 0x23F8, 0x23F9, 0x23FA, 0x24C2, 0x25AA,
    0x25AB, 0x25B6, 0x25C0, 0x25FB, 0x25FC, 0x25FD, 0x25FE, 0x2702, 0x2705, 0x2708, 0x2709,
    0x270A, 0x270B, 0x270C, 0x270D, 0x270F, 0x2712, 0x2714, 0x2716, 0x271D, 0x2721, 0x2728,
    0x2733, 0x2734, 0x2744, 0x2747, 0x274C, 0x274E, 0x2753, 0x2754, 0x2755, 0x2757, 0x2763,
    0x2764, 0x2795, 0x2796, 0x2797, 0x27A1, 0x27B0, 0x2934, 0x2935, 0x2B05, 0x2B06, 0x2B07,
    0x2B1B, 0x2B1C, 0x2B50, 0x2B55, 0x3030, 0x303D, 0x3297, 0x3299,
}  # fmt: skip


def is_emoji(character: str) -> bool:
    """Whether some terminals may draw it as a picture, in colour and two cells wide."""
    code = ord(character)
    return code in EMOJI_ELSEWHERE or any(a <= code <= b for a, b in EMOJI_BLOCKS)


def test_glyphs_of_states_are_one_cell_everywhere() -> None:
    """Neutral or narrow, no emoji, one cell by Rich's table: columns stand in tmux and in Tokyo."""
    for look in LOOKS.values():
        assert len(look.glyph) == 1
        assert unicodedata.east_asian_width(look.glyph) in ("N", "Na"), look
        assert not is_emoji(look.glyph), look
        assert cell_len(look.glyph) == 1


def test_shapes_are_one_cell_a_character() -> None:
    """And each has a likeness in ASCII."""
    for one in SHAPES:
        assert cell_len(one) == len(one)
        assert "?" not in in_ascii(one)
        assert not any(map(is_emoji, one))


def test_states_differ_without_colour() -> None:
    """Each has a glyph of its own, a word of its own, and an ASCII sign of its own."""
    assert set(LOOKS) == set(State)
    for of in (lambda look: look.glyph, lambda look: look.ascii, lambda look: look.meaning):
        assert len({of(look) for look in LOOKS.values()}) == len(State)
    assert len({str(state) for state in State}) == len(State)


def test_the_plain_set_is_ascii() -> None:
    """`--ascii` is for terminals that have nothing else."""
    assert all(look.ascii.isascii() and len(look.ascii) == 1 for look in LOOKS.values())
    assert in_ascii(glyph(State.FAILED)) == "X"
    assert glyph(State.FAILED) == "✗"


def test_in_ascii_keeps_every_width() -> None:
    """Our own signs by their likes, other people's as `?`: a line that fitted fits."""
    told = "✗ failed · in ≈7s — 日本 ×3 “so” …"
    plain = in_ascii(told)
    assert plain == 'X failed . in ~7s - ???? x3 "so" ~'
    assert cell_len(plain) == cell_len(told)
    assert in_ascii("plain") == "plain"
    assert in_ascii("e\u0301") == "e"
    for look in LOOKS.values():
        assert in_ascii(look.glyph) == look.ascii


def test_every_style_is_named_once() -> None:
    """The theme has each of them."""
    assert len(set(STYLES)) == len(STYLES)
    assert {look.style for look in LOOKS.values()} <= set(STYLES)
