"""What the pictures are drawn from: small arrays of one trained model, under 200 kB together."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from torch import Tensor

from search_spaces.domains import Params
from trainables.contract import State
from trainables.dataset import Array, Dataset
from trainables.ssvae.evaluation import ReadOut, image_rmse, read_out, to_array, uncertainty_of
from trainables.ssvae.model import SemiSupervisedVAE
from trainables.ssvae.tau import class_probabilities, tau_of
from trainables.ssvae.uncertainty import LEVELS, combined_uncertainty, observed_coverage

N_POINTS = 512
N_IMAGES = 10
N_SHORTLIST = 12
_BYTE = 255.0


def examples(model: SemiSupervisedVAE, state: State, dataset: Dataset, params: Params) -> dict[str, Array]:
    """Return the arrays of every picture.

    Args:
        model: In evaluation mode.
        state: ``tau_counts (K, Y)``.
        dataset: Its validation split is shown; its unlabelled training images are candidates for labels.
        params: Resolved parameters.

    Returns:
        Of up to 10 validation images, one per class while there are classes: ``image`` and ``rebuilt`` uint8
        ``(m, H, W)``, ``image_sigma``, ``image_rmse`` ``(m,)``. Of up to 512 validation images: ``sigma``,
        ``rmse``, ``label`` ``(n,)`` and ``latent (n, 2)``, the first two principal components of the means. Of the
        whole split: ``usage (K,)``, ``tau (K, Y)``, ``sigma_by_class (Y,)``, ``coverage_nominal`` and
        ``coverage_observed (9,)``, ``sigma_bounds (2,)``, ``predicts_sigma ()``. And ``shortlist_*``, see
        `shortlist`.
    """
    device = state["tau_counts"].device
    x = torch.as_tensor(dataset.valid["x"]).to(device)
    seen, tau = read_out(model, x), tau_of(state["tau_counts"])
    labels = dataset.valid["y"]
    return (
        shown_images(model, seen, x, labels)
        | points(seen, x, labels)
        | tables(seen, x, labels, tau)
        | {
            "sigma_bounds": np.array([params["sigma_min"], params["sigma_max"]], dtype=np.float32),
            "predicts_sigma": np.array(bool(params["heteroscedastic"])),
        }
        | shortlist(model, dataset, tau, seen.sigma[0])
    )


def shown_images(model: SemiSupervisedVAE, seen: ReadOut, x: Tensor, labels: Array) -> dict[str, Array]:
    """Return a few images, one of every class first, beside their reconstructions."""
    _, firsts = np.unique(labels, return_index=True)
    rows = np.concatenate([firsts, np.setdiff1d(np.arange(len(labels)), firsts)])[:N_IMAGES]
    return {
        "image": as_bytes(x[rows], model.image_shape),
        "rebuilt": as_bytes(seen.mean[rows], model.image_shape),
        "image_sigma": to_array(seen.sigma)[rows].astype(np.float32),
        "image_rmse": image_rmse(seen, x)[rows].astype(np.float32),
    }


def points(seen: ReadOut, x: Tensor, labels: Array) -> dict[str, Array]:
    """Return one number or two per image of the first of them."""
    latent = PCA(n_components=min(2, seen.posterior.mean.shape[1])).fit_transform(
        to_array(seen.posterior.mean)
    )
    flat = np.zeros((len(latent), 2 - latent.shape[1]))  # a latent of one dimension has no second component
    return {
        "sigma": to_array(seen.sigma)[:N_POINTS].astype(np.float32),
        "rmse": image_rmse(seen, x)[:N_POINTS].astype(np.float32),
        "label": labels[:N_POINTS].astype(np.int16),
        "latent": np.hstack([latent, flat])[:N_POINTS].astype(np.float32),
    }


def tables(seen: ReadOut, x: Tensor, labels: Array, tau: Tensor) -> dict[str, Array]:
    """Return usage, tau, coverage and the mean sigma of every class."""
    sigma = to_array(seen.sigma)
    by_class = [sigma[labels == label].mean() for label in range(tau.shape[1]) if (labels == label).any()]
    return {
        "usage": to_array(seen.posterior.responsibilities.mean(dim=0)),
        "tau": to_array(tau),
        "sigma_by_class": np.array(by_class, dtype=np.float32),
        "coverage_nominal": np.array(LEVELS, dtype=np.float32),
        "coverage_observed": observed_coverage((x - seen.mean) / seen.sigma.unsqueeze(-1)).astype(np.float32),
    }


def shortlist(
    model: SemiSupervisedVAE, dataset: Dataset, tau: Tensor, only_sigma: Tensor
) -> dict[str, Array]:
    """Return the 12 unlabelled training images whose combined uncertainty is highest, highest first.

    Returns:
        ``shortlist_image`` uint8 ``(12, H, W)``; ``shortlist_row``, the place in the training split;
        ``shortlist_certainty``, ``shortlist_sigma`` and ``shortlist_score``, the mean of the two ranks among all
        unlabelled images in (0, 1]; ``shortlist_label`` and ``shortlist_predicted`` ``(12,)``. No rows when every
        training image is labelled.
    """
    rows = np.flatnonzero(dataset.train["labelled"] == 0)
    candidates = torch.as_tensor(dataset.train["x"][rows]).to(tau.device)
    sure, sigma = (
        uncertainty_of(model, candidates, tau, only_sigma) if len(rows) else (np.zeros(0), np.zeros(0))
    )
    score = combined_uncertainty(sure, sigma)
    best = np.argsort(-score, kind="stable")[:N_SHORTLIST]
    chosen = candidates[torch.as_tensor(best.copy())]
    predicted = class_probabilities(model.encode(chosen).responsibilities, tau).argmax(dim=-1)
    return {
        "shortlist_image": as_bytes(chosen, model.image_shape),
        "shortlist_row": rows[best].astype(np.int64),
        "shortlist_certainty": sure[best].astype(np.float32),
        "shortlist_sigma": sigma[best].astype(np.float32),
        "shortlist_score": score[best].astype(np.float32),
        "shortlist_label": dataset.train["y"][rows[best]].astype(np.int16),
        "shortlist_predicted": to_array(predicted).astype(np.int16),
    }


def as_bytes(pixels: Tensor, image_shape: tuple[int, int]) -> Array:
    """Return images ``(n, D)`` in [0, 1] as bytes ``(n, H, W)``."""
    return (to_array(pixels.reshape(-1, *image_shape)) * _BYTE).round().astype(np.uint8)
