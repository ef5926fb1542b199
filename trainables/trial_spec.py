"""What one trial is, as plain values: named by the plan, carried by Ray, trained by the loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search_spaces.domains import Params
from trainables.guard import Guard

CHECKPOINT_FILE = "checkpoint.pt"  # in the trial's folder while it is under way
SWEEP_FILE = "sweep.json"  # in the folder of its sweep, two above


@dataclass(frozen=True)
class TrialSpec:
    """All that decides one trial's numbers, and where its files go.

    Args:
        trial_id: Hash of what decides the numbers.
        family: Name of the family.
        params: Resolved parameters.
        seed: Seed of initialisation, data order and noise.
        epochs: Epochs to train.
        metric: Metric that selects the best epoch.
        mode: Its better direction.
        folder: Folder of the trial's files.
        guards: Rules that end it early.
        audited: Whether it is run on when it breaks a rule, to learn how often a rule is wrong.
    """

    trial_id: str
    family: str
    params: Params
    seed: int
    epochs: int
    metric: str
    mode: Literal["min", "max"]
    folder: Path
    guards: tuple[Guard, ...] = ()
    audited: bool = False
