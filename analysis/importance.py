"""How much each parameter decides about the objective, by two evaluators of Optuna and a test by SciPy.

The one module of `analysis` that knows Optuna, which is imported where it is used. Importances are shares
that sum to one, even where nothing matters; so a rank test says apart from them whether a parameter
matters at all. Only points that were trained to the end take part: a collapsed or diverged trial has no
value that compares, and a pruned one has that of a smaller budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.table import Axis, Mode

FEWEST_POINTS = 10  # fewer give importances of chance
FEW_POINTS, MANY_TREES, FEWER_TREES = 200, 64, 16  # 64 trees on 500 points take 4 s (measured)
BEST_POINTS = 5  # PED-ANOVA compares the best tenth with all; of few points, at least these
SEED = 0


@dataclass(frozen=True)
class Importances:
    """Shares of the parameters in deciding the objective.

    Args:
        name: What they are of: a point of the grid, or ``all``.
        n: Points they rest on.
        fanova: Share of the variance that a parameter explains alone (Hutter et al. 2014).
        ped_anova: How much the best points single out its values (Watanabe et al. 2023).
        p_values: Of "the objective does not depend on it", adjusted for all parameters (Kruskal-Wallis, Holm).
    """

    name: str
    n: int
    fanova: Mapping[str, float]
    ped_anova: Mapping[str, float]
    p_values: Mapping[str, float]

    @property
    def ranked(self) -> list[str]:
        """The parameters from most to least important by fANOVA."""
        return sorted(self.fanova, key=lambda name: -self.fanova[name])


def importances(name: str, points: pd.DataFrame, axes: Sequence[Axis], mode: Mode) -> Importances | None:
    """Return the importances of some parameters.

    Args:
        name: What the points are of.
        points: One row per point: a column per axis, ``objective`` on the scale on which effects add up, and
            ``setting``, which names its point of the grid.
        axes: The parameters; those with a single value in the points are left out.
        mode: Direction of the objective.

    Returns:
        None with fewer than `FEWEST_POINTS` points, without a parameter, or when all values agree.
    """
    varied = [axis for axis in axes if points[axis.name].nunique() > 1]
    if len(points) < FEWEST_POINTS or not varied or float(np.ptp(points["objective"])) == 0:
        return None
    fanova, ped_anova = evaluated(points, varied, mode)
    return Importances(name, len(points), fanova, ped_anova, dependence(points, varied))


def evaluated(
    points: pd.DataFrame, axes: Sequence[Axis], mode: Mode
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the importances by fANOVA and PED-ANOVA, each summing to one."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = in_memory_study(points, axes, mode)
        trees = MANY_TREES if len(points) <= FEW_POINTS else FEWER_TREES
        evaluators = (
            optuna.importance.FanovaImportanceEvaluator(n_trees=trees, seed=SEED),
            optuna.importance.PedAnovaImportanceEvaluator(
                target_quantile=max(0.1, min(0.5, BEST_POINTS / len(points)))
            ),
        )
        found = [optuna.importance.get_param_importances(study, evaluator=e) for e in evaluators]
    finally:
        optuna.logging.set_verbosity(verbosity)
    fanova, ped_anova = ({axis.name: float(shares.get(axis.name, 0.0)) for axis in axes} for shares in found)
    return fanova, ped_anova


def in_memory_study(points: pd.DataFrame, axes: Sequence[Axis], mode: Mode) -> Any:
    """Return an Optuna study that holds the points as finished trials."""
    import optuna

    ranges = {axis.name: distribution(axis, points[axis.name].tolist()) for axis in axes}
    columns = zip(*(points[axis.name].tolist() for axis in axes), strict=True)
    trials = [
        optuna.trial.create_trial(
            params=dict(zip(ranges, values, strict=True)), distributions=ranges, value=float(value)
        )
        for values, value in zip(columns, points["objective"], strict=True)
    ]
    direction = "maximize" if mode == "max" else "minimize"
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=SEED))
    study.add_trials(trials)
    return study


def distribution(axis: Axis, values: Sequence[Any]) -> Any:
    """Return the Optuna distribution of one parameter, wide enough for all its values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not axis.ranged:
        return CategoricalDistribution(tuple(axis.values))
    low, high = (pick([bound, *values]) for pick, bound in zip((min, max), axis.bounds, strict=True))
    log = axis.scale == "log" and low > 0
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def dependence(points: pd.DataFrame, axes: Sequence[Axis]) -> dict[str, float]:
    """Return by parameter the adjusted p value of "the objective does not depend on it".

    A searched parameter is tested within every point of the grid, as it may matter differently there.

    Source:
        Kruskal and Wallis (1952) between thirds of a range or between options; Fisher (1925) over the points
        of the grid; Holm (1979) over parameters.
    """
    from statsmodels.stats.multitest import multipletests

    raw = []
    for axis in axes:
        parts = [rows for _, rows in points.groupby("setting")] if axis.searched else [points]
        tested = [p for p in (kruskal(rows, axis) for rows in parts) if p is not None]
        raw.append(float(stats.combine_pvalues(tested, method="fisher").pvalue) if tested else 1.0)
    adjusted = multipletests(raw, method="holm")[1]
    return {axis.name: float(p) for axis, p in zip(axes, adjusted, strict=True)}


def kruskal(points: pd.DataFrame, axis: Axis) -> float | None:
    """Return the p value of one parameter, None where too few points or equal values leave nothing to test."""
    column = points[axis.name]
    if len(points) < FEWEST_POINTS or float(np.ptp(points["objective"])) == 0:
        return None
    labels = pd.qcut(column, 3, labels=False, duplicates="drop") if axis.ranged else column
    groups = [rows["objective"].to_numpy() for _, rows in points.groupby(labels)]
    return float(stats.kruskal(*groups).pvalue) if len(groups) > 1 else None
