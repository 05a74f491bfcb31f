"""Line plots as inline SVG: no script, no font, no file beside the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 24, 34
NUM_STEPS = 4


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named line of points, from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]


def plot_lines(lines: Sequence[Line], *, title: str, x_name: str) -> str:
    """Return an SVG of the lines over one axis, with ticks and a legend; points that are not finite are left out.

    >>> plot_lines([Line(name="loss", points=((1, 0.5), (2, 0.25)))], title="Loss", x_name="epoch")[:4]
    '<svg'
    >>> plot_lines([], title="Loss", x_name="epoch")
    '<p>No history of loss was kept.</p>'
    """
    finite = [Line(name=line.name, points=_finite(line.points)) for line in lines]
    shown = [line for line in finite if line.points]
    if not shown:
        return f"<p>No history of {escape(title.lower())} was kept.</p>"
    x_axis = _Axis.over([x for line in shown for x, _ in line.points], LEFT, WIDTH - RIGHT)
    y_axis = _Axis.over([y for line in shown for _, y in line.points], HEIGHT - BOTTOM, TOP)
    body = _grid(x_axis, y_axis, x_name)
    for index, line in enumerate(shown):
        places = " ".join(f"{x_axis.place(x):.1f},{y_axis.place(y):.1f}" for x, y in line.points)
        body.append(f'<polyline class="line{index % 4}" points="{places}"/>')
        for x, y in line.points if len(line.points) <= 40 else ():
            body.append(
                f'<circle class="dot{index % 4}" cx="{x_axis.place(x):.1f}" cy="{y_axis.place(y):.1f}" r="2.5"/>'
            )
    # Above the plot, where no line runs through it.
    names = "".join(
        f'<tspan class="name{index % 4}" dx="{14 if index else 0}">{escape(line.name)}</tspan>'
        for index, line in enumerate(shown)
    )
    body.append(f'<text class="left" x="{WIDTH - RIGHT}" y="12">{names}</text>')
    start = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return "".join([start, *body, "</svg>"])


@dataclass(frozen=True, kw_only=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    step: float

    @staticmethod
    def over(values: Sequence[float], start: float, end: float) -> "_Axis":
        low, high = min(values), max(values)
        if low == high:
            low, high = low - 0.5, high + 0.5
        step = _round_step((high - low) / NUM_STEPS)
        return _Axis(
            low=math.floor(low / step) * step, high=math.ceil(high / step) * step, start=start, end=end, step=step
        )

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [self.low + index * self.step for index in range(round((self.high - self.low) / self.step) + 1)]


def _round_step(step: float) -> float:
    """Return the next of 1, 2 or 5 times a power of ten that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _grid(x_axis: _Axis, y_axis: _Axis, x_name: str) -> list[str]:
    parts: list[str] = []
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick left" x="{LEFT - 6}" y="{y + 4:.1f}">{tick:.4g}</text>')
    below = HEIGHT - BOTTOM + 16
    parts += [
        f'<text class="tick" x="{x_axis.place(tick):.1f}" y="{below}">{tick:.4g}</text>' for tick in x_axis.ticks()
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*parts, f'<text class="tick" x="{middle:.1f}" y="{HEIGHT - 4}">{escape(x_name)}</text>']


def _finite(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y))
