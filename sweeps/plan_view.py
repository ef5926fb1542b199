"""A plan in words and as facts: what would run, what is finished, and what it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from search_spaces.domains import Value, value_text
from sweeps.plan import Plan, cell_label
from sweeps.price import Price, node_memory_mb
from sweeps.storage import shown
from sweeps.study import ARM, Study


def plan_facts(plan: Plan, price: Price, time_budget_s: float | None = None) -> dict[str, Any]:
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
        "looks": list(study.looks),
        "follows": dict(study.follows),
        "epochs": study.epochs,
        "n_trials": plan.n_trials,
        "n_finished": plan.n_finished,
        "n_open": plan.n_open,
        "estimated_cpu_s": price.cpu_s(plan),
        "memory_mb_per_trial": price.memory_mb,
        "price_source": price.source,
        "node_memory_mb": node_memory_mb(),
        "affordable": price.affordable(plan, time_budget_s),
        "trials": [{"trial_id": t.trial_id, "cell": t.cell, "seed": t.seed} for t in plan.trials],
    }


def plan_text(plan: Plan, price: Price, time_budget_s: float | None = None) -> str:
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
        *([f"  {looks_text(plan)}"] if study.looks else []),
        *(
            f"  guard: ends a trial at {guard.text}; {study.guard_audit:.0%} are run on"
            for guard in plan.guards
        ),
        f"  finished {plan.n_finished}, to train {plan.n_open}, each on its own",
        f"  cost: {price.cost_text(plan)}",
        f"  memory: {price.memory_text()}",
        *([] if time_budget_s is None else [f"  {price.budget_text(plan, time_budget_s)}"]),
        f"  sweep {plan.sweep_id} in {shown(plan.folder)}",
    ]
    return "\n".join(lines)


def looks_text(plan: Plan) -> str:
    """Return when a sweep that runs until decided looks at its findings, and how many trials it may come to."""
    *first, last = plan.study.looks
    at = f"{', '.join(map(str, first))} and {last}" if first else str(last)
    most = len(plan.points) * last
    return f"looks at its findings after {at} seeds; open ones go on, {most} trials at most"


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
