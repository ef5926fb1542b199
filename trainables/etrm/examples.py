"""What the pictures are drawn from: a few puzzles with their answers, and a map of the contexts.

The puzzles are spread evenly over a split, whatever the model makes of them, so that arms show the same ones.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from torch import Tensor

from search_spaces.domains import Params
from trainables.contract import Batch
from trainables.dataset import Array, Dataset, Split
from trainables.etrm.answers import exactly_right
from trainables.etrm.augmentation import plain_views, recover
from trainables.etrm.context_metrics import (
    TINY,
    cross_sample_ratio,
    cross_sample_var,
    first_rows,
    foreign_rows,
)
from trainables.etrm.evaluation import Answers, answers_of, contexts_of, noise_var, puzzles_as
from trainables.etrm.model import ARCSolver

N_SHOWN = {"valid": 4, "train": 2}
MOST_PAIRS = 3  # demonstrations shown
MOST_POINTS = 512  # puzzles on the map


@torch.no_grad()
def examples(model: ARCSolver, dataset: Dataset, params: Params) -> dict[str, Array]:
    """Return the arrays of every picture.

    Args:
        model: In evaluation mode.
        dataset: Puzzles are shown of its validation and training splits, under the plain view.
        params: Resolved parameters.

    Returns:
        With the prefixes ``valid_`` (up to 4 puzzles) and ``train_`` (up to 2): ``name (k,)`` text,
        ``demo_input`` and ``demo_output`` int8 ``(k, m, side, side)`` with m at most 3, ``query``, ``truth``,
        ``predicted`` and ``foreign`` int8 ``(k, side, side)``, the last one under another puzzle's context, all
        -1 outside the grid, and ``exact``, ``exact_foreign`` bool ``(k,)``. Of up to 512 validation puzzles
        ``context_map (n, 2)``, ``context_share (2,)`` and ``context_ratio ()``; see `context_map`.
    """
    device = next(model.parameters()).device
    names = dataset.constants["puzzle_names"]
    shown = {
        f"{split}_{key}": array
        for split, n_shown in N_SHOWN.items()
        for key, array in shown_puzzles(model, on(dataset.split(split), device), names, n_shown).items()
    }
    return shown | context_map(model, on(dataset.valid, device))


def on(split: Split, device: torch.device) -> dict[str, Tensor]:
    """Return the arrays of a split as tensors on a device."""
    return {name: torch.as_tensor(array).to(device) for name, array in split.items()}


def shown_puzzles(model: ARCSolver, split: Batch, names: Array, n_shown: int) -> dict[str, Array]:
    """Return up to ``n_shown`` puzzles of a split, the first query of each, with both answers.

    Args:
        model: In evaluation mode.
        split: The split as tensors.
        names: Of all puzzles, by their index.
        n_shown: How many.
    """
    firsts = first_rows(split["puzzle"]).sort().values
    spread = torch.linspace(0, len(firsts) - 1, min(n_shown, len(firsts)))
    rows = firsts[spread.round().long().to(firsts.device)]
    chosen = {name: array[rows] for name, array in split.items()}
    others = {name: array[foreign_rows(split["puzzle"])[rows]] for name, array in split.items()}
    asked, foreign = (puzzles_as(one, plain_views(len(rows), rows.device)) for one in (chosen, others))
    own, other = (
        answers_of(model, asked["tokens"], contexts_of(model, one).context) for one in (asked, foreign)
    )
    side = chosen["query"].shape[-1]
    return {
        "name": names[to_array(chosen["puzzle"])],
        "demo_input": to_array(chosen["demo_inputs"][:, :MOST_PAIRS]),
        "demo_output": to_array(chosen["demo_outputs"][:, :MOST_PAIRS]),
        "query": to_array(chosen["query"]),
        "truth": to_array(chosen["answer"]),
        "predicted": predicted_grids(own, side),
        "foreign": predicted_grids(other, side),
        "exact": to_array(exactly_right(own.predicted, asked["labels"])),
        "exact_foreign": to_array(exactly_right(other.predicted, asked["labels"])),
    }


def predicted_grids(answers: Answers, side: int) -> Array:
    """Return answers to the plain view as grids at the top left, int8 ``(n, side, side)``, -1 outside."""
    n = len(answers.predicted)
    offset = torch.zeros(n, 2, dtype=torch.int64)
    grids = np.full((n, side, side), -1, dtype=np.int8)
    for place, grid in zip(grids, recover(answers.predicted, plain_views(n, "cpu"), offset), strict=True):
        place[: grid.shape[0], : grid.shape[1]] = grid
    return grids


def context_map(model: ARCSolver, split: Batch) -> dict[str, Array]:
    """Return where the contexts of a split's puzzles lie on the plane of their largest spread.

    Returns:
        ``context_map`` float32 ``(n, 2)``, the first two principal components over the contexts' root mean square
        norm, so that their mean squares add up to no more than the cross-sample ratio; ``context_share`` ``(2,)``,
        how much of the spread each explains, 0 where there is none; that ratio, ``context_ratio ()``; and
        ``context_noise ()``, the share of sampling in the variance of a context, 0 without a latent.
    """
    rows = first_rows(split["puzzle"])[:MOST_POINTS]
    chosen = {name: array[rows] for name, array in split.items()}
    asked = puzzles_as(chosen, plain_views(len(rows), rows.device))
    context = contexts_of(model, asked).context[-1]
    flat = to_array(context.flatten(1).double())
    norm = np.sqrt(np.square(flat).sum(axis=1).mean())
    places, shares = np.zeros((len(flat), 2)), np.zeros(2)
    spread = flat.std(axis=0).max()
    if norm > 0 and spread > 1e-9 * norm:  # below it, components are those of rounding
        n_components = min(2, *flat.shape)
        pca = PCA(n_components=n_components).fit(flat)
        places[:, :n_components] = pca.transform(flat) / norm
        shares[:n_components] = pca.explained_variance_ratio_
    signal, noise = cross_sample_var(context), noise_var(model, asked)
    return {
        "context_map": places.astype(np.float32),
        "context_share": shares.astype(np.float32),
        "context_ratio": to_array(cross_sample_ratio(context, noise)),
        "context_noise": to_array(noise / (signal + noise).clamp(min=TINY)),
    }


def to_array(tensor: Tensor) -> Array:
    """Return a tensor as an array on the host."""
    return tensor.detach().cpu().numpy()
