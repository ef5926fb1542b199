"""Semi-supervised VAE on images: which weight of the reconstruction term lets the mixture and sigma live?

An image is encoded to a latent z and to soft components c; the decoder rebuilds it under every component
and may predict one sigma per image; a count table tau turns components into labels from a few labelled
images. Modules are imported where they are used, so that planning a sweep, which needs the space and the
data's fingerprint, loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from search_spaces.domains import Params
from search_spaces.ssvae import SPACE
from trainables.dataset import Array, Dataset
from trainables.defaults import FamilyDefaults
from trainables.ssvae.metrics import GUARDS, METRICS
from trainables.ssvae.pictures import PICTURES

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainables.contract import Batch, LossTerms, State
    from trainables.ssvae.model import SemiSupervisedVAE


class SSVAE(FamilyDefaults):
    """The family `ssvae`; see `trainables.contract.Family` for what each part promises."""

    name = "ssvae"
    space = SPACE
    metrics = METRICS
    train_metrics = ("recon", "kl_z", "kl_c", "dirichlet", "diversity", "tau", "kl_scale")
    guards = GUARDS
    pictures = PICTURES

    def fingerprint(self, params: Params, root: Path | None) -> str:
        """Return the hash of the images and of what is drawn from them."""
        from trainables.ssvae.data import fingerprint

        return fingerprint(params, root)

    def load_data(self, params: Params, root: Path | None) -> Dataset:
        """Return the images split 60/20/20 by class; ``root`` is an NPZ file or a folder of IDX files."""
        from trainables.ssvae.data import load_dataset

        return load_dataset(params, root)

    def build(self, params: Params, dataset: Dataset, seed: int) -> nn.Module:
        """Return a `SemiSupervisedVAE`; cells that share a seed share the draws of the modules both have."""
        from trainables.ssvae.model import SemiSupervisedVAE

        return SemiSupervisedVAE(params, dataset.constants, seed)

    def initial_state(self, model: nn.Module, params: Params) -> State:
        """Return counts that know no label, and where the KL schedule starts."""
        from trainables.ssvae.loss import initial_state

        return initial_state(cast("SemiSupervisedVAE", model), params)

    def noise(self, batch: Batch, params: Params, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return ``epsilon (B, L)``, the standard normal draws of the reparametrisation."""
        import torch

        x = batch["x"]
        shape = (len(x), int(params["latent_dim"]))
        return {"epsilon": torch.randn(shape, generator=generator, device=x.device)}

    def loss(
        self, model: nn.Module, state: State, batch: Batch, params: Mapping[str, object]
    ) -> tuple[LossTerms, State]:
        """Return the terms of `trainables.ssvae.loss` for one batch of images."""
        from trainables.ssvae.loss import loss_terms

        return loss_terms(model, state, batch, params)

    def update_state(self, model: nn.Module, state: State, params: Params, step: int, n_steps: int) -> State:
        """Return the state with the KL schedule moved on to the next step."""
        from trainables.ssvae.loss import kl_scale

        scale = kl_scale(str(params["kl_schedule"]), step, n_steps)
        return {**state, "kl_scale": state["kl_scale"].new_tensor(scale)}

    def refresh_state(self, model: nn.Module, state: State, train: Batch, params: Params) -> State:
        """Return the state with the counts of tau rebuilt from the labelled training images."""
        from trainables.ssvae.tau import tau_counts

        vae = cast("SemiSupervisedVAE", model)
        known = train["labelled"] > 0
        r = vae.encode(train["x"][known]).responsibilities
        counts = tau_counts(r, train["y"][known], vae.n_classes, float(params["tau_alpha0"]))
        return {**state, "tau_counts": counts}

    def evaluate(self, model: nn.Module, state: State, split: Batch, params: Params) -> dict[str, float]:
        """Return every metric of `METRICS`."""
        from trainables.ssvae.evaluation import evaluate

        return evaluate(cast("SemiSupervisedVAE", model), state, split, params)

    def examples(self, model: nn.Module, state: State, dataset: Dataset, params: Params) -> dict[str, Array]:
        """Return what the pictures show of the validation split, and the images to label next."""
        from trainables.ssvae.examples import examples

        return examples(cast("SemiSupervisedVAE", model), state, dataset, params)

    def without_gradient(self, params: Params) -> dict[str, str]:
        """Return why a module is out of the gradient's reach at these parameters."""
        from trainables.ssvae.reachability import without_gradient

        return without_gradient(params)


FAMILY = SSVAE()
