"""What is wrong with one arm, or right: collapse, saturation, scale of the loss, KL, use of its sigma."""

from __future__ import annotations

from analysis import recon_weight_contrasts as c
from analysis import recon_weight_targets as target
from analysis.findings import Finding, Verdict, Wording, all_of, not_applicable, told
from analysis.judge import Judge, Quantity, given, in_range, numbers
from analysis.kl_weight_anomaly import kl_anomaly
from analysis.recon_weight_arms import Arm, arms
from analysis.subjects import mean_of, metric_name
from analysis.table import SweepTable


def checks(judge: Judge) -> list[Finding]:
    """Return all findings about single arms, one kind of finding after the other."""
    everybody = arms(judge.table)
    with_sigma = [arm for arm in everybody if arm.heteroscedastic]
    return [
        *(component_collapse(judge, arm) for arm in everybody),
        *(sigma_saturated(judge, arm, c.AT_MAX, "high") for arm in with_sigma),
        *(sigma_saturated(judge, arm, c.AT_MIN, "low") for arm in with_sigma),
        *(loss_scale_mismatch(judge, arm) for arm in everybody),
        *(kl_of_arm(judge, arm) for arm in everybody),
        *(sigma_informative(judge, arm) for arm in with_sigma),
        *(calibrated(judge, arm) for arm in with_sigma),
    ]


def component_collapse(judge: Judge, arm: Arm) -> Finding:
    """One component carries nearly all images."""
    identity = f"component_collapse[{arm.name}]"
    verdict = judge.below(arm, c.K_EFF, target.COLLAPSED_K_EFF)
    if verdict is None:
        return not_applicable(identity, f"{arm.name} has no K_eff: no completed trial, or no mixture.")
    bound = f"{target.COLLAPSED_K_EFF:g}"
    wording = Wording(
        supported=f"{arm.name} collapses to one component: K_eff is below {bound}.",
        rejected=f"{arm.name} does not collapse to one component: K_eff is above {bound}.",
        undecided=f"Whether {arm.name} collapses to one component is open.",
        advice={},
    )
    shown = numbers(judge.table, arm, "K_eff", "max_usage", "active_components")
    return told(identity, verdict, wording, [*given(judge.effect(arm, c.K_EFF)), *shown])


def sigma_saturated(judge: Judge, arm: Arm, quantity: Quantity, side: str) -> Finding:
    """Sigma sits at one of its bounds for more than 95 % of the images."""
    identity = f"sigma_saturated_{side}[{arm.name}]"
    verdict = judge.above(arm, quantity, target.SATURATED)
    if verdict is None:
        return not_applicable(identity, f"{arm.name} has no {quantity.name}.")
    bound, where = ("sigma_max", "upper") if side == "high" else ("sigma_min", "lower")
    every = "" if judge.effect(arm, quantity) else ", in every seed"
    wording = Wording(
        supported=f"{arm.name}: sigma sits at {bound} for more than {target.SATURATED:.0%} of the images{every}.",
        rejected=f"{arm.name}: sigma is not stuck at its {where} bound{every}.",
        undecided=f"Whether sigma of {arm.name} is stuck at its {where} bound is open.",
        advice={
            "supported": "A clipped sigma has no gradient. Use sigma_head=sigmoid with a per-pixel likelihood."
        },
    )
    shown = numbers(judge.table, arm, quantity.name, "sigma_mean", "sigma_std")
    return told(identity, verdict, wording, [*given(judge.effect(arm, quantity)), *shown])


