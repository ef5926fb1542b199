"""Planted searches: records of a search over weights whose best point, collapses and audits are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sweeps.records import EpochRow, TrialRow
from tests.analysis.scatter import EVEN, Planting, Recorder, Scatter

RULE = {"metric": "valid/K_eff", "below": 1.5, "above": None, "patience": 2, "grace": 1}
RULE_TEXT = "valid/K_eff < 1.5 for 2 epochs"
METRICS = {
    "nll": {"mode": "min", "positive": True, "meaning": "error per image", "unit": "nats"},
    "accuracy": {"mode": "max", "positive": False, "meaning": "share of labels found", "unit": ""},
    "kl": {"mode": "min", "positive": True, "meaning": "rate of the code", "unit": "nats"},
    "K_eff": {"mode": "max", "positive": True, "meaning": "components in use", "unit": ""},
}
RANGES = {
    "kl_weight": {"low": 1e-5, "high": 1e-1, "log": True, "kind": "float"},
    "lr": {"low": 1e-4, "high": 1e-2, "log": True, "kind": "float"},
    "latent_dim": {"low": 2, "high": 32, "log": False, "kind": "int"},
}


@dataclass
class PlantedSearch(Planting):
    """A search with known truth: the objective is a valley over log10(kl_weight), little else matters.

    Args:
        arms: Place of the valley, log10(kl_weight), by arm; one nameless search when empty.
        n_points: Points per arm.
        n_finalists: Best points per arm that run on the further seeds.
        depth: How steep the valley is, natural log of the objective per squared decade.
        noise: Log-scale standard deviation between seeds.
        collapse_above: log10(kl_weight) above which a trial breaks the rule at epoch 3.
        audited: Every how many-th broken trial is run on; 0 for none.
        recovers: Whether audited trials are back inside the bound at their last epoch.
        pruned: Every how many-th other trial the scheduler ends at epoch 4; 0 for none.
        names: Searched parameters, of `RANGES`.
        objectives: Metrics and modes of a search with several objectives.
        lucky: Change of the natural log of nll on the first seed, by number of the point.
        points: Values of the searched parameters by number, instead of random ones.
    """

    arms: Mapping[str, float] = field(default_factory=dict)
    valley: float = -3.0
    n_points: int = 40
    n_finalists: int = 3
    depth: float = 0.3
    noise: float = 0.02
    seeds: tuple[int, ...] = (1, 2, 3)
    epochs: int = 10
    collapse_above: float = 9.0
    audited: int = 0
    recovers: bool = False
    pruned: int = 0
    names: tuple[str, ...] = ("kl_weight", "lr")
    objectives: tuple[tuple[str, str], ...] = (("valid/nll", "min"),)
    points: tuple[Mapping[str, float], ...] = ()
    lucky: Mapping[int, float] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    scatter: Scatter = EVEN
    random_seed: int = 0

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""
        ranges = {name: RANGES[name] for name in self.names}
        study = {
            "name": "search_kl_weight",
            "family": "ssvae",
            "question": "Which kl_weight keeps the components alive at the lowest error?",
            "grid": {},
            "arms": {arm: {"recon_loss": arm} for arm in self.arms},
            "search": ranges,
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "objective": {"metric": self.objectives[0][0], "mode": self.objectives[0][1]},
            "objectives": [{"metric": metric, "mode": mode} for metric, mode in self.objectives],
            "sampler": "tpe",
            "scheduler": "asha" if self.pruned else None,
            "guards": [RULE] if self.collapse_above < 9 else [],
            "guard_audit": 0.1,
            "max_trials": None,
            "finalists": self.n_finalists,
            "analysis": "grid",
        }
        arm = {
            "arm": {"values": list(self.arms), "scale": "category", "simplicity": list(range(len(self.arms)))}
        }
        searched = {
            name: {
                "values": [],
                "searched": True,
                "low": known["low"],
                "high": known["high"],
                "scale": "log" if known["log"] else "linear",
                "meaning": "",
                "weight": name == "kl_weight",
                "simplicity": [],
            }
            for name, known in ranges.items()
        }
        return {
            "schema_version": 1,
            "sweep_id": "51ee9a0b77",
            "study": study,
            "axes": (arm if self.arms else {}) | searched,
            "metrics": METRICS,
            "baselines": {"mean/valid/nll": 4.0},
            "params": {"batch_size": 64},
            "provenance": {"git_sha": "49c5296", "git_dirty": False},
            **self.overrides,
        }

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""
        rng = np.random.default_rng(self.random_seed)
        for arm in self.arms or ("",):
            points = self.points or [self.drawn(rng) for _ in range(self.n_points)]
            found = {n: self.run(writer, rng, arm, n, point, self.seeds[0]) for n, point in enumerate(points)}
            ranked = sorted((n for n, value in found.items() if value is not None), key=lambda n: found[n])
            for n in ranked[: self.n_finalists]:
                for seed in self.seeds[1:]:
                    self.run(writer, rng, arm, n, points[n], seed)

    def drawn(self, rng: np.random.Generator) -> dict[str, float]:
        """Return a random point."""
        point: dict[str, float] = {}
        for name in self.names:
            low, high = RANGES[name]["low"], RANGES[name]["high"]
            if RANGES[name]["kind"] == "int":
                point[name] = int(rng.integers(low, high + 1))
            else:
                point[name] = float(10 ** rng.uniform(math.log10(low), math.log10(high)))
        return point

    def run(self, writer: Recorder, rng: Any, arm: str, number: int, point: Any, seed: int) -> float | None:
        """Record one trial; return its objective as a loss, None when it did not complete."""
        swept = ({"arm": arm} if arm else {}) | dict(point)
        cell = ",".join(f"{k}={v:g}" if not isinstance(v, str) else f"{k}={v}" for k, v in swept.items())
        broken = math.log10(point["kl_weight"]) > self.collapse_above
        audited = broken and self.audited > 0 and number % self.audited == 0
        pruned = not broken and self.pruned > 0 and number % self.pruned == 1 and seed == self.seeds[0]
        state = "collapsed" if broken and not audited else "pruned" if pruned else "complete"
        n_epochs = {"collapsed": 3, "pruned": 4}.get(state, self.epochs)
        row = TrialRow(f"{arm}|{number}|{seed}", cell, swept, seed, point=number, wall_s=2.0 * n_epochs)
        row.guard, row.guard_epoch = (RULE_TEXT, 3) if broken else (None, None)
        writer.record_trial(row)
        noise = self.noise * self.scatter.own(rng, swept, 3)
        noise[0] += self.lucky.get(number, 0.0) if seed == self.seeds[0] else 0.0
        for epoch in range(1, n_epochs + 1):
            metrics = self.metrics(arm, point, epoch, noise, broken)
            writer.record_epoch(EpochRow(row.trial_id, epoch, metrics, 1000 * epoch))
        row.state = state
        writer.record_trial(row)
        sign = 1 if self.objectives[0][1] == "min" else -1
        return sign * metrics[self.objectives[0][0]] if state == "complete" else None

    def metrics(self, arm: str, point: Any, epoch: int, noise: Any, broken: bool) -> dict[str, float]:
        """Return the metrics of one epoch."""
        place = math.log10(point["kl_weight"])
        valley = self.arms.get(arm, self.valley)
        lr = math.log10(point["lr"]) + 3 if "lr" in point else 0.0
        decay = 1 + 2 * math.exp(-0.8 * epoch)
        nll = math.exp(self.depth * (place - valley) ** 2 + 0.05 * lr**2 + noise[0]) * decay
        inside = not broken or (self.recovers and epoch == self.epochs)
        return {
            "valid/nll": nll,
            "train/nll": 0.95 * nll,
            "valid/accuracy": 0.9 - 0.1 * (place + 4) ** 2 / 4 + noise[1],
            "valid/kl": math.exp(-0.6 * (place + 3) + noise[2]),
            "valid/K_eff": 8.0 if inside else 1.1,
            "grad_share/recon": 0.5,
            "grad_share/kl": 0.5,
        }
