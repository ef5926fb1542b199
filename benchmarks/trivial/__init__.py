"""The smallest family that keeps the contract: one parameter, pulled to two places by two terms of a loss.

Its trials take next to no time, so that a sweep of thousands shows what everything but training costs.
Imports no torch: planning a sweep reads this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search_spaces.domains import Float, Params, Space
from search_spaces.training import training_space
from trainables.dataset import Dataset, Metric
from trainables.defaults import FamilyDefaults

if TYPE_CHECKING:
    from torch import nn

    from trainables.contract import Batch, LossTerms, State

ROWS = 4  # of every split


class Trivial(FamilyDefaults):
    """One number between a target and zero."""

    name = "trivial"
    space = Space(
        {
            "target": Float(0.0, 1e6, 1.0, "where the first term pulls the parameter"),
            "pull": Float(0.0, 1e6, 1.0, "weight of the second term, which pulls it to zero", weight=True),
            **training_space(batch_size=ROWS, lr=0.1, grad_every=0),
        }
    )
    metrics: ClassVar = {"rec_target": Metric("min", True, "squared distance to the target")}

    def fingerprint(self, params: Params, root: Path | None) -> str:
        """Return a constant: the data are constant."""
        return "trivial"

    def load_data(self, params: Params, root: Path | None) -> Dataset:
        """Return the same few ones as every split."""
        split = {"x": np.ones((ROWS, 1), dtype=np.float32)}
        return Dataset(split, split, split, "trivial")

    def build(self, params: Params, dataset: Dataset, seed: int) -> nn.Module:
        """Return a model of one parameter."""
        import torch
        from torch import nn

        torch.manual_seed(seed)
        model = nn.Module()
        model.only = nn.Linear(1, 1, bias=False)
        return model

    def loss(
        self, model: nn.Module, state: State, batch: Batch, params: Mapping[str, Any]
    ) -> tuple[LossTerms, State]:
        """Return the distances to the target and to zero."""
        from trainables.contract import LossTerms

        out = model.only(batch["x"])
        terms = {"rec_target": (out - params["target"]).square().mean(), "rec_zero": out.square().mean()}
        return LossTerms(terms, {"rec_target": 1.0, "rec_zero": params["pull"]}), state

    def evaluate(self, model: nn.Module, state: State, split: Batch, params: Params) -> dict[str, float]:
        """Return the distance to the target."""
        return {"rec_target": float((model.only(split["x"]) - params["target"]).square().mean())}

    def examples(self, model: nn.Module, state: State, dataset: Dataset, params: Params) -> dict[str, Any]:
        """Return the parameter."""
        return {"only": model.only.weight.detach().numpy()}


FAMILY = Trivial()
