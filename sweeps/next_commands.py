"""``sweeps next``: the studies that a sweep's findings propose, what they cost, and what they could change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search_spaces.domains import did_you_mean
from search_spaces.errors import RefusedError
from sweeps.options import json_option, out_option, running_options, taken_run_options, uri_option
from sweeps.terminal import console, print_json

if TYPE_CHECKING:  # the analysis is imported when there is something to propose
    from analysis.follow_up import FollowUp
    from sweeps.plan import Plan


@click.command("next", short_help="What to run next, why, at what cost.")
@click.argument("sweep")
@out_option
@click.option("--choose", help="Name of the proposal, or its number. [default: the first]")
@click.option("--run", "wanted", is_flag=True, help="Run it.")
@click.option("--data", "data_root", type=click.Path(path_type=Path), help="Your own data.")
@uri_option
@click.option("--address", help="Ray cluster. [default: a running local one, else this machine]")
@running_options
@json_option
def next_study(
    sweep: str,
    out: Path,
    choose: str | None,
    wanted: bool,
    data_root: Path | None,
    tracking_uri: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show what to run after a sweep: why, what it costs, what it could change; with --run, run it.

    SWEEP is an id from `sweeps status`, or a study, of which the latest sweep is taken.

    \b
    sweeps next compare_globals_heads
    sweeps next compare_globals_heads --choose 2 --run

    Exit status: 0 shown, or run to its end; 1 some trial failed or is unfinished; 2 refused, or nothing is proposed.
    """
    from sweeps.access import tracking_uri as clean_uri
    from sweeps.plan import make_plan
    from sweeps.running import run_plan
    from sweeps.status import find_sweep
    from sweeps.study_files import load_study

    folder = find_sweep(out, sweep)
    found = proposals_of(folder)
    chosen = chosen_of(found, choose)
    path = write_study(chosen, folder)
    plan = make_plan(load_study(str(path)), out, data_root)
    if not wanted:
        show(found, chosen, path, plan, as_json)
        return 0
    return run_plan(plan, taken_run_options(options), clean_uri(tracking_uri, out), out, as_json=as_json)


def proposals_of(folder: Path) -> list[FollowUp]:
    """Return what the records in ``folder`` propose, or raise `RefusedError` when that is nothing."""
    from analysis.answer import answer
    from analysis.load import load_table
    from sweeps.records import read_records

    found = answer(load_table(read_records(folder))).proposals
    if not found:
        raise RefusedError(
            f"Sweep {folder.name} proposes no study: every finding is decided and no weight can be refined, or its "
            "records do not say enough. See `sweeps report`."
        )
    return found


def chosen_of(found: Sequence[FollowUp], choose: str | None) -> FollowUp:
    """Return the proposal of this name or number, the first when None, or raise `RefusedError`."""
    if choose is None:
        return found[0]
    if choose.isdigit() and 1 <= int(choose) <= len(found):
        return found[int(choose) - 1]
    names = [proposal.name for proposal in found]
    if choose in names:
        return found[names.index(choose)]
    raise RefusedError(
        f"No proposal {choose!r}.{did_you_mean(choose, names)} There is 1 to {len(found)}: {', '.join(names)}."
    )


def write_study(chosen: FollowUp, folder: Path) -> Path:
    """Write a proposal as a study file beside the records that propose it; return its path."""
    from analysis.study_file import study_text
    from sweeps.records import write_atomically

    path = folder / "next" / f"{chosen.name}.py"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, study_text(chosen))
    return path


def show(found: Sequence[FollowUp], chosen: FollowUp, path: Path, plan: Plan, as_json: bool) -> None:
    """Print the chosen proposal with its plan, and the others by name."""
    from sweeps.plan_view import plan_facts, plan_text
    from sweeps.price import recorded_price
    from sweeps.storage import shown

    price = recorded_price(plan, *folders_of_parent(plan))
    if as_json:
        listed = [proposal.as_json() for proposal in found]
        print_json(
            {"proposals": listed, "chosen": chosen.name, "file": str(path), "plan": plan_facts(plan, price)}
        )
        return
    lines = [
        f"why       {chosen.reason}",
        f"changes   {chosen.could_change}",
        "",
        plan_text(plan, price),
        "",
        f"file      {shown(path)}",
        "run it    the same command with --run",
        *(
            f"also      {n}: {one.name}, {one.n_trials} trials: {one.question}"
            for n, one in enumerate(found, 1)
            if one != chosen
        ),
    ]
    console().print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def folders_of_parent(plan: Plan) -> list[Path]:
    """Return the folder of the study that a plan's study follows: what its trials took says what these will."""
    name = plan.study.follows.get("study")
    return [plan.folder.parent.parent / name] if name else []