def loss_scale_mismatch(judge: Judge, arm: Arm) -> Finding:
    """Reconstruction holds nearly the whole gradient, and the weights are far from those of the ELBO."""
    identity = f"loss_scale_mismatch[{arm.name}]"
    share = judge.above(arm, c.RECON_SHARE, target.RECON_SHARE)
    far, effect = beta_is_far(judge.table, arm), judge.effect(arm, c.RECON_SHARE)
    if share is None or far is None or effect is None:
        return not_applicable(identity, f"{arm.name} has no grad_share/recon or no beta_eff.")
    verdict = "undecided" if effect.ci_low is None else all_of([share, far])
    low, high = target.FAR_BETA
    said = {"supported": f"outside {low:g} to {high:g}", "rejected": f"within {low:g} to {high:g}"}
    beta = f"beta_eff is {mean_of(judge.table, 'beta_eff', arm.cell):.3g}, {said.get(far, 'near a bound')}"
    held = {
        "supported": f"reconstruction has more than {target.RECON_SHARE:.0%} of the gradient",
        "rejected": f"reconstruction has less than {target.RECON_SHARE:.0%} of the gradient",
    }.get(share, "the share of reconstruction is open")
    wording = Wording(
        supported=f"{arm.name}: the scales of the loss do not match: {held}, and {beta} (1 is the ELBO).",
        rejected=f"{arm.name}: no mismatch of scales: {held}; {beta}.",
        undecided=f"Whether the scales of the loss match in {arm.name} is open: {held}; {beta}.",
        advice={
            "supported": "Put the loss in ELBO units (recon_loss=nll, recon_weight 1) before tuning weights."
        },
    )
    shown = numbers(judge.table, arm, "grad_share/recon", "grad_share/kl_z", "beta_eff")
    return told(identity, verdict, wording, [effect, *shown])


def beta_is_far(table: SweepTable, arm: Arm) -> Verdict | None:
    """Return the verdict on "beta_eff is far from 1"; it follows from the settings, so all seeds must agree."""
    seeds = table.values(metric_name(table, "beta_eff")).get(arm.cell)
    if not seeds:
        return None
    low, high = target.FAR_BETA
    far = {not low <= value <= high for value in seeds.values()}
    if len(far) > 1:
        return "undecided"
    return "supported" if far.pop() else "rejected"


def kl_of_arm(judge: Judge, arm: Arm) -> Finding:
    """The KL of z is above 5 nats per dimension, or below 0.01."""
    effect = judge.step(c.kl_of(judge.table, arm))
    if effect is None:
        return not_applicable(f"kl_anomaly[{arm.name}]", f"{arm.name} has no {c.KL}.")
    return kl_anomaly(arm.name, effect, numbers(judge.table, arm, c.KL, "kl_z", "active_units", "beta_eff"))


def sigma_informative(judge: Judge, arm: Arm) -> Finding:
    """Sigma is larger where the image is reconstructed worse."""
    identity = f"sigma_informative[{arm.name}]"
    verdict = judge.above(arm, c.SPEARMAN, target.INFORMATIVE)
    if verdict is None:
        reason = (
            f"{arm.name} has one sigma for all images, or none: it has no rank correlation with the error."
        )
        return not_applicable(identity, reason)
    bound = f"{target.INFORMATIVE:g}"
    wording = Wording(
        supported=f"{arm.name}: sigma is informative, its rank correlation with the error is above {bound}.",
        rejected=f"{arm.name}: sigma is not informative, its rank correlation with the error is below {bound}.",
        undecided=f"Whether sigma of {arm.name} is informative is open.",
        advice={},
    )
    shown = numbers(judge.table, arm, "sigma_error_spearman", "sigma_std")
    return told(identity, verdict, wording, [*given(judge.effect(arm, c.SPEARMAN)), *shown])


def calibrated(judge: Judge, arm: Arm) -> Finding:
    """The residuals in units of sigma have a standard deviation near 1."""
    identity = f"calibrated[{arm.name}]"
    verdict = in_range(judge, arm, c.CALIBRATION, target.CALIBRATED)
    if verdict is None:
        return not_applicable(identity, f"{arm.name} has no calibration_std.")
    low, high = target.CALIBRATED
    mean = mean_of(judge.table, "calibration_std", arm.cell) or 0.0
    side = "too large" if mean < 1 else "too small"
    wording = Wording(
        supported=f"{arm.name} is calibrated: residuals over sigma scatter by {low:g} to {high:g}.",
        rejected=f"{arm.name} is not calibrated: its sigma is {side}, residuals over sigma scatter by {mean:.2g}.",
        undecided=f"Whether {arm.name} is calibrated (residuals over sigma within {low:g} to {high:g}) is open.",
        advice={},
    )
    shown = numbers(judge.table, arm, "calibration_std", "coverage_50", "coverage_90", "ece_regression")
    return told(identity, verdict, wording, [*given(judge.effect(arm, c.CALIBRATION)), *shown])
