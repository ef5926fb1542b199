"""The planted settings: for every study its truths, and the ways in which noise and losses make them hard to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from search_spaces.lvm import BACKBONES
from tests.analysis.planted import Planted
from tests.analysis.planted_arms import ARMS, BASELINE, REMEDY, PlantedArms
from tests.analysis.planted_encoders import (
    GRID,
    WEIGHTS,
    PlantedEncoders,
    grid_truths,
    health_truths,
)
from tests.analysis.planted_lvm import (
    ALIVE,
    COLLAPSED,
    GAINS,
    MIXES,
    PlantedVectors,
    VectorTruth,
    ladder_truths,
    mix_truths,
)
from tests.analysis.planted_search import PlantedSearch
from tests.analysis.scatter import Scatter, Swept
from tests.verdicts.memory import PlantedSweep
from tests.verdicts.planted_weights import PlantedWeights, by_weight

WIDE = 4.0  # how far spreads lie apart
EPOCHS = 2
COSTLY = {"recon_weight", "encoder_variance", "encoder_health", "lvm", "search"}


@dataclass(frozen=True)
class Setting:
    """One planted truth under one kind of noise.

    Args:
        study: The analysis that is tested.
        name: What is planted, unique within the study.
        make: The maker of its records.
        given: What it is made from; ``noise`` and ``random_seed`` are set anew for every simulation.
        noise: Size of the noise.
    """

    study: str
    name: str
    make: Callable[..., PlantedSweep]
    given: Mapping[str, Any] = field(default_factory=dict)
    noise: float = 1.0

    @property
    def costly(self) -> bool:
        """Whether a sweep takes half a second, because its study has dozens of findings."""
        return self.study in COSTLY

    @property
    def id(self) -> str:
        """Name among all settings."""
        return f"{self.study}: {self.name}"

    def simulated(self, seed: int) -> PlantedSweep:
        """Return one simulated sweep."""
        return self.make(**self.given, noise=self.noise, random_seed=seed)

    def nearly_noiseless(self, size: float, seed: int) -> PlantedSweep:
        """Return the sweep with noise of the relative ``size``, alike everywhere: what it says is the truth."""
        given = {name: value for name, value in self.given.items() if name != "scatter"}
        given |= {name: quiet for name, quiet in QUIET.items() if name in given}
        return self.make(**given, noise=size * self.noise, random_seed=seed)


QUIET = {"shared": 0.0, "n_finalists": 10**6}  # no seed effects; every point of a search on all seeds


def globals_truth(effect: float) -> dict[str, Any]:
    """Return what beta and the codebook change: every step of beta and the step to vq by the factor 1 + effect."""
    step = 1 + effect
    return {
        "tokens_by_beta": {0.0: 1.0, 1.0: step, 10.0: step**2},
        "globals_by_beta": {0.0: 1.0, 1.0: 1 / step, 10.0: 1 / step**2},
        "tokens_by_latent": {"none": 1.0, "linear": 1.0, "vq": step},
        "globals_by_latent": {"none": 1.0, "linear": 1.0, "vq": step},
        "shared": 0.0,
        "epochs": EPOCHS,
    }


def by_level(name: str, *levels: Any) -> Callable[[Swept], float]:
    """Return a spread that is `WIDE` times the usual one at these levels of an axis."""
    return lambda swept: WIDE if swept[name] in levels else 1.0


def by_value(name: str, factors: Mapping[Any, float]) -> Callable[[Swept], float]:
    """Return a spread by the level of an axis."""
    return lambda swept: factors[swept[name]]


def of_cells(*cells: Mapping[str, Any]) -> Callable[[Swept], float]:
    """Return a spread that is `WIDE` times the usual one in these cells."""
    return lambda swept: WIDE if any(cell.items() <= swept.items() for cell in cells) else 1.0


def named(
    study: str,
    make: Any,
    base: Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
    noise: float = 1.0,
) -> list[Setting]:
    """Return the settings of a study: its base with every variant."""
    return [Setting(study, name, make, {**base, **changes}, noise) for name, changes in variants.items()]


def globals_settings() -> list[Setting]:
    """Return effects by noise, then every disturbance with no effect and with one of 20 %."""
    found = []
    for effect in (0.0, 0.05, 0.2, 1.0):
        for noise in (0.02, 0.05, 0.2):
            name = f"effect {effect:.0%}, noise {noise:.0%}"
            found.append(Setting("globals_heads", name, Planted, globals_truth(effect), noise))
    beta, latent = "globals_beta", "latent_space"
    first, second = {latent: "none", beta: 0.0}, {latent: "vq", beta: 1.0}
    gone = {("linear", 1.0, seed): "diverged" for seed in (1, 2, 3)}
    variants: dict[str, dict[str, Any]] = {
        "spread 1:1:4 by beta": {"scatter": Scatter(spread=by_level(beta, 10.0))},
        "spread 1:2:4 by beta": {"scatter": Scatter(spread=by_value(beta, {0.0: 1.0, 1.0: 2.0, 10.0: 4.0}))},
        "spread 1:1:4 by latent space": {"scatter": Scatter(spread=by_level(latent, "vq"))},
        "spread 4 in one cell": {"scatter": Scatter(spread=of_cells(first))},
        "spread 4 in two cells": {"scatter": Scatter(spread=of_cells(first, second))},
        "t with 3 df": {"scatter": Scatter(tails=3.0)},
        "seed effects 5 %": {"shared": 0.05},
        "seed effects 20 %": {"shared": 0.2},
        "one trial diverged": {"states": {("linear", 1.0, 2): "diverged"}},
        "one trial missing": {"missing": (("vq", 0.0, 1),)},
        "one cell diverged": {"states": gone},
        "2 seeds": {"seeds": (1, 2)},
        "5 seeds": {"seeds": tuple(range(1, 6))},
        "10 seeds": {"seeds": tuple(range(1, 11))},
    }
    without = ("spread 1:1:4 by beta", "spread 4 in two cells", "t with 3 df", "2 seeds")
    for effect, chosen in ((0.0, without), (0.2, tuple(variants))):
        given = {f"effect {effect:.0%}, noise 5%, {name}": variants[name] for name in chosen}
        found += named("globals_heads", Planted, globals_truth(effect), given, 0.05)
    return found


def grid_settings() -> list[Setting]:
    """Return the same tables for a study without an analysis of its own."""
    found = []
    for effect in (0.0, 0.2):
        base = globals_truth(effect)
        study = {**Planted(**base).sweep()["study"], "analysis": "grid"}
        base["overrides"] = {"study": study}
        wide = Scatter(spread=by_level("globals_beta", 10.0))
        variants: dict[str, dict[str, Any]] = {"plain": {}, "spread 1:1:4 by beta": {"scatter": wide}}
        variants["t with 3 df"] = {"scatter": Scatter(tails=3.0)}
        found += named(
            "grid",
            Planted,
            base,
            {f"effect {effect:.0%}, noise 5%, {n}": v for n, v in variants.items()},
            0.05,
        )
    return found


def disturbances(
    level: Callable[[Swept], float], cells: Callable[[Swept], float], keys: list[Any]
) -> dict[str, dict[str, Any]]:
    """Return what a study is put through besides its plain form.

    Args:
        level: Spreads that differ between levels of an axis.
        cells: Spreads that differ between cells.
        keys: Two cells as the maker names them; a trial of the first diverges, all trials of the second.
    """
    first, second = ((key if isinstance(key, tuple) else (key,)) for key in keys)
    return {
        "plain": {},
        "spread 4 by level": {"scatter": Scatter(spread=level)},
        "spread 4 by cell": {"scatter": Scatter(spread=cells)},
        "t with 3 df": {"scatter": Scatter(tails=3.0)},
        "seed effects": {"scatter": Scatter(shared=2.0)},
        "one trial diverged": {"states": {(*first, 2): "diverged"}},
        "one cell diverged": {"states": {(*second, seed): "diverged" for seed in (1, 2, 3)}},
        "2 seeds": {"seeds": (1, 2)},
        "5 seeds": {"seeds": tuple(range(1, 6))},
    }


def arm_settings() -> list[Setting]:
    """Return the arms of the reconstruction-weight study, and eight arms alike."""
    half = by_level("arm", *list(ARMS)[::2])
    variants = disturbances(half, by_level("arm", "sigmoid_nll"), ["baseline", "option_1"])
    plain = named("recon_weight", PlantedArms, {"arms": ARMS, "epochs": EPOCHS}, variants)
    alike = {"arms": {"baseline": BASELINE, **{f"arm_{i}": REMEDY for i in range(7)}}, "epochs": EPOCHS}
    wide = by_level("arm", "arm_1", "arm_4")
    null = {"arms alike": {}, "arms alike, spread 4 in two": {"scatter": Scatter(spread=wide)}}
    return plain + named("recon_weight", PlantedArms, alike, null)


def weight_settings() -> list[Setting]:
    """Return the KL weights of mixture autoencoders, with and without effect."""
    level, cell = by_level("kl_weight", 10.0), of_cells({"kl_weight": 1.0, "kl_schedule": "linear"})
    keys = [(1.0, "constant"), (10.0, "linear")]
    flat = {
        "kl": by_weight(0.5, 0.5, 0.5),
        "nll": by_weight(-1.0, -1.0, -1.0),
        "mse": by_weight(0.01, 0.01, 0.01),
    }
    variants = disturbances(level, cell, keys)
    without = {f"no effect, {name}": variants[name] for name in ("plain", "spread 4 by level")}
    return [
        *named("kl_weight", PlantedWeights, {}, variants),
        *named("kl_weight", PlantedWeights, flat, without),
    ]


def encoder_settings() -> list[Setting]:
    """Return both encoder studies: a grid with and without effects, arms that are healthy or have one cause."""
    fixed = {"encoder_type": "hybrid_variational"}
    base: dict[str, Any] = {"grid": GRID, "fixed": fixed, "analysis": "encoder_variance", "epochs": EPOCHS}
    falling = dict(zip(WEIGHTS, (0.3, 0.1, 0.05, 0.02), strict=True))
    rising = dict(zip(WEIGHTS, (0.02, 0.05, 0.1, 0.3), strict=True))
    level = by_level("kl_weight", WEIGHTS[-1])
    variants = disturbances(
        level, of_cells({"kl_weight": 0.0, "latent_dim": 32}), [(1e-4, 32, 2), (1e-2, 128, 4)]
    )
    same = grid_truths(dict.fromkeys(WEIGHTS, 0.3), dict.fromkeys(WEIGHTS, 0.1))
    moved = grid_truths(falling, rising, 0.5, 0.3)
    found = named("encoder_variance", PlantedEncoders, {**base, "truths": moved}, variants)
    found += named("encoder_variance", PlantedEncoders, {**base, "truths": same}, {"no effect": {}})
    half = by_level("arm", "control", "sf1_lr10", "sf1_standard")
    health = disturbances(half, by_level("arm", "sf1"), ["sf2", "sf1_freeze"])
    cause: dict[str, Any] = {"truths": health_truths("H1"), "epochs": EPOCHS}
    found += named("encoder_health", PlantedEncoders, cause, health)
    others = {f"cause {name}": {"truths": health_truths(name)} for name in ("H2", "H3", "H4")}
    return found + named(
        "encoder_health", PlantedEncoders, cause, {"healthy": {"truths": health_truths()}, **others}
    )


def vector_settings() -> list[Setting]:
    """Return next-vector models: loss mixes over backbones with and without effect, and the ladder."""
    mixes: dict[str, Any] = {"arms": MIXES, "grid": {"backbone": BACKBONES}, "shared": 0.0}
    moved = mix_truths({"infonce": -0.06}, {BACKBONES[0]: 0.06})
    level = by_level("arm", "infonce")
    cell = of_cells({"arm": "mse", "backbone": BACKBONES[1]}, {"arm": "both", "backbone": BACKBONES[0]})
    first, second = (f"arm=mse,backbone={BACKBONES[2]}", f"arm=infonce,backbone={BACKBONES[3]}")
    variants = disturbances(level, cell, [first, second])
    found = named("lvm", PlantedVectors, {**mixes, "truths": moved}, variants)
    alike = {"no effect": {}, "no effect, spread 4 by level": {"scatter": Scatter(spread=level)}}
    found += named("lvm", PlantedVectors, {**mixes, "truths": mix_truths()}, alike)
    ladder = {"truths": ladder_truths(replace(COLLAPSED, scatter=1.0), **GAINS), "shared": 0.0}
    rungs = {"truths": ladder_truths(VectorTruth(**ALIVE)), "shared": 0.0}
    climbed = Setting("lvm", "ladder with gains", PlantedVectors, ladder)
    return [*found, climbed, Setting("lvm", "ladder without gains", PlantedVectors, rungs)]


def search_settings() -> list[Setting]:
    """Return searches at two points of the grid: alike, and one better than the other."""
    places = (-3.0, -3.1, -4.4, -1.2, -1.9, -4.9, -2.5, -3.6)
    points = tuple({"kl_weight": 10**place, "lr": 1e-3} for place in places)
    base: dict[str, Any] = {"points": points, "epochs": EPOCHS, "n_finalists": 3}
    variants: dict[str, dict[str, Any]] = {
        "arms alike": {"arms": {"literal": -3.0, "bounded": -3.0}},
        "one arm better": {"arms": {"literal": 0.0, "bounded": -3.0}},
        "one arm better, spread 4 in it": {
            "arms": {"literal": 0.0, "bounded": -3.0},
            "scatter": Scatter(spread=by_level("arm", "bounded")),
        },
    }
    return named("search", PlantedSearch, base, variants, 0.02)


def all_settings() -> list[Setting]:
    """Return every setting, study by study."""
    return [
        *globals_settings(),
        *grid_settings(),
        *weight_settings(),
        *arm_settings(),
        *encoder_settings(),
        *vector_settings(),
        *search_settings(),
    ]
