"""The files of one trial: in a folder that the driver sees too, or in a scratch folder with a copy in object storage.

A checkpoint is written in one step and read without running code from it. One that cannot be written is no reason to
stop training: the trial would have to redo a little more after a kill, and nothing else.
"""

from __future__ import annotations

import logging
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainables.remote import RemoteFolder
from trainables.trial_spec import CHECKPOINT_FILE

CHECKPOINT_PATIENCE_S = 5.0  # training waits for a store no longer than it takes to redo what is not stored
RESULTS_PATIENCE_S = 120.0
logger = logging.getLogger("trainables")


class TrialFolder:
    """Where a trial keeps its files.

    Args:
        path: The folder; with a copy elsewhere it is scratch, and goes when the trial's files are stored.
        remote: Its copy in object storage, None when ``path`` itself is what the driver sees.
    """

    def __init__(self, path: Path, remote: RemoteFolder | None = None) -> None:
        self.path, self.remote = path, remote

    def save_checkpoint(self, content: dict[str, Any]) -> bool:
        """Replace the checkpoint; return False, with a warning in the log, where that is not possible."""
        try:
            save_checkpoint(content, self.path)
            self._send(CHECKPOINT_FILE, CHECKPOINT_PATIENCE_S)
        except (OSError, RuntimeError) as error:  # torch raises the latter when a disk is full
            logger.warning("no checkpoint after epoch %d: %s", content["epoch"], error)
            return False
        return True

    def load_checkpoint(self, trial_id: str) -> dict[str, Any] | None:
        """Return the checkpoint of ``trial_id``, None when there is none that can be used.

        Raises:
            OSError: If object storage does not answer: starting over would throw away what is trained.
        """
        if self.remote is not None:
            patient = replace(self.remote, patience_s=RESULTS_PATIENCE_S)
            patient.fetch(CHECKPOINT_FILE, self.path / CHECKPOINT_FILE)
        return load_checkpoint(self.path, trial_id)

    def deliver(self) -> None:
        """Send every file but the checkpoint to object storage; nothing where there is none.

        Raises:
            OSError: If the store does not take them.
        """
        if self.remote is None:
            return
        for file in sorted(self.path.rglob("*")):
            if file.is_file() and file.name != CHECKPOINT_FILE and not file.name.endswith(".partial"):
                self._send(str(file.relative_to(self.path)), RESULTS_PATIENCE_S)

    def clear(self) -> None:
        """Remove the scratch folder of a trial whose files are in object storage."""
        if self.remote is not None:
            shutil.rmtree(self.path, ignore_errors=True)

    def _send(self, name: str, patience_s: float) -> None:
        if self.remote is not None:
            replace(self.remote, patience_s=patience_s).write(name, (self.path / name).read_bytes())


def save_checkpoint(content: dict[str, Any], folder: Path) -> None:
    """Replace the checkpoint in ``folder`` in one step."""
    partial = folder / (CHECKPOINT_FILE + ".partial")
    try:
        torch.save(content, partial)
        partial.replace(folder / CHECKPOINT_FILE)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(folder: Path, trial_id: str) -> dict[str, Any] | None:
    """Return the checkpoint of ``trial_id`` in ``folder``, None when there is none that can be used.

    A checkpoint that is damaged, or that belongs to another trial, is worth less than the training it would
    spoil: the trial starts over and its log says why.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        logger.warning("%s cannot be read (%s); the trial starts over", path, type(error).__name__)
        return None
    if not isinstance(content, dict) or content.get("trial_id") != trial_id:
        owner = content.get("trial_id") if isinstance(content, dict) else None
        logger.warning("%s belongs to trial %s; the trial starts over", path, owner)
        return None
    return content
