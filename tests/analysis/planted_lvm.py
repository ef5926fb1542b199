"""Planted sweeps of next-vector models: cells, rungs and finalists whose nearness, diversity and moments are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from search_spaces.lvm import BACKBONES, SPACE
from sweeps.plan import axes_of
from sweeps.records import EpochRow, TrialRow
from sweeps.study import Objective, Study
from tests.analysis.scatter import EVEN, Planting, Recorder, Scatter
from trainables.lvm.bounds import COPIED_COS
from trainables.lvm.metrics import METRICS

MEANINGS = {
    name: {"mode": m.mode, "positive": m.positive, "meaning": m.meaning, "unit": m.unit}
    for name, m in METRICS.items()
}
MEAN_COS, BEST_COS = 0.45, 0.546  # what the note's authors later measured
BASELINES = {
    "mean_vector/valid/cos": MEAN_COS,
    "context_mean/valid/cos": BEST_COS,
    "copy_last/valid/cos": 0.4,
    "copy_last/valid/r_at_1": 0.02,
    "raw_target/valid/decoder_cos": 0.92,
    "unit_target/valid/decoder_cos": 0.9,
}
GUARD = {"metric": "valid/output_diversity", "below": 0.5, "above": None, "patience": 5, "grace": 5}
GUARD_TEXT = "valid/output_diversity < 0.5 for 5 epochs"


@dataclass(frozen=True)
class VectorTruth:
    """True means of one cell; seeds add noise on the scale on which each metric lives.

    Args:
        cos: Cosine to the next vector, the objective; skill follows from it.
        index: Mean cosine between predictions less that between targets; 0.7975 is one vector for all.
        diversity: Share of dimensions that spread.
        margin: Cosine to the next less that to the last vector.
        mu_err: Relative error of the means.
        sigma_err: Relative error of the spreads.
        decoder: Decoder test C at the corpus's length, None for data without a decoder.
        decoder_raw: And of predictions as they come.
        mrr: Reciprocal rank of the own target.
        scatter: Factor on all noise between seeds: small where all predictions are one vector.
        params: Of the arm.
    """

    cos: float = 0.62
    index: float = 0.25
    diversity: float = 1.0
    margin: float = 0.12
    mu_err: float = 0.03
    sigma_err: float = 0.04
    decoder: float | None = 0.8
    decoder_raw: float = 0.8
    mrr: float = 0.3
    scatter: float = 1.0
    params: Mapping[str, Any] = field(default_factory=dict)


NEARNESS = Objective("valid/cos", "max")
COLLAPSED = VectorTruth(MEAN_COS, 0.79, 0.0, 0.02, 0.02, 0.99, decoder=0.3, scatter=0.005)
AT_EVERY_BOUND = VectorTruth(BEST_COS, 0.718, 0.1, BEST_COS - COPIED_COS, 0.1, 0.1, decoder=0.5)


def logistic(share: float, step: float) -> float:
    """Return a share moved by ``step`` in log odds; 0 and 1 stay."""
    return share if share in (0.0, 1.0) else 1 / (1 + (1 - share) / share * math.exp(-step))


def recorded(truth: VectorTruth, z: Any, late: float) -> dict[str, float]:
    """Return the metrics of one epoch; ``z`` has a standard normal draw per metric, ``late`` runs from 0 to 1."""
    cos = truth.cos + 0.004 * z[0] - 0.1 * (1 - late)
    mu, sigma = truth.mu_err * math.exp(0.08 * z[1]), truth.sigma_err * math.exp(0.08 * z[2])
    found = {
        "valid/cos": cos,
        "valid/skill": (cos - BEST_COS) / (1 - BEST_COS),
        "valid/margin_next_last": truth.margin + 0.006 * z[3],
        "valid/collapse_index": truth.index + 0.008 * z[4],
        "valid/output_diversity": logistic(truth.diversity, 0.2 * z[5]),
        "valid/pred_var_ratio": 0.5,
        "valid/moment_mu_err": mu,
        "valid/moment_sigma_err": sigma,
        "valid/moment_err": max(mu, sigma),
        "valid/mrr": truth.mrr + 0.01 * z[6],
        "valid/centred_cosine": 0.1 + 0.004 * z[6],
        "valid/r_at_1": 0.2 + 0.01 * z[7],
        "valid/mse": 0.003 * math.exp(0.02 * z[0] - 5 * (truth.cos - 0.6)) * (1.3 - 0.3 * late),
        "train/mse": 0.003 - 0.001 * late,
        "train/infonce": 4.0 - late,
        "grad_share/mse": 0.2,
        "grad_share/infonce": 0.8,
        "grad_norm": 1.0,
    }
    if truth.decoder is not None:
        found |= {"valid/decoder_cos_scaled": truth.decoder + 0.01 * z[8]}
        found |= {"valid/decoder_cos": truth.decoder_raw + 0.01 * z[8]}
        found |= {"valid/word_precision": 0.4, "valid/word_recall": 0.5}
    return found


@dataclass
class PlantedVectors(Planting):
    """A sweep over arms, backbones and weights with known truth.

    Args:
        truths: Truth by arm, or by the values of all axes: that of the arms first, then grid, then search.
        arms: Settings by the name of the arm; those of the truths where they are keyed by arm.
        grid: Axes and their values.
        search: Searched parameters with their bounds.
        fixed: Parameters that all cells share.
        baselines: Of the sweep.
        noise: Factor on the noise between seeds.
        shared: Factor on what all cells of one seed share, of the cosine.
        finalists: Points that a search runs on all seeds: the first ones.
        objective: Of a sweep that searches nothing.
        guarded: Cells whose trials a guard on diversity ends, by the text of the cell.
        broken_seeds: Seeds that it ends.
        states: State by (cell, seed), complete elsewhere.
        scatter: The law of the noise.
    """

    truths: Mapping[Any, VectorTruth]
    arms: Mapping[str, Mapping[str, Any]] | None = None
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    search: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=lambda: BASELINES)
    seeds: tuple[int, ...] = (1, 2, 3)
    epochs: int = 2
    noise: float = 1.0
    shared: float = 1.0
    finalists: int = 3
    objective: Objective = NEARNESS
    guarded: tuple[str, ...] = ()
    broken_seeds: tuple[int, ...] = (1, 2, 3)
    states: Mapping[tuple[str, int], str] = field(default_factory=dict)
    scatter: Scatter = EVEN
    random_seed: int = 0

    @property
    def study(self) -> Study:
        """Return the study whose records these are."""
        own = {} if self.grid or self.search else {name: dict(t.params) for name, t in self.truths.items()}
        objectives = (Objective("valid/skill", "max"), Objective("valid/moment_err", "min"))
        return Study(
            name="lvm_search" if self.search else "lvm_losses" if self.grid else "lvm_fix",
            family="lvm",
            question="Which losses keep a next-vector model from saying the mean of everything?",
            grid=self.grid,
            arms=own if self.arms is None else self.arms,
            search=self.search,
            fixed=self.fixed,
            seeds=self.seeds,
            epochs=self.epochs,
            objective=objectives[0] if self.search else self.objective,
            objectives=objectives if self.search else (),
            finalists=self.finalists,
            analysis="lvm",
        )

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""
        study = self.study
        decided = {*study.grid, *study.search, *(name for params in study.arms.values() for name in params)}
        named = ("name", "family", "question", "epochs", "analysis", "finalists")
        objectives = [vars(objective) for objective in (study.objectives or (study.objective,))]
        return {
            "schema_version": 1,
            "sweep_id": "1f3c0de001",
            "study": {
                **{name: getattr(study, name) for name in named},
                "grid": {name: list(values) for name, values in study.grid.items()},
                "arms": {name: dict(params) for name, params in study.arms.items()},
                "search": {
                    name: {"low": low, "high": high, "log": True, "kind": "float"}
                    for name, (low, high) in study.search.items()
                },
                "fixed": dict(study.fixed),
                "seeds": list(self.seeds),
                "objective": objectives[0],
                "objectives": objectives,
                "guards": [GUARD] if self.guarded else [],
            },
            "axes": axes_of(study, SPACE),
            "metrics": MEANINGS,
            "baselines": dict(self.baselines),
            "params": {n: v for n, v in SPACE.resolve({}).items() if n not in decided} | dict(self.fixed),
            "provenance": {"git_sha": "374c6b3"},
        }

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""
        rng = np.random.default_rng(self.random_seed)
        axes = [*self.study.grid_axes, *self.search]
        common = {seed: self.shared * rng.normal() for seed in self.seeds}
        alike = self.scatter.common(rng, self.seeds, 9)
        for place, (key, truth) in enumerate(self.truths.items()):
            swept = dict(zip(axes, key if isinstance(key, tuple) else (key,), strict=True))
            alone = bool(self.search) and place >= self.finalists
            for seed in self.seeds[:1] if alone else self.seeds:
                z = self.scatter.own(rng, swept, 9) + alike[seed]
                z[0] += common[seed]
                self.write_trial(writer, swept, seed, truth, self.noise * truth.scatter * z)

    def write_trial(
        self, writer: Recorder, swept: dict[str, Any], seed: int, truth: VectorTruth, z: Any
    ) -> None:
        """Record one trial, epoch by epoch."""
        cell = ",".join(f"{name}={value}" for name, value in swept.items())
        broken = cell in self.guarded and seed in self.broken_seeds
        row = TrialRow(f"{cell}#{seed}", cell, swept, seed, wall_s=8.0)
        row.guard, row.guard_epoch = (GUARD_TEXT, 1) if broken else (None, None)
        writer.record_trial(row)
        for epoch in range(1, (1 if broken else self.epochs) + 1):
            values = recorded(truth, z, epoch / self.epochs)
            writer.record_epoch(EpochRow(row.trial_id, epoch, values, 1000 * epoch))
        row.state = self.states.get((cell, seed), "collapsed" if broken else "complete")
        writer.record_trial(row)


MIXES: Mapping[str, Mapping[str, Any]] = {
    "mse": {"mse_weight": 1.0, "infonce_weight": 0.0},
    "infonce": {"mse_weight": 0.0, "infonce_weight": 0.1},
    "both": {"mse_weight": 1.0, "infonce_weight": 0.1},
}


def mix_truths(
    cos: Mapping[str, float] | None = None,
    backbone: Mapping[str, float] | None = None,
    base: VectorTruth | None = None,
) -> dict[tuple[str, str], VectorTruth]:
    """Return the truth of every arm with every backbone.

    Args:
        cos: What a loss mix adds to the cosine.
        backbone: What a backbone adds to it.
        base: What all cells share, a healthy model when None.
    """
    base, cos, backbone = base or VectorTruth(), cos or {}, backbone or {}
    return {
        (mix, kind): replace(base, cos=base.cos + cos.get(mix, 0.0) + backbone.get(kind, 0.0))
        for mix, kind in itertools.product(MIXES, BACKBONES)
    }


NOTE: Mapping[str, Any] = {
    "head": "single_normalised",
    "mse_weight": 1.0,
    "infonce_weight": 0.0,
    "moment_weight": 0.0,
    "variance_weight": 0.0,
    "hard_negatives": False,
    "max_per_doc": 0,
}
CHANGES: Mapping[str, tuple[str, Any]] = {
    "split_head": ("head", "split"),
    "infonce": ("infonce_weight", 0.1),
    "moment": ("moment_weight", 1e-3),
    "variance": ("variance_weight", 1e-3),
    "hard_negatives": ("hard_negatives", True),
    "diverse_batches": ("max_per_doc", 8),
}


def ladder_truths(start: VectorTruth, **gains: Mapping[str, float]) -> dict[str, VectorTruth]:
    """Return the rungs of the ladder.

    Args:
        start: Truth of the first arm.
        gains: Means by the name of the rung from which on they hold.
    """
    truth, params = replace(start, params=dict(NOTE)), dict(NOTE)
    found = {"note": truth}
    for name, (parameter, value) in CHANGES.items():
        params = {**params, parameter: value}
        truth = replace(truth, **gains.get(name, {}), params=params)
        found[name] = truth
    return found


ALIVE: Mapping[str, float] = {
    "cos": 0.58,
    "index": 0.3,
    "diversity": 1.0,
    "margin": 0.1,
    "sigma_err": 0.5,
    "decoder": 0.7,
    "scatter": 1.0,
}
GAINS: Mapping[str, Mapping[str, float]] = {
    "infonce": ALIVE,
    "moment": {"sigma_err": 0.04},
    "hard_negatives": {"cos": 0.64},
}
