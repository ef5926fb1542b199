"""What a sweep took: training time of all trials, the time from its first to its last epoch, memory, machines."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.table import SweepTable

HOUR_S, MINUTE_S = 3600.0, 60.0


def cost(table: SweepTable) -> dict[str, Any]:
    """Return what the sweep took; a number that nobody recorded is None.

    Returns:
        ``trial_hours``: sum of the trials' training times in hours, core-hours where a trial has one core.
        ``span_s``: seconds from the first to the last recorded epoch, with all waiting between starts.
        ``peak_memory_mb``: the most that the process of any trial took.
        ``nodes``: machines that trained, sorted.
    """
    trials, nothing = table.trials, pd.Series(dtype=object)
    wall_s = float(trials["wall_s"].fillna(0.0).sum()) if "wall_s" in trials else 0.0
    memory = pd.to_numeric(trials.get("memory_mb", nothing)).dropna()
    nodes = trials.get("node", nothing).dropna().unique()
    return {
        "trial_hours": wall_s / HOUR_S if wall_s else None,
        "span_s": table.span_s,
        "peak_memory_mb": float(memory.max()) if len(memory) else None,
        "nodes": sorted(str(node) for node in nodes),
    }


def cost_lines(table: SweepTable) -> dict[str, str]:
    """Return the cost in words, by what it is; what is not recorded is said to be so."""
    found = cost(table)
    hours, span, memory = found["trial_hours"], found["span_s"], found["peak_memory_mb"]
    return {
        "wall time": "not recorded"
        if span is None
        else f"{duration(span)} from the first to the last recorded epoch",
        "cost": "not recorded"
        if hours is None
        else f"{hours:.3g} hours of training, all {len(table.trials)} trials (core-hours at one core per trial)",
        "peak memory": "not recorded" if memory is None else f"{memory:,.0f} MB, the largest trial",
        **({"machines": ", ".join(found["nodes"])} if found["nodes"] else {}),
    }


def duration(seconds: float) -> str:
    """Return a time for people: ``42 s``, ``3.5 min``, ``2.1 h``."""
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE_S:.1f} min" if seconds < HOUR_S else f"{seconds / HOUR_S:.1f} h"
