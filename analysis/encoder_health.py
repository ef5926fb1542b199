"""Why do hybrid encoders fail where a standard one learns, and what mends them: the findings of the study.

=======================================================  ====================================================
question                                                 finding
=======================================================  ====================================================
Which reason has the most evidence?                      hypotheses_ranked
Does the hybrid encoder fail at all?                     problem_is_there
Does gradient reach it?                                  H1_gradient_flow, encoder_starved[arm]
Is its output on the scale of the tokens?                H2_output_scale, context_scale_off[arm]
Does its architecture tell puzzles apart?                H3_architecture, representation_collapse[arm]
Does halting get in the way?                             H4_halting, halting_off[arm]
Does the batch size matter?                              batch_matters
What does a single change do?                            change_helps[arm]
Is the context read, and is the input copied?            decoder_ignores_context[arm], copies_input[arm]
=======================================================  ====================================================

The arms ``control`` and ``sf1`` are known by their names; all others by the parameters in which they differ from
``sf1``. How hypotheses are ordered stands in `analysis.encoder_health_hypotheses`.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.effects import Contrast, Effect
from analysis.encoder_health_changes import (
    REFERENCE,
    TRAINED,
    closed_text,
    distances,
    interventions,
    mode_of,
    step_contrasts,
)
from analysis.encoder_health_figures import ForestRow, forest, ratio_curves
from analysis.encoder_health_hypotheses import HYPOTHESES
from analysis.encoder_health_monitors import MONITORS, monitor_contrasts, monitored, subjects
from analysis.encoder_health_ranking import hypothesis_table, intervention_helps, ranking
from analysis.exhibit import Drawing, Listing
from analysis.findings import Finding
from analysis.judge import Judge
from analysis.subjects import metric_name
from analysis.table import SweepTable

__all__ = ["TRADE_OFF", "contrasts", "exhibits", "figure_metrics", "findings"]

TRADE_OFF: tuple[str, str] | None = None
DRAWN = (
    TRAINED,
    "encoder_cross_sample_ratio",
    "grad_ratio/encoder",
    "context_to_token_rms",
    "ctx_flip",
    "copy_rate",
)


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the objective, the line of sanity, and the monitors."""
    objective = [table.objective.metric] if table.objective else []
    names = dict.fromkeys([*objective, *(metric_name(table, name) for name in DRAWN)])
    return [name for name in names if table.values(name)]


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return every contrast that the findings of this study rest on."""
    return [*step_contrasts(table), *monitor_contrasts(table)]


def findings(table: SweepTable, effects: Mapping[str, Effect]) -> list[Finding]:
    """Return all findings of the study, the order of the hypotheses first."""
    judge = Judge(table, effects)
    per_arm = [monitored(judge, monitor, arm) for monitor in MONITORS for arm in subjects(table)]
    return [*ranking(judge), *(intervention_helps(judge, one) for one in interventions(judge)), *per_arm]


def exhibits(table: SweepTable, effects: Mapping[str, Effect]) -> list[Drawing | Listing]:
    """Return the table of hypotheses, the effects of the interventions, and the gradient over epochs."""
    judge = Judge(table, effects)
    found = [hypothesis_table(judge), forest_of(judge), ratio_curves(table)]
    return [item for item in found if item is not None]


def forest_of(judge: Judge) -> Drawing | None:
    """Return the forest plot of all single changes, hypothesis by hypothesis."""
    groups = {parameter: h.id.split("_")[0] for h in HYPOTHESES for parameter in h.parameters}
    distance = distances(judge)[0]
    rows = [
        ForestRow(
            groups.get(one.parameter, "–"),
            f"{one.arm.name}: {one.setting}",
            one.objective,
            closed_text(one.objective, distance, mode_of(judge.table)),
            one.verdict == "supported",
        )
        for one in interventions(judge)
        if one.objective is not None
    ]
    return forest(judge.table, sorted(rows, key=lambda row: row.group), distance, REFERENCE)
