"""The four terms: near the raw target, nearer to the own target than to others, spread as the corpus is, not collapsed.

All are means, over the batch and over dimensions, so that a weight means the same at any batch size. On vectors of
norm one a mean over dimensions is small beside a contrastive term: which of them moves the model is what gradient
accounting tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from trainables.contract import Batch, LossTerms, State
from trainables.lvm.model import NextVectorModel

NOTHING = -torch.inf  # the logit of what is no negative


def loss_terms(
    model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
) -> tuple[LossTerms, State]:
    """Return the loss of one batch of windows, and the state, of which there is none.

    Args:
        model: A `NextVectorModel`, which knows the statistics of the corpus.
        state: Empty.
        batch: ``context (B, C, d)``, ``target`` and ``hard (B, d)``, ``has_hard (B,)`` which of the latter are real.
        params: Weights, ``temperature``, ``hard_negatives``.
    """
    knows = cast("NextVectorModel", model)
    predicted = knows(batch["context"])
    target = batch["target"]
    hard = batch["hard"] if params["hard_negatives"] else None
    terms = {
        "mse": mse_loss(predicted.raw, target),
        "infonce": infonce(
            predicted.unit, target, params["temperature"], hard=hard, has_hard=batch["has_hard"]
        ),
        "moment": moment(predicted.raw, knows.mean, knows.std),
        "variance": variance(predicted.unit, knows.unit_std),
    }
    weights = {name: cast("float", params[f"{name}_weight"]) for name in terms}
    cosine = (predicted.unit * normalize(target, dim=-1)).sum(dim=-1).mean()
    return LossTerms(terms, weights, {"cos": cosine}), state


def infonce(
    unit: Tensor, target: Tensor, temperature: object, *, hard: Tensor | None, has_hard: Tensor
) -> Tensor:
    """Return the symmetric contrastive loss in nats, a scalar; 2 ln B where nothing is told apart.

    Args:
        unit: Predictions on the unit sphere, ``(B, d)``.
        target: What follows each, ``(B, d)``, of any norm.
        temperature: Of the softmax.
        hard: A further negative of each row alone, ``(B, d)``: one more column; None for none.
        has_hard: Which rows have a real one, bool ``(B,)``; in the others the column counts for nothing.

    Source:
        van den Oord et al. 2018, arXiv 1807.03748, equation 4, in both directions as in CLIP (arXiv 2103.00020).
    """
    scale = torch.as_tensor(temperature, dtype=unit.dtype)
    logits = unit @ normalize(target, dim=-1).T / scale
    own = torch.arange(len(unit), device=unit.device)
    backward = cross_entropy(logits.T, own)
    if hard is not None:
        column = (unit * normalize(hard, dim=-1)).sum(dim=-1, keepdim=True) / scale
        logits = torch.cat([logits, torch.where(has_hard[:, None], column, NOTHING)], dim=1)
    return cross_entropy(logits, own) + backward


def moment(raw: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return how far means and spreads of predictions ``(B, d)`` are from those of the corpus ``(d,)``, a scalar."""
    gaps = (raw.mean(dim=0) - mean).square() + (spread(raw) - std).square()
    return gaps.mean()


def variance(unit: Tensor, floor: Tensor) -> Tensor:
    """Return how far the spread of unit predictions ``(B, d)`` is under that of unit targets ``(d,)``, a scalar.

    The floor is what targets have, about ``d ** -0.5``: unit vectors cannot reach a floor of one.

    Source:
        Bardes et al. 2022, VICReg, arXiv 2105.04906, equation 1, with a floor that can be reached.
    """
    return (floor - spread(unit)).relu().mean()


def spread(vectors: Tensor) -> Tensor:
    """Return the standard deviation of every dimension over ``(B, d)``, ``(d,)``; its gradient is finite at none."""
    return (vectors.var(dim=0, correction=0) + 1e-12).sqrt()
