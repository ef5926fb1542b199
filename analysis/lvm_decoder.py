"""Decoder tests A, B and C: does the decoder read the encoder's own vectors, normalised ones, and the predictions?"""

from __future__ import annotations

from analysis import lvm_cells as c
from analysis.findings import Finding, Number, Verdict, Wording, not_applicable, told
from analysis.judge import Judge, given
from analysis.subjects import Subject, mean_of, metric_name
from trainables.lvm.bounds import DECODABLE_COS

NO_DECODER = (
    "The data has no decoder: decoder_cos is not recorded. Extract it with --encoder lsa to have one."
)


def decoder_abc(judge: Judge, arm: Subject) -> Finding:
    """The decoder reads the vectors of a cell (test C); beside it, whether it reads the encoder's own (A, B)."""
    identity, verdict = f"decoder_abc[{arm.name}]", judge.above(arm, c.DECODER, DECODABLE_COS)
    if verdict is None:
        absent = metric_name(judge.table, c.DECODER.name) not in judge.table.trials
        return not_applicable(
            identity, NO_DECODER if absent else c.why_missing(judge.table, arm, c.DECODER.name)
        )
    said = abc_text(judge, arm, verdict)
    wording = Wording(
        supported=f"The decoder reads the vectors of {arm.name}: {said}.",
        rejected=f"The decoder does not read the vectors of {arm.name}: {said}.",
        undecided=f"Whether the decoder reads the vectors of {arm.name} is open: {said}.",
        advice={found: decoder_advice(judge, arm, found) for found in ("supported", "rejected", "undecided")},
    )
    own = [
        Number(f"decoder_cos, {name}", value)
        for name, value in ((c.RAW, tests(judge)["A"]), (c.UNIT, tests(judge)["B"]))
        if value is not None
    ]
    return told(identity, verdict, wording, [*given(judge.effect(arm, c.DECODER)), *own])


def tests(judge: Judge) -> dict[str, float | None]:
    """Return what the decoder makes of the encoder's own vectors: raw (A) and normalised (B), None where unknown."""
    return {
        name: c.baseline(judge.table, predictor, c.DECODER.name)
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
    own = f"C (predictions) {mean_of(judge.table, c.DECODER.name, arm.cell):.3g} {outcome}"
    return f"{', '.join([*said, own])}, at {DECODABLE_COS:g}"


def decoder_advice(judge: Judge, arm: Subject, verdict: Verdict) -> str:
    """Return what to do, which depends on the first test that fails."""
    if fails(judge, "A"):
        return "The encoder and its decoder do not fit: there is nothing to train for before another pair is taken."
    if fails(judge, "B"):
        return "Do not normalise what goes to the decoder: train with head=split and decode the raw vector."
    if verdict != "rejected":
        return ""
    split = "" if arm.params.get("head", "split") == "split" else "take head=split and "
    return f"Predictions leave the space that the decoder knows: {split}raise moment_weight."
