"""The two-way model y = cell + seed by least squares, for any number of cells.

Means of cells are taken out first, which leaves an equation in the few seeds alone (Frisch and Waugh 1933,
Lovell 1963): the numbers are those of the full design, whose matrix has a column per cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.table import CellKey

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TwoWay:
    """A fitted model.

    Args:
        values: Every cell's mean over all seeds, those included that the cell lacks.
        codes: Mean code of the seeds of every cell, shape ``(seeds - 1,)``.
        inverse: Of the seeds' cross products within cells, shape ``(seeds - 1, seeds - 1)``.
        residuals: In the order of the rows, shape ``(rows,)``.
        df: Their degrees of freedom.
    """

    values: Mapping[CellKey, float]
    codes: Mapping[CellKey, Array]
    inverse: Array
    residuals: Array
    df: float

    @property
    def mean_square(self) -> float:
        """Variance of the residuals."""
        return float(self.residuals @ self.residuals) / self.df

    def contrast(self, weights: Mapping[CellKey, float]) -> tuple[float, float]:
        """Return the weighted sum of cells, and the variance that it has from seeds which some cells lack.

        The cells' own part comes on top: squared weights over counts times the variance of a value.
        """
        value = sum(weight * self.values[cell] for cell, weight in weights.items())
        of_seeds = sum(weight * self.codes[cell] for cell, weight in weights.items())
        return value, self.mean_square * float(of_seeds @ self.inverse @ of_seeds)


def two_way(frame: pd.DataFrame, cells: tuple[CellKey, ...]) -> TwoWay | None:
    """Return the fit, or None when the table cannot carry it.

    Args:
        frame: Columns ``cell``, ``seed`` and ``y``.
        cells: The cells, each with a row.
    """
    seeds = sorted(frame["seed"].unique())
    df = len(frame) - len(cells) - len(seeds) + 1
    if len(seeds) < 2 or len(cells) < 2 or df < 1:
        return None
    places = {cell: place for place, cell in enumerate(cells)}
    of_cell = np.array([places[cell] for cell in frame["cell"]])
    y, n = frame["y"].to_numpy(dtype=float), np.bincount(of_cell)
    last = (frame["seed"] == seeds[-1]).to_numpy(dtype=float)  # codes sum to zero over the seeds
    codes = np.stack([(frame["seed"] == seed).to_numpy(dtype=float) - last for seed in seeds[:-1]], axis=1)
    code_means = np.stack([np.bincount(of_cell, code) for code in codes.T], axis=1) / n[:, None]
    y_means = np.bincount(of_cell, y) / n
    within, rest = codes - code_means[of_cell], y - y_means[of_cell]
    if np.linalg.matrix_rank(within) < within.shape[1]:
        return None
    inverse = np.linalg.inv(within.T @ within)
    effects = inverse @ within.T @ rest
    values = y_means - code_means @ effects
    return TwoWay(
        values=dict(zip(cells, values.tolist(), strict=True)),
        codes=dict(zip(cells, code_means, strict=True)),
        inverse=inverse,
        residuals=rest - within @ effects,
        df=float(df),
    )
