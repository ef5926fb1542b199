"""What a report says is true: effects that hold all at once, and the findings that rest on them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from analysis import guards, search, search_findings
from analysis.effects import LEVEL, Contrast, Effect, estimate, own_error_rate
from analysis.findings import Finding
from analysis.importance import Importances
from analysis.levels import unlisted_pairs
from analysis.recommendation import contrasts_with_best
from analysis.table import CellKey, SweepTable
from search_spaces.errors import RefusedError

# A module may also define exhibits(table, effects), the tables and figures of its own, CURVES, the metrics
# whose curves are drawn (see `analysis.gallery`), and ALSO, metrics on which a better cell is named beside the
# recommendation.
CONTRACT = ("contrasts", "findings", "figure_metrics", "TRADE_OFF")


class AnalysisError(RefusedError):
    """A study that names an analysis which does not exist or does not keep the contract."""


@dataclass(frozen=True)
class Claims:
    """What a report says is true.

    Args:
        contrasts: What was compared, by id.
        effects: All effects, by id.
        findings: The findings, in the order of the report.
        importances: How much each parameter of a search decides; empty for a grid.
    """

    contrasts: Mapping[str, Contrast]
    effects: Mapping[str, Effect]
    findings: tuple[Finding, ...]
    importances: tuple[Importances, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """What an earlier look at a sweep has shown.

    Args:
        effects: Its effects, by id.
        cells: Cells that have had no trial since: an effect that rests on one stands as it stood.
    """

    effects: Mapping[str, Effect]
    cells: frozenset[CellKey]

    def stands(self, contrast: Contrast) -> bool:
        """Return whether the effect of ``contrast`` stands as the earlier look has shown it."""
        return contrast.id in self.effects and any(not self.cells.isdisjoint(b) for b in contrast.blocks)


NOTHING_EARLIER = Earlier({}, frozenset())


def claims(table: SweepTable, level: float = LEVEL, earlier: Earlier = NOTHING_EARLIER) -> Claims:
    """Return effects and findings, by the analysis that the study names (``grid`` without one).

    Args:
        table: The sweep.
        level: Confidence that all intervals hold at once.
        earlier: What an earlier look has shown.

    Raises:
        AnalysisError: If the study names an analysis that does not exist.
    """
    module = analysis_of(table)
    asked, further = everything_asked(table, module.contrasts(table))
    effects = all_effects(table, asked, further, level)
    effects |= {contrast.id: earlier.effects[contrast.id] for contrast in asked if earlier.stands(contrast)}
    importances = search_findings.all_importances(table)
    findings = (
        *module.findings(table, effects),
        *search_findings.findings(table, effects, importances),
        *guards.findings(table),
    )
    return Claims({contrast.id: contrast for contrast in asked}, effects, findings, tuple(importances))


def analysis_of(table: SweepTable) -> ModuleType:
    """Return the analysis module that the study of ``table`` names."""
    return load_analysis(str(table.study.get("analysis") or "grid"))


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


def everything_asked(table: SweepTable, of_study: Sequence[Contrast]) -> tuple[list[Contrast], int]:
    """Return everything that a report compares, and how many comparisons it could have shown besides.

    Args:
        table: The sweep.
        of_study: The contrasts that the study's findings ask for.
    """
    with_best, further = contrasts_with_best(table)
    asked = [contrast for contrast in [*of_study, *with_best] if search.can_be_shown(table, contrast)]
    return asked, further + unlisted_pairs(table) + search.has_optimism(table)


def all_effects(
    table: SweepTable, contrasts: Sequence[Contrast], further: int, level: float = LEVEL
) -> dict[str, Effect]:
    """Return the effects of a report, whose intervals hold all at once.

    Args:
        table: The sweep.
        contrasts: What is compared.
        further: Comparisons that could have been shown besides.
        level: Simultaneous confidence.
    """
    effects = estimate(table, contrasts, further, level)
    luck = search.optimism(table, own_error_rate(contrasts, further, level))
    return effects if luck is None else {**effects, luck.id: luck}
