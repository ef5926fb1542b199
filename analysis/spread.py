"""How much the seeds scatter one metric, and what that makes of a contrast between cells.

With three seeds the variance of one cell is worthless, so it is pooled over as many cells as the data
allow: over all of them (then seeds are paired by a two-way model, cell + seed), over the levels of one
axis, or not at all. The coarsest grouping that Bartlett's test does not reject is taken, and a cell's
variance is raised where another coarse grouping finds more than the chosen one explains: three seeds hide
moderate differences in spread from any test, and without that guard simulated sweeps in which they differ
made up to 12 % false claims.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.table import CellKey
from analysis.two_way import TwoWay, two_way
from search_spaces.domains import Value

Array = np.ndarray[Any, np.dtype[Any]]

BARTLETT_LEVEL = 0.1  # homogeneity is given up early: pooling wrongly costs truth, not pooling only power
GUARDED_SHARE = 1 / 3  # a level of a three-level axis holds a third of the residuals
NO_SPREAD = 1e-12  # relative to the size of the values: seeds that differ less do not differ


@dataclass(frozen=True)
class Estimate:
    """A contrast with its uncertainty.

    Args:
        value: Estimate on the scale of the fit.
        se: Standard error; 0 when seeds do not scatter, None when it cannot be known.
        df: Degrees of freedom of ``se``; infinite when seeds do not scatter.
        n: Smallest number of seeds in a cell of the contrast.
    """

    value: float
    se: float | None
    df: float
    n: int


@dataclass(frozen=True)
class Fit:
    """The spread of one metric over a sweep.

    Args:
        model: ``pooled``, ``by <axis>``, ``by cell``, or ``unknown`` when every cell has one seed.
        means: Mean over the seeds by cell.
        counts: Seeds by cell.
        group: Variance group by cell.
        variances: Variance within cells by group.
        dfs: Degrees of freedom by group.
        paired: The two-way model, None where seeds are not paired.
        guard: Factor by cell, at least 1, on its variance: what the chosen grouping leaves unexplained in
            the groups of the other coarse ones. Bartlett's test misses moderate differences at three seeds.
    """

    model: str
    means: Mapping[CellKey, float]
    counts: Mapping[CellKey, int]
    group: Mapping[CellKey, int]
    variances: Mapping[int, float]
    dfs: Mapping[int, float]
    paired: TwoWay | None = None
    guard: Mapping[CellKey, float] = field(default_factory=dict)

    def contrast(self, weights: Mapping[CellKey, float]) -> Estimate:
        """Return the weighted sum of cell means, with its standard error.

        Args:
            weights: Factor by cell. When they sum to zero, what all cells share under one seed cancels,
                and the paired model is used if there is one.
        """
        n = min(self.counts[cell] for cell in weights)
        if self.paired is not None and abs(sum(weights.values())) < 1e-9:
            return self._paired_contrast(weights, n)
        return self._grouped_contrast(weights, n)

    def _paired_contrast(self, weights: Mapping[CellKey, float], n: int) -> Estimate:
        assert self.paired is not None
        value, variance = self.paired.contrast(weights)
        share = {cell: weight**2 / self.counts[cell] for cell, weight in weights.items()}
        guard = sum(part * self.guard[cell] for cell, part in share.items()) / sum(share.values())
        return Estimate(value, math.sqrt(variance * guard), guarded_df(self.paired.df, guard), n)

    def _grouped_contrast(self, weights: Mapping[CellKey, float], n: int) -> Estimate:
        """Return a contrast of unpaired means; degrees of freedom by Satterthwaite (1946), eq. 17."""
        value = sum(weight * self.means[cell] for cell, weight in weights.items())
        parts: dict[int, float] = {}
        plain: dict[int, float] = {}
        for cell, weight in weights.items():
            group = self.group[cell]
            if group not in self.variances:
                return Estimate(value, None, math.nan, n)
            variance = weight**2 / self.counts[cell] * self.variances[group]
            plain[group] = plain.get(group, 0.0) + variance
            parts[group] = parts.get(group, 0.0) + self.guard[cell] * variance
        total = sum(parts.values())
        if total == 0:
            return Estimate(value, 0.0, math.inf, n)
        df = total**2 / sum(part**2 / self.dfs[group] for group, part in parts.items())
        guard = total / sum(plain.values())
        return Estimate(value, math.sqrt(total), guarded_df(df, guard), n)


def guarded_df(df: float, guard: float) -> float:
    """Return degrees of freedom of a variance that a guard raised: a smaller group now vouches for it.

    They fall from ``df`` towards `GUARDED_SHARE` of it as the guard grows. The rule is empirical: with it
    simulated sweeps keep their error rate over ratios of spreads from 1 to 10.
    """
    least = max(1.0, GUARDED_SHARE * df)
    return least + (df - least) / guard**2 if math.isfinite(df) and df > least else df


def fit_spread(values: Mapping[CellKey, Mapping[int, float]], axes: tuple[str, ...]) -> Fit:
    """Return the fit of one metric.

    Args:
        values: Values by cell and seed, on the scale on which effects add up.
        axes: Names of the axes, in the order of the cell's values.

    Source:
        Groups by Bartlett (1937) at `BARTLETT_LEVEL`; two-way model by ordinary least squares.
    """
    rows = [(cell, seed, value) for cell, seeds in values.items() for seed, value in seeds.items()]
    frame = pd.DataFrame(
        {"cell": [row[0] for row in rows], "seed": [row[1] for row in rows], "y": [row[2] for row in rows]}
    )
    means = {cell: float(np.mean(list(seeds.values()))) for cell, seeds in values.items()}
    counts = {cell: len(seeds) for cell, seeds in values.items()}
    frame["deviation"] = frame["y"] - frame["cell"].map(means)
    partitions = candidate_partitions(list(values), axes)
    size = float(np.abs(frame["y"]).max()) if len(frame) else 1.0
    if max(counts.values(), default=0) < 2:
        return Fit("unknown", means, counts, dict.fromkeys(values, 0), {}, {})
    if float(np.abs(frame["deviation"]).max()) <= NO_SPREAD * max(size, NO_SPREAD):
        return Fit(
            "pooled",
            means,
            counts,
            dict.fromkeys(values, 0),
            {0: 0.0},
            {0: math.inf},
            guard=dict.fromkeys(values, 1.0),
        )
    paired = two_way(frame, tuple(values))
    model = coarsest(frame, partitions, None if paired is None else paired.residuals)
    group = partitions[model]
    variances, dfs = group_variances(frame, group)
    kept = paired if model == "pooled" else None
    residuals = frame["deviation"].to_numpy() if kept is None else kept.residuals
    guard = guards(frame["cell"], residuals, partitions, model)
    return Fit(model, means, counts, group, variances, dfs, kept, guard)


def candidate_partitions(cells: list[CellKey], axes: tuple[str, ...]) -> dict[str, dict[CellKey, int]]:
    """Return the groupings of cells that are tried, the coarsest first."""
    by_axis = {
        f"by {name}": numbered([cell[place] for cell in cells])
        for place, name in enumerate(axes)
        if 1 < len({cell[place] for cell in cells}) < len(cells)
    }
    ordered = sorted(by_axis.items(), key=lambda item: len(set(item[1])))
    groupings = {"pooled": [0] * len(cells), **dict(ordered), "by cell": list(range(len(cells)))}
    return {name: dict(zip(cells, numbers, strict=True)) for name, numbers in groupings.items()}


def numbered(labels: list[Value]) -> list[int]:
    """Return the labels as numbers from 0 in the order of their first appearance."""
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return [places[label] for label in labels]


def coarsest(
    frame: pd.DataFrame, partitions: Mapping[str, Mapping[CellKey, int]], paired_residuals: Array | None
) -> str:
    """Return the name of the first grouping in which no other grouping shows unequal spreads."""
    deviations = frame["deviation"].to_numpy()
    for name, group in partitions.items():
        residuals = paired_residuals if name == "pooled" and paired_residuals is not None else deviations
        labels = frame["cell"].map(group).to_numpy(dtype=int)
        others = [
            frame["cell"].map(other).to_numpy(dtype=int)
            for key, other in partitions.items()
            if key not in {name, "pooled"}
        ]
        scaled = standardised(residuals, labels)
        if not any(spreads_differ(scaled, other) for other in others):
            return name
    return "by cell"


def standardised(residuals: Array, labels: Array) -> Array:
    """Return residuals over the root mean square of their group; zeros stay zero."""
    scale = np.sqrt(np.bincount(labels, weights=residuals**2) / np.bincount(labels))[labels]
    return np.divide(residuals, scale, out=np.zeros_like(residuals), where=scale > 0)


def spreads_differ(residuals: Array, labels: Array) -> bool:
    """Return whether Bartlett's test rejects equal variances of residuals between the labels."""
    groups = [residuals[labels == label] for label in np.unique(labels)]
    groups = [group for group in groups if len(group) > 1]
    if len(groups) < 2:
        return False
    zero = [bool(np.ptp(group) <= NO_SPREAD) for group in groups]
    if any(zero):
        return not all(zero)
    return bool(stats.bartlett(*groups).pvalue < BARTLETT_LEVEL)


