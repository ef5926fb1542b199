"""What a report shows of a search: tables of its finalists and its Pareto set, and its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from analysis import search_figures as pictures
from analysis.cells import summaries
from analysis.exhibit import Drawing, Listing
from analysis.importance import Importances
from analysis.pareto import Front, pareto_front
from analysis.pareto_figures import pareto_scatter
from analysis.search import Searched, finalists, first_seed, searches
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import value_text


def objective_front(table: SweepTable) -> Front | None:
    """Return the front of the study's objectives, None when it has fewer than two."""
    if not table.objectives:
        return None
    metrics = [objective.metric for objective in table.objectives]
    return pareto_front(table, metrics, [objective.mode for objective in table.objectives])


def exhibits(
    table: SweepTable, metrics: Sequence[str], items: Sequence[Importances]
) -> list[Drawing | Listing]:
    """Return the exhibits of a search and of several objectives; nothing for a plain grid.

    Args:
        table: The sweep.
        metrics: Metrics whose curves are drawn for the finalists.
        items: Importances of the parameters, `analysis.search_findings.all_importances`.
    """
    if table.objective is None:
        return []
    front = objective_front(table)
    several: list[Drawing | Listing] = (
        [] if front is None else [pareto_drawing(table, front), pareto_listing(table, front)]
    )
    if not table.is_search:
        return several
    found = [one for one in searches(table) if len(one.points)]
    best = finalists(table)
    shown = [finalists_listing(table, best)] if best else []
    drawn = (
        [history_drawing(table, found), slices_drawing(table, found)]
        if any(len(s.complete) for s in found)
        else []
    )
    return [*shown, *several, *drawn, *explained(table, found, items), *trained(table, best, metrics)]


def explained(table: SweepTable, found: list[Searched], items: Sequence[Importances]) -> list[Drawing]:
    """Return what shows which parameters matter: the contour of the first two, and the importances."""
    order = items[0].ranked if items else [axis.name for axis in table.searched]
    numeric = [axis for name in order if (axis := table.axis(name)) is not None and axis.ranged]
    drawn = []
    if len(numeric) > 1 and (figure := pictures.contour(table, found, (numeric[0], numeric[1]))) is not None:
        names = f"{numeric[0].name} and {numeric[1].name}"
        drawn.append(
            Drawing(
                "search_contour",
                f"Objective over {names}",
                "Brighter is better. The surface is interpolated between points of one seed each: read its shape, not "
                "its wiggles. Crosses are points that collapsed or diverged.",
                f"Contour of the objective over {names}; the table of finalists has the best points.",
                figure,
                wide=len(found) > 1,
            )
        )
    if items and len(items[0].fanova) > 1:
        drawn.append(importance_drawing(items))
    return drawn


def importance_drawing(items: Sequence[Importances]) -> Drawing:
    """Return the importances with their text alternative."""
    told = "; ".join(f"{name} {items[0].fanova[name]:.0%}" for name in items[0].ranked)
    return Drawing(
        "search_importances",
        "Which parameters matter",
        "fANOVA: share of the objective's variation that a parameter explains. PED-ANOVA: how much the best points "
        "single out its values. Shares sum to 100 % even where nothing matters: the finding has the test.",
        f"Importance of the parameters by fANOVA over all points: {told}.",
        pictures.importance_bars(items),
        wide=len(items) > 1,
    )


def trained(table: SweepTable, best: Sequence[CellKey], metrics: Sequence[str]) -> list[Drawing]:
    """Return the training of the finalists: their curves and who won their gradient."""
    drawn = []
    if (figure := pictures.finalist_curves(table, best, list(metrics)[:3])) is not None:
        drawn.append(
            Drawing(
                "finalist_curves",
                "Curves of the finalists",
                "Lines are means over seeds, bands span all seeds, the winner's line is solid. A line that still falls "
                "at the end was cut short; a band that widens is a point whose seeds disagree.",
                f"Curves over epochs of {', '.join(list(metrics)[:3])} for the best finalists.",
                figure,
            )
        )
    if (figure := pictures.finalist_shares(table, best)) is not None:
        drawn.append(
            Drawing(
                "finalist_gradient_shares",
                "Who wins the gradient of the finalists",
                "Share of each weighted loss term in the gradient, before clipping. A term near 100 % decides alone "
                "what is learned.",
                "Stacked shares of the loss terms over epochs, one panel per finalist.",
                figure,
            )
        )
    return drawn


