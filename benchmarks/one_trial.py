"""One trial trained as the project trains it, for contenders that bring their own driver.

Imports torch: a driver that hands the work to other processes must not import this module.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.workload import METRIC
from search_spaces.domains import Params
from sweeps.studies.compare_globals_heads import STUDY
from trainables.dataset import Dataset
from trainables.families import load_family
from trainables.training import Training
from trainables.trial_spec import TrialSpec


def begin(params: Params, seed: int, epochs: int, dataset: Dataset) -> Training:
    """Return the trial, ready to train on one thread; it writes no file."""
    torch.set_num_threads(1)
    mode = STUDY.objective.mode
    spec = TrialSpec("benchmark", STUDY.family, params, seed, epochs, METRIC, mode, Path())
    return Training(load_family(STUDY.family), spec, dataset)
