"""Planted sweeps: records of a globals study whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from search_spaces.globals_autoencoder import SPACE
from sweeps.plan import axes_of
from sweeps.records import EpochRow, TrialRow
from sweeps.study_files import load_study
from tests.analysis.scatter import EVEN, Planting, Recorder, Scatter

METRICS = {
    "rec_tokens": {"mode": "min", "positive": True, "meaning": "masked token error", "unit": ""},
    "rec_globals": {"mode": "min", "positive": True, "meaning": "globals error, unweighted", "unit": ""},
    "comparable_loss": {"mode": "min", "positive": True, "meaning": "rec_tokens + rec_globals", "unit": ""},
    "met_r2": {"mode": "max", "positive": False, "meaning": "R^2 of the missing momentum", "unit": ""},
    "perplexity": {"mode": "max", "positive": True, "meaning": "effective number of codes", "unit": ""},
    "codebook_usage": {"mode": "max", "positive": False, "meaning": "share of codes in use", "unit": ""},
}


@dataclass
class Planted(Planting):
    """A globals sweep with known truth: log-scale effects on the two losses, seeds and noise.

    Args:
        tokens_by_beta: True factor on rec_tokens by beta.
        globals_by_beta: True factor on rec_globals by beta.
        tokens_by_latent: True factor on rec_tokens by latent space.
        globals_by_latent: True factor on rec_globals by latent space.
        noise: Log-scale standard deviation between seeds, beyond what seeds share.
        shared: Log-scale standard deviation of what all cells of one seed share.
        met_r2: True R^2 where beta is above 0.
        perplexity: True perplexity of vq cells.
        dims: Levels of latent_dim, empty when it is not swept.
        price_at_small_dim: True further factor on rec_tokens at the smallest dim and the largest beta.
        states: State by (latent, beta, seed), complete elsewhere.
        missing: Trials (latent, beta, seed) without a row.
        scatter: The law of the noise.
    """

    tokens_by_beta: Mapping[float, float] = field(default_factory=lambda: {0.0: 1.0, 1.0: 2.0, 10.0: 6.0})
    globals_by_beta: Mapping[float, float] = field(default_factory=lambda: {0.0: 1.0, 1.0: 0.08, 10.0: 0.08})
    tokens_by_latent: Mapping[str, float] = field(
        default_factory=lambda: {"none": 1.0, "linear": 1.0, "vq": 20.0}
    )
    globals_by_latent: Mapping[str, float] = field(
        default_factory=lambda: {"none": 1.0, "linear": 1.0, "vq": 1.8}
    )
    noise: float = 0.02
    shared: float = 0.02
    seeds: tuple[int, ...] = (1, 2, 3)
    epochs: int = 4
    met_r2: float = 0.6
    perplexity: float = 300.0
    dims: tuple[int, ...] = ()
    price_at_small_dim: float = 1.0
    states: Mapping[tuple[str, float, int], str] = field(default_factory=dict)
    missing: tuple[tuple[str, float, int], ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    scatter: Scatter = EVEN
    random_seed: int = 0

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""
        grid: dict[str, list[Any]] = {
            "latent_space": list(self.tokens_by_latent),
            "globals_beta": list(self.tokens_by_beta),
        }
        if self.dims:
            grid["latent_dim"] = list(self.dims)
        study = {
            "name": "compare_globals_heads",
            "family": "globals_autoencoder",
            "question": "How does the weight on global reconstruction act in each latent space?",
            "grid": grid,
            "fixed": {},
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "objective": {"metric": "valid/comparable_loss", "mode": "min"},
            "analysis": "globals_heads",
        }
        sweep = {
            "schema_version": 1,
            "sweep_id": "7f3a2c91d0",
            "study": study,
            "axes": axes_of(replace(load_study("compare_globals_heads"), grid=grid), SPACE),
            "metrics": METRICS,
            "baselines": {
                "visible_sum/valid/met_r2": 0.41,
                "mean/valid/rec_globals": 1.0,
                "visible_sum/valid/rec_globals": 0.6,
            },
            "params": {"latent_dim": 32, "codebook_size": 512, "lr": 1e-3},
            "provenance": {
                "git_sha": "49c5296",
                "git_dirty": False,
                "versions": {"torch": "2.13.0"},
                "data_fingerprint": "ab12",
                "hardware": "2 CPU cores",
            },
        }
        return {**sweep, **self.overrides}

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""
        rng = np.random.default_rng(self.random_seed)
        common = self.scatter.common(rng, self.seeds, 4)
        shared = {seed: rng.normal(0, self.shared) for seed in self.seeds}
        for latent in self.tokens_by_latent:
            for beta in self.tokens_by_beta:
                for dim in self.dims or (None,):
                    for seed in self.seeds:
                        swept = {"latent_space": latent, "globals_beta": beta, "latent_dim": dim}
                        noise = self.noise * (self.scatter.own(rng, swept, 4) + common[seed])
                        if (latent, beta, seed) not in self.missing:
                            self.write_trial(writer, latent, beta, dim, seed, shared[seed] + noise)

    def write_trial(
        self, writer: Recorder, latent: str, beta: float, dim: int | None, seed: int, noise: Any
    ) -> None:
        """Record one trial, epoch by epoch."""
        swept: dict[str, Any] = {"latent_space": latent, "globals_beta": beta}
        if dim is not None:
            swept["latent_dim"] = dim
        cell = ",".join(f"{k}={v:g}" if not isinstance(v, str) else f"{k}={v}" for k, v in swept.items())
        row = TrialRow(f"{cell}#{seed}", cell, swept, seed, wall_s=8.0)
        writer.record_trial(row)
        for epoch in range(1, self.epochs + 1):
            writer.record_epoch(
                EpochRow(row.trial_id, epoch, self.metrics(latent, beta, dim, epoch, noise), 1000 * epoch)
            )
        row.state = self.states.get((latent, beta, seed), "complete")
        writer.record_trial(row)

    def metrics(self, latent: str, beta: float, dim: int | None, epoch: int, noise: Any) -> dict[str, float]:
        """Return the metrics of one epoch; ``noise`` has one draw per metric."""
        decay = 1 + 2 * math.exp(-2 * (epoch - 1)) * (epoch < self.epochs)
        tokens = 0.01 * self.tokens_by_beta[beta] * self.tokens_by_latent[latent] * decay
        if dim is not None and dim == min(self.dims) and beta == max(self.tokens_by_beta):
            tokens *= self.price_at_small_dim
        tokens *= math.exp(noise[0])
        globals_ = self.globals_by_beta[beta] * self.globals_by_latent[latent] * decay * math.exp(noise[1])
        share = beta / (beta + 3)
        found = {
            "valid/rec_tokens": tokens,
            "valid/rec_globals": globals_,
            "valid/comparable_loss": tokens + globals_,
            "train/comparable_loss": 0.95 * (tokens + globals_),
            "valid/met_r2": (self.met_r2 if beta else -0.05) + 0.1 * noise[2],
            "grad_share/encoder/rec_globals": min(0.999, max(0.0, share * (1 + 0.1 * noise[3]))),
            "grad_share/encoder/rec_tokens": max(0.001, 1 - share * (1 + 0.1 * noise[3])),
        }
        if latent == "vq":
            found |= {
                "valid/perplexity": self.perplexity * math.exp(noise[3]),
                "valid/codebook_usage": min(1.0, 0.8 + 0.1 * noise[3]),
            }
        return found
