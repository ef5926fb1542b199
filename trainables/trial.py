"""One trial with its folder: prepared or resumed, advanced an epoch at a time, its files written at the end.

The same code in process, in a Ray actor and in a benchmark. A trial's own fault (an exception, a diverged
loss) is a result and not an error: whoever runs trials goes on with the next one.
"""

from __future__ import annotations

import csv
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import yaml

from search_spaces.errors import first_line
from trainables.dataset import Dataset
from trainables.families import load_family
from trainables.memory import forget_peak, held_below, peak_mb
from trainables.remote import RemoteFolder
from trainables.training import DivergedError, Training
from trainables.trial_folder import TrialFolder
from trainables.trial_spec import TrialSpec

CHECKPOINT_EVERY_S = 2.0  # less often than an epoch of a short trial: redoing two seconds is cheaper
logger = logging.getLogger("trainables")


class Trial:
    """One trial under way, from its folder to its results.

    Args:
        spec: The trial.
        dataset: Returns its data; called when it begins, so that a failure there is the trial's.
        device: Where it trains.
        remote: Copy of its folder in object storage, None when the driver sees the folder itself.
        memory: The most memory in bytes that its process may take, None for no limit.
    """

    def __init__(
        self,
        spec: TrialSpec,
        dataset: Callable[[], Dataset],
        device: str = "cpu",
        remote: RemoteFolder | None = None,
        memory: int | None = None,
    ) -> None:
        self.spec, self._dataset, self._device, self._memory = spec, dataset, device, memory
        self.folder = TrialFolder(spec.folder, remote)
        self.training: Training | None = None
        self._n_reported = 0
        self._saved_at = time.monotonic()
        forget_peak()

    def advance(self) -> dict[str, Any]:
        """Train one epoch.

        Returns:
            ``trial``, ``epochs`` (pairs of epoch and metrics that were not reported before, all of them after a
            resume), ``state`` (as in the records), ``error``, ``wall_s``, ``memory_mb``, ``done``, ``guard`` and
            ``guard_epoch`` (the rule that it broke, None when it broke none), and for a scheduler ``epoch`` and
            ``objective``.
        """
        try:
            with held_below(self._memory):
                self.training = self.training or self._prepare()
                if not self.training.done:
                    self.training.run_epoch()
                return self._advanced(self.training)
        except DivergedError as error:
            logger.warning("diverged: %s", error)
            return self._ended_badly("diverged", str(error))
        except Exception as error:  # noqa: BLE001 - the trial's own fault, of whatever kind: it fails alone
            trace = traceback.format_exc()
            logger.error("failed:\n%s", trace)
            return self._ended_badly("failed", f"{type(error).__name__}: {error}\n{trace}")

    def _prepare(self) -> Training:
        log_to(self.spec)
        training = self._fresh()
        write_config(self.spec)
        checkpoint = self.folder.load_checkpoint(self.spec.trial_id)
        if checkpoint is None:
            return training
        try:
            training.restore(checkpoint)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            logger.warning("the checkpoint does not fit (%s); the trial starts over", first_line(error))
            return self._fresh()
        logger.info("resumed after epoch %d", training.epoch)
        return training

    def _fresh(self) -> Training:
        return Training(load_family(self.spec.family), self.spec, self._dataset(), self._device)

    def _ended_badly(self, state: str, error: str) -> dict[str, Any]:
        try:
            self.folder.deliver()  # its log says what happened
            self.folder.clear()
        except OSError as problem:
            error = f"{error}\nIts files could not be stored either: {first_line(problem)}"
        return self._report(state, error)

    def _advanced(self, training: Training) -> dict[str, Any]:
        objective = training.history[-1].get(self.spec.metric)
        logger.info("epoch %d: %s=%s, %.2f s", training.epoch, self.spec.metric, objective, training.wall_s)
        if training.broken is not None and not self.spec.audited:
            guard, epoch = training.broken
            logger.warning("collapsed: %s", guard)
            return self._ended("collapsed", f"{guard}, at epoch {epoch}")
        if training.done:
            return self._ended("complete", None)
        if time.monotonic() - self._saved_at >= CHECKPOINT_EVERY_S:
            self.folder.save_checkpoint(training.checkpoint())
            self._saved_at = time.monotonic()
        return self._report("running", None)

    def _ended(self, state: str, why: str | None) -> dict[str, Any]:
        assert self.training is not None
        write_results(self.training)
        self.folder.deliver()
        self.folder.clear()
        return self._report(state, why)

    def _report(self, state: str, error: str | None) -> dict[str, Any]:
        history = self.training.history if self.training else []
        fresh = list(enumerate(history, start=1))[self._n_reported :]
        self._n_reported = len(history)
        guard, guard_epoch = (self.training and self.training.broken) or (None, None)
        value = history[-1].get(self.spec.metric) if history else None
        ranked = {} if value is None else {"epoch": len(history), "objective": value}
        return {
            **ranked,
            "guard": guard,
            "guard_epoch": guard_epoch,
            "trial": self.spec.trial_id,
            "epochs": fresh,
            "state": state,
            "error": error,
            "wall_s": self.training.wall_s if self.training else 0.0,
            "memory_mb": peak_mb(),
            "done": state != "running",
        }


def log_to(spec: TrialSpec) -> None:
    """Send this process's log to ``run.log`` of the trial, and no longer to that of the one before."""
    spec.folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(spec.folder / "run.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


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
    """Write ``facts/metrics.csv``, and of the best epoch, where one is, ``model.pt`` and ``examples.npz``.

    A model that can be served also gets ``serving.json``.
    """
    folder = training.spec.folder
    facts = folder / "facts"
    facts.mkdir(exist_ok=True)
    names = list(dict.fromkeys(name for metrics in training.history for name in metrics))
    with (facts / "metrics.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["epoch", *names])
        table.writeheader()
        table.writerows(
            {"epoch": epoch, **metrics} for epoch, metrics in enumerate(training.history, start=1)
        )
    if training.best_value is not None:
        torch.save({"params": training.spec.params, "weights": training.best_weights}, folder / "model.pt")
        np.savez_compressed(folder / "examples.npz", allow_pickle=False, **training.examples())
        serving = training.family.serving(training.spec.params, training.dataset)
        if serving is not None:
            serving.write(folder)
