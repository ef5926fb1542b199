"""On which scale a cell is judged, so that three seeds can say something and never too much.

For every analysis that judges cells by bounds or against each other. Cells scatter by very different amounts: at a
bound of what is measured (a clipped variance, a share of nothing or everything, an encoder without gradient) seeds
agree to the last digit, elsewhere they differ by a tenth. One spread pooled over both would be wrong for either,
and cells that stand alone have two degrees of freedom, with which nothing is ever decided. So

* shares and accuracies are compared as odds, rank correlations by Fisher's z, positive quantities as ratios:
  there live cells scatter about evenly;
* a share that is 0 or 1 in every one of `FEWEST_AGREEING` seeds or more is counted, not estimated: no spread
  could be given to it that is not made up;
* cells at rest (those that `Scale.rests` names) are taken out of the column on which the live ones are judged.
  They are judged on the column of all cells, where `analysis.spread` gives a cell without spread the spread
  of the whole table: three equal numbers are no certainty.

What each metric rests at stands with its scale; `COMPONENTS` takes its bound from the study of reconstruction weights.

The columns are written into ``table.trials``; asking twice changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.effects import Kind
from analysis.recon_weight_targets import COLLAPSED_K_EFF
from analysis.subjects import constant, metric_name
from analysis.table import CellKey, SweepTable

SHARE_STEP = 0.005  # shares of images are taken as known to half a percent, so that 0 and 1 have odds
VARIANCE_STEP = 0.001  # shares of a variance or norm: what is smaller differs from zero by rounding alone
GRADIENT_STEP = 1e-9  # shares of the gradient are known to the digits of float32
FLAT = 1e-5  # a sigma that varies less between images varies by rounding
FEWEST_AGREEING = 3  # seeds; an arm that escapes in one seed of three is missed in three of ten sweeps
LIVE = " (live arms)"


@dataclass(frozen=True)
class Scale:
    """How one metric is made comparable.

    Args:
        kind: Ratio or difference of the transformed values.
        unit: What values are transformed to, empty when they are not.
        transform: From the metric to the compared value.
        rests: Whether a cell with these values is at rest.
        moved_by: Metric without which this one is rounding noise: where it is below `FLAT`, a cell rests, too.
        back: From the compared value to the metric.
    """

    kind: Kind
    unit: str = ""
    transform: Callable[[float], float] = float
    rests: Callable[[Sequence[float]], bool] = constant
    moved_by: str = ""
    back: Callable[[float], float] = float

    @property
    def label(self) -> str:
        """Put before the name of a transformed metric."""
        return f"{self.unit} of " if self.unit else ""

    def bound(self, value: float, reference: float) -> float:
        """Return where ``value`` lies for an effect that is measured against ``reference``."""
        a, b = self.transform(value), self.transform(reference)
        return a / b if self.kind == "ratio" else a - b

    def metric_at(self, end: float, reference: float) -> float:
        """Return the metric's value at one end of an effect that is measured against ``reference``."""
        at = self.transform(reference)
        return self.back(end * at if self.kind == "ratio" else end + at)

    def distance(self, value: float, bound: float) -> float:
        """Return how far a value is from a bound, on the scale on which effects add up."""
        a, b = self.transform(value), self.transform(bound)
        if self.kind == "difference":
            return abs(a - b)
        return abs(math.log(a / b)) if a > 0 and b > 0 else math.inf


def share_odds(share: float, step: float = SHARE_STEP) -> float:
    """Return the odds of a share that is known to ``step``."""
    return (share + step) / (1 - share + step)


def share_of_odds(odds: float, step: float = SHARE_STEP) -> float:
    """Return the share that has these odds, between 0 and 1: the inverse of `share_odds`."""
    return min(1.0, max(0.0, (odds * (1 + step) - step) / (1 + odds)))


def variance_odds(share: float) -> float:
    """Return the odds of a share of a variance or of a norm, which is no count and known more finely."""
    return share_odds(share, VARIANCE_STEP)


def share_of_variance_odds(odds: float) -> float:
    """Return the share of a variance that has these odds: the inverse of `variance_odds`."""
    return share_of_odds(odds, VARIANCE_STEP)


def gradient_odds(share: float) -> float:
    """Return one gradient over all others: 0.99 of the sum is 99 times the rest."""
    return (share + GRADIENT_STEP) / (1 - share + GRADIENT_STEP)


def fisher_z(correlation: float) -> float:
    """Return the variance-stabilised correlation, Fisher (1921)."""
    return float(np.arctanh(np.clip(correlation, -0.9999, 0.9999)))


def one_component(values: Sequence[float]) -> bool:
    """Return whether K_eff is that of a collapsed arm, where seeds scatter by thousandths."""
    return constant(values) or float(np.mean(values)) < COLLAPSED_K_EFF


def near_one(values: Sequence[float]) -> bool:
    """Return whether a calibration is one by construction, as with a sigma fitted to the residuals."""
    return constant(values) or max(abs(value - 1) for value in values) < 0.005


def never(_values: Sequence[float]) -> bool:
    """Return that no cell is at rest: seeds of all arms scatter alike on this scale."""
    return False


RATIO = Scale("ratio")
DIFFERENCE = Scale("difference", rests=never)
COMPONENTS = Scale(
    "difference", rests=one_component
)  # bounded by K, near which ratios scatter like nothing else
CALIBRATION = Scale("ratio", rests=near_one)
SHARE = Scale("ratio", "odds", share_odds, back=share_of_odds)
VARIANCE_SHARE = Scale("ratio", "odds", variance_odds, back=share_of_variance_odds)
GRADIENT = Scale("ratio", "odds", gradient_odds)
CORRELATION = Scale("difference", "Fisher z", fisher_z, moved_by="sigma_std")


def counted(table: SweepTable, name: str, scale: Scale, cell: CellKey) -> float | None:
    """Return the share that all seeds of a cell agree on, 0 or 1; None where it has to be estimated."""
    if scale is not SHARE:
        return None
    values = list(table.values(metric_name(table, name)).get(cell, {}).values())
    agreed = set(values) in ({0.0}, {1.0}) and len(values) >= FEWEST_AGREEING
    return values[0] if agreed else None


def column(table: SweepTable, name: str, scale: Scale, *cells: CellKey) -> str:
    """Return the column on which these cells are compared: that of the live arms when none of them rests.

    Args:
        table: The sweep; the column is added to its trials.
        name: Metric without its split.
        scale: Its scale.
        cells: The cells that are compared.
    """
    metric = metric_name(table, name)
    values = table.values(metric)
    everybody = scale.label + metric
    if scale.label and values and everybody not in table.trials:
        table.trials[everybody] = table.trials[metric].map(scale.transform, na_action="ignore")
    still = flat_cells(table, scale.moved_by)
    resting = [c for c, seeds in values.items() if c in still or scale.rests(list(seeds.values()))]
    if not resting or any(cell in resting for cell in cells):
        return everybody
    live = everybody + LIVE
    if live not in table.trials:
        mask = np.zeros(len(table.trials), dtype=bool)
        for cell in resting:
            mask |= table.trials.index.isin(table.rows_of(cell).index)
        table.trials[live] = table.trials[everybody].mask(mask)
    return live


def flat_cells(table: SweepTable, name: str) -> set[CellKey]:
    """Return the cells in which a metric is zero up to rounding in every seed; none without a name."""
    values = table.values(metric_name(table, name)) if name else {}
    return {cell for cell, seeds in values.items() if max(seeds.values()) < FLAT}
