"""Curves over epochs: losses by cell with the range of the seeds, gradient shares, and one trial's losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis import theme
from analysis.figures import cell_at, grid_axes, panels
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import Value, value_text
from sweeps.records import EpochRow

SHARE_PREFIXES = ("grad_share/encoder/", "grad_share/")


def loss_curves(table: SweepTable, metrics: Sequence[str]) -> Figure | None:
    """Return one row of panels per metric, one column per row level of the grid, a line per cell.

    Lines are means over seeds, bands span all seeds; axes beyond two are averaged in the lines' bands.
    """
    drawn = [metric for metric in metrics if metric in set(table.metrics)]
    if not drawn:
        return None
    row, column, _ = grid_axes(table)
    levels: tuple[Value | None, ...] = row.simplest_first if row else (None,)
    with theme.drawing():
        figure = Figure(figsize=(2.7 * len(levels) + 1.5, 2.15 * len(drawn) + 0.5), layout="constrained")
        axes = figure.subplots(len(drawn), len(levels), squeeze=False, sharex=True, sharey="row")
        for (y, metric), (x, level) in ((a, b) for a in enumerate(drawn) for b in enumerate(levels)):
            draw_curves(table, axes[y][x], metric, row, level)
            axes[y][x].set_title(value_text(level) if y == 0 and level is not None else "")
            axes[y][x].set_ylabel(metric if x == 0 else "")
            axes[y][x].set_xlabel("epoch" if y == len(drawn) - 1 else "")
        handles = [line_handle(column, place) for place in range(len(column.values))]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    return figure


def line_handle(column: Axis, place: int) -> Line2D:
    """Return the legend entry of one level of the column axis."""
    label = f"{column.name} {value_text(column.simplest_first[place])}"
    return Line2D([], [], color=theme.INK, linestyle=theme.LINES[place % len(theme.LINES)], label=label)


def draw_curves(table: SweepTable, panel: Axes, metric: str, row: Axis | None, level: Value | None) -> None:
    """Draw one panel: a line per level of the column axis, shaded from pale (simple) to full (complex)."""
    _, column, _ = grid_axes(table)
    colour = theme.colour_of(level, row.values) if row and level is not None else theme.PALETTE[0]
    history = table.history[table.history["metric"] == metric]
    for place, value in enumerate(column.simplest_first):
        mask = table.trials[column.name] == value
        mask &= table.trials["state"].isin(["complete", "diverged"])
        mask &= True if row is None else table.trials[row.name] == level
        rows = history[history["trial_id"].isin(table.trials.loc[mask, "trial_id"])]
        by_epoch = rows.groupby("epoch")["value"]
        if len(rows):
            tone = theme.shade(colour, 0.55 + 0.45 * (place + 1) / len(column.values))
            epochs = np.array(sorted(rows["epoch"].unique()))
            panel.fill_between(epochs, by_epoch.min(), by_epoch.max(), color=tone, alpha=0.22, linewidth=0)
            panel.plot(
                epochs,
                by_epoch.mean(),
                color=tone,
                linestyle=theme.LINES[place % len(theme.LINES)],
                linewidth=1.6,
            )
    if len(history) and history["value"].min() > 0:
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
    row, column, rest = grid_axes(table)
    fixed = panels(table, rest)[0]
    levels: tuple[Value | None, ...] = row.simplest_first if row else (None,)
    with theme.drawing():
        size = (2.1 * len(column.values) + 1.2, 1.45 * len(levels) + 0.9)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(levels), len(column.values), squeeze=False, sharex=True, sharey=True)
        for y, level in enumerate(levels):
            for x, value in enumerate(column.simplest_first):
                params = {**fixed, column.name: value} | (
                    {row.name: level} if row and level is not None else {}
                )
                draw_shares(table, axes[y][x], cell_at(table, params), terms)
                axes[y][x].set_title(f"{column.name} {value_text(value)}" if y == 0 else "", fontsize=9)
            axes[y][0].set_ylabel(value_text(level) if level is not None else "share")
        for panel in axes[-1]:
            panel.set_xlabel("epoch")
        if fixed:
            figure.suptitle(", ".join(f"{name} {value_text(value)}" for name, value in fixed.items()))
        patches = [Patch(color=theme.term_colour(name, list(terms)), label=name) for name in terms]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(5, len(patches)))
    return figure


def share_terms(table: SweepTable) -> dict[str, str]:
    """Return the metric of every term's share by the name of the term."""
    for prefix in SHARE_PREFIXES:
        names = [m for m in table.metrics if m.startswith(prefix) and "/" not in m.removeprefix(prefix)]
        if names:
            known = [name for name in theme.TERM_COLOURS if prefix + name in names]
            others = sorted(m.removeprefix(prefix) for m in names if m.removeprefix(prefix) not in known)
            return {name: prefix + name for name in [*known, *others]}
    return {}


def draw_shares(table: SweepTable, panel: Axes, cell: CellKey, terms: dict[str, str]) -> None:
    """Draw the stacked mean shares of one cell."""
    trials = table.rows_of(cell)["trial_id"]
    rows = table.history[
        table.history["trial_id"].isin(trials) & table.history["metric"].isin(list(terms.values()))
    ]
    panel.set_ylim(0, 1)
    panel.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
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
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
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
