"""The tau classifier: which label each component stands for, counted over the few labelled images.

Counts s[c, y] = alpha0 + sum of r_c over labelled images of class y; tau = s / its row sum;
p(y | x) = sum_c r_c tau[c, y]. Counts are rebuilt from nothing every epoch: counts that accumulate keep
what an encoder of long ago said. The classifier reads r alone and so is the same under both priors.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

# p(y | x) is at least the smallest tau, alpha0 / (alpha0 Y + n); under this the logarithm has lost its meaning.
_SMALLEST_PROBABILITY = 1e-12


def tau_counts(responsibilities: Tensor, labels: Tensor, n_classes: int, alpha0: float) -> Tensor:
    """Return the counts s ``(K, Y)`` over labelled images.

    Args:
        responsibilities: r of the labelled images, ``(n, K)``.
        labels: Their classes, ``(n,)``, from 0.
        n_classes: Y.
        alpha0: What every entry has before any image.
    """
    one_hot = functional.one_hot(labels, n_classes).to(responsibilities.dtype)
    return alpha0 + responsibilities.T @ one_hot


def tau_of(counts: Tensor) -> Tensor:
    """Return tau ``(K, Y)`` of counts ``(K, Y)``: each component's distribution over labels."""
    return counts / counts.sum(dim=-1, keepdim=True)


def class_probabilities(responsibilities: Tensor, tau: Tensor) -> Tensor:
    """Return p(y | x), ``(n, Y)``, of r ``(n, K)`` and tau ``(K, Y)``."""
    return responsibilities @ tau


def certainty(responsibilities: Tensor, tau: Tensor) -> Tensor:
    """Return max_c r_c max_y tau[c, y] of every image, ``(n,)``: how much its best component says by itself."""
    return (responsibilities * tau.amax(dim=-1)).amax(dim=-1)


def tau_loss(responsibilities: Tensor, labels: Tensor, labelled: Tensor, tau: Tensor) -> Tensor:
    """Return -log sum_c r_c tau[c, y], mean over the labelled images of a batch, a scalar; 0 without any.

    Args:
        responsibilities: r, ``(B, K)``; the only way of its gradient.
        labels: Classes, ``(B,)``.
        labelled: 1 where the class is known, else 0, ``(B,)``.
        tau: ``(K, Y)``, taken as it is.
    """
    likelihood = (responsibilities * tau.detach().T[labels]).sum(dim=-1)
    surprise = -likelihood.clamp(min=_SMALLEST_PROBABILITY).log()
    return (surprise * labelled).sum() / labelled.sum().clamp(min=1.0)


def tau_metrics(tau: Tensor, usage: Tensor) -> dict[str, Tensor]:
    """Return how the components share out the labels, scalars.

    Args:
        tau: ``(K, Y)``.
        usage: Mean r of a split, ``(K,)``.
    """
    speaks = (tau > 0.15).to(tau.dtype)
    free = (usage < 1e-3) | (tau.amax(dim=-1) < 0.05)
    return {
        "tau_sparsity": (tau < 0.05).to(tau.dtype).mean(),
        "components_per_label": speaks.sum(dim=0).mean(),
        "label_coverage": speaks.amax(dim=0).sum(),
        "free_channels": free.to(tau.dtype).sum(),
    }
