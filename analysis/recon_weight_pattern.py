"""What happened in the literal arm, why, and whether the baseline that it is compared with is sound."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from analysis import recon_weight_contrasts as c
from analysis import recon_weight_targets as target
from analysis.effects import Effect
from analysis.findings import Finding, Number, Verdict, Wording, all_of, any_of, not_applicable, told
from analysis.judge import Judge, given, numbers, opposite
from analysis.kl_weight_anomaly import collapsed, exploded
from analysis.recon_weight_arms import Arm, only
from analysis.recon_weight_checks import beta_is_far
from analysis.subjects import mean_of
from analysis.table import SweepTable

RARE = 0.5  # share of the accountings below which a gradient that reaches the head is told to be rare
HEAD_REACHED = re.compile(r"^frac_params_with_grad/.*sigma")
NOTE_K_EFF = {"literal": 1.00, "baseline": 9.90}  # note: its table of the collapse


def pattern(judge: Judge) -> list[Finding]:
    """Return the findings that answer the question of the study."""
    return [pattern_of_the_note(judge), why_literal_fails(judge), baseline_is_healthy(judge)]


def pattern_of_the_note(judge: Judge) -> Finding:
    """The literal loss collapses to one component where the baseline does not, as the note saw it."""
    literal, baseline = only(judge.table, "literal"), only(judge.table, "baseline")
    if literal is None or baseline is None:
        return not_applicable("pattern_of_the_note", "Needs the arms literal and baseline.")
    gone = judge.below(literal, c.K_EFF, target.COLLAPSED_K_EFF)
    kept = judge.above(baseline, c.K_EFF, target.COLLAPSED_K_EFF)
    if gone is None or kept is None:
        return not_applicable("pattern_of_the_note", "Needs K_eff of literal and baseline.")
    fewer = judge.step(c.components_step(judge.table))
    seen = components_in_words(judge.table, literal, baseline, gone, fewer)
    differs = (
        "literal does not collapse to one component" if gone == "rejected" else "the baseline collapses, too"
    )
    relative = fewer is not None and fewer.below(fewer.null)
    wording = Wording(
        supported=f"The pattern of the note is seen: literal collapses, the baseline does not. {seen}.",
        rejected=f"Not the pattern of the note: {differs}. {seen}.",
        undecided=f"Literal loses components relative to the baseline; whether to one, as in the note, is open. {seen}."
        if relative
        else f"Whether literal collapses as in the note is open. {seen}.",
        advice={
            "rejected": "What else the literal loss costs stands in the findings on likelihood and sigma."
        },
    )
    evidence = given(judge.effect(literal, c.K_EFF), judge.effect(baseline, c.K_EFF))
    shown = [
        n for arm in (literal, baseline) for n in numbers(judge.table, arm, "max_usage", "accuracy", c.NLL)
    ]
    finding = told("pattern_of_the_note", all_of([gone, kept]), wording, evidence)
    return replace(
        finding, evidence=(*evidence, *given(fewer), *shown)
    )  # the step decides no verdict, nor seeds


def components_in_words(
    table: SweepTable, literal: Arm, baseline: Arm, gone: Verdict, fewer: Effect | None
) -> str:
    """Return the effective components of both arms beside those of the note.

    Args:
        table: The sweep.
        literal: The literal arm.
        baseline: The baseline.
        gone: Whether literal is shown to be below the bound of a collapse.
        fewer: Literal against the baseline, None without data.
    """
    keeps, base = (mean_of(table, "K_eff", arm.cell) for arm in (literal, baseline))
    noted = {arm: f"{value:.2f}" for arm, value in NOTE_K_EFF.items()}
    if gone == "supported" or fewer is None:
        return (
            f"K_eff: literal {keeps:.2f} (note {noted['literal']}) and "
            f"baseline {base:.2f} (note {noted['baseline']})"
        )
    side = "not told from"
    if fewer.same:
        side = "the same within the margin as"
    elif fewer.differs:
        side = "lower than" if fewer.below(fewer.null) else "higher than"
    return (
        f"Literal keeps {keeps:.2f} components, against {noted['literal']} in the note; {side} "
        f"the baseline's {base:.2f} ({fewer.interval_text}; note {noted['baseline']})"
    )


def baseline_is_healthy(judge: Judge) -> Finding:
    """The baseline keeps its components, and its posterior is neither collapsed nor unbound."""
    arm = only(judge.table, "baseline")
    if arm is None:
        return not_applicable("baseline_is_healthy", "Needs the arm baseline.")
    kl = judge.step(c.kl_of(judge.table, arm))
    alive = judge.above(arm, c.K_EFF, target.COLLAPSED_K_EFF)
    if kl is None or alive is None:
        return not_applicable("baseline_is_healthy", f"Needs K_eff and {c.KL} of the baseline.")
    said = {
        "it collapses to one component": opposite(alive),
        "its posterior collapses, so that z carries nothing": collapsed(kl),
        "its KL explodes": exploded(kl),
    }
    ill = " and ".join(what for what, verdict in said.items() if verdict == "supported")
    value = f"KL(z) is {mean_of(judge.table, c.KL, arm.cell):.2g} nats per dimension"
    sick = any_of(verdict for verdict in said.values() if verdict is not None)
    wording = Wording(
        supported=f"The baseline is healthy: its components are alive and {value}.",
        rejected=f"The baseline is not healthy: {ill} ({value}).",
        undecided=f"Whether the baseline is healthy is open ({value}).",
        advice={"rejected": "Do not take the baseline as the goal: an arm may beat it and still be ill."},
    )
    shown = numbers(judge.table, arm, c.KL, "kl_z", "active_units", "K_eff", "beta_eff")
    verdict = opposite(sick) or "undecided"
    return told("baseline_is_healthy", verdict, wording, [kl, *given(judge.effect(arm, c.K_EFF)), *shown])


def why_literal_fails(judge: Judge) -> Finding:
    """The cause of the literal arm's failure, as far as saturation and gradients show one."""
    arm = only(judge.table, "literal")
    if arm is None:
        return not_applicable("why_literal_fails", "Needs the arm literal.")
    stuck = judge.above(arm, c.AT_MAX, target.SATURATED)
    at_min = judge.above(arm, c.AT_MIN, target.SATURATED)
    gone, share = judge.below(arm, c.K_EFF, target.COLLAPSED_K_EFF), recon_rules(judge, arm)
    symptoms = [verdict for verdict in (stuck, at_min, gone) if verdict is not None]
    if not symptoms or (share is None and stuck is None):
        return not_applicable(
            "why_literal_fails", "Needs K_eff, sigma_at_max or grad_share/recon of literal."
        )
    fails = any_of(symptoms)
    causes = causes_in_words(judge, arm, stuck, share)
    verdict: Verdict = "undecided" if fails == "supported" and not causes else fails
    how = " and ".join(
        text
        for text, found in (
            ("collapses to one component", gone),
            ("leaves sigma at sigma_max", stuck),
            ("leaves sigma at sigma_min", at_min),
        )
        if found == "supported"
    )
    wording = Wording(
        supported=f"The literal loss {how}: {'; '.join(causes)}.",
        rejected="The literal loss does not fail: components are alive and sigma is at neither bound.",
        undecided="Why the literal loss fails is open: neither a stuck sigma nor the share of the gradient is shown."
        if fails == "supported"
        else "Whether the literal loss fails is open.",
        advice={"supported": "Change the head and the scale of the likelihood, not the weight on it."},
    )
    effects = given(*(judge.effect(arm, q) for q in (c.AT_MAX, c.RECON_SHARE, c.K_EFF)))
    shown = numbers(judge.table, arm, "sigma_mean", "sigma_at_max", "grad_share/recon", "beta_eff", c.KL)
    return told("why_literal_fails", verdict, wording, [*effects, *shown, *head_numbers(judge.table, arm)])


