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
OBJECTIVES = {"globals_autoencoder": "valid/comparable_loss"}


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
