"""Every cell beside the predictors that need no training: cosine to the next vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis import lvm_cells as c
from analysis import theme
from analysis.encoder_health_monitors import subjects
from analysis.exhibit import Drawing
from analysis.figures import grid_axes, metric_title
from analysis.judge import Judge
from analysis.subjects import Subject, mean_of
from analysis.table import Axis, SweepTable
from search_spaces.domains import Value, value_text
from trainables.lvm.trivial import TRIVIAL

LINE_COLOURS = ("#1f2430", "#a33d00", "#5b6270")
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1, 1.4)))
BAR, LEGEND, HEIGHT = 0.42, 2.6, 3.9  # inches: width of a bar and of the legend, height of the figure
GAP, ALONE = 0.6, 0.9  # between two groups, and between single bars, in widths of a bar
CHARACTERS = 12  # of a label to an inch
ROOM = 1.2  # height of the panel in heights of the largest bar or line
PALE = 0.6  # of a bar's colour, so that lines and intervals stand out before it


@dataclass(frozen=True)
class Bar:
    """One cell.

    Args:
        name: The cell.
        at: Place of its middle, in widths of a bar.
        colour: Its colour.
        mean: Cosine, mean over seeds.
        ends: Its simultaneous interval, None where seeds give none.
    """

    name: str
    at: float
    colour: str
    mean: float
    ends: tuple[float, float] | None


@dataclass(frozen=True)
class Group:
    """Bars that stand side by side under one label."""

    label: str
    members: tuple[tuple[Subject, str], ...]


def colour_axis(table: SweepTable) -> Axis | None:
    """Return the axis that colours tell apart: one of the two of a grid, None for any other sweep."""
    return grid_axes(table)[1] if len(table.axes) == 2 and not table.is_search else None


def groups(table: SweepTable) -> list[Group]:
    """Return the cells that have a cosine, side by side where they differ in the axis of the colours alone."""
    axis = colour_axis(table)
    known = [arm for arm in subjects(table) if mean_of(table, c.COS, arm.cell) is not None]
    if axis is None:
        return [Group(arm.name, ((arm, theme.PALETTE[0]),)) for arm in known]
    members: dict[str, list[tuple[Subject, str]]] = {}
    for arm in known:
        params = table.params_of(arm.cell)
        other = next(level_text(name, value) for name, value in params.items() if name != axis.name)
        members.setdefault(other, []).append((arm, theme.colour_of(params[axis.name], axis.values)))
    return [Group(label, tuple(found)) for label, found in members.items()]


def level_text(axis: str, value: Value) -> str:
    """Return the name of one level: a word alone, a number with its axis."""
    return value if isinstance(value, str) else f"{axis} {value_text(value)}"


def bars(judge: Judge, found: Sequence[Group]) -> dict[str, list[Bar]]:
    """Return the bars of every group from left to right, by its label."""
    placed: dict[str, list[Bar]] = {}
    at = 0.0
    for group in found:
        for arm, colour in group.members:
            mean = mean_of(judge.table, c.COS, arm.cell)
            assert mean is not None
            bar = Bar(arm.name, at, colour, mean, interval(judge, arm))
            placed.setdefault(group.label, []).append(bar)
            at += 1
        at += GAP if len(group.members) > 1 else ALONE
    return placed


def interval(judge: Judge, arm: Subject) -> tuple[float, float] | None:
    """Return the ends of the simultaneous interval of a cell's cosine: that on which its verdict rests."""
    effect, known = judge.step(c.above_mean_vector(judge.table, arm)), c.baseline(judge.table, c.MEAN_VECTOR)
    if effect is None or known is None or effect.ci_low is None or effect.ci_high is None:
        return None
    return known + effect.ci_low, known + effect.ci_high


