"""One trial's checkpoint: written in one step, read without running code from it."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from trainables.trial_spec import CHECKPOINT_FILE

logger = logging.getLogger(__name__)


def save_checkpoint(content: dict[str, Any], folder: Path) -> None:
    """Replace the checkpoint in ``folder`` in one step."""
    partial = folder / (CHECKPOINT_FILE + ".partial")
    torch.save(content, partial)
    partial.replace(folder / CHECKPOINT_FILE)


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
    if content.get("trial_id") != trial_id:
        logger.warning("%s belongs to trial %s; the trial starts over", path, content.get("trial_id"))
        return None
    return content
