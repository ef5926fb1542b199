"""The parameters of the training loop, the same for every family.

A family's space is `TRAINING` with its own defaults plus its own parameters; see `training_space`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search_spaces.domains import Choice, Domain, Float, Int, Value

TRAINING: dict[str, Domain] = {
    "optimizer": Choice(
        ("adam", "adamw"), "adam", "Adam (Kingma 2015), or AdamW with decoupled decay (Loshchilov 2019)"
    ),
    "lr": Float(1e-7, 1.0, 1e-3, "learning rate at its peak", log=True),
    "adam_beta2": Float(0.0, 0.99999, 0.999, "decay of Adam's second moment"),
    "weight_decay": Float(0.0, 1.0, 0.0, "weight decay of the optimiser"),
    "batch_size": Int(1, 65536, 128, "samples per optimiser step", log=True),
    "clip_norm": Float(0.0, math.inf, 1.0, "largest gradient norm; 0 switches clipping off"),
    "lr_schedule": Choice(
        ("constant", "cosine", "plateau"),
        "constant",
        "learning rate after warm-up: as it is, a cosine to zero, or halved where the objective no longer improves",
    ),
    "warmup_steps": Int(0, 10**7, 0, "steps of linear warm-up", unit="steps"),
    "ema_decay": Float(
        0.0, 0.99999, 0.0, "decay of the moving average of weights used for evaluation; 0 is off"
    ),
    "patience": Int(
        0, 10**6, 0, "epochs without a better objective before a trial is complete; 0 is off", unit="epochs"
    ),
    "grad_every": Int(0, 10**7, 50, "steps between gradient accountings; 0 is off", unit="steps"),
    "passes_per_epoch": Int(1, 10**6, 1, "times that an epoch goes over the training samples"),
    "train_rows": Int(
        0, 10**9, 0, "training samples that every epoch evaluates as train_eval/...; 0 is off", unit="samples"
    ),
}


def training_space(**defaults: Value) -> dict[str, Domain]:
    """Return the training parameters with a family's own ``defaults``."""
    changed: Mapping[str, Any] = defaults
    return {
        name: replace(domain, default=changed.get(name, domain.default)) for name, domain in TRAINING.items()
    }
