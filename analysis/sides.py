"""Sweeps as sides of a comparison: which cells are the same, and their trials as one table.

Two rules keep a claim true. Trials with the same id are the same work, and no evidence of anything. And seeds are
not paired between sweeps: that both call one 1 does not say that they share more than the number, so every trial
counts as a draw of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.claims import analysis_of
from analysis.recommendation import ranked_cells
from analysis.table import Axis, CellKey, Meaning, SweepTable, listed
from analysis.unpaired import CLUSTER
from search_spaces.errors import RefusedError

SWEEP = "sweep"  # the further axis
UNKNOWN = "unknown"  # value of a parameter that a sweep neither varies nor records
Keys = tuple[CellKey, CellKey]  # of a cell in the first sweep, and in the other


class ComparisonError(RefusedError):
    """Sweeps that cannot be compared."""


@dataclass(frozen=True)
class Side:
    """One sweep under the name that it is given here."""

    name: str
    table: SweepTable

    @property
    def cells(self) -> list[CellKey]:
        """The cells that comparisons may rest on: all of a grid, of a search those with the most seeds."""
        objective = self.table.objective
        if not self.table.is_search or objective is None:
            return self.table.cells
        return self.table.contenders(objective.metric)

    def key(self, cell: CellKey, names: Sequence[str]) -> CellKey:
        """Return a cell as the sweep's name and its values of the parameters ``names``, varied here or not."""
        fixed = self.table.study.get("fixed") or {}
        known = {**self.table.params, **fixed, **self.table.params_of(cell)}
        return (self.name, *(known.get(name, UNKNOWN) for name in names))


def common_metrics(first: Side, other: Side) -> list[str]:
    """Return what the report of either sweep is about and both measured, the objectives first."""
    tables = first.table, other.table
    wanted = [table.objective.metric for table in tables if table.objective is not None]
    wanted += [metric for table in tables for metric in analysis_of(table).figure_metrics(table)]
    found = [m for m in dict.fromkeys(wanted) if all(table.values(m) for table in tables)]
    if not found:
        looked_for = listed(list(dict.fromkeys(wanted))) or "neither report names any"
        raise ComparisonError(
            f"{first.name} and {other.name} have no metric in common with a completed trial in both ({looked_for}). "
            "Compare sweeps that measure the same."
        )
    return found


def joined(first: Side, other: Side, metrics: Sequence[str]) -> SweepTable:
    """Return the trials of both sweeps as one table with the sweep as its first axis, every trial with its own seed.

    Trials of the second sweep that the first one has are left out: they are no further evidence.
    """
    known = set(first.table.trials["trial_id"])
    names = varied(first, other)
    frames = [rows_of(first, names, metrics, set()), rows_of(other, names, metrics, known)]
    trials = pd.concat(frames, ignore_index=True)
    trials["seed"] = range(len(trials))
    axes = [Axis(SWEEP, (first.name, other.name))]
    axes += [Axis(name, tuple(dict.fromkeys(trials[name]))) for name in names]
    return SweepTable(
        sweep_id="",
        study={},
        axes=tuple(axes),
        objective=first.table.objective,
        trials=trials,
        history=pd.DataFrame({"metric": []}),
        meanings=meanings_of(other.table) | meanings_of(first.table),
    )


def rows_of(side: Side, names: Sequence[str], metrics: Sequence[str], known: set[str]) -> pd.DataFrame:
    """Return the trials of cells that comparisons may rest on, without those whose ids are ``known``."""
    rows = []
    for cell in side.cells:
        trials = side.table.rows_of(cell)
        trials = trials[~trials["trial_id"].isin(known)]
        frame = trials[["trial_id", "state", *metrics]].copy()
        frame[CLUSTER] = [f"{side.name}: {seed}" for seed in trials["seed"]]
        for name, value in zip((SWEEP, *names), side.key(cell, names), strict=True):
            frame[name] = pd.Series([value] * len(frame), index=frame.index, dtype=object)
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def meanings_of(table: SweepTable) -> dict[str, Meaning]:
    """Return the meanings that a sweep records, and the direction of its objective."""
    objective = table.objective
    known = dict(table.meanings)
    return known if objective is None else known | {objective.metric: table.meaning(objective.metric)}


def varied(*sides: Side) -> list[str]:
    """Return the parameters that vary in any of the sweeps."""
    return list(dict.fromkeys(axis.name for side in sides for axis in side.table.axes))


def same_cells(first: Side, other: Side) -> list[tuple[str, Keys]]:
    """Return the cells in both sweeps that the comparison may rest on: name, and the two keys in the joint table."""
    names = varied(first, other)
    there = {other.key(cell, names)[1:]: cell for cell in other.cells}
    found = {cell: first.key(cell, names) for cell in first.cells}
    return [
        (first.table.label(cell), (key, other.key(there[key[1:]], names)))
        for cell, key in found.items()
        if key[1:] in there and UNKNOWN not in key
    ]


def best_cells(first: Side, other: Side) -> tuple[list[tuple[str, Keys]], int]:
    """Return the best cell of each sweep as a pair, and how many pairs there were to choose from."""
    ranked = [ranked_cells(side.table) for side in (first, other)]
    for side, cells in zip((first, other), ranked, strict=True):
        if not cells:
            raise ComparisonError(
                f"{first.name} and {other.name} have no cell in common, and {side.name} no best one: none of its "
                "trials completed with its objective. Compare sweeps over the same parameters."
            )
    names = varied(first, other)
    label = f"{other.table.label(ranked[1][0])} against {first.table.label(ranked[0][0])}"
    keys = first.key(ranked[0][0], names), other.key(ranked[1][0], names)
    return [(label, keys)], len(ranked[0]) * len(ranked[1])
