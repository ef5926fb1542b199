"""Heatmaps and the trade-off: what stands in the cells. Everything drawn was computed before."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from analysis import theme
from analysis.cells import Summary, summaries
from analysis.pareto import Front
from analysis.table import MOST_LEVELS, Axis, CellKey, SweepTable
from search_spaces.domains import Value, value_text

COLUMN_LABEL, ROW_LABEL, PANEL_LABEL = 15, 24, 18  # characters in a line of a label; of a panel per column
MOST_ACROSS = 30  # cells side by side into which numbers are written
MOST_WRITTEN = 64  # cells with numbers in them: text is what a figure takes its time for
MOST_TICKS = 10
ENDED = ("diverged", "collapsed", "pruned")
EDGES = {
    "diverged": (0.36, "////"),
    "collapsed": (-0.47, "xxxx"),
}  # where a mark lies in its cell, and how it looks


def grid_axes(table: SweepTable) -> tuple[Axis | None, Axis, list[Axis]]:
    """Return the axis of rows, that of columns and those of panels: words in rows, weights in columns."""
    ordered = sorted(table.axes, key=lambda axis: (isinstance(axis.values[0], str), -int(axis.weight)))
    column = ordered[0]
    others = [axis for axis in table.axes if axis is not column]
    row = next((axis for axis in others if isinstance(axis.values[0], str)), others[0] if others else None)
    return row, column, [axis for axis in others if axis is not row]


def panels(table: SweepTable, rest: list[Axis]) -> list[dict[str, Value]]:
    """Return the levels of the panel axes, one mapping per panel; one empty mapping when there are none."""
    levels = itertools.product(*(axis.simplest_first for axis in rest))
    return [dict(zip((axis.name for axis in rest), values, strict=True)) for values in levels]


def cell_at(table: SweepTable, params: Mapping[str, Value]) -> CellKey:
    """Return the cell with these parameters."""
    return tuple(params[axis.name] for axis in table.axes)


def metric_title(table: SweepTable, metric: str) -> str:
    """Return a metric with its unit and direction: ``valid/met_r2 (higher is better)``."""
    known = table.meaning(metric)
    unit = f" [{known.unit}]" if known.unit else ""
    direction = {"min": " (lower is better)", "max": " (higher is better)"}.get(known.mode or "", "")
    return f"{metric}{unit}{direction}"


def is_large(table: SweepTable) -> bool:
    """Return whether the cells of a grid are too many to write into each."""
    row, column, rest = grid_axes(table)
    n_columns = len(column.values) * math.prod(len(axis.values) for axis in rest)
    n_rows = 1 if row is None else len(row.values)
    return n_columns > MOST_ACROSS or n_rows > MOST_LEVELS or n_columns * n_rows > MOST_WRITTEN


def overview(table: SweepTable, metric: str) -> Figure:
    """Return the means of one metric as an image, a pixel per cell; axes beyond two divide the rows further."""
    row, column, rest = grid_axes(table)
    others = [axis for axis in (row, *rest) if axis is not None]
    places = list(itertools.product(*(axis.simplest_first for axis in others)))
    meaning, found = table.meaning(metric), summaries(table, metric)
    image = np.full((len(places), len(column.values)), np.nan)
    for (y, values), (x, level) in itertools.product(enumerate(places), enumerate(column.simplest_first)):
        params = {column.name: level, **dict(zip((axis.name for axis in others), values, strict=True))}
        cell = found.get(cell_at(table, params))
        image[y, x] = np.nan if cell is None else cell.mean
    with theme.drawing():
        figure = Figure(figsize=(7.0, 5.6), layout="constrained")
        panel = figure.subplots()
        panel.set_facecolor("#f1f3f6")
        norm = colour_norm([summary.mean for summary in found.values()], meaning.positive)
        cmap = theme.HEAT + ("_r" if meaning.mode == "min" else "")
        shown = panel.imshow(image, cmap=cmap, norm=norm, aspect="auto", interpolation="nearest")
        figure.colorbar(shown, ax=panel)
        panel.set_xticks(*thinned_ticks([value_text(level) for level in column.simplest_first]))
        panel.set_yticks(*thinned_ticks([", ".join(map(value_text, values)) for values in places]))
        panel.set_xlabel(column.name)
        panel.set_ylabel(", ".join(axis.name for axis in others))
        figure.suptitle(metric_title(table, metric), x=0.02, ha="left", fontweight="bold", fontsize=10.5)
    return figure


def thinned_ticks(names: list[str]) -> tuple[list[int], list[str]]:
    """Return the places of at most `MOST_TICKS` names, evenly apart, and those names."""
    places = list(range(0, len(names), math.ceil(len(names) / MOST_TICKS)))
    return places, [theme.wrapped(names[place], COLUMN_LABEL) for place in places]


def heatmap(table: SweepTable, metric: str) -> Figure:
    """Return the heatmap of one metric: mean, interval and count in every cell, brighter is better."""
    if is_large(table):
        return overview(table, metric)
    row, column, rest = grid_axes(table)
    found = summaries(table, metric)
    shown = panels(table, rest)
    n_rows, n_columns = len(row.values) if row else 1, len(column.values)
    lines = max(theme.wrapped(value_text(v), COLUMN_LABEL).count("\n") for v in column.values)
    width, height = 1.35 * n_columns * len(shown) + 1.6, 0.92 * n_rows + 1.35 + 0.14 * lines
    with theme.drawing():
        figure = Figure(figsize=(max(width, 4.2), height), layout="constrained")
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        norm = colour_norm([s.mean for s in found.values()], table.meaning(metric).positive)
        cmap = mpl.colormaps[theme.HEAT + ("_r" if table.meaning(metric).mode == "min" else "")]
        for place, (panel, fixed) in enumerate(zip(axes, shown, strict=True)):
            draw_panel(table, panel, (row, column), fixed, found, (norm, cmap))
            title = ", ".join(f"{k} {value_text(v)}" for k, v in fixed.items())
            panel.set_title(theme.wrapped(title, max(16, PANEL_LABEL * n_columns)))
            if place:
                panel.set_yticklabels([])
                panel.set_ylabel("")
        figure.suptitle(metric_title(table, metric), x=0.02, ha="left", fontweight="bold", fontsize=10.5)
    return figure


def colour_norm(values: list[float], positive: bool) -> Normalize:
    """Return the colour scale of a heatmap, logarithmic for positive metrics."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if positive and low > 0:
        return LogNorm(low, high if high > low else low * 1.01)
    return Normalize(low, high if high > low else low + 1e-9)


