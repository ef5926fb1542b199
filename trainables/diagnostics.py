"""Monitors that every family shares: how many dimensions a representation really uses.

Z is ``(n, d)`` throughout: rows are samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rankme(z: Tensor, *, centred: bool = True) -> Tensor:
    """Return the effective rank of ``z``, a scalar between 1 and d.

    Args:
        z: Representations, ``(n, d)``.
        centred: Whether the mean row is taken away first.

    Source:
        Garrido et al. 2022, RankMe, equation 1: exp of the entropy of the normalised singular values.
    """
    singular = torch.linalg.svdvals(z - z.mean(dim=0) if centred else z)
    p = singular / singular.sum().clamp(min=1e-12) + 1e-7
    return torch.exp(-(p * p.log()).sum())


def participation_ratio(z: Tensor) -> Tensor:
    """Return ``(tr C)^2 / tr C^2`` of the covariance C of ``z``: a scalar between 1 and d, 0 when all rows are equal.

    Args:
        z: Representations, ``(n, d)``.

    Source:
        Gao et al. 2017, the dimensionality of neural activity.
    """
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / max(len(z) - 1, 1)
    return covariance.trace().square() / covariance.square().sum().clamp(min=1e-24)
