"""Who gets the gradient over epochs, and what every intervention does to the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from analysis import theme
from analysis.curves import legend_columns
from analysis.effects import Effect
from analysis.exhibit import Drawing
from analysis.figures import cell_at, grid_axes, metric_title, panels
from analysis.search import finalists
from analysis.table import CellKey, SweepTable
from search_spaces.domains import value_text
from trainables.etrm.health import STARVED_GRAD_RATIO

RATIO = "grad_ratio/encoder"
HEALTHY_RATIO = (0.2, 0.5)  # the hybrid note's healthy range of the encoder's share of the gradient's norm
PANELS_PER_ROW = 4
MOST_LINES = 24
LineStyle = str | tuple[int, tuple[int, int]]
Side = Literal["left", "center", "right"]
SOLID_FIRST = ("solid", *(line for line in theme.LINES if line != "solid"))


@dataclass(frozen=True)
class Line:
    """One line of a panel: the cells that it averages, its name, and its place among the looks."""

    name: str
    cell: CellKey
    place: int


def ratio_curves(table: SweepTable) -> Drawing | None:
    """Return the encoder's share of the gradient's norm over epochs, a line per cell; None when it is not recorded.

    A panel per point of all axes but that of the lines, which is the weight, or the only axis.
    """
    placed = lines_of(table)
    if RATIO not in set(table.metrics) or not placed:
        return None
    n_columns = min(PANELS_PER_ROW, len(placed))
    n_rows = math.ceil(len(placed) / n_columns)
    size = (7.4, 4.1) if len(placed) == 1 else (2.6 * n_columns + 0.6, 2.3 * n_rows + 0.9)
    with theme.drawing():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).ravel()
        for panel, (title, lines) in zip(axes, placed.items(), strict=False):
            draw_ratio_panel(table, panel, lines)
            panel.set_title(title, fontsize=9)
        for spare in axes[len(placed) :]:
            spare.set_axis_off()
        for panel in axes[::n_columns]:
            panel.set_ylabel("encoder's gradient / whole")
        add_legend(figure, next(iter(placed.values())), beside=len(placed) == 1)
    last = "; ".join(f"{line.name} {value:.2g}" for line, value in last_values(table, placed).items())
    low, high = HEALTHY_RATIO
    return Drawing(
        "gradient_ratio",
        "How much of the gradient reaches the encoder",
        "Norm of the encoder's gradient over that of the whole model, before clipping. Lines are means over all "
        "trials, those that a guard ended, too; bands span the seeds. "
        f"The shaded band ({low:g} to {high:g}) is healthy; below the dashed line ({STARVED_GRAD_RATIO:g}) the "
        "encoder starves.",
        f"Curves of {RATIO} over epochs. At the last epoch: {last}.",
        figure,
    )


def lines_of(table: SweepTable) -> dict[str, list[Line]]:
    """Return the lines of every panel by its title; the finalists in one panel for a search."""
    if table.is_search:
        found = [Line(table.label(cell), cell, i) for i, cell in enumerate(finalists(table))]
        return {"": found} if 0 < len(found) <= MOST_LINES else {}
    row, column, rest = grid_axes(table)
    placed: dict[str, list[Line]] = {}
    for fixed in panels(table, [*([row] if row else []), *rest]):
        title = "\n".join(f"{name} {value_text(value)}" for name, value in fixed.items())
        placed[title] = [
            Line(table.level(column, value), cell_at(table, {**fixed, column.name: value}), i)
            for i, value in enumerate(column.simplest_first)
        ]
    return placed if sum(map(len, placed.values())) <= MOST_LINES else {}


def look(line: Line) -> dict[str, Any]:
    """Return colour and dashes of one line; no two of the first forty are alike."""
    return {
        "color": theme.PALETTE[line.place % len(theme.PALETTE)],
        "linestyle": SOLID_FIRST[(line.place // len(theme.PALETTE)) % len(SOLID_FIRST)],
    }


def draw_ratio_panel(table: SweepTable, panel: Axes, lines: Sequence[Line]) -> None:
    """Draw the bounds and the lines of one panel."""
    panel.axhspan(*HEALTHY_RATIO, color="#d9efe6", linewidth=0, zorder=0)
    panel.axhline(STARVED_GRAD_RATIO, color=theme.INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
    history = table.history[table.history["metric"] == RATIO]
    for line in lines:
        rows = history[history["trial_id"].isin(table.rows_of(line.cell)["trial_id"])]
        by_epoch = rows.groupby("epoch")["value"].agg(["mean", "min", "max"])
        style = look(line)
        panel.fill_between(
            by_epoch.index, by_epoch["min"], by_epoch["max"], color=style["color"], alpha=0.13, lw=0
        )
        panel.plot(by_epoch.index, by_epoch["mean"], linewidth=1.7, **style)
    panel.set_ylim(-0.02, max(0.62, 1.05 * float(history["value"].max())))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    panel.set_xlabel("epoch")
    panel.grid(visible=True)


def add_legend(figure: Figure, lines: Sequence[Line], beside: bool) -> None:
    """Add the lines, the healthy band and the line of starving; to the right of a single panel, else below."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], linewidth=1.7, label=line.name, **look(line)) for line in lines
    ]
    handles.append(Patch(color="#d9efe6", label=f"healthy, {HEALTHY_RATIO[0]:g} to {HEALTHY_RATIO[1]:g}"))
    handles.append(
        Line2D(
            [],
            [],
            color=theme.INK,
            linewidth=0.9,
            linestyle=(0, (5, 3)),
            label=f"starved below {STARVED_GRAD_RATIO:g}",
        )
    )
    n_columns = 1 if beside else legend_columns(figure, handles)
    figure.legend(
        handles=handles, loc="outside right center" if beside else "outside lower center", ncols=n_columns
    )


