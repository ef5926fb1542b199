"""Contrasts between levels of an axis and between cells, and the finding that names the best level."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from analysis.effects import Contrast, Effect, Kind
from analysis.findings import Finding, Verdict, Wording, decide, not_applicable, seeds_needed
from analysis.table import MOST_LEVELS, Axis, CellKey, Mode, SweepTable, listed
from search_spaces.domains import Value, value_text


def level_contrast(
    table: SweepTable,
    metric: str,
    axis: str,
    pair: tuple[Value, Value],
    kind: Kind,
    within: Mapping[str, Value] | None = None,
) -> Contrast | None:
    """Return level ``pair[0]`` against level ``pair[1]`` of one axis, averaged over all other axes.

    Args:
        table: The sweep.
        metric: Metric with its split.
        axis: The axis whose levels are compared.
        pair: The two levels.
        kind: Ratio or difference.
        within: Levels of other axes to stay within.

    Returns:
        None when the sweep lacks the axis or one of the levels, or searched the axis: what a sampler chose
        are no levels.
    """
    swept, inside = table.axis(axis), within or {}
    if swept is None or swept.searched or any(value not in swept.values for value in pair):
        return None
    place = table.axes.index(swept)
    blocks = tuple(
        {cell: 1.0, moved(table, cell, swept, pair[1]): -1.0}
        for cell in table.cells
        if cell[place] == pair[0] and inside.items() <= table.params_of(cell).items()
    )
    if not blocks:
        return None
    where = "".join(
        f", {table.level(other, inside[other.name])}" for other in table.axes if other.name in inside
    )
    a, b = (table.level(swept, value) for value in pair)
    return Contrast(f"{metric}: {a} vs {b}{where}", metric, a + where, b + where, blocks, kind)


def interaction(
    table: SweepTable,
    metric: str,
    step: tuple[str, Value, Value],
    across: tuple[str, Value, Value],
    kind: Kind,
) -> Contrast | None:
    """Return by how much the step ``axis: high against low`` weighs more at one level of another axis.

    Args:
        table: The sweep.
        metric: Metric with its split.
        step: Axis, high level, low level.
        across: The other axis, the level where the step is expected to weigh more, the level compared with.
        kind: Ratio or difference.
    """
    first, second = table.axis(step[0]), table.axis(across[0])
    if first is None or second is None:
        return None
    blocks = []
    for cell in table.cells:
        if {step[0]: step[1], across[0]: across[1]}.items() <= table.params_of(cell).items():
            low = moved(table, cell, first, step[2])
            other, other_low = (moved(table, place, second, across[2]) for place in (cell, low))
            blocks.append({cell: 1.0, low: -1.0, other: -1.0, other_low: 1.0})
    high_text, low_text = (table.level(first, value) for value in step[1:])
    a, b = (f"{high_text} / {low_text} at {table.level(second, value)}" for value in across[1:])
    return Contrast(f"{metric}: {a} vs {b}", metric, a, b, tuple(blocks), kind) if blocks else None


def cell_contrast(
    table: SweepTable, metric: str, cell: CellKey, reference: float, name: str, kind: Kind
) -> Contrast:
    """Return one cell against a constant, a baseline or a threshold."""
    label = table.label(cell)
    return Contrast(
        f"{metric}: {label} vs {name}",
        metric,
        label,
        f"{name} ({value_text(reference)})",
        ({cell: 1.0},),
        kind,
        reference,
    )


def moved(table: SweepTable, cell: CellKey, axis: Axis, value: Value) -> CellKey:
    """Return the cell with one parameter set to ``value``."""
    place = table.axes.index(axis)
    return (*cell[:place], value, *cell[place + 1 :])


def level_pairs(table: SweepTable, axis: str) -> list[tuple[Value, Value]]:
    """Return all pairs of levels (more complex, simpler) of one axis; none of an axis that was searched.

    Of an axis with more than `MOST_LEVELS` the pairs with the best level by the objective alone; `unlisted_pairs`
    counts the others, because the data chose.
    """
    swept = table.axis(axis)
    if swept is None or swept.searched:
        return []
    pairs = [(second, first) for first, second in itertools.combinations(swept.simplest_first, 2)]
    if len(swept.values) <= MOST_LEVELS:
        return pairs
    best = best_level(table, swept)
    return [pair for pair in pairs if best in pair]


def best_level(table: SweepTable, axis: Axis) -> Value | None:
    """Return the level with the best mean objective over its cells, None without an objective or values."""
    if table.objective is None or table.objective.metric not in table.trials.columns:
        return None
    complete = table.trials[table.trials["state"] == "complete"]
    means = complete.groupby(axis.name)[table.objective.metric].mean().dropna()
    best = min if table.objective.mode == "min" else max
    by_level = dict(zip(means.index, means, strict=True))
    return best(by_level, key=lambda level: by_level[level]) if by_level else None


def unlisted_pairs(table: SweepTable) -> int:
    """Return how many pairs of levels `level_pairs` could have listed, had the data not chosen the best level."""
    many = [len(axis.values) for axis in crowded(table)]
    return sum(n * (n - 1) // 2 - (n - 1) for n in many)


def crowded(table: SweepTable) -> list[Axis]:
    """Return the axes of a grid with more than `MOST_LEVELS`."""
    return [axis for axis in table.gridded if len(axis.values) > MOST_LEVELS]


def known(effects: Mapping[str, Effect], *contrasts: Contrast | None) -> list[Effect]:
    """Return the effects of those contrasts that exist and have data."""
    return [effects[c.id] for c in contrasts if c is not None and c.id in effects]


def sweet_spot(
    table: SweepTable, effects: Mapping[str, Effect], identity: str, axis: str, metric: str, kind: Kind
) -> Finding:
    """Return whether one level of an axis is better than all its other levels on ``metric``."""
    mode: Mode = table.meaning(metric).mode or "min"
    swept = table.axis(axis)
    pairs = {
        pair: found[0]
        for pair in level_pairs(table, axis)
        if (found := known(effects, level_contrast(table, metric, axis, pair, kind)))
    }
    if swept is None or not pairs:
        return not_applicable(identity, f"{axis} has no two levels with data on {metric}.")
    levels = sorted({level for pair in pairs for level in pair}, key=swept.place)
    best = max(
        levels, key=lambda level: sum(wins(pair, effect, level, mode) for pair, effect in pairs.items())
    )
    against = {pair: effect for pair, effect in pairs.items() if best in pair}
    others = {table.level(swept, next(v for v in pair if v != best)): pair for pair in against}
    beaten = {name for name, pair in others.items() if shown_better(pair, against[pair], best, mode)}
    open_levels = [name for name in others if name not in beaten]
    name, evidence = table.level(swept, best), list(against.values())
    alike = all(against[others[other]].same for other in open_levels)
    none_best = f"No {axis} is better than another by {metric}: all are the same within the margin."
    if beaten:
        none_best = (
            f"No single {axis} is the best by {metric}: {', '.join([name, *open_levels])} are the same within the "
            f"margin, and {name} is better than {', '.join(other for other in others if other in beaten)}."
        )
    more = ", or add seeds" if seeds_needed(evidence) or table.n_seeds < 2 else ""
    wording = Wording(
        supported=f"{name} is the best {axis} by {metric}, better than every other level.",
        rejected=none_best,
        undecided=f"{name} has the best {metric}, not distinguishable from {listed(open_levels)}.",
        advice={
            "rejected": "Take the simplest of these." if beaten else f"Take the simplest {axis}.",
            "undecided": f"Prefer the simplest of these{more}.",
        },
    )
    verdict: Verdict = "undecided"
    if not open_levels:
        verdict = "supported"
    elif alike if beaten else all(effect.same for effect in pairs.values()):
        verdict = "rejected"
    return decide(identity, verdict, wording, evidence)


def wins(pair: tuple[Value, Value], effect: Effect, level: Value, mode: Mode) -> bool:
    """Return whether ``level`` has the better estimate in its pair."""
    first_is_better = effect.estimate < effect.null if mode == "min" else effect.estimate > effect.null
    return level in pair and (pair[0] == level) == first_is_better


def shown_better(pair: tuple[Value, Value], effect: Effect, level: Value, mode: Mode) -> bool:
    """Return whether the interval shows ``level`` to be the better of its pair."""
    return effect.differs and wins(pair, effect, level, mode)