def draw_panel(
    table: SweepTable,
    panel: Axes,
    sides: tuple[Axis | None, Axis],
    fixed: Mapping[str, Value],
    found: Mapping[CellKey, Summary],
    colours: tuple[Normalize, Any],
) -> None:
    """Draw one panel of a heatmap."""
    row, column = sides
    rows: tuple[Value | None, ...] = row.simplest_first if row else (None,)
    for (y, row_value), (x, column_value) in itertools.product(
        enumerate(rows), enumerate(column.simplest_first)
    ):
        params = {**fixed, column.name: column_value} | (
            {row.name: row_value} if row and row_value is not None else {}
        )
        cell = cell_at(table, params)
        draw_cell(table, panel, (x, y), cell, found.get(cell), colours)
    panel.set_xlim(-0.5, len(column.values) - 0.5)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    labels = [theme.wrapped(value_text(v), COLUMN_LABEL) for v in column.simplest_first]
    panel.set_xticks(range(len(column.values)), labels)
    names = [theme.wrapped(value_text(v), ROW_LABEL) for v in rows if v is not None]
    panel.set_yticks(range(len(rows)), names if row else [""])
    panel.set_xlabel(column.name)
    panel.set_ylabel(row.name if row else "", labelpad=8)
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)


def draw_cell(
    table: SweepTable,
    panel: Axes,
    at: tuple[int, int],
    cell: CellKey,
    found: Summary | None,
    colours: tuple[Normalize, Any],
) -> None:
    """Draw one cell: colour by the mean; mean, interval, count and marks for ended trials as text."""
    (x, y), (norm, cmap) = at, colours
    states = table.states_of(cell)
    ended = {state: states.count(state) for state in ENDED if state in states}
    face = "#f1f3f6" if found is None else cmap(float(norm(found.mean)))
    ink = theme.INK if luminance(face) > 0.45 else "white"
    panel.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=face, linewidth=0))
    for state in ended.keys() & EDGES.keys():
        drop, hatch = EDGES[state]
        edge = (x - 0.48, y + drop)
        panel.add_patch(
            Rectangle(edge, 0.96, 0.11, facecolor="none", edgecolor=ink, hatch=hatch, linewidth=0)
        )
    if found is not None:
        write_cell(panel, at, found, ended, ink)
        return
    whole = len(ended) == 1 and sum(ended.values()) == len(states)
    missing = f"all {len(states)} {next(iter(ended))}" if whole else "no value"
    panel.text(x, y, missing, ha="center", va="center", color=theme.MUTED, fontsize=8)


def write_cell(panel: Axes, at: tuple[int, int], found: Summary, ended: Mapping[str, int], ink: str) -> None:
    """Write mean, interval and counts into one cell."""
    x, y = at
    lines = [(y - 0.17, f"{found.mean:.3g}", 11.0, "bold")]
    if found.ci_low is not None and found.ci_high is not None:
        lines.append((y + 0.08, f"[{found.ci_low:.3g}, {found.ci_high:.3g}]", 7.5, "normal"))
    counts = [f"n={found.n}", *(f"{count} {state}" for state, count in ended.items())]
    size = 7.0 if len(counts) < 3 else 5.5
    lines.append((y + 0.27, ", ".join(counts), size, "normal"))
    for height, text, size, weight in lines:
        panel.text(x, height, text, ha="center", va="center", color=ink, fontsize=size, fontweight=weight)


