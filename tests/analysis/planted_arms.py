"""Planted sweeps of the reconstruction-weight study: arms whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sweeps.records import EpochRow, TrialRow
from tests.analysis.scatter import EVEN, Planting, Recorder, Scatter

MEANINGS = {
    "nll_per_pixel": {"mode": "min", "positive": False, "meaning": "negative log likelihood per pixel"},
    "accuracy": {"mode": "max", "positive": False, "meaning": "share of images classified rightly"},
    "K_eff": {"mode": "max", "positive": True, "meaning": "effective components"},
    "mse": {"mode": "min", "positive": True, "meaning": "mean squared error"},
    "kl_z_per_dim": {"mode": None, "positive": True, "meaning": "KL of z per dimension", "unit": "nat"},
    "active_units": {"mode": None, "positive": False, "meaning": "dimensions in use"},
}


@dataclass(frozen=True)
class ArmTruth:
    """True means of one arm; noise is added on the scale on which the metric lives."""

    nll: float
    accuracy: float
    k_eff: float
    kl_per_dim: float
    mse: float = 0.03
    share: float = 0.9
    beta_eff: float = 1.0
    sigma_mean: float | None = None
    at_max: float = 0.0
    at_min: float = 0.0
    spearman: float | None = None
    calibration: float = 1.0
    head: float = 1.0
    params: Mapping[str, Any] = field(default_factory=dict)


BASELINE = ArmTruth(
    -0.9,
    0.37,
    9.9,
    0.0016,
    share=0.98,
    beta_eff=0.01,
    params={"heteroscedastic": "no", "recon_weight": 500.0},
)
STUCK = {"sigma_mean": 0.5, "at_max": 1.0, "calibration": 0.4, "head": 0.0}
HETERO = {"heteroscedastic": "yes", "recon_weight": 500.0}
LITERAL = ArmTruth(0.24, 0.095, 1.0002, 23.0, share=0.9997, beta_eff=0.002, **STUCK, params=HETERO)
REMEDY = ArmTruth(
    -1.15, 0.55, 9.6, 0.4, share=0.9, sigma_mean=0.08, spearman=0.9, params={**HETERO, "recon_weight": 1.0}
)
ARMS = {
    "baseline": BASELINE,
    "literal": LITERAL,
    "option_1": ArmTruth(0.25, 0.1, 1.001, 15.0, share=0.998, beta_eff=0.02, **STUCK, params=HETERO),
    "option_2": ArmTruth(0.25, 0.1, 1.001, 15.0, share=0.9985, beta_eff=0.006, **STUCK, params=HETERO),
    "option_3": ArmTruth(0.24, 0.095, 1.0002, 22.0, share=0.9995, beta_eff=0.003, **STUCK, params=HETERO),
    "sigmoid_nll": REMEDY,
    "sigmoid_beta_nll": ArmTruth(
        -1.1, 0.5, 9.5, 0.5, sigma_mean=0.09, spearman=0.8, calibration=0.95, params=HETERO
    ),
    "sigmoid_note_nll": ArmTruth(
        0.6,
        0.1,
        1.01,
        12.0,
        share=0.999,
        sigma_mean=0.052,
        at_min=0.99,
        spearman=0.05,
        calibration=3.0,
        params=HETERO,
    ),
}


@dataclass
class PlantedArms(Planting):
    """A sweep over arms with known truth.

    Args:
        arms: Truth by arm.
        noise: Standard deviation between seeds, relative to what is usual for each metric.
        states: State by (arm, seed), complete elsewhere.
        scatter: The law of the noise.
    """

    arms: Mapping[str, ArmTruth] = field(default_factory=lambda: ARMS)
    seeds: tuple[int, ...] = (1, 2, 3)
    epochs: int = 4
    noise: float = 1.0
    states: Mapping[tuple[str, int], str] = field(default_factory=dict)
    scatter: Scatter = EVEN
    random_seed: int = 0

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""
        names = list(self.arms)
        return {
            "schema_version": 1,
            "sweep_id": "5a1f00c2d3",
            "study": {
                "name": "recon_weight_baseline_vs_heteroscedastic",
                "family": "ssvae",
                "question": "Why does the heteroscedastic loss collapse, and what cures it?",
                "grid": {},
                "arms": {name: dict(truth.params) for name, truth in self.arms.items()},
                "fixed": {},
                "seeds": list(self.seeds),
                "epochs": self.epochs,
                "objective": {"metric": "valid/nll_per_pixel", "mode": "min"},
                "analysis": "recon_weight",
            },
            "axes": {"arm": {"values": names, "scale": "category", "simplicity": list(range(len(names)))}},
            "metrics": MEANINGS,
            "baselines": {},
            "params": {"kl_weight": 5.0, "heteroscedastic_recon_weight": 0.0},
            "provenance": {"git_sha": "5fdd367"},
        }

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""
        rng = np.random.default_rng(self.random_seed)
        common = self.scatter.common(rng, self.seeds, 12)
        for name, truth in self.arms.items():
            for seed in self.seeds:
                row = TrialRow(f"arm={name}#{seed}", f"arm={name}", {"arm": name}, seed, wall_s=8.0)
                writer.record_trial(row)
                noise = self.noise * (self.scatter.own(rng, row.swept, 12) + common[seed])
                for epoch in range(1, self.epochs + 1):
                    values = metrics(truth, noise, 1.0 if epoch == self.epochs else 1.3)
                    writer.record_epoch(EpochRow(row.trial_id, epoch, values, 1000 * epoch))
                row.state = self.states.get((name, seed), "complete")
                writer.record_trial(row)


def logistic(p: float, step: float) -> float:
    """Return a share moved by ``step`` in log odds; 0 and 1 stay."""
    if p in (0.0, 1.0):
        return p
    return 1 / (1 + (1 - p) / p * math.exp(-step))


def metrics(truth: ArmTruth, z: Any, decay: float) -> dict[str, float]:
    """Return the metrics of one epoch; ``z`` has a standard normal draw per metric."""
    k_eff = 1 + 9 * logistic((truth.k_eff - 1) / 9, 0.25 * z[0])
    share = logistic(truth.share, 0.2 * z[1])
    found = {
        "valid/nll_per_pixel": truth.nll + 0.02 * z[2] + decay - 1,
        "valid/accuracy": logistic(truth.accuracy, 0.12 * z[3]),
        "valid/K_eff": k_eff,
        "valid/max_usage": 1 / k_eff,
        "valid/active_components": float(round(k_eff)),
        "valid/component_entropy": 0.03,
        "valid/kl_z_per_dim": truth.kl_per_dim * math.exp(0.1 * z[4]),
        "valid/kl_z": 16 * truth.kl_per_dim * math.exp(0.1 * z[4]),
        "valid/mse": truth.mse * math.exp(0.03 * z[5]) * decay,
        "valid/recon_loss": truth.mse * math.exp(0.03 * z[5]) * decay,
        "valid/total_loss": 100.0 * decay,
        "valid/certainty_mean": 0.45,
        "valid/certainty_min": 0.15,
        "valid/certainty_max": 0.86,
        "valid/beta_eff": truth.beta_eff,
        "valid/active_units": 16.0,
        "test/ood_auroc": 0.8 + 0.01 * z[6],
        "test/ood_auroc_certainty": 0.7 + 0.01 * z[7],
        "grad_share/recon": share,
        "grad_share/kl_z": 1 - share,
    }
    if truth.sigma_mean is None:
        return found
    stuck = truth.at_max == 1.0
    found |= {
        "valid/sigma_mean": truth.sigma_mean * (1.0 if stuck else math.exp(0.03 * z[8])),
        "valid/sigma_std": 1e-9 if stuck else 0.02,
        "valid/sigma_at_max": logistic(truth.at_max, 0.3 * z[9]),
        "valid/sigma_at_min": logistic(truth.at_min, 0.3 * z[9]),
        "valid/calibration_std": truth.calibration * math.exp(0.02 * z[10]),
        "frac_params_with_grad/sigma_head": truth.head,
    }
    if stuck:
        found["valid/sigma_error_spearman"] = 0.3 * z[11]  # the ranks of rounding errors
    if truth.spearman is not None:
        found["valid/sigma_error_spearman"] = math.tanh(math.atanh(truth.spearman) + 0.08 * z[11])
    return found
