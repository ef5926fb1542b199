"""The table every analysis reads: cells x seeds, with what each axis and metric means.

Values stand at the epoch that the study's objective selects, never at one chosen by a total that holds
a swept weight. A trial that did not complete keeps its row, but lends its numbers to no mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from search_spaces.domains import Value, value_text
from sweeps.study import Objective

MOST_LEVELS = 20  # values of an axis; of more no reader tells one from the next
FEW_LEVELS = 6  # are drawn of such an axis
MOST_NAMED = 8  # things in a sentence
CellKey = tuple[Value, ...]
Array = np.ndarray[Any, np.dtype[Any]]
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
        searched: Whether a sampler chose its values; they are then those of the trials.
        low: Lower end of what was searched, None for options or when the records do not say.
        high: Upper end.
    """

    name: str
    values: tuple[Value, ...]
    scale: str = "category"
    simplicity: tuple[float, ...] = ()
    meaning: str = ""
    weight: bool = False
    searched: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def ranged(self) -> bool:
        """Whether it was searched between two numbers."""
        return self.searched and self.scale != "category"

    @cached_property
    def simplest_first(self) -> tuple[Value, ...]:
        """The values from simple to complex; the order of the study when no ranks are known."""
        if len(self.simplicity) != len(self.values):
            return self.values
        ranked = sorted(zip(self.simplicity, range(len(self.values)), strict=True))
        return tuple(self.values[place] for _, place in ranked)

    @cached_property
    def _places(self) -> dict[Value, int]:
        return {value: place for place, value in enumerate(self.simplest_first)}

    def place(self, value: Value) -> int:
        """Return the place of ``value`` from simple to complex, from 0."""
        return self._places[value]

    def thinned(self, most: int, few: int = FEW_LEVELS) -> Axis:
        """Return the axis with few of its values, from the simplest to the most complex, where it has over ``most``."""
        if len(self.values) <= most:
            return self
        last = len(self.values) - 1
        kept = tuple(self.simplest_first[round(i * last / (few - 1))] for i in range(few))
        return replace(self, values=kept, simplicity=tuple(range(few)))

    @property
    def bounds(self) -> tuple[float, float]:
        """The range that was searched, that of the values where the records do not say.

        Raises:
            ValueError: If it has no values.
        """
        numbers = [float(value) for value in self.values]
        low = min(numbers) if self.low is None else self.low
        return low, max(numbers) if self.high is None else self.high

    def scaled(self, value: Value) -> float:
        """Return a number on the scale on which equal steps mean equal effect."""
        return math.log10(float(value)) if self.scale == "log" and float(value) > 0 else float(value)

    def position(self, value: Value) -> float:
        """Return where a value of a ranged axis lies, from 0 (lower end) to 1, on the scale of the axis."""
        low, high = (self.scaled(bound) for bound in self.bounds)
        return (self.scaled(value) - low) / (high - low) if high > low else 0.0


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
        tracking: Where MLflow has the runs: ``uri`` and ``experiment_id``; empty when nobody says.
        span_s: Seconds from the first to the last recorded epoch, None when no times are recorded.
        objectives: All that a search optimises together, the objective first; empty when there is one.
        trials: One row per trial: trial_id, cell, seed, state, n_epochs, wall_s, error, epoch (the selected
            one, missing when there is none), guard, guard_epoch, point, mlflow_run_id, one column per axis and
            one per metric.
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
    objectives: tuple[Objective, ...] = ()
    tracking: Mapping[str, Any] = field(default_factory=dict)
    span_s: float | None = None
    _index: _Index | None = field(default=None, repr=False, compare=False)

    def axis(self, name: str) -> Axis | None:
        """Return the axis called ``name``, None when it was not swept."""
        return next((axis for axis in self.axes if axis.name == name), None)

    @property
    def searched(self) -> tuple[Axis, ...]:
        """The axes whose values a sampler chose; empty for a grid."""
        return tuple(axis for axis in self.axes if axis.searched)

    @property
    def gridded(self) -> tuple[Axis, ...]:
        """The axes whose values the study lists."""
        return tuple(axis for axis in self.axes if not axis.searched)

    @property
    def is_search(self) -> bool:
        """Whether some axis was searched."""
        return bool(self.searched)

    @property
    def _cells(self) -> _Index:
        """Rows by cell; made anew when the trials are another table."""
        if self._index is None or self._index.trials is not self.trials:
            self._index = _Index(self.trials, self.axes)
        return self._index

    @property
    def cells(self) -> list[CellKey]:
        """Every cell that has a trial, simplest first, the first axis outermost."""
        return list(self._cells.rows)

    def rows_of(self, cell: CellKey) -> pd.DataFrame:
        """Return the trials of one cell."""
        return self.trials.iloc[self._cells.rows.get(cell, [])]

    def states_of(self, cell: CellKey) -> list[str]:
        """Return the states of the trials of one cell."""
        return [str(state) for state in self._cells.states[self._cells.rows.get(cell, [])]]

    def thinned(self, most: int = MOST_LEVELS, few: int = FEW_LEVELS) -> SweepTable:
        """Return the cells at few values of every axis with over ``most``: those that a figure has room for."""
        axes = tuple(axis.thinned(most, few) for axis in self.axes)
        kept = np.all([self.trials[axis.name].isin(axis.values) for axis in axes], axis=0)
        return self if axes == self.axes else replace(self, axes=axes, trials=self.trials[kept], _index=None)

    def grid_point(self, cell: CellKey) -> CellKey:
        """Return the part of a cell that was not searched."""
        return tuple(value for axis, value in zip(self.axes, cell, strict=True) if not axis.searched)

    def contenders(self, metric: str) -> list[CellKey]:
        """Return the cells that comparisons may rest on.

        In a grid all cells with a value. In a search those with the most seeds, once any has two: the best
        of many points with one seed each is the luckiest, not the best.
        """
        counts = {cell: len(seeds) for cell, seeds in self.values(metric).items()}
        most = max(counts.values(), default=0)
        return [cell for cell, n in counts.items() if not self.is_search or most < 2 or n == most]

    def label(self, cell: CellKey) -> str:
        """Return the name of a cell for people: ``vq, globals_beta 10``; no two cells share one.

        Searched numbers are named by three digits, by all of them where cells would else be called the same.
        """
        short = self._joined(cell, digits=3)
        if not self.is_search:
            return short
        if self._cells.names is None:
            self._cells.names = Counter(self._joined(other, digits=3) for other in self._cells.rows)
        return short if self._cells.names[short] < 2 else self._joined(cell)

    def _joined(self, cell: CellKey, digits: int | None = None) -> str:
        return ", ".join(self.level(axis, value, digits) for axis, value in zip(self.axes, cell, strict=True))

    def level(self, axis: Axis, value: Value, digits: int | None = None) -> str:
        """Return the name of one value; without the axis when only one axis has words for values.

        Args:
            axis: The axis.
            value: Its value.
            digits: Significant digits of a searched number, all when None.
        """
        words = sum(isinstance(other.values[0], str) for other in self.axes if other.values)
        if isinstance(value, str) and words == 1:
            return value
        rounded = axis.ranged and digits is not None and isinstance(value, float)
        return f"{axis.name} {f'{value:.{digits}g}' if rounded else value_text(value)}"

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
        column, states = self.trials[metric].to_numpy(dtype=float), self.trials["state"].to_numpy()
        counted = (states == "complete") & np.isfinite(column)
        known, content = self._cells.read, (column.tobytes(), counted.tobytes())
        if metric not in known or known[metric][0] != content:
            known[metric] = content, self._by_cell(column, counted)
        return dict(known[metric][1])

    def _by_cell(self, column: Array, counted: Array) -> dict[CellKey, dict[int, float]]:
        seeds = self.trials["seed"].to_numpy()
        found = {
            cell: {int(seeds[row]): float(column[row]) for row in rows if counted[row]}
            for cell, rows in self._cells.rows.items()
        }
        return {cell: by_seed for cell, by_seed in found.items() if by_seed}

    def mean(self, metric: str, cell: CellKey) -> float | None:
        """Return the mean over the seeds of one cell, None when no completed trial has the metric."""
        seeds = self.values(metric).get(cell)
        return float(np.mean(list(seeds.values()))) if seeds else None

    @property
    def n_seeds(self) -> int:
        """The largest number of completed seeds in a cell."""
        complete = (self.trials["state"] == "complete").to_numpy()
        return max((int(complete[rows].sum()) for rows in self._cells.rows.values()), default=0)


