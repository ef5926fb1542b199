"""What `sweeps run` and `sweeps next --run` do: run a plan, report it, and say where everything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeps.plan import Plan, RunOptions
from sweeps.reporting import closing_lines, conclude
from sweeps.storage import shown
from sweeps.sweep import Outcome, execute
from sweeps.terminal import console, print_json


def run_plan(plan: Plan, options: RunOptions, uri: str, out: Path, *, as_json: bool) -> int:
    """Run ``plan``, until its findings are decided where its study has looks; return the exit status.

    Args:
        plan: What to run.
        options: How to run it.
        uri: MLflow store.
        out: Folder of all results.
        as_json: Whether to print one JSON object instead of text.
    """
    screen = console(stderr=as_json)
    count = f"{plan.n_open} of {plan.n_trials} trials to train"
    screen.print(f"{plan.study.name} {plan.sweep_id}: {count}", highlight=False)
    if plan.study.looks:
        from sweeps.deciding import run_until_decided

        outcome = run_until_decided(plan, options, uri, screen)
    else:
        outcome = execute(plan, options, uri, screen)
    report_path, problems = conclude(outcome, uri, screen)
    facts = facts_of(plan, outcome, uri) | {"report": report_path and str(report_path), "problems": problems}
    if as_json:
        print_json(facts)
    else:
        screen.print(closing_lines(facts, shown(out)), highlight=False, markup=False, soft_wrap=True)
    return outcome.exit_code if report_path else 1


def facts_of(plan: Plan, outcome: Outcome, uri: str) -> dict[str, Any]:
    """Return how an execution ended, as plain values."""
    return {
        "sweep_id": plan.sweep_id,
        "records": shown(outcome.folder),
        "states": dict(outcome.states),
        "trained": outcome.trained,
        "wall_s": round(outcome.wall_s, 1),
        "tracking_uri": uri,
    }
