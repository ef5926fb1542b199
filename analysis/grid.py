"""The analysis of any grid: what each axis does to the objective, and where its best level is.

Used for studies without an analysis of their own. It claims nothing about what the metrics mean beyond
what the records say of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.effects import Contrast, Effect, Kind
from analysis.findings import Finding, Wording, any_of, decide, differs, not_applicable
from analysis.levels import known, level_contrast, level_pairs, sweet_spot
from analysis.table import SweepTable

MOST_HEATMAPS = 6  # a report with more is not read

TRADE_OFF: tuple[str, str] | None = None


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the objective and the validation metrics that have a direction, at most `MOST_HEATMAPS`."""
    objective = [table.objective.metric] if table.objective else []
    directed = [m for m in table.metrics if m.startswith("valid/") and table.meaning(m).mode]
    drawn = dict.fromkeys([*objective, *directed])
    return [metric for metric in drawn if table.values(metric)][:MOST_HEATMAPS]


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return all pairs of levels of every axis on the objective."""
    if table.objective is None or table.is_search:
        return []
    kind = objective_kind(table)
    found = [
        level_contrast(table, table.objective.metric, axis.name, pair, kind)
        for axis in table.axes
        for pair in level_pairs(table, axis.name)
    ]
    return [contrast for contrast in found if contrast is not None]


def objective_kind(table: SweepTable) -> Kind:
    """Return whether the objective is compared as a ratio: it is said to be positive, and is."""
    assert table.objective is not None
    values = table.values(table.objective.metric).values()
    positive = all(value > 0 for seeds in values for value in seeds.values())
    return "ratio" if table.meaning(table.objective.metric).positive and positive else "difference"


def findings(table: SweepTable, effects: Mapping[str, Effect]) -> list[Finding]:
    """Return for every axis whether it has an effect, and its best level.

    Nothing of a search: its cells share no levels, and `analysis.search` says what it found.
    """
    if table.objective is None:
        return [not_applicable("effect_of_any_axis", "The records name no objective.")]
    if table.is_search:
        return []
    found = []
    for axis in table.axes:
        found += [
            has_effect(table, effects, axis.name),
            sweet_spot(
                table,
                effects,
                f"sweet_spot_{axis.name}",
                axis.name,
                table.objective.metric,
                objective_kind(table),
            ),
        ]
    return found


def has_effect(table: SweepTable, effects: Mapping[str, Effect], axis: str) -> Finding:
    """Return whether the objective differs between levels of one axis, averaged over the others."""
    assert table.objective is not None
    metric, kind = table.objective.metric, objective_kind(table)
    found = known(
        effects, *(level_contrast(table, metric, axis, pair, kind) for pair in level_pairs(table, axis))
    )
    if not found:
        return not_applicable(f"effect_of_{axis}", f"{axis} has no two levels with data on {metric}.")
    wording = Wording(
        supported=f"{axis} changes {metric}.",
        rejected=f"{axis} does not change {metric}: all its levels are the same within the margin.",
        undecided=f"Whether {axis} changes {metric} is open.",
        advice={"rejected": f"Leave {axis} at its simplest level and sweep something else."},
    )
    return decide(f"effect_of_{axis}", any_of(differs(effect) for effect in found), wording, found)
