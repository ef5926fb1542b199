"""What a search asked for and what came of it: points in order of asking, finalists, the winner's luck.

A search runs every point on the first seed and its finalists on all seeds. Values of one seed are drawn
and explored, never compared: comparisons rest on the finalists (`SweepTable.contenders`). Every point of
the grid (`Searched`) has a search of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.effects import LEVEL, MARGIN, Contrast, Effect, family, interval
from analysis.follow_up import seeds_of
from analysis.grid import objective_kind
from analysis.recommendation import best_contrast, ranked_cells
from analysis.table import CellKey, SweepTable

OPTIMISM = "optimism of the search"  # id of the effect that tells the winner's luck


@dataclass(frozen=True)
class Searched:
    """The search at one point of the grid.

    Args:
        name: Name of the grid point, empty when everything is searched.
        key: Its values.
        points: Trials of the first seed in the order of asking, from 1 in ``order``; swept parameters, state,
            and ``objective``, missing where a trial has none.
    """

    name: str
    key: CellKey
    points: pd.DataFrame

    @property
    def complete(self) -> pd.DataFrame:
        """The points that were trained to the end and have the objective."""
        return self.points[(self.points["state"] == "complete") & self.points["objective"].notna()]


def first_seed(table: SweepTable) -> int:
    """Return the seed on which every point ran."""
    planned, used = seeds_of(table)[0], {int(seed) for seed in table.trials["seed"]}
    return planned if planned in used else min(used)


def searches(table: SweepTable) -> list[Searched]:
    """Return the searches of a sweep, one per point of the grid, in the order of the study."""
    named = table.trials[[axis.name for axis in table.axes]].notna().all(axis="columns")
    trials = table.trials[(table.trials["seed"] == first_seed(table)) & named]
    metric = table.objective.metric if table.objective else None
    objective = trials[metric] if metric in trials.columns else pd.Series(math.nan, index=trials.index)
    asked = trials["point"] if "point" in trials.columns else pd.Series(math.nan, index=trials.index)
    points = trials.assign(objective=objective, asked=pd.to_numeric(asked))
    groups: dict[CellKey, list[int]] = {}
    for place, values in enumerate(zip(*(points[axis.name] for axis in table.gridded), strict=True)):
        groups.setdefault(values, []).append(place)
    if not table.gridded:
        groups = {(): list(range(len(points)))}
    order = sorted(
        groups, key=lambda key: [axis.place(v) for axis, v in zip(table.gridded, key, strict=True)]
    )
    return [Searched(setting_name(table, key), key, in_order(points.iloc[groups[key]])) for key in order]


def in_order(points: pd.DataFrame) -> pd.DataFrame:
    """Return points as they were asked for, numbered from 1; as recorded where no numbers are."""
    ordered = points.sort_values("asked", kind="stable", na_position="last")
    return ordered.assign(order=np.arange(1, len(ordered) + 1)).reset_index(drop=True)


def setting_name(table: SweepTable, key: CellKey) -> str:
    """Return the name of a point of the grid for people, empty when everything is searched."""
    return ", ".join(table.level(axis, value) for axis, value in zip(table.gridded, key, strict=True))


def finalists(table: SweepTable) -> list[CellKey]:
    """Return the replicated points from best to worst; none when no point has a second seed."""
    ranked = ranked_cells(table)
    if not ranked or table.objective is None:
        return []
    return ranked if len(table.values(table.objective.metric)[ranked[0]]) > 1 else []


def best_by_setting(table: SweepTable) -> dict[CellKey, CellKey]:
    """Return the best finalist by point of the grid, the overall best first."""
    found: dict[CellKey, CellKey] = {}
    for cell in finalists(table):
        found.setdefault(table.grid_point(cell), cell)
    return found


def against_best(
    table: SweepTable, effects: Mapping[str, Effect], cells: Sequence[CellKey]
) -> dict[CellKey, Effect]:
    """Return the effects of cells against the overall best one, as `contrasts_with_best` registers them."""
    best = finalists(table)[:1]
    contrasts = {cell: best_contrast(table, best[0], cell) for cell in cells if best and cell != best[0]}
    return {cell: effects[c.id] for cell, c in contrasts.items() if c.id in effects}


def can_be_shown(table: SweepTable, contrast: Contrast) -> bool:
    """Return whether some part of a contrast has data: the others make no claim and count towards no error rate."""
    known = set(table.contenders(contrast.metric)) if table.is_search else set()
    return not table.is_search or any(known.issuperset(block) for block in contrast.blocks)


def has_optimism(table: SweepTable) -> bool:
    """Return whether the winner's luck can be told: it has the first seed and further ones."""
    if table.objective is None or not table.is_search:
        return False
    best = finalists(table)[:1]
    seeds = table.values(table.objective.metric)[best[0]] if best else {}
    return first_seed(table) in seeds and len(seeds) > 1


def optimism(table: SweepTable, alpha: float, level: float = LEVEL) -> Effect | None:
    """Return the winner's value on the first seed against its mean on the further seeds.

    The first seed chose the winner, so its value is too good on average; the further seeds are honest.
    Their scatter within cells, pooled over the finalists, gives the interval: it includes what all cells
    of one seed share, because a lucky seed is luck, too.

    Args:
        table: The sweep.
        alpha: Error rate of this one interval, `analysis.effects.own_error_rate`.
        level: Confidence that all intervals of the report hold at once.
    """
    if not has_optimism(table):
        return None
    assert table.objective is not None
    kind, best = objective_kind(table), finalists(table)[0]
    first, further = split_seeds(table)
    value = first[best] - float(np.mean(further[best]))
    se, df = scatter(further, len(further[best]))
    margin = math.log1p(MARGIN) if kind == "ratio" else MARGIN * abs(float(np.mean(further[best])))
    half, p_value, p_same = interval(value, se, df, alpha, margin)
    back = math.exp if kind == "ratio" else float
    return Effect(
        id=OPTIMISM,
        metric=table.objective.metric,
        a=f"first seed of {table.label(best)}",
        b="its further seeds",
        kind=kind,
        estimate=back(value),
        ci_low=None if half is None else back(max(value - half, -700.0)),
        ci_high=None if half is None else back(min(value + half, 700.0)),
        level=level,
        p_value=None if half is None else family(p_value, alpha, level),
        p_same=None if half is None else family(p_same, alpha, level),
        margin=MARGIN if kind == "ratio" else margin,
        n=len(further[best]),
        df=df if math.isfinite(df) else None,
        model="pooled",
        seeds_needed=None,
    )


def split_seeds(table: SweepTable) -> tuple[dict[CellKey, float], dict[CellKey, list[float]]]:
    """Return of every finalist the value on the first seed, and those on the others, on the scale of effects."""
    assert table.objective is not None
    scale = math.log if objective_kind(table) == "ratio" else float
    seed, values = first_seed(table), table.values(table.objective.metric)
    cells = [cell for cell in finalists(table) if seed in values[cell] and len(values[cell]) > 1]
    first = {cell: scale(values[cell][seed]) for cell in cells}
    return first, {cell: [scale(v) for s, v in values[cell].items() if s != seed] for cell in cells}


def scatter(further: Mapping[CellKey, Sequence[float]], n: int) -> tuple[float | None, float]:
    """Return the standard error of one value minus the mean of ``n``, and its degrees of freedom.

    The variance within cells is pooled; None when no cell has two further seeds.
    """
    df = sum(len(values) - 1 for values in further.values())
    if df == 0:
        return None, math.nan
    squares = sum(float(np.var(values)) * len(values) for values in further.values())
    return math.sqrt(squares / df * (1 + 1 / n)), float(df)
