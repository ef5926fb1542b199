"""Small, real parts of every family: its own data, cut short."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from search_spaces.domains import Params
from trainables.dataset import Dataset
from trainables.families import family_names, load_family
from trainables.training import Training
from trainables.trial_spec import TrialSpec

torch.set_num_threads(1)
N_SMALL = 192
SMALL = {"batch_size": 32, "grad_every": 2}
OBJECTIVES = {
    "globals_autoencoder": "valid/comparable_loss",
    "ssvae": "valid/nll_per_pixel",
    "etrm": "valid/lm",
    "lvm": "valid/mse",
}
TINY_SOLVER = {
    "side": 5,
    "hidden_dim": 16,
    "encoder_dim": 16,
    "n_heads": 2,
    "n_layers": 1,
    "H_cycles": 2,
    "L_cycles": 2,
    "halt_max_steps": 4,
    "max_demonstrations": 3,
    "n_views": 1,
    "passes_per_epoch": 5,  # an epoch has the steps that a puzzle may take
    "train_rows": 0,
    "warmup_steps": 0,
}
SMALLER = {  # than their defaults, whose steps are dear or whose data is large
    "etrm": TINY_SOLVER,
    "lvm": {"hidden_dim": 16, "n_layers": 1, "n_heads": 2, "state_dim": 4, "n_windows": 600},
}
COMPANIONS: dict[
    tuple[object, ...], dict[str, object]
] = {  # what an option needs, by (family, (name, option))
    ("etrm", ("detached_context", True)): {"encoder_type": "trm_style"},
    ("ssvae", ("heteroscedastic", False)): {"recon_loss": "mse"},
    ("ssvae", ("recon_loss", "mse")): {"heteroscedastic": False},
    ("ssvae", ("recon_loss", "optimal_sigma")): {"heteroscedastic": False},
}
HOMOSCEDASTIC = {"heteroscedastic": False, "recon_loss": "mse"}
MORE_CELLS = {
    "etrm": [
        {"encoder_type": "hybrid_variational", "encoder_lr_scale": 10.0, "freeze_decoder_steps": 5},
        {"encoder_type": "recurrent_standard", "train_rows": 8, "halt_exploration_prob": 0.7},
    ],
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


def small_params(name: str, **given) -> Params:
    """Return the parameters of a small trial of a family."""
    return load_family(name).space.resolve({**SMALL, **SMALLER.get(name, {}), **given})


@cache
def small_dataset(name: str) -> Dataset:
    whole = load_family(name).load_data(small_params(name), None)
    splits = {
        split: {key: array[:N_SMALL] for key, array in whole.split(split).items()}
        for split in ("train", "valid", "test")
    }
    return replace(whole, **splits)


def training(name: str, epochs: int = 2, seed: int = 1, folder: Path = Path(), **given) -> Training:
    """Return a `Training` of a family on its small data."""
    spec = TrialSpec(
        "trial", name, small_params(name, **given), seed, epochs, OBJECTIVES[name], "min", folder
    )
    return Training(load_family(name), spec, small_dataset(name))


def run(one: Training) -> list[dict[str, float]]:
    """Train to the end and return the metrics of every epoch."""
    while not one.done:
        one.run_epoch()
    return one.history


@pytest.fixture(params=family_names())
def family_name(request) -> str:
    """Every family that is discovered, without naming one."""
    return request.param
