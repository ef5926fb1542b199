"""Makes collision events: Pythia 8 for the physics, FastJet for the jets, a few cuts for the detector.

Everything that shapes an event is a constant, in `PROCESSES` here or in `detector.RECIPE`, and both go into
the table's metadata: the same versions, number and seed give the same events. Pythia and FastJet are
imported only when events are made, so a machine that trains needs neither.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from search_spaces.errors import RefusedError
from trainables.globals_autoencoder.detector import (
    RECIPE,
    Collision,
    Particles,
    missing_momentum,
    reconstruct,
    seen,
)
from trainables.globals_autoencoder.events import EventBuilder, PhysicsObject

_LEPTONIC_W = ("24:onMode = off", "24:onIfAny = 11 13 15")
_LEPTONIC_Z = ("23:onMode = off", "23:onIfAny = 11 12 13 14 15 16")
_PURE_Z = "WeakZ0:gmZmode = 2"


@dataclass(frozen=True)
class Process:
    """One class label: its share of the events and the Pythia settings that make it."""

    share: float
    settings: tuple[str, ...]


PROCESSES: Mapping[str, Process] = {
    "ttbar": Process(0.50, ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")),
    "single_top": Process(0.10, ("Top:qq2tq(t:W) = on", "Top:ffbar2tqbar(s:W) = on")),
    "w_jets": Process(
        0.12,
        (
            "WeakBosonAndParton:qqbar2Wg = on",
            "WeakBosonAndParton:qg2Wq = on",
            "PhaseSpace:pTHatMin = 30.",
            *_LEPTONIC_W,
        ),
    ),
    "z_jets": Process(
        0.08,
        (
            "WeakBosonAndParton:qqbar2gmZg = on",
            "WeakBosonAndParton:qg2gmZq = on",
            "PhaseSpace:pTHatMin = 30.",
            _PURE_Z,
            *_LEPTONIC_Z,
        ),
    ),
    "diboson": Process(
        0.08,
        (
            "WeakDoubleBoson:ffbar2gmZgmZ = on",
            "WeakDoubleBoson:ffbar2ZW = on",
            "WeakDoubleBoson:ffbar2WW = on",
            _PURE_Z,
        ),
    ),
    "tth": Process(0.05, ("HiggsSM:gg2Httbar = on", "HiggsSM:qqbar2Httbar = on")),
    "w_photon": Process(
        0.03, ("WeakBosonAndParton:ffbar2Wgm = on", "PhaseSpace:pTHatMin = 30.", *_LEPTONIC_W)
    ),
    "photon_jets": Process(
        0.04,
        (
            "PromptPhoton:qg2qgamma = on",
            "PromptPhoton:qqbar2ggamma = on",
            "PhaseSpace:pTHatMin = 50.",
        ),
    ),
}
"""The mix. Shares are chosen so that every class is learnable; they are not cross-sections."""

# Multi-parton interactions are off: they add soft activity that the cuts mostly remove, at most of the cost.
COMMON_SETTINGS = ("Print:quiet = on", "PartonLevel:MPI = off", "Random:setSeed = on")
METADATA_KEY = b"events_recipe"
_BATCH = 200
_PYTHIA_SEEDS = 900_000_000
Progress = Callable[[int, int], None]


def generate_events(
    n_events: int, seed: int, *, mix: Mapping[str, float] | None = None, progress: Progress | None = None
) -> pa.Table:
    """Return simulated events in a random order, with their recipe as JSON in the schema metadata.

    Multi-parton interactions are off, events with fewer than 2 objects are made anew, so the mix holds for
    the events returned. Every weight is 1.

    Args:
        n_events: How many, at least 1.
        seed: From 0 to 2^31 - 1; the same number, seed and versions give the same table.
        mix: Share of each process by name, positive; None for the shares in `PROCESSES`.
        progress: Called after every hundredth event with the numbers of events made and asked for.

    Raises:
        RefusedError: If pythia8mc or fastjet is missing, a number is out of range, or a process is unknown.
    """
    shares = {name: process.share for name, process in PROCESSES.items()} if mix is None else mix
    _check_request(n_events, seed, shares)
    _event_packages()
    builder = EventBuilder()
    for name, wanted in process_counts(n_events, shares).items():
        own_seeds = np.random.SeedSequence([seed, list(PROCESSES).index(name)])
        for met_gev, met_phi, objects in islice(_events(name, own_seeds), wanted):
            builder.add(name, 1.0, met_gev, met_phi, objects)
            if progress is not None and len(builder) % 100 == 0:
                progress(len(builder), n_events)
    order = np.random.default_rng([seed, len(PROCESSES)]).permutation(n_events)
    recipe = _recipe_metadata(n_events, seed, shares)
    return builder.table().take(order).replace_schema_metadata({METADATA_KEY: json.dumps(recipe)})


def process_counts(n_events: int, mix: Mapping[str, float]) -> dict[str, int]:
    """Return how many events each process gets: shares rounded down, the rest by largest remainder.

    Args:
        n_events: The sum of the counts.
        mix: Positive shares by process; only their ratios count.
    """
    exact = np.array(list(mix.values())) * n_events / sum(mix.values())
    counts = np.floor(exact).astype(int)
    remainders = np.argsort(counts - exact, kind="stable")
    counts[remainders[: n_events - counts.sum()]] += 1
    return dict(zip(mix, counts.tolist(), strict=True))


def _check_request(n_events: int, seed: int, mix: Mapping[str, float]) -> None:
    if not mix:
        raise RefusedError(f"mix is empty. Name at least one of {', '.join(PROCESSES)}.")
    if n_events < 1:
        raise RefusedError(f"n={n_events} is below 1. Ask for at least one event.")
    if not 0 <= seed < 2**31:
        raise RefusedError(f"seed={seed} is not between 0 and {2**31 - 1}. Give such a seed.")
    for name, share in mix.items():
        if name not in PROCESSES:
            raise RefusedError(f"Unknown process {name!r}. There is {', '.join(PROCESSES)}.")
        if not 0 < share < math.inf:
            raise RefusedError(
                f"mix[{name!r}]={share:g} is not a positive number. Leave out what you do not want."
            )


def _event_packages() -> tuple[Any, Any]:
    """Return awkward, in which Pythia hands out its batches, and pythia8mc; FastJet must be there too."""
    try:
        awkward, pythia8mc, _ = (import_module(name) for name in ("awkward", "pythia8mc", "fastjet"))
    except ImportError as error:
        raise RefusedError(
            f"{error.name} is not installed. Making events needs Pythia 8 and FastJet: "
            "pip install 'counterpoise[events]'. The committed sample and your own CSV need neither."
        ) from error
    return awkward, pythia8mc


def _events(name: str, seeds: np.random.SeedSequence) -> Iterator[tuple[float, float, list[PhysicsObject]]]:
    """Yield MET in GeV, its azimuth and the objects of accepted events of one process, without end."""
    rng = np.random.default_rng(seeds)
    for collision in _collisions(name, int(seeds.generate_state(1)[0]) % _PYTHIA_SEEDS + 1):
        objects = reconstruct(collision, rng)
        if len(objects) >= RECIPE.fewest_objects:
            yield *missing_momentum(objects, rng), objects


def _collisions(name: str, pythia_seed: int) -> Iterator[Collision]:
    """Yield collisions of one process without end, from a Pythia of its own."""
    awkward, pythia8mc = _event_packages()
    pythia = _pythia(pythia8mc, name, pythia_seed)
    while True:
        records = pythia.nextBatch(_BATCH).prt
        ends = np.cumsum(awkward.num(records.id).to_numpy())
        momenta = [awkward.flatten(records.p[axis]).to_numpy() for axis in ("px", "py", "pz", "e")]
        whole = Particles(awkward.flatten(records.id).to_numpy(), np.stack(momenta, axis=1))
        final = awkward.flatten(records.status).to_numpy() > 0
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            yield seen(whole.where(slice(start, end)), final[start:end])


def _pythia(pythia8mc: Any, name: str, pythia_seed: int) -> Any:
    pythia = pythia8mc.Pythia("", False)
    beam = f"Beams:eCM = {RECIPE.collision_energy_gev}"
    for setting in (*COMMON_SETTINGS, beam, f"Random:seed = {pythia_seed}", *PROCESSES[name].settings):
        if not pythia.readString(setting):
            raise RefusedError(f"Pythia refuses the setting {setting!r} of {name}. Correct PROCESSES.")
    if not pythia.init():
        raise RefusedError(f"Pythia cannot start {name}. Its messages are above; correct PROCESSES.")
    return pythia


def _recipe_metadata(n_events: int, seed: int, mix: Mapping[str, float]) -> dict[str, object]:
    return {
        "generator": "Pythia 8 and FastJet",
        "versions": {name: version(name) for name in ("pythia8mc", "fastjet", "numpy", "pyarrow")},
        "n_events": n_events,
        "seed": seed,
        "mix": dict(mix),
        "common_settings": list(COMMON_SETTINGS),
        "process_settings": {name: list(PROCESSES[name].settings) for name in mix},
        "recipe": asdict(RECIPE),
    }
