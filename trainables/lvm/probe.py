"""Experiments on a trained next-vector model: does it beat what needs no training, is it one vector, can it be decoded?

A claim is supported or rejected only when its whole 95 % interval lies on one side of its bound. Documents are
resampled, not windows: windows of a document overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap

from search_spaces.domains import Params
from trainables.dataset import Array, DataError, Dataset
from trainables.lvm import claims
from trainables.lvm.bounds import COLLAPSED_DIVERSITY, COPIED_COS, DECODABLE_COS, FEWEST_DOCUMENTS, SAME_SHARE
from trainables.lvm.evaluation import evaluate, predict
from trainables.lvm.model import NextVectorModel
from trainables.lvm.trivial import cosines, trivial_predictions
from trainables.probe import Interval, ProbeResult, Verdict

N_RESAMPLES = 2000
RESAMPLING_SEED = 0  # the same model gets the same verdict


@torch.no_grad()
def probe(model: NextVectorModel, dataset: Dataset, params: Params) -> tuple[ProbeResult, ...]:
    """Return the verdicts on the validation split: beats what needs no training, copies, one vector, decoder C.

    Args:
        model: In evaluation mode.
        dataset: See `trainables.lvm.data.load_dataset`.
        params: Those that it was trained with: advice follows from them.

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
    own, last = cosines(unit, valid["target"]), valid["context"][:, -1]
    beats_mean = beats_mean_vector(own, dataset, params)
    return (
        beats_trivial(own, dataset),
        beats_mean,
        mean_vector_collapse(beats_mean, metrics, params),
        copies_last(cosines(unit, last), own, dataset, params),
        decoder_reads_predictions(metrics, params),
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
    advice = "" if verdict == "supported" else f"Predict with the {named}, or give more documents."
    statement = f"{words[verdict]}: {known}."
    return ProbeResult("beats_trivial", verdict, statement, numbers, advice, verdict == "rejected")


def beats_mean_vector(own: Array, dataset: Dataset, params: Params) -> ProbeResult:
    """Return whether predictions are nearer to what follows than the mean vector, by more than the margin."""
    target = dataset.valid["target"]
    mean = cosines(np.broadcast_to(dataset.constants["mean"], target.shape), target)
    gain, margin = mean_interval(own - mean, dataset.valid["document"]), SAME_SHARE * abs(float(mean.mean()))
    verdict: Verdict = "rejected" if gain.high < margin else gain.above(0.0)
    words = {
        "supported": "The model is nearer to what follows than the mean vector",
        "rejected": "The model is no nearer to what follows than the mean vector",
        "undecided": "Whether the model is nearer to what follows than the mean vector is open",
    }
    if gain.high < 0:
        words["rejected"] = "The model is farther from what follows than the mean vector"
    statement = (
        f"{words[verdict]}: {own.mean():.3f} against {mean.mean():.3f}, gain {gain}, margin {margin:.2g}."
    )
    advice = claims.aim_advice(params) if verdict == "rejected" else ""
    numbers = {"cos_mean_vector": float(mean.mean()), **gain.numbers("gain")}
    return ProbeResult("beats_mean_vector", verdict, statement, numbers, advice, verdict == "rejected")


def mean_vector_collapse(beats_mean: ProbeResult, metrics: dict[str, float], params: Params) -> ProbeResult:
    """Return whether predictions hardly differ between windows, and are no nearer than the mean vector."""
    diversity, index = metrics["output_diversity"], metrics["collapse_index"]
    bound = claims.collapsed_index(beats_mean.numbers["cos_mean_vector"])
    alike: Verdict = "supported" if diversity < COLLAPSED_DIVERSITY or index > bound else "rejected"
    verdict = claims.collapsed(alike, beats_mean.verdict) or "undecided"
    words = {
        "supported": "The model says nearly one vector for all windows, no nearer than the mean vector",
        "rejected": "The model has not collapsed to the mean vector",
        "undecided": "The model says nearly one vector for all windows; whether that is nearer than the mean is open",
    }
    statement = (
        f"{words[verdict]}: {diversity:.0%} of the dimensions of its predictions spread (bound "
        f"{COLLAPSED_DIVERSITY:.0%}), collapse index {index:.3f} (bound {bound:.3f})."
    )
    alarm = verdict == "supported"
    numbers = {"output_diversity": diversity, "collapse_index": index}
    advice = claims.spread_advice(params) if alarm else ""
    return ProbeResult("mean_vector_collapse", verdict, statement, numbers, advice, alarm)


def copies_last(to_last: Array, own: Array, dataset: Dataset, params: Params) -> ProbeResult:
    """Return whether predictions repeat the last vector of the context."""
    context = dataset.valid["context"]
    near, mean = (
        mean_interval(to_last, dataset.valid["document"]),
        cosines(context.mean(axis=1), context[:, -1]),
    )
    verdict = near.above(COPIED_COS)
    words = {
        "supported": "Predictions repeat the last sentence",
        "rejected": "Predictions do not repeat the last sentence",
        "undecided": "Whether predictions repeat the last sentence is open",
    }
    statement = (
        f"{words[verdict]}: their cosine to it is {near}, bound {COPIED_COS:g}, that of the context mean "
        f"{mean.mean():.3f}; to the next one it is {own.mean():.3f}."
    )
    alarm = verdict == "supported"
    advice = claims.contrast_advice(params) if alarm else ""
    numbers = {
        **near.numbers("cos_last"),
        "cos": float(own.mean()),
        "cos_last_context_mean": float(mean.mean()),
    }
    return ProbeResult("copies_last", verdict, statement, numbers, advice, alarm)


def decoder_reads_predictions(metrics: dict[str, float], params: Params) -> ProbeResult:
    """Return whether the decoder reads the model's raw vectors: decoder test C."""
    identity = "decoder_reads_predictions"
    if "decoder_cos" not in metrics:
        reason = "The data has no decoder; `sweeps data extract lvm --encoder lsa` makes data that has one."
        return ProbeResult(identity, "not_applicable", reason)
    value, raw = metrics["decoder_cos_scaled"], metrics["decoder_cos"]
    good, numbers = value >= DECODABLE_COS, {name: metrics[name] for name in DECODED}
    place = "nearly the same" if good else "another"
    statement = (
        f"Decoded at the length of the corpus's vectors, predictions encode to {place} place: cosine {value:.3f}, "
        f"bound {DECODABLE_COS:g}; as they come {raw:.3f}. Of the words {metrics['word_precision']:.0%} are right."
    )
    advice = claims.decoder_advice(params, reads=good, reads_raw=raw >= DECODABLE_COS)
    return ProbeResult(identity, "supported" if good else "rejected", statement, numbers, advice, not good)


DECODED = ("decoder_cos", "decoder_cos_scaled", "word_precision", "word_recall")
