"""Events as the model takes them: padded to one length, standardised, split 80/10/10 by event.

Statistics come from real tokens of the training split alone, so nothing of the other splits leaks into it.
MET goes through the logarithm: raw, its scale drowns the tokens. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainables.dataset import Array, DataError, Dataset
from trainables.files import file_fingerprint
from trainables.globals_autoencoder.events import (
    OBJECT_COLUMNS,
    check_readable,
    flat_objects,
    objects_per_event,
    read_events,
)
from trainables.globals_autoencoder.globals_metrics import globals_metrics

FEWEST_EVENTS = 10
_HELD_OUT_SHARE = 10
# A vector sum of exactly nothing has no logarithm. A keV is far under any resolution.
_MET_FLOOR_GEV = 1e-6
_SMALLEST_SPREAD = 1e-6

Arrays = dict[str, Array]


def load_events(path: Path, *, n_events: int, split_seed: int) -> Dataset:
    """Return the events of a file as three splits of NumPy arrays.

    Each split holds ``obj`` int64 ``(n, S)``, 0 at pads; ``continuous`` float32 ``(n, S, 5)``, standardised
    (log E, log pT, eta, sin phi, cos phi), 0 at pads; ``mask`` bool ``(n, S)``, True at real tokens;
    ``globals`` float32 ``(n, 3)``, standardised (log MET, sin METphi, cos METphi). Energies are in GeV under
    the logarithm. S is the largest number of objects in the whole file. The constants are
    ``continuous_mean``, ``continuous_std`` ``(5,)``, ``globals_mean`` and ``globals_std`` ``(3,)``, float32.

    Baselines are named ``<baseline>/<split>/<metric>``: the predictors `visible_sum` and ``mean`` (the
    training mean of the standardised globals), the splits valid and test, the metrics of `globals_metrics`.

    Args:
        path: A Parquet file of events.
        n_events: How many events to use, drawn at random with ``split_seed``; 0 for all.
        split_seed: Seed of the draw and of the split. With it, fewer events are a part of more events.

    Raises:
        DataError: If the file is not one of valid events, or has fewer events than asked for or than 10.
    """
    table = read_events(path)
    arrays = _padded(table)
    order = _drawn(table.num_rows, n_events, split_seed, path)
    raw = {name: {key: array[rows] for key, array in arrays.items()} for name, rows in _splits(order).items()}
    constants = _statistics(raw["train"])
    splits = {name: _standardised(split, constants) for name, split in raw.items()}
    return Dataset(
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        fingerprint=fingerprint_events(path, n_events, split_seed),
        baselines=_baselines(raw, splits, constants),
        constants=constants,
    )


def fingerprint_events(path: Path, n_events: int, split_seed: int) -> str:
    """Return the hash of a file's bytes and of what is read from it, 16 hex digits; parses no event.

    Args:
        path: A Parquet file of events; its footer is checked, so that a truncated file is refused early.
        n_events: As in `load_events`.
        split_seed: As in `load_events`.

    Raises:
        DataError: If the file is missing, unreadable or truncated, or lacks a column.
    """
    check_readable(path)
    text = f"{file_fingerprint(path)} n_events={n_events} split_seed={split_seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def visible_sum(obj_mask: Array, pt_gev: Array, phi: Array) -> Array:
    """Return the globals that momentum conservation gives: minus the vector sum of the visible objects.

    Args:
        obj_mask: True at real objects, shape ``(n, S)``.
        pt_gev: Transverse momenta in GeV, shape ``(n, S)``.
        phi: Azimuths in radians, shape ``(n, S)``.

    Returns:
        (log MET, sin METphi, cos METphi), not standardised, shape ``(n, 3)``, MET in GeV.
    """
    x = -np.sum(np.where(obj_mask, pt_gev * np.cos(phi), 0.0), axis=1)
    y = -np.sum(np.where(obj_mask, pt_gev * np.sin(phi), 0.0), axis=1)
    return _global_features(np.maximum(np.hypot(x, y), _MET_FLOOR_GEV), np.arctan2(y, x))


def _padded(table: pa.Table) -> Arrays:
    lengths = objects_per_event(table)
    mask = np.arange(lengths.max()) < lengths[:, None]
    arrays: Arrays = {"mask": mask}
    for name in OBJECT_COLUMNS:
        arrays[name] = np.zeros(mask.shape, dtype=np.int64 if name == "obj" else np.float64)
        arrays[name][mask] = flat_objects(table, name)
    met_gev, met_phi = table["met_gev"].to_numpy(), table["met_phi"].to_numpy()
    arrays["globals"] = _global_features(met_gev.astype(np.float64), met_phi.astype(np.float64))
    return arrays


def _global_features(met_gev: Array, met_phi: Array) -> Array:
    return np.stack([np.log(met_gev), np.sin(met_phi), np.cos(met_phi)], axis=1)


def _drawn(n_present: int, n_events: int, split_seed: int, path: Path) -> Array:
    """Return the rows to use, in the order in which they are split."""
    if n_events > n_present:
        raise DataError(
            f"n_events={n_events} is above the {n_present} events of {path}. "
            "Give at most that many, or 0 for all."
        )
    wanted = n_events or n_present
    if wanted < FEWEST_EVENTS:
        raise DataError(
            f"{wanted} events of {path} are below {FEWEST_EVENTS}. A split 80/10/10 needs at least "
            f"{FEWEST_EVENTS}; set n_events higher, or use a file with more."
        )
    return np.random.default_rng(split_seed).permutation(n_present)[:wanted]


def _splits(order: Array) -> dict[str, Array]:
    n_held_out = len(order) // _HELD_OUT_SHARE
    return {
        "train": order[2 * n_held_out :],
        "valid": order[:n_held_out],
        "test": order[n_held_out : 2 * n_held_out],
    }


def _statistics(train: Mapping[str, Array]) -> Arrays:
    tokens = _token_features(train)[train["mask"]]
    return {
        "continuous_mean": tokens.mean(axis=0).astype(np.float32),
        "continuous_std": _spread(tokens),
        "globals_mean": train["globals"].mean(axis=0).astype(np.float32),
        "globals_std": _spread(train["globals"]),
    }


def _spread(values: Array) -> Array:
    std = values.std(axis=0).astype(np.float32)
    # A constant feature becomes 0, not its rounding error blown up to order 1e8.
    return np.where(std > _SMALLEST_SPREAD, std, np.float32(1.0))


def _token_features(arrays: Mapping[str, Array]) -> Array:
    """Return (log E, log pT, eta, sin phi, cos phi), shape ``(n, S, 5)``; pads hold no meaning yet."""
    mask, phi = arrays["mask"], arrays["phi"]
    log_e, log_pt = (np.log(np.where(mask, arrays[name], 1.0)) for name in ("e_gev", "pt_gev"))
    return np.stack([log_e, log_pt, arrays["eta"], np.sin(phi), np.cos(phi)], axis=2)


def _standardised(raw: Mapping[str, Array], constants: Mapping[str, Array]) -> Arrays:
    tokens = (_token_features(raw) - constants["continuous_mean"]) / constants["continuous_std"]
    targets = (raw["globals"] - constants["globals_mean"]) / constants["globals_std"]
    return {
        "obj": raw["obj"],
        "continuous": np.where(raw["mask"][:, :, None], tokens, 0.0).astype(np.float32),
        "mask": raw["mask"],
        "globals": targets.astype(np.float32),
    }


def _baselines(
    raw: Mapping[str, Arrays], splits: Mapping[str, Arrays], constants: Mapping[str, Array]
) -> dict[str, float]:
    mean, std = constants["globals_mean"], constants["globals_std"]
    found = {}
    for name in ("valid", "test"):
        target = splits[name]["globals"]
        closed_form = visible_sum(raw[name]["mask"], raw[name]["pt_gev"], raw[name]["phi"])
        predictors = {"visible_sum": (closed_form - mean) / std, "mean": np.zeros_like(target)}
        for predictor, predicted in predictors.items():
            for metric, value in globals_metrics(predicted, target, mean, std).items():
                found[f"{predictor}/{name}/{metric}"] = value
    return found
