"""One cell to take, or none: the simplest of those that the seeds cannot tell from the best.

Not to be told from the best is not enough: a cell whose seeds scatter widely, as when one of five escapes what
holds the others, has a simultaneous interval that tells it from nothing, and would win by its noise. So a cell is
taken for its simplicity only if its own, unadjusted 95 % interval, too, includes "no difference" from the best, or
if it is shown to be the same within the margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.cells import Summary, summaries
from analysis.effects import Contrast, Effect, estimate_singly
from analysis.grid import objective_kind
from analysis.pareto import Front
from analysis.standing import Standing
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import Value
from sweeps.study import ARM

MOST_COMPARED = 200  # cells that are held against the best one; the chosen one is among them


@dataclass(frozen=True)
class Price:
    """What the recommended cell gives away on another metric: point estimates, no claim.

    Args:
        metric: The metric.
        value: Mean in the recommended cell.
        best_cell: Cell with the best mean.
        best_value: That mean.
    """

    metric: str
    value: float
    best_cell: str
    best_value: float

    @property
    def text(self) -> str:
        """The price in words."""
        if self.value == self.best_value:
            return f"{self.metric} {self.value:.4g}, the best of all cells"
        return f"{self.metric} {self.value:.4g}, against {self.best_value:.4g} in {self.best_cell}"


@dataclass(frozen=True)
class Recommendation:
    """The cell to take.

    Args:
        cell: Its parameters.
        label: Its name.
        metric: The objective.
        summary: The objective in that cell.
        reason: Why this cell, in words.
        indistinguishable: Cells that the seeds cannot tell from the best one.
        against_best: The recommended cell against the best one, None when it is the best one.
        runner_up: Name of the next cell.
        runner_up_effect: The comparison that tells the two apart, or fails to.
        distinguishable: Whether the runner-up is told apart from the best cell.
        price: What it costs on other metrics.
        pareto: Names of the Pareto set when two metrics conflict, else empty.
        knee: Name of the knee of that set.
        standing: How it stands beside what needs no training, on test samples, and on other metrics.
    """

    cell: Mapping[str, Value]
    label: str
    metric: str
    summary: Summary
    reason: str
    indistinguishable: tuple[str, ...]
    against_best: Effect | None
    runner_up: str
    runner_up_effect: Effect | None
    distinguishable: bool
    price: tuple[Price, ...]
    pareto: tuple[str, ...] = ()
    knee: str | None = None
    standing: Standing = field(default_factory=Standing)

    def as_json(self) -> dict[str, Any]:
        """Return the recommendation as it stands in ``report.json``."""
        effects = {"against_best": self.against_best, "runner_up_effect": self.runner_up_effect}
        return {
            "cell": dict(self.cell),
            "label": self.label,
            "metric": self.metric,
            "value": self.summary.as_json(),
            "reason": self.reason,
            "indistinguishable": list(self.indistinguishable),
            **{name: None if effect is None else effect.as_json() for name, effect in effects.items()},
            "runner_up": self.runner_up,
            "distinguishable": self.distinguishable,
            "price": [{**vars(price), "text": price.text} for price in self.price],
            "pareto": list(self.pareto),
            "knee": self.knee,
            "standing": self.standing.as_json(),
        }


def ranked_cells(table: SweepTable) -> list[CellKey]:
    """Return cells with the objective from best to worst; geometric means where the objective is a ratio.

    Of a search only those that comparisons may rest on: `SweepTable.contenders`.
    """
    if table.objective is None:
        return []
    as_ratio = objective_kind(table) == "ratio"
    means, values = {}, table.values(table.objective.metric)
    for cell in table.contenders(table.objective.metric):
        seeds = values[cell]
        means[cell] = sum(math.log(v) if as_ratio else v for v in seeds.values()) / len(seeds)
    return sorted(means, key=lambda cell: means[cell], reverse=table.objective.mode == "max")


def contrasts_with_best(table: SweepTable) -> tuple[list[Contrast], int]:
    """Return every cell against the best one, and how many further pairs could have been looked at.

    The best cell is chosen by the data, so all pairs count towards the family-wise error rate. Of more than
    `MOST_COMPARED` cells the best ones are compared.
    """
    ranked = ranked_cells(table)
    found = [] if not ranked else best_contrasts(table, ranked[0], ranked[1:MOST_COMPARED])
    return found, len(ranked) * (len(ranked) - 1) // 2 - len(found)


def best_contrast(table: SweepTable, best: CellKey, cell: CellKey) -> Contrast:
    """Return one cell against the best one on the objective."""
    return best_contrasts(table, best, [cell])[0]


def best_contrasts(table: SweepTable, best: CellKey, cells: Sequence[CellKey]) -> list[Contrast]:
    """Return cells against the best one on the objective."""
    assert table.objective is not None
    b, metric, kind = table.label(best), table.objective.metric, objective_kind(table)
    return [
        Contrast(f"{metric}: {a} vs {b}", metric, a, b, ({cell: 1.0, best: -1.0},), kind)
        for cell, a in ((cell, table.label(cell)) for cell in cells)
    ]


def recommend(table: SweepTable, effects: Mapping[str, Effect], front: Front | None) -> Recommendation | None:
    """Return the recommendation, or None when the sweep supports none; `why_none` says why."""
    if why_none(table) is not None:
        return None
    assert table.objective is not None
    ranked = ranked_cells(table)
    best = ranked[0]
    compared = ranked[1:MOST_COMPARED]
    contrasts = best_contrasts(table, best, compared)
    against = {cell: effects[contrast.id] for cell, contrast in zip(compared, contrasts, strict=True)}
    like_best = [best, *(cell for cell, effect in against.items() if not effect.differs)]
    conflict = front is not None and front.conflict
    eligible = [best, *close_to_best(table, like_best, against)]
    simplest = min(eligible, key=lambda cell: (complexity(table, cell), ranked.index(cell)))
    at_knee = knee_of_objectives(table, front)
    chosen = simplest if at_knee is None else at_knee
    runner_up = next(cell for cell in ranked if cell != chosen)
    told_apart = against[runner_up if chosen == best else chosen]
    why = reason(table, chosen, like_best, eligible, against.get(chosen))
    return Recommendation(
        cell=table.params_of(chosen),
        label=table.label(chosen),
        metric=table.objective.metric,
        summary=summaries(table, table.objective.metric)[chosen],
        reason=why if front is None or at_knee is None else reason_of_knee(front),
        indistinguishable=tuple(table.label(cell) for cell in like_best),
        against_best=against.get(chosen),
        runner_up=table.label(runner_up),
        runner_up_effect=told_apart,
        distinguishable=told_apart.differs,
        price=prices(table, chosen, front),
        pareto=tuple(table.label(cell) for cell in front.cells) if front and conflict else (),
        knee=table.label(front.knee) if front and conflict and front.knee else None,
    )


def close_to_best(
    table: SweepTable, like_best: Sequence[CellKey], against: Mapping[CellKey, Effect]
) -> list[CellKey]:
    """Return the cells besides the best that may be taken in its place, should they be simpler.

    Args:
        table: The sweep.
        like_best: The best cell, then those that the simultaneous intervals cannot tell from it.
        against: Every cell against the best one, with simultaneous intervals.
    """
    best, *others = like_best
    single = estimate_singly(table, best_contrasts(table, best, others))
    return [cell for cell in others if against[cell].same or not single[against[cell].id].differs]


def why_none(table: SweepTable) -> str | None:
    """Return why no cell can be recommended, None when one can."""
    if table.objective is None:
        return "The records name no objective."
    ranked, metric = ranked_cells(table), table.objective.metric
    most = max((len(seeds) for seeds in table.values(metric).values()), default=0)
    if table.is_search and most == 1:
        return (
            "No point of the search has a second seed, and the best of many points with one seed is the "
            "luckiest. Run its finalists on further seeds."
        )
    if table.is_search and len(ranked) == 1:
        return (
            "Only one point of the search has all its seeds: there is none to tell it from. Raise finalists."
        )
    if len(ranked) < 2:
        return f"Fewer than two cells have a completed trial with {metric}."
    if most < 2:
        return "One seed per cell: no difference between cells can be told from chance. Run at least 2, better 3."
    return None


def complexity(table: SweepTable, cell: CellKey) -> float:
    """Return how far a cell is from the simplest one: the steps along every axis."""
    return sum(steps(axis, value) for axis, value in zip(table.axes, cell, strict=True))


def steps(axis: Axis, value: Value) -> float:
    """Return how far a value is from the simplest one of its axis.

    Listed values are a step apart. The range of a searched weight or size is one step, the smaller end
    the simpler; of other searched numbers, such as a learning rate, none is simpler than another. Nor is
    one of several names without ranks, or one of several arms, which older records rank by their order.
    """
    if axis.name == ARM or (axis.scale == "category" and len(axis.simplicity) != len(axis.values)):
        return 0.0
    if not axis.ranged:
        return axis.place(value)
    return axis.position(value) if axis.weight or isinstance(value, int) else 0.0


def knee_of_objectives(table: SweepTable, front: Front | None) -> CellKey | None:
    """Return the knee when the study optimises several objectives and they want different cells."""
    return front.knee if table.objectives and front is not None and front.conflict else None


def reason_of_knee(front: Front) -> str:
    """Return why the knee of several objectives is recommended, in words."""
    return (
        f"The objectives conflict: {len(front.cells)} cells are beaten by no other on {' and '.join(front.metrics)} "
        "at once. This one is their knee, the closest to the best of all; the set is drawn from means, and another "
        "of its cells is right where one objective matters more."
    )


def reason(
    table: SweepTable,
    chosen: CellKey,
    like_best: Sequence[CellKey],
    eligible: Sequence[CellKey],
    effect: Effect | None,
) -> str:
    """Return why the cell is recommended, in words.

    Args:
        table: The sweep.
        chosen: The recommended cell.
        like_best: The best cell, then those that the simultaneous intervals cannot tell from it.
        eligible: Those of them that could have been taken.
        effect: The recommended cell against the best one, None when it is the best one.
    """
    assert table.objective is not None
    metric, best = table.objective.metric, like_best[0]
    if len(like_best) == 1:
        return f"It has the best {metric}, and the seeds tell it from every other cell."
    if chosen == best:
        return f"It has the best {metric}{rank_in_words(table, like_best, eligible)}"
    worst = "" if effect is None else f" Against that cell: {effect.interval_text}."
    return (
        f"It is the simplest of {len(eligible)} cells that the seeds cannot tell from the best "
        f"({table.label(best)}); simplicity, not a difference, is the reason.{worst}"
    )


def rank_in_words(table: SweepTable, like_best: Sequence[CellKey], eligible: Sequence[CellKey]) -> str:
    """Return what the simplicity of the best cell, which is recommended, has to do with it."""
    own, n = complexity(table, like_best[0]), len(like_best)
    noisy = [table.label(c) for c in like_best if c not in eligible and complexity(table, c) < own]
    if noisy:
        return (
            f". Of the {n} cells that the simultaneous intervals cannot tell apart, {', '.join(noisy)} would be "
            'simpler, but is not taken: its own 95 % interval leaves out "no difference".'
        )
    if all(complexity(table, cell) == own for cell in like_best):
        return f" of the {n} cells that the seeds cannot tell apart, none of which is simpler than another."
    return f" and is the simplest of the {n} cells that the seeds cannot tell apart."


def prices(table: SweepTable, chosen: CellKey, front: Front | None) -> tuple[Price, ...]:
    """Return what the cell gives away on the metrics that may conflict."""
    found = []
    for place, metric in enumerate(front.metrics if front else ()):
        assert front is not None
        points = {cell: point[place] for cell, point in front.points.items()}
        if chosen in points:
            best = front.best(place)
            found.append(Price(metric, points[chosen], table.label(best), points[best]))
    return tuple(found)
