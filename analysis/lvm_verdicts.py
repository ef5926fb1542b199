"""The verdicts on cells: nearer than the mean vector, collapsed, skill, moments, decoder, copies of the last vector.

What the claims mean and what to do about them stands in `trainables.lvm.claims`, where a probe of a trained model reads
it, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis import lvm_cells as c
from analysis.effects import Effect
from analysis.encoder_health_monitors import n_ended, subjects
from analysis.findings import (
    Finding,
    Verdict,
    Wording,
    all_of,
    any_of,
    improves,
    not_applicable,
    told,
)
from analysis.judge import Judge, given, numbers
from analysis.lvm_decoder import decoder_abc
from analysis.scales import FEWEST_AGREEING
from analysis.subjects import Subject, mean_of
from analysis.table import SweepTable
from analysis.training_length import peak_of
from trainables.lvm import claims
from trainables.lvm.bounds import COLLAPSED_DIVERSITY, COLLAPSED_WAY, COPIED_COS, MATCHED_MOMENTS

FLAT = f"fewer than {COLLAPSED_DIVERSITY:.0%} of the dimensions spread over its predictions"
ALIKE = f"its predictions are {COLLAPSED_WAY:.0%} of the way to one vector for all"
DIVERSITY_GUARD = "valid/output_diversity"
ALL_BEAT, ANY_BEATS = "all_backbones_beat_mean_vector", "beats_trivial"


def on_cells(judge: Judge) -> list[Finding]:
    """Return what holds for all cells together, then every claim about every cell."""
    cell_claims = (
        beats_mean_vector,
        mean_vector_collapse,
        beats_trivial,
        moments_match,
        decoder_abc,
        copies_last,
    )
    per_cell = [claim(judge, arm) for claim in cell_claims for arm in subjects(judge.table)]
    return [any_beats_trivial(judge), all_beat_mean_vector(judge), *per_cell]


def above_mean(judge: Judge, arm: Subject) -> Effect | None:
    """Return the cosine of a cell against that of the mean vector, None without data."""
    return judge.step(c.above_mean_vector(judge.table, arm))


def nearer(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "nearer to what follows than the mean vector, beyond the margin"; None without data."""
    found = above_mean(judge, arm)
    return None if found is None else improves(found, "max")


def length_advice(table: SweepTable, arm: Subject) -> str:
    """Return what the place of the best epoch says of longer training, a sentence; empty where it says nothing."""
    peak = peak_of(table, arm.cell)
    return "" if peak is None else f" {peak.text.capitalize()}: {peak.advice}."


def all_beat_mean_vector(judge: Judge) -> Finding:
    """Every cell is nearer to what follows than the mean vector; the statement names those that are and the others."""
    table, arms = judge.table, subjects(judge.table)
    known = c.baseline(table, c.MEAN_VECTOR)
    verdicts = {arm.name: nearer(judge, arm) for arm in arms}
    if known is None or not any(verdicts.values()):
        reason = f"Needs the baseline {c.MEAN_VECTOR}/valid/{c.COS}, and cells with a cosine that are judged singly."
        return not_applicable(ALL_BEAT, reason)
    beat, beaten, is_open, missing = (
        named(verdicts, verdict) for verdict in ("supported", "rejected", "undecided", None)
    )
    effects = given(*(above_mean(judge, arm) for arm in arms))
    against = f"the mean vector (cosine {known:.3f}) by more than the margin ({effects[0].margin:.2g})"
    listed = {"Better": beat, "Not better": beaten, "Open": is_open, "Without a completed trial": missing}
    rest = "".join(f" {what}: {names}." for what, names in listed.items() if names)
    wording = Wording(
        supported=f"All {len(arms)} cells beat the mean vector (cosine {known:.3f}).",
        rejected=f"{counted(verdicts)} of {len(arms)} cells beat {against}.{rest}",
        undecided=f"Whether all cells beat {against} is open.{rest}",
        advice={"rejected": "See beats_mean_vector of these cells for what to do."},
    )
    if missing and not beaten and not is_open:
        return Finding(ALL_BEAT, "undecided", wording.undecided, tuple(effects))
    verdict = all_of("undecided" if found is None else found for found in verdicts.values())
    return told(ALL_BEAT, verdict, wording, effects)


