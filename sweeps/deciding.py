"""A sweep that goes on until its findings are decided: one execution of a plan after another, with a look in between.

The numbers of seeds at which it looks are fixed before the first trial and kept in ``sweep.json``, because the error
rate of the verdicts rests on them (`analysis.looks`). Stopped at any place, it goes on where it stood: which cells need
more seeds follows from the records.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from rich.console import Console

from analysis.answer import answer
from analysis.follow_up import more_seeds
from analysis.load import load_table
from analysis.looks import Seen
from search_spaces.domains import Value
from search_spaces.errors import RefusedError
from sweeps.plan import Plan, RunOptions, cell_label, ended_trials
from sweeps.records import read_records, read_sweep
from sweeps.sweep import Outcome, execute, ray_for
from trainables.trial_spec import SWEEP_FILE


def run_until_decided(plan: Plan, options: RunOptions, tracking_uri: str, console: Console) -> Outcome:
    """Run the cells of ``plan`` on the seeds of the first look, then those of open findings on more.

    Args:
        plan: The plan of a study with looks.
        options: How to run it; a time budget is that of all executions together.
        tracking_uri: MLflow store of the mirror.
        console: Where progress and looks are shown.

    Raises:
        RefusedError: As `sweeps.sweep.execute`, or when the sweep was begun with other looks.
    """
    refuse_other_looks(plan)
    began, looks = time.monotonic(), plan.study.looks
    wanted = {point.label: looks[0] for point in plan.points}
    trained = 0
    with ExitStack() as session:
        for place, n_seeds in enumerate(looks):
            stage = at_seeds(plan, n_seeds, wanted)
            if stage.n_open and not trained:
                session.enter_context(ray_for(stage, options))
            outcome = execute(stage, remaining(options, began), tracking_uri, console)
            trained += outcome.trained
            if outcome.states["missing"] or outcome.states["running"]:
                break
            seen = look_at(plan, place)
            console.print(seen.text, markup=False, highlight=False, soft_wrap=True)
            if not seen.cells or place + 1 == len(looks) or spent(options, began):
                break
            wanted |= {label_of(plan, cell): looks[place + 1] for cell in seen.cells}
    return replace(outcome, trained=trained, wall_s=time.monotonic() - began)


def refuse_other_looks(plan: Plan) -> None:
    """Raise `RefusedError` when the sweep was begun with looks at other numbers of seeds."""
    if not (plan.folder / SWEEP_FILE).exists():
        return
    earlier = tuple(read_sweep(plan.folder).get("study", {}).get("looks") or ())
    if earlier and earlier != tuple(plan.study.looks):
        raise RefusedError(
            f"Sweep {plan.sweep_id} was begun with looks at {', '.join(map(str, earlier))} seeds, by which its error "
            f"rate is kept. Go on with --seeds {earlier[0]} --decide --max-seeds {earlier[-1]}."
        )


def at_seeds(plan: Plan, most: int, wanted: Mapping[str, int]) -> Plan:
    """Return the plan of one look: every cell on as many seeds as are wanted of it, ``most`` at most."""
    study = replace(plan.study, seeds=more_seeds(plan.study.seed_list, most))
    recorded = ended_trials(plan.folder.parent.parent, plan.folder)
    return replace(plan, study=study, n_seeds=dict(wanted), recorded=recorded)


def remaining(options: RunOptions, began: float) -> RunOptions:
    """Return the options with what is left of the time budget."""
    if options.time_budget_s is None:
        return options
    return replace(options, time_budget_s=max(1.0, options.time_budget_s - (time.monotonic() - began)))


def spent(options: RunOptions, began: float) -> bool:
    """Return whether the time budget is spent."""
    return options.time_budget_s is not None and time.monotonic() - began >= options.time_budget_s


def look_at(plan: Plan, place: int) -> Seen:
    """Return what the look at this place saw in the records."""
    path = answer(load_table(read_records(plan.folder))).path
    return path[min(place, len(path) - 1)]


def label_of(plan: Plan, cell: tuple[Value, ...]) -> str:
    """Return the name of a cell in the plan."""
    return cell_label(dict(zip(plan.study.grid_axes, cell, strict=True)))
