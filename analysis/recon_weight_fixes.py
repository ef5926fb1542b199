"""Which change cures the literal loss: every option and remedy against it, and against the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis import recon_weight_contrasts as c
from analysis import recon_weight_targets as target
from analysis.effects import Effect
from analysis.findings import (
    Finding,
    Number,
    Verdict,
    Wording,
    all_of,
    any_of,
    improves,
    not_applicable,
    told,
)
from analysis.judge import Judge, given, in_range, numbers
from analysis.recon_weight_arms import Arm, only, with_role
from analysis.subjects import mean_of


@dataclass(frozen=True)
class Part:
    """One thing that an arm must achieve.

    Args:
        name: What, in words.
        verdict: Whether it does; None without data.
        effect: What the verdict rests on.
    """

    name: str
    verdict: Verdict | None
    effect: Effect | None


def fixes(judge: Judge) -> list[Finding]:
    """Return the findings on all cures, the answer to "which one" first."""
    cures = with_role(judge.table, "option", "remedy")
    judged = with_role(judge.table, "literal", "option", "remedy", "point")
    return [
        which_remedy_works(judge),
        options_cure_saturation(judge),
        *(fix_works(judge, arm) for arm in cures),
        *(all_targets_met(judge, arm) for arm in judged if arm.heteroscedastic),
    ]


def verdict_of(parts: Sequence[Part]) -> Verdict:
    """Return whether all parts hold; one without data leaves the whole open."""
    return all_of("undecided" if part.verdict is None else part.verdict for part in parts)


def named(parts: Sequence[Part], verdict: Verdict) -> str:
    """Return the names of the parts with this verdict; those without data count as open."""
    return ", ".join(part.name for part in parts if (part.verdict or "undecided") == verdict) or "nothing"


def fix_parts(judge: Judge, arm: Arm) -> list[Part]:
    """Return what a cure of the literal loss must achieve: components, accuracy, likelihood, a free sigma."""
    nll = judge.step(c.nll_step(judge.table, arm))
    parts = [
        Part("K_eff", judge.above(arm, c.K_EFF, target.COLLAPSED_K_EFF), judge.effect(arm, c.K_EFF)),
        accuracy_part(judge, arm),
        Part("likelihood", None if nll is None else improves(nll, "min"), nll),
    ]
    if arm.heteroscedastic:
        parts.append(
            Part("spread of sigma", judge.below(arm, c.AT_MAX, target.SATURATED), judge.effect(arm, c.AT_MAX))
        )
    return parts


def accuracy_part(judge: Judge, arm: Arm) -> Part:
    """Return whether accuracy is better than that of the literal loss: directly, or with the target between them."""
    effect, literal = judge.step(c.accuracy_step(judge.table, arm)), only(judge.table, "literal")
    verdict = None if effect is None else improves(effect, "max")
    if verdict == "undecided" and literal is not None:
        bound = target.TARGET_ACCURACY
        between = [judge.above(arm, c.ACCURACY, bound), judge.below(literal, c.ACCURACY, bound)]
        verdict = "supported" if between == ["supported", "supported"] else verdict
    return Part("accuracy", verdict, effect)


def fix_works(judge: Judge, arm: Arm) -> Finding:
    """One option or remedy cures the literal loss."""
    identity, literal = f"fix_works[{arm.name}]", only(judge.table, "literal")
    parts = fix_parts(judge, arm)
    if literal is None or all(part.verdict is None for part in parts[:3]):
        return not_applicable(identity, f"Needs the arms literal and {arm.name} with completed trials.")
    wording = Wording(
        supported=f"{arm.name} works: better than literal on {named(parts, 'supported')}.",
        rejected=f"{arm.name} does not work: it fails on {named(parts, 'rejected')}.",
        undecided=f"Whether {arm.name} works is open on {named(parts, 'undecided')}; it holds on "
        f"{named(parts, 'supported')}.",
        advice={},
    )
    shown = [
        *recon_scale(judge, arm),
        *numbers(judge.table, arm, "K_eff", "accuracy", "sigma_mean", "sigma_std"),
    ]
    return told(identity, verdict_of(parts), wording, [*given(*(part.effect for part in parts)), *shown])


def recon_scale(judge: Judge, arm: Arm) -> list[Effect | Number]:
    """Return the squared error against the baseline and in the note's unit, whose target is 25 to 50."""
    mse = mean_of(judge.table, c.MSE, arm.cell)
    unit = f"{target.BASELINE_WEIGHT:g} x mse, {arm.name} (note: 25 to 50)"
    shown = [] if mse is None else [Number(unit, target.BASELINE_WEIGHT * mse)]
    return [*given(judge.step(c.recon_step(judge.table, arm))), *shown]


def target_parts(judge: Judge, arm: Arm) -> list[Part]:
    """Return all targets of a heteroscedastic arm."""
    low, high = target.TARGET_SIGMA
    ends = [judge.below(arm, q, target.TARGET_SATURATED) for q in (c.AT_MAX, c.AT_MIN)]
    known = [end for end in ends if end is not None]
    free = all_of(known) if known else None
    side = c.AT_MIN if ends[0] == "supported" else c.AT_MAX
    return [
        Part(
            f"sigma mean {low:g} to {high:g}",
            in_range(judge, arm, c.SIGMA, (low, high)),
            judge.effect(arm, c.SIGMA),
        ),
        Part(f"less than {target.TARGET_SATURATED:.0%} saturated", free, judge.effect(arm, side)),
        Part(
            f"Spearman above {target.INFORMATIVE:g}",
            judge.above(arm, c.SPEARMAN, target.INFORMATIVE),
            judge.effect(arm, c.SPEARMAN),
        ),
        Part(
            "calibration",
            in_range(judge, arm, c.CALIBRATION, target.CALIBRATED),
            judge.effect(arm, c.CALIBRATION),
        ),
        *common_parts(judge, arm),
    ]