def counted(verdicts: Mapping[str, Verdict | None]) -> str:
    """Return how many cells a claim is shown to hold for: ``No`` or their number."""
    return str(sum(found == "supported" for found in verdicts.values()) or "None")


def named(verdicts: Mapping[str, Verdict | None], verdict: Verdict | None) -> str:
    """Return the names of the cells with one verdict."""
    return "; ".join(name for name, found in verdicts.items() if found == verdict)


def any_beats_trivial(judge: Judge) -> Finding:
    """Some cell is nearer to what follows than every predictor that needs no training."""
    table, arms = judge.table, subjects(judge.table)
    known = c.trivial_cosines(table)
    verdicts = {arm.name: judge.above(arm, c.SKILL, 0.0) for arm in arms}
    means = {arm.name: mean for arm in arms if (mean := mean_of(table, c.COS, arm.cell)) is not None}
    if not known or not means or not any(verdicts.values()):
        return not_applicable(
            ANY_BEATS, "Needs the baselines of the trivial predictors, and cells with skill."
        )
    predictor, best = next(iter(known)), max(means, key=lambda name: means[name])
    against = (
        f"the {c.spoken(predictor)} (cosine {known[predictor]:.3f}), the best predictor without training"
    )
    own = f"The best cell, {best}, has {means[best]:.3f}"
    wording = Wording(
        supported=f"{counted(verdicts)} of {len(arms)} cells beat {against}: {named(verdicts, 'supported')}.",
        rejected=f"No cell beats {against}. {own}: training was worth nothing by this measure.",
        undecided=f"Whether any cell beats {against} is open: {named(verdicts, 'undecided')}. {own}.",
        advice={"rejected": f"Predict with the {c.spoken(predictor)} before any of these models."},
    )
    verdict = any_of(found for found in verdicts.values() if found is not None)
    effects = given(*(judge.effect(arm, c.SKILL) for arm in arms))
    return told(ANY_BEATS, verdict, wording, [*effects, *c.trivial_numbers(table)])


def beats_mean_vector(judge: Judge, arm: Subject) -> Finding:
    """A cell is nearer to what follows than the mean vector, by more than the margin."""
    identity, effect = f"beats_mean_vector[{arm.name}]", above_mean(judge, arm)
    known, cos = c.baseline(judge.table, c.MEAN_VECTOR), mean_of(judge.table, c.COS, arm.cell)
    if effect is None or known is None or cos is None:
        return not_applicable(identity, c.why_missing(judge.table, arm, c.COS))
    said = f"cosine {cos:.3f} against {known:.3f}, {effect.interval_text}, margin {effect.margin:.2g}"
    farther = "farther from what follows than" if effect.below(0.0) else "no nearer to what follows than"
    wording = Wording(
        supported=f"{arm.name} is nearer to what follows than the mean vector: {said}.",
        rejected=f"{arm.name} is {farther} the mean vector: {said}.",
        undecided=f"Whether {arm.name} is nearer to what follows than the mean vector is open: {said}.",
        advice={"rejected": claims.aim_advice(arm.params) + length_advice(judge.table, arm)},
    )
    return told(identity, improves(effect, "max"), wording, [effect])


def alike_parts(judge: Judge, arm: Subject) -> dict[str, Verdict]:
    """Return the verdicts on what makes predictions alike, by what is then said; those that have data."""
    index = c.index_quantity(judge.table)
    parts = {
        FLAT: judge.below(arm, c.DIVERSITY, COLLAPSED_DIVERSITY),
        ALIKE: None if index is None else judge.above(arm, index, index.bounds[0]),
    }
    return {said: verdict for said, verdict in parts.items() if verdict is not None}


