"""Does a heteroscedastic reconstruction collapse a mixture VAE, why, and what cures it: the findings of the study.

=====================================================  ==================================================
question                                               finding
=====================================================  ==================================================
Does the literal loss collapse as the note saw it?     pattern_of_the_note, component_collapse[arm]
Why?                                                   why_literal_fails, loss_scale_mismatch[arm],
                                                       sigma_saturated_high[arm], sigma_saturated_low[arm]
Is the baseline a sound measure?                       baseline_is_healthy, kl_anomaly[arm]
Do the note's three options cure it?                   options_cure_saturation, fix_works[option]
What does?                                             which_remedy_works, fix_works[remedy],
                                                       all_targets_met[arm]
Is the sigma of any use?                               sigma_informative[arm], calibrated[arm]
=====================================================  ==================================================

A study without arms (a search over weights for each form of the loss) gets the checks and the targets for the
best cell of each form. Accuracy and likelihood do not trade off: a collapsed arm is worst on both, so there is
no `TRADE_OFF` to draw.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.effects import Effect
from analysis.exhibit import Drawing, Listing
from analysis.findings import Finding
from analysis.judge import Judge
from analysis.recon_weight_arms import with_role
from analysis.recon_weight_checks import checks
from analysis.recon_weight_contrasts import contrasts
from analysis.recon_weight_figures import drawings
from analysis.recon_weight_fixes import fixes
from analysis.recon_weight_pattern import pattern
from analysis.recon_weight_tables import listings
from analysis.subjects import metric_name
from analysis.table import SweepTable

__all__ = ["TRADE_OFF", "contrasts", "exhibits", "figure_metrics", "findings"]

TRADE_OFF: tuple[str, str] | None = None
DRAWN = ("nll_per_pixel", "accuracy", "K_eff", "sigma_at_max", "calibration_std", "kl_z_per_dim")


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the metrics that are drawn as heatmaps, in the order of the report."""
    names = [metric_name(table, name) for name in DRAWN]
    return [name for name in names if name in table.trials and table.values(name)]


def findings(table: SweepTable, effects: Mapping[str, Effect]) -> list[Finding]:
    """Return all findings of the study, those that answer its question first."""
    judge = Judge(table, effects)
    compared = [] if with_role(table, "point") else pattern(judge)
    cures = fixes(judge)
    if not compared:
        cures = [finding for finding in cures if finding.verdict != "not_applicable"]
    return [*compared, *cures, *checks(judge)]


def exhibits(table: SweepTable, effects: Mapping[str, Effect]) -> list[Drawing | Listing]:
    """Return the tables and figures beside the findings."""
    judge = Judge(table, effects)
    return [*listings(judge), *drawings(judge)]
