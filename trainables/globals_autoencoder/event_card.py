"""The card of a generated file: what is in it, how it came about, and the command that makes it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.dataset import DataError
from trainables.globals_autoencoder.events import OBJECT_NAMES, flat_objects, objects_per_event
from trainables.globals_autoencoder.generate import METADATA_KEY


def event_card(table: pa.Table, path: Path) -> str:
    """Return the Markdown card of generated events: what is in the file, and how to make it again.

    Args:
        table: The events in the file, with the metadata of `generate_events`.
        path: The written file, whose SHA-256 goes into the card.

    Raises:
        DataError: If the table was not made by `generate_events`.
    """
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise DataError(f"{path} carries no {METADATA_KEY.decode()}. Only generated events have a card.")
    recipe = json.loads(text)
    cuts = [(name, f"{value:g}") for name, value in recipe["recipe"].items()]
    sections = [
        f"# {table.num_rows:,} simulated collision events",
        _origin(recipe, path),
        "## Processes",
        _rows(
            ("process", "events", "objects, mean", "MET, median GeV", "Pythia settings"),
            _process_rows(table, recipe),
        ),
        "Shares are chosen so that every class is learnable; they are not cross-sections. Every weight is 1.",
        "## Objects per event",
        _rows(("mean", "5 %", "25 %", "50 %", "75 %", "95 %", "max"), [_multiplicity(table)]),
        _rows(("object", "id", "per event"), _object_rows(table)),
        "## Columns",
        _rows(("column", "type", "meaning"), _column_rows(table)),
        "## Cuts and detector",
        _rows(("constant", "value"), cuts),
        _DETECTOR,
    ]
    return "\n\n".join(sections) + "\n"


_MEANINGS = {
    "process": "class label",
    "weight": "event weight",
    "met_gev": "missing transverse momentum, GeV",
    "met_phi": "its azimuth, radians",
    "obj": "object id, by falling pT",
    "e_gev": "energy, GeV",
    "pt_gev": "transverse momentum, GeV",
    "eta": "pseudorapidity",
    "phi": "azimuth, radians",
}
_DETECTOR = """\
Energies are in GeV, angles in radians. Electrons, muons and photons are taken as generated if isolated. Jets
are anti-kt jets of all other visible particles, their energy scaled by a Gaussian factor of relative width
`sqrt(jet_stochastic^2 / E + jet_constant^2)`. A jet with a b hadron in its cone gets the b-tag with chance
`b_efficiency`, others by mistake. Missing momentum is minus the vector sum of the objects plus a Gaussian soft
term per component, so what a model can know of it from the objects is limited by that term alone.
Multi-parton interactions and pile-up are off; there is no other detector effect. Events with fewer than
`fewest_objects` objects were made anew.

Please cite Pythia 8.3 (arXiv:2203.11601) and FastJet (arXiv:1111.6097) when you publish with these events."""


def _origin(recipe: Mapping[str, Any], path: Path) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in recipe["versions"].items())
    settings = ", ".join(f"`{setting}`" for setting in recipe["common_settings"])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    n_events, seed = recipe["n_events"], recipe["seed"]
    return f"""\
Proton-proton collisions at 13 TeV, made by {recipe["generator"]} ({versions}) with seed {seed} and
{settings}.
The whole recipe is in the file's schema metadata under `{METADATA_KEY.decode()}`. The events are under the
licence of this project.

* File: `{path.name}`, {path.stat().st_size / 1e6:.2f} MB
* SHA-256: `{digest}`
* Made again, with the same versions, by
  `sweeps data generate events --n {n_events} --seed {seed} --out {path.name}`"""


def _process_rows(table: pa.Table, recipe: Mapping[str, Any]) -> list[tuple[str, ...]]:
    process = np.array(table["process"].to_pylist())
    lengths, met_gev = objects_per_event(table), table["met_gev"].to_numpy()
    rows: list[tuple[str, ...]] = []
    for name, settings in recipe["process_settings"].items():
        own = process == name
        listed = ", ".join(f"`{setting}`" for setting in settings)
        if own.any():
            middle = (f"{own.sum():,}", f"{lengths[own].mean():.2f}", f"{np.median(met_gev[own]):.0f}")
            rows.append((name, *middle, listed))
    return rows


def _multiplicity(table: pa.Table) -> tuple[str, ...]:
    lengths = objects_per_event(table)
    quantiles = np.quantile(lengths, [0.05, 0.25, 0.5, 0.75, 0.95])
    return (f"{lengths.mean():.2f}", *(f"{value:g}" for value in quantiles), str(lengths.max()))


def _object_rows(table: pa.Table) -> list[tuple[str, ...]]:
    counts = np.bincount(flat_objects(table, "obj"), minlength=len(OBJECT_NAMES))
    return [
        (name, str(obj), f"{counts[obj] / table.num_rows:.3f}")
        for obj, name in enumerate(OBJECT_NAMES)
        if obj > 0
    ]


def _column_rows(table: pa.Table) -> list[tuple[str, ...]]:
    return [(field.name, str(field.type), _MEANINGS[field.name]) for field in table.schema]


def _rows(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
