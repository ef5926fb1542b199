"""Is the encoder's output diverse, is it stochastic, and what do its weight, its latent and its depth do to that?

=======================================================  ====================================================
question                                                 finding
=======================================================  ====================================================
Do puzzles get contexts of their own?                    representation_collapse[cell]
In which of the note's four states is the encoder?       encoder_state[cell], the table of states
Does a heavier KL do what it should?                     kl_weight_raises_noise, kl_weight_raises_noise_share,
                                                         kl_weight_costs_signal
Does it do too much?                                     kl_weight_collapses
Does a larger latent, or a deeper encoder, help?         latent_dim_matters, depth_matters
Which level is best by the objective?                    sweet_spot_<axis>, effect_of_<axis>
Is ETRMTRM as diverse as the standard encoder?           etrmtrm_as_diverse_as_standard
Do variational encoders lose diversity?                  variational_less_diverse
Does a detached context train?                           detached_context_never_trains[arm]
=======================================================  ====================================================

One module for the grid over weight, latent and depth, for its search, whose finalists are judged as cells, and for
a study of arms, each an encoder. What a sweep has no levels or arms for is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis import grid
from analysis.effects import Contrast, Effect
from analysis.encoder_health_figures import ratio_curves
from analysis.encoder_variance_arms import arm_contrasts, on_arms
from analysis.encoder_variance_figures import state_map
from analysis.encoder_variance_levels import level_contrasts, on_levels
from analysis.encoder_variance_states import (
    NOISE_SHARE,
    state_contrasts,
    state_table,
    states,
    with_noise_share,
)
from analysis.exhibit import Drawing, Listing
from analysis.findings import Finding
from analysis.judge import Judge
from analysis.subjects import metric_name
from analysis.table import SweepTable

__all__ = ["TRADE_OFF", "contrasts", "exhibits", "figure_metrics", "findings"]

TRADE_OFF: tuple[str, str] | None = None
DRAWN = ("encoder_cross_sample_ratio", "encoder_within_puzzle_var", NOISE_SHARE)


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the objective, diversity, variance within a puzzle, and how signal and noise share the variance."""
    with_noise_share(table)
    objective = [table.objective.metric] if table.objective else []
    drawn = dict.fromkeys([*objective, *(metric_name(table, name) for name in DRAWN)])
    return [metric for metric in drawn if table.values(metric)]


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return every contrast that the findings of this study rest on."""
    return [*level_contrasts(table), *arm_contrasts(table), *state_contrasts(table)]


def findings(table: SweepTable, effects: Mapping[str, Effect]) -> list[Finding]:
    """Return all findings of the study, those on weights and encoders before those on single cells."""
    with_noise_share(table)
    judge = Judge(table, effects)
    return [*on_levels(judge), *on_arms(judge), *grid.findings(table, effects), *states(judge)]


def exhibits(table: SweepTable, effects: Mapping[str, Effect]) -> list[Drawing | Listing]:
    """Return the table and the map of states, and the gradient over epochs."""
    judge = Judge(table, effects)
    found = [state_table(judge), state_map(judge), ratio_curves(table)]
    return [item for item in found if item is not None]
