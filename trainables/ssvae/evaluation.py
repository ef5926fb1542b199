"""Metrics of a whole split, everything at the posterior mean of z.

An image's reconstruction is sum_c r_c mean_c and its sigma sum_c r_c sigma_c: one image, one number, as a
user would be shown. ``recon_loss`` and ``nll_per_pixel`` are expectations over components, as in training.
A homoscedastic arm has one sigma, the one that is best for the split itself, so that arms compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from search_spaces.domains import Params
from trainables.contract import Batch, State
from trainables.dataset import Array
from trainables.diagnostics import rankme
from trainables.ssvae.loss import (
    Decoded,
    all_terms,
    component_kl,
    component_shares,
    entropy,
    kl_per_dimension,
    squared_error,
    term_weights,
)
from trainables.ssvae.model import Posterior, SemiSupervisedVAE
from trainables.ssvae.reconstruction import best_sigma, beta_eff, nll_per_pixel
from trainables.ssvae.tau import certainty, class_probabilities, tau_metrics, tau_of
from trainables.ssvae.uncertainty import calibration_metrics, foreign_images, ood_metrics

ROWS_AT_ONCE = 1024  # images; ten components of 784 pixels each take 32 MB
MAX_RANK_ROWS = 4096
SATURATION_TOLERANCE = 0.01


@dataclass(frozen=True)
class ReadOut:
    """What a model says of images, everything that metrics and pictures read.

    Args:
        posterior: Of all images.
        decoded: Errors and sigmas per component.
        mean: Reconstructions, ``(n, D)``.
        sigma: One per image, ``(n,)``; the same for all when homoscedastic.
    """

    posterior: Posterior
    decoded: Decoded
    mean: Tensor
    sigma: Tensor


def read_out(model: SemiSupervisedVAE, x: Tensor) -> ReadOut:
    """Return the read-out of images ``(n, D)``, in parts that bound its memory."""
    parts = [read_part(model, x[start : start + ROWS_AT_ONCE]) for start in range(0, len(x), ROWS_AT_ONCE)]
    posteriors, decoded, means = zip(*parts, strict=True)
    posterior = Posterior(
        torch.cat([part.responsibilities for part in posteriors]),
        torch.cat([part.mean for part in posteriors]),
        torch.cat([part.log_variance for part in posteriors]),
    )
    sigmas = [part.sigma for part in decoded if part.sigma is not None]
    whole = Decoded(
        torch.cat([part.error for part in decoded]),
        torch.cat(sigmas) if sigmas else None,
        torch.cat([part.weights for part in decoded]),
        x.shape[-1],
    )
    return ReadOut(posterior, whole, torch.cat(means), image_sigma(whole))


def read_part(model: SemiSupervisedVAE, x: Tensor) -> tuple[Posterior, Decoded, Tensor]:
    """Return posterior, errors and reconstructions ``(n, D)`` of images that fit into memory at once."""
    posterior = model.encode(x)
    rebuilt = model.decode(posterior.mean)
    weights = component_shares(posterior.responsibilities, rebuilt.mean.shape[1])
    decoded = Decoded(squared_error(x, rebuilt.mean), rebuilt.sigma, weights, x.shape[-1])
    return posterior, decoded, torch.einsum("nc,ncd->nd", weights, rebuilt.mean)


def image_sigma(decoded: Decoded) -> Tensor:
    """Return one sigma per image, ``(n,)``: the expectation over components, or the best one for all."""
    if decoded.sigma is None:
        return best_sigma(decoded.error, decoded.weights).expand(len(decoded.error))
    return expected_sigma(decoded.weights, decoded.sigma)


def expected_sigma(weights: Tensor, sigma: Tensor) -> Tensor:
    """Return sum_c weights_c sigma_c, ``(n,)``, of two ``(n, C)``, to six decimals: constants stay constant.

    Summed with weights that add up to one but for rounding, equal sigmas would differ in their last bits, and
    a rank correlation would read an order into them.
    """
    return (weights * sigma).sum(dim=-1).round(decimals=6)


def evaluate(model: SemiSupervisedVAE, state: State, split: Batch, params: Params) -> dict[str, float]:
    """Return every metric of `trainables.ssvae.metrics.METRICS` on a split.

    Args:
        model: In evaluation mode.
        state: ``tau_counts (K, Y)``; the KL schedule counts as finished, so that epochs compare.
        split: ``x (n, D)``, ``y (n,)``, ``labelled (n,)``.
        params: Resolved parameters.
    """
    seen = read_out(model, split["x"])
    tau = tau_of(state["tau_counts"])
    r, sure = seen.posterior.responsibilities, certainty(seen.posterior.responsibilities, tau)
    tensors = (
        error_metrics(seen, split["x"])
        | usage_metrics(r)
        | tau_metrics(tau, r.mean(dim=0))
        | label_metrics(r, sure, tau, split["y"])
        | latent_metrics(seen.posterior)
        | sigma_metrics(seen.sigma, params)
        | loss_metrics(model, seen, state, split, params)
    )
    metrics = dict(zip(tensors, torch.stack([t.float() for t in tensors.values()]).tolist(), strict=True))
    metrics["neg_elbo_per_pixel"] = neg_elbo_per_pixel(metrics, seen.decoded.n_pixels, params)
    metrics["beta_eff"] = beta_eff(seen.decoded.n_pixels, params)
    metrics["sigma_error_spearman"] = sigma_error_spearman(seen, split["x"])
    metrics |= clustering_metrics(to_array(r.argmax(dim=-1)), to_array(split["y"]))
    metrics |= calibration_metrics((split["x"] - seen.mean) / seen.sigma.unsqueeze(-1))
    return metrics | foreign_metrics(model, seen, to_array(sure), tau, split["x"])


def error_metrics(seen: ReadOut, x: Tensor) -> dict[str, Tensor]:
    """Return errors of the mean reconstruction and the likelihood at the predicted sigma."""
    residual, decoded = x - seen.mean, seen.decoded
    return {
        "mse": residual.square().mean(),
        "mae": residual.abs().mean(),
        "nll_per_pixel": nll_per_pixel(decoded.error, decoded.sigma, decoded.weights),
    }


def neg_elbo_per_pixel(metrics: Mapping[str, float], n_pixels: int, params: Params) -> float:
    """Return the negative evidence lower bound in nats per pixel, with every weight at 1 and z at its mean.

    The likelihood alone always favours less KL; this charges for it, so it compares across weights. It is not
    a bound: decoding the mean of z leaves out what its variance costs. The standard prior has no component.
    """
    components = metrics["kl_c"] if params["prior"] == "mixture" else 0.0
    return metrics["nll_per_pixel"] + (metrics["kl_z"] + components) / n_pixels


def usage_metrics(responsibilities: Tensor) -> dict[str, Tensor]:
    """Return how the components share out the images, r ``(n, K)``; K_eff is between 1 and K."""
    usage = responsibilities.mean(dim=0)
    return {
        "K_eff": entropy(usage).exp(),
        "active_components": (usage > 0.01).sum(),
        "max_usage": usage.max(),
        "component_entropy": entropy(responsibilities).mean(),
    }


def label_metrics(responsibilities: Tensor, sure: Tensor, tau: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return accuracy and the spread of the certainty ``sure (n,)``."""
    predicted = class_probabilities(responsibilities, tau).argmax(dim=-1)
    return {
        "accuracy": (predicted == labels).float().mean(),
        "certainty_mean": sure.mean(),
        "certainty_std": sure.std(correction=0),
        "certainty_min": sure.min(),
        "certainty_max": sure.max(),
    }


