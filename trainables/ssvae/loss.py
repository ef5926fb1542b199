"""The loss terms of the semi-supervised VAE, unweighted, and their weights.

The standard prior has no component: there the terms ``kl_c``, ``dirichlet`` and ``diversity`` do not
exist, and q(c | x) lives on as the classifier's own soft clusters, learned from labelled images alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from search_spaces.domains import Params
from trainables.contract import Batch, LossTerms, State
from trainables.ssvae.model import Posterior, SemiSupervisedVAE
from trainables.ssvae.reconstruction import recon_weight, reconstruction
from trainables.ssvae.tau import tau_loss, tau_of

Weight = float | Tensor
CYCLES = 4
CYCLE_RAMP = 0.5  # share of a cycle in which the factor rises
WARM_UP = 0.5  # share of training over which the linear schedule rises
# One over the smallest normal float32: the logarithm of a responsibility that has underflowed stays finite.
_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Decoded:
    """How well images were rebuilt, all that the reconstruction term reads.

    Args:
        error: Squared error, mean over pixels, ``(B, C)``.
        sigma: Predicted sigma, ``(B, C)``; None when homoscedastic.
        weights: Share of each component, ``(B, C)``.
        n_pixels: D.
    """

    error: Tensor
    sigma: Tensor | None
    weights: Tensor
    n_pixels: int


def component_shares(responsibilities: Tensor, n_decoded: int) -> Tensor:
    """Return the weights of an expectation over components, ``(B, C)``: r, or 1 where all decode alike."""
    apart = n_decoded == responsibilities.shape[-1]
    return responsibilities if apart else torch.ones_like(responsibilities[:, :1])


def squared_error(x: Tensor, mean: Tensor) -> Tensor:
    """Return the squared error ``(B, C)`` of images ``(B, D)`` under rebuilt ``(B, C, D)``, mean over pixels."""
    return (x.unsqueeze(1) - mean).square().mean(dim=-1)


def kl_per_dimension(posterior: Posterior) -> Tensor:
    """Return KL(q(z_j | x) || N(0, 1)) in nats, mean over images, ``(L,)``."""
    mean, log_variance = posterior.mean, posterior.log_variance
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean(dim=0)


def free_bits_kl(per_dimension: Tensor, free_bits: float | Tensor) -> Tensor:
    """Return the sum over dimensions of max(free_bits, KL_j), a scalar, in nats.

    Args:
        per_dimension: KL, mean over the batch, ``(L,)``.
        free_bits: Nats per dimension under which there is no pull.

    Source:
        Kingma et al. 2016, Improved variational inference with inverse autoregressive flow, equation 15.
    """
    return per_dimension.clamp(min=free_bits).sum()


def component_kl(responsibilities: Tensor, pi: Tensor) -> Tensor:
    """Return sum_c r_c log(r_c / pi_c) in nats, mean over images, a scalar."""
    logs = responsibilities.clamp(min=_TINY).log() - pi.log()
    return (responsibilities * logs).sum(dim=-1).mean()


def entropy(p: Tensor) -> Tensor:
    """Return the entropy in nats of distributions along the last axis."""
    return -(p * p.clamp(min=_TINY).log()).sum(dim=-1)


def dirichlet_penalty(pi: Tensor, alpha: float | Tensor) -> Tensor:
    """Return -log Dirichlet(pi; alpha) less its value at uniform pi: (1 - alpha) sum_c log(K pi_c), a scalar.

    0 at uniform pi, above it elsewhere when alpha is above 1. It is a prior on one pi and not on every image,
    so its weight in an ELBO per image is 1 / n_train; the default of 0.001 is that of the digits.
    """
    return (1.0 - alpha) * (pi.log() + math.log(pi.shape[-1])).sum()


def loss_terms(
    model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
) -> tuple[LossTerms, State]:
    """Return the terms of one batch; the state stays as it is.

    Args:
        model: A `SemiSupervisedVAE`.
        state: ``tau_counts (K, Y)`` and ``kl_scale ()``.
        batch: ``x (B, D)``, ``y (B,)``, ``labelled (B,)``, and ``epsilon (B, L)``, standard normal.
        params: Resolved parameters; weights may be tensors.
    """
    vae = cast(SemiSupervisedVAE, model)
    posterior = vae.encode(batch["x"])
    z = posterior.mean + (0.5 * posterior.log_variance).exp() * batch["epsilon"]
    rebuilt = vae.decode(z)
    decoded = Decoded(
        squared_error(batch["x"], rebuilt.mean),
        rebuilt.sigma,
        component_shares(posterior.responsibilities, rebuilt.mean.shape[1]),
        batch["x"].shape[-1],
    )
    terms = all_terms(vae, posterior, decoded, state, batch, params)
    weights = term_weights(params, state["kl_scale"])
    return LossTerms(terms, {name: weights[name] for name in terms}, {"kl_scale": state["kl_scale"]}), state


def all_terms(
    model: SemiSupervisedVAE,
    posterior: Posterior,
    decoded: Decoded,
    state: State,
    batch: Batch,
    params: Mapping[str, object],
) -> dict[str, Tensor]:
    """Return every term that this prior has, unweighted scalars.

    * ``recon``: see `trainables.ssvae.reconstruction.reconstruction`.
    * ``kl_z``: KL(q(z | x) || N(0, I)) with free bits.
    * ``kl_c``: KL(q(c | x) || pi).
    * ``dirichlet``: the prior on pi.
    * ``diversity``: minus the entropy of mean usage. A weight above 0 rewards entropy: a note that gives its
      weight as -0.05 means 0.05 here.
    * ``tau``: surprise of the labels.
    """
    r = posterior.responsibilities
    terms = {
        "recon": reconstruction(decoded.error, decoded.sigma, decoded.weights, decoded.n_pixels, params),
        "kl_z": free_bits_kl(kl_per_dimension(posterior), cast(float, params["free_bits"])),
    }
    if model.prior is not None:
        pi = model.mixture_weights(r)
        terms["kl_c"] = component_kl(r, pi)
        terms["dirichlet"] = dirichlet_penalty(pi, cast(float, params["dirichlet_alpha"]))
        terms["diversity"] = -entropy(r.mean(dim=0))
    terms["tau"] = tau_loss(r, batch["y"], batch["labelled"], tau_of(state["tau_counts"]))
    return terms


def term_weights(params: Mapping[str, object], kl_scale: Weight = 1.0) -> dict[str, Weight]:
    """Return the factor on each term; ``kl_scale`` is where the KL schedule stands."""
    names = {
        "kl_c": "kl_c_weight",
        "dirichlet": "dirichlet_weight",
        "diversity": "diversity_weight",
        "tau": "label_weight",
    }
    weights = {term: cast(Weight, params[name]) for term, name in names.items()}
    return weights | {"recon": recon_weight(params), "kl_z": cast(Weight, params["kl_weight"]) * kl_scale}


def kl_scale(schedule: str, step: int, n_steps: int) -> float:
    """Return the factor on kl_weight at optimiser step ``step`` of ``n_steps``, from 0; between 0 and 1.

    ``constant`` is 1. ``linear`` rises from 0 over the first half of training and then stays 1. ``cyclical``
    has four cycles, each rising over its first half.

    Source:
        Bowman et al. 2016 for the warm-up; Fu et al. 2019, Cyclical annealing schedule, equations 6 and 7, with
        M = 4 and R = 0.5.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return min(1.0, step / (WARM_UP * n_steps))
    cycle = n_steps / CYCLES
    return min(1.0, (step % cycle) / (CYCLE_RAMP * cycle))


def initial_state(model: SemiSupervisedVAE, params: Params) -> State:
    """Return ``tau_counts (K, Y)``, all alpha0, and ``kl_scale ()`` of the first step."""
    shape = (int(params["n_components"]), model.n_classes)
    return {
        "tau_counts": torch.full(shape, float(params["tau_alpha0"])),
        "kl_scale": torch.tensor(kl_scale(str(params["kl_schedule"]), 0, 1)),
    }
