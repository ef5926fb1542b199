"""What a report shows, in the order of the page: heatmaps, the study's own exhibits, curves, search, guards."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis import category_figure, curves, figures, guards, looks, search_exhibits
from analysis.answer import Answer
from analysis.claims import analysis_of
from analysis.exhibit import Drawing, Listing
from analysis.table import FEW_LEVELS, Mode, SweepTable, bare_name, listed

MARKS = {
    "collapsed": " A cross-hatched edge marks trials that a guard ended, which are left out, too.",
    "pruned": " Trials that the scheduler pruned are counted, and left out as well.",
}


def gallery(found: Answer, pictures: Sequence[Drawing] = ()) -> list[Drawing | Listing]:
    """Return the figures and tables of a report in the order of the page.

    Args:
        found: The answer.
        pictures: Further drawings that the caller brings, such as those of the family; they come last.
    """
    table = found.table
    of_grid = [] if table.is_search else heatmap_drawings(found)
    own = getattr(analysis_of(table), "exhibits", None)
    of_study = [] if own is None else list(own(table, found.effects))
    front = found.front
    of_front = [trade_off_drawing(found)] if front and not table.objectives and not table.is_search else []
    of_training = [] if table.is_search else training_drawings(found)
    of_search = search_exhibits.exhibits(table, found.figure_metrics, found.importances)
    of_path = looks.exhibits(found.path)
    return [
        *of_grid,
        *of_path,
        *of_study,
        *of_front,
        *of_training,
        *of_search,
        *guards.exhibits(table),
        *pictures,
    ]


def training_drawings(found: Answer) -> list[Drawing]:
    """Return the curves of a grid: its losses, and who wins its gradient."""
    table, drawings = found.table, []
    thinned = curves.few_levels(table) is not table
    few, fewer = (
        f" Of an axis with many values {shown} are shown." if thinned else ""
        for shown in (FEW_LEVELS, curves.FEW_PANELS)
    )
    metrics = curve_metrics(found)
    if (figure := curves.loss_curves(table, metrics)) is not None:
        drawings.append(
            Drawing(
                "loss_curves",
                "Objective and losses over epochs",
                "Lines are means over seeds, bands span all seeds. A line that still gets better at the end was cut "
                "short, one that gets worse was trained too long; a band that widens is a cell whose seeds "
                f"disagree.{few}",
                f"Curves over epochs of {', '.join(metrics)} for every cell.",
                figure,
            )
        )
    if (figure := curves.gradient_shares(table)) is not None:
        drawings.append(
            Drawing(
                "gradient_shares",
                "Who wins the gradient",
                "Share of each weighted loss term in the gradient, before clipping. A term near 100 % decides alone "
                f"what is learned; the others only look as if they were trained.{fewer}",
                "Stacked shares of the loss terms over epochs, one panel per cell; the findings name the leaders.",
                figure,
            )
        )
    return drawings


def curve_metrics(found: Answer) -> list[str]:
    """Return what is drawn over epochs: the metrics that the study's analysis names, else the objective and losses."""
    table = found.table
    own = getattr(analysis_of(table), "CURVES", None)
    objective = [table.objective.metric] if table.objective else []
    losses = [m for m in found.figure_metrics if table.meaning(m).mode == "min"]
    wanted = [*objective, *(own or losses or found.figure_metrics[:1])]
    return [metric for metric in dict.fromkeys(wanted) if metric in set(table.metrics)][:3]


def epoch_in_words(table: SweepTable) -> str:
    """Return at which epoch the values of cells stand."""
    if table.objective is None:
        return " Values are those of the last epoch."
    return f" Values are those of the epoch at which {table.objective.metric} is best."


