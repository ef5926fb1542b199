"""Cells that no other cell beats on two metrics at once, and the knee among them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.table import CellKey, SweepTable


@dataclass(frozen=True)
class Front:
    """The Pareto set of two metrics, by the cells' means.

    Args:
        metrics: The two metrics.
        points: Means (x, y) by cell, for all cells that have both.
        cells: Cells of the Pareto set, by the first metric from best to worst.
        knee: The cell of the set that is closest to the best of both, None when the set is empty.
    """

    metrics: tuple[str, str]
    points: dict[CellKey, tuple[float, float]]
    cells: tuple[CellKey, ...]
    knee: CellKey | None

    @property
    def conflict(self) -> bool:
        """Whether the two metrics want different cells."""
        return len(self.cells) > 1


def pareto_front(table: SweepTable, metrics: tuple[str, str] | None) -> Front | None:
    """Return the front of two metrics that are both to be minimised, None without two cells that have both."""
    if metrics is None:
        return None
    points = {}
    for cell in table.cells:
        x, y = (table.mean(metric, cell) for metric in metrics)
        if x is not None and y is not None:
            points[cell] = (x, y)
    if len(points) < 2:
        return None
    undominated = [
        cell for cell, point in points.items() if not any(dominates(p, point) for p in points.values())
    ]
    ordered = tuple(sorted(undominated, key=lambda cell: points[cell]))
    return Front(metrics, points, ordered, knee([points[cell] for cell in ordered], ordered))


def dominates(p: tuple[float, float], q: tuple[float, float]) -> bool:
    """Return whether ``p`` is nowhere worse than ``q`` and somewhere better."""
    return p[0] <= q[0] and p[1] <= q[1] and p != q


def knee(points: list[tuple[float, float]], cells: tuple[CellKey, ...]) -> CellKey | None:
    """Return the point closest to the best of both metrics, on scaled (log, when positive) axes.

    Source:
        Distance to the utopia point: Marler and Arora (2004), section 3.2.
    """
    if not points:
        return None
    array = np.array(points)
    scaled = np.log(array) if (array > 0).all() else array
    span = np.ptp(scaled, axis=0)
    unit = (scaled - scaled.min(axis=0)) / np.where(span > 0, span, 1.0)
    distances = [math.hypot(*row) for row in unit]
    return cells[int(np.argmin(distances))]
