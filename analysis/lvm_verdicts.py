"""The verdicts on single cells: no more than the mean vector, skill, moments, decoder, copies of the last vector."""

from __future__ import annotations

from collections.abc import Mapping

from analysis import lvm_cells as c
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
from analysis.judge import Judge, given, numbers, opposite
from analysis.lvm_decoder import decoder_abc
from analysis.scales import FEWEST_AGREEING
from analysis.subjects import Subject, mean_of
from trainables.lvm.bounds import COLLAPSED_DIVERSITY, MATCHED_MOMENTS

NO_NEARER = "it is no nearer to what follows than the mean vector, within the margin"
DIFFERING = "although its predictions differ"
FLAT = f"fewer than {COLLAPSED_DIVERSITY:.0%} of the dimensions spread over its predictions"
ALIKE = f"its predictions are {c.COLLAPSED_WAY:.0%} of the way to one vector for all"
DIVERSITY_GUARD = "valid/output_diversity"
ALL_BEAT = "all_backbones_beat_mean_vector"


def on_cells(judge: Judge) -> list[Finding]:
    """Return whether all cells beat the mean vector, then every claim about every cell."""
    claims = (mean_vector_collapse, beats_trivial, moments_match, decoder_abc, copies_last)
    per_cell = [claim(judge, arm) for claim in claims for arm in subjects(judge.table)]
    return [all_beat_mean_vector(judge), *per_cell]


