"""The Ray Tune trainable: one resident actor per slot, one trial after another, one epoch per step.

A trial's own fault (an exception, a diverged loss) ends that trial alone and is a result, not an actor
failure: Tune would otherwise train it again. What Tune retries is a dead process or node, and the new
actor finds the trial's checkpoint at a place that its identity decides. Every result carries the epochs
it reports, all of them after a restore, so that the driver misses none; it takes each only once.
"""

from __future__ import annotations

import csv
import logging
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import yaml
from ray import tune

from trainables.checkpoint import load_checkpoint, save_checkpoint
from trainables.dataset import Dataset
from trainables.families import load_family
from trainables.training import DivergedError, Training, TrialSpec

CHECKPOINT_EVERY_S = 2.0
logger = logging.getLogger("trainables")


class TrialTrainable(tune.Trainable):
    """Trains the trial in its config; `reset_config` takes the next one without a new process.

    ``config["trial"]`` holds the fields of `TrialSpec`, ``data_key``, ``threads`` and ``device``.
    """

    def setup(self, config: dict[str, Any], datasets: dict[str, ray.ObjectRef] | None = None) -> None:
        """Begin the first trial; ``datasets`` are references by data key, shared by the actors of a node."""
        torch.set_num_threads(max(1, int(config["trial"]["threads"])))
        self._references = datasets or {}
        self._datasets: dict[str, Dataset] = {}
        self._begin(config["trial"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial in this process; nothing of the one before is kept but the data."""
        self.config = new_config
        self._begin(new_config["trial"])
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._training: Training | None = None
        self._spec = spec_of(config)
        self._device = str(config["device"])
        self._data_key = str(config["data_key"])
        self._reported = 0
        self._saved_at = time.monotonic()
        self._log_to(self._spec.folder)

    def step(self) -> dict[str, Any]:
        """Train one epoch and return its metrics, the trial's state, and what went wrong if anything did."""
        try:
            training = self._training or self._prepare()
            self._training = training
            if not training.done:
                training.run_epoch()
            return self._advanced(training)
        except DivergedError as error:
            logger.warning("diverged: %s", error)
            return self._ended("diverged", str(error))
        except Exception as error:  # noqa: BLE001 - the trial's own fault, of whatever kind: it fails alone
            logger.error("failed:\n%s", traceback.format_exc())
            return self._ended("failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")

    def _prepare(self) -> Training:
        torch.manual_seed(self._spec.seed)
        training = Training(load_family(self._spec.family), self._spec, self._dataset(), self._device)
        write_config(self._spec)
        checkpoint = load_checkpoint(self._spec.folder, self._spec.trial_id)
        if checkpoint is not None:
            training.restore(checkpoint)
            logger.info("resumed after epoch %d", training.epoch)
        return training

    def _dataset(self) -> Dataset:
        if self._data_key not in self._datasets:
            self._datasets = {self._data_key: ray.get(self._references[self._data_key])}
        return self._datasets[self._data_key]

    def _advanced(self, training: Training) -> dict[str, Any]:
        metrics = training.history[-1]
        objective = metrics.get(self._spec.metric)
        logger.info("epoch %d: %s=%s, %.2f s", training.epoch, self._spec.metric, objective, training.wall_s)
        if training.done:
            write_results(training)
            return self._ended("complete", None)
        if time.monotonic() - self._saved_at >= CHECKPOINT_EVERY_S:
            save_checkpoint(training.checkpoint(), self._spec.folder)
            self._saved_at = time.monotonic()
        return self._report("running", None)

    def _ended(self, state: str, error: str | None) -> dict[str, Any]:
        return self._report(state, error) | {"done": True}

    def _report(self, state: str, error: str | None) -> dict[str, Any]:
        history = self._training.history if self._training else []
        fresh = list(enumerate(history, start=1))[self._reported :]
        self._reported = len(history)
        wall_s = self._training.wall_s if self._training else 0.0
        return {
            "trial": self._spec.trial_id,
            "epochs": fresh,
            "state": state,
            "error": error,
            "wall_s": wall_s,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trial's state where Tune asks for it; Tune only does when a scheduler pauses trials."""
        if self._training is not None:
            save_checkpoint(self._training.checkpoint(), Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Take up the state that `save_checkpoint` wrote."""
        checkpoint = load_checkpoint(Path(checkpoint_dir), self._spec.trial_id)
        if checkpoint is not None:
            self._training = Training(
                load_family(self._spec.family), self._spec, self._dataset(), self._device
            )
            self._training.restore(checkpoint)

    def _log_to(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "run.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        for old in logger.handlers[:]:
            logger.removeHandler(old)
            old.close()
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def spec_of(config: dict[str, Any]) -> TrialSpec:
    """Return the trial that a Tune config describes."""
    names = ("trial_id", "family", "params", "seed", "epochs", "metric", "mode")
    return TrialSpec(**{name: config[name] for name in names}, folder=Path(config["folder"]))


def write_config(spec: TrialSpec) -> None:
    """Write ``config.yaml``: all that decides the trial's numbers."""
    content = {
        "trial_id": spec.trial_id,
        "family": spec.family,
        "seed": spec.seed,
        "epochs": spec.epochs,
        "objective": {"metric": spec.metric, "mode": spec.mode},
        "params": spec.params,
    }
    (spec.folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def write_results(training: Training) -> None:
    """Write the best weights (``model.pt``), ``facts/metrics.csv`` and ``examples.npz`` of a finished trial."""
    folder = training.spec.folder
    torch.save({"params": training.spec.params, "weights": training.best_weights}, folder / "model.pt")
    facts = folder / "facts"
    facts.mkdir(exist_ok=True)
    names = list(dict.fromkeys(name for metrics in training.history for name in metrics))
    with (facts / "metrics.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["epoch", *names])
        table.writeheader()
        table.writerows(
            {"epoch": epoch, **metrics} for epoch, metrics in enumerate(training.history, start=1)
        )
    np.savez_compressed(folder / "examples.npz", allow_pickle=False, **training.examples())
