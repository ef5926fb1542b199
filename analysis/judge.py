"""Verdicts read off thresholds: which side of a bound a cell's mean lies on, by the interval of the report.

One contrast per subject and quantity serves all the bounds of that quantity, because an interval of a mean can
be read at any bound; its reference is the bound nearest to the mean, so that the seeds it asks for are those of
the question that is open. Findings ask for effects through the functions that register them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis import scales
from analysis.effects import Contrast, Effect
from analysis.findings import Number, Verdict, all_of
from analysis.levels import cell_contrast
from analysis.scales import Scale
from analysis.subjects import Subject, mean_of
from analysis.table import SweepTable

Effects = Mapping[str, Effect]


def always(_subject: Subject) -> bool:
    """Return that a quantity exists for every subject."""
    return True


@dataclass(frozen=True)
class Quantity:
    """What is compared with thresholds.

    Args:
        name: Metric without its split.
        scale: On which it is compared.
        bounds: All thresholds that findings read it at.
        applies: Whether a subject has it.
    """

    name: str
    scale: Scale
    bounds: tuple[float, ...]
    applies: Callable[[Any], bool] = always


def nearest_bound(table: SweepTable, subject: Subject, quantity: Quantity) -> float | None:
    """Return the threshold that is nearest to its mean, None when it has no value or cannot have."""
    mean = mean_of(table, quantity.name, subject.cell)
    if mean is None or not quantity.applies(subject):
        return None
    if subject.cell in scales.flat_cells(table, quantity.scale.moved_by):
        return None
    if scales.counted(table, quantity.name, quantity.scale, subject.cell) is not None:
        return None
    return min(quantity.bounds, key=lambda bound: quantity.scale.distance(mean, bound))


def against_bound(table: SweepTable, subject: Subject, quantity: Quantity) -> Contrast | None:
    """Return one subject against the nearest threshold of one quantity."""
    bound = nearest_bound(table, subject, quantity)
    if bound is None:
        return None
    column = scales.column(table, quantity.name, quantity.scale, subject.cell)
    reference = float(f"{quantity.scale.transform(bound):.5g}")
    name = f"{bound:g} as {quantity.scale.unit}" if quantity.scale.unit else "the threshold"
    return cell_contrast(table, column, subject.cell, reference, name, quantity.scale.kind)


def between(table: SweepTable, name: str, scale: Scale, a: Subject, b: Subject | None) -> Contrast | None:
    """Return one subject against another, None when they are the same or the sweep lacks one."""
    if b is None or a.cell == b.cell:
        return None
    column = scales.column(table, name, scale, a.cell, b.cell)
    block = {a.cell: 1.0, b.cell: -1.0}
    return Contrast(f"{column}: {a.name} vs {b.name}", column, a.name, b.name, (block,), scale.kind)


def effect_of(table: SweepTable, effects: Effects, subject: Subject, quantity: Quantity) -> Effect | None:
    """Return the effect of one subject on one quantity, None without data."""
    contrast = against_bound(table, subject, quantity)
    return None if contrast is None else effects.get(contrast.id)


@dataclass(frozen=True)
class Judge:
    """Reads thresholds off the effects of one sweep.

    Args:
        table: The sweep.
        effects: Its effects.
    """

    table: SweepTable
    effects: Effects

    def above(self, subject: Subject, quantity: Quantity, bound: float) -> Verdict | None:
        """Return the verdict on "its mean is above ``bound``", None without data."""
        agreed = scales.counted(self.table, quantity.name, quantity.scale, subject.cell)
        if agreed is not None and quantity.applies(subject):
            return "supported" if agreed > bound else "rejected"
        effect, nearest = self.effect(subject, quantity), nearest_bound(self.table, subject, quantity)
        if effect is None or nearest is None:
            return None
        at = quantity.scale.bound(bound, nearest)
        return "supported" if effect.above(at) else "rejected" if effect.below(at) else "undecided"

    def below(self, subject: Subject, quantity: Quantity, bound: float) -> Verdict | None:
        """Return the verdict on "its mean is below ``bound``", None without data."""
        return opposite(self.above(subject, quantity, bound))

    def effect(self, subject: Subject, quantity: Quantity) -> Effect | None:
        """Return the effect that the verdicts on one quantity rest on."""
        return effect_of(self.table, self.effects, subject, quantity)

    def step(self, contrast: Contrast | None) -> Effect | None:
        """Return the effect of a contrast, None without data."""
        return None if contrast is None else self.effects.get(contrast.id)


def opposite(verdict: Verdict | None) -> Verdict | None:
    """Return the verdict on the opposite claim."""
    if verdict == "supported":
        return "rejected"
    return "supported" if verdict == "rejected" else verdict


def numbers(table: SweepTable, subject: Subject, *names: str) -> list[Number]:
    """Return the means of metrics in one subject, those that are recorded."""
    means = ((name, mean_of(table, name, subject.cell)) for name in names)
    return [Number(f"{name}, {subject.name}", mean) for name, mean in means if mean is not None]


def given(*effects: Effect | None) -> list[Effect]:
    """Return the effects that have data."""
    return [effect for effect in effects if effect is not None]


def in_range(
    judge: Judge, subject: Subject, quantity: Quantity, bounds: tuple[float, float]
) -> Verdict | None:
    """Return the verdict on "its mean lies between two bounds", None without data."""
    above, below = judge.above(subject, quantity, bounds[0]), judge.below(subject, quantity, bounds[1])
    return None if above is None or below is None else all_of([above, below])