def common_parts(judge: Judge, arm: Arm) -> list[Part]:
    """Return the targets that an arm without sigma has, too."""
    k_eff, accuracy = target.TARGET_K_EFF, target.TARGET_ACCURACY
    return [
        Part(f"K_eff above {k_eff:g}", judge.above(arm, c.K_EFF, k_eff), judge.effect(arm, c.K_EFF)),
        Part(
            f"accuracy above {accuracy:.0%}",
            judge.above(arm, c.ACCURACY, accuracy),
            judge.effect(arm, c.ACCURACY),
        ),
    ]


def all_targets_met(judge: Judge, arm: Arm) -> Finding:
    """One arm has a sensible, free, informative and calibrated sigma, live components and labels that it uses."""
    identity, parts = f"all_targets_met[{arm.name}]", target_parts(judge, arm)
    if all(part.effect is None for part in parts):
        return not_applicable(identity, f"{arm.name} has no completed trial.")
    wording = Wording(
        supported=f"{arm.name} meets all targets: {named(parts, 'supported')}.",
        rejected=f"{arm.name} misses: {named(parts, 'rejected')}.",
        undecided=f"{arm.name} misses no target for certain; open: {named(parts, 'undecided')}.",
        advice={},
    )
    shown = numbers(judge.table, arm, "sigma_mean", "sigma_at_max", "sigma_at_min", "K_eff", "accuracy")
    return told(identity, verdict_of(parts), wording, [*given(*(part.effect for part in parts)), *shown])


def options_cure_saturation(judge: Judge) -> Finding:
    """Some option of the note frees sigma from its upper bound."""
    options, literal = with_role(judge.table, "option"), only(judge.table, "literal")
    freed = {arm.name: judge.below(arm, c.AT_MAX, target.TARGET_SATURATED) for arm in options}
    known = {name: verdict for name, verdict in freed.items() if verdict is not None}
    stuck = judge.above(literal, c.AT_MAX, target.SATURATED) if literal else None
    if not known or stuck is None:
        return not_applicable("options_cure_saturation", "Needs literal and an option, with sigma_at_max.")
    if stuck == "rejected":
        return not_applicable(
            "options_cure_saturation", "The literal arm is not saturated: nothing is to be cured."
        )
    verdict = any_of(known.values())
    cured = ", ".join(name for name, found in known.items() if found == "supported")
    wording = Wording(
        supported=f"{cured} cures the saturation: sigma leaves its upper bound.",
        rejected=f"None of {', '.join(known)} cures the saturation: sigma stays at its upper bound for more than "
        f"{target.TARGET_SATURATED:.0%} of the images.",
        undecided=f"Whether any of {', '.join(known)} cures the saturation is open.",
        advice={
            "rejected": "A weight on the loss does not move a sigma whose clip has no gradient: change the head."
        },
    )
    shown: list[Number] = [
        n for arm in options for n in numbers(judge.table, arm, "sigma_at_max", "sigma_mean")
    ]
    stuck_effects = given(*(judge.effect(arm, c.AT_MAX) for arm in [literal, *options] if arm))
    evidence: list[Effect | Number] = [*stuck_effects, *shown]
    return told("options_cure_saturation", stuck_or_open(stuck, verdict), wording, evidence)


def stuck_or_open(stuck: Verdict, verdict: Verdict) -> Verdict:
    """Return the verdict on a cure, which is open as long as the disease is."""
    return verdict if stuck == "supported" else "undecided"


def which_remedy_works(judge: Judge) -> Finding:
    """Some remedy cures the literal loss; those that do are named, best likelihood first."""
    remedies = with_role(judge.table, "remedy")
    found = {arm.name: fix_works(judge, arm) for arm in remedies}
    applicable = {name: finding for name, finding in found.items() if finding.verdict != "not_applicable"}
    if not applicable:
        return not_applicable(
            "which_remedy_works", "Needs the literal arm and a remedy with completed trials."
        )
    ordered = sorted(remedies, key=lambda arm: mean_of(judge.table, c.NLL, arm.cell) or 0.0)
    by_verdict: dict[str, list[str]] = {"supported": [], "rejected": [], "undecided": []}
    for arm in ordered:
        if arm.name in applicable:
            by_verdict[applicable[arm.name].verdict].append(arm.name)
    complete = [arm.name for arm in ordered if all_targets_met(judge, arm).verdict == "supported"]
    works, fails, is_open = (", ".join(by_verdict[key]) for key in ("supported", "rejected", "undecided"))
    rest = (f" Does not work: {fails}." if fails else "") + (f" Open: {is_open}." if is_open else "")
    wording = Wording(
        supported=f"Works: {works}.{rest}",
        rejected=f"No remedy works: {fails}.",
        undecided=f"No remedy is shown to work.{rest}",
        advice={"supported": f"Meets all targets, too: {', '.join(complete) or 'none for certain'}."},
    )
    evidence = [
        effect for finding in applicable.values() for effect in finding.evidence if isinstance(effect, Effect)
    ]
    return told("which_remedy_works", any_of(f.verdict for f in applicable.values()), wording, evidence)