def baseline_bars(judge: Judge) -> Drawing | None:
    """Return the cosine of every cell beside the trivial predictors; None without cells or without predictors."""
    table, known = judge.table, c.trivial_cosines(judge.table)
    placed = bars(judge, groups(table))
    if not placed or not known:
        return None
    every = [bar for row in placed.values() for bar in row]
    with theme.drawing():
        figure = Figure(figsize=(max(6.4, BAR * (every[-1].at + 1) + LEGEND), HEIGHT), layout="constrained")
        panel = figure.subplots()
        for bar in every:
            draw_bar(panel, bar)
        for name, value in known.items():
            place = TRIVIAL.index(name)
            panel.axhline(value, color=LINE_COLOURS[place], linestyle=DASHES[place], linewidth=1.3, zorder=2)
        inches = (figure.get_figwidth() - LEGEND) / len(placed)
        set_axes(table, panel, placed, width=max(8, int(CHARACTERS * inches)))
        heights = [*(bar.mean for bar in every), *known.values()]
        panel.set_ylim(ROOM * min(0.0, *heights), ROOM * max(heights))
        figure.legend(handles=handles(table, known), loc="outside right center")
    shown = "; ".join(f"{bar.name} {bar.mean:.3g}{interval_text(bar)}" for bar in every)
    return Drawing(
        "baseline_bars",
        "Cosine of every cell beside what needs no training",
        "Bars are means over seeds of the cosine to the vector that follows, with their simultaneous intervals; lines "
        "are predictors without training. A cell whose interval lies above a line is nearer than that predictor. An "
        "interval that is wider than the panel is cut off.",
        f"Bars of {c.COS} by cell: {shown}. "
        f"Lines: {', '.join(f'{c.spoken(name)} {value:.3g}' for name, value in known.items())}.",
        figure,
    )


def interval_text(bar: Bar) -> str:
    """Return the interval of a bar in words, empty without one."""
    return "" if bar.ends is None else f" [{bar.ends[0]:.3g}, {bar.ends[1]:.3g}]"


def draw_bar(panel: Axes, bar: Bar) -> None:
    """Draw one bar with its interval, and its value at its foot."""
    panel.bar(bar.at, bar.mean, width=0.86, color=theme.shade(bar.colour, PALE), zorder=1)
    if bar.ends is not None:
        panel.plot([bar.at, bar.at], bar.ends, color=theme.INK, linewidth=1.6, zorder=3)
    panel.annotate(
        f"{bar.mean:.3f}",
        (bar.at, 0),
        xytext=(0, 4 if bar.mean >= 0 else -4),
        textcoords="offset points",
        ha="center",
        va="bottom" if bar.mean >= 0 else "top",
        fontsize=7,
        zorder=4,
        bbox={"facecolor": theme.shade(bar.colour, PALE), "linewidth": 0, "pad": 0.6},
    )


def set_axes(table: SweepTable, panel: Axes, placed: Mapping[str, Sequence[Bar]], width: int) -> None:
    """Label the groups below the panel, in lines of at most ``width`` characters."""
    middles = [sum(bar.at for bar in row) / len(row) for row in placed.values()]
    panel.set_xticks(middles, [theme.wrapped(label, width) for label in placed], color=theme.INK)
    panel.tick_params(axis="x", length=0)
    panel.set_ylabel(metric_title(table, f"valid/{c.COS}"))
    panel.grid(visible=True, axis="y")


def handles(table: SweepTable, known: Mapping[str, float]) -> list[Line2D | Patch]:
    """Return the entries of the legend: the levels that colours tell apart, then the lines from top to bottom."""
    axis, found = colour_axis(table), list[Line2D | Patch]()
    if axis is not None:
        looks = {
            level: theme.shade(theme.colour_of(level, axis.values), PALE) for level in axis.simplest_first
        }
        found += [Patch(color=look, label=level_text(axis.name, level)) for level, look in looks.items()]
    for name, value in known.items():
        place = TRIVIAL.index(name)
        found.append(
            Line2D(
                [],
                [],
                color=LINE_COLOURS[place],
                linestyle=DASHES[place],
                linewidth=1.3,
                label=f"{c.spoken(name)} {value:.3f}",
            )
        )
    return found
