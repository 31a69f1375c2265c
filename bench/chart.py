"""The chart, as SVG: what a workflow costs against callers and against stored runs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from goals import Results

WIDTH, HEIGHT = 920, 400
PLOT_WIDTH, PLOT_HEIGHT, TOP = 330, 250, 50
COLOURS = {
    "atomic": ("Atomic", "#0b6e4f"), "atomic-httpx": ("Atomic, application on httpx", "#6fb98f"),
    "restate-calls": ("Restate", "#c8553d"), "restate-calls-uvloop": ("Restate, application on uvloop", "#e8a87c"),
    "dbos-sqlite": ("DBOS", "#3d5a98"), "floor": ("no durability, httpx", "#888888"),
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from `low` to `high`, over `length` pixels."""

    low: float
    high: float
    length: float

    def at(self, value: float) -> float:
        """Pixels from the axis's beginning."""
        low, high = math.log10(self.low), math.log10(self.high)
        return (math.log10(max(value, self.low)) - low) / (high - low) * self.length


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}">{text}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"'
            f' stroke-width="{width}"/>')  # fmt: skip


def _series(points: list[tuple[float, float]], colour: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _steps(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten inside the range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [n * 10.0**p for p in powers for n in (1, 2, 5) if low <= n * 10.0**p <= high]


def _plot(
    left: float, title: str, below: str, x_marks: dict[float, str],
    series: dict[str, list[tuple[float, float]]],
) -> list[str]:  # fmt: skip
    """One plot: marks of the horizontal axis by value, series by colour."""
    costs = [cost for points in series.values() for _, cost in points]
    if not costs or not x_marks:
        return []
    y = Axis(min(0.5, *costs) / 1.2, max(2.0, *costs) * 1.2, PLOT_HEIGHT)
    x = Axis(min(x_marks) / 1.3, max(x_marks) * 1.3, PLOT_WIDTH)
    out = [
        _text(left + PLOT_WIDTH / 2, TOP - 20, title, size=14),
        _text(left + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 38, below),
    ]
    for value in _steps(y.low, y.high):
        height = TOP + PLOT_HEIGHT - y.at(value)
        out += [
            _line(left, height, left + PLOT_WIDTH, height, "#dddddd"),
            _text(left - 8, height + 4, f"{value:g}", "end"),
        ]
    for value, text in x_marks.items():
        out.append(_text(left + x.at(value), TOP + PLOT_HEIGHT + 18, text))
    out.append(_line(left, TOP + PLOT_HEIGHT, left + PLOT_WIDTH, TOP + PLOT_HEIGHT, "#444444"))
    for colour, points in series.items():
        out += _series([(left + x.at(a), TOP + PLOT_HEIGHT - y.at(b)) for a, b in points], colour)
    return out


def _by_callers(results: Results) -> tuple[dict[float, str], dict[str, list[tuple[float, float]]]]:
    marks: dict[float, str] = {}
    series: dict[str, list[tuple[float, float]]] = {}
    for system, (_, colour) in COLOURS.items():
        for callers in sorted({each["c"] for each in results.of("speed", system=system)}):
            cost = results.value("speed", "cpu_s_per_1000.server", system=system, c=callers)
            if cost:
                marks[callers] = f"{callers:,}"
                series.setdefault(colour, []).append((callers, cost))
    return marks, series


def _by_stored(results: Results) -> tuple[dict[float, str], dict[str, list[tuple[float, float]]]]:
    stored = sorted({each["stored"] for each in results.of("stored")})
    nothing = min((runs for runs in stored if runs), default=1) / 10
    marks = {(runs or nothing): f"{runs:,}" for runs in stored}
    points = []
    for runs in stored:
        cost = results.value("stored", "cpu_s_per_1000.server", stored=runs)
        if cost:
            points.append((runs or nothing, cost))
    return marks, {COLOURS["atomic"][1]: points} if points else {}


def draw(results: Results) -> str:
    """The whole picture."""
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#222222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    title = "CPU of the server for each workflow, ms"
    out += _plot(70, title, "callers at once", *_by_callers(results))
    out += _plot(540, f"{title}, 50 callers", "finished runs in the file", *_by_stored(results))
    shown = [name for name in COLOURS if results.of("speed", system=name)]
    for index, name in enumerate(shown):
        text, colour = COLOURS[name]
        x, y = 70 + index % 3 * 290, HEIGHT - 40 + index // 3 * 20
        out += [
            f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{colour}"/>',
            _text(x + 12, y, text, "start"),
        ]
    return "\n".join([*out, "</svg>", ""])
