"""What the pictures of next-vector models are drawn from: moments, ranks, and a few windows in words."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize

from trainables.dataset import Array, Dataset
from trainables.lvm.evaluation import corpus_length, predict, ranks
from trainables.lvm.model import NextVectorModel

N_SHOWN = 5


@torch.no_grad()
def examples(model: NextVectorModel, dataset: Dataset) -> dict[str, Array]:
    """Return the arrays of every picture, all of the validation split.

    Returns:
        ``mean_predicted``, ``mean_target``, ``std_predicted`` and ``std_target`` ``(d,)`` of raw vectors;
        ``rank`` and ``rank_in_document`` from 1 and ``n_in_document``, the targets of its document, ``(n,)``; and,
        where the file has texts, of k windows ``shown_context (k, C)``, ``shown_next``, ``shown_nearest`` (the text
        whose vector is nearest to the prediction) and ``shown_words_scaled`` (what the decoder makes of it at the
        length of the corpus's vectors, empty without a decoder) ``(k,)``, ``shown_rank (k,)``.
    """
    device = next(model.parameters()).device
    valid = {name: torch.as_tensor(array).to(device) for name, array in dataset.valid.items()}
    predicted = predict(model, valid["context"])
    found = ranks(predicted.unit, valid["target"], valid["document"])
    _, group, sizes = np.unique(dataset.valid["document"], return_inverse=True, return_counts=True)
    arrays = {
        "rank": found.among_all.cpu().numpy(),
        "rank_in_document": found.in_document.cpu().numpy(),
        "n_in_document": sizes[group],
    }
    for name, vectors in (("predicted", predicted.raw), ("target", valid["target"])):
        arrays[f"mean_{name}"] = vectors.mean(dim=0).cpu().numpy()
        arrays[f"std_{name}"] = vectors.std(dim=0, correction=0).cpu().numpy()
    if "concept_texts" not in dataset.constants:
        return arrays
    rows = np.linspace(0, len(arrays["rank"]) - 1, min(N_SHOWN, len(arrays["rank"]))).round().astype(int)
    nearest = (predicted.unit[rows] @ normalize(valid["target"], dim=-1).T).argmax(dim=1).cpu().numpy()
    said = (corpus_length(model) * predicted.unit[rows]).cpu().numpy()
    words = [""] * len(rows) if model.words is None else [", ".join(one) for one in model.words.decode(said)]
    texts = dataset.constants["concept_texts"]
    shown = {
        "next": texts[rows],
        "nearest": texts[nearest],
        "words_scaled": np.array(words),
        "rank": arrays["rank"][rows],
    }
    if "context_texts" in dataset.constants:
        shown["context"] = dataset.constants["context_texts"][rows]
    return arrays | {f"shown_{name}": array for name, array in shown.items()}
