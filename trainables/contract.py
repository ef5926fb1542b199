"""What a model family must provide, and nothing else: the loop, resume, accounting and tracking are shared.

`loss` must work under `torch.func.functional_call` and `vmap`: no Python branch on a tensor's value, no
change of module state, no draw of its own: chance comes in through `noise`. State without a gradient (code
usage, counts) goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from search_spaces.domains import Params, Space
from trainables.dataset import Array, Dataset, Metric, Split
from trainables.guard import Guard
from trainables.picture import Picture
from trainables.probe import ProbeResult
from trainables.serving import Serving

State = dict[str, Tensor]
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class LossTerms:
    """The parts of one loss, kept apart so that they can be logged, weighed and accounted one by one.

    Args:
        terms: Unweighted terms, scalars, by name.
        weights: The factor on each term, by the same names.
        metrics: Further scalars, recorded as ``train/<name>``.
    """

    terms: Mapping[str, Tensor]
    weights: Mapping[str, Tensor | float]
    metrics: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """What is optimised: the dot product of terms and weights, a scalar."""
        return torch.stack([self.weights[name] * term for name, term in self.terms.items()]).sum()


class Family(Protocol):
    """One model family: a package with a module-level ``FAMILY`` of this shape.

    It derives from `trainables.defaults.FamilyDefaults`, which answers for what it does not need.
    """

    name: str
    space: Space
    metrics: Mapping[str, Metric]
    train_metrics: tuple[
        str, ...
    ]  # terms and further scalars that `loss` may report; empty when not known beforehand
    guards: tuple[Guard, ...]  # what a search ends early unless its study names guards of its own
    pictures: Mapping[str, Picture]

    def fingerprint(self, params: Params, root: Path | None) -> str:
        """Return the data's hash without loading torch; raise `DataError` when the data cannot be read."""
        ...

    def load_data(self, params: Params, root: Path | None) -> Dataset:
        """Return the splits; ``root`` is the user's own data, None for the default."""
        ...

    def batches(self, train: Split, params: Params, seed: int, epoch: int) -> list[Tensor]:
        """Return the rows of every optimiser step of one epoch (from 0), a pure function of its arguments.

        Their number is the same in every epoch.
        """
        ...

    def build(self, params: Params, dataset: Dataset, seed: int) -> nn.Module:
        """Return a fresh model whose direct children are the modules that gradient accounting names."""
        ...

    def initial_state(self, model: nn.Module, params: Params) -> State:
        """Return the state without a gradient that `loss` takes and returns."""
        ...

    def noise(self, batch: Batch, params: Params, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the random draws of one step, by names that `loss` finds in its batch; none when it is certain."""
        ...

    def loss(
        self, model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
    ) -> tuple[LossTerms, State]:
        """Return the loss of one batch and the next state, a pure function; vmappable over parameters, state, weights.

        ``batch`` also holds what `noise` drew.
        """
        ...

    def update_state(self, model: nn.Module, state: State, params: Params, step: int, n_steps: int) -> State:
        """Return the state after optimiser step ``step`` of ``n_steps`` (from 1); may change parameters in place."""
        ...

    def refresh_state(self, model: nn.Module, state: State, train: Batch, params: Params) -> State:
        """Return the state rebuilt over the whole training split: before the first epoch and after every one.

        The model is the one that is evaluated, in evaluation mode and without gradients.
        """
        ...

    def evaluation_state(self, state: State) -> State:
        """Return the part of the state that `evaluate` and `examples` read: it is kept with the best weights."""
        ...

    def evaluate(self, model: nn.Module, state: State, split: Batch, params: Params) -> dict[str, float]:
        """Return the metrics of a whole split; the names never depend on the values."""
        ...

    def examples(self, model: nn.Module, state: State, dataset: Dataset, params: Params) -> dict[str, Array]:
        """Return what `pictures` are drawn from: a few inputs beside their reconstructions, and the like."""
        ...

    def without_gradient(self, params: Params) -> dict[str, str]:
        """Return the modules that get no gradient at these parameters, each with the reason."""
        ...

    def learning_rates(self, params: Params) -> dict[str, float]:
        """Return the factors on ``lr`` of those direct children that do not learn at ``lr`` itself."""
        ...

    def frozen(self, params: Params, step: int) -> tuple[str, ...]:
        """Return the direct children that optimiser step ``step`` (from 1) leaves alone; no clipping sees them."""
        ...

    def probe(
        self, model: nn.Module, state: State, dataset: Dataset, params: Params
    ) -> tuple[ProbeResult, ...]:
        """Return what experiments on a trained model show; ``state`` is fresh, refreshed on the training split."""
        ...

    def check_data(self, dataset: Dataset, params: Params) -> tuple[ProbeResult, ...]:
        """Return what is right and wrong with the data: `sweeps data check`."""
        ...

    def serving(self, params: Params, dataset: Dataset) -> Serving | None:
        """Return how a trained model answers requests, None when it answers none; kept beside its weights.

        What is returned makes `sweeps promote` log it as an MLflow model that ``mlflow models serve`` can serve.
        """
        ...
