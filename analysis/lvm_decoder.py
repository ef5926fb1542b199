"""Decoder tests A, B and C: does the decoder read the encoder's own vectors, normalised ones, and the predictions?

A decoder that reads weights as they are finds other words in a vector of another length, so test C takes predictions at
the length of the corpus's vectors; records without that have the predictions as they come, and the statement says so.
"""

from __future__ import annotations

from analysis import lvm_cells as c
from analysis.findings import Finding, Number, Verdict, Wording, not_applicable, told
from analysis.judge import Judge, Quantity, given, numbers
from analysis.subjects import Subject, mean_of, metric_name
from trainables.lvm import claims
from trainables.lvm.bounds import DECODABLE_COS

NO_DECODER = (
    "The data has no decoder: decoder_cos is not recorded. Extract it with --encoder lsa to have one."
)
MEANS = "A test passes where the words lead back to the vector; it does not say that they are right"


def quantity(judge: Judge) -> Quantity:
    """Return what test C rests on: predictions at the corpus's length, or as they come where only that is recorded."""
    return c.DECODER if metric_name(judge.table, c.DECODER.name) in judge.table.trials else c.DECODER_RAW


def decoder_abc(judge: Judge, arm: Subject) -> Finding:
    """The decoder reads the vectors of a cell (test C); beside it, whether it reads the encoder's own (A, B)."""
    own = quantity(judge)
    identity, verdict = f"decoder_abc[{arm.name}]", judge.above(arm, own, DECODABLE_COS)
    if verdict is None:
        absent = metric_name(judge.table, own.name) not in judge.table.trials
        return not_applicable(identity, NO_DECODER if absent else c.why_missing(judge.table, arm, own.name))
    said = f"{abc_text(judge, arm, verdict)}. {MEANS}{words_text(judge, arm)}"
    wording = Wording(
        supported=f"The decoder reads the vectors of {arm.name}: {said}.",
        rejected=f"The decoder does not read the vectors of {arm.name}: {said}.",
        undecided=f"Whether the decoder reads the vectors of {arm.name} is open: {said}.",
        advice={found: decoder_advice(judge, arm, found) for found in ("supported", "rejected", "undecided")},
    )
    known = [
        Number(f"decoder_cos, {name}", value)
        for name, value in ((c.RAW, tests(judge)["A"]), (c.UNIT, tests(judge)["B"]))
        if value is not None
    ]
    shown = numbers(judge.table, arm, c.DECODER_RAW.name, *WORDS)
    return told(identity, verdict, wording, [*given(judge.effect(arm, own)), *known, *shown])


WORDS = ("word_precision", "word_recall")


def words_text(judge: Judge, arm: Subject) -> str:
    """Return how many words are right, empty where it is not recorded."""
    precision, recall = (mean_of(judge.table, name, arm.cell) for name in WORDS)
    if precision is None or recall is None:
        return ""
    return (
        f": in predictions as they come {precision:.0%} of the words are right, and {recall:.0%} of the true "
        "sentence's words are found"
    )


def tests(judge: Judge) -> dict[str, float | None]:
    """Return what the decoder makes of the encoder's own vectors: raw (A) and normalised (B), None where unknown."""
    return {
        name: c.baseline(judge.table, predictor, c.DECODER_RAW.name)
        for name, predictor in (("A", c.RAW), ("B", c.UNIT))
    }


def fails(judge: Judge, test: str) -> bool:
    """Return whether test A or B is known to fail: numbers of the data, without an interval."""
    value = tests(judge)[test]
    return value is not None and value < DECODABLE_COS


def abc_text(judge: Judge, arm: Subject, verdict: Verdict) -> str:
    """Return all three tests with their outcome: ``A (raw vectors) 0.92 passes, ...``; they pass at one bound."""
    names = {"A": "raw vectors of the encoder", "B": "normalised ones"}
    said = [
        f"{test} ({names[test]}) {value:.3g} {'fails' if fails(judge, test) else 'passes'}"
        for test, value in tests(judge).items()
        if value is not None
    ]
    outcome = {"supported": "passes", "rejected": "fails"}.get(verdict, "is open")
    used, raw = quantity(judge), mean_of(judge.table, c.DECODER_RAW.name, arm.cell)
    at = "predictions as they come, whose length decides what is found"
    beside = ""
    if used is c.DECODER:
        at, beside = "predictions at the corpus's length", f"; as they come {raw:.3g}"
    own = f"C ({at}) {mean_of(judge.table, used.name, arm.cell):.3g} {outcome}"
    return f"{', '.join([*said, own])}, at {DECODABLE_COS:g}{beside}"


def decoder_advice(judge: Judge, arm: Subject, verdict: Verdict) -> str:
    """Return what to do, which depends on the first test that fails."""
    if fails(judge, "A"):
        return "The encoder and its decoder do not fit: there is nothing to train for before another pair is taken."
    if fails(judge, "B"):
        return "Do not normalise what goes to the decoder: train with head=split and decode the raw vector."
    if verdict == "undecided":
        return ""
    raw = mean_of(judge.table, c.DECODER_RAW.name, arm.cell)
    reads = verdict == "supported" if quantity(judge) is c.DECODER else None
    return claims.decoder_advice(arm.params, reads=reads, reads_raw=raw is None or raw >= DECODABLE_COS)
