"""Planted sweeps of the KL-weight study of mixture autoencoders, over weights and schedules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sweeps.records import EpochRow, TrialRow
from tests.analysis.scatter import EVEN, Planting, Recorder, Scatter

WEIGHTS, SCHEDULES = (0.1, 1.0, 10.0), ("constant", "linear")
MEANINGS = {
    "nll": {"mode": "min", "positive": False, "meaning": "negative log likelihood"},
    "kl_per_dim": {"positive": True, "unit": "nat"},
    "mse": {"mode": "min", "positive": True},
}


def by_weight(*values: float) -> dict[float, float]:
    """Return one value per weight."""
    return dict(zip(WEIGHTS, values, strict=True))


@dataclass
class PlantedWeights(Planting):
    """A sweep over weights and schedules with known truth.

    Args:
        kl: True KL per dimension by weight.
        nll: True negative log likelihood by weight.
        mse: True error by weight.
        warm: True factor of the linear schedule on the KL.
        noise: Standard deviation between seeds, relative to what is usual for each metric.
        states: State by (weight, schedule, seed), complete elsewhere.
        scatter: The law of the noise.
    """

    kl: Mapping[float, float] = field(default_factory=lambda: by_weight(8.0, 0.8, 0.001))
    nll: Mapping[float, float] = field(default_factory=lambda: by_weight(-0.9, -1.1, -0.4))
    mse: Mapping[float, float] = field(default_factory=lambda: by_weight(0.01, 0.012, 0.05))
    warm: float = 1.0
    seeds: tuple[int, ...] = (1, 2, 3)
    noise: float = 1.0
    states: Mapping[tuple[float, str, int], str] = field(default_factory=dict)
    scatter: Scatter = EVEN
    random_seed: int = 0

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""
        weight = {"values": list(WEIGHTS), "scale": "log", "simplicity": list(WEIGHTS), "weight": True}
        schedule = {"values": list(SCHEDULES), "scale": "category", "simplicity": [0, 1]}
        axes = {"kl_weight": weight, "kl_schedule": schedule}
        study = {
            "name": "kl_weight_ssvae",
            "family": "ssvae",
            "question": "Which weight on the KL?",
            "grid": {name: axis["values"] for name, axis in axes.items()},
            "seeds": list(self.seeds),
            "epochs": 1,
            "objective": {"metric": "valid/nll", "mode": "min"},
            "analysis": "kl_weight",
        }
        return {"schema_version": 1, "sweep_id": "a", "study": study, "axes": axes, "metrics": MEANINGS}

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""
        rng = np.random.default_rng(self.random_seed)
        common = self.scatter.common(rng, self.seeds, 4)
        for weight, schedule, seed in itertools.product(WEIGHTS, SCHEDULES, self.seeds):
            cell, swept = (
                f"kl_weight={weight:g},kl_schedule={schedule}",
                {"kl_weight": weight, "kl_schedule": schedule},
            )
            row = TrialRow(f"{cell}#{seed}", cell, swept, seed, wall_s=8.0)
            z = self.noise * (self.scatter.own(rng, swept, 4) + common[seed])
            writer.record_trial(row)
            writer.record_epoch(EpochRow(row.trial_id, 1, self.metrics(weight, schedule, z), 1000))
            row.state = self.states.get((weight, schedule, seed), "complete")
            writer.record_trial(row)

    def metrics(self, weight: float, schedule: str, z: Any) -> dict[str, float]:
        """Return the metrics of one trial; ``z`` has a draw per metric."""
        warm = self.warm if schedule == "linear" else 1.0
        return {
            "valid/nll": self.nll[weight] + 0.02 * z[0],
            "valid/kl_per_dim": self.kl[weight] * warm * math.exp(0.05 * z[1]),
            "valid/mse": self.mse[weight] * math.exp(0.03 * z[2]),
            "valid/active_units": 12.0 * math.exp(0.03 * z[3]),
        }
