"""Stablemax: a softmax whose exponential grows linearly above zero, so that no logit runs off to be certain.

Source: Prieto et al. 2025, Grokking at the Edge of Numerical Stability, arXiv 2501.04697, section 4. With
``s(x) = x + 1`` for ``x >= 0`` and ``1 / (1 - x)`` below, ``p = s / sum s``. The logarithm of s is
``log1p(x)`` above zero and ``-log1p(-x)`` below, so p is the softmax of log s, and nothing ever divides by zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

PAD = 0  # the token of cells that no loss and no metric counts


def log_stablemax(logits: Tensor) -> Tensor:
    """Return ``log p`` over the last axis, float64: in float32 the sum of s loses the smallest of them.

    Args:
        logits: ``(..., V)``.

    Source:
        arXiv 2501.04697, equation 6; float64 as in the TRM code.
    """
    x = logits.double()
    # Clamped on both sides: the branch that is not taken must not send an infinite gradient through `where`.
    log_s = torch.where(x >= 0, torch.log1p(x.clamp(min=0)), -torch.log1p((-x).clamp(min=0)))
    return log_s.log_softmax(dim=-1)


def stablemax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy in nats, mean over each sample's valid cells, ``(...)``; 0 where there are none.

    Args:
        logits: ``(..., S, V)``.
        labels: Tokens, integer ``(..., S)``; cells labelled 0 do not count.
    """
    log_p = log_stablemax(logits).gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)
    valid = labels != PAD
    mean = -(log_p * valid).sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)
    return mean.to(logits.dtype)


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Return ``KL(p || p_other)`` in nats, ``(...)``, of the stablemax of two logits ``(..., 12)``."""
    log_p, log_other = log_stablemax(logits), log_stablemax(others)
    return (log_p.exp() * (log_p - log_other)).sum(dim=-1)
