"""Batches in which no document has more than its share, so that neighbours are not each other's negatives."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from trainables.batches import epoch_generator
from trainables.dataset import Array


def diverse_batches(
    documents: Array, batch_size: int, max_per_doc: int, seed: int, epoch: int
) -> list[Tensor]:
    """Return batches with at most ``max_per_doc`` windows of a document, every window in exactly one of them.

    Windows are dealt like cards: documents in random order, the windows of each in random order, one to each batch in
    turn. With ``n_batches`` of them a document of n windows has at most ``ceil(n / n_batches)`` in any, and sizes
    differ by one at most; so as many batches are made as the largest document needs.

    Args:
        documents: Document of every window, integers, ``(n,)``.
        batch_size: Most windows of a batch.
        max_per_doc: Most windows of one document in a batch, at least 1.
        seed: Seed of the trial.
        epoch: From 0; with the seed it decides the order.

    Returns:
        Rows of each batch; their number is the same for every seed and epoch.
    """
    generator = epoch_generator(seed, epoch)
    rows = torch.randperm(len(documents), generator=generator)
    names, group = np.unique(documents, return_inverse=True)
    place = torch.randperm(len(names), generator=generator)[torch.as_tensor(group)[rows]]
    dealt = rows[place.argsort(stable=True)]
    n_batches = max(math.ceil(len(rows) / batch_size), math.ceil(np.bincount(group).max() / max_per_doc))
    order = torch.randperm(n_batches, generator=generator).tolist()
    return [dealt[start::n_batches] for start in order]
