"""Pictures of a search: its history, its slices, its contour, what matters, and its finalists' curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from analysis import theme
from analysis.curves import draw_shares, share_scale, share_terms
from analysis.figures import metric_title
from analysis.grid import objective_kind
from analysis.importance import Importances
from analysis.search import Searched
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import value_text

PER_ROW = 3  # panels side by side; more are too small to read
FEWEST_IN_CONTOUR = 12  # fewer points and the surface is the interpolation's, not the search's
MOST_LINES = 6  # finalists whose curves are drawn
ENDED = {"pruned": ("v", "#E69F00"), "collapsed": ("x", "#D55E00"), "diverged": ("X", "#000000")}
HEADROOM = 0.12  # share of a panel's height that is left to them
EDGE_ROW = 0.965  # height, as a share of a panel, of points that have no value to stand at


def panels_for(n: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``n`` panels of one size, `PER_ROW` in a row, and the panels."""
    columns = min(PER_ROW, n)
    rows = -(-n // columns)
    figure = Figure(figsize=(size[0] * columns + 0.5, size[1] * rows + 0.75), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for panel in grid[n:]:
        panel.set_visible(False)
    return figure, list(grid[:n])


def scale_value(table: SweepTable, panel: Axes, headroom: float = 0.0) -> None:
    """Set the logarithmic scale where the objective is compared as a ratio, and leave room above the values.

    Args:
        table: The sweep.
        panel: One of the panels that share their vertical axis.
        headroom: Share of the height that stays free above.
    """
    positive = objective_kind(table) == "ratio"
    if positive:
        panel.set_yscale("log")
    low, high = panel.get_ylim()
    extra = headroom / (1 - headroom)
    panel.set_ylim(low, high * (high / low) ** extra if positive else high + extra * (high - low))
    if positive:
        plain_ticks(panel.yaxis)


def plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis with few plain numbers where it spans less than two decades."""
    low, high = sorted(axis.get_view_interval())
    if low > 0 and high / low < 100:
        short = high / low < 10
        axis.set_major_locator(
            MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
            if short
            else mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0))
        )
        axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())


def history(table: SweepTable, found: Sequence[Searched]) -> Figure:
    """Return the objective in order of asking, with the best so far, a panel per point of the grid."""
    assert table.objective is not None
    with theme.drawing():
        figure, panels = panels_for(len(found), (3.6, 2.7) if len(found) > 1 else (6.4, 3.2))
        for place, (panel, one) in enumerate(zip(panels, found, strict=True)):
            draw_history(table, panel, one)
            panel.set_title(theme.wrapped(one.name, 34))
            panel.set_xlabel("point, in order of asking")
            panel.set_ylabel(
                theme.wrapped(metric_title(table, table.objective.metric), 36) if place % PER_ROW == 0 else ""
            )
        scale_value(table, panels[0], HEADROOM)
        for panel, one in zip(panels, found, strict=True):
            mark_ended(panel, one.points, one.points["order"])
        handles = ended_handles(found)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def draw_history(table: SweepTable, panel: Axes, one: Searched) -> None:
    """Draw the completed points of one search and the best so far."""
    assert table.objective is not None
    done = one.complete
    best = done["objective"].cummin() if table.objective.mode == "min" else done["objective"].cummax()
    panel.plot(
        done["order"],
        done["objective"],
        "o",
        color=theme.PALETTE[0],
        markersize=4.5,
        alpha=0.75,
        markeredgewidth=0,
    )
    panel.step(done["order"], best, where="post", color=theme.INK, linewidth=1.4)
    pruned = one.points[(one.points["state"] == "pruned") & one.points["objective"].notna()]
    marker, colour = ENDED["pruned"]
    panel.plot(
        pruned["order"], pruned["objective"], marker, color=colour, markersize=5, markerfacecolor="none"
    )
    panel.set_xlim(0, len(one.points) + 1)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    panel.grid(visible=True)


def mark_ended(panel: Axes, points: pd.DataFrame, xs: pd.Series[Any]) -> None:
    """Mark collapsed and diverged points at the upper edge of a panel: they have no value to stand at."""
    across = panel.get_xaxis_transform()
    for state in ("collapsed", "diverged"):
        marker, colour = ENDED[state]
        rows = points["state"] == state
        heights = np.full(int(rows.sum()), EDGE_ROW)
        (marks,) = panel.plot(xs[rows], heights, marker, color=colour, markersize=5, transform=across)
        marks.set_in_layout(False)  # a mark at the edge takes no room of its own


def ended_handles(found: Sequence[Searched]) -> list[Line2D]:
    """Return the legend of the marks that occur."""
    states = {state for one in found for state in one.points["state"]}
    handles = [
        Line2D([], [], marker="o", linestyle="", color=theme.PALETTE[0], label="complete", markersize=5)
    ]
    for state, (marker, colour) in ENDED.items():
        if state in states:
            hollow = {"markerfacecolor": "none"} if state == "pruned" else {}
            handles.append(
                Line2D([], [], marker=marker, linestyle="", color=colour, label=state, markersize=5, **hollow)  # type: ignore[arg-type]
            )
    return [*handles, Line2D([], [], color=theme.INK, linewidth=1.4, label="best so far")]


def slices(table: SweepTable, found: Sequence[Searched]) -> Figure:
    """Return the objective against every searched parameter, a row per point of the grid."""
    assert table.objective is not None
    axes, n = table.searched, len(found)
    with theme.drawing():
        size = (max(2.7 * len(axes) + 1.2, 5.0), 2.3 * n + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(n, len(axes), squeeze=False, sharey=True, sharex="col")
        last = max(len(one.points) for one in found)
        colours = ScalarMappable(Normalize(1, max(last, 2)), mpl.colormaps["viridis_r"])
        for row, one in zip(grid, found, strict=True):
            for panel, axis in zip(row, axes, strict=True):
                draw_slice(panel, one, axis, colours)
            row[0].set_ylabel(theme.wrapped(one.name or metric_title(table, table.objective.metric), 24))
        for panel, axis in zip(grid[-1], axes, strict=True):
            panel.set_xlabel(axis.name)
        scale_value(table, grid[0][0], HEADROOM)
        for row, one in zip(grid, found, strict=True):
            for panel, axis in zip(row, axes, strict=True):
                mark_ended(panel, one.points, positions(axis, one.points))
        figure.colorbar(colours, ax=grid, label="order of asking", shrink=0.9, aspect=30, pad=0.015)
        if found[0].name:
            title = metric_title(table, table.objective.metric)
            figure.suptitle(title, x=0.02, ha="left", fontweight="bold", fontsize=10.5)
    return figure


def draw_slice(panel: Axes, one: Searched, axis: Axis, colours: ScalarMappable) -> None:
    """Draw the completed points of one search over one parameter."""
    done = one.complete
    panel.scatter(
        positions(axis, done),
        done["objective"],
        c=done["order"],
        cmap=colours.cmap,
        norm=Normalize(*colours.get_clim()),
        s=22,
        linewidths=0.4,
        edgecolors="white",
        zorder=2,
    )
    if not axis.ranged:
        labels = [theme.wrapped(value_text(value), 14) for value in axis.simplest_first]
        panel.set_xticks(range(len(labels)), labels)
        panel.set_xlim(-0.5, len(labels) - 0.5)
    else:
        set_range(panel, axis, "x")
    panel.grid(visible=True)


def positions(axis: Axis, points: pd.DataFrame) -> pd.Series[Any]:
    """Return where points stand along one parameter: their values, or the places of their options."""
    return points[axis.name] if axis.ranged else points[axis.name].map(axis.place)


def set_range(panel: Axes, axis: Axis, name: str) -> None:
    """Give one side of a panel the range and scale that were searched, with a little room."""
    low, high = axis.bounds
    if axis.scale == "log" and low > 0:
        getattr(panel, f"set_{name}scale")("log")
        room = (high / low) ** 0.03
        getattr(panel, f"set_{name}lim")(low / room, high * room)
        plain_ticks(getattr(panel, f"{name}axis"))
    else:
        room = 0.03 * (high - low)
        getattr(panel, f"set_{name}lim")(low - room, high + room)
        side = getattr(panel, f"{name}axis")
        side.set_major_locator(MaxNLocator(integer=all(isinstance(v, int) for v in axis.values), nbins=6))


def contour(table: SweepTable, found: Sequence[Searched], pair: tuple[Axis, Axis]) -> Figure | None:
    """Return the objective over two searched parameters as a surface through the points, a panel per grid point.

    None when no point of the grid has `FEWEST_IN_CONTOUR` completed points.
    """
    assert table.objective is not None
    drawn = [one for one in found if len(one.complete) >= FEWEST_IN_CONTOUR]
    if not drawn:
        return None
    values = pd.concat([one.complete["objective"] for one in drawn])
    positive = objective_kind(table) == "ratio"
    norm: Normalize = (LogNorm if positive else Normalize)(float(values.min()), float(values.max()))
    cmap = mpl.colormaps[theme.HEAT + ("_r" if table.objective.mode == "min" else "")]
    with theme.drawing():
        figure, panels = panels_for(len(drawn), (3.4, 2.9) if len(drawn) > 1 else (5.6, 3.9))
        for place, (panel, one) in enumerate(zip(panels, drawn, strict=True)):
            draw_contour(panel, one, pair, (norm, cmap))
            panel.set_title(theme.wrapped(one.name, 34))
            panel.set_xlabel(pair[0].name)
            panel.set_ylabel(pair[1].name if place % PER_ROW == 0 else "")
        bar = figure.colorbar(ScalarMappable(norm, cmap), ax=panels, pad=0.015, aspect=30)
        bar.set_label(theme.wrapped(metric_title(table, table.objective.metric), 34))
        plain_ticks(bar.ax.yaxis)
    return figure


def draw_contour(panel: Axes, one: Searched, pair: tuple[Axis, Axis], colours: tuple[Normalize, Any]) -> None:
    """Draw the surface of one search with its points."""
    done, (norm, cmap) = one.complete, colours
    x, y = (done[axis.name].to_numpy(dtype=float) for axis in pair)
    flat = [np.array([axis.position(v) for v in done[axis.name]]) for axis in pair]
    for axis, name in zip(pair, "xy", strict=True):
        set_range(panel, axis, name)
    surface = np.log(done["objective"]) if isinstance(norm, LogNorm) else done["objective"]
    spans = np.linalg.matrix_rank(np.stack([values - values.mean() for values in flat])) == 2
    if spans and float(np.ptp(surface)) > 0:
        steps = np.linspace(float(surface.min()), float(surface.max()), 13)
        levels = np.exp(steps) if isinstance(norm, LogNorm) else steps
        placed = mpl.tri.Triangulation(x, y, mpl.tri.Triangulation(*flat).triangles)
        panel.tricontourf(placed, done["objective"], levels=levels, norm=norm, cmap=cmap, alpha=0.95)
    else:
        panel.text(
            0.5,
            0.97,
            "no surface: points on a line, or one value",
            transform=panel.transAxes,
            ha="center",
            va="top",
            fontsize=8,
            color=theme.MUTED,
        )
    panel.scatter(
        x, y, c=done["objective"], norm=norm, cmap=cmap, s=20, edgecolors="white", linewidths=0.7, zorder=3
    )
    ended = one.points[one.points["state"].isin(["collapsed", "diverged"])]
    panel.plot(
        ended[pair[0].name], ended[pair[1].name], "x", color=ENDED["collapsed"][1], markersize=5, zorder=3
    )


def importance_bars(found: Sequence[Importances]) -> Figure:
    """Return the shares of all parameters by both evaluators, a panel per set of points."""
    names = list(dict.fromkeys(name for item in found for name in item.ranked))
    with theme.drawing():
        figure, panels = panels_for(len(found), (3.0 if len(found) > 1 else 5.4, 0.42 * len(names) + 0.55))
        for panel, item in zip(panels, found, strict=True):
            draw_bars(panel, item, names)
            title = f"{'all points' if item.name == 'all' else item.name} (n={item.n})"
            panel.set_title(theme.wrapped(title, 32))
            panel.set_xlabel("share")
        panels[0].set_yticks(range(len(names)), [theme.wrapped(name, 20) for name in names])
        panels[0].invert_yaxis()
        handles = [
            mpl.patches.Patch(color=theme.PALETTE[0], label="fANOVA"),
            mpl.patches.Patch(color=theme.PALETTE[1], label="PED-ANOVA"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def draw_bars(panel: Axes, item: Importances, names: Sequence[str]) -> None:
    """Draw the shares of one set of points."""
    for shares, offset, colour in (
        (item.fanova, -0.19, theme.PALETTE[0]),
        (item.ped_anova, 0.19, theme.PALETTE[1]),
    ):
        widths = [shares.get(name, 0.0) for name in names]
        panel.barh([place + offset for place in range(len(names))], widths, 0.36, color=colour)
    for place, name in enumerate(names):
        if name not in item.fanova:
            panel.text(0.02, place, "fixed here", va="center", color=theme.MUTED, fontsize=8)
    panel.set_xlim(0, 1.0)
    panel.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    panel.grid(visible=True, axis="x")
    panel.tick_params(axis="y", length=0)


def finalist_curves(table: SweepTable, cells: Sequence[CellKey], metrics: Sequence[str]) -> Figure | None:
    """Return the curves of the finalists: a panel per metric, a line per finalist, bands over seeds."""
    known = set(table.metrics)
    drawn, shown = [m for m in metrics if m in known], list(cells)[:MOST_LINES]
    if not drawn or not shown:
        return None
    with theme.drawing():
        figure = Figure(figsize=(3.3 * len(drawn) + 0.6, 2.7 + 0.22 * len(shown)), layout="constrained")
        for panel, metric in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
            for place, cell in enumerate(shown):
                draw_line(table, panel, metric, cell, place)
            panel.set_title(metric)
            panel.set_xlabel("epoch")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
            if table.meaning(metric).positive:
                panel.set_yscale("log")
                plain_ticks(panel.yaxis)
            panel.grid(visible=True)
        handles = [
            Line2D(
                [], [], color=theme.PALETTE[i], linestyle=line_style(i), label=f"{i + 1}. {table.label(cell)}"
            )
            for i, cell in enumerate(shown)
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=1)
    return figure


def line_style(place: int) -> Any:
    """Return the style of one finalist's line, the winner's solid."""
    return "solid" if place == 0 else theme.LINES[place % 2]


def draw_line(table: SweepTable, panel: Axes, metric: str, cell: CellKey, place: int) -> None:
    """Draw one finalist: mean over seeds, and the range of the seeds."""
    trials = table.rows_of(cell)["trial_id"]
    rows = table.history[(table.history["metric"] == metric) & table.history["trial_id"].isin(trials)]
    by_epoch, colour = rows.groupby("epoch")["value"], theme.PALETTE[place % len(theme.PALETTE)]
    epochs = sorted(rows["epoch"].unique())
    if epochs:
        panel.fill_between(epochs, by_epoch.min(), by_epoch.max(), color=colour, alpha=0.1, linewidth=0)
        panel.plot(epochs, by_epoch.mean(), color=colour, linestyle=line_style(place), linewidth=1.5)


def finalist_shares(table: SweepTable, cells: Sequence[CellKey]) -> Figure | None:
    """Return the shares of the loss terms in the gradient of the finalists; None where none are recorded."""
    terms, shown = share_terms(table), list(cells)[:MOST_LINES]
    if not terms or not shown:
        return None
    with theme.drawing():
        figure, panels = panels_for(len(shown), (2.9, 1.9))
        for panel, cell in zip(panels, shown, strict=True):
            share_scale(panel)
            draw_shares(table, panel, cell, terms)
            panel.set_title(theme.wrapped(table.label(cell), 36), fontsize=8)
            panel.set_xlabel("epoch")
        patches = [
            mpl.patches.Patch(color=theme.term_colour(name, list(terms)), label=name) for name in terms
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(5, len(patches)))
    return figure
