"""Planted sweeps of the two encoder studies: cells whose encoder, halting and success are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces.etrm import SPACE
from sweeps.records import EpochRow, TrialRow
from tests.analysis.scatter import EVEN, Planting, Recorder, Scatter
from trainables.etrm.metrics import METRICS

MEANINGS = {
    name: {"mode": m.mode, "positive": m.positive, "meaning": m.meaning, "unit": m.unit}
    for name, m in METRICS.items()
}
DETACHED_RULE = {
    "metric": "frac_params_with_grad/encoder",
    "below": 1.0,
    "above": None,
    "patience": 2,
    "grace": 0,
}
DETACHED_TEXT = "frac_params_with_grad/encoder < 1 for 2 epochs"
COLLAPSE_TEXT = "valid/encoder_cross_sample_ratio < 0.05 for 5 epochs"


@dataclass(frozen=True)
class EncoderTruth:
    """True means of one cell; seeds add noise on the scale on which each metric lives.

    Args:
        cross: Variance of the context between puzzles over its mean square.
        within: Variance between two draws of one puzzle; 0 for a deterministic encoder.
        rms: Mean square of the context, so that the signal is ``cross * rms`` and the noise ``within / 2``.
        ratio: The encoder's share of the gradient's norm.
        reached: Share of the encoder's parameters with a gradient.
        scale: Root mean square of the context over that of the tokens.
        flip: Share of cells that change under another puzzle's context.
        copies: Share of predictions that are the query.
        steps: Mean steps at halt in training, of 4; below 1 what an average over steps without an end gives, None
            where no puzzle has ended.
        exact: Exact accuracy on unseen puzzles, the objective.
        trained: Exact accuracy on training samples.
    """

    cross: float = 0.3
    within: float = 0.0
    rms: float = 1.0
    ratio: float = 0.3
    reached: float = 1.0
    scale: float = 1.0
    flip: float = 0.3
    copies: float = 0.1
    steps: float | None = 2.5
    exact: float = 0.3
    trained: float = 0.6
    params: Mapping[str, Any] = field(default_factory=dict)


def logistic(share: float, step: float) -> float:
    """Return a share moved by ``step`` in log odds; 0 and 1 stay."""
    return share if share in (0.0, 1.0) else 1 / (1 + (1 - share) / share * math.exp(-step))


def recorded(truth: EncoderTruth, z: Any, late: float) -> dict[str, float]:
    """Return the metrics of one epoch; ``z`` has a standard normal draw per metric, ``late`` runs from 0 to 1."""
    cross = logistic(truth.cross, 0.15 * z[0])
    within = truth.within * math.exp(0.15 * z[1])
    signal, noise = cross * truth.rms, truth.within / 2 * math.exp(0.15 * z[2])
    found = {
        "valid/exact_accuracy": logistic(truth.exact, 0.1 * z[4]) * (0.5 + 0.5 * late),
        "train_eval/exact_accuracy": logistic(truth.trained, 0.1 * z[5]) * (0.5 + 0.5 * late),
        "valid/encoder_cross_sample_ratio": cross,
        "valid/encoder_cross_sample_var": signal,
        "train/encoder_within_puzzle_var": within,
        "valid/signal_var": signal,
        "valid/noise_var": noise,
        "valid/context_to_token_rms": truth.scale * math.exp(0.08 * z[6]),
        "valid/ctx_flip": logistic(truth.flip, 0.15 * z[7]),
        "valid/copy_rate": logistic(truth.copies, 0.15 * z[8]),
        "valid/rankme": 8.0 * math.exp(0.05 * z[0]),
        "valid/lm": 1.5 - late * math.exp(0.03 * z[9]),
        "grad_ratio/encoder": logistic(truth.ratio, 0.15 * z[10]) * (1 - 0.1 * late),
        "grad_ratio/inner": 0.9,
        "grad_norm": 1.0,
        "frac_params_with_grad/encoder": truth.reached,
        "grad_share/lm": 0.9,
        "grad_share/halt": 0.09,
        "grad_share/kl": 0.01,
    }
    if truth.steps is not None:
        share = (truth.steps - 1) / 3
        steps = 1 + 3 * logistic(share, 0.12 * z[3]) if share >= 0 else truth.steps
        found |= {"train/steps": steps, "valid/steps": steps}
    if noise > 0:
        found["valid/snr"] = signal / noise
    return found


@dataclass
class PlantedEncoders(Planting):
    """A sweep over arms, or over a grid, with known truth.

    Args:
        truths: Truth by arm, or by point of the grid: values in the order of its axes.
        grid: Axes and their values; empty for arms.
        fixed: Parameters that all cells share.
        analysis: Which of the two studies.
        noise: Standard deviation between seeds, relative to what is usual for each metric.
        guards: Rule by arm that ended its trials, all as ``collapsed``.
        broken_seeds: Seeds that such a rule ended; all when empty.
        states: State by (key of the truth, seed), complete elsewhere.
        scatter: The law of the noise.
        twins: Arms that get the draws of another one, seed by seed: with its truth, they have its numbers.
    """

    truths: Mapping[Any, EncoderTruth]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    analysis: str = "encoder_health"
    seeds: tuple[int, ...] = (1, 2, 3)
    epochs: int = 6
    noise: float = 1.0
    guards: Mapping[str, str] = field(default_factory=dict)
    broken_seeds: tuple[int, ...] = ()
    twins: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[tuple[Any, int], str] = field(default_factory=dict)
    scatter: Scatter = EVEN
    random_seed: int = 0

    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""
        names = [str(name) for name in self.truths]
        arms = {} if self.grid else {name: dict(self.truths[name].params) for name in names}
        axes: dict[str, Any] = {
            "arm": {"values": names, "scale": "category", "simplicity": list(range(len(names)))}
        }
        if self.grid:
            axes = {
                name: {
                    "values": list(v),
                    "scale": "log",
                    "simplicity": list(v),
                    "weight": name == "kl_weight",
                }
                for name, v in self.grid.items()
            }
        decided = {*axes, *(name for params in arms.values() for name in params)}
        return {
            "schema_version": 1,
            "sweep_id": "e7c0de0001",
            "study": {
                "name": self.analysis,
                "family": "etrm",
                "question": "Is the encoder diverse, stochastic and used?",
                "grid": {name: list(values) for name, values in self.grid.items()},
                "arms": arms,
                "fixed": dict(self.fixed),
                "seeds": list(self.seeds),
                "epochs": self.epochs,
                "objective": {"metric": "valid/exact_accuracy", "mode": "max"},
                "guards": [DETACHED_RULE] if self.guards else [],
                "analysis": self.analysis,
            },
            "axes": axes,
            "metrics": MEANINGS,
            "baselines": {},
            "params": {n: v for n, v in SPACE.resolve({}).items() if n not in decided} | dict(self.fixed),
            "provenance": {"git_sha": "f99b1bc"},
        }

    def fill(self, writer: Recorder) -> None:
        """Record every trial."""
        rng = np.random.default_rng(self.random_seed)
        common = self.scatter.common(rng, self.seeds, 11)
        drawn: dict[Any, Any] = {}
        for key, truth in self.truths.items():
            swept = dict(zip(self.grid, key, strict=True)) if self.grid else {"arm": key}
            for seed in self.seeds:
                z = drawn[key, seed] = self.noise * (self.scatter.own(rng, swept, 11) + common[seed])
                self.write_trial(writer, swept, seed, truth, drawn.get((self.twins.get(key), seed), z))

    def write_trial(
        self, writer: Recorder, swept: dict[str, Any], seed: int, truth: EncoderTruth, z: Any
    ) -> None:
        """Record one trial, epoch by epoch."""
        cell = ",".join(f"{name}={value}" for name, value in swept.items())
        rule = self.guards.get(str(swept.get("arm")))
        broken = rule is not None and seed in (self.broken_seeds or self.seeds)
        row = TrialRow(f"{cell}#{seed}", cell, swept, seed, wall_s=8.0)
        row.guard, row.guard_epoch = (rule, 2) if broken else (None, None)
        writer.record_trial(row)
        for epoch in range(1, (2 if broken else self.epochs) + 1):
            values = recorded(truth, z, epoch / self.epochs)
            writer.record_epoch(EpochRow(row.trial_id, epoch, values, 1000 * epoch))
        key = tuple(swept.values()) if self.grid else swept["arm"]
        row.state = self.states.get((key, seed), "collapsed" if broken else "complete")
        writer.record_trial(row)


WEIGHTS, LATENTS, DEPTHS = (0.0, 1e-4, 1e-3, 1e-2), (32, 128), (2, 4)
GRID = {"kl_weight": WEIGHTS, "latent_dim": LATENTS, "encoder_num_layers": DEPTHS}


def grid_truths(
    cross: Mapping[float, float],
    within: Mapping[float, float],
    latent: float = 0.0,
    depth: float = 0.0,
) -> dict[tuple[Any, ...], EncoderTruth]:
    """Return the truth of every cell of the grid.

    Args:
        cross: Cross ratio by weight.
        within: Variance within a puzzle by weight.
        latent: What the larger latent adds to the cross ratio, in log odds.
        depth: What the deeper encoder adds.
    """
    found = {}
    for weight, dim, layers in itertools.product(WEIGHTS, LATENTS, DEPTHS):
        step = latent * (dim == max(LATENTS)) + depth * (layers == max(DEPTHS))
        found[weight, dim, layers] = EncoderTruth(
            cross=logistic(cross[weight], step), within=within[weight], exact=logistic(0.3, 0.5 * step)
        )
    return found


BAD = {"exact": 0.05, "trained": 0.1}
SF1 = {
    "encoder_type": "hybrid_standard",
    "encoder_num_layers": 4,
    "halt_exploration_prob": 0.5,
    "batch_size": 16,
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "sf1_lr10": {"encoder_lr_scale": 10.0},
    "sf1_freeze": {"freeze_decoder_steps": 1000},
    "sf1_standard": {"encoder_type": "standard"},
    "sf1_more_exploration": {"halt_exploration_prob": 0.9},
    "sf1_large_batch": {"batch_size": 64},
    "sf1_rescaled": {"context_scale": 0.1},
}
MENDS = {"H1": "sf1_lr10", "H2": "sf1_rescaled", "H3": "sf1_standard", "H4": "sf1_more_exploration"}
SYMPTOMS: Mapping[str, Mapping[str, float]] = {
    "H1": {"ratio": 0.02},
    "H2": {"scale": 40.0},
    "H3": {"cross": 0.01},
    "H4": {"steps": 1.02},
}


def health_truths(cause: str | None = None, **changed: EncoderTruth) -> dict[str, EncoderTruth]:
    """Return the arms of the health study, all healthy, or with one true cause that one change mends.

    Args:
        cause: ``H1`` to ``H4``, or None.
        changed: Arms that are set anew.
    """
    ill: dict[str, Any] = {**BAD, **SYMPTOMS[cause]} if cause else {}
    found = {
        "control": EncoderTruth(params={"encoder_type": "standard", "batch_size": 32}),
        "sf1": EncoderTruth(**ill, params=SF1),
        "sf2": EncoderTruth(**ill, params={**SF1, "halt_exploration_prob": 0.7}),
    }
    for name, change in VARIANTS.items():
        mended = cause is not None and MENDS[cause] == name
        found[name] = EncoderTruth(**({} if mended else ill), params={**SF1, **change})
    return {**found, **changed}
