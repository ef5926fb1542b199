"""Diagnostics of window files before any model is trained: moments, trivial predictors, decoder tests A and B."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainables.dataset import Dataset, Split
from trainables.lvm.bounds import DECODABLE_COS, FEWEST_DOCUMENTS, FEWEST_WINDOWS, MATCHED_MOMENTS
from trainables.lvm.data import SPLITS, content, documents_of, rows_of
from trainables.lvm.trivial import TRIVIAL, moment_errors
from trainables.probe import ProbeResult, Verdict

SAME = 1e-6  # of the mean's norm: targets that spread less are one vector to the digits of float32
EASY_COS = 0.7  # a mean vector this near leaves little to predict; design
DECODER_TESTS = {
    "decoder_a": ("raw_target", "the encoder's raw vectors"),
    "decoder_b": ("unit_target", "the same vectors on the unit sphere"),
}


def check(dataset: Dataset) -> tuple[ProbeResult, ...]:
    """Return what is known of the data without training: see `trainables.lvm.data.load_dataset`."""
    tests = (decoder_test(dataset, identity) for identity in DECODER_TESTS)
    found = (
        split_by_document(dataset),
        enough_data(dataset),
        moments_agree(dataset),
        mean_vector_is_near(dataset),
    )
    return (*found, *tests)


def split_by_document(dataset: Dataset) -> ProbeResult:
    """Return whether no document stands in two splits, by its name or by its content."""
    names = {name: set(dataset.split(name)["document"].tolist()) for name in SPLITS}
    shared, copies = stand_twice(names), stand_twice({name: contents(dataset.split(name)) for name in SPLITS})
    sizes = {f"n_{name}": float(len(found)) for name, found in names.items()}
    listed = ", ".join(f"{len(names[name])} {name}" for name in ("train", "valid", "test"))
    statement = (
        f"{shared} documents stand in two splits, and {copies} with the same content; documents: {listed}."
    )
    leaks = bool(shared or copies)
    advice = "Drop the copies: what was trained on is tested on." if leaks else ""
    return ProbeResult(
        "split_by_document", "rejected" if leaks else "supported", statement, sizes, advice, leaks
    )


def stand_twice(found: Mapping[str, set[Any]]) -> int:
    """Return how many things stand in more than one of several sets."""
    return len({item for one, two in itertools.combinations(found.values(), 2) for item in one & two})


def contents(split: Split) -> set[bytes]:
    """Return hashes of the documents of a split."""
    return {
        content(split["context"][rows], split["target"][rows]) for rows in rows_of(split["document"]).values()
    }


def enough_data(dataset: Dataset) -> ProbeResult:
    """Return whether there are windows to learn from, and documents to hold out."""
    n_windows = len(dataset.train["target"])
    n_documents = min(documents_of(dataset.split(name)) for name in ("valid", "test"))
    enough = n_windows >= FEWEST_WINDOWS and n_documents >= FEWEST_DOCUMENTS
    statement = (
        f"{n_windows} windows to train on, at least {FEWEST_WINDOWS} are needed to say much; {n_documents} "
        f"documents in the smaller held-out split, at least {FEWEST_DOCUMENTS} for an interval over documents."
    )
    advice = "" if enough else "Give more documents: numbers on so few say more of them than of a model."
    numbers = {"n_windows": float(n_windows), "n_documents": float(n_documents)}
    verdict: Verdict = "supported" if enough else "rejected"
    return ProbeResult("enough_data", verdict, statement, numbers, advice, not enough)


def moments_agree(dataset: Dataset) -> ProbeResult:
    """Return whether training and validation targets have the same mean and spread, dimension by dimension."""
    spread, mean = dataset.constants["std"], dataset.constants["mean"]
    if float(spread.max()) <= SAME * float(np.linalg.norm(mean)):
        statement = "All training targets are one vector: there is nothing to predict."
        advice = "Look at target_vectors: an encoder that fails gives the same vector for every sentence."
        return ProbeResult("moments_agree", "rejected", statement, {}, advice, alarm=True)
    mu, sigma = moment_errors(dataset.train["target"], dataset.valid["target"])
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
    if value is None and "missing_decoder" in dataset.constants:
        missing = str(dataset.constants["missing_decoder"])
        statement = f"The data was encoded with lsa, whose decoder {missing} is not beside it."
        advice = f"Copy {missing} to the data's folder, or extract the data again."
        return ProbeResult(identity, "not_applicable", statement, {}, advice, alarm=True)
    if value is None:
        return ProbeResult(identity, "not_applicable", "The data has no decoder.")
    good = value >= DECODABLE_COS
    reads = "reads" if good else "does not read"
    statement = f"The decoder {reads} {what}: cosine {value:.3f}, bound {DECODABLE_COS:g}."
    return ProbeResult(
        identity, "supported" if good else "rejected", statement, {"decoder_cos": value}, alarm=not good
    )
