"""Recursive ARC solver with a demonstration encoder: is what the encoder says diverse, random, used?

A tiny network applied over and over solves a puzzle; in place of an embedding learnt per puzzle it reads a
context of tokens that an encoder makes of the puzzle's demonstrations. Modules are imported where they are
used, so that planning a sweep, which needs the space and the data's fingerprint, loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from search_spaces.domains import Params
from search_spaces.etrm import SPACE
from trainables.dataset import Array, Dataset
from trainables.defaults import FamilyDefaults
from trainables.etrm.metrics import GUARDS, METRICS
from trainables.etrm.pictures import PICTURES
from trainables.probe import ProbeResult

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainables.contract import Batch, LossTerms, State
    from trainables.etrm.model import ARCSolver


class ETRM(FamilyDefaults):
    """The family `etrm`; see `trainables.contract.Family` for what each part promises."""

    name = "etrm"
    space = SPACE
    metrics = METRICS
    train_metrics = (
        "lm",
        "halt",
        "kl",
        "accuracy",
        "exact_accuracy_at_halt",
        "steps",
        "encoder_cross_sample_ratio",
        "encoder_cross_sample_var",
        "encoder_within_puzzle_var",
    )
    guards = GUARDS
    pictures = PICTURES

    def fingerprint(self, params: Params, root: Path | None) -> str:
        """Return the hash of the puzzles and of how they are split."""
        from trainables.etrm.data import fingerprint

        return fingerprint(params, root)

    def load_data(self, params: Params, root: Path | None) -> Dataset:
        """Return ARC-AGI-1, or the puzzles of a directory; validation and test are puzzles that training never sees."""
        from trainables.etrm.data import load_dataset

        return load_dataset(params, root)

    def build(self, params: Params, dataset: Dataset, seed: int) -> nn.Module:
        """Return an `ARCSolver`; cells that share a seed share the draws of the solver."""
        from trainables.etrm.model import ARCSolver

        return ARCSolver(params, seed)

    def initial_state(self, model: nn.Module, params: Params) -> State:
        """Return a carry whose rows have all halted."""
        from trainables.etrm.loss import initial_state

        return initial_state(cast("ARCSolver", model), int(params["batch_size"]))

    def noise(self, batch: Batch, params: Params, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return the views of the puzzles, their least numbers of steps, and the draws of the latent."""
        from trainables.etrm.loss import draw_noise

        return draw_noise(batch, params, generator)

    def loss(
        self, model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
    ) -> tuple[LossTerms, State]:
        """Return the terms of `trainables.etrm.loss` for one step of the recursion."""
        from trainables.etrm.loss import loss_terms

        return loss_terms(model, state, batch, params)

    def evaluation_state(self, state: State) -> State:
        """Return nothing: the carry is of training alone, and large."""
        return {}

    def learning_rates(self, params: Params) -> dict[str, float]:
        """Return the encoder's own factor."""
        scale = float(params["encoder_lr_scale"])
        return {} if scale == 1 else {"encoder": scale}

    def frozen(self, params: Params, step: int) -> tuple[str, ...]:
        """Return the solver for the first ``freeze_decoder_steps``."""
        return ("inner",) if step <= int(params["freeze_decoder_steps"]) else ()

    def evaluate(self, model: nn.Module, state: State, split: Batch, params: Params) -> dict[str, float]:
        """Return every metric of `METRICS` that this cell has."""
        from trainables.etrm.evaluation import evaluate

        return evaluate(cast("ARCSolver", model), split, params)

    def examples(self, model: nn.Module, state: State, dataset: Dataset, params: Params) -> dict[str, Array]:
        """Return a few puzzles with their answers under the right and under another puzzle's context."""
        from trainables.etrm.examples import examples

        return examples(cast("ARCSolver", model), dataset, params)

    def without_gradient(self, params: Params) -> dict[str, str]:
        """Return why the encoder is out of the gradient's reach at these parameters."""
        if params["detached_context"]:
            return {"encoder": "its context is read from the detached carry, as in the public version"}
        return {}

    def probe(
        self, model: nn.Module, state: State, dataset: Dataset, params: Params
    ) -> tuple[ProbeResult, ...]:
        """Return whether the solver reads the context and copies its input, on the test split."""
        from trainables.etrm.experiments import probe

        return probe(cast("ARCSolver", model), dataset.test, params)

    def check_data(self, dataset: Dataset, params: Params) -> tuple[ProbeResult, ...]:
        """Return whether every row's demonstrations are those of its query's puzzle, and no more."""
        from trainables.etrm.data_check import check_data

        return check_data(dataset, params)


FAMILY = ETRM()
