"""All metrics of a sweep along one axis of names: a row per name, a column per metric with a colour scale of its own.

A heatmap per metric would be a single row of cells there, each too narrow for its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import theme
from analysis.cells import summaries
from analysis.figures import ROW_LABEL, colour_norm, draw_cell, metric_title
from analysis.table import Axis, SweepTable
from search_spaces.domains import value_text

ROW_HEIGHT, COLUMN_WIDTH = 0.62, 1.5  # inches
MOST_ROWS = 100
HEAD_WIDTH = 17  # characters in a line above a column


def names_axis(table: SweepTable) -> Axis | None:
    """Return the axis of a grid that has this one only and whose values are names, not too many to list, else None."""
    if table.is_search or len(table.axes) != 1 or table.axes[0].scale != "category":
        return None
    return table.axes[0] if len(table.axes[0].values) <= MOST_ROWS else None


def category_heatmap(table: SweepTable, axis: Axis, metrics: Sequence[str]) -> Figure:
    """Return mean, interval and count of every metric for every value of the only axis; brighter is better."""
    heads = [theme.wrapped(metric_title(table, metric), HEAD_WIDTH) for metric in metrics]
    lines = max(head.count("\n") + 1 for head in heads)
    size = (COLUMN_WIDTH * len(metrics) + 2.1, ROW_HEIGHT * len(axis.values) + 0.17 * lines + 0.3)
    with theme.drawing():
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for panel, metric, head in zip(panels, metrics, heads, strict=True):
            draw_column(table, panel, axis, metric)
            panel.set_title(head, fontsize=8.5, loc="center")
        names = [theme.wrapped(value_text(value), ROW_LABEL) for value in axis.simplest_first]
        panels[0].set_yticks(range(len(names)), names, color=theme.INK)
        panels[0].set_ylabel(axis.name, labelpad=8)
    return figure


def draw_column(table: SweepTable, panel: Axes, axis: Axis, metric: str) -> None:
    """Draw one metric from top to bottom."""
    found, meaning = summaries(table, metric), table.meaning(metric)
    cmap: Any = mpl.colormaps[theme.HEAT + ("_r" if meaning.mode == "min" else "")]
    colours = colour_norm([summary.mean for summary in found.values()], meaning.positive), cmap
    for place, value in enumerate(axis.simplest_first):
        draw_cell(table, panel, (0, place), (value,), found.get((value,)), colours)
    panel.set_xlim(-0.5, 0.5)
    panel.set_ylim(len(axis.values) - 0.5, -0.5)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)
