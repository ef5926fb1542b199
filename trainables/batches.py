"""Which training samples stand together in an optimiser step: a pure function of seed and epoch.

So the place in the data needs no checkpoint, and seed 1 of one cell sees the batches of seed 1 of another.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.domains import Params


def shuffled_batches(n: int, params: Params, seed: int, epoch: int) -> list[Tensor]:
    """Return the batches of one epoch of n samples, in an order of seed and epoch.

    Args:
        n: Training samples.
        params: ``batch_size`` and ``passes_per_epoch``.
        seed: Seed of the trial.
        epoch: From 0.

    Returns:
        Rows of each, ``(batch_size,)``; a last batch that is not full is left out, unless it is the only one.
    """
    order, size = epoch_order(n, seed, epoch, int(params["passes_per_epoch"])), int(params["batch_size"])
    whole = [rows for rows in torch.split(order, size) if len(rows) == size]
    return whole or [order]


def epoch_order(n: int, seed: int, epoch: int, passes: int = 1) -> Tensor:
    """Return the order of n samples in one epoch, ``(passes * n,)``."""
    generator = epoch_generator(seed, epoch)
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(passes)])


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return the generator from which the order of one epoch is drawn."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)
