"""Curves over epochs: losses by cell with the range of the seeds, gradient shares, and one trial's losses."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis import theme
from analysis.figures import cell_at, grid_axes, panels
from analysis.table import FEW_LEVELS, MOST_LEVELS, Axis, CellKey, SweepTable
from search_spaces.domains import Value, value_text
from sweeps.records import EpochRow

CHARACTERS = 14  # of a legend's text to an inch
SHARE_PREFIXES = ("grad_share/encoder/", "grad_share/")
PANELS_PER_ROW = 5  # of a figure over a single axis
MOST_ON_A_SIDE = 6  # panels, of a figure over two
FEW_PANELS = 4  # on a side, where those would be more: a panel costs a tenth of a second


def loss_curves(table: SweepTable, metrics: Sequence[str]) -> Figure | None:
    """Return one row of panels per metric, one column per row level of the grid, a line per cell.

    Lines are means over seeds, bands span all seeds; axes beyond two are averaged in the lines' bands.
    """
    drawn = [metric for metric in metrics if metric in set(table.metrics)]
    table = with_history_of(few_levels(table), drawn)
    if not drawn:
        return None
    row, column, _ = grid_axes(table)
    levels: tuple[Value | None, ...] = row.simplest_first if row else (None,)
    with theme.drawing():
        figure = Figure(figsize=(2.7 * len(levels) + 1.5, 2.15 * len(drawn) + 0.5), layout="constrained")
        axes = figure.subplots(len(drawn), len(levels), squeeze=False, sharex=True, sharey="row")
        for (y, metric), (x, level) in ((a, b) for a in enumerate(drawn) for b in enumerate(levels)):
            draw_curves(table, axes[y][x], metric, row, level)
            axes[y][x].set_title(theme.wrapped(value_text(level), 26) if y == 0 and level is not None else "")
            axes[y][x].set_ylabel(metric if x == 0 else "")
            axes[y][x].set_xlabel("epoch" if y == len(drawn) - 1 else "")
        handles = [line_handle(column, place) for place in range(len(column.values))]
        figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns(figure, handles))
    return figure


def few_levels(table: SweepTable, few: int = FEW_LEVELS) -> SweepTable:
    """Return the cells that a figure of many panels has room for."""
    return table.thinned(MOST_LEVELS if len(table.axes) == 1 else MOST_ON_A_SIDE, few)


def with_history_of(table: SweepTable, metrics: Collection[str]) -> SweepTable:
    """Return the table with what its own trials recorded of these metrics: every panel looks through all of it."""
    rows = table.history[table.history["metric"].isin(list(metrics))]
    return replace(table, history=rows[rows["trial_id"].isin(table.trials["trial_id"])])


def legend_columns(figure: Figure, handles: Sequence[Artist]) -> int:
    """Return how many entries of a legend stand side by side without leaving the figure."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    return max(1, min(6, len(handles), int(CHARACTERS * figure.get_figwidth() / (longest + 6))))


def line_handle(column: Axis, place: int) -> Line2D:
    """Return the legend entry of one level of the column axis."""
    level = column.simplest_first[place]
    label = value_text(level) if isinstance(level, str) else f"{column.name} {value_text(level)}"
    style = theme.LINES[place % len(theme.LINES)]
    return Line2D([], [], color=line_colour(column, level, theme.INK), linestyle=style, label=label)


def line_colour(column: Axis, level: Value, otherwise: str) -> str:
    """Return the colour of a level that is a word; numbers are told apart by lines and shades."""
    return theme.colour_of(level, column.values) if isinstance(level, str) else otherwise


def draw_curves(table: SweepTable, panel: Axes, metric: str, row: Axis | None, level: Value | None) -> None:
    """Draw one panel: a line per level of the column axis, shaded from pale (simple) to full (complex)."""
    _, column, _ = grid_axes(table)
    colour = theme.colour_of(level, row.values) if row and level is not None else theme.PALETTE[0]
    history = table.history[table.history["metric"] == metric]
    for place, value in enumerate(column.simplest_first):
        mask = table.trials[column.name] == value
        mask &= table.trials["state"].isin(["complete", "diverged", "collapsed"])
        mask &= True if row is None else table.trials[row.name] == level
        rows = history[history["trial_id"].isin(table.trials.loc[mask, "trial_id"])]
        by_epoch = rows.groupby("epoch")["value"]
        if len(rows):
            strength = 1.0 if isinstance(value, str) else 0.55 + 0.45 * (place + 1) / len(column.values)
            tone = theme.shade(line_colour(column, value, colour), strength)
            epochs = np.array(sorted(rows["epoch"].unique()))
            panel.fill_between(epochs, by_epoch.min(), by_epoch.max(), color=tone, alpha=0.22, linewidth=0)
            panel.plot(
                epochs,
                by_epoch.mean(),
                color=tone,
                linestyle=theme.LINES[place % len(theme.LINES)],
                linewidth=1.6,
            )
    if len(history) and history["value"].min() > 0 and table.meaning(metric).positive:
        panel.set_yscale("log")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    panel.grid(visible=True)


