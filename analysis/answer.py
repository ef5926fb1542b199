"""The answer to a study: cells, effects, findings and recommendation, computed before anything is drawn."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from analysis.cells import Cell, summarise
from analysis.effects import Effect, estimate
from analysis.findings import Finding
from analysis.follow_up import FollowUp
from analysis.pareto import Front, pareto_front
from analysis.recommendation import (
    Recommendation,
    contrasts_with_best,
    next_study,
    ranked_cells,
    recommend,
    why_none,
)
from analysis.table import SweepTable
from search_spaces.domains import value_text
from search_spaces.errors import RefusedError

CONTRACT = ("contrasts", "findings", "figure_metrics", "TRADE_OFF")


class AnalysisError(RefusedError):
    """A study that names an analysis which does not exist or does not keep the contract."""


@dataclass(frozen=True)
class Answer:
    """Everything a report says.

    Args:
        table: The sweep.
        cells: The cell table.
        effects: All effects, by id.
        findings: The findings, in the order of the report.
        recommendation: The cell to take, None when there is none.
        no_recommendation: Why there is none, empty when there is one.
        front: The Pareto front of the two conflicting metrics, None without them.
        figure_metrics: Metrics that are drawn as heatmaps.
        problems: What is missing or unknown.
    """

    table: SweepTable
    cells: tuple[Cell, ...]
    effects: Mapping[str, Effect]
    findings: tuple[Finding, ...]
    recommendation: Recommendation | None
    no_recommendation: str
    front: Front | None
    figure_metrics: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def follow_up(self) -> FollowUp | None:
        """What to run next, None when nothing is proposed."""
        if self.recommendation is not None:
            return self.recommendation.follow_up
        ranked = ranked_cells(self.table)
        return next_study(self.table, self.findings, ranked[0]) if ranked else None

    @property
    def headline(self) -> str:
        """The verdict of the sweep in one sentence."""
        counts = [
            (v, sum(f.verdict == v for f in self.findings)) for v in ("supported", "rejected", "undecided")
        ]
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
        summary = f"findings: {told}." if told else "no finding applies."
        if self.recommendation is None:
            return f"No cell is recommended; {summary}"
        taken = ", ".join(f"{k}={value_text(v)}" for k, v in self.recommendation.cell.items())
        value = f"{self.recommendation.metric} {self.recommendation.summary.mean:.3g}"
        return f"Recommended: {taken} ({value}); {summary}"

    def as_json(self) -> dict[str, Any]:
        """Return ``report.json``: version 1 of its schema."""
        table = self.table
        objective = None if table.objective is None else vars(table.objective)
        return {
            "schema_version": 1,
            "study": table.study.get("name"),
            "sweep_id": table.sweep_id or None,
            "question": table.study.get("question"),
            "objective": objective,
            "headline": self.headline,
            "cells": [self._cell_json(cell) for cell in self.cells],
            "baselines": dict(table.baselines),
            "effects": [effect.as_json() for effect in self.effects.values()],
            "findings": [finding.as_json() for finding in self.findings],
            "recommendation": None if self.recommendation is None else self.recommendation.as_json(),
            "no_recommendation": self.no_recommendation or None,
            "follow_up": None if self.follow_up is None else self.follow_up.as_json(),
            "problems": list(self.problems),
            "params": dict(table.params),
            "provenance": dict(table.provenance),
        }

    def _cell_json(self, cell: Cell) -> dict[str, Any]:
        metrics = {name: found.as_json() for name, found in cell.metrics.items()}
        counts = {"n": cell.n, "n_diverged": cell.n_diverged, "n_other": cell.n_other}
        return {"params": self.table.params_of(cell.key), "label": cell.label, **counts, "metrics": metrics}


def load_analysis(name: str) -> ModuleType:
    """Return the analysis module called ``name``: one of `analysis`, or a dotted path of the user's own.

    Raises:
        AnalysisError: If there is no such module, or it lacks a part of the contract.
    """
    path = name if "." in name else f"analysis.{name}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path and error.name not in path.split("."):
            raise
        raise AnalysisError(
            f"analysis={name!r} is not a module of analysis. Use 'grid', or the dotted path of your own module."
        ) from error
    missing = [part for part in CONTRACT if not hasattr(module, part)]
    if missing:
        raise AnalysisError(f"{path} has no {missing[0]}. An analysis module defines {', '.join(CONTRACT)}.")
    return module


def answer(table: SweepTable) -> Answer:
    """Return the answer to the study of ``table``, by the analysis that the study names (``grid`` without one).

    Raises:
        AnalysisError: If the study names an analysis that does not exist.
    """
    module = load_analysis(str(table.study.get("analysis") or "grid"))
    with_best, further = contrasts_with_best(table)
    effects = estimate(table, [*module.contrasts(table), *with_best], further)
    findings: Sequence[Finding] = module.findings(table, effects)
    front = pareto_front(table, module.TRADE_OFF)
    metrics = tuple(module.figure_metrics(table))
    return Answer(
        table=table,
        cells=tuple(summarise(table)),
        effects=effects,
        findings=tuple(findings),
        recommendation=recommend(table, effects, findings, front),
        no_recommendation=why_none(table) or "",
        front=front,
        figure_metrics=metrics,
        problems=(*table.problems, *spread_problems(effects), *cell_problems(table)),
    )


def spread_problems(effects: Mapping[str, Effect]) -> list[str]:
    """Return which metrics scatter so unevenly that spreads could not be pooled over all cells."""
    models = {effect.metric: effect.model for effect in effects.values()}
    said = []
    for metric, model in sorted(models.items()):
        if model == "unknown":
            said.append(f"{metric}: one seed per cell gives no interval; nothing is claimed.")
        elif model != "pooled":
            said.append(
                f"{metric}: seeds scatter unevenly, so spreads are taken {model} and seeds are not paired."
            )
    return said


def cell_problems(table: SweepTable) -> list[str]:
    """Return which cells lack seeds: their means rest on those trials that survived."""
    expected = table.study.get("seeds")
    n_expected = len(expected) if isinstance(expected, list | tuple) else int(expected or 0)
    said = []
    for cell in table.cells:
        n = int((table.rows_of(cell)["state"] == "complete").sum())
        if n < n_expected:
            said.append(f"{table.label(cell)}: {n} of {n_expected} seeds completed.")
    return said