def latent_metrics(posterior: Posterior) -> dict[str, Tensor]:
    """Return how much of z is used; ``active_units`` as in Burda et al. 2016, section 5.1."""
    per_dimension = kl_per_dimension(posterior)
    return {
        "kl_z": per_dimension.sum(),
        "kl_z_per_dim": per_dimension.mean(),
        "active_units": (posterior.mean.var(dim=0) > 0.01).sum(),
        "latent_rankme": rankme(posterior.mean[:MAX_RANK_ROWS]),
    }


def sigma_metrics(sigma: Tensor, params: Params) -> dict[str, Tensor]:
    """Return spread and saturation of the sigmas ``(n,)``; a sigma that nobody predicts is at no bound."""
    low, high = float(params["sigma_min"]), float(params["sigma_max"])
    predicted = float(bool(params["heteroscedastic"]))
    return {
        "sigma_mean": sigma.mean(),
        "sigma_std": sigma.double().std(correction=0),
        "sigma_at_max": predicted * (sigma >= high - SATURATION_TOLERANCE).float().mean(),
        "sigma_at_min": predicted * (sigma <= low + SATURATION_TOLERANCE).float().mean(),
    }


def loss_metrics(
    model: SemiSupervisedVAE, seen: ReadOut, state: State, split: Batch, params: Params
) -> dict[str, Tensor]:
    """Return the reconstruction term, the weighted sum of all terms, and the KL of the components."""
    terms = all_terms(model, seen.posterior, seen.decoded, state, split, params)
    weights = term_weights(params)
    r = seen.posterior.responsibilities
    return {
        "recon_loss": terms["recon"],
        "total_loss": torch.stack([weights[name] * term for name, term in terms.items()]).sum(),
        "kl_c": component_kl(r, model.mixture_weights(r)),
    }


