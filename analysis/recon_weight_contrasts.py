"""What the study of reconstruction weights compares: every arm against thresholds, literal and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis import recon_weight_targets as target
from analysis import scales
from analysis.effects import Contrast, Effect
from analysis.judge import Quantity, against_bound, between
from analysis.kl_weight_anomaly import kl_contrast
from analysis.recon_weight_arms import Arm, arms, only
from analysis.subjects import mean_of, metric_name
from analysis.table import SweepTable

Effects = Mapping[str, Effect]


def has_sigma(arm: Arm) -> bool:
    """Return whether the arm's decoder gives a sigma."""
    return arm.heteroscedastic


K_EFF = Quantity("K_eff", scales.COMPONENTS, (target.COLLAPSED_K_EFF, target.TARGET_K_EFF))
ACCURACY = Quantity("accuracy", scales.SHARE, (target.TARGET_ACCURACY,))
RECON_SHARE = Quantity("grad_share/recon", scales.GRADIENT, (target.RECON_SHARE,))
AT_MAX = Quantity(
    "sigma_at_max", scales.SHARE, (target.TARGET_SATURATED, target.SATURATED), applies=has_sigma
)
AT_MIN = replace(AT_MAX, name="sigma_at_min")
SIGMA = Quantity(
    "sigma_mean", scales.RATIO, (*target.TARGET_SIGMA, *target.TARGET_SIGMA_NOTE), applies=has_sigma
)
SPEARMAN = Quantity("sigma_error_spearman", scales.CORRELATION, (target.INFORMATIVE,), applies=has_sigma)
CALIBRATION = Quantity("calibration_std", scales.CALIBRATION, target.CALIBRATED, applies=has_sigma)
QUANTITIES = (K_EFF, ACCURACY, RECON_SHARE, AT_MAX, AT_MIN, SIGMA, SPEARMAN, CALIBRATION)

NLL, MSE, KL = "nll_per_pixel", "mse", "kl_z_per_dim"


def nll_step(table: SweepTable, arm: Arm) -> Contrast | None:
    """Return the likelihood of one arm against the literal loss; a difference, for it may be negative."""
    return between(table, NLL, scales.DIFFERENCE, arm, only(table, "literal"))


def accuracy_step(table: SweepTable, arm: Arm) -> Contrast | None:
    """Return the accuracy of one arm against the literal loss."""
    return between(table, ACCURACY.name, scales.SHARE, arm, only(table, "literal"))


def components_step(table: SweepTable) -> Contrast | None:
    """Return the effective components of the literal loss against the baseline."""
    literal = only(table, "literal")
    if literal is None or mean_of(table, K_EFF.name, literal.cell) is None:
        return None
    return between(table, K_EFF.name, K_EFF.scale, literal, only(table, "baseline"))


def recon_step(table: SweepTable, arm: Arm) -> Contrast | None:
    """Return the squared error of one arm against the baseline."""
    return between(table, MSE, scales.RATIO, arm, only(table, "baseline"))


def kl_of(table: SweepTable, arm: Arm) -> Contrast | None:
    """Return the KL per dimension of one arm against posterior collapse, None when it is not recorded."""
    metric = metric_name(table, KL)
    return None if table.mean(metric, arm.cell) is None else kl_contrast(table, metric, arm.cell)


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return every contrast that the findings of this study rest on."""
    found: list[Contrast | None] = [components_step(table)]
    for arm in arms(table):
        found += [against_bound(table, arm, quantity) for quantity in QUANTITIES]
        found += [nll_step(table, arm), accuracy_step(table, arm), recon_step(table, arm), kl_of(table, arm)]
    return [contrast for contrast in found if contrast is not None]