def heatmap_drawings(found: Answer) -> list[Drawing]:
    """Return a heatmap per metric; a single one for all of them along an only axis of names."""
    axis = category_figure.names_axis(found.table)
    if axis is None or not found.figure_metrics:
        return [heatmap_drawing(found, metric) for metric in found.figure_metrics]
    each = [f"{metric}: {told_by_cell(found, metric)}." for metric in found.figure_metrics]
    meanings = {metric: found.table.meaning(metric).text for metric in found.figure_metrics}
    named = "; ".join(f"{metric} is the {text}" for metric, text in meanings.items() if text)
    return [
        Drawing(
            "heatmap_all_metrics",
            f"Every {axis.name} on every metric",
            "Each cell: mean over seeds, its own 95 % interval, number of completed seeds. Every column has a colour "
            "scale of its own: brighter is better, or larger where neither direction is."
            + (f" The columns: {named}." if named else "")
            + epoch_in_words(found.table)
            + marks_in_words(found.table),
            " ".join(each),
            category_figure.category_heatmap(found.table, axis, found.figure_metrics),
        )
    ]


def told_by_cell(found: Answer, metric: str) -> str:
    """Return the means of one metric in words, those of the cells that the page lists."""
    known = [cell for cell in found.shown_cells if metric in cell.metrics]
    more = [f"{len(found.cells) - len(found.shown_cells)} more in cells.csv"]
    told = [f"{cell.label}: {cell.metrics[metric].mean:.3g} (n={cell.n})" for cell in known]
    return "; ".join(told + more * (len(found.shown_cells) < len(found.cells)))


def marks_in_words(table: SweepTable) -> str:
    """Return what the hatched edges of cells mean."""
    if figures.is_large(table):
        return " Trials that did not complete are left out."
    states = set(table.trials["state"])
    return " A hatched edge marks diverged trials, which are left out of the mean." + "".join(
        text for state, text in MARKS.items() if state in states
    )


def in_a_cell(table: SweepTable) -> str:
    """Return what a cell of a heatmap shows."""
    if figures.is_large(table):
        return "Each pixel: mean over the seeds of a cell, whose interval and count are in cells.csv, grey without any"
    return (
        "Each cell: mean over seeds, its own 95 % interval (verdicts rest on wider ones, which hold all at once), "
        "number of completed seeds"
    )


def heatmap_drawing(found: Answer, metric: str) -> Drawing:
    """Return the heatmap of one metric with its text alternative."""
    meaning = found.table.meaning(metric).text
    better = "better" if found.table.meaning(metric).mode else "larger"
    scale = " The colour scale is logarithmic." if found.table.meaning(metric).positive else ""
    return Drawing(
        "heatmap_" + re.sub(r"[^A-Za-z0-9_]+", "_", bare_name(metric)),
        metric + (f": {meaning}" if meaning else ""),
        f"{in_a_cell(found.table)}; brighter is {better}.{scale}{epoch_in_words(found.table)}"
        f"{marks_in_words(found.table)}",
        f"Heatmap of {metric}. {told_by_cell(found, metric)}.",
        figures.heatmap(found.table, metric),
        wide=len(found.table.axes) > 2,
    )


def trade_off_drawing(found: Answer) -> Drawing:
    """Return the trade-off between two metrics with its text alternative."""
    assert found.front is not None
    named = listed([found.table.label(cell) for cell in found.front.cells], "; ")
    return Drawing(
        "trade_off",
        "Trade-off",
        f"{better_corner(found.front.modes)} is better. Large marks are cell means, small ones seeds. Cells on the "
        "front are beaten by no other on both metrics; the knee is the one closest to the best of both. The front is "
        "drawn from means.",
        f"Scatter of {' against '.join(found.front.metrics)}. Pareto set: {named}.",
        figures.trade_off(found.table, found.front),
    )


def better_corner(modes: Sequence[Mode]) -> str:
    """Return where the best cells of a plot of two metrics lie, the first one along x: ``Down and right``."""
    across, up = modes
    return f"{'Down' if up == 'min' else 'Up'} and {'left' if across == 'min' else 'right'}"
