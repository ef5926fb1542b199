"""Event autoencoder with a bottleneck and a globals head: what does the weight of the globals term do?

A collision event is a set of reconstructed objects (tokens) and two global numbers, missing transverse
momentum and its angle. Each token is compressed to a latent; tokens are rebuilt from the latents, and
the globals from their mean. Modules are imported where they are used, so that planning a sweep, which
needs the space and the data's fingerprint, loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from search_spaces.domains import Params
from search_spaces.globals_autoencoder import SPACE
from trainables.dataset import Array, Dataset
from trainables.defaults import FamilyDefaults
from trainables.globals_autoencoder.metrics import GUARDS, METRICS
from trainables.globals_autoencoder.pictures import PICTURES

if TYPE_CHECKING:
    from torch import nn

    from trainables.contract import Batch, LossTerms, State
    from trainables.globals_autoencoder.model import EventAutoencoder
    from trainables.globals_autoencoder.quantiser import VectorQuantiser


class GlobalsAutoencoder(FamilyDefaults):
    """The family `globals_autoencoder`; see `trainables.contract.Family` for what each part promises."""

    name = "globals_autoencoder"
    space = SPACE
    metrics = METRICS
    train_metrics = ("rec_tokens", "rec_globals", "vq_codebook", "vq_commit")
    guards = GUARDS
    pictures = PICTURES

    def fingerprint(self, params: Params, root: Path | None) -> str:
        """Return the hash of the event file and of what is read from it."""
        from trainables.globals_autoencoder.data import fingerprint_events
        from trainables.globals_autoencoder.events import DEFAULT_EVENTS

        return fingerprint_events(root or DEFAULT_EVENTS, int(params["n_events"]), int(params["split_seed"]))

    def load_data(self, params: Params, root: Path | None) -> Dataset:
        """Return the events of ``root``, the committed sample when None, standardised and split 80/10/10."""
        from trainables.globals_autoencoder.data import load_events
        from trainables.globals_autoencoder.events import DEFAULT_EVENTS

        return load_events(
            root or DEFAULT_EVENTS, n_events=int(params["n_events"]), split_seed=int(params["split_seed"])
        )

    def build(self, params: Params, dataset: Dataset, seed: int) -> nn.Module:
        """Return an `EventAutoencoder`; cells that share a seed share the draws of encoder, decoder and head."""
        from trainables.globals_autoencoder.model import EventAutoencoder

        return EventAutoencoder(params, dataset.constants, seed)

    def initial_state(self, model: nn.Module, params: Params) -> State:
        """Return the usage of codes and the candidates for their restart; nothing without a codebook."""
        from trainables.globals_autoencoder.quantiser import initial_state

        return initial_state(params) if params["latent_space"] == "vq" else {}

    def loss(
        self, model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
    ) -> tuple[LossTerms, State]:
        """Return the terms of `trainables.globals_autoencoder.loss` for one batch of events."""
        from trainables.globals_autoencoder.loss import loss_terms

        return loss_terms(model, state, batch, params)

    def update_state(self, model: nn.Module, state: State, params: Params, step: int, n_steps: int) -> State:
        """Return the state after moving and restarting codes."""
        from trainables.globals_autoencoder.quantiser import update_codes

        return (
            update_codes(cast("VectorQuantiser", model.bottleneck), state, params, step) if state else state
        )

    def evaluate(self, model: nn.Module, state: State, split: Batch, params: Params) -> dict[str, float]:
        """Return every metric of `METRICS` that this cell has."""
        from trainables.globals_autoencoder.evaluation import evaluate

        return evaluate(cast("EventAutoencoder", model), state, split, params)

    def examples(self, model: nn.Module, state: State, dataset: Dataset, params: Params) -> dict[str, Array]:
        """Return validation events beside their reconstruction, in physical units."""
        from trainables.globals_autoencoder.evaluation import examples

        return examples(cast("EventAutoencoder", model), dataset)

    def without_gradient(self, params: Params) -> dict[str, str]:
        """Return why a module is out of the gradient's reach at these parameters."""
        reasons = {}
        if params["globals_beta"] == 0:
            reasons["globals_head"] = "globals_beta is 0: the head is evaluated, not trained"
        if params["latent_space"] == "none":
            reasons["bottleneck"] = "the identity has no parameters"
        if params["latent_space"] == "vq" and params["vq_update"] == "ema":
            reasons["bottleneck"] = "codes follow moving averages, not gradients"
        return reasons


FAMILY = GlobalsAutoencoder()
