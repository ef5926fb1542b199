"""Next-vector models in sentence-embedding space: which losses keep them from saying the mean of everything?

Five sentence vectors of a document go in, the next one comes out, raw for a decoder and on the unit sphere for
retrieval. Modules are imported where they are used, so that planning a sweep, which needs the space and the data's
fingerprint, loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from search_spaces.domains import Params
from search_spaces.lvm import SPACE
from trainables.dataset import Array, Dataset, Split
from trainables.defaults import FamilyDefaults
from trainables.lvm.metrics import GUARDS, METRICS
from trainables.lvm.pictures import PICTURES

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainables.contract import Batch, LossTerms, State
    from trainables.lvm.model import NextVectorModel
    from trainables.probe import ProbeResult
    from trainables.serving import Serving


class NextVector(FamilyDefaults):
    """The family `lvm`; see `trainables.contract.Family` for what each part promises."""

    name = "lvm"
    space = SPACE
    metrics = METRICS
    train_metrics = ("mse", "infonce", "moment", "variance", "cos")
    guards = GUARDS
    pictures = PICTURES

    def fingerprint(self, params: Params, root: Path | None) -> str:
        """Return the hash of the windows and of what is drawn from them."""
        from trainables.lvm.data import fingerprint

        return fingerprint(params, root)

    def load_data(self, params: Params, root: Path | None) -> Dataset:
        """Return the windows of ``root``, those of the default corpus when None, split by document."""
        from trainables.lvm.data import load_dataset

        return load_dataset(params, root)

    def batches(self, train: Split, params: Params, seed: int, epoch: int) -> list[torch.Tensor]:
        """Return batches in which no document has more than ``max_per_doc`` windows; plain ones when it is 0."""
        from trainables.lvm.batches import diverse_batches

        most, passes = int(params["max_per_doc"]), int(params["passes_per_epoch"])
        if not most:
            return super().batches(train, params, seed, epoch)
        size = int(params["batch_size"])
        rounds = (
            diverse_batches(train["document"], size, most, seed, epoch * passes + number)
            for number in range(passes)
        )
        return [batch for batches in rounds for batch in batches]

    def build(self, params: Params, dataset: Dataset, seed: int) -> nn.Module:
        """Return a `NextVectorModel`; cells that share a seed share the draws of the head."""
        from trainables.lvm.model import NextVectorModel

        return NextVectorModel.of_dataset(params, dataset, seed)

    def loss(
        self, model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
    ) -> tuple[LossTerms, State]:
        """Return the terms of `trainables.lvm.loss` for one batch of windows."""
        from trainables.lvm.loss import loss_terms

        return loss_terms(model, state, batch, params)

    def evaluate(self, model: nn.Module, state: State, split: Batch, params: Params) -> dict[str, float]:
        """Return every metric of `METRICS` that the data allows."""
        from trainables.lvm.evaluation import evaluate

        return evaluate(cast("NextVectorModel", model), split)

    def serving(self, params: Params, dataset: Dataset) -> Serving | None:
        """Return what an inference server needs beside the weights."""
        from trainables.lvm.serving import serving

        return serving(params, dataset)

    def examples(self, model: nn.Module, state: State, dataset: Dataset, params: Params) -> dict[str, Array]:
        """Return moments and ranks of the validation split, and a few windows in words."""
        from trainables.lvm.examples import examples

        return examples(cast("NextVectorModel", model), dataset)

    def probe(
        self, model: nn.Module, state: State, dataset: Dataset, params: Params
    ) -> tuple[ProbeResult, ...]:
        """Return the claims about the validation split, decoder test C among them."""
        from trainables.lvm.probe import probe

        return probe(cast("NextVectorModel", model), dataset, params)

    def check_data(self, dataset: Dataset, params: Params) -> tuple[ProbeResult, ...]:
        """Return the diagnostics that need no training: moments, trivial predictors, decoder tests A and B."""
        from trainables.lvm.data_probe import check

        return check(dataset)


FAMILY = NextVector()
