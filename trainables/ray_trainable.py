"""The Ray Tune trainable: one resident actor per slot, one trial after another, one epoch per step.

Tune retries what is not the trial's fault, a dead process or node; the new actor finds the trial's
checkpoint at a place that its identity decides. The driver imports this module to hand the class to Ray
and never trains, so torch is imported in the actor alone.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import ray
from ray import tune

from trainables.dataset import Dataset
from trainables.trial_spec import TrialSpec


class TrialTrainable(tune.Trainable):  # type: ignore[misc]
    """Trains the trial in its config; `reset_config` takes the next one without a new process.

    ``config["trial"]`` holds the fields of `TrialSpec`, ``data_key``, ``threads``, ``device``, and the ``group``
    that a scheduler compares it with.
    """

    def setup(self, config: dict[str, Any], datasets: dict[str, ray.ObjectRef] | None = None) -> None:
        """Begin the first trial; ``datasets`` are references by data key, shared by the actors of a node."""
        import torch

        torch.set_num_threads(config["trial"]["threads"])
        self._references = datasets or {}
        self._loaded: dict[str, Dataset] = {}
        self._begin(config["trial"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial in this process; nothing of the one before is kept but the data."""
        self.config = new_config
        self._begin(new_config["trial"])
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; returns what `trainables.trial.Trial.advance` does."""
        return self._trial.advance()

    def _begin(self, config: dict[str, Any]) -> None:
        from trainables.trial import Trial

        names = {field.name for field in fields(TrialSpec)} - {"folder"}
        spec = TrialSpec(**{name: config[name] for name in names}, folder=Path(config["folder"]))
        self._trial = Trial(spec, lambda: self._dataset(config["data_key"]), config["device"])

    def _dataset(self, key: str) -> Dataset:
        if key not in self._loaded:
            self._loaded = {key: ray.get(self._references[key])}
        return self._loaded[key]
