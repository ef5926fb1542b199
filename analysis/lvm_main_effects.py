"""What single choices do on average over everything else: the loss mix, hard negatives, the moment term."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.effects import Contrast, Effect
from analysis.findings import Finding, Wording, all_of, any_of, improves, not_applicable, told
from analysis.judge import Judge, opposite
from analysis.lvm_steps import (
    ByMetric,
    Pair,
    changed,
    helps,
    keeps,
    mode_of,
    settings,
    step,
    steps,
    taken,
    told_of,
    word,
)
from analysis.subjects import ARM
from analysis.table import SweepTable
from search_spaces.domains import Params
from trainables.lvm.claims import is_off

MSE_WEIGHT, INFONCE_WEIGHT = "mse_weight", "infonce_weight"
COSINE_METRIC, RETRIEVAL, CENTRED = "valid/cos", "valid/mrr", "valid/centred_cosine"
TRADED = (COSINE_METRIC, CENTRED, RETRIEVAL)
MIX_NAMES = {"mse": "MSE alone", "infonce": "InfoNCE alone", "both": "both losses"}


@dataclass(frozen=True)
class Choice:
    """Something that is on or off.

    Args:
        identity: Id of the finding.
        parameter: Its parameter.
        claim: The claim in words.
        denial: The opposite of it.
        advice: What to do where it does not help.
    """

    identity: str
    parameter: str
    claim: str
    denial: str
    advice: str


CHOICES = (
    Choice(
        "hard_negatives_help",
        "hard_negatives",
        "hard negatives help",
        "hard negatives do not help",
        "Set hard_negatives=False.",
    ),
    Choice(
        "moment_term_helps",
        "moment_weight",
        "the moment term helps",
        "the moment term does not help",
        "Set moment_weight=0.",
    ),
)


def mix_of(setting: Params) -> str:
    """Return which of the two losses that depend on the single target an arm is trained with."""
    on = [
        name for name, key in (("mse", MSE_WEIGHT), ("infonce", INFONCE_WEIGHT)) if not is_off(setting[key])
    ]
    return "both" if len(on) == 2 else on[0] if on else "none"


def mix_pair(table: SweepTable, mix: str, other: str) -> Pair | None:
    """Return the first two arms of these loss mixes that differ in nothing else, None without such."""
    arms = settings(table)
    return next(
        (
            (a, b)
            for a, b in itertools.permutations(arms, 2)
            if (mix_of(arms[a]), mix_of(arms[b])) == (mix, other)
            and set(changed(arms[a], arms[b])) <= {MSE_WEIGHT, INFONCE_WEIGHT}
        ),
        None,
    )


def mix_step(table: SweepTable, mix: str, other: str) -> Contrast | None:
    """Return one loss mix against another on the objective, averaged over all other axes."""
    pair = mix_pair(table, mix, other)
    if pair is None or table.objective is None:
        return None
    return step(table, table.objective.metric, ARM, pair)


def switched(table: SweepTable, parameter: str) -> list[tuple[str, Pair]]:
    """Return every axis with a pair of its levels that differ in one parameter alone, which is on, then off."""
    axis, arms = table.axis(parameter), settings(table)
    if axis is not None and not axis.searched:
        on = [value for value in axis.simplest_first if not is_off(value)]
        return [(parameter, (value, off)) for off in axis.values if is_off(off) for value in on]
    return [
        (ARM, (a, b))
        for a, b in itertools.permutations(arms, 2)
        if changed(arms[a], arms[b]) == [parameter]
        and is_off(arms[b][parameter])
        and not is_off(arms[a][parameter])
    ]


def trade_off_steps(table: SweepTable) -> dict[str, dict[str, Contrast]]:
    """Return what contrast does to cosine, centred cosine and retrieval against MSE alone, by loss mix and metric."""
    found: dict[str, dict[str, Contrast]] = {}
    for mix in ("infonce", "both"):
        pair = mix_pair(table, mix, "mse")
        for metric in TRADED if pair else ():
            contrast = None if pair is None else step(table, metric, ARM, pair)
            if contrast is not None and table.values(metric):
                found.setdefault(mix, {})[metric] = contrast
    return found


def main_effect_contrasts(table: SweepTable) -> list[Contrast]:
    """Return every comparison that the findings below rest on."""
    mixes = [mix_step(table, *pair) for pair in (("infonce", "mse"), ("both", "mse"), ("both", "infonce"))]
    pairs = [pair for choice in CHOICES for pair in switched(table, choice.parameter)]
    on_off = [contrast for pair in pairs for contrast in steps(table, *pair).values()]
    traded = [contrast for by_metric in trade_off_steps(table).values() for contrast in by_metric.values()]
    return [*(contrast for contrast in mixes if contrast is not None), *traded, *on_off]


def on_main_effects(judge: Judge) -> list[Finding]:
    """Return what the loss mix, hard negatives and the moment term do."""
    return [
        infonce_vs_mse(judge),
        both_better_than_one(judge),
        contrast_trade_off(judge),
        *(choice_helps(judge, choice) for choice in CHOICES),
    ]


def averaged(table: SweepTable) -> str:
    """Return over what a main effect of arms is averaged, empty where there is nothing else."""
    others = [axis.name for axis in table.axes if axis.name != ARM]
    return f", averaged over {' and '.join(others)}" if others else ""


def infonce_vs_mse(judge: Judge) -> Finding:
    """InfoNCE alone gives a better objective than MSE alone."""
    identity, table = "infonce_vs_mse", judge.table
    found = judge.step(mix_step(table, "infonce", "mse"))
    if found is None or table.objective is None:
        return not_applicable(
            identity, "Needs an arm with MSE alone and one with InfoNCE alone, else the same."
        )
    metric, where = table.objective.metric, averaged(table)
    against = f"InfoNCE alone against MSE alone{where}: {metric}"
    said = f"{against} {word(found, mode_of(table, metric))}"
    wording = Wording(
        supported=f"InfoNCE gives the better {metric}. {said} ({found.interval_text}).",
        rejected=f"InfoNCE does not give the better {metric}. {said} ({found.interval_text}).",
        undecided=f"Whether InfoNCE or MSE gives the better {metric} is open. {said} ({found.interval_text}).",
        advice={"rejected": "Give InfoNCE no weight by itself; see whether it helps beside MSE."},
    )
    return told(identity, improves(found, mode_of(table, metric)), wording, [found])


def both_better_than_one(judge: Judge) -> Finding:
    """Both losses together give a better objective than either alone."""
    identity, table = "both_better_than_one", judge.table
    against = {mix: judge.step(mix_step(table, "both", mix)) for mix in ("mse", "infonce")}
    found = {mix: effect for mix, effect in against.items() if effect is not None}
    if len(found) < 2 or table.objective is None:
        return not_applicable(
            identity, "Needs an arm with both losses and one with each alone, else the same."
        )
    metric, mode, where = table.objective.metric, table.objective.mode, averaged(table)
    said = "; ".join(
        f"against {MIX_NAMES[mix]} {metric} {word(effect, mode)} ({effect.interval_text})"
        for mix, effect in found.items()
    )
    wording = Wording(
        supported=f"Both losses are better than one{where}: {said}.",
        rejected=f"Both losses are not better than either alone{where}: {said}.",
        undecided=f"Whether both losses are better than one{where} is open: {said}.",
        advice={"rejected": "Leave out the loss that adds nothing."},
    )
    verdict = all_of(improves(effect, mode) for effect in found.values())
    return told(identity, verdict, wording, list(found.values()))


def contrast_trade_off(judge: Judge) -> Finding:
    """Contrast buys retrieval and pays for it in cosine, against MSE alone."""
    identity, table = "contrast_trade_off", judge.table
    taken_by_mix = {
        mix: {metric: effect for metric, one in by_metric.items() if (effect := judge.step(one)) is not None}
        for mix, by_metric in trade_off_steps(table).items()
    }
    found = {
        mix: effects for mix, effects in taken_by_mix.items() if {COSINE_METRIC, RETRIEVAL} <= set(effects)
    }
    if not found:
        return not_applicable(
            identity,
            f"Needs {COSINE_METRIC} and {RETRIEVAL} of an arm with MSE alone and of one with contrast, else the same.",
        )
    said = "; ".join(f"{MIX_NAMES[mix]} against MSE alone: {told_of(table, e)}" for mix, e in found.items())
    verdicts = [
        all_of([improves(e[RETRIEVAL], "max"), opposite(keeps(e[COSINE_METRIC], "max")) or "undecided"])
        for e in found.values()
    ]
    why = "The cosine rewards what all sentences share; centred cosine and MRR do not"
    wording = Wording(
        supported=f"Contrast buys retrieval and pays for it in cosine{averaged(table)}. {said}. {why}.",
        rejected=f"Contrast does not buy retrieval at the price of cosine{averaged(table)}. {said}. {why}.",
        undecided=f"Whether contrast buys retrieval at the price of cosine is open{averaged(table)}. {said}. {why}.",
        advice={
            "supported": "Choose by the use: MSE for the vector itself, contrast to find it among others."
        },
    )
    return told(
        identity, any_of(verdicts), wording, [e for effects in found.values() for e in effects.values()]
    )


def choice_helps(judge: Judge, choice: Choice) -> Finding:
    """One thing, switched on with nothing else changed, improves the objective, or the moments at no price on it."""
    taken_steps = [(pair, taken(judge, axis, pair)) for axis, pair in switched(judge.table, choice.parameter)]
    known = [(pair, found) for pair, found in taken_steps if found]
    if not known:
        return not_applicable(
            choice.identity, f"No two cells with data differ in {choice.parameter} alone, on and off."
        )
    said = "; ".join(pair_text(judge.table, pair, found) for pair, found in known)
    wording = Wording(
        supported=f"{choice.claim.capitalize()}: {said}.",
        rejected=f"{choice.denial.capitalize()}: {said}.",
        undecided=f"Whether {choice.claim} is open: {said}.",
        advice={"rejected": choice.advice},
    )
    verdict = any_of(helps(judge.table, found) for _, found in known)
    return told(choice.identity, verdict, wording, evidence_of([found for _, found in known]))


def pair_text(table: SweepTable, pair: Pair, found: ByMetric) -> str:
    """Return what one switch does: ``moment against infonce, valid/cos is open (+0.01 [-0.01, +0.03])``."""
    effect = next(iter(found.values()))
    return f"{effect.a} against {effect.b}, {told_of(table, found)}"


def evidence_of(found: Sequence[ByMetric]) -> list[Effect]:
    """Return the effects of several switches."""
    return [effect for by_metric in found for effect in by_metric.values()]
