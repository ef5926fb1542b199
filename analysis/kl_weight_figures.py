"""Objective, KL, units in use and reconstruction over the KL weight, a line per schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import kl_weight_contrasts as k
from analysis import theme
from analysis.exhibit import Drawing
from analysis.figures import metric_title
from analysis.kl_weight_anomaly import KL_COLLAPSED, KL_EXPLODED
from analysis.table import Axis, SweepTable, bare_name
from search_spaces.domains import Value, value_text


def against_weight(table: SweepTable, metrics: Sequence[str]) -> Drawing | None:
    """Return one panel per metric over the weight; None when the weight has no two levels or nothing is recorded."""
    axis = table.axis(k.WEIGHT)
    if axis is None or len(axis.values) < 2 or not metrics:
        return None
    schedule = table.axis(k.SCHEDULE)
    with theme.drawing():
        figure = Figure(figsize=(3.1 * len(metrics) + 0.4, 3.3), layout="constrained")
        for panel, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
            draw_metric(table, panel, metric, axis, schedule)
        handles = (
            [line_of(schedule, level, label=True) for level in schedule.simplest_first] if schedule else []
        )
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), title=k.SCHEDULE)
    told = "; ".join(
        f"{table.label(cell)}: "
        + ", ".join(f"{bare_name(m)} {v:.3g}" for m in metrics if (v := table.mean(m, cell)) is not None)
        for cell in table.cells
    )
    return Drawing(
        "against_kl_weight",
        "What a heavier KL does",
        "Lines join means over seeds (and over all axes that have no line of their own); small marks are seeds. "
        f"Dashed lines bound a sane KL: {KL_COLLAPSED:g} and {KL_EXPLODED:g} nats per dimension.",
        f"{', '.join(metrics)} over kl_weight. {told}.",
        figure,
    )


def line_of(schedule: Axis | None, level: Value | None, label: bool = False) -> Line2D:
    """Return the look of one schedule's line, with its name for the legend."""
    place = schedule.simplest_first.index(level) if schedule and level is not None else 0
    return Line2D(
        [],
        [],
        color=theme.PALETTE[place % len(theme.PALETTE)],
        marker=theme.MARKERS[place % len(theme.MARKERS)],
        label=value_text(level) if label and level is not None else "",
    )


def draw_metric(table: SweepTable, panel: Axes, metric: str, axis: Axis, schedule: Axis | None) -> None:
    """Draw one metric over the weight."""
    values, lowest = table.values(metric), math.inf
    for level in schedule.simplest_first if schedule else (None,):
        look, xs, ys = line_of(schedule, level), [], []
        for x, weight in enumerate(axis.simplest_first):
            wanted = {k.WEIGHT: weight} | ({k.SCHEDULE: level} if level is not None else {})
            seeds = [
                v
                for c, s in values.items()
                if wanted.items() <= table.params_of(c).items()
                for v in s.values()
            ]
            if seeds:
                style: dict[str, Any] = {
                    "color": look.get_color(),
                    "marker": look.get_marker(),
                    "linestyle": "",
                }
                panel.plot([x] * len(seeds), seeds, markersize=3, alpha=0.35, **style)
                xs.append(x)
                ys.append(float(np.mean(seeds)))
                lowest = min(lowest, *seeds)
        panel.plot(
            xs, ys, color=look.get_color(), marker=look.get_marker(), markersize=6, markeredgecolor="white"
        )
    if metric == k.kl_metric(table):
        for bound in (KL_COLLAPSED, KL_EXPLODED):
            panel.axhline(bound, color=theme.INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    if table.meaning(metric).positive and 0 < lowest < math.inf:
        panel.set_yscale("log")
    panel.set_xticks(range(len(axis.values)), [value_text(value) for value in axis.simplest_first])
    panel.set_xlabel(k.WEIGHT)
    panel.set_title(metric_title(table, metric), fontsize=8.5)
    panel.grid(visible=True)
