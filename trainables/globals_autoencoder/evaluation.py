"""Metrics of a whole split, and a few events beside their reconstruction."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from search_spaces.domains import Params
from trainables.contract import Batch, State
from trainables.dataset import Array, Dataset
from trainables.diagnostics import participation_ratio, rankme
from trainables.globals_autoencoder.globals_metrics import globals_metrics
from trainables.globals_autoencoder.loss import masked_mse, reconstruction_terms, term_weights
from trainables.globals_autoencoder.model import EventAutoencoder, Reconstruction
from trainables.globals_autoencoder.quantiser import Quantised

N_EXAMPLES = 512
MAX_RANK_ROWS = 4096
ROWS_AT_ONCE = 4096  # events; the distances to 512 codes of 18 tokens each take 150 MB


def evaluate(model: EventAutoencoder, state: State, split: Batch, params: Params) -> dict[str, float]:
    """Return every metric of the split; the quantiser's only where there is one.

    Args:
        model: An `EventAutoencoder`.
        state: State of the quantiser, for the usage of codes during training.
        split: ``continuous (n, S, 5)``, ``obj (n, S)``, ``mask (n, S)``, ``globals (n, 3)``.
        params: Resolved parameters.
    """
    rebuilt = reconstruct(model, split)
    terms = reconstruction_terms(rebuilt, split)
    weights = term_weights(params)
    metrics = {name: float(term) for name, term in terms.items()}
    metrics["comparable_loss"] = metrics["rec_tokens"] + metrics["rec_globals"]
    metrics["trained_loss"] = sum(
        metrics[name] for name in ("rec_tokens", "rec_globals") if float(weights[name]) > 0
    )
    metrics["rec_globals_weighted"] = float(weights["rec_globals"]) * metrics["rec_globals"]
    metrics["total_loss"] = sum(float(weights[name]) * float(term) for name, term in terms.items())
    everywhere = torch.ones_like(split["mask"])
    metrics["rec_tokens_all_slots"] = float(masked_mse(rebuilt.tokens, split["continuous"], everywhere))
    latents = rebuilt.latents[split["mask"]][:MAX_RANK_ROWS]
    metrics["latent_rankme"] = float(rankme(latents))
    metrics["latent_participation_ratio"] = float(participation_ratio(latents))
    globals_true, globals_rebuilt = to_array(split["globals"]), to_array(rebuilt.globals)
    mean, std = to_array(model.globals_mean), to_array(model.globals_std)
    metrics = globals_metrics(globals_rebuilt, globals_true, mean, std) | metrics
    if rebuilt.quantised is not None:
        metrics |= code_metrics(rebuilt.quantised, split["mask"], state, params)
    return metrics


def reconstruct(model: EventAutoencoder, split: Batch) -> Reconstruction:
    """Return the reconstruction of a whole split, in parts that bound its memory."""
    n = len(split["mask"])
    starts = range(0, n, ROWS_AT_ONCE)
    parts = [model({name: v[start : start + ROWS_AT_ONCE] for name, v in split.items()}) for start in starts]
    if len(parts) == 1:
        only: Reconstruction = parts[0]
        return only
    quantised = None
    if parts[0].quantised is not None:
        names = [field.name for field in fields(Quantised)]
        quantised = Quantised(**{k: torch.cat([getattr(part.quantised, k) for part in parts]) for k in names})
    return Reconstruction(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.globals for part in parts]),
        torch.cat([part.latents for part in parts]),
        quantised,
    )


def code_metrics(quantised: Quantised, mask: Tensor, state: State, params: Params) -> dict[str, float]:
    """Return how much of the codebook is used by the real tokens of a split."""
    size = int(params["codebook_size"])
    counts = torch.bincount(quantised.codes[mask], minlength=size).to(torch.float64)
    p = counts / counts.sum()
    perplexity = float(torch.exp(-(p * p.clamp(min=1e-12).log()).sum()))
    usage = state["usage"]
    dead = usage < float(params["vq_restart_threshold"]) * usage.mean()
    return {
        "perplexity": perplexity,
        "rate_bits": math.log2(perplexity),
        "codebook_usage": float((counts > 0).to(torch.float64).mean()),
        "dead_codes": float(dead.sum()),
    }


def examples(model: EventAutoencoder, dataset: Dataset) -> dict[str, Array]:
    """Return the first validation events in physical units.

    Returns:
        ``tokens_true`` and ``tokens_rebuilt`` ``(m, 5)`` over real tokens (log E, log pT, eta, sin phi, cos phi;
        energies in GeV), ``globals_true`` and ``globals_rebuilt`` ``(n, 3)`` (log MET in GeV, sin, cos).
    """
    device = model.globals_mean.device
    batch = {name: torch.as_tensor(array[:N_EXAMPLES]).to(device) for name, array in dataset.valid.items()}
    rebuilt: Reconstruction = model(batch)
    mask = to_array(batch["mask"])
    constants = dataset.constants

    def tokens(standardised: Tensor) -> Array:
        return to_array(standardised)[mask] * constants["continuous_std"] + constants["continuous_mean"]

    def global_numbers(standardised: Tensor) -> Array:
        return to_array(standardised) * constants["globals_std"] + constants["globals_mean"]

    arrays = {
        "tokens_true": tokens(batch["continuous"]),
        "tokens_rebuilt": tokens(rebuilt.tokens),
        "globals_true": global_numbers(batch["globals"]),
        "globals_rebuilt": global_numbers(rebuilt.globals),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as an array on the host."""
    return tensor.detach().cpu().numpy()
