"""The answer to a study: cells, effects, findings and recommendation, computed before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from analysis import guards, search
from analysis.cells import Cell, shown_counts, summarise
from analysis.claims import analysis_of, claims
from analysis.cost import cost
from analysis.effects import Effect
from analysis.findings import Finding
from analysis.follow_up import FollowUp
from analysis.importance import Importances
from analysis.levels import crowded
from analysis.looks import Seen, at_look, claims_in_looks, recorded_looks
from analysis.next_steps import proposals
from analysis.pareto import Front, pareto_front
from analysis.recommendation import (
    MOST_COMPARED,
    Recommendation,
    ranked_cells,
    recommend,
    why_none,
)
from analysis.search_exhibits import objective_front
from analysis.standing import standing_of
from analysis.table import CellKey, SweepTable
from analysis.verdicts import VerdictTable, standing_alone, verdict_tables
from search_spaces.domains import Value, value_text

MOST_LISTED = 200  # cells on a page
MOST_LACKING = 20  # cells without all their seeds that are named one by one


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
        front: The Pareto front of the objectives, or of the two metrics that may conflict; None without them.
        figure_metrics: Metrics that are drawn as heatmaps.
        problems: What is missing or unknown.
        importances: How much each parameter of a search decides; empty for a grid.
        path: What each look saw of a sweep that was run until decided; empty for any other.
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
    importances: tuple[Importances, ...] = ()
    path: tuple[Seen, ...] = ()

    @cached_property
    def proposals(self) -> list[FollowUp]:
        """What could be run next, the most urgent first."""
        ranked = ranked_cells(self.table)
        if not ranked:
            return []
        taken = self.recommendation
        chosen = ranked[0] if taken is None else tuple(taken.cell[axis.name] for axis in self.table.axes)
        return proposals(self.table, self.findings, chosen)

    @property
    def follow_up(self) -> FollowUp | None:
        """What to run next, None when nothing is proposed."""
        return self.proposals[0] if self.proposals else None

    @property
    def verdict_tables(self) -> list[VerdictTable]:
        """The findings that are made of many things alike, such as every arm: a table of verdicts each."""
        return verdict_tables(self.table, self.findings)

    @property
    def lone_findings(self) -> list[Finding]:
        """The findings that stand alone, those that do not apply last; all others are in `verdict_tables`."""
        alone = standing_alone(self.findings, self.verdict_tables)
        return sorted(alone, key=lambda finding: finding.verdict == "not_applicable")

    @property
    def headline(self) -> str:
        """The verdict of the sweep in one sentence; what shares a table is only counted."""
        alone = self.lone_findings
        counts = [(v, sum(f.verdict == v for f in alone)) for v in ("supported", "rejected", "undecided")]
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
        tabled = "".join(
            f"; verdicts per {shared.noun}: {shared.n_verdicts}" for shared in self.verdict_tables
        )
        summary = (f"findings: {told}" if told else "no finding applies") + f"{tabled}."
        if self.recommendation is None:
            return f"No cell is recommended; {summary}"
        taken = ", ".join(f"{k}={self._short(k, v)}" for k, v in self.recommendation.cell.items())
        value = f"{self.recommendation.metric} {self.recommendation.summary.mean:.3g}"
        return f"Recommended: {taken} ({value}){self._caution}; {summary}"

    @property
    def _caution(self) -> str:
        """That the recommended cell does not beat what needs no training, empty when it does."""
        standing = None if self.recommendation is None else self.recommendation.standing
        if standing is None or not standing.caution or standing.trivial is None:
            return ""
        known = f"{standing.trivial.name} ({standing.trivial.value:.3g}), which needs no training"
        if standing.relation == "worse":
            return f", though {known}, is better"
        return f", though it is not shown to beat {known}"

    def _short(self, name: str, value: Value) -> str:
        axis = self.table.axis(name)
        searched = axis is not None and axis.ranged and isinstance(value, float)
        return f"{value:.3g}" if searched else value_text(value)

    @property
    def shown_cells(self) -> tuple[Cell, ...]:
        """The cells that a page lists: those of a grid, the best ones of a large one; of a search its finalists."""
        if self.table.is_search and self.table.objective is not None:
            finalists = set(search.finalists(self.table))
            return tuple(cell for cell in self.cells if cell.key in finalists)
        if len(self.cells) <= MOST_LISTED:
            return self.cells
        by_key = {cell.key: cell for cell in self.cells}
        best_first = dict.fromkeys([*ranked_cells(self.table), *by_key])
        return tuple(by_key[key] for key in list(best_first)[:MOST_LISTED])

    @property
    def unshown(self) -> str:
        """What `shown_cells` leaves out, empty when nothing."""
        n_more = len(self.cells) - len(self.shown_cells)
        kept = "points that ran on all seeds" if self.table.is_search else "best cells by the objective"
        return (
            f"Shown are the {len(self.shown_cells)} {kept}; {n_more} more are in cells.csv." if n_more else ""
        )

    def as_json(self) -> dict[str, Any]:
        """Return ``report.json``: version 1 of its schema, without the listings, which are drawn later."""
        table, counts = self.table, shown_counts(self.cells)
        objective = None if table.objective is None else vars(table.objective)
        return {
            "schema_version": 1,
            "study": table.study.get("name"),
            "sweep_id": table.sweep_id or None,
            "question": table.study.get("question"),
            "objective": objective,
            "objectives": [vars(item) for item in table.objectives] or ([objective] if objective else []),
            "headline": self.headline,
            "cells": [self._cell_json(cell, counts) for cell in self.cells],
            "baselines": dict(table.baselines),
            "effects": [effect.as_json() for effect in self.effects.values()],
            "findings": [finding.as_json() for finding in self.findings],
            "recommendation": None if self.recommendation is None else self.recommendation.as_json(),
            "no_recommendation": self.no_recommendation or None,
            "follow_up": None if self.follow_up is None else self.follow_up.as_json(),
            "proposals": [proposal.as_json() for proposal in self.proposals],
            "guards": guards.as_json(table),
            "path": [seen.as_json() for seen in self.path],
            "importances": [vars(item) for item in self.importances],
            "problems": list(self.problems),
            "params": dict(table.params),
            "provenance": dict(table.provenance),
            "cost": cost(table),
        }

    def _cell_json(self, cell: Cell, counts: Sequence[str]) -> dict[str, Any]:
        metrics = {name: found.as_json() for name, found in cell.metrics.items()}
        counted = {name: count for name, count in cell.counts.items() if name in (*counts, "n_other")}
        return {"params": self.table.params_of(cell.key), "label": cell.label, **counted, "metrics": metrics}


def answer(table: SweepTable) -> Answer:
    """Return the answer to the study of ``table``, by the analysis that the study names (``grid`` without one).

    Raises:
        AnalysisError: If the study names an analysis that does not exist.
    """
    module, looks = analysis_of(table), recorded_looks(table)
    path: tuple[Seen, ...] = ()
    if looks:
        claimed, path = claims_in_looks(table, looks)
        table = at_look(table, path[-1].look)
    else:
        claimed = claims(table)
    effects = claimed.effects
    front = objective_front(table) if table.objectives else pareto_front(table, module.TRADE_OFF)
    metrics = tuple(module.figure_metrics(table))
    return Answer(
        table=table,
        cells=tuple(summarise(table, list(dict.fromkeys([*table.metrics, *metrics])))),  # some are derived
        effects=effects,
        findings=claimed.findings,
        recommendation=with_standing(
            table, recommend(table, effects, front), metrics, getattr(module, "ALSO", ())
        ),
        no_recommendation=why_none(table) or "",
        front=front,
        figure_metrics=metrics,
        problems=(*table.problems, *spread_problems(effects), *cell_problems(table), *limits(table)),
        importances=claimed.importances,
        path=path,
    )


def with_standing(
    table: SweepTable, taken: Recommendation | None, shown: Sequence[str], also: Sequence[str]
) -> Recommendation | None:
    """Return the recommendation with how its cell stands; None when there is none."""
    if taken is None:
        return None
    cell = next(cell for cell in table.cells if table.params_of(cell) == taken.cell)
    return replace(taken, standing=standing_of(table, cell, shown, also))


def spread_problems(effects: Mapping[str, Effect]) -> list[str]:
    """Return which metrics scatter so unevenly that spreads could not be pooled over all cells."""
    models = {effect.metric: effect.model for effect in effects.values() if effect.id != search.OPTIMISM}
    by_model: dict[str, list[str]] = {}
    for metric, model in sorted(models.items()):
        by_model.setdefault(model, []).append(metric)
    unknown = ", ".join(by_model.pop("unknown", []))
    said = [f"{unknown}: one seed per cell gives no interval; nothing is claimed."] if unknown else []
    by_model.pop("pooled", None)
    listed = "; ".join(f"{model} for {', '.join(metrics)}" for model, metrics in by_model.items())
    if listed:
        said.append(f"Seeds scatter unevenly: spreads are taken {listed}.")
    return said


def cell_problems(table: SweepTable) -> list[str]:
    """Return which cells lack seeds: their means rest on those trials that survived.

    Points of a search that were never meant to have more than one seed are no problem.
    """
    expected = table.study.get("seeds")
    n_expected = len(expected) if isinstance(expected, list | tuple) else int(expected or 0)
    if looks := recorded_looks(table):  # only the cells of open findings have more
        n_expected = looks[0].n_seeds
    said = []
    for cell in table.cells:
        states = table.states_of(cell)
        meant = len(states) > 1 or not table.is_search
        if meant and states.count("complete") < n_expected:
            said.append(lacking(table, cell, states.count("complete"), n_expected))
    if len(said) <= MOST_LACKING:
        return said
    return [
        *said[:MOST_LACKING],
        f"{len(said) - MOST_LACKING} more cells lack seeds; cells.csv has their counts.",
    ]


def limits(table: SweepTable) -> list[str]:
    """Return what a large grid leaves uncompared; whatever could have been compared counts towards the error rate."""
    n_cells = len(ranked_cells(table))
    said = [
        f"{len(axis.values)} values of {axis.name}: each is compared with the best one alone."
        for axis in crowded(table)
    ]
    if n_cells > MOST_COMPARED:
        said.append(f"{n_cells} cells: the best {MOST_COMPARED} are compared with the best one.")
    return said


def lacking(table: SweepTable, cell: CellKey, n: int, n_expected: int) -> str:
    """Return the sentence on one cell that lacks seeds; in a search it takes no part in comparisons."""
    counted = (
        not table.is_search or table.objective is None or cell in table.contenders(table.objective.metric)
    )
    consequence = "" if counted else "; it takes no part in comparisons"
    return f"{table.label(cell)}: {n} of {n_expected} seeds completed{consequence}."
