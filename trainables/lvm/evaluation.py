"""Metrics of a whole split: nearness to what follows, skill over trivial predictors, diversity, retrieval, decoding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainables.contract import Batch
from trainables.diagnostics import rankme
from trainables.lvm.metrics import DIVERSE_STD
from trainables.lvm.model import NextVectorModel, Predicted
from trainables.lvm.words import decoder_metrics

ROWS_AT_ONCE = 4096
TINY = 1e-12


class Ranks(NamedTuple):
    """At which place each prediction finds its own target, from 1.

    Args:
        among_all: Among all targets of the split, ``(n,)``.
        in_document: Among those of the same document, ``(n,)``.
    """

    among_all: Tensor
    in_document: Tensor


def predict(model: NextVectorModel, context: Tensor) -> Predicted:
    """Return the predictions for all contexts ``(n, C, d)``."""
    parts = [model(rows) for rows in context.split(ROWS_AT_ONCE)]  # type: ignore[no-untyped-call]
    raw, unit = zip(*parts, strict=True)
    return Predicted(torch.cat(raw), torch.cat(unit))


def evaluate(model: NextVectorModel, split: Batch) -> dict[str, float]:
    """Return every metric of `trainables.lvm.metrics.METRICS` that the data allows.

    Args:
        model: In evaluation mode.
        split: ``context (n, C, d)``, ``target (n, d)``, ``document (n,)``.
    """
    predicted = predict(model, split["context"])
    return {
        **metrics_of(predicted, split, model.mean),
        "n_parameters": float(model.n_parameters),
        **decoder_metrics(model.words, predicted.raw, split["target"], corpus_length(model)),
    }


def corpus_length(model: NextVectorModel) -> float:
    """Return the root of the mean squared length of the training targets, from the statistics that the model holds."""
    return float((model.mean.square() + model.std.square()).sum().sqrt())


def metrics_of(predicted: Predicted, split: Batch, mean: Tensor) -> dict[str, float]:
    """Return every metric that needs no more than the predictions, whoever made them.

    Args:
        predicted: Of all windows, ``(n, d)``.
        split: As in `evaluate`.
        mean: Of the training targets, ``(d,)``.
    """
    tensors = (
        nearness(predicted, split, mean)
        | diversity(predicted, split["target"])
        | moments(predicted.raw, split["target"])
        | retrieval(ranks(predicted.unit, split["target"], split["document"]))
    )
    values = torch.stack([value.double().cpu() for value in tensors.values()]).tolist()
    return dict(zip(tensors, values, strict=True))


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean cosine of the rows of two tensors ``(n, d)``, a scalar."""
    return (normalize(first, dim=-1) * normalize(second, dim=-1)).sum(dim=-1).mean()


def nearness(predicted: Predicted, split: Batch, mean: Tensor) -> dict[str, Tensor]:
    """Return cosines and error to the target, and the skill over the best of mean vector, context mean and last vector.

    Skill is ``(cos - best) / (1 - best)``: 0 at the best trivial predictor, 1 at a perfect one.
    """
    context, target = split["context"], split["target"]
    own = cosine(predicted.unit, target)
    trivial = (mean.expand_as(target), context.mean(dim=1), context[:, -1])
    best = torch.stack([cosine(said, target) for said in trivial]).max()
    return {
        "cos": own,
        "skill": (own - best) / (1 - best).clamp(min=TINY),
        "margin_next_last": own - cosine(predicted.unit, context[:, -1]),
        "centred_cosine": cosine(predicted.raw - mean, target - mean),
        "mse": (predicted.raw - target).square().mean(),
    }


def mean_pairwise_cosine(unit: Tensor) -> Tensor:
    """Return the mean cosine over all pairs of different rows of unit vectors ``(n, d)``, a scalar."""
    n = len(unit)
    return (unit.sum(dim=0).square().sum() - n) / max(n * (n - 1), 1)


def diversity(predicted: Predicted, target: Tensor) -> dict[str, Tensor]:
    """Return how much predictions differ from each other, beside how much targets do."""
    unit_target = normalize(target, dim=-1)
    spread = predicted.unit.std(dim=0, correction=0)
    return {
        "collapse_index": mean_pairwise_cosine(predicted.unit) - mean_pairwise_cosine(unit_target),
        "pred_var_ratio": variance(predicted.raw) / variance(target).clamp(min=TINY),
        "output_diversity": (spread > DIVERSE_STD).double().mean(),
        "rankme": rankme(predicted.unit),
        "rankme_targets": rankme(unit_target),
    }


def variance(vectors: Tensor) -> Tensor:
    """Return the variance of vectors ``(n, d)``, summed over dimensions, a scalar."""
    return vectors.var(dim=0, correction=0).sum()


def moments(raw: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the relative errors of mean and spread of raw predictions ``(n, d)``, and the larger one."""
    pairs = zip(mean_and_spread(raw), mean_and_spread(target), strict=True)
    mu, sigma = ((own - true).norm() / true.norm().clamp(min=TINY) for own, true in pairs)
    return {"moment_mu_err": mu, "moment_sigma_err": sigma, "moment_err": torch.maximum(mu, sigma)}


def mean_and_spread(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of every dimension of ``(n, d)``, each ``(d,)``."""
    return vectors.mean(dim=0), vectors.std(dim=0, correction=0)


def ranks(unit: Tensor, target: Tensor, document: Tensor) -> Ranks:
    """Return the rank of every own target; targets that are as near do not push it back.

    Args:
        unit: Predictions on the unit sphere, ``(n, d)``.
        target: ``(n, d)``.
        document: ``(n,)``.
    """
    unit_target = normalize(target, dim=-1)
    among_all, in_document = [], []
    for rows in torch.arange(len(unit), device=unit.device).split(ROWS_AT_ONCE):  # type: ignore[no-untyped-call]
        near = unit[rows] @ unit_target.T
        nearer = near > near.gather(1, rows[:, None])
        among_all.append(1 + nearer.sum(dim=1))
        in_document.append(1 + (nearer & (document[rows, None] == document[None])).sum(dim=1))
    return Ranks(torch.cat(among_all), torch.cat(in_document))


def retrieval(found: Ranks) -> dict[str, Tensor]:
    """Return recall at 1 and 5 and the mean reciprocal rank, among all targets and within the document."""
    metrics = {}
    for suffix, rank in (("", found.among_all), ("_doc", found.in_document)):
        metrics[f"r_at_1{suffix}"] = (rank <= 1).double().mean()
        metrics[f"r_at_5{suffix}"] = (rank <= 5).double().mean()
        metrics[f"mrr{suffix}"] = (1 / rank.double()).mean()
    return metrics
