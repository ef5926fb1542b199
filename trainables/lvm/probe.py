"""Experiments on a trained next-vector model: does it beat what needs no training, is it one vector, can it be decoded?

A claim is supported or rejected only when its whole 95 % interval lies on one side of its bound. Documents are
resampled, not windows: windows of a document overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap

from trainables.dataset import Array, DataError, Dataset
from trainables.lvm.bounds import COLLAPSED_DIVERSITY, DECODABLE_COS
from trainables.lvm.evaluation import evaluate, predict
from trainables.lvm.model import NextVectorModel
from trainables.lvm.trivial import cosines, trivial_predictions
from trainables.probe import Interval, ProbeResult, Verdict

FEWEST_DOCUMENTS = 5
N_RESAMPLES = 2000
RESAMPLING_SEED = 0  # the same model gets the same verdict


@torch.no_grad()
def probe(model: NextVectorModel, dataset: Dataset) -> tuple[ProbeResult, ...]:
    """Return the verdicts on the validation split: beats trivial predictors, copies the last, one vector, decoder C.

    Args:
        model: In evaluation mode.
        dataset: See `trainables.lvm.data.load_dataset`.

    Raises:
        DataError: If the validation split has fewer than five documents.
    """
    valid = dataset.valid
    n_documents = len(np.unique(valid["document"]))
    if n_documents < FEWEST_DOCUMENTS:
        raise DataError(
            f"The validation split has {n_documents} document(s); intervals resample documents and need "
            f"{FEWEST_DOCUMENTS}. Probe on a file with more documents, or raise n_windows."
        )
    device = next(model.parameters()).device
    split = {name: torch.as_tensor(array).to(device) for name, array in valid.items()}
    unit, metrics = predict(model, split["context"]).unit.cpu().numpy(), evaluate(model, split)
    own, to_last = cosines(unit, valid["target"]), cosines(unit, valid["context"][:, -1])
    return (
        beats_trivial(own, dataset),
        copies_last(own, to_last, valid["document"]),
        mean_vector_collapse(own, dataset, metrics["output_diversity"]),
        decoder_reads_predictions(metrics),
    )


def mean_interval(values: Array, document: Array) -> Interval:
    """Return the mean of values ``(n,)`` over windows, its interval by a bootstrap over documents ``(n,)``.

    Source:
        Efron 1979, percentile intervals, clusters resampled whole.
    """
    group = np.unique(document, return_inverse=True)[1]
    sums, counts = np.bincount(group, weights=values), np.bincount(group).astype(float)

    def mean(s: Array, c: Array, axis: int = -1) -> Any:
        return s.sum(axis=axis) / c.sum(axis=axis)

    rng = np.random.default_rng(RESAMPLING_SEED)
    bounds = bootstrap(
        (sums, counts), mean, paired=True, n_resamples=N_RESAMPLES, method="percentile", rng=rng
    ).confidence_interval
    return Interval(float(values.mean()), float(bounds.low), float(bounds.high))


def beats_trivial(own: Array, dataset: Dataset) -> ProbeResult:
    """Return whether the model is nearer to what follows than the best predictor without training."""
    valid = dataset.valid
    said = trivial_predictions(valid["context"], dataset.constants["mean"])
    trivial = {name: cosines(vectors, valid["target"]) for name, vectors in said.items()}
    best = max(trivial, key=lambda name: float(trivial[name].mean()))
    gain, named = mean_interval(own - trivial[best], valid["document"]), best.replace("_", " ")
    verdict = gain.above(0.0)
    known = f"cosine {own.mean():.3f}, {named} {trivial[best].mean():.3f}, gain {gain}"
    words = {
        "supported": "The model beats the best trivial predictor",
        "rejected": "The model is no better than the best trivial predictor",
        "undecided": "Whether the model beats the best trivial predictor is open",
    }
    numbers = {"cos": float(own.mean()), **gain.numbers("gain")}
    numbers |= {f"cos_{name}": float(values.mean()) for name, values in trivial.items()}
    advice = "" if verdict == "supported" else f"Predict with the {named}, or train longer on more documents."
    statement = f"{words[verdict]}: {known}."
    return ProbeResult("beats_trivial", verdict, statement, numbers, advice, verdict == "rejected")


def copies_last(own: Array, to_last: Array, document: Array) -> ProbeResult:
    """Return whether predictions are nearer to the last vector of the context than to the next one."""
    gap = mean_interval(to_last - own, document)
    verdict = gap.above(0.0)
    words = {
        "supported": "Predictions are nearer to the last sentence than to the next",
        "rejected": "Predictions are nearer to the next sentence than to the last",
        "undecided": "Whether predictions are nearer to the last sentence is open",
    }
    statement = (
        f"{words[verdict]}: cosine {to_last.mean():.3f} to the last, {own.mean():.3f} to the next, gap {gap}."
    )
    alarm = verdict == "supported"
    advice = "Raise infonce_weight, with hard_negatives=True." if alarm else ""
    return ProbeResult("copies_last", verdict, statement, gap.numbers("gap"), advice, alarm)


def mean_vector_collapse(own: Array, dataset: Dataset, diversity: float) -> ProbeResult:
    """Return whether the model says one vector for all, or no more than the mean vector."""
    target = dataset.valid["target"]
    mean = cosines(np.broadcast_to(dataset.constants["mean"], target.shape), target)
    loss = mean_interval(mean - own, dataset.valid["document"])
    verdict: Verdict = "supported" if diversity < COLLAPSED_DIVERSITY or loss.low >= 0 else loss.above(0.0)
    words = {
        "supported": "The model has collapsed to the mean vector",
        "rejected": "The model has not collapsed to the mean vector",
        "undecided": "Whether the model says more than the mean vector is open",
    }
    statement = (
        f"{words[verdict]}: the mean vector's cosine less its own is {loss}, and {diversity:.0%} of the dimensions of "
        "its predictions spread."
    )
    numbers = {**loss.numbers("mean_less_own"), "output_diversity": diversity}
    alarm = verdict == "supported"
    advice = "Raise infonce_weight or variance_weight." if alarm else ""
    return ProbeResult("mean_vector_collapse", verdict, statement, numbers, advice, alarm)


def decoder_reads_predictions(metrics: dict[str, float]) -> ProbeResult:
    """Return whether the decoder reads the model's raw vectors: decoder test C."""
    identity = "decoder_reads_predictions"
    if "decoder_cos" not in metrics:
        reason = "The data has no decoder; `sweeps data extract lvm --encoder lsa` makes data that has one."
        return ProbeResult(identity, "not_applicable", reason)
    value, numbers = metrics["decoder_cos"], {name: metrics[name] for name in DECODED if name in metrics}
    good = value >= DECODABLE_COS
    place = "nearly the same" if good else "another"
    statement = f"Decoded predictions encode to {place} place: cosine {value:.3f}, bound {DECODABLE_COS:g}."
    advice = (
        "" if good else "Take head=split, and raise moment_weight: predictions must have the corpus's scale."
    )
    return ProbeResult(identity, "supported" if good else "rejected", statement, numbers, advice, not good)


DECODED = ("decoder_cos", "word_precision", "word_recall")
