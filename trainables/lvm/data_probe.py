"""Diagnostics of window files before any model is trained: moments, trivial predictors, decoder tests A and B."""

from __future__ import annotations

import numpy as np

from trainables.dataset import Dataset
from trainables.lvm.bounds import DECODABLE_COS, MATCHED_MOMENTS
from trainables.lvm.trivial import TRIVIAL, moment_errors
from trainables.probe import ProbeResult, Verdict

EASY_COS = 0.7  # a mean vector this near leaves little to predict; design
DECODER_TESTS = {
    "decoder_a": ("raw_target", "the encoder's raw vectors"),
    "decoder_b": ("unit_target", "the same vectors on the unit sphere"),
}


def check(dataset: Dataset) -> tuple[ProbeResult, ...]:
    """Return what is known of the data without training: see `trainables.lvm.data.load_dataset`."""
    tests = (decoder_test(dataset, identity) for identity in DECODER_TESTS)
    return (split_by_document(dataset), moments_agree(dataset), mean_vector_is_near(dataset), *tests)


def split_by_document(dataset: Dataset) -> ProbeResult:
    """Return whether no document stands in two splits."""
    train, valid, test = (
        set(dataset.split(name)["document"].tolist()) for name in ("train", "valid", "test")
    )
    shared = (train & valid) | (train & test) | (valid & test)
    sizes = {"n_train": len(train), "n_valid": len(valid), "n_test": len(test)}
    statement = (
        f"{len(shared)} documents stand in two splits; documents: {len(train)} train, {len(valid)} valid, "
        f"{len(test)} test."
    )
    numbers = {name: float(size) for name, size in sizes.items()}
    verdict: Verdict = "rejected" if shared else "supported"
    return ProbeResult("split_by_document", verdict, statement, numbers, alarm=bool(shared))


def moments_agree(dataset: Dataset) -> ProbeResult:
    """Return whether training and validation targets have the same mean and spread, dimension by dimension."""
    mu, sigma = moment_errors(dataset.train["target"], dataset.valid["target"])
    spread, mean = dataset.constants["std"], dataset.constants["mean"]
    good = max(mu, sigma) <= MATCHED_MOMENTS
    statement = (
        f"Validation targets differ from training targets by {mu:.3f} of the norm of the mean and by {sigma:.3f} of "
        f"that of the spreads; the spread of a dimension is {spread.min():.2g} to {spread.max():.2g}."
    )
    advice = "" if good else f"Ask no model for errors of moments below {max(mu, sigma):.2g} on this split."
    numbers = {"moment_mu_err": mu, "moment_sigma_err": sigma, "mean_norm": float(np.linalg.norm(mean))}
    return ProbeResult("moments_agree", "supported" if good else "rejected", statement, numbers, advice)


def mean_vector_is_near(dataset: Dataset) -> ProbeResult:
    """Return whether the mean vector alone is near everything, beside the other predictors without training."""
    found = {name: dataset.baselines[f"{name}/valid/cos"] for name in TRIVIAL}
    near = found["mean_vector"] >= EASY_COS
    listed = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())
    statement = (
        f"Cosine to the next vector without training: {listed}; the mean vector's bound is {EASY_COS:g}."
    )
    advice = "Take the mean of the corpus from all vectors: their cosines say little." if near else ""
    numbers = {f"cos_{name}": value for name, value in found.items()}
    verdict: Verdict = "supported" if near else "rejected"
    return ProbeResult("mean_vector_is_near", verdict, statement, numbers, advice, near)


def decoder_test(dataset: Dataset, identity: str) -> ProbeResult:
    """Return whether the decoder reads true vectors: as they are (A), or on the unit sphere (B)."""
    predictor, what = DECODER_TESTS[identity]
    value = dataset.baselines.get(f"{predictor}/valid/decoder_cos")
    if value is None:
        return ProbeResult(identity, "not_applicable", "The data has no decoder.")
    good = value >= DECODABLE_COS
    reads = "reads" if good else "does not read"
    statement = f"The decoder {reads} {what}: cosine {value:.3f}, bound {DECODABLE_COS:g}."
    return ProbeResult(
        identity, "supported" if good else "rejected", statement, {"decoder_cos": value}, alarm=not good
    )
