"""Where in their budget the trials of a cell are at their best, and whether more epochs would help."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from analysis.table import CellKey, SweepTable

FEWEST_EPOCHS = 4  # of a budget in which early and late can be told apart
EARLY = 0.5  # of the budget: a best epoch up to there means that the second half was lost
LATEST, EARLIEST, INSIDE = "latest", "earliest", "inside"


@dataclass(frozen=True)
class Peak:
    """The best epochs of one cell.

    Args:
        epochs: The epoch that the objective selects, by trial.
        budget: Epochs that each was given.
    """

    epochs: tuple[int, ...]
    budget: int

    @property
    def place(self) -> str:
        """``latest`` where most trials are best at the last epoch, ``earliest`` in the first half, else ``inside``."""
        if median(self.epochs) >= self.budget:
            return LATEST
        return EARLIEST if median(self.epochs) <= EARLY * self.budget else INSIDE

    @property
    def text(self) -> str:
        """``its best epochs are 2, 3 and 3 of 8``."""
        *first, last = [str(epoch) for epoch in sorted(self.epochs)]
        listed = f"{', '.join(first)} and {last}" if first else last
        return f"its best epoch{'s are' if first else ' is'} {listed} of {self.budget}"

    @property
    def advice(self) -> str:
        """What follows for the next study, a phrase."""
        if self.place == LATEST:
            return "train longer"
        if self.place == EARLIEST:
            how = "regularise (weight_decay, a smaller model), lower lr, or give more data"
            return f"longer training would not help: {how}"
        return "longer training would hardly help: give more data, or lower lr"


def peak_of(table: SweepTable, cell: CellKey) -> Peak | None:
    """Return the best epochs of the completed trials of a cell; None without an objective, or in a short budget."""
    rows = table.rows_of(cell)
    rows = rows[rows["state"] == "complete"]
    budget = int(table.study.get("epochs") or 0)
    if table.objective is None or budget < FEWEST_EPOCHS or "epoch" not in rows:
        return None
    epochs = tuple(int(epoch) for epoch in rows["epoch"].dropna())
    return Peak(epochs, budget) if epochs else None
