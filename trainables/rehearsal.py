"""An epoch or two of one trial in a process of its own, thrown away: what the trials of a sweep will take.

The process is fresh, as that of an actor is, so that its peak is what a node must have. It imports Ray as an actor does
and starts nothing of it.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainables.trial_spec import TrialSpec

WARM_AFTER_S = 5.0  # an epoch that takes longer hardly shows that a first step is slow


@dataclass(frozen=True)
class Rehearsed:
    """What an epoch takes.

    Args:
        epoch_s: Its time on one core, evaluation included.
        memory_mb: The most memory of the process, None where the kernel does not say.
    """

    epoch_s: float
    memory_mb: float | None


def rehearse(spec: TrialSpec, data_root: Path | None) -> Rehearsed:
    """Train ``spec`` for an epoch or two in a new process, and return what one takes; nothing is written.

    Raises:
        Exception: What the trial raises.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=fresh) as pool:
        return pool.submit(time_epoch, spec, data_root).result()


def time_epoch(spec: TrialSpec, data_root: Path | None) -> Rehearsed:
    """Train the first epoch here, and another one to be timed where the first was short."""
    import ray.tune  # noqa: F401 - an actor has it, and its memory counts
    import torch

    from trainables.families import load_family
    from trainables.memory import peak_mb
    from trainables.training import Training

    torch.set_num_threads(1)
    family = load_family(spec.family)
    training = Training(family, spec, family.load_data(spec.params, data_root))
    training.run_epoch()
    epoch_s = training.wall_s
    if epoch_s < WARM_AFTER_S:
        training.run_epoch()
        epoch_s = training.wall_s - epoch_s
    return Rehearsed(epoch_s, peak_mb())
