"""What planted sweeps share: how they are written, the law of their noise, and what all cells of a seed share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sweeps.records import EpochRow, Records, RecordWriter, TrialRow, read_records

Swept = Mapping[str, Any]


class Recorder(Protocol):
    """What takes the rows of planted trials: the writer of records, or a list in memory."""

    def record_trial(self, row: TrialRow) -> None:
        """Take a trial as it stands."""

    def record_epoch(self, epoch: EpochRow) -> Any:
        """Take the metrics of one epoch."""


class Planting(ABC):
    """A planted sweep: what it says of itself, and its trials."""

    @abstractmethod
    def sweep(self) -> dict[str, Any]:
        """Return the contents of sweep.json."""

    @abstractmethod
    def fill(self, writer: Recorder) -> None:
        """Record every trial."""

    def write(self, folder: Path) -> Records:
        """Write the records and read them back."""
        writer = RecordWriter(folder, self.sweep())
        self.fill(writer)
        writer.compact()
        return read_records(folder)


def even(_swept: Swept) -> float:
    """Return that a cell scatters like every other."""
    return 1.0


@dataclass(frozen=True)
class Scatter:
    """The law that noise is drawn from; its size is the planted sweep's own.

    Args:
        tails: Degrees of freedom of Student's t, scaled to variance one; None for normal noise.
        spread: Factor on the noise of one cell, from its swept parameters.
        shared: Standard deviation of what all cells of one seed share, in units of the noise.
    """

    tails: float | None = None
    spread: Callable[[Swept], float] = even
    shared: float = 0.0

    def common(self, rng: np.random.Generator, seeds: tuple[int, ...], n: int) -> dict[int, Any]:
        """Return ``n`` draws per seed that all its cells share; draws nothing where they share nothing."""
        return {seed: self.shared * rng.normal(0, 1, n) if self.shared else np.zeros(n) for seed in seeds}

    def own(self, rng: np.random.Generator, swept: Swept, n: int) -> Any:
        """Return ``n`` draws of one trial."""
        if self.tails is None:
            z = rng.normal(0, 1, n)
        else:
            z = rng.standard_t(self.tails, n) / np.sqrt(self.tails / (self.tails - 2))
        return self.spread(swept) * z


EVEN = Scatter()  # normal noise, alike in all cells
