"""What sigma and certainty are worth: calibration, foreign images, and which images to label next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.stats import mannwhitneyu, norm, rankdata
from torch import Tensor

from trainables.dataset import Array

LEVELS = tuple(level / 10 for level in range(1, 10))  # of the central intervals of a normal distribution
FOREIGN_KINDS = ("rotated", "inverted", "noise")
N_FOREIGN = 128
_NOISE_SEED = 0


def observed_coverage(standardised: Tensor) -> Array:
    """Return the share of residuals inside the central interval of each of `LEVELS`, ``(9,)``.

    Args:
        standardised: (x - mean) / sigma, any shape.
    """
    bounds = torch.as_tensor(norm.ppf(0.5 + 0.5 * np.array(LEVELS)), dtype=standardised.dtype)
    places = torch.bucketize(standardised.abs().flatten(), bounds.to(standardised.device))
    counts = torch.bincount(places, minlength=len(LEVELS) + 1).cumsum(dim=0)
    return (counts[: len(LEVELS)] / standardised.numel()).cpu().numpy()


def calibration_metrics(standardised: Tensor) -> dict[str, float]:
    """Return how far residuals in units of their sigma are from standard normal.

    Args:
        standardised: (x - mean) / sigma, ``(n, D)``.

    Source:
        ece_regression: Kuleshov et al. 2018, Accurate uncertainties for deep learning using calibrated regression,
        section 3.5, with the absolute distance and central intervals.
    """
    observed = observed_coverage(standardised)
    return {
        "calibration_std": float(standardised.std()),
        "coverage_50": float(observed[LEVELS.index(0.5)]),
        "coverage_90": float(observed[LEVELS.index(0.9)]),
        "ece_regression": float(np.abs(observed - LEVELS).mean()),
    }


def combined_uncertainty(certainty: Array, sigma: Array) -> Array:
    """Return the mean of two ranks, by 1 - certainty and by sigma, each scaled to (0, 1]; ``(n,)``.

    Ranks, because the two live on different scales; they are taken among the images given, so a score compares
    images of one call and means nothing by itself. Ties share their mean rank: one sigma for all leaves the
    order to certainty alone.

    Args:
        certainty: ``(n,)``.
        sigma: ``(n,)``.
    """
    return np.asarray((rankdata(-certainty) + rankdata(sigma)) / (2.0 * len(sigma)))


def foreign_images(x: Tensor, image_shape: tuple[int, int]) -> dict[str, Tensor]:
    """Return images that do not belong, made of the first 128 rows of a split; a pure function of it.

    Args:
        x: Images, ``(n, D)``.
        image_shape: H and W. An image that is not square is turned by 180 degrees in place of 90.

    Returns:
        By `FOREIGN_KINDS`, each ``(m, D)``.
    """
    first = x[:N_FOREIGN]
    turns = 1 if image_shape[0] == image_shape[1] else 2
    turned = torch.rot90(first.reshape(-1, *image_shape), turns, dims=(1, 2)).flatten(1)
    noise = torch.rand(first.shape, generator=torch.Generator().manual_seed(_NOISE_SEED))
    return {"rotated": turned, "inverted": 1.0 - first, "noise": noise.to(x.device)}


def ood_metrics(
    certainty: Array, sigma: Array, foreign: Mapping[str, tuple[Array, Array]]
) -> dict[str, float]:
    """Return how well uncertainty tells foreign images from a split's own: AUROCs, 0.5 when it cannot.

    Args:
        certainty: Of the split's own images, ``(n,)``.
        sigma: Likewise, ``(n,)``.
        foreign: Certainty and sigma ``(m,)`` of the foreign images, by kind.
    """
    found = {}
    by_score: dict[str, list[float]] = {"certainty": [], "sigma": [], "combined": []}
    for kind, (foreign_certainty, foreign_sigma) in foreign.items():
        c, s = np.concatenate([certainty, foreign_certainty]), np.concatenate([sigma, foreign_sigma])
        scores = np.stack([-c, s, combined_uncertainty(c, s)], axis=1)
        for name, value in zip(by_score, aurocs(scores, len(certainty)), strict=True):
            by_score[name].append(float(value))
        found[f"ood_auroc_{kind}"] = by_score["combined"][-1]
    means = {name: float(np.mean(values)) for name, values in by_score.items()}
    return found | {
        "ood_auroc": means["combined"],
        "ood_auroc_certainty": means["certainty"],
        "ood_auroc_sigma": means["sigma"],
    }


def aurocs(scores: Array, n_own: int) -> Array:
    """Return the area under the ROC curve of each column of ``scores (n, s)``; the first ``n_own`` rows are own.

    Source:
        It is the Mann-Whitney statistic over the number of pairs; Hanley and McNeil 1982.
    """
    own, foreign = scores[:n_own], scores[n_own:]
    statistic = mannwhitneyu(foreign, own, axis=0, method="asymptotic").statistic
    return np.asarray(statistic / (len(own) * len(foreign)))
