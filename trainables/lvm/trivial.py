"""Predictors that need no training. Imports no torch."""

from __future__ import annotations

import numpy as np

from trainables.dataset import Array

TRIVIAL = ("mean_vector", "context_mean", "copy_last")


def unit(vectors: Array) -> Array:
    """Return vectors ``(..., d)`` on the unit sphere; zero stays zero."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Array = vectors / np.where(norm > 0, norm, 1.0)
    return scaled


def cosines(first: Array, second: Array) -> Array:
    """Return the cosine of every row of two arrays ``(n, d)``, ``(n,)``."""
    found: Array = (unit(first) * unit(second)).sum(axis=-1)
    return found


def trivial_predictions(context: Array, mean: Array) -> dict[str, Array]:
    """Return what the trivial predictors say, ``(n, d)`` each, by name in `TRIVIAL`.

    Args:
        context: ``(n, C, d)``.
        mean: Of the training targets, ``(d,)``.
    """
    return {
        "mean_vector": np.broadcast_to(mean, context[:, 0].shape),
        "context_mean": context.mean(axis=1),
        "copy_last": context[:, -1],
    }


def moment_errors(said: Array, true: Array) -> tuple[float, float]:
    """Return the relative errors of mean and spread of vectors ``(n, d)`` against those of others."""
    mu, sigma = (
        float(np.linalg.norm(own - other) / np.linalg.norm(other))
        for own, other in ((said.mean(axis=0), true.mean(axis=0)), (said.std(axis=0), true.std(axis=0)))
    )
    return mu, sigma