def gradient_shares(table: SweepTable) -> Figure | None:
    """Return the share of every term in the weighted gradient over epochs, a panel per cell.

    Shares of the encoder where they are recorded, else of the whole model; None when neither is.
    """
    terms = share_terms(table)
    if not terms:
        return None
    table = with_history_of(few_levels(table, FEW_PANELS), terms.values())
    placed, fixed = share_panels(table)
    n_rows, n_columns = len(placed), len(placed[0])
    with theme.drawing():
        figure = Figure(figsize=(2.1 * n_columns + 1.2, 1.45 * n_rows + 0.9), layout="constrained")
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
        share_scale(axes[0][0])
        for panels_of_row, texts in zip(axes, placed, strict=True):
            for panel, text in itertools.zip_longest(panels_of_row, texts):
                if text is None:
                    panel.set_axis_off()
                    continue
                title, side, cell = text
                draw_shares(table, panel, cell, terms)
                panel.set_title(theme.wrapped(title, 20), fontsize=9)
                panel.set_ylabel(theme.wrapped(side, 18))
        for panel in axes[-1]:
            panel.set_xlabel("epoch")
        if fixed:
            figure.suptitle(", ".join(f"{name} {value_text(value)}" for name, value in fixed.items()))
        patches = [Patch(color=theme.term_colour(name, list(terms)), label=name) for name in terms]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(5, len(patches)))
    return figure


def share_panels(table: SweepTable) -> tuple[list[list[tuple[str, str, CellKey]]], dict[str, Value]]:
    """Return title, label at the left and cell of every panel, row by row, and what all of them have in common.

    A single axis with many values is broken into rows of `PANELS_PER_ROW`.
    """
    row, column, rest = grid_axes(table)
    fixed = panels(table, rest)[0]
    values = column.simplest_first
    names = [value_text(v) if isinstance(v, str) else f"{column.name} {value_text(v)}" for v in values]
    if row is None:
        cells = [cell_at(table, {**fixed, column.name: value}) for value in values]
        listed = list(
            zip(
                names,
                ["share" if i % PANELS_PER_ROW == 0 else "" for i in range(len(cells))],
                cells,
                strict=True,
            )
        )
        return [listed[i : i + PANELS_PER_ROW] for i in range(0, len(listed), PANELS_PER_ROW)], fixed
    placed = []
    for y, level in enumerate(row.simplest_first):
        cells = [cell_at(table, {**fixed, column.name: value, row.name: level}) for value in values]
        titles = names if y == 0 else [""] * len(names)
        sides = [value_text(level), *[""] * (len(names) - 1)]
        placed.append(list(zip(titles, sides, cells, strict=True)))
    return placed, fixed


def share_terms(table: SweepTable) -> dict[str, str]:
    """Return the metric of every term's share by the name of the term."""
    for prefix in SHARE_PREFIXES:
        names = [m for m in table.metrics if m.startswith(prefix) and "/" not in m.removeprefix(prefix)]
        if names:
            known = [name for name in theme.TERM_COLOURS if prefix + name in names]
            others = sorted(m.removeprefix(prefix) for m in names if m.removeprefix(prefix) not in known)
            return {name: prefix + name for name in [*known, *others]}
    return {}


def share_scale(panel: Axes) -> None:
    """Set the scales of a panel of shares, and with it of all that share them: panel by panel they take seconds."""
    panel.set_ylim(0, 1)
    panel.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))


def draw_shares(table: SweepTable, panel: Axes, cell: CellKey, terms: dict[str, str]) -> None:
    """Draw the stacked mean shares of one cell."""
    trials = table.rows_of(cell)["trial_id"]
    rows = table.history[
        table.history["trial_id"].isin(trials) & table.history["metric"].isin(list(terms.values()))
    ]
    if not len(rows):
        panel.text(
            0.5, 0.5, "no value", transform=panel.transAxes, ha="center", va="center", color=theme.MUTED
        )
        return
    shares = rows.pivot_table(index="epoch", columns="metric", values="value", aggfunc="mean").fillna(0.0)
    present = {name: metric for name, metric in terms.items() if metric in shares.columns}
    colours = [theme.term_colour(name, list(terms)) for name in present]
    panel.stackplot(
        shares.index, [shares[metric] for metric in present.values()], colors=colours, linewidth=0
    )
    panel.set_xlim(shares.index.min(), max(shares.index.max(), shares.index.min() + 1))


def draw_trial_losses(epochs: Sequence[EpochRow], path: Path, title: str = "") -> None:
    """Write the losses of one trial over its epochs as a PNG.

    Args:
        epochs: The trial's recorded epochs, as `sweeps.records.Records.epochs_of` returns them.
        path: The file, such as ``figures/losses.png``; its folder is created.
        title: Cell and seed, empty for none.
    """
    rows = [(e.epoch, name, value) for e in epochs for name, value in e.metrics.items()]
    frame = pd.DataFrame(rows, columns=["epoch", "metric", "value"])
    terms = sorted({m.split("/", 1)[1] for m in frame["metric"] if is_loss(m)})
    with theme.drawing():
        figure = Figure(figsize=(6.0, 3.4), layout="constrained")
        panel = figure.subplots()
        for place, term in enumerate(terms):
            for split, line in (("train", theme.LINES[0]), ("valid", "solid")):
                curve = frame[frame["metric"] == f"{split}/{term}"].sort_values("epoch")
                if len(curve):
                    colour = theme.PALETTE[place % len(theme.PALETTE)]
                    panel.plot(
                        curve["epoch"],
                        curve["value"],
                        color=colour,
                        linestyle=line,
                        linewidth=1.5,
                        label=f"{split}/{term}",
                    )
        if len(frame) and (frame.loc[frame["metric"].map(is_loss), "value"] > 0).all():
            panel.set_yscale("log")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set(xlabel="epoch", ylabel="unweighted loss", title=title)
        panel.grid(visible=True)
        if terms:
            panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None}, facecolor="white")


def is_loss(metric: str) -> bool:
    """Return whether a metric of a split is a loss: a reconstruction term or a total that can be compared."""
    split, _, name = metric.partition("/")
    loss = name.startswith("rec_") or name.endswith("_loss")
    return split in {"train", "valid"} and loss and not name.endswith(("_weighted", "_all_slots"))
