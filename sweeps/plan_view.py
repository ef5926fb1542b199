"""A plan in words and as facts: what would run, what is finished, and what it will take."""

from __future__ import annotations

import statistics
from contextlib import suppress
from typing import Any

from search_spaces.errors import RefusedError
from sweeps.plan import Plan, cell_label
from sweeps.progress import duration
from sweeps.records import TRIALS_FILE, read_trial_rows


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain values."""
    study = plan.study
    return {
        "study": study.name,
        "question": study.question,
        "sweep_id": plan.sweep_id,
        "folder": str(plan.folder),
        "axes": {name: list(values) for name, values in study.grid.items()},
        "fixed": dict(study.fixed),
        "seeds": list(study.seed_list),
        "epochs": study.epochs,
        "n_trials": len(plan.trials),
        "n_finished": len(plan.finished),
        "n_open": len(plan.open_trials),
        "estimated_cpu_s": estimated_cpu_s(plan),
        "trials": [{"trial_id": t.trial_id, "cell": t.cell, "seed": t.seed} for t in plan.trials],
    }


def plan_text(plan: Plan) -> str:
    """Return the plan as lines for a terminal."""
    study, facts = plan.study, plan_facts(plan)
    axes = "\n".join(
        f"  {name:<14} {', '.join(str(v) for v in values)}" for name, values in study.grid.items()
    )
    n_cells = len(plan.trials) // len(study.seed_list)
    seconds = facts["estimated_cpu_s"]
    cost = (
        f"about {duration(seconds)} of one core, from trials of this study that are recorded"
        if seconds is not None
        else "unknown: no trial of this study is recorded here yet"
    )
    fixed = f"  fixed: {cell_label(study.fixed)}\n" if study.fixed else ""
    return (
        f"{study.name}: {study.question}\n{axes}\n{fixed}"
        f"  {n_cells} cells x {len(study.seed_list)} seeds = {len(plan.trials)} trials of {study.epochs} epochs, "
        f"best epoch by {study.objective.metric} ({study.objective.mode})\n"
        f"  finished {facts['n_finished']}, to train {facts['n_open']}, each on its own\n"
        f"  cost: {cost}\n"
        f"  sweep {plan.sweep_id} in {plan.folder}"
    )


def estimated_cpu_s(plan: Plan) -> float | None:
    """Return the core-seconds of the open trials, from recorded trials of the same study; None without any."""
    per_epoch = []
    for path in plan.folder.parent.glob(f"*/{TRIALS_FILE}"):
        with suppress(RefusedError):  # the damage of another sweep is no reason not to plan this one
            rows = read_trial_rows(path.parent).values()
            per_epoch += [
                row.wall_s / row.n_epochs for row in rows if row.state == "complete" and row.n_epochs
            ]
    if not per_epoch:
        return None
    return statistics.median(per_epoch) * plan.study.epochs * len(plan.open_trials)
