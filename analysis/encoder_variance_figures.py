"""The map of states: variance within a puzzle against diversity between puzzles, a point per cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import theme
from analysis.encoder_health_monitors import CROSS, subjects
from analysis.encoder_variance_states import STATES, WITHIN, state_of
from analysis.exhibit import Drawing
from analysis.judge import Judge
from analysis.spread import Array
from analysis.subjects import metric_name
from trainables.etrm.health import COLLAPSED_CROSS_RATIO, LEAST_WITHIN_VAR, SUSPICIOUS_CROSS_RATIO

LEAST_WITHIN, LEAST_CROSS = 1e-4, 1e-3  # values below are drawn here: the axes are logarithmic
FACES = {
    (False, False): "#f7d9cc",
    (False, True): "#fdf0d5",
    (True, False): "#dcebf5",
    (True, True): "#d9efe6",
}
NEAR, FAR = 11.0, 19.0  # points between a mark and its number
MARK = 8.0  # points within which two things overlap


@dataclass(frozen=True)
class Point:
    """One cell on the map: its name, and the seeds' variance within a puzzle and cross ratio."""

    name: str
    state: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]

    @property
    def at(self) -> tuple[float, float]:
        """Its mean on logarithmic axes."""
        return tuple(math.exp(float(np.mean(np.log(values)))) for values in (self.xs, self.ys))  # type: ignore[return-value]


def points(judge: Judge) -> list[Point]:
    """Return the cells that have both numbers."""
    table = judge.table
    within, cross = (table.values(metric_name(table, q.name)) for q in (WITHIN, CROSS))
    found = []
    for arm in subjects(table):
        seeds = sorted(within.get(arm.cell, {}).keys() & cross.get(arm.cell, {}).keys())
        if seeds:
            state = state_of(judge, arm)
            xs = tuple(max(LEAST_WITHIN, within[arm.cell][seed]) for seed in seeds)
            ys = tuple(max(LEAST_CROSS, cross[arm.cell][seed]) for seed in seeds)
            found.append(Point(arm.name, state.name if state else "open", xs, ys))
    return found


def state_map(judge: Judge) -> Drawing | None:
    """Return the scatter of all cells over the four states; None without a cell that has both numbers."""
    placed = points(judge)
    if not placed:
        return None
    with theme.drawing():
        height = max(4.6, 0.21 * len(placed) + 1.2)
        figure = Figure(figsize=(9.8, height), layout="constrained")
        panel = figure.subplots()
        draw_quadrants(panel, placed)
        for number, point in enumerate(placed, start=1):
            draw_point(panel, number, point)
        handles = [handle(number, point) for number, point in enumerate(placed, start=1)]
        figure.legend(
            handles=handles, loc="outside right center", fontsize=8, title="cell; hollow: its state is open"
        )
        figure.draw_without_rendering()
        number_points(panel, placed)
    told = "; ".join(f"{p.name}: within {p.at[0]:.2g}, cross ratio {p.at[1]:.2g}, {p.state}" for p in placed)
    return Drawing(
        "encoder_states_map",
        "Where every encoder stands",
        "Marks are geometric means over seeds, whiskers span the seeds; a hollow mark is a cell whose intervals leave "
        "its state open. Shades are the four states by these two numbers alone: the verdict also asks how much of the "
        f"variance is noise. Below the dotted line ({SUSPICIOUS_CROSS_RATIO:g}) diversity is suspicious.",
        f"Scatter of cross ratio against variance within one puzzle. {told}.",
        figure,
    )


def colour(number: int) -> str:
    """Return the colour of a point."""
    return theme.PALETTE[(number - 1) % len(theme.PALETTE)]


