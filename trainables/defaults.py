"""What a family does unless it says otherwise: nothing random, no state, one learning rate, no probes.

A family derives from `FamilyDefaults` and adds what `trainables.contract.Family` asks of it beyond this.
Imports no torch, so that planning a sweep does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from search_spaces.domains import Params
from trainables.guard import Guard
from trainables.picture import Picture
from trainables.probe import ProbeResult
from trainables.serving import Serving

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainables.contract import Batch, State
    from trainables.dataset import Dataset, Split


class FamilyDefaults:
    """The parts of a family that most need no words for; see `trainables.contract.Family` for their promises."""

    train_metrics: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    pictures: Mapping[str, Picture] = {}

    def batches(self, train: Split, params: Params, seed: int, epoch: int) -> list[torch.Tensor]:
        """Return full batches in random order, one or more passes over all samples."""
        from trainables.batches import shuffled_batches

        return shuffled_batches(len(next(iter(train.values()))), params, seed, epoch)

    def initial_state(self, model: nn.Module, params: Params) -> State:
        """Return no state."""
        return {}

    def noise(self, batch: Batch, params: Params, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return nothing: the loss is certain."""
        return {}

    def update_state(self, model: nn.Module, state: State, params: Params, step: int, n_steps: int) -> State:
        """Return the state as it is."""
        return state

    def refresh_state(self, model: nn.Module, state: State, train: Batch, params: Params) -> State:
        """Return the state as it is."""
        return state

    def evaluation_state(self, state: State) -> State:
        """Return all of the state."""
        return state

    def learning_rates(self, params: Params) -> dict[str, float]:
        """Return no factors: every module learns at ``lr``."""
        return {}

    def frozen(self, params: Params, step: int) -> tuple[str, ...]:
        """Return no module."""
        return ()

    def without_gradient(self, params: Params) -> dict[str, str]:
        """Return no module."""
        return {}

    def probe(
        self, model: nn.Module, state: State, dataset: Dataset, params: Params
    ) -> tuple[ProbeResult, ...]:
        """Return nothing."""
        return ()

    def check_data(self, dataset: Dataset, params: Params) -> tuple[ProbeResult, ...]:
        """Return nothing."""
        return ()

    def serving(self, params: Params, dataset: Dataset) -> Serving | None:
        """Return None: its models answer no requests."""
        return None
