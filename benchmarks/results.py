"""From seconds to figures: medians, ratios, targets, the table, and the file that keeps them.

A figure that was not run this time stays in the file with the machine and the time of its own measurement.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

from benchmarks.race import Timed
from benchmarks.workload import Workload
from sweeps.sweep import VERSIONED, git, installed

LATEST = Path(__file__).parent / "results" / "latest.json"
Result = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One ratio and what it should be.

    Args:
        name: Its name in the results.
        other: The contender that stands against `ours`.
        over: Which of the two is the numerator.
        target: The value that is promised.
        demo: Whether it is measured on the demo and not on short trials.
    """

    name: str
    other: Literal["stock", "pure"]
    over: Literal["ours", "other"]
    target: float
    demo: bool = False

    def ratio(self, ours_s: float, other_s: float) -> float:
        """Return the ratio of seconds."""
        return ours_s / other_s if self.over == "ours" else other_s / ours_s

    def met(self, ratio: float) -> bool:
        """Return whether a ratio is what was promised: high where the other is the numerator, else low."""
        return ratio <= self.target if self.over == "ours" else ratio >= self.target

    @property
    def promise(self) -> str:
        """The target as text."""
        return f"{'<=' if self.over == 'ours' else '>='} {self.target:g}"


FIGURES = (
    Figure("short_trials_vs_stock", "stock", "other", 3.0),
    Figure("short_trials_vs_pure", "pure", "ours", 1.4),
    Figure("demo_vs_pure", "pure", "ours", 1.15, demo=True),
)


def result_of(
    figure: Figure, rounds: Sequence[Mapping[str, Timed]], workload: Workload, machine: dict[str, Any]
) -> Result:
    """Return one figure's entry of the file: the ratio of the medians, and every run's seconds."""
    runs = [{"ours_s": one["ours"].wall_s, "other_s": one[figure.other].wall_s} for one in rounds]
    ours_s, other_s = (median(run[name] for run in runs) for name in ("ours_s", "other_s"))
    names = ("ours", figure.other)
    return {
        "name": figure.name,
        "ratio": round(figure.ratio(ours_s, other_s), 3),
        "ours_s": round(ours_s, 2),
        "other_s": round(other_s, 2),
        "runs": [{name: round(seconds, 2) for name, seconds in run.items()} for run in runs],
        "training_only_s": {name: training_only_s(rounds, name) for name in names},
        "training_s_per_trial": {name: training_s_per_trial(rounds, name) for name in names},
        "workload": asdict(workload),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
    }


def training_only_s(rounds: Sequence[Mapping[str, Timed]], name: str) -> float | None:
    """Return a contender's median seconds of training per core, None where they are not known."""
    known = [seconds for one in rounds if (seconds := one[name].training_only_s) is not None]
    return round(median(known), 2) if known else None


def training_s_per_trial(rounds: Sequence[Mapping[str, Timed]], name: str) -> float | None:
    """Return a contender's mean seconds of training per trial, None where they are not known."""
    known = [seconds for one in rounds if (seconds := one[name].trial_s) is not None]
    return round(mean(known), 3) if known else None


def merged(earlier: Sequence[Result], fresh: Sequence[Result]) -> list[Result]:
    """Return all results in the order of `FIGURES`, the fresh ones in place of earlier ones of their name."""
    by_name = {result["name"]: result for result in [*earlier, *fresh]}
    order = [figure.name for figure in FIGURES]
    known = [by_name[name] for name in order if name in by_name]
    return known + [result for name, result in by_name.items() if name not in order]


def write_results(path: Path, machine: dict[str, Any], fresh: Sequence[Result]) -> None:
    """Write the file, keeping the figures that were not measured now; ``machine`` is that of this run."""
    earlier = json.loads(path.read_text())["results"] if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "results": merged(earlier, fresh)}
    path.write_text(json.dumps(content, indent=2) + "\n")


def table(results: Sequence[Result]) -> str:
    """Return the figures as text, one line each, with the target and whether it was met."""
    lines = [f"{'figure':<22} {'ratio':>6}  {'target':<8} {'':<7} {'ours':>8}  other"]
    figures = {figure.name: figure for figure in FIGURES}
    for result in results:
        figure = figures[result["name"]]
        verdict = "ok" if figure.met(result["ratio"]) else "missed"
        lines.append(
            f"{figure.name:<22} {result['ratio']:>6.2f}  {figure.promise:<8} {verdict:<7} "
            f"{result['ours_s']:>6.1f} s  {figure.other} {result['other_s']:.1f} s"
        )
    return "\n".join(lines)


def describe_machine() -> dict[str, Any]:
    """Return what the seconds depend on: processor, memory, versions, code, and what else was running."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "versions": {name: found for name in VERSIONED if (found := installed(name))},
        "git_sha": git("rev-parse", "HEAD"),
        "git_dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Return the processor's name as Linux gives it, elsewhere what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