def luminance(colour: Any) -> float:
    """Return how light a colour looks, 0 to 1: the root of its luminance (ITU-R BT.709 weights)."""
    linear = np.power(mpl.colors.to_rgb(colour), 2.2)
    return math.sqrt(float(linear @ np.array([0.2126, 0.7152, 0.0722])))


def trade_off(table: SweepTable, front: Front) -> Figure:
    """Return the two conflicting metrics against each other: cell means, seeds, Pareto front and knee."""
    row, column, _ = grid_axes(table)
    with theme.drawing():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        panel = figure.subplots()
        values = [table.values(metric) for metric in front.metrics]
        for cell, at in front.points.items():
            draw_point(table, panel, cell, at, [found[cell] for found in values])
        if front.conflict:
            xs, ys = zip(*(front.points[cell] for cell in front.cells), strict=True)
            panel.plot(xs, ys, color=theme.MUTED, linewidth=1.2, zorder=1)
        if front.knee is not None and front.conflict:
            x, y = front.points[front.knee]
            panel.plot(
                x,
                y,
                "o",
                markersize=18,
                markerfacecolor="none",
                markeredgecolor=theme.INK,
                markeredgewidth=1.1,
            )
        scale_log(panel, front)
        draw_baselines(table, panel, front)
        panel.set_xlabel(metric_title(table, front.metrics[0]))
        panel.set_ylabel(metric_title(table, front.metrics[1]))
        panel.grid(visible=True)
        panel.legend(handles=legend_of(row, column, front), loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def scale_log(panel: Axes, front: Front) -> None:
    """Set logarithmic scales where all values are positive, with some room around the points."""
    for place, (axis, set_scale) in enumerate(
        ((panel.xaxis, panel.set_xscale), (panel.yaxis, panel.set_yscale))
    ):
        if min(point[place] for point in front.points.values()) > 0:
            set_scale("log")
            axis.set_major_formatter(mpl.ticker.LogFormatterSciNotation(labelOnlyBase=True))
    panel.margins(0.12)


def draw_point(
    table: SweepTable, panel: Axes, cell: CellKey, at: tuple[float, ...], seeds: Sequence[Mapping[int, float]]
) -> None:
    """Draw one cell: its seeds faintly, its mean by colour (rows) and marker (columns)."""
    row, column, _ = grid_axes(table)
    params = table.params_of(cell)
    colour = theme.colour_of(params[row.name], row.values) if row else theme.PALETTE[0]
    marker = theme.MARKERS[column.place(params[column.name]) % len(theme.MARKERS)]
    xs, ys = seeds
    shared = sorted(set(xs) & set(ys))
    panel.plot(
        [xs[s] for s in shared], [ys[s] for s in shared], marker, color=colour, alpha=0.35, markersize=3.5
    )
    panel.plot(
        *at, marker, color=colour, markersize=8.5, markeredgecolor="white", markeredgewidth=0.9, zorder=3
    )


def draw_baselines(table: SweepTable, panel: Axes, front: Front) -> None:
    """Draw the second metric of predictors without training as labelled lines."""
    for name, value in sorted(table.baselines.items()):
        predictor, _, metric = name.partition("/")
        if metric == front.metrics[1]:
            panel.axhline(value, color=theme.MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
            panel.annotate(
                f"{predictor} baseline",
                (0.99, value),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                fontsize=7.5,
                color=theme.MUTED,
            )


def legend_of(row: Axis | None, column: Axis, front: Front) -> list[Line2D]:
    """Return the entries of the trade-off's legend."""
    handles = []
    for level in row.simplest_first if row else ():
        colour = theme.colour_of(level, row.values) if row else theme.INK
        handles.append(
            Line2D([], [], marker="o", linestyle="", color=colour, markersize=8, label=value_text(level))
        )
    for place, level in enumerate(column.simplest_first):
        marker = theme.MARKERS[place % len(theme.MARKERS)]
        label = f"{column.name} {value_text(level)}"
        handles.append(
            Line2D([], [], marker=marker, linestyle="", color=theme.MUTED, markersize=7, label=label)
        )
    if front.conflict:
        handles.append(Line2D([], [], color=theme.MUTED, linewidth=1.2, label="Pareto front"))
        ring = {"markerfacecolor": "none", "markeredgecolor": theme.INK}
        handles.append(Line2D([], [], marker="o", linestyle="", markersize=11, label="knee", **ring))  # type: ignore[arg-type]
    return handles
