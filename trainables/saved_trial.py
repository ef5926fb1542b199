"""A trial that ended, taken up again from its folder to be examined; nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from search_spaces.errors import RefusedError
from trainables.families import code_version, load_family
from trainables.probe import ProbeResult
from trainables.training import tensors


class SavedTrialError(RefusedError):
    """A folder without the weights of a trial, or whose data is not at hand."""


def read_config(folder: Path) -> dict[str, Any]:
    """Return ``config.yaml`` of a trial's folder.

    Raises:
        SavedTrialError: If it is not there, or the trial left no weights.
    """
    for name, reason in (
        ("config.yaml", "no trial was started there"),
        ("model.pt", "the trial has not ended, or had no best epoch"),
    ):
        if not (folder / name).exists():
            raise SavedTrialError(
                f"{folder} has no {name}: {reason}. See `sweeps status SWEEP` for trials that completed."
            )
    config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return config


def probe_trial(
    folder: Path, data_root: Path | None, provenance: Mapping[str, Any]
) -> tuple[ProbeResult, ...]:
    """Return what the family's experiments on a trained model show, under the weights of its best epoch.

    Args:
        folder: The trial's folder.
        data_root: The user's own data, None for the family's default.
        provenance: Of the sweep: ``code_version``, and ``data_fingerprint`` with all data it was trained on.

    Raises:
        SavedTrialError: If code or data is not what it was, or the family has no experiments.
    """
    config = read_config(folder)
    refuse_other_code(config["family"], str(provenance["code_version"]))
    family = load_family(config["family"])
    params = family.space.resolve(config["params"])
    if family.fingerprint(params, data_root) not in str(provenance["data_fingerprint"]).split(", "):
        raise SavedTrialError(
            f"The data at {data_root or 'the default place'} is not what {folder} was trained on. "
            "Give that with --data."
        )
    dataset = family.load_data(params, data_root)
    model = family.build(params, dataset, int(config["seed"])).eval()
    saved = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(saved["weights"])
    with torch.no_grad():
        train = tensors(dataset.train, torch.device("cpu"))
        state = family.refresh_state(model, family.initial_state(model, params), train, params)
        results = family.probe(model, state, dataset, params)
    if not results:
        raise SavedTrialError(
            f"Family {config['family']} has no experiments on trained models. Define `probe` in its FAMILY."
        )
    return results


def refuse_other_code(family: str, trained_under: str) -> None:
    """Raise `SavedTrialError` unless the family's code is that which the trial was trained under."""
    if code_version(family) != trained_under:
        raise SavedTrialError(
            f"The code of {family} has changed since the trial was trained ({trained_under}, now "
            f"{code_version(family)}), so its weights would be taken for another model's. Run the study again, "
            "or go back to the code of the trial: sweep.json has the commit."
        )
