"""When an answer is right: over the valid cells of its label, which are those of the grid and of its border."""

from __future__ import annotations

from torch import Tensor

from trainables.etrm.stablemax import PAD


def right_cells(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return the share of each sample's valid cells that are right, ``(n,)``, of tokens ``(n, S)``."""
    valid = labels != PAD
    return ((predicted == labels) & valid).sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)


def exactly_right(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return which samples have all valid cells right, bool ``(n,)``, of tokens ``(n, S)``."""
    return ((predicted == labels) | (labels == PAD)).all(dim=-1)