def guards(
    cells: pd.Series[Any], residuals: Array, partitions: Mapping[str, Mapping[CellKey, int]], model: str
) -> dict[CellKey, float]:
    """Return the factor on each cell's variance that the other coarse groupings ask for, at least 1.

    Residuals are first divided by the spread of their own group, so that only what the chosen grouping
    leaves unexplained counts: a quiet column is not charged for a noisy one.
    """
    scaled = standardised(residuals, cells.map(partitions[model]).to_numpy(dtype=int))
    factors = dict.fromkeys(partitions[model], 1.0)
    for name, group in partitions.items():
        if name != "by cell":
            labels = cells.map(group).to_numpy(dtype=int)
            mean_square = np.bincount(labels, weights=scaled**2) / np.bincount(labels)
            factors = {cell: max(f, float(mean_square[group[cell]])) for cell, f in factors.items()}
    return factors


def group_variances(
    frame: pd.DataFrame, group: Mapping[CellKey, int]
) -> tuple[dict[int, float], dict[int, float]]:
    """Return variance within cells and its degrees of freedom by group.

    A group whose seeds agree by chance (or for lack of digits) takes the variance of the whole table:
    a zero there would turn any difference into a certainty.
    """
    labels = frame["cell"].map(group).to_numpy(dtype=int)
    squares = np.bincount(labels, weights=frame["deviation"].to_numpy() ** 2)
    df_by_group = np.bincount(labels) - np.bincount(list(group.values()))
    overall_df = float(df_by_group.sum())
    overall = float(squares.sum()) / overall_df
    variances, dfs = {}, {}
    for label, df in enumerate(df_by_group.astype(float)):
        known = df > 0 and squares[label] / df > NO_SPREAD * overall
        variances[label] = float(squares[label] / df) if known else overall
        dfs[label] = float(df) if known else overall_df
    return variances, dfs
