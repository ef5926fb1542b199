"""Several objectives against each other: every pair of them, the Pareto set and its knee."""

from __future__ import annotations

import itertools
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import theme
from analysis.figures import metric_title
from analysis.pareto import Front
from analysis.search_figures import plain_ticks
from analysis.table import SweepTable

FRONT, OTHER = theme.PALETTE[5], theme.PALETTE[0]


def pareto_scatter(table: SweepTable, front: Front) -> Figure:
    """Return a panel per pair of objectives: one for two, the lower triangle of a matrix for more.

    Filled marks are the cells that comparisons rest on, rings the Pareto set, small dots the points of a
    search with one seed. For two objectives the set is connected.
    """
    n = len(front.metrics)
    single = single_seed_points(table, front)
    with theme.drawing():
        size = (5.6, 4.2) if n == 2 else (3.0 * (n - 1) + 0.7, 2.5 * (n - 1) + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(n - 1, n - 1, squeeze=False, sharex="col", sharey="row")
        for x, y in itertools.product(range(n - 1), range(1, n)):
            panel = grid[y - 1][x]
            if x >= y:
                panel.set_visible(False)
                continue
            draw_pair(table, panel, front, (x, y), single)
            panel.set_xlabel(theme.wrapped(metric_title(table, front.metrics[x]), 34) if y == n - 1 else "")
            panel.set_ylabel(
                theme.wrapped(metric_title(table, front.metrics[y]), 36 if n == 2 else 28) if x == 0 else ""
            )
        handles = legend(front, with_single=len(single) > 0)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def single_seed_points(table: SweepTable, front: Front) -> list[tuple[float, ...]]:
    """Return the means of cells that take no part in the front; empty for a grid."""
    found = [table.values(metric) for metric in front.metrics]
    return [
        tuple(sum(values[cell].values()) / len(values[cell]) for values in found)
        for cell in found[0]
        if cell not in front.points and all(cell in values for values in found)
    ]


def draw_pair(
    table: SweepTable, panel: Axes, front: Front, pair: tuple[int, int], single: list[tuple[float, ...]]
) -> None:
    """Draw two of the objectives."""
    x, y = pair
    panel.plot(
        [p[x] for p in single], [p[y] for p in single], ".", color=theme.MUTED, alpha=0.45, markersize=4
    )
    for cell, point in front.points.items():
        colour = FRONT if cell in front.cells else OTHER
        panel.plot(point[x], point[y], "o", color=colour, markersize=7, markeredgecolor="white", zorder=3)
    if len(front.metrics) == 2:
        ordered = [front.points[cell] for cell in front.cells]
        panel.plot([p[x] for p in ordered], [p[y] for p in ordered], color=FRONT, linewidth=1.2, zorder=2)
    if front.knee is not None and front.conflict:
        point = front.points[front.knee]
        ring: dict[str, Any] = {
            "markerfacecolor": "none",
            "markeredgecolor": theme.INK,
            "markeredgewidth": 1.1,
        }
        panel.plot(point[x], point[y], "o", markersize=15, zorder=4, **ring)
    for place, name in ((x, "x"), (y, "y")):
        everything = [p[place] for p in (*front.points.values(), *single)]
        if table.meaning(front.metrics[place]).positive and min(everything) > 0:
            getattr(panel, f"set_{name}scale")("log")
            plain_ticks(getattr(panel, f"{name}axis"))
    panel.margins(0.1)
    panel.grid(visible=True)


def legend(front: Front, *, with_single: bool) -> list[Line2D]:
    """Return the entries of the legend."""
    line: dict[str, Any] = {"linewidth": 1.2} if len(front.metrics) == 2 else {"linestyle": ""}
    found = [
        Line2D([], [], marker="o", color=FRONT, markersize=6, label="Pareto set", **line),
        Line2D([], [], marker="o", linestyle="", color=OTHER, markersize=6, label="beaten by another"),
    ]
    if front.conflict:
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": theme.INK}
        found.append(Line2D([], [], marker="o", linestyle="", markersize=11, label="knee", **ring))
    if with_single:
        found.append(Line2D([], [], marker=".", linestyle="", color=theme.MUTED, label="one seed"))
    return found
