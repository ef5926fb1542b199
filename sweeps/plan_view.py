"""A plan in words and as facts: what would run, what is finished, and what it will take."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from search_spaces.domains import Value, value_text
from search_spaces.errors import RefusedError
from sweeps.plan import Plan, cell_label
from sweeps.progress import duration
from sweeps.records import TRIALS_FILE, TrialRow, read_trial_rows
from sweeps.storage import shown
from sweeps.study import ARM, Study

SAFE_SHARE = 0.8  # of a machine's memory: beyond it Ray begins to end processes


def plan_facts(plan: Plan, time_budget_s: float | None = None) -> dict[str, Any]:
    """Return the plan as plain values; with a time budget, what it buys."""
    study = plan.study
    return {
        "study": study.name,
        "question": study.question,
        "sweep_id": plan.sweep_id,
        "folder": shown(plan.folder),
        "axes": {name: list(values) for name, values in study.grid_axes.items()},
        "arms": {arm: dict(params) for arm, params in study.arms.items()},
        "search": {name: list(bounds) for name, bounds in study.search.items()},
        "budget": None if study.budget is None else asdict(study.budget),
        "guards": [guard.text for guard in plan.guards],
        "fixed": dict(study.fixed),
        "seeds": list(study.seed_list),
        "epochs": study.epochs,
        "n_trials": plan.n_trials,
        "n_finished": plan.n_finished,
        "n_open": plan.n_open,
        "estimated_cpu_s": estimated_cpu_s(plan),
        "memory_mb_per_trial": memory_mb(plan),
        "node_memory_mb": node_memory_mb(),
        "affordable": affordable(plan, time_budget_s),
        "trials": [{"trial_id": t.trial_id, "cell": t.cell, "seed": t.seed} for t in plan.trials],
    }


def plan_text(plan: Plan, time_budget_s: float | None = None) -> str:
    """Return the plan as lines for a terminal; with a time budget, what it buys."""
    study = plan.study
    objectives = [f"{one.metric} ({one.mode})" for one in study.objectives]
    lines = [
        f"{study.name}: {study.question}",
        *axis_lines(study),
        "",
        *([f"  fixed: {cell_label(study.fixed)}"] if study.fixed else []),
        f"  {trials_text(plan)} of {study.epochs} epochs, best epoch by {objectives[0]}",
        *([f"  searches {', '.join(objectives)}"] if len(study.objectives) > 1 else []),
        *(
            f"  guard: ends a trial at {guard.text}; {study.guard_audit:.0%} are run on"
            for guard in plan.guards
        ),
        f"  finished {plan.n_finished}, to train {plan.n_open}, each on its own",
        f"  cost: {cost_text(plan)}",
        f"  memory: {memory_text(plan)}",
        *([] if time_budget_s is None else [f"  {budget_text(plan, time_budget_s)}"]),
        f"  sweep {plan.sweep_id} in {shown(plan.folder)}",
    ]
    return "\n".join(lines)


def axis_lines(study: Study) -> list[str]:
    """Return one line per axis, and one per arm."""
    lines = [f"  {name:<14} {', '.join(map(value_text, values))}" for name, values in study.grid.items()]
    lines += [f"  {name:<14} {range_text(bounds)}" for name, bounds in study.search.items()]
    return lines + [f"  {ARM} {arm}: {cell_label(params)}" for arm, params in study.arms.items()]


def range_text(bounds: Sequence[Value]) -> str:
    """Return what a search may draw: ``0.001 to 10``, or the options."""
    if len(bounds) == 2 and not any(isinstance(bound, str | bool) for bound in bounds):
        return f"{value_text(bounds[0])} to {value_text(bounds[1])}, searched"
    return f"one of {', '.join(map(value_text, bounds))}, searched"


def trials_text(plan: Plan) -> str:
    """Return how many trials there are, and what they are spent on."""
    study, budget = plan.study, plan.study.budget
    n_seeds = len(study.seed_list)
    if budget is None:
        return f"{len(plan.points)} cells x {n_seeds} seeds = {plan.n_trials} trials"
    searches = f"{budget.n_groups} searches x" if budget.n_groups > 1 else "a search:"
    drawn = f"{budget.points} points by {study.sampler}{f', pruned by {study.scheduler}' if study.scheduler else ''}"
    finalists = f"{budget.finalists} finalists on {budget.further_seeds} further seeds"
    return f"{searches} ({drawn} + {finalists}) = {plan.n_trials} trials at most"


def cost_text(plan: Plan) -> str:
    """Return what the open trials will take, in words."""
    seconds = estimated_cpu_s(plan)
    if seconds is None:
        return "unknown: no trial of this study is recorded here yet"
    return f"about {duration(seconds)} of one core, from trials of this study that are recorded"


def estimated_cpu_s(plan: Plan) -> float | None:
    """Return the core-seconds of the open trials, from recorded trials of the same study; None without any."""
    per_epoch = [row.wall_s / row.n_epochs for row in kin_of(plan) if row.n_epochs]
    if not per_epoch:
        return None
    return statistics.median(per_epoch) * plan.study.epochs * plan.n_open


def memory_mb(plan: Plan) -> float | None:
    """Return the most memory that a recorded trial of the same study took, in MB; None without any."""
    return max((row.memory_mb for row in kin_of(plan) if row.memory_mb is not None), default=None)


def memory_text(plan: Plan) -> str:
    """Return what the trials take, in words, with a warning when this machine has not got it."""
    per_trial, here, slots = memory_mb(plan), node_memory_mb(), os.cpu_count() or 1
    if per_trial is None:
        return "unknown: no trial of this study is recorded here yet; its process starts at about 400 MB"
    at_once = slots * per_trial
    taken = f"at most {per_trial:,.0f} MB per trial so far, {at_once:,.0f} MB for {slots} at once"
    if at_once < SAFE_SHARE * here:
        return f"{taken}, of {here:,.0f} MB here"
    return (
        f"{taken}, and this machine has {here:,.0f} MB. WARNING: give --memory-per-trial, by which Ray runs fewer "
        "at once, or more --cpus-per-trial"
    )


def node_memory_mb() -> float:
    """Return the memory of this machine in MB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6


def kin_of(plan: Plan) -> list[TrialRow]:
    """Return the recorded trials of the same study that completed, in whatever sweep."""
    rows: list[TrialRow] = []
    for path in plan.folder.parent.glob(f"*/{TRIALS_FILE}"):
        with suppress(RefusedError):  # the damage of another sweep is no reason not to plan this one
            rows += [row for row in read_trial_rows(path.parent).values() if row.state == "complete"]
    return rows


def affordable(plan: Plan, time_budget_s: float | None) -> int | None:
    """Return how many of the open trials a time budget buys on this machine, one per core; None when unknown."""
    seconds = estimated_cpu_s(plan)
    if time_budget_s is None or seconds is None or not plan.n_open:
        return None
    per_trial_s = seconds / plan.n_open
    return min(plan.n_open, int(time_budget_s * (os.cpu_count() or 1) / per_trial_s))


def budget_text(plan: Plan, time_budget_s: float) -> str:
    """Return what a time budget buys, in words."""
    bought, time = affordable(plan, time_budget_s), duration(time_budget_s)
    if bought is None:
        return f"{time} buy: unknown, no trial of this study is recorded here yet"
    share = ""
    if plan.study.budget is not None:
        points = plan.study.budget.n_search / plan.study.budget.n_trials
        share = f"; new points are drawn for {points:.0%} of the time, the rest is kept for the finalists"
    cores = os.cpu_count() or 1
    return f"{time} buy: about {bought} of {plan.n_open} open trials on {cores} cores{share}"