def history_drawing(table: SweepTable, found: list[Searched]) -> Drawing:
    """Return the history of the search with its text alternative."""
    assert table.objective is not None
    counts = [
        f"{one.name or 'the search'}: {len(one.points)} points, {len(one.complete)} completed"
        for one in found
    ]
    return Drawing(
        "search_history",
        "History of the search",
        "Every point on its one seed, in order of asking; the line is the best so far. Where it stays flat for long, "
        "more points may not help. Marks at the upper edge are points without a comparable value.",
        f"{table.objective.metric} by point. {'; '.join(counts)}.",
        pictures.history(table, found),
    )


def slices_drawing(table: SweepTable, found: list[Searched]) -> Drawing:
    """Return the slices with their text alternative."""
    names = ", ".join(axis.name for axis in table.searched)
    return Drawing(
        "search_slices",
        "Objective against each searched parameter",
        "Each point on its one seed; darker points were asked for later, so a dark cloud is where the search "
        "settled. Crosses at the upper edge collapsed or diverged there.",
        f"The objective over {names}, one column each.",
        pictures.slices(table, found),
        wide=len(table.searched) > 1,
    )


def finalists_listing(table: SweepTable, best: Sequence[CellKey]) -> Listing:
    """Return the table of the replicated points, best first."""
    assert table.objective is not None
    metric, seed = table.objective.metric, first_seed(table)
    found, values = summaries(table, metric), table.values(metric)
    rows = []
    for place, cell in enumerate(best, start=1):
        of_cell = found[cell]
        params = [shown_value(axis, value) for axis, value in zip(table.axes, cell, strict=True)]
        further = [value for s, value in values[cell].items() if s != seed]
        mean_of_further = sum(further) / len(further) if further else None
        rows.append(
            (
                place,
                *params,
                of_cell.mean,
                of_cell.ci_low,
                of_cell.ci_high,
                of_cell.n,
                values[cell].get(seed),
                mean_of_further,
            )
        )
    columns = ("mean", "95 % low", "95 % high", "n", f"first seed ({seed})", "further seeds")
    return Listing(
        "finalists",
        f"Finalists by {metric}",
        "The best points of the search, run again on further seeds. The first seed chose them, so its value flatters; "
        "the mean of the further seeds is what to expect. Each interval is the point's own, not simultaneous.",
        ("rank", *(axis.name for axis in table.axes), *columns),
        rows,
    )


def shown_value(axis: Axis, value: str | float | int | bool) -> str | float | int:
    """Return a parameter's value for a table: numbers as they are, anything else as text."""
    return value if axis.ranged and not isinstance(value, str | bool) else value_text(value)


def pareto_drawing(table: SweepTable, front: Front) -> Drawing:
    """Return the objectives against each other with their text alternative."""
    named = "; ".join(table.label(cell) for cell in front.cells)
    better = ", ".join(
        f"{metric} {'lower' if mode == 'min' else 'higher'}"
        for metric, mode in zip(front.metrics, front.modes, strict=True)
    )
    return Drawing(
        "pareto",
        "Objectives against each other",
        f"Better is: {better}. Points of the Pareto set are beaten by no other on all objectives at once; the knee is "
        "the one closest to the best of all. The set is drawn from means over seeds.",
        f"Scatter of every pair of {', '.join(front.metrics)}. Pareto set: {named}.",
        pareto_scatter(table, front),
    )


def pareto_listing(table: SweepTable, front: Front) -> Listing:
    """Return the table of the Pareto set."""
    rows = [
        (
            table.label(cell),
            *front.points[cell],
            len(table.values(front.metrics[0])[cell]),
            "knee" if cell == front.knee and front.conflict else None,
        )
        for cell in front.cells
    ]
    return Listing(
        "pareto_set",
        "Pareto set",
        "Means over seeds of all objectives, by the first one from best to worst. No cell is better than one of these "
        "on all objectives at once.",
        ("cell", *front.metrics, "n", "knee"),
        rows,
    )