def last_values(table: SweepTable, placed: dict[str, list[Line]]) -> dict[Line, float]:
    """Return the mean over trials of the last recorded ratio of every line, for readers who cannot see it."""
    history = table.history[table.history["metric"] == RATIO].sort_values("epoch")
    found = {}
    for title, lines in placed.items():
        for line in lines:
            rows = history[history["trial_id"].isin(table.rows_of(line.cell)["trial_id"])]
            if len(rows):
                named = Line(
                    ", ".join(part for part in (*title.split("\n"), line.name) if part), line.cell, line.place
                )
                found[named] = float(rows.groupby("trial_id")["value"].last().mean())
    return found


@dataclass(frozen=True)
class ForestRow:
    """One line of the forest plot.

    Args:
        group: The hypothesis that it tests.
        name: The arm and what it changes.
        effect: On the objective.
        text: What stands at its right.
        helps: Whether it is shown to help.
    """

    group: str
    name: str
    effect: Effect
    text: str
    helps: bool


def forest(
    table: SweepTable, rows: Sequence[ForestRow], distance: Effect | None, reference: str
) -> Drawing | None:
    """Return the effect of every intervention on the objective with its interval; None without one.

    Args:
        table: The sweep.
        rows: From top to bottom.
        distance: The control against the reference, the effect of a whole cure; None when unknown.
        reference: Name of the arm that all are compared with.
    """
    if not rows or table.objective is None:
        return None
    with theme.drawing():
        figure = Figure(figsize=(8.6, 0.36 * len(rows) + 1.3), layout="constrained")
        panel = figure.subplots()
        for y, row in enumerate(rows):
            draw_forest_row(panel, y, row)
        null = rows[0].effect.null
        sides: tuple[Side, Side] = ("left", "right")  # names stand away from each other
        if distance is None or distance.estimate > null:
            sides = ("right", "left")
        draw_forest_line(panel, null, reference, theme.INK, "solid", sides[0])
        if distance is not None:
            draw_forest_line(panel, distance.estimate, "control", theme.MUTED, (0, (5, 3)), sides[1])
        set_forest_axes(panel, rows)
        panel.set_xlabel(effect_label(table, rows[0].effect, reference))
    told = "; ".join(f"{row.name}: {row.effect.interval_text}, {row.text}" for row in rows)
    return Drawing(
        "interventions",
        "What each single change does to the objective",
        f"Every arm differs from {reference} in exactly one parameter. Marks are estimates, lines the simultaneous "
        "intervals; filled marks are shown to help. Between the solid and the dashed line lies the distance to the "
        "control; at the right, how much of it the change closes.",
        f"Forest plot of effects on {table.objective.metric} against {reference}. {told}.",
        figure,
    )


def draw_forest_line(
    panel: Axes, at: float, name: str, colour: str, style: LineStyle, side: Side = "center"
) -> None:
    """Draw one vertical line with its name above the panel; the ``side`` of the name that stands at the line."""
    panel.axvline(at, color=colour, linewidth=1.0, linestyle=style, zorder=0)
    panel.annotate(
        name,
        (at, 1),
        xycoords=("data", "axes fraction"),
        xytext=({"left": 2, "center": 0, "right": -2}[side], 3),
        textcoords="offset points",
        ha=side,
        fontsize=8,
        color=theme.MUTED,
    )


def set_forest_axes(panel: Axes, rows: Sequence[ForestRow]) -> None:
    """Name the rows from top to bottom; ratios stand on a logarithmic axis."""
    if rows[0].effect.kind == "ratio":
        set_ratio_axis(panel)
    panel.set_ylim(len(rows) - 0.5, -0.6)
    panel.set_yticks(range(len(rows)), [f"{row.group}  {row.name}" for row in rows], color=theme.INK)
    panel.tick_params(axis="y", length=0)
    panel.grid(visible=True, axis="x")


def set_ratio_axis(panel: Axes) -> None:
    """Give the x axis a logarithmic scale with a handful of round numbers, over decades or a part of one."""
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    decades = math.log10(high / low)
    within = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
    across = LogLocator(subs=(1, 2, 5) if decades < 3 else (1,), numticks=12)
    panel.xaxis.set_major_locator(within if decades < 1 else across)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.set_minor_locator(NullLocator())


def effect_label(table: SweepTable, effect: Effect, reference: str) -> str:
    """Return what the axis of the effects shows: a difference, a ratio, or a ratio of odds."""
    assert table.objective is not None
    odds = " of odds" if effect.metric.startswith("odds of ") else ""
    relation = f"ratio{odds} to" if effect.kind == "ratio" else "difference from"
    return f"{metric_title(table, table.objective.metric)}: {relation} {reference}"


def draw_forest_row(panel: Axes, y: int, row: ForestRow) -> None:
    """Draw one estimate with its interval, and what it closes at the right of the panel."""
    effect, colour = row.effect, theme.PALETTE[0] if row.helps else theme.MUTED
    if effect.ci_low is not None and effect.ci_high is not None:
        panel.plot(
            [effect.ci_low, effect.ci_high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt"
        )
    face = colour if row.helps else "white"
    panel.plot(effect.estimate, y, "s", color=colour, markerfacecolor=face, markersize=6.5, zorder=3)
    panel.annotate(
        row.text, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=theme.INK
    )
