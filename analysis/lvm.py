"""Which losses keep a next-vector model from saying the mean of everything, and which change of a ladder helps?

=======================================================  =========================================================
question                                                 finding
=======================================================  =========================================================
Is training worth it at all?                             beats_trivial, beats_trivial[cell]
Do all cells say more than the mean vector?              all_backbones_beat_mean_vector, beats_mean_vector[cell]
Which cells collapse to it?                              mean_vector_collapse[cell]
Are predictions spread as the corpus is?                 moments_match[cell]
Does the decoder read them, and if not, who is to blame? decoder_abc[cell]
Are they only the last sentence again?                   copies_last[cell]
MSE, InfoNCE or both?                                    infonce_vs_mse, both_better_than_one
What does contrast buy, and what does it cost?           contrast_trade_off
Do single choices help?                                  hard_negatives_help, moment_term_helps
Which rung of the ladder helps?                          change_helps[arm], whole_ladder_helps
Which level is best by the objective?                    sweet_spot_<axis>, effect_of_<axis>
=======================================================  =========================================================

One module for backbones by loss mixes, for the search over the weights, whose finalists are judged as cells, and for
the ladder from one normalised output to two heads, contrast, moment terms and harder batches.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis import grid
from analysis.effects import Contrast, Effect
from analysis.exhibit import Drawing, Listing
from analysis.findings import Finding
from analysis.judge import Judge
from analysis.lvm_bars import baseline_bars
from analysis.lvm_cells import cell_contrasts
from analysis.lvm_figures import ladder
from analysis.lvm_ladder import ladder_contrasts, on_ladder
from analysis.lvm_main_effects import main_effect_contrasts, on_main_effects
from analysis.lvm_tables import next_vector_summary
from analysis.lvm_verdicts import on_cells
from analysis.table import SweepTable

__all__ = ["TRADE_OFF", "contrasts", "exhibits", "figure_metrics", "findings"]

TRADE_OFF: tuple[str, str] | None = ("valid/skill", "valid/moment_err")
DRAWN = (
    "valid/skill",
    "valid/margin_next_last",
    "valid/centred_cosine",
    "valid/mrr",
    "valid/collapse_index",
    "valid/moment_err",
)
CURVES = ("valid/cos", "valid/mse", "valid/mrr")
ALSO = ("valid/mrr", "valid/centred_cosine")  # the cosine rewards the mean direction, and these do not


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the objective, skill, the margin over the last vector, centred cosine, retrieval, diversity, moments."""
    objective = [table.objective.metric] if table.objective else []
    return [metric for metric in dict.fromkeys([*objective, *DRAWN]) if table.values(metric)]


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return every contrast that the findings of this study rest on."""
    return [
        *ladder_contrasts(table),
        *main_effect_contrasts(table),
        *cell_contrasts(table),
        *grid.contrasts(table),
    ]


def findings(table: SweepTable, effects: Mapping[str, Effect]) -> list[Finding]:
    """Return all findings of the study: the ladder, main effects, the axes, then single cells."""
    judge = Judge(table, effects)
    return [
        *on_ladder(judge),
        *on_main_effects(judge),
        *grid.findings(table, effects),
        *on_cells(judge),
    ]


def exhibits(table: SweepTable, effects: Mapping[str, Effect]) -> list[Drawing | Listing]:
    """Return the ladder, every cell beside the trivial predictors, and the summary."""
    judge = Judge(table, effects)
    found = [ladder(judge), baseline_bars(judge), next_vector_summary(judge)]
    return [item for item in found if item is not None]
