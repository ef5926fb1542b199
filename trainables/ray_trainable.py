"""The Ray Tune trainable: one resident actor per slot, one trial after another, one epoch per step.

Tune retries what is not the trial's fault, a dead process or node; the new actor finds the trial's
checkpoint at a place that its identity decides. The driver imports this module to hand the class to Ray
and never trains, so torch is imported in the actor alone.
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import ray
from ray import tune

from search_spaces.errors import RefusedError
from trainables.dataset import Dataset
from trainables.remote import RemoteFolder
from trainables.trial_spec import SWEEP_FILE, TrialSpec


class UnseenFolderError(RefusedError):
    """A folder of results that is not the same on all nodes."""


class TrialTrainable(tune.Trainable):  # type: ignore[misc]
    """Trains the trial in its config; `reset_config` takes the next one without a new process.

    ``config["trial"]`` holds the fields of `TrialSpec`, ``data_key``, ``threads``, ``device``, ``gpus``, ``memory``
    (in bytes, or None), the ``group`` that a scheduler compares it with, and where the files go: ``folder``, and
    ``remote``, its copy in object storage, which makes the folder scratch, or None.
    """

    def setup(self, config: dict[str, Any], datasets: dict[str, ray.ObjectRef] | None = None) -> None:
        """Begin the first trial; ``datasets`` are references by data key, shared by the actors of a node."""
        import torch

        first = config["trial"]
        torch.set_num_threads(first["threads"])
        if (
            first["device"] == "cuda" and first["gpus"] < 1
        ):  # to Ray a fraction is a number; now it is one of memory
            torch.cuda.set_per_process_memory_fraction(first["gpus"])
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

        remote = RemoteFolder(config["remote"]) if config["remote"] else None
        folder = scratch_folder(config["trial_id"]) if remote else Path(config["folder"])
        names = {field.name for field in fields(TrialSpec)} - {"folder"}
        spec = TrialSpec(**{name: config[name] for name in names}, folder=folder)
        self._trial = Trial(spec, lambda: self._dataset(config), config["device"], remote, config["memory"])

    def _dataset(self, config: dict[str, Any]) -> Dataset:
        if not config["remote"]:
            refuse_unseen(Path(config["folder"]))
        key = config["data_key"]
        if key not in self._loaded:
            self._loaded = {key: ray.get(self._references[key])}
        return self._loaded[key]


def scratch_folder(trial_id: str) -> Path:
    """Return where a trial works whose files go to object storage."""
    return Path(tempfile.gettempdir()) / f"counterpoise-{os.getuid()}" / trial_id


def refuse_unseen(folder: Path) -> None:
    """Raise `UnseenFolderError` unless this node sees the sweep that a trial's folder belongs to."""
    sweep = folder.parent.parent
    if not (sweep / SWEEP_FILE).exists():
        raise UnseenFolderError(
            f"Node {socket.gethostname()} does not see {sweep}, which the driver writes. Put --out on a file system "
            "that all nodes share, or in object storage such as s3://bucket/results; then run it again."
        )
