"""Sweeps side by side: which cells they share, and which differences between them are real.

The trials of two sweeps become one table with an axis more, the sweep (`analysis.sides`), so that spreads come from
all cells and all intervals hold at once, as within a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.changes import Change, changes
from analysis.effects import LEVEL, Contrast, Effect, Kind
from analysis.sides import (
    UNKNOWN,
    ComparisonError,
    Keys,
    Side,
    best_cells,
    common_metrics,
    joined,
    same_cells,
    varied,
)
from analysis.table import SweepTable, listed
from analysis.unpaired import estimate_unpaired


@dataclass(frozen=True)
class Judged:
    """One metric of one cell in two sweeps.

    Args:
        sweep: The sweep that is compared with the first.
        cell: Name of the cell, of both cells where they are not the same.
        effect: The sweep against the first.
        verdict: ``same``, ``better``, ``worse``, ``undecided``; ``higher`` or ``lower`` where neither is better.
    """

    sweep: str
    cell: str
    effect: Effect
    verdict: str

    @property
    def text(self) -> str:
        """The verdict with its interval, and the seeds that would decide it."""
        needed = self.effect.seeds_needed
        more = (
            f"; about {needed} seeds per cell would decide it"
            if self.verdict == "undecided" and needed
            else ""
        )
        return f"{self.verdict}, {self.effect.interval_text}{more}"

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in ``comparison.json``."""
        return {**self.effect.as_json(), "sweep": self.sweep, "cell": self.cell, "verdict": self.verdict}


@dataclass(frozen=True)
class Shared:
    """Which cells one sweep shares with the first.

    Args:
        sweep: Its name.
        both: Cells in both.
        first_only: Cells in the first alone.
        own: Cells in this one alone.
        same_work: Cells in both of which this one has no trial of its own.
        identical: Trials that are the same work in both.
    """

    sweep: str
    both: tuple[str, ...]
    first_only: tuple[str, ...]
    own: tuple[str, ...]
    same_work: tuple[str, ...]
    identical: int


@dataclass(frozen=True)
class Comparison:
    """Everything that is said of sweeps side by side.

    Args:
        names: Their names, the first one being what the others are compared with.
        tables: The sweeps.
        changes: What differs besides the numbers.
        shared: Which cells each further sweep shares with the first.
        metrics: What is compared.
        judged: The comparisons.
        notes: What limits them.
    """

    names: tuple[str, ...]
    tables: tuple[SweepTable, ...]
    changes: tuple[Change, ...]
    shared: tuple[Shared, ...]
    metrics: tuple[str, ...]
    judged: tuple[Judged, ...]
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """How many comparisons came out how, per sweep."""
        return " ".join(self._told(one) for one in self.shared)

    def _told(self, one: Shared) -> str:
        verdicts = [item.verdict for item in self.judged if item.sweep == one.sweep]
        counts = [(word, verdicts.count(word)) for word in dict.fromkeys(("worse", "better", *verdicts))]
        told = ", ".join(f"{count} {word}" for word, count in counts if count) or "nothing to compare"
        return f"{one.sweep} against {self.names[0]}: {told}."

    def as_json(self) -> dict[str, Any]:
        """Return ``comparison.json``: version 1 of its schema."""
        return {
            "schema_version": 1,
            "headline": self.headline,
            "sweeps": [
                {"name": name, "sweep_id": table.sweep_id or None, "study": table.study.get("name")}
                for name, table in zip(self.names, self.tables, strict=True)
            ],
            "changes": [
                {"what": c.what, **dict(zip(self.names, c.values, strict=True))} for c in self.changes
            ],
            "cells": [vars(one) for one in self.shared],
            "metrics": list(self.metrics),
            "comparisons": [item.as_json() for item in self.judged],
            "notes": list(self.notes),
        }


def compare(tables: Sequence[SweepTable], names: Sequence[str] | None = None) -> Comparison:
    """Return the first sweep and the others side by side.

    Every further sweep is compared with the first in a table of the two alone, at its part of the error rate, so that
    all intervals hold at once.

    Args:
        tables: At least two sweeps.
        names: What they are called; their ids, made unique, when None.

    Raises:
        ComparisonError: If there is only one, if two are the same, or if one measured nothing that the first did.

    Source:
        Šidák (1967), over the sweeps as within one table over its contrasts.
    """
    known = tuple(names or unique([table.sweep_id or "sweep" for table in tables]))
    refuse_nonsense(tables, known)
    first, others = Side(known[0], tables[0]), [Side(*one) for one in zip(known[1:], tables[1:], strict=True)]
    level = LEVEL ** (1 / len(others))
    metrics = {other.name: common_metrics(first, other) for other in others}
    compared = [compare_pair(first, other, metrics[other.name], level) for other in others]
    shared = tuple(one for one, _, _ in compared)
    return Comparison(
        names=known,
        tables=tuple(tables),
        changes=changes(tables),
        shared=shared,
        metrics=tuple(dict.fromkeys(metric for own in metrics.values() for metric in own)),
        judged=tuple(item for _, judged, _ in compared for item in judged),
        notes=(*notes_on(first, others), *(note for _, _, notes in compared for note in notes)),
    )