class _Index:
    """The rows of every cell, simplest cell first; a row without a value on some axis is in none.

    Args:
        trials: The trials; the index is of this very table.
        axes: The swept parameters.
    """

    def __init__(self, trials: pd.DataFrame, axes: Sequence[Axis]) -> None:
        self.trials = trials
        self.states = trials["state"].to_numpy()
        self.names: Counter[str] | None = None
        self.read: dict[str, tuple[tuple[bytes, bytes], dict[CellKey, dict[int, float]]]] = {}
        columns = [trials[axis.name] for axis in axes]
        rows: dict[CellKey, list[int]] = {}
        for row, values in enumerate(zip(*columns, strict=True)):
            if not any(value is None or value != value for value in values):
                rows.setdefault(values, []).append(row)
        order = sorted(rows, key=lambda cell: self.place(axes, cell))
        named = {
            cell: tuple(axis.simplest_first[i] for axis, i in zip(axes, self.place(axes, cell), strict=True))
            for cell in order
        }
        self.rows = {named[cell]: rows[cell] for cell in order}

    @staticmethod
    def place(axes: Sequence[Axis], cell: CellKey) -> tuple[int, ...]:
        """Return the place of a cell along every axis."""
        return tuple(axis.place(value) for axis, value in zip(axes, cell, strict=True))


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """Return names as text, the first ones and the number of the others where they are many."""
    more = [f"and {len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED + 1 else []
    return separator.join([*names[:MOST_NAMED], *more] if more else names)


def bare_name(metric: str) -> str:
    """Return a metric's name without its split: ``valid/rec_tokens`` is ``rec_tokens``."""
    split, _, rest = metric.partition("/")
    return rest if split in {"train", "valid", "test", "train_eval"} and rest else metric
