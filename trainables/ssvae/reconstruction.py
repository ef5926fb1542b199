"""The seven forms of the reconstruction term, and the one scale on which their weights compare.

Shapes: B images, C components that are decoded apart, D pixels. ``error`` is the squared error of an image
under a component, mean over pixels, ``(B, C)``; ``sigma`` the predicted standard deviation, ``(B, C)``;
``weights`` the share of each component, ``(B, C)``, rows sum to one. Every form is an expectation over the
components, sum_c weights_c loss_c, and a mean over images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from torch import Tensor

from trainables.ssvae.reachability import recon_weight_name

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
REFERENCE_SIGMA = 0.1  # the noise of a well rebuilt digit: where losses without a sigma meet those with one
_SMALLEST_VARIANCE = 1e-8


def reconstruction(
    error: Tensor, sigma: Tensor | None, weights: Tensor, n_pixels: int, params: Mapping[str, object]
) -> Tensor:
    """Return the unweighted reconstruction term, a scalar, in the form ``recon_loss``.

    * ``mse``: error.
    * ``optimal_sigma``: D (log s + 1/2) with s^2 the mean error of the batch, the one sigma that is best for it.
    * ``note_nll``: D error / (2 sigma^2) + log sigma: errors summed over pixels, log sigma counted once.
    * ``normalised_nll``: note_nll / log(1 / sigma_min).
    * ``nll``: D (error / (2 sigma^2) + log sigma): the Gaussian likelihood without its constant.
    * ``beta_nll``: nll times the stopped sigma^(2 b).
    * ``faithful``: D (error / 2 + stopped error / (2 sigma^2) + log sigma), the second part under stopped
      weights: the mean learns as under a sigma of one, and only the sigma head learns sigma.

    Args:
        error: ``(B, C)``.
        sigma: ``(B, C)``; None for ``mse`` and ``optimal_sigma``.
        weights: ``(B, C)``.
        n_pixels: D.
        params: ``recon_loss``, ``sigma_min``, ``beta_nll_exponent``.

    Source:
        optimal_sigma: Rybkin et al. 2021, Simple and effective VAE training with calibrated decoders, equation 6;
        beta_nll: Seitzer et al. 2022, On the pitfalls of heteroscedastic uncertainty estimation, equation 5;
        faithful: Stirn et al. 2023, Faithful heteroscedastic regression, equations 8 and 9.
    """
    form = params["recon_loss"]
    if sigma is None:
        mean_error = expected(error, weights)
        if form == "mse":
            return mean_error
        return 0.5 * n_pixels * (mean_error.clamp(min=_SMALLEST_VARIANCE).log() + 1.0)
    quadratic = error / (2.0 * sigma.square())
    if form == "note_nll":
        return expected(n_pixels * quadratic + sigma.log(), weights)
    if form == "normalised_nll":
        scale = math.log(1.0 / float(cast(float, params["sigma_min"])))
        return expected(n_pixels * quadratic + sigma.log(), weights) / scale
    if form == "faithful":
        branch = expected(error.detach() / (2.0 * sigma.square()) + sigma.log(), weights.detach())
        return n_pixels * (0.5 * expected(error, weights) + branch)
    nll = n_pixels * (quadratic + sigma.log())
    if form == "beta_nll":
        nll = nll * sigma.detach() ** (2.0 * float(cast(float, params["beta_nll_exponent"])))
    return expected(nll, weights)


def expected(values: Tensor, weights: Tensor) -> Tensor:
    """Return the expectation of ``values (B, C)`` over components, mean over images, a scalar."""
    return (weights * values).sum(dim=-1).mean()


def nll_per_pixel(error: Tensor, sigma: Tensor | None, weights: Tensor) -> Tensor:
    """Return the Gaussian negative log likelihood in nats per pixel, a scalar, its constant included.

    Args:
        error: ``(B, C)``.
        sigma: ``(B, C)``; None takes the one sigma that is best for these very images, the root of their error.
        weights: ``(B, C)``.
    """
    if sigma is None:
        mean_error = expected(error, weights).clamp(min=_SMALLEST_VARIANCE)
        return 0.5 * mean_error.log() + 0.5 + HALF_LOG_2PI
    return expected(error / (2.0 * sigma.square()) + sigma.log(), weights) + HALF_LOG_2PI


def best_sigma(error: Tensor, weights: Tensor) -> Tensor:
    """Return the one sigma under which ``error`` is likeliest, a scalar."""
    return expected(error, weights).clamp(min=_SMALLEST_VARIANCE).sqrt()


def recon_weight(params: Mapping[str, object]) -> float | Tensor:
    """Return the weight on the reconstruction term."""
    return cast("float | Tensor", params[recon_weight_name(params)])


def beta_eff(n_pixels: int, params: Mapping[str, object]) -> float:
    """Return kl_weight over recon_weight in the units of an ELBO: the beta of a beta-VAE that trades the same way.

    What the KL term is traded against is the pull of the squared error on the mean, so beta is kl_weight times
    the pull in an ELBO, D / (2 s^2) per unit of error, over the pull in this loss. Where a form has a sigma of
    its own the two share it and it cancels: ``nll``, ``note_nll`` (which differs in log sigma alone) and
    ``optimal_sigma`` give kl_weight / recon_weight; ``normalised_nll`` that times log(1 / sigma_min). The others
    need a reference noise s = `REFERENCE_SIGMA`: ``mse`` gives kl_weight D / (2 s^2 recon_weight), ``faithful``,
    whose mean learns by D error / 2, kl_weight / (s^2 recon_weight), and ``beta_nll`` kl_weight / (s^(2 b)
    recon_weight).

    Args:
        n_pixels: D.
        params: ``recon_loss``, ``kl_weight``, the weights of the reconstruction term and what the form needs.

    Returns:
        A number above 0; infinity at a recon_weight of 0, where nothing holds against the KL term.

    Source:
        Higgins et al. 2017 for beta; Rybkin et al. 2021, section 3, for its equivalence with sigma.
    """
    form, variance = params["recon_loss"], REFERENCE_SIGMA**2
    factors = {
        "mse": n_pixels / (2.0 * variance),
        "faithful": 1.0 / variance,
        "normalised_nll": math.log(1.0 / float(cast(float, params["sigma_min"]))),
        "beta_nll": variance ** -float(cast(float, params["beta_nll_exponent"])),
    }
    weight, kl_weight = float(recon_weight(params)), float(cast(float, params["kl_weight"]))
    return kl_weight * factors.get(str(form), 1.0) / weight if weight > 0 else math.inf
