"""Reliability as inline SVG: for each label what probabilities said beside what came true."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

SIZE, MARGIN = 110, 6


@dataclass(frozen=True, kw_only=True)
class ReliabilityCurve:
    """The reliability of one label.

    Args:
        name: The label.
        error: Mean distance of the points from the diagonal, weighted by cells; NaN without a cell.
        points: Mean probability and share of positives of each bin that holds cells, by rising probability.
    """

    name: str
    error: float
    points: tuple[tuple[float, float], ...]


def plot_reliability(curves: Sequence[ReliabilityCurve]) -> str:
    """Return a small square plot a label: probability to the right, share of positives upwards, the diagonal is honest.

    >>> plot_reliability([ReliabilityCurve(name="cat", error=0.1, points=((0.1, 0.2), (0.8, 0.7)))])[:12]
    '<div class="'
    >>> plot_reliability([])
    ''
    """
    if not curves:
        return ""
    return '<div class="plots">' + "".join(_plot(curve) for curve in curves) + "</div>"


def _plot(curve: ReliabilityCurve) -> str:
    low, high = MARGIN, SIZE - MARGIN
    places = [(_place(prob), SIZE - _place(share)) for prob, share in curve.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle class="dot0" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in places)
    error = "no known cell" if math.isnan(curve.error) else f"error {curve.error:.3f}"
    return (
        f'<figure><svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="Reliability of {escape(curve.name)}">'
        f'<rect class="frame" x="{low}" y="{low}" width="{high - low}" height="{high - low}"/>'
        f'<line class="grid" x1="{low}" y1="{high}" x2="{high}" y2="{low}"/>'
        f'<polyline class="line0" points="{line}"/>{dots}</svg>'
        f"<figcaption>{escape(curve.name)}<small>{error}</small></figcaption></figure>"
    )


def _place(share: float) -> float:
    return MARGIN + share * (SIZE - 2 * MARGIN)
