"""Cells that no other cell beats on all of several metrics at once, and the knee among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.table import CellKey, Mode, SweepTable

Array = np.ndarray[Any, np.dtype[Any]]
Point = tuple[float, ...]


@dataclass(frozen=True)
class Front:
    """The Pareto set of two or more metrics, by the cells' means.

    Args:
        metrics: The metrics.
        points: Means by cell, in the order of the metrics, for all cells that have every one of them.
        cells: Cells of the Pareto set, by the first metric from best to worst.
        knee: The cell of the set that is closest to the best of all, None when the set is empty.
        modes: Which direction is better, by metric.
    """

    metrics: tuple[str, ...]
    points: dict[CellKey, Point]
    cells: tuple[CellKey, ...]
    knee: CellKey | None
    modes: tuple[Mode, ...]

    @property
    def conflict(self) -> bool:
        """Whether the metrics want different cells."""
        return len(self.cells) > 1

    def best(self, place: int) -> CellKey:
        """Return the cell with the best mean of one metric."""
        pick = min if self.modes[place] == "min" else max
        return pick(self.points, key=lambda cell: self.points[cell][place])


def pareto_front(
    table: SweepTable, metrics: Sequence[str] | None, modes: Sequence[Mode] | None = None
) -> Front | None:
    """Return the front of some metrics over the cells that comparisons may rest on.

    Args:
        table: The sweep.
        metrics: Two or more metrics; None gives None.
        modes: Which direction is better; what the records say of the metrics, else smaller, when None.

    Returns:
        None without two cells that have all metrics.
    """
    if metrics is None:
        return None
    known = tuple(modes or (table.meaning(metric).mode or "min" for metric in metrics))
    points = points_of(table, metrics)
    if len(points) < 2:
        return None
    cells, losses = list(points), as_losses(list(points.values()), known)
    undominated = [cell for cell, beaten in zip(cells, dominated(losses), strict=True) if not beaten]
    sign = 1.0 if known[0] == "min" else -1.0
    ordered = tuple(sorted(undominated, key=lambda cell: (sign * points[cell][0], points[cell][1:])))
    best = knee([points[cell] for cell in ordered], ordered, known)
    return Front(tuple(metrics), points, ordered, best, known)


def points_of(table: SweepTable, metrics: Sequence[str]) -> dict[CellKey, Point]:
    """Return the means of several metrics by cell, for contenders that have all of them."""
    found = []
    for metric in metrics:
        values, cells = table.values(metric), table.contenders(metric)
        found.append({cell: float(np.mean(list(values[cell].values()))) for cell in cells})
    shared: Mapping[CellKey, float] = found[0] if found else {}
    return {
        cell: tuple(means[cell] for means in found)
        for cell in shared
        if all(cell in means for means in found)
    }


def as_losses(points: Sequence[Point] | Array, modes: Sequence[Mode]) -> Array:
    """Return points, shape ``(n, metrics)``, with signs such that smaller is better everywhere."""
    signs = np.array([1.0 if mode == "min" else -1.0 for mode in modes])
    losses: Array = np.asarray(points, dtype=float) * signs
    return losses


def dominated(losses: Array) -> Array:
    """Return for every row of ``(n, metrics)`` whether another is nowhere worse and somewhere better."""
    nowhere_worse = (losses[:, None, :] <= losses[None, :, :]).all(axis=-1)
    somewhere_better = (losses[:, None, :] < losses[None, :, :]).any(axis=-1)
    beaten: Array = np.any(nowhere_worse & somewhere_better, axis=0)
    return beaten


def knee(
    points: Sequence[Point], cells: tuple[CellKey, ...], modes: Sequence[Mode] | None = None
) -> CellKey | None:
    """Return the point closest to the best of all metrics, on scaled (log, when positive) axes.

    Source:
        Distance to the utopia point: Marler and Arora (2004), section 3.2.
    """
    if not points:
        return None
    array = np.array(points)
    scaled = np.log(array) if (array > 0).all() else array
    losses = scaled if modes is None else as_losses(scaled, modes)
    span = np.ptp(losses, axis=0)
    unit = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
    distances = [math.hypot(*row) for row in unit]
    return cells[int(np.argmin(distances))]
