"""How much the seeds scatter one metric, and what that makes of a contrast between cells.

With three seeds the variance of one cell is worthless, so it is pooled over as many cells as the data
allow: over all of them, over the levels of one axis, or not at all. The coarsest grouping that Bartlett's test
does not reject is taken. At three seeds that test misses moderate differences, so the other groupings are asked,
too, and an interval is the widest that any of them gives: by the levels of every axis with their own degrees of
freedom, by single cells as a floor under the variance. Seeds are paired by a two-way model, cell + seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.table import CellKey
from analysis.tails import quantile
from analysis.two_way import TwoWay, two_way
from search_spaces.domains import Value

Array = np.ndarray[Any, np.dtype[Any]]

BARTLETT_LEVEL = 0.1  # homogeneity is given up early: pooling wrongly costs truth, not pooling only power
NO_SPREAD = 1e-12  # relative to the size of the values: seeds that differ less do not differ


@dataclass(frozen=True)
class Estimate:
    """A contrast with its uncertainty.

    Args:
        value: Estimate on the scale of the fit.
        se: Standard error by the chosen grouping; 0 when seeds do not scatter, None when it cannot be known.
        df: Degrees of freedom of ``se``; infinite when seeds do not scatter.
        n: Smallest number of seeds in a cell of the contrast.
        others: Standard errors with degrees of freedom by the groupings that were not chosen.
    """

    value: float
    se: float | None
    df: float
    n: int
    others: tuple[tuple[float, float], ...] = ()

    def widest(self, alpha: float) -> tuple[float | None, float]:
        """Return the standard error and degrees of freedom that give the widest interval at ``alpha``."""
        if self.se is None or not self.others:
            return self.se, self.df
        return max(((self.se, self.df), *self.others), key=lambda one: quantile(alpha / 2, one[1]) * one[0])


@dataclass(frozen=True)
class Spreads:
    """Variances by one grouping of the cells.

    Args:
        group: Number of the group by cell.
        variances: Variance by cell.
        dfs: Degrees of freedom by group.
        floor: Whether it may only raise the variance, and brings no degrees of freedom of its own.
    """

    group: Mapping[CellKey, int]
    variances: Mapping[CellKey, float]
    dfs: Mapping[int, float]
    floor: bool = False

    def variance(self, shares: Mapping[CellKey, float]) -> tuple[float, float]:
        """Return variance and degrees of freedom of a contrast by Satterthwaite (1946), eq. 17.

        Args:
            shares: Squared weight over the number of seeds, by cell.
        """
        parts: dict[int, float] = {}
        for cell, share in shares.items():
            label = self.group[cell]
            parts[label] = parts.get(label, 0.0) + share * self.variances[cell]
        total = sum(parts.values())
        if total == 0:
            return 0.0, math.inf
        return total, total**2 / sum(part**2 / self.dfs[label] for label, part in parts.items())


@dataclass(frozen=True)
class Fit:
    """The spread of one metric over a sweep.

    Args:
        model: ``pooled``, ``by <axis>``, ``by cell``, or ``unknown`` when every cell has one seed.
        means: Mean over the seeds by cell.
        counts: Seeds by cell.
        alone: Variances within cells by every grouping, the chosen one first; empty when unknown.
        between: The same without what all cells share under one seed; empty where seeds are not paired.
        paired: The two-way model, None where seeds are not paired.
    """

    model: str
    means: Mapping[CellKey, float]
    counts: Mapping[CellKey, int]
    alone: tuple[Spreads, ...] = ()
    between: tuple[Spreads, ...] = ()
    paired: TwoWay | None = None

    def contrast(self, weights: Mapping[CellKey, float]) -> Estimate:
        """Return the weighted sum of cell means, with its standard error.

        Args:
            weights: Factor by cell. When they sum to zero, what all cells share under one seed cancels,
                and the paired model is used if there is one.
        """
        n = min(self.counts[cell] for cell in weights)
        shares = {cell: weight**2 / self.counts[cell] for cell, weight in weights.items()}
        if self.paired is not None and abs(sum(weights.values())) < 1e-9:
            value, of_seeds = self.paired.contrast(weights)
            return estimate_of(value, n, self.between, shares, of_seeds)
        value = sum(weight * self.means[cell] for cell, weight in weights.items())
        return estimate_of(value, n, self.alone, shares)


def estimate_of(
    value: float,
    n: int,
    spreads: tuple[Spreads, ...],
    shares: Mapping[CellKey, float],
    of_seeds: float = 0.0,
) -> Estimate:
    """Return an estimate with the standard errors that all groupings give it.

    Args:
        value: Estimate.
        n: Smallest number of seeds.
        spreads: Groupings, the chosen one first.
        shares: Squared weight over the number of seeds, by cell.
        of_seeds: Variance that comes from seeds which some cells lack.
    """
    if not spreads:
        return Estimate(value, None, math.nan, n)
    variance, df = spreads[0].variance(shares)
    if variance == 0:
        return Estimate(value, 0.0, math.inf, n)
    others = []
    for other in spreads[1:]:
        its_variance, its_df = other.variance(shares)
        its_df = df if other.floor else min(df, its_df)
        if its_variance > variance or its_df < df:
            others.append((math.sqrt(its_variance + of_seeds), its_df))
    return Estimate(value, math.sqrt(variance + of_seeds), df, n, tuple(others))


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
    if max(counts.values(), default=0) < 2:
        return Fit("unknown", means, counts)
    deviations = np.array([value - means[cell] for cell, _, value in rows])
    size = float(np.abs(frame["y"]).max())
    if float(np.abs(deviations).max()) <= NO_SPREAD * max(size, NO_SPREAD):
        none = Spreads(dict.fromkeys(values, 0), dict.fromkeys(values, 0.0), {0: math.inf})
        return Fit("pooled", means, counts, (none,))
    places = {cell: place for place, cell in enumerate(values)}
    of_cell = np.array([places[cell] for cell, _, _ in rows])
    partitions, paired = candidate_partitions(list(values), axes), two_way(frame, tuple(values))
    model = coarsest(of_cell, partitions, deviations, paired)
    ordered = {model: partitions[model], **partitions}
    alone = all_spreads(list(values), of_cell, deviations, ordered, 1.0)
    if paired is None or not pairing_pays(of_cell, partitions[model], deviations, paired):
        return Fit(model, means, counts, alone)
    kept = paired.df / (len(rows) - len(values))
    between = all_spreads(list(values), of_cell, paired.residuals, ordered, kept)
    return Fit(model, means, counts, alone, between, paired)


def candidate_partitions(cells: list[CellKey], axes: tuple[str, ...]) -> dict[str, Array]:
    """Return the groupings of cells that are tried, the coarsest first: the number of the group by cell."""
    by_axis = {
        f"by {name}": numbered([cell[place] for cell in cells])
        for place, name in enumerate(axes)
        if 1 < len({cell[place] for cell in cells}) < len(cells)
    }
    ordered = sorted(by_axis.items(), key=lambda item: len(set(item[1])))
    groupings = {"pooled": [0] * len(cells), **dict(ordered), "by cell": list(range(len(cells)))}
    return {name: np.array(numbers) for name, numbers in groupings.items()}


def numbered(labels: list[Value]) -> list[int]:
    """Return the labels as numbers from 0 in the order of their first appearance."""
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return [places[label] for label in labels]


def coarsest(
    of_cell: Array, partitions: Mapping[str, Array], deviations: Array, paired: TwoWay | None
) -> str:
    """Return the name of the first grouping in which no other grouping shows unequal spreads.

    Args:
        of_cell: Number of the cell by row.
        partitions: Number of the group by cell, the coarsest grouping first.
        deviations: From the mean of the cell, by row.
        paired: The two-way model, None without one.
    """
    for name, group in partitions.items():
        pays = paired is not None and pairing_pays(of_cell, group, deviations, paired)
        residuals = paired.residuals if paired is not None and pays else deviations
        scaled = standardised(residuals, group[of_cell])
        others = [other[of_cell] for key, other in partitions.items() if key not in {name, "pooled"}]
        if not any(spreads_differ(scaled, other) for other in others):
            return name
    return "by cell"


def pairing_pays(of_cell: Array, group: Array, deviations: Array, paired: TwoWay) -> bool:
    """Return whether the spreads of groups are told better without what all cells share under one seed.

    Taking that out brings a little of the scatter of noisy cells into quiet ones, which is more than it takes
    away where spreads lie far apart and seeds share little. One spread for all cells is always told better.
    """
    labels = group[of_cell]
    if not labels.any():
        return True
    within = len(labels) - len(group)
    squares = [
        np.bincount(labels, weights=residuals**2) / df
        for residuals, df in ((paired.residuals, paired.df), (deviations, within))
    ]
    logs = [np.log(np.maximum(square, np.finfo(float).tiny)) for square in squares]
    return bool(((logs[0] - logs[1]) * np.bincount(labels)).sum() < 0)


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


def all_spreads(
    cells: list[CellKey], of_cell: Array, residuals: Array, partitions: Mapping[str, Array], kept: float
) -> tuple[Spreads, ...]:
    """Return the variances by every grouping, the first one chosen.

    The others tell what the chosen one leaves unexplained: they are applied to residuals over the spread of
    their own group, so that a quiet column is not charged for a noisy one.

    Args:
        cells: The cells.
        of_cell: Number of the cell by row.
        residuals: By row.
        partitions: Number of the group by cell; the chosen grouping first.
        kept: Degrees of freedom of the residuals over those within cells.
    """
    chosen = next(iter(partitions.values()))
    base, dfs = group_variances(of_cell, residuals, chosen, kept)
    found = [Spreads(*by_cell(cells, chosen, base), dfs)]
    scaled = residuals / np.sqrt(base)[of_cell]
    for name, group in list(partitions.items())[1:]:
        if name != "pooled":
            factors, own = group_variances(of_cell, scaled, group, kept)
            found.append(Spreads(*by_cell(cells, group, base * factors), own, floor=name == "by cell"))
    return tuple(found)


def by_cell(
    cells: list[CellKey], group: Array, variances: Array
) -> tuple[dict[CellKey, int], dict[CellKey, float]]:
    """Return groups and variances by cell."""
    return dict(zip(cells, group.tolist(), strict=True)), dict(zip(cells, variances.tolist(), strict=True))


def group_variances(
    of_cell: Array, residuals: Array, group: Array, kept: float
) -> tuple[Array, dict[int, float]]:
    """Return the variance by cell and the degrees of freedom by group.

    A group whose seeds agree by chance (or for lack of digits) takes the variance of the whole table:
    a zero there would turn any difference into a certainty.
    """
    squares = np.bincount(group[of_cell], weights=residuals**2)
    dfs = kept * (np.bincount(group[of_cell]) - np.bincount(group))
    overall_df = float(dfs.sum())
    overall = float(squares.sum()) / overall_df
    mean_square = np.divide(squares, dfs, out=np.zeros_like(squares), where=dfs > 0)
    known = mean_square > NO_SPREAD * overall
    variances = np.where(known, mean_square, overall)
    return variances[group], dict(enumerate(np.where(known, dfs, overall_df).tolist()))