def beats_mean_vector(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "nearer to what follows than the mean vector, beyond the margin"; None without data."""
    found = judge.step(c.above_mean_vector(judge.table, arm))
    return None if found is None else improves(found, "max")


def all_beat_mean_vector(judge: Judge) -> Finding:
    """Every cell is nearer to what follows than the mean vector; the statement names those that are not."""
    table, arms = judge.table, subjects(judge.table)
    known = c.baseline(table, c.MEAN_VECTOR)
    verdicts = {arm.name: beats_mean_vector(judge, arm) for arm in arms}
    if known is None or not any(verdicts.values()):
        reason = f"Needs the baseline {c.MEAN_VECTOR}/valid/{c.COS}, and cells with a cosine that are judged singly."
        return not_applicable(ALL_BEAT, reason)
    beaten, is_open, missing = (named(verdicts, verdict) for verdict in ("rejected", "undecided", None))
    rest = (f" Open: {is_open}." if is_open else "") + (
        f" Without a completed trial: {missing}." if missing else ""
    )
    wording = Wording(
        supported=f"All {len(arms)} cells beat the mean vector (cosine {known:.3f}).",
        rejected=f"Not all cells beat the mean vector (cosine {known:.3f}). Not better: {beaten}.{rest}",
        undecided=f"Whether all cells beat the mean vector (cosine {known:.3f}) is open.{rest}",
        advice={"rejected": "See mean_vector_collapse of these cells for what to do."},
    )
    effects = given(*(judge.step(c.above_mean_vector(table, arm)) for arm in arms))
    if missing and not beaten and not is_open:
        return Finding(ALL_BEAT, "undecided", wording.undecided, tuple(effects))
    verdict = all_of("undecided" if found is None else found for found in verdicts.values())
    return told(ALL_BEAT, verdict, wording, effects)


def named(verdicts: Mapping[str, Verdict | None], verdict: Verdict | None) -> str:
    """Return the names of the cells with one verdict."""
    return "; ".join(name for name, found in verdicts.items() if found == verdict)


def collapse_parts(judge: Judge, arm: Subject) -> dict[str, Verdict]:
    """Return the verdicts on what makes a collapse, by what is then said; those that have data."""
    nearer, index = beats_mean_vector(judge, arm), c.index_quantity(judge.table)
    parts = {
        NO_NEARER: opposite(nearer),
        FLAT: judge.below(arm, c.DIVERSITY, COLLAPSED_DIVERSITY),
        ALIKE: None if index is None else judge.above(arm, index, index.bounds[0]),
    }
    return {said: verdict for said, verdict in parts.items() if verdict is not None}


def collapsed(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on a collapse, None without data.

    A guard on diversity ends what collapses: where it ended all trials, it has answered; where it ended some, the
    survivors cannot.
    """
    parts = collapse_parts(judge, arm)
    ended, n = n_ended(judge.table, arm, DIVERSITY_GUARD), len(judge.table.rows_of(arm.cell))
    if ended == n and n >= FEWEST_AGREEING:
        return "supported"
    if not parts:
        return None
    verdict = any_of(parts.values())
    return "undecided" if ended and verdict != "supported" else verdict


def reasons(judge: Judge, arm: Subject) -> str:
    """Return why a cell says no more than the mean vector; where its predictions are shown to differ, that they do."""
    n = len(judge.table.rows_of(arm.cell))
    if n_ended(judge.table, arm, DIVERSITY_GUARD) == n:
        return f"a guard on its diversity ended all {n} trials"
    parts = collapse_parts(judge, arm)
    said = ", and ".join(reason for reason, verdict in parts.items() if verdict == "supported")
    return f"{said}, {DIFFERING}" if predictions_differ(parts) else said


def predictions_differ(parts: Mapping[str, Verdict]) -> bool:
    """Return whether predictions are shown to differ from each other, by all that is recorded of it."""
    spreads = [verdict for said, verdict in parts.items() if said != NO_NEARER]
    return all_of(spreads and [opposite(verdict) or "undecided" for verdict in spreads]) == "supported"


def collapse_advice(judge: Judge, arm: Subject) -> str:
    """Return what to do: predictions that are one vector need spread, predictions that differ need aim."""
    if predictions_differ(collapse_parts(judge, arm)):
        return (
            "Its outputs have not collapsed, they are off: train longer and on more documents, and see whether "
            "infonce_weight, moment_weight or variance_weight is too heavy."
        )
    return "Raise infonce_weight or variance_weight."


def mean_vector_collapse(judge: Judge, arm: Subject) -> Finding:
    """A cell says no more than the mean vector: it is no nearer to what follows, or its predictions hardly differ."""
    identity, verdict = f"mean_vector_collapse[{arm.name}]", collapsed(judge, arm)
    if verdict is None:
        return not_applicable(identity, c.why_missing(judge.table, arm, c.COS))
    said = collapse_numbers(judge, arm)
    wording = Wording(
        supported=f"{arm.name} says no more than the mean vector: {reasons(judge, arm)}{said}.",
        rejected=f"{arm.name} says more than the mean vector{said}.",
        undecided=f"Whether {arm.name} says more than the mean vector is open{said}.",
        advice={"supported": collapse_advice(judge, arm)},
    )
    index = c.index_quantity(judge.table)
    effects = given(
        judge.step(c.above_mean_vector(judge.table, arm)),
        judge.effect(arm, c.DIVERSITY),
        judge.effect(arm, index) if index else None,
    )
    shown = numbers(judge.table, arm, c.COS, c.DIVERSITY.name, c.INDEX, "pred_var_ratio")
    return told(identity, verdict, wording, [*effects, *shown])


def collapse_numbers(judge: Judge, arm: Subject) -> str:
    """Return cosine, diversity and collapse index of a cell in words, empty where nothing is known."""
    table = judge.table
    cos, spread, index = (mean_of(table, name, arm.cell) for name in (c.COS, c.DIVERSITY.name, c.INDEX))
    known, limit = c.baseline(table, c.MEAN_VECTOR), c.largest_index(table)
    beside = "" if known is None else f" against {known:.3f} of the mean vector"
    said = [] if cos is None else [f"cosine {cos:.3f}{beside}"]
    said += [] if spread is None else [f"{spread:.0%} of the dimensions spread"]
    said += [] if index is None or limit is None else [f"collapse index {index:z.2f} of at most {limit:.2f}"]
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
        advice={"rejected": f"Predict with {other}, or train longer and on more documents."},
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
        advice={"rejected": "Raise moment_weight; a spread that is too small is also a sign of collapse."},
    )
    return told(identity, all_of(parts), wording, given(*(judge.effect(arm, q) for q in quantities)))


def copies_last(judge: Judge, arm: Subject) -> Finding:
    """Predictions of a cell are nearer to the last vector of the context than to the next one."""
    identity, verdict = f"copies_last[{arm.name}]", judge.below(arm, c.MARGIN, 0.0)
    if verdict is None:
        return not_applicable(identity, c.why_missing(judge.table, arm, c.MARGIN.name))
    said = f"cosine to the next less that to the last {mean_of(judge.table, c.MARGIN.name, arm.cell):+.3f}"
    wording = Wording(
        supported=f"{arm.name} copies the last vector, it is nearer to it than to the next: {said}.",
        rejected=f"{arm.name} does not copy the last vector, it is nearer to the next: {said}.",
        undecided=f"Whether {arm.name} is nearer to the last vector than to the next is open: {said}.",
        advice={
            "supported": "Sweep infonce_weight and hard_negatives: negatives of the same document should raise it."
        },
    )
    return told(identity, verdict, wording, given(judge.effect(arm, c.MARGIN)))