def recon_rules(judge: Judge, arm: Arm) -> Verdict | None:
    """Return the verdict on "reconstruction has more than 99 % of the gradient"."""
    return judge.above(arm, c.RECON_SHARE, target.RECON_SHARE)


def causes_in_words(judge: Judge, arm: Arm, stuck: Verdict | None, share: Verdict | None) -> list[str]:
    """Return the causes that the numbers show: a head without gradient, a scale at which the KL costs nothing."""
    table, causes = judge.table, []
    if stuck == "supported":
        at_max = mean_of(table, "sigma_at_max", arm.cell)
        causes.append(f"sigma is at sigma_max for {at_max:.1%} of the images{head_in_words(table, arm)}")
    beta = mean_of(table, "beta_eff", arm.cell)
    far = beta is not None and beta_is_far(table, arm) == "supported"
    if share == "supported" or far:
        held = 100 * (mean_of(table, "grad_share/recon", arm.cell) or 0.0)
        first = first_share(table, arm)
        at_first = "" if first is None else f" ({100 * first:.4g} % in the first epoch)"
        known = (
            "" if beta is None else f", beta_eff is {beta:.2g} (1 is the ELBO){kl_in_words(table, arm, beta)}"
        )
        causes.append(f"reconstruction has {held:.4g} % of the gradient{at_first}{known}")
    return causes


