"""A cell that findings speak of by a name, and what the records say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.cells import summaries
from analysis.table import CellKey, SweepTable
from search_spaces.domains import Value

ARM = "arm"
SPLITS = ("valid/", "test/", "train/", "")
NO_SPREAD = 1e-9  # relative to their size: seeds that differ less are the same to the digits of float32


@dataclass(frozen=True)
class Subject:
    """One cell that findings speak of.

    Args:
        name: Name for people, and in the ids of findings.
        cell: Its cell.
        params: All parameters that the records tell of it: those of its arm, of the study, of the space.
    """

    name: str
    cell: CellKey
    params: Mapping[str, Value]


def all_params(table: SweepTable, cell: CellKey) -> dict[str, Value]:
    """Return every parameter that the records tell of a cell: of the space, the study, its arm, its axes."""
    swept = table.params_of(cell)
    setting = (table.study.get("arms") or {}).get(str(swept.get(ARM)), {})
    return {**table.params, **(table.study.get("fixed") or {}), **setting, **swept}


def metric_name(table: SweepTable, name: str) -> str:
    """Return a metric with the split it is recorded for, validation first."""
    recorded = set(table.trials.columns)
    return next((split + name for split in SPLITS if split + name in recorded), f"valid/{name}")


def mean_of(table: SweepTable, name: str, cell: CellKey) -> float | None:
    """Return the mean over the seeds of one cell of a metric without its split, None without a value."""
    return table.mean(metric_name(table, name), cell)


def half_widths(table: SweepTable, name: str) -> dict[CellKey, float | None]:
    """Return half the width of each cell's own 95 % interval, None where seeds give none."""
    return {cell: summary.half_width for cell, summary in summaries(table, metric_name(table, name)).items()}


def constant(values: Sequence[float]) -> bool:
    """Return whether several seeds gave the same number, as they do at a bound."""
    spread = max(values) - min(values) if values else 0.0
    return len(values) > 1 and spread <= NO_SPREAD * max(1.0, max(abs(value) for value in values))
