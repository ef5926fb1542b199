"""Small, real parts of every family: its own data, cut short."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from trainables.dataset import Dataset
from trainables.families import family_names, load_family
from trainables.training import Training
from trainables.trial_spec import TrialSpec

torch.set_num_threads(1)
N_SMALL = 192
SMALL = {"batch_size": 32, "grad_every": 2}
OBJECTIVES = {"globals_autoencoder": "valid/comparable_loss", "ssvae": "valid/nll_per_pixel"}
COMPANIONS: dict[
    tuple[object, ...], dict[str, object]
] = {  # what an option needs, by (family, (name, option))
    ("ssvae", ("heteroscedastic", False)): {"recon_loss": "mse"},
    ("ssvae", ("recon_loss", "mse")): {"heteroscedastic": False},
    ("ssvae", ("recon_loss", "optimal_sigma")): {"heteroscedastic": False},
}
HOMOSCEDASTIC = {"heteroscedastic": False, "recon_loss": "mse"}
MORE_CELLS = {
    "globals_autoencoder": [
        {"latent_space": "vq", "vq_update": "ema"},
        {"mixing": "attention", "latent_space": "vq"},
    ],
    "ssvae": [  # with the options one by one, the eight decoders under both priors
        {"component_aware": False, **HOMOSCEDASTIC},
        {"decoder_type": "conv", "n_components": 4, **HOMOSCEDASTIC},
        {"decoder_type": "conv", "component_aware": False},
        {"decoder_type": "conv", "component_aware": False, **HOMOSCEDASTIC},
        {"prior": "standard", **HOMOSCEDASTIC},
        {"prior": "standard", "decoder_type": "conv"},
        {"prior": "standard", "decoder_type": "conv", **HOMOSCEDASTIC},
        {"recon_loss": "note_nll", "sigma_head": "softplus_clip", "recon_weight": 500.0},
        {"recon_loss": "faithful", "kl_schedule": "cyclical", "ema_decay": 0.9},
    ],
}


@cache
def small_dataset(name: str) -> Dataset:
    family = load_family(name)
    whole = family.load_data(family.space.resolve({}), None)
    splits = {
        split: {key: array[:N_SMALL] for key, array in whole.split(split).items()}
        for split in ("train", "valid", "test")
    }
    return replace(whole, **splits)


def training(name: str, epochs: int = 2, seed: int = 1, folder: Path = Path(), **given) -> Training:
    """Return a `Training` of a family on its small data."""
    family = load_family(name)
    params = family.space.resolve({**SMALL, **given})
    spec = TrialSpec("trial", name, params, seed, epochs, OBJECTIVES[name], "min", folder)
    return Training(family, spec, small_dataset(name))


def run(one: Training) -> list[dict[str, float]]:
    """Train to the end and return the metrics of every epoch."""
    while not one.done:
        one.run_epoch()
    return one.history


@pytest.fixture(params=family_names())
def family_name(request) -> str:
    """Every family that is discovered, without naming one."""
    return request.param
