"""The loss terms of the event autoencoder, unweighted, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from trainables.contract import Batch, LossTerms, State
from trainables.globals_autoencoder.model import Reconstruction
from trainables.globals_autoencoder.quantiser import next_state

Weight = float | Tensor


def masked_mse(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the squared error over real tokens, mean over tokens and features, a scalar.

    Args:
        predicted: ``(B, S, F)``.
        target: ``(B, S, F)``.
        mask: Real tokens, ``(B, S)``.
    """
    per_token = (predicted - target).square().mean(dim=-1)
    real = mask.to(per_token.dtype)
    return (per_token * real).sum() / real.sum().clamp(min=1.0)


def reconstruction_terms(rebuilt: Reconstruction, batch: Batch) -> dict[str, Tensor]:
    """Return every term that this bottleneck has, unweighted scalars."""
    mask = batch["mask"]
    terms = {
        "rec_tokens": masked_mse(rebuilt.tokens, batch["continuous"], mask),
        "rec_globals": (rebuilt.globals - batch["globals"]).square().mean(),
    }
    if rebuilt.quantised is not None:
        encoded, chosen = rebuilt.quantised.encoded, rebuilt.quantised.chosen
        terms["vq_codebook"] = masked_mse(chosen, encoded.detach(), mask)
        terms["vq_commit"] = masked_mse(encoded, chosen.detach(), mask)
    return terms


def term_weights(params: Mapping[str, object]) -> dict[str, Weight]:
    """Return the factor on each term; codes that follow averages have no codebook term to optimise."""
    by_gradient = params["vq_update"] == "gradient"
    return {
        "rec_tokens": 1.0,
        "rec_globals": cast(Weight, params["globals_beta"]),
        "vq_codebook": cast(Weight, params["vq_codebook_weight"]) if by_gradient else 0.0,
        "vq_commit": cast(Weight, params["vq_commit_weight"]),
    }


def loss_terms(
    model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
) -> tuple[LossTerms, State]:
    """Return the terms of one batch and the next state of the codes.

    Args:
        model: An `EventAutoencoder`.
        state: State of the quantiser, empty without one.
        batch: ``continuous (B, S, 5)``, ``obj (B, S)``, ``mask (B, S)``, ``globals (B, 3)``.
        params: Resolved parameters; weights may be tensors.
    """
    rebuilt: Reconstruction = model(batch)
    terms = reconstruction_terms(rebuilt, batch)
    weights = term_weights(params)
    if rebuilt.quantised is not None:
        state = next_state(rebuilt.quantised, batch["mask"], state, params)
    return LossTerms(terms, {name: weights[name] for name in terms}), state