def compare_pair(
    first: Side, other: Side, metrics: Sequence[str], level: float
) -> tuple[Shared, list[Judged], list[str]]:
    """Return which cells two sweeps share, how the second one's values compare, and what limits that."""
    joint = joined(first, other, metrics)
    shared, pairs = shared_cells(first, other), same_cells(first, other)
    further, notes = 0, notes_on_cells(first, shared)
    if not pairs:
        pairs, n_pairs = best_cells(first, other)
        further = (n_pairs - 1) * len(metrics)
        notes.append(
            f"No cell is in both {first.name} and {other.name}: the best cell of each by its own objective is compared "
            f"({pairs[0][0]}). Their choice is allowed for: the intervals hold for all {n_pairs} pairs of cells."
        )
    asked = {
        f"{other.name}: {metric}: {cell}": (
            cell,
            contrast(joint, metric, (first.name, other.name), cell, keys),
        )
        for metric in metrics
        for cell, keys in pairs
    }
    wanted = [replace(c, id=name) for name, (_, c) in asked.items()]
    effects = estimate_unpaired(joint, wanted, further, level)
    judged = [
        Judged(other.name, asked[name][0], effect, verdict_on(joint, effect))
        for name, effect in effects.items()
    ]
    return shared, judged, notes


def unique(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same."""
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, 1)]


def refuse_nonsense(tables: Sequence[SweepTable], names: Sequence[str]) -> None:
    """Raise `ComparisonError` for fewer than two sweeps, or the same one twice."""
    if len(tables) < 2:
        raise ComparisonError(
            "One sweep cannot be compared with itself. Name at least two; see `sweeps status`."
        )
    seen: dict[tuple[str, frozenset[str], str], str] = {}
    for table, name in zip(tables, names, strict=True):
        records_id = str(table.provenance.get("records_id") or "")
        key = (table.sweep_id, frozenset(table.trials["trial_id"]), records_id)
        if key in seen:
            raise ComparisonError(
                f"{name} is the same sweep as {seen[key]}: nothing is to be compared. Name another; see "
                "`sweeps status`."
            )
        seen[key] = name


def contrast(joint: SweepTable, metric: str, names: tuple[str, str], cell: str, keys: Keys) -> Contrast:
    """Return the second sweep against the first on one metric in one cell."""
    values = [value for seeds in joint.values(metric).values() for value in seeds.values()]
    positive = joint.meaning(metric).positive and all(value > 0 for value in values)
    kind: Kind = "ratio" if positive else "difference"
    return Contrast(cell, metric, names[1], names[0], ({keys[1]: 1.0, keys[0]: -1.0},), kind)


def verdict_on(joint: SweepTable, effect: Effect) -> str:
    """Return in one word how the second sweep compares; a difference inside the margin is sameness."""
    if effect.same or not effect.differs:
        return "same" if effect.same else "undecided"
    mode, rises = joint.meaning(effect.metric).mode, effect.above(effect.null)
    if mode is None:
        return "higher" if rises else "lower"
    return "better" if rises == (mode == "max") else "worse"


def shared_cells(first: Side, other: Side) -> Shared:
    """Return which cells two sweeps share, and which of them are the same work in both."""
    names = varied(first, other)
    ours, theirs = ({side.key(c, names)[1:]: c for c in side.table.cells} for side in (first, other))
    both = [key for key in ours if key in theirs and UNKNOWN not in key]
    ids = [set(side.table.trials["trial_id"]) for side in (first, other)]
    same_work = [key for key in both if set(other.table.rows_of(theirs[key])["trial_id"]) <= ids[0]]
    return Shared(
        sweep=other.name,
        both=tuple(first.table.label(ours[key]) for key in both),
        first_only=tuple(first.table.label(cell) for key, cell in ours.items() if key not in both),
        own=tuple(other.table.label(cell) for key, cell in theirs.items() if key not in both),
        same_work=tuple(first.table.label(ours[key]) for key in same_work),
        identical=len(ids[0] & ids[1]),
    )


def notes_on_cells(first: Side, shared: Shared) -> list[str]:
    """Return what is said of the cells of two sweeps besides their values."""
    said = []
    if shared.identical:
        said.append(
            f"{shared.identical} trials have the same id in {first.name} and {shared.sweep}: they are the same work, "
            "told once and no evidence of sameness."
        )
    if shared.same_work:
        said.append(
            f"{shared.sweep} has no trial of its own in {listed(shared.same_work, '; ')}: identical, not compared."
        )
    return said


def notes_on(first: Side, others: Sequence[Side]) -> list[str]:
    """Return what makes the comparison one of more than what was meant to change."""
    said = []
    for other in others:
        a, b = first.table, other.table
        if a.objective is not None and b.objective is not None and a.objective.metric != b.objective.metric:
            said.append(
                f"{first.name} is judged by {a.objective.metric}, {other.name} by {b.objective.metric}: each trial's "
                "values stand at the epoch that its own objective selects."
            )
        prints = [str(table.provenance.get("data_fingerprint") or "") for table in (a, b)]
        if all(prints) and prints[0] != prints[1]:
            said.append(
                f"{other.name} was trained on other data than {first.name}: a difference may be the data's."
            )
        if a.study.get("family") != b.study.get("family"):
            said.append(
                f"{first.name} and {other.name} are of different families: a metric is taken as the same by its name."
            )
    return said
