"""What the study of a KL weight compares: collapse per cell, and the weight's levels on price and gain.

The names of the metrics are those that families use; the first that is recorded is taken, so a family with
another name for the same thing adds it here and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.effects import Contrast, Kind
from analysis.grid import objective_kind
from analysis.kl_weight_anomaly import kl_contrast
from analysis.levels import level_contrast, level_pairs
from analysis.table import CellKey, SweepTable
from search_spaces.domains import Value

WEIGHT, SCHEDULE = "kl_weight", "kl_schedule"
SPLITS = ("valid/", "test/")
KL_NAMES = ("kl_z_per_dim", "kl_per_dim", "kl_z", "kl")
UNIT_NAMES = ("active_units", "active_dims")
RECON_NAMES = ("mse", "recon_loss", "rec_loss", "recon")
MOST_CELLS = 24  # a verdict for every cell of a larger grid is not read


def recorded(table: SweepTable, names: Sequence[str]) -> str | None:
    """Return the first metric of these names that is recorded, None when none is."""
    columns = set(table.trials.columns)
    return next((split + name for name in names for split in SPLITS if split + name in columns), None)


def kl_metric(table: SweepTable) -> str | None:
    """Return the KL divergence of the latent, per dimension where that is recorded."""
    return recorded(table, KL_NAMES)


def judged_cells(table: SweepTable) -> list[CellKey]:
    """Return the cells whose KL is judged one by one; none in a grid that is too large for it."""
    metric = kl_metric(table)
    cells = list(table.values(metric)) if metric else []
    return cells if len(cells) <= MOST_CELLS else []


def step(table: SweepTable, metric: str, axis: str, pair: tuple[Value, Value]) -> Contrast | None:
    """Return one level of an axis against another, as a ratio where all values are positive."""
    return level_contrast(table, metric, axis, pair, kind_of(table, metric))


def kind_of(table: SweepTable, metric: str) -> Kind:
    """Return how levels are compared on a metric; the objective as everywhere else in the report."""
    if table.objective is not None and metric == table.objective.metric:
        return objective_kind(table)
    values = [value for seeds in table.values(metric).values() for value in seeds.values()]
    return "ratio" if values and min(values) > 0 else "difference"


def extremes(table: SweepTable) -> tuple[Value, Value] | None:
    """Return the largest and the smallest weight of the sweep, None without two."""
    axis = table.axis(WEIGHT)
    if axis is None or len(axis.values) < 2:
        return None
    ordered = sorted(axis.values, key=float)
    return ordered[-1], ordered[0]


def spread_metrics(table: SweepTable) -> list[str]:
    """Return the metrics on which the largest weight is held against the smallest: KL, units, reconstruction."""
    found = (recorded(table, names) for names in (KL_NAMES, UNIT_NAMES, RECON_NAMES))
    return [metric for metric in found if metric is not None]


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return every contrast that the findings of a KL-weight study rest on."""
    found: list[Contrast | None] = []
    if table.objective is not None:
        for axis in table.axes:
            pairs = level_pairs(table, axis.name)
            found += [step(table, table.objective.metric, axis.name, pair) for pair in pairs]
    ends, metric = extremes(table), kl_metric(table)
    if ends is not None:
        found += [step(table, name, WEIGHT, ends) for name in spread_metrics(table)]
    if metric is not None:
        found += [step(table, metric, SCHEDULE, pair) for pair in level_pairs(table, SCHEDULE)]
        found += [kl_contrast(table, metric, cell) for cell in judged_cells(table)]
    return [contrast for contrast in found if contrast is not None]
