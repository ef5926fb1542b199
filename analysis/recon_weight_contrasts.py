"""What the study of reconstruction weights compares: every arm against thresholds, literal and baseline.

One contrast per arm and quantity serves all the thresholds of that quantity, because an interval of a mean can
be read at any bound; its reference is the threshold nearest to the arm's mean, so that the seeds it asks for
are those of the question that is open. Findings ask for effects through the functions that register them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from analysis import recon_weight_scales as scales
from analysis import recon_weight_targets as target
from analysis.effects import Contrast, Effect
from analysis.findings import Verdict
from analysis.kl_weight_anomaly import kl_contrast
from analysis.levels import cell_contrast
from analysis.recon_weight_arms import Arm, arms, mean_of, metric_name, only
from analysis.recon_weight_scales import Scale
from analysis.table import SweepTable

Effects = Mapping[str, Effect]


@dataclass(frozen=True)
class Quantity:
    """What is compared with thresholds.

    Args:
        name: Metric without its split.
        scale: On which it is compared.
        bounds: All thresholds that findings read it at.
        of_sigma: Whether only heteroscedastic arms have it.
    """

    name: str
    scale: Scale
    bounds: tuple[float, ...]
    of_sigma: bool = False


K_EFF = Quantity("K_eff", scales.COMPONENTS, (target.COLLAPSED_K_EFF, target.TARGET_K_EFF))
ACCURACY = Quantity("accuracy", scales.SHARE, (target.TARGET_ACCURACY,))
RECON_SHARE = Quantity("grad_share/recon", scales.GRADIENT, (target.RECON_SHARE,))
AT_MAX = Quantity("sigma_at_max", scales.SHARE, (target.TARGET_SATURATED, target.SATURATED), of_sigma=True)
AT_MIN = replace(AT_MAX, name="sigma_at_min")
SIGMA = Quantity("sigma_mean", scales.RATIO, (*target.TARGET_SIGMA, *target.TARGET_SIGMA_NOTE), of_sigma=True)
SPEARMAN = Quantity("sigma_error_spearman", scales.CORRELATION, (target.INFORMATIVE,), of_sigma=True)
CALIBRATION = Quantity("calibration_std", scales.CALIBRATION, target.CALIBRATED, of_sigma=True)
QUANTITIES = (K_EFF, ACCURACY, RECON_SHARE, AT_MAX, AT_MIN, SIGMA, SPEARMAN, CALIBRATION)

NLL, MSE, KL = "nll_per_pixel", "mse", "kl_z_per_dim"


def nearest_bound(table: SweepTable, arm: Arm, quantity: Quantity) -> float | None:
    """Return the threshold that is nearest to the arm's mean, None when it has no value or cannot have."""
    mean = mean_of(table, quantity.name, arm.cell)
    if mean is None or (quantity.of_sigma and not arm.heteroscedastic):
        return None
    if arm.cell in scales.flat_cells(table, quantity.scale.moved_by):
        return None
    if scales.counted(table, quantity.name, quantity.scale, arm.cell) is not None:
        return None
    return min(quantity.bounds, key=lambda bound: quantity.scale.distance(mean, bound))


def against_bound(table: SweepTable, arm: Arm, quantity: Quantity) -> Contrast | None:
    """Return one arm against the nearest threshold of one quantity."""
    bound = nearest_bound(table, arm, quantity)
    if bound is None:
        return None
    column = scales.column(table, quantity.name, quantity.scale, arm.cell)
    reference = float(f"{quantity.scale.transform(bound):.5g}")
    name = f"{bound:g} as {quantity.scale.unit}" if quantity.scale.unit else "the threshold"
    return cell_contrast(table, column, arm.cell, reference, name, quantity.scale.kind)


def between(table: SweepTable, name: str, scale: Scale, a: Arm, b: Arm | None) -> Contrast | None:
    """Return one arm against another, None when they are the same arm or the sweep lacks one."""
    if b is None or a.cell == b.cell:
        return None
    column = scales.column(table, name, scale, a.cell, b.cell)
    block = {a.cell: 1.0, b.cell: -1.0}
    return Contrast(f"{column}: {a.name} vs {b.name}", column, a.name, b.name, (block,), scale.kind)


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


def effect_of(table: SweepTable, effects: Effects, arm: Arm, quantity: Quantity) -> Effect | None:
    """Return the effect of one arm on one quantity, None without data."""
    contrast = against_bound(table, arm, quantity)
    return None if contrast is None else effects.get(contrast.id)


@dataclass(frozen=True)
class Judge:
    """Reads thresholds off the effects of one sweep.

    Args:
        table: The sweep.
        effects: Its effects.
    """

    table: SweepTable
    effects: Effects

    def above(self, arm: Arm, quantity: Quantity, bound: float) -> Verdict | None:
        """Return the verdict on "the arm's mean is above ``bound``", None without data."""
        agreed = scales.counted(self.table, quantity.name, quantity.scale, arm.cell)
        if agreed is not None and (arm.heteroscedastic or not quantity.of_sigma):
            return "supported" if agreed > bound else "rejected"
        effect, nearest = self.effect(arm, quantity), nearest_bound(self.table, arm, quantity)
        if effect is None or nearest is None:
            return None
        at = quantity.scale.bound(bound, nearest)
        return "supported" if effect.above(at) else "rejected" if effect.below(at) else "undecided"

    def below(self, arm: Arm, quantity: Quantity, bound: float) -> Verdict | None:
        """Return the verdict on "the arm's mean is below ``bound``", None without data."""
        return opposite(self.above(arm, quantity, bound))

    def effect(self, arm: Arm, quantity: Quantity) -> Effect | None:
        """Return the effect that the verdicts on one quantity rest on."""
        return effect_of(self.table, self.effects, arm, quantity)

    def step(self, contrast: Contrast | None) -> Effect | None:
        """Return the effect of a contrast, None without data."""
        return None if contrast is None else self.effects.get(contrast.id)


def opposite(verdict: Verdict | None) -> Verdict | None:
    """Return the verdict on the opposite claim."""
    if verdict == "supported":
        return "rejected"
    return "supported" if verdict == "rejected" else verdict
