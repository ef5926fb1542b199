"""The table every analysis reads: cells x seeds, with what each axis and metric means.

Values stand at the epoch that the study's objective selects, never at one chosen by a total that holds
a swept weight. A trial that did not complete keeps its row, but lends its numbers to no mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from search_spaces.domains import Value, value_text
from sweeps.study import Objective

CellKey = tuple[Value, ...]
Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Axis:
    """One swept parameter.

    Args:
        name: The parameter.
        values: Its values in the order of the study.
        scale: ``log``, ``linear`` or ``category``.
        simplicity: One rank per value, smaller is simpler.
        meaning: One line for figures.
        weight: Whether it is the factor on a loss term.
    """

    name: str
    values: tuple[Value, ...]
    scale: str = "category"
    simplicity: tuple[float, ...] = ()
    meaning: str = ""
    weight: bool = False

    @property
    def simplest_first(self) -> tuple[Value, ...]:
        """The values from simple to complex; the order of the study when no ranks are known."""
        if len(self.simplicity) != len(self.values):
            return self.values
        ranked = sorted(zip(self.simplicity, range(len(self.values)), strict=True))
        return tuple(self.values[place] for _, place in ranked)

    def place(self, value: Value) -> int:
        """Return the place of ``value`` from simple to complex, from 0."""
        return self.simplest_first.index(value)


@dataclass(frozen=True)
class Meaning:
    """What a metric means: which direction is better, whether it is a positive quantity, its text and unit."""

    mode: Mode | None = None
    positive: bool = False
    text: str = ""
    unit: str = ""


@dataclass
class SweepTable:
    """One sweep as the analysis sees it.

    Args:
        sweep_id: The sweep; empty when the records do not say.
        study: The study as recorded: name, family, question, grid, fixed, seeds, epochs, analysis.
        axes: Swept parameters, in the order of the study.
        objective: Selects epoch and cell; None when the records name none.
        trials: One row per trial: trial_id, cell, seed, state, n_epochs, wall_s, error, epoch (the selected
            one, missing when there is none), one column per axis and one per metric.
        history: trial_id, epoch, metric, value; finite values only.
        meanings: Meanings by metric name without the split.
        baselines: Numbers of predictors without training, ``<predictor>/<metric>``.
        params: Parameters that were not swept.
        provenance: Git, versions, data, hardware.
        problems: What is missing or unknown, one sentence each.
    """

    sweep_id: str
    study: dict[str, Any]
    axes: tuple[Axis, ...]
    objective: Objective | None
    trials: pd.DataFrame
    history: pd.DataFrame
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, Value] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def axis(self, name: str) -> Axis | None:
        """Return the axis called ``name``, None when it was not swept."""
        return next((axis for axis in self.axes if axis.name == name), None)

    @property
    def cells(self) -> list[CellKey]:
        """Every cell that has a trial, simplest first, the first axis outermost."""
        present = set(self.trials[[axis.name for axis in self.axes]].itertuples(index=False, name=None))
        grid = itertools.product(*(axis.simplest_first for axis in self.axes))
        return [cell for cell in grid if cell in present]

    def rows_of(self, cell: CellKey) -> pd.DataFrame:
        """Return the trials of one cell."""
        mask = np.ones(len(self.trials), dtype=bool)
        for axis, value in zip(self.axes, cell, strict=True):
            mask &= (self.trials[axis.name] == value).to_numpy()
        return self.trials[mask]

    def label(self, cell: CellKey) -> str:
        """Return the name of a cell for people: ``vq, globals_beta 10``."""
        return ", ".join(self.level(axis, value) for axis, value in zip(self.axes, cell, strict=True))

    def level(self, axis: Axis, value: Value) -> str:
        """Return the name of one value; without the axis when only one axis has words for values."""
        words = sum(isinstance(other.values[0], str) for other in self.axes)
        return str(value) if isinstance(value, str) and words == 1 else f"{axis.name} {value_text(value)}"

    def params_of(self, cell: CellKey) -> dict[str, Value]:
        """Return the swept parameters of a cell by name."""
        return {axis.name: value for axis, value in zip(self.axes, cell, strict=True)}

    def meaning(self, metric: str) -> Meaning:
        """Return what ``metric`` means; the objective's direction when nothing else is recorded."""
        known = self.meanings.get(metric) or self.meanings.get(bare_name(metric))
        if known is None and self.objective is not None and metric == self.objective.metric:
            return Meaning(mode=self.objective.mode)
        return known or Meaning()

    @property
    def metrics(self) -> list[str]:
        """Names of all recorded metrics, sorted."""
        return sorted(str(name) for name in self.history["metric"].unique())

    def values(self, metric: str) -> dict[CellKey, dict[int, float]]:
        """Return finite values of completed trials by cell and seed; empty for an unknown metric."""
        if metric not in self.trials.columns:
            return {}
        rows = self.trials[(self.trials["state"] == "complete") & np.isfinite(self.trials[metric])]
        names = [axis.name for axis in self.axes]
        found: dict[CellKey, dict[int, float]] = {}
        for values, seed, value in zip(
            rows[names].itertuples(index=False, name=None), rows["seed"], rows[metric], strict=True
        ):
            found.setdefault(values, {})[int(seed)] = float(value)
        return {cell: found[cell] for cell in self.cells if cell in found}

    def mean(self, metric: str, cell: CellKey) -> float | None:
        """Return the mean over the seeds of one cell, None when no completed trial has the metric."""
        seeds = self.values(metric).get(cell)
        return float(np.mean(list(seeds.values()))) if seeds else None

    @property
    def n_seeds(self) -> int:
        """The largest number of completed seeds in a cell."""
        complete = self.trials[self.trials["state"] == "complete"]
        return max((len(rows) for rows in self._groups(complete)), default=0)

    def _groups(self, rows: pd.DataFrame) -> Sequence[pd.DataFrame]:
        names = [axis.name for axis in self.axes]
        return [group for _, group in rows.groupby(names)] if names and len(rows) else []


def bare_name(metric: str) -> str:
    """Return a metric's name without its split: ``valid/rec_tokens`` is ``rec_tokens``."""
    split, _, rest = metric.partition("/")
    return rest if split in {"train", "valid", "test"} and rest else metric
