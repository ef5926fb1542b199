"""A backbone and its head: a raw vector for the decoder, a unit vector for retrieval."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from search_spaces.domains import Params
from trainables.lvm.backbones import BACKBONES, n_parameters

if TYPE_CHECKING:
    from trainables.dataset import Dataset
    from trainables.lvm.lsa import Lsa

STATISTICS = ("mean", "std", "unit_std")  # of the training targets, the last one of unit vectors; each (d,)


class Predicted(NamedTuple):
    """What a model says of the next vector.

    Args:
        raw: For the decoder, in the space and at the scale of the corpus, ``(B, d)``.
        unit: The same on the unit sphere, for retrieval, ``(B, d)``.
    """

    raw: Tensor
    unit: Tensor


class Head(nn.Module):
    """Linear, GELU, LayerNorm, Linear.

    Args:
        width: Of the backbone.
        dim: Of the vectors.
        single: Whether the raw vector is the unit one: the note's broken form, kept to be compared with.
    """

    def __init__(self, width: int, dim: int, *, single: bool) -> None:
        super().__init__()
        self.single = single
        self.layers = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, dim)
        )

    @torch.no_grad()
    def start_at(self, mean: Tensor, std: Tensor) -> None:
        """Let the first predictions be around the corpus's mean ``(d,)``, spread as the corpus is, ``std (d,)``.

        Draws of the usual size are several times as large as vectors of norm one; the first epochs would unlearn them.
        """
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        last.bias.copy_(mean)
        last.weight.copy_(std[:, None] * nn.init.normal_(last.weight, std=last.in_features**-0.5))

    def forward(self, h: Tensor) -> Predicted:
        """Return both vectors of hidden states ``(B, D)``."""
        raw = self.layers(h)
        unit = normalize(raw, dim=-1)
        return Predicted(unit if self.single else raw, unit)


class NextVectorModel(nn.Module):
    """Predicts the vector that follows C vectors of a document.

    Args:
        params: Sizes, ``backbone`` and ``head``; see `search_spaces.lvm`.
        dim: Dimensions d of the vectors.
        n_context: Vectors C of a context.
        seed: Seed of the initialisation.
    """

    mean: Tensor
    std: Tensor
    unit_std: Tensor

    def __init__(self, params: Params, dim: int, n_context: int, seed: int) -> None:
        super().__init__()
        self.words: Lsa | None = None  # decoder of the vectors, for evaluation; no part of the weights
        for name in STATISTICS:
            self.register_buffer(name, torch.zeros(dim))
        torch.manual_seed(seed)
        single = params["head"] == "single_normalised"
        self.head = Head(int(params["hidden_dim"]), dim, single=single)  # first: backbones share its draws
        self.backbone = BACKBONES[str(params["backbone"])](dim, params, n_context)

    @classmethod
    def of_dataset(cls, params: Params, dataset: Dataset, seed: int) -> NextVectorModel:
        """Return a fresh model that knows the statistics of the corpus, and its decoder where there is one."""
        _, n_context, dim = dataset.train["context"].shape
        model = cls(params, dim, n_context, seed)
        for name in STATISTICS:
            model.get_buffer(name).copy_(torch.as_tensor(dataset.constants[name]))
        model.head.start_at(model.mean, model.std)
        from trainables.lvm.words import decoder_of  # a served model needs no decoder

        model.words = decoder_of(dataset.constants)
        return model

    @property
    def n_parameters(self) -> int:
        """How many trained numbers the backbone has that really runs."""
        return n_parameters(self.backbone)

    def forward(self, context: Tensor) -> Predicted:
        """Return the predictions for context vectors ``(B, C, d)``."""
        predicted: Predicted = self.head(self.backbone(context))
        return predicted
