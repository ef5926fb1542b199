"""What a family hands to the loop and to the records: arrays, baselines, and what its metrics mean.

Arrays, not tensors, because Ray shares NumPy arrays between the processes of a node without a copy.
Imports no torch: planning reads fingerprints and metric meanings, and must stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from search_spaces.errors import RefusedError

Array = np.ndarray[Any, np.dtype[Any]]
Split = Mapping[str, Array]


class DataError(RefusedError):
    """Data that cannot be read or does not have the promised form."""


@dataclass(frozen=True)
class Metric:
    """What one metric means to a reader and to the statistics.

    Args:
        mode: Which direction is better; None when neither is.
        positive: Whether effects are ratios on the log scale (losses) or differences (accuracies, cosines).
        meaning: One line for tables and figures.
        unit: Unit of the value, empty when it has none.
        detail: Whether it stays in the records: MLflow's compare view is usable up to some forty keys.
    """

    mode: Literal["min", "max"] | None
    positive: bool
    meaning: str
    unit: str = ""
    detail: bool = False


@dataclass(frozen=True)
class Dataset:
    """One family's data: three splits, each a mapping of arrays whose first axis is the sample.

    Args:
        train: Arrays of the training split, float32 or integer, first axis n_train.
        valid: The same names for the validation split.
        test: The same names for the test split.
        fingerprint: Hash of what was read and how it was prepared; part of every trial's identity.
        baselines: Metrics of predictors that need no training, named as the metrics they stand beside.
        constants: Arrays that are not per sample, such as the statistics of standardisation.
    """

    train: Split
    valid: Split
    test: Split
    fingerprint: str
    baselines: Mapping[str, float] = field(default_factory=dict)
    constants: Split = field(default_factory=dict)

    def split(self, name: str) -> Split:
        """Return the split called ``train``, ``valid`` or ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]