def head_in_words(table: SweepTable, arm: Arm) -> str:
    """Return how rarely a gradient reaches the sigma head, empty when that is not recorded or not rare."""
    share = head_share(table, arm)
    if share is None or share >= RARE:
        return ""
    if share == 0:
        return " and no gradient reaches its head"
    return f" and a gradient reaches its head in only {100 * share:.2g} % of the accountings"


def kl_in_words(table: SweepTable, arm: Arm, beta: float) -> str:
    """Return what a KL that is next to free, or beyond price, did to z; empty when it is not recorded."""
    kl = mean_of(table, c.KL, arm.cell)
    if kl is None:
        return ""
    price = "a KL next to free" if beta < 1 else "a KL beyond price"
    return f": {price}, and z takes {kl:.2g} nats per dimension"


def first_share(table: SweepTable, arm: Arm) -> float | None:
    """Return the share of reconstruction in the gradient of the first epoch, mean over seeds; None if unknown."""
    trials = table.rows_of(arm.cell)["trial_id"]
    rows = table.history[table.history["trial_id"].isin(trials) & (table.history["epoch"] == 1)]
    values = rows.loc[rows["metric"] == "grad_share/recon", "value"]
    return float(values.mean()) if len(values) else None


def head_rows(table: SweepTable, arm: Arm) -> pd.DataFrame:
    """Return which share of the sigma head a gradient reached, by trial, epoch and module."""
    trials = table.rows_of(arm.cell)["trial_id"]
    rows = table.history[table.history["trial_id"].isin(trials)]
    return rows[rows["metric"].str.match(HEAD_REACHED)]


def head_share(table: SweepTable, arm: Arm) -> float | None:
    """Return the share of accountings (trial and epoch) in which a gradient reached the head, None if unknown."""
    rows = head_rows(table, arm)
    if rows.empty:
        return None
    return float((rows.groupby(["trial_id", "epoch"], observed=True)["value"].max() > 0).mean())


def head_numbers(table: SweepTable, arm: Arm) -> list[Number]:
    """Return how often a gradient reached the sigma head, and the largest share of it that one reached."""
    share, rows = head_share(table, arm), head_rows(table, arm)
    often = [] if share is None else [Number(f"accountings with a gradient in the head, {arm.name}", share)]
    most = rows.groupby("metric", observed=True)["value"].max()
    return often + [
        Number(f"{name}, {arm.name}, most of all epochs", float(value)) for name, value in most.items()
    ]