def collapsed(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on a collapse, None without data.

    A guard on diversity ends what collapses: where it ended all trials, it has answered; where it ended some, the
    survivors cannot.
    """
    parts = alike_parts(judge, arm)
    ended, n = n_ended(judge.table, arm, DIVERSITY_GUARD), len(judge.table.rows_of(arm.cell))
    if ended == n and n >= FEWEST_AGREEING:
        return "supported"
    verdict = claims.collapsed(any_of(parts.values()) if parts else None, nearer(judge, arm))
    return "undecided" if ended and verdict != "supported" else verdict


def reasons(judge: Judge, arm: Subject) -> str:
    """Return why a cell has collapsed."""
    n = len(judge.table.rows_of(arm.cell))
    if n_ended(judge.table, arm, DIVERSITY_GUARD) == n:
        return f"a guard on its diversity ended all {n} trials"
    said = [reason for reason, verdict in alike_parts(judge, arm).items() if verdict == "supported"]
    if nearer(judge, arm) == "rejected":
        said.append("it is no nearer to what follows than the mean vector")
    return ", and ".join(said)


def mean_vector_collapse(judge: Judge, arm: Subject) -> Finding:
    """A cell says nearly one vector for all windows, no nearer to what follows than the mean vector."""
    identity, verdict = f"mean_vector_collapse[{arm.name}]", collapsed(judge, arm)
    if verdict is None:
        return not_applicable(identity, c.why_missing(judge.table, arm, c.DIVERSITY.name, c.INDEX))
    said, index = collapse_numbers(judge, arm), c.index_quantity(judge.table)
    effect = judge.effect(arm, index) if index else None
    wide = (
        f" The interval of the collapse index is wide because seeds scatter unevenly over the cells, so that only the "
        f"{effect.n} of this cell tell its spread."
        if effect is not None and effect.model == "by cell"
        else ""
    )
    wording = Wording(
        supported=f"{arm.name} has collapsed to the mean vector: {reasons(judge, arm)}{said}.",
        rejected=f"{arm.name} has not collapsed to the mean vector{said}.",
        undecided=f"Whether {arm.name} has collapsed to the mean vector is open{said}.{wide}",
        advice={"supported": claims.spread_advice(arm.params)},
    )
    effects = given(effect, judge.effect(arm, c.DIVERSITY), above_mean(judge, arm))
    shown = numbers(judge.table, arm, c.COS, c.DIVERSITY.name, c.INDEX, "pred_var_ratio")
    return told(identity, verdict, wording, [*effects, *shown])


def collapse_numbers(judge: Judge, arm: Subject) -> str:
    """Return cosine, diversity and collapse index of a cell in words, empty where nothing is known."""
    table = judge.table
    cos, spread, index = (mean_of(table, name, arm.cell) for name in (c.COS, c.DIVERSITY.name, c.INDEX))
    known, limit, bound = c.baseline(table, c.MEAN_VECTOR), c.largest_index(table), c.index_quantity(table)
    beside = "" if known is None else f" against {known:.3f} of the mean vector"
    said = [] if cos is None else [f"cosine {cos:.3f}{beside}"]
    said += [] if spread is None else [f"{spread:.0%} of the dimensions spread"]
    if index is not None and limit is not None and bound is not None:
        said.append(
            f"collapse index {index:z.2f}, collapsed from {bound.bounds[0]:.3f} on, {COLLAPSED_WAY:.0%} of the "
            f"{limit:.2f} of one vector for all"
        )
    return f" ({', '.join(said)})" if said else ""


def beats_trivial(judge: Judge, arm: Subject) -> Finding:
    """A cell is nearer to what follows than the best predictor that needs no training."""
    identity, verdict = f"beats_trivial[{arm.name}]", judge.above(arm, c.SKILL, 0.0)
    if verdict is None:
        return not_applicable(identity, c.why_missing(judge.table, arm, c.SKILL.name))
    known, cos = c.trivial_cosines(judge.table), mean_of(judge.table, c.COS, arm.cell)
    best = next(iter(known), None)
    what = (
        "the best trivial predictor" if best is None else f"the {c.spoken(best)} (cosine {known[best]:.3f})"
    )
    own = "" if cos is None else f" with cosine {cos:.3f}"
    least = "" if best is None else ", the best trivial predictor"
    other = "the trivial predictor" if best is None else f"the {c.spoken(best)}"
    wording = Wording(
        supported=f"{arm.name}{own} beats {what}{least}.",
        rejected=f"{arm.name}{own} does not beat {what}{least}.",
        undecided=f"Whether {arm.name}{own} beats {what}{least} is open.",
        advice={"rejected": f"Predict with {other}.{length_advice(judge.table, arm)}"},
    )
    shown = [*numbers(judge.table, arm, c.SKILL.name, c.COS), *c.trivial_numbers(judge.table)]
    return told(identity, verdict, wording, [*given(judge.effect(arm, c.SKILL)), *shown])


def moments_match(judge: Judge, arm: Subject) -> Finding:
    """Mean and spread of the predictions are those of the targets, within the bound of the note."""
    identity, quantities = f"moments_match[{arm.name}]", (c.MEAN_ERROR, c.SPREAD_ERROR)
    found = {q.name: judge.below(arm, q, MATCHED_MOMENTS) for q in quantities}
    parts = [verdict for verdict in found.values() if verdict is not None]
    if len(parts) < len(quantities):
        return not_applicable(identity, c.why_missing(judge.table, arm, *found))
    means = (f"{q.name} {mean_of(judge.table, q.name, arm.cell):.3g}" for q in quantities)
    said, off = ", ".join(means), [name for name, verdict in found.items() if verdict == "rejected"]
    which = f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'}"
    wording = Wording(
        supported=f"The moments of {arm.name} match, both errors are below {MATCHED_MOMENTS:g}: {said}.",
        rejected=f"The moments of {arm.name} do not match, {which} above {MATCHED_MOMENTS:g}: {said}.",
        undecided=f"Whether the moments of {arm.name} match to {MATCHED_MOMENTS:g} is open: {said}.",
        advice={"rejected": moments_advice(judge, arm)},
    )
    return told(identity, all_of(parts), wording, given(*(judge.effect(arm, q) for q in quantities)))


def moments_advice(judge: Judge, arm: Subject) -> str:
    """Return what to do about moments that do not match, by whether predictions vary too little or too much."""
    ratio = mean_of(judge.table, "pred_var_ratio", arm.cell)
    if ratio is None:
        return "Raise moment_weight."
    size = f"predictions have {ratio:.2g} of the variance of the targets"
    return f"Raise moment_weight: {size}{', a blend of many sentences' if ratio < 1 else ''}."


def copies_last(judge: Judge, arm: Subject) -> Finding:
    """Predictions of a cell repeat the last vector of the context: their cosine to it is near one.

    To be nearer to it than to what follows is not enough: every summary of a context is.
    """
    identity, verdict = f"copies_last[{arm.name}]", judge.above(arm, c.LAST, COPIED_COS)
    if verdict is None:
        return not_applicable(identity, c.why_missing(judge.table, arm, c.MARGIN))
    to_last, margin = (mean_of(judge.table, name, arm.cell) for name in (c.LAST.name, c.MARGIN))
    known = {name: c.baseline(judge.table, name, c.MARGIN) for name in ("context_mean", c.MEAN_VECTOR)}
    beside = ", ".join(f"the {c.spoken(n)} {value:+z.3f}" for n, value in known.items() if value is not None)
    said = (
        f"cosine {to_last:.3f} to it, a copy from {COPIED_COS:g} on; to the next less to the last {margin:+z.3f}"
        f"{f' ({beside})' if beside else ''}"
    )
    wording = Wording(
        supported=f"{arm.name} repeats the last vector: {said}.",
        rejected=f"{arm.name} does not repeat the last vector: {said}.",
        undecided=f"Whether {arm.name} repeats the last vector is open: {said}.",
        advice={"supported": claims.contrast_advice(arm.params)},
    )
    shown = numbers(judge.table, arm, c.MARGIN)
    return told(identity, verdict, wording, [*given(judge.effect(arm, c.LAST)), *shown])