def sigma_error_spearman(seen: ReadOut, x: Tensor) -> float:
    """Return the rank correlation of sigma and an image's RMSE over a split; 0 where either is constant."""
    sigma, rmse = to_array(seen.sigma), image_rmse(seen, x)
    if np.ptp(sigma) == 0 or np.ptp(rmse) == 0:
        return 0.0
    return float(spearmanr(sigma, rmse).statistic)


def image_rmse(seen: ReadOut, x: Tensor) -> Array:
    """Return the root mean squared error of every image's reconstruction, ``(n,)``."""
    return to_array((x - seen.mean).square().mean(dim=-1).sqrt())


def clustering_metrics(components: Array, labels: Array) -> dict[str, float]:
    """Return how the likeliest components ``(n,)`` agree with the labels ``(n,)``."""
    from sklearn.metrics import (  # type: ignore[import-untyped]
        adjusted_rand_score,
        normalized_mutual_info_score,
    )

    return {
        "nmi": float(normalized_mutual_info_score(labels, components)),
        "ari": float(adjusted_rand_score(labels, components)),
    }


def foreign_metrics(
    model: SemiSupervisedVAE, seen: ReadOut, sure: Array, tau: Tensor, x: Tensor
) -> dict[str, float]:
    """Return how well certainty and sigma tell a split's images from foreign ones."""
    kinds = foreign_images(x, model.image_shape)
    foreign_sure, foreign_sigma = uncertainty_of(model, torch.cat(list(kinds.values())), tau, seen.sigma[0])
    n_each = len(foreign_sure) // len(kinds)
    parts = {
        kind: (foreign_sure[place * n_each :][:n_each], foreign_sigma[place * n_each :][:n_each])
        for place, kind in enumerate(kinds)
    }
    return ood_metrics(sure, to_array(seen.sigma), parts)


def uncertainty_of(
    model: SemiSupervisedVAE, x: Tensor, tau: Tensor, only_sigma: Tensor
) -> tuple[Array, Array]:
    """Return certainty and sigma of images ``(n, D)``, each ``(n,)``, without rebuilding any pixel.

    Args:
        model: In evaluation mode.
        x: ``(n, D)``.
        tau: ``(K, Y)``.
        only_sigma: The sigma of all images when the decoder is homoscedastic, a scalar.
    """
    sures, sigmas = [], []
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = x[start : start + ROWS_AT_ONCE]
        posterior = model.encode(part)
        sigma = model.decode_sigma(posterior.mean)
        r = posterior.responsibilities
        sures.append(certainty(r, tau))
        sigmas.append(
            only_sigma.expand(len(part))
            if sigma is None
            else expected_sigma(component_shares(r, sigma.shape[1]), sigma)
        )
    return to_array(torch.cat(sures)), to_array(torch.cat(sigmas))


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as an array on the host."""
    return tensor.detach().cpu().numpy()
