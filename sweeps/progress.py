"""What a sweep shows while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.records import TrialRow
from sweeps.study import Objective


def duration(seconds: float) -> str:
    """Return seconds as ``42 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Counts what is done and prints a line per trial; the base of the live table.

    Args:
        objective: Its metric is shown, and decides the best cell so far.
        n_trials: Trials of this start.
        epochs: Epochs per trial.
        console: Where to print.
    """

    def __init__(self, objective: Objective, n_trials: int, epochs: int, console: Console) -> None:
        self.objective, self.n_trials, self.epochs, self.console = objective, n_trials, epochs, console
        self.started_at = time.monotonic()
        self.running: dict[str, tuple[TrialRow, int, float]] = {}
        self.ended: dict[str, str] = {}
        self.n_epochs_done = 0
        self.best_of_trial: dict[tuple[str, str], float] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def trial_started(self, row: TrialRow) -> None:
        """Take a trial that begins."""
        with self.lock:
            self.count(row, 0)  # one whose process died begins again
            self.running[row.trial_id] = (row, 0, math.nan)

    def epoch_ended(self, row: TrialRow, epoch: int, metrics: dict[str, float]) -> None:
        """Take one epoch of a trial."""
        with self.lock:
            value = metrics.get(self.objective.metric, math.nan)
            self.count(row, epoch)
            self.running[row.trial_id] = (row, epoch, value)
            key = (row.cell, row.trial_id)
            if math.isfinite(value):
                better = min if self.objective.mode == "min" else max
                self.best_of_trial[key] = better(self.best_of_trial.get(key, value), value)

    def trial_ended(self, row: TrialRow) -> None:
        """Take a trial that ended, in whatever state."""
        with self.lock:
            self.count(row, self.epochs)
            self.running.pop(row.trial_id, None)
            self.ended[row.trial_id] = row.state
        self.show_ended(row)

    def count(self, row: TrialRow, epoch: int) -> None:
        """Count the epochs of a trial up to ``epoch``, and no others, as done."""
        _, before, _ = self.running.get(row.trial_id, (row, 0, math.nan))
        self.n_epochs_done += epoch - before

    def show_ended(self, row: TrialRow) -> None:
        """Print one line for a trial that ended."""
        value = self.best_of_trial.get((row.cell, row.trial_id), math.nan)
        shown = (
            f"{self.objective.metric}={value:.4g}"
            if math.isfinite(value)
            else (row.error or "").split("\n")[0]
        )
        self.console.print(
            f"[{len(self.ended)}/{self.n_trials}] {row.cell} seed {row.seed}: {row.state} in {row.wall_s:.1f} s, "
            f"{shown}; {self.time_left()}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def time_left(self) -> str:
        """Return the time left at the pace so far."""
        done = self.n_epochs_done
        if not done:
            return "time left unknown"
        left = self.n_trials * self.epochs - done
        pace_s = (time.monotonic() - self.started_at) / done
        return f"about {duration(left * pace_s)} left" if left else "done"

    def best_cell(self) -> str:
        """Return the cell with the best mean objective so far, and how many seeds speak for it."""
        cells = defaultdict(list)
        for (cell, _), value in self.best_of_trial.items():
            cells[cell].append(value)
        if not cells:
            return "none yet"
        better = min if self.objective.mode == "min" else max
        best = better(cells, key=lambda cell: sum(cells[cell]) / len(cells[cell]))
        values = cells[best]
        return f"{best}: {sum(values) / len(values):.4g} (mean of {len(values)})"


class LiveProgress(Progress):
    """A table of the running trials, redrawn in place."""

    def __enter__(self) -> Progress:
        self.live = Live(
            get_renderable=self.render, console=self.console, refresh_per_second=2, transient=True
        )
        self.live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.__exit__(None, None, None)

    def show_ended(self, row: TrialRow) -> None:
        """Print a line only for a trial that did not complete; the table shows the others."""
        if row.state != "complete":
            super().show_ended(row)

    def render(self) -> Group:
        """Return overall progress, time left, best cell, and one row per running trial."""
        with self.lock:
            rows = sorted(self.running.values(), key=lambda item: (item[0].cell, item[0].seed))
            done = self.n_epochs_done
            header = Text.assemble(
                (f"{len(self.ended)}/{self.n_trials} trials", "bold"),
                f"   {self.time_left()}   best cell so far: {self.best_cell()}",
            )
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("cell", "seed", "epoch", "", self.objective.metric):
            table.add_column(name)
        for row, epoch, value in rows:
            bar = ProgressBar(self.epochs, epoch, width=24)
            table.add_row(row.cell, str(row.seed), f"{epoch}/{self.epochs}", bar, f"{value:.4g}")
        top = Table.grid()  # a bar by itself does not end its line
        top.add_row(header)
        top.add_row(ProgressBar(self.n_trials * self.epochs, done, width=60))
        return Group(top, table)