def marker(number: int) -> str:
    """Return the marker of a point: another one in each round of colours."""
    return theme.MARKERS[((number - 1) // len(theme.PALETTE)) % len(theme.MARKERS)]


def handle(number: int, point: Point) -> Line2D:
    """Return the entry of one point in the legend, with its number."""
    face = "white" if point.state == "open" else colour(number)
    label = theme.wrapped(f"{number}  {point.name}", 62)
    return Line2D(
        [], [], linestyle="", marker=marker(number), color=colour(number), markerfacecolor=face, label=label
    )


def draw_quadrants(panel: Axes, placed: Sequence[Point]) -> None:
    """Shade and name the four states and set the axes to the range of the data."""
    low_x, high_x = padded([x for point in placed for x in point.xs], LEAST_WITHIN_VAR)
    low_y, high_y = padded([y for point in placed for y in point.ys], COLLAPSED_CROSS_RATIO)
    for (told_apart, noisy), state in STATES.items():
        left, right = (LEAST_WITHIN_VAR, high_x) if noisy else (low_x, LEAST_WITHIN_VAR)
        bottom, top = (COLLAPSED_CROSS_RATIO, high_y) if told_apart else (low_y, COLLAPSED_CROSS_RATIO)
        panel.fill_between([left, right], bottom, top, color=FACES[told_apart, noisy], linewidth=0, zorder=0)
        corner = (right if noisy else left, top if told_apart else bottom)
        panel.annotate(
            state.name,
            corner,
            xytext=(-5 if noisy else 5, -11 if told_apart else 5),
            textcoords="offset points",
            ha="right" if noisy else "left",
            fontsize=8,
            fontstyle="italic",
            color=theme.MUTED,
        )
    panel.axhline(
        SUSPICIOUS_CROSS_RATIO, color=theme.MUTED, linewidth=0.9, linestyle=theme.LINES[0], zorder=1
    )
    panel.set(xscale="log", yscale="log", xlim=(low_x, high_x), ylim=(low_y, high_y))
    ticks = FixedLocator([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.15, 0.5, 1.0])
    panel.yaxis.set_major_locator(ticks)
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: "0" if x <= LEAST_WITHIN else f"{x:g}"))
    panel.set_xlabel(f"variance within one puzzle ({WITHIN.name})")
    panel.set_ylabel(f"diversity between puzzles ({CROSS.name})")


def padded(values: Sequence[float], bound: float) -> tuple[float, float]:
    """Return limits of a logarithmic axis with room around the values, and a decade or so around the bound."""
    return min(*values, bound / 6) / 1.5, max(*values, bound * 6) * 1.5


def draw_point(panel: Axes, number: int, point: Point) -> None:
    """Draw one cell with the range of its seeds in both directions."""
    (x, y), tone = point.at, colour(number)
    panel.plot([min(point.xs), max(point.xs)], [y, y], color=tone, linewidth=1.1, zorder=2)
    panel.plot([x, x], [min(point.ys), max(point.ys)], color=tone, linewidth=1.1, zorder=2)
    face = "white" if point.state == "open" else tone
    panel.plot(x, y, marker(number), color=tone, markerfacecolor=face, markersize=6.5, zorder=3)


def number_points(panel: Axes, placed: Sequence[Point]) -> None:
    """Write the number of every point beside it, where it covers no other mark and no other number."""
    scale = panel.figure.dpi / 72
    marks = [panel.transData.transform(point.at) / scale for point in placed]
    taken: list[Array] = []
    angles = [math.radians(angle) for angle in (45, 135, -45, -135, 0, 180, 90, -90)]
    offsets = [np.array([math.cos(a), math.sin(a)]) * radius for radius in (NEAR, FAR) for a in angles]
    for number, mark in enumerate(marks, start=1):
        others = [other for other in marks if other is not mark]
        offset = min(offsets, key=lambda one: crowding(mark + one, [*others, *taken]))
        taken.append(mark + offset)
        panel.annotate(
            str(number),
            placed[number - 1].at,
            xytext=tuple(offset),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            color=colour(number),
            fontweight="bold",
        )


def crowding(at: Array, others: Sequence[Array]) -> float:
    """Return by how many points a number overlaps what is around it, 0 where nothing is near."""
    return sum(max(0.0, MARK + 3 - float(np.hypot(*(at - other)))) for other in others)
