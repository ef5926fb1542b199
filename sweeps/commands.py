"""The ``sweeps`` command line: one function per verb, each a few calls long.

Exit status: 0 done; 1 some trial failed or is unfinished, the rest is recorded; 2 refused, nothing was
started. Nothing heavy is imported at module level: ``sweeps --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from search_spaces.errors import RefusedError, UnfinishedError, first_line
from sweeps.compare_commands import compare
from sweeps.data_commands import data
from sweeps.job_commands import jobs, stop, submit
from sweeps.model_commands import promote
from sweeps.next_commands import next_study
from sweeps.options import (
    OUT,
    DurationType,
    OutType,
    json_option,
    out_option,
    planned_from,
    running_options,
    study_options,
    taken_run_options,
    uri_option,
)
from sweeps.sealed import open_sealed
from sweeps.study import Study
from sweeps.study_files import load_study, study_names
from sweeps.terminal import console, open_page, print_json

UNFINISHED, REFUSED = 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="counterpoise", prog_name="sweeps")
def cli() -> None:
    """Sweeps over loss weights on Ray, tracked in MLflow, answered with verdicts.

    \b
    sweeps list                          studies that come with the project
    sweeps plan compare_globals_heads    what would run
    sweeps run compare_globals_heads     run it; again to resume or extend it

    Exit status: 0 done; 1 some trial failed or is unfinished; 2 refused, nothing was started.
    """


for command in (compare, data, jobs, next_study, promote, stop, submit):
    cli.add_command(command)


@cli.command("list")
@json_option
def list_studies(as_json: bool) -> None:
    """List the studies that come with the project."""
    from rich.table import Table

    studies = [load_study(name) for name in study_names()]
    if as_json:
        print_json([{"name": s.name, "family": s.family, "question": s.question} for s in studies])
        return
    table = Table(box=None, header_style="dim")
    for name in ("study", "family", "trials", "question"):
        table.add_column(name)
    for study in studies:
        n_points, budget = len(study.grid_points), study.budget
        trials = f"{n_points} x {len(study.seed_list)}" if budget is None else f"search, {budget.n_trials}"
        table.add_row(study.name, study.family, trials, study.question)
    console().print(table)


@cli.command(short_help="What a study would run, and what it takes.")
@click.argument("study")
@study_options
@click.option("--time-budget", "time_budget_s", type=DurationType(), help="Say what this time would buy.")
@click.option(
    "--measure", is_flag=True, help="Train an epoch of each kind of model to learn time and memory."
)
@click.pass_obj
def plan(
    given: Study | None,
    /,
    study: str,
    as_json: bool,
    measure: bool,
    time_budget_s: float | None,
    **options: Any,
) -> None:
    """Show what a study would run: cells, seeds, what is finished, what it takes. Starts no sweep.

    \b
    sweeps plan compare_globals_heads
    sweeps plan compare_globals_heads --measure
    sweeps plan compare_globals_heads --seeds 5 --set latent_dim=2,8
    sweeps plan recon_weight --max-trials 200 --time-budget 2h
    """
    from sweeps.plan_view import plan_facts, plan_text
    from sweeps.price import recorded_price, rehearsed_price

    planned = planned_from(given or load_study(study), **options)
    price = rehearsed_price(planned) if measure else recorded_price(planned)
    if as_json:
        print_json(plan_facts(planned, price, time_budget_s))
    else:
        console().print(
            plan_text(planned, price, time_budget_s), markup=False, highlight=False, soft_wrap=True
        )


@cli.command(short_help="Run a study, or what is left of it, and report.")
@click.argument("study", required=False)
@study_options
@uri_option
@click.option("--address", help="Ray cluster. [default: a running local one, else this machine]")
@running_options
@click.pass_obj
def run(
    given: Study | None, /, study: str | None, as_json: bool, tracking_uri: str | None, **options: Any
) -> int:
    """Run a study and report its answer; run it again to resume or extend it.

    \b
    sweeps run compare_globals_heads
    sweeps run compare_globals_heads --seeds 5 --epochs 10 --set latent_dim=2,8
    sweeps run recon_weight --search kl_weight=1e-3:10 --max-trials 200 --time-budget 2h
    sweeps run my_study.py --address auto --gpus-per-trial 0.25
    sweeps run compare_globals_heads --decide --max-seeds 10
    """
    from sweeps.access import tracking_uri as clean_uri
    from sweeps.running import run_plan

    if given is None and study is None:
        raise RefusedError("No study given. Name one of `sweeps list`, or the path of a study file.")
    run_options = taken_run_options(options)
    planned = planned_from(given or load_study(str(study)), **options)
    uri = clean_uri(tracking_uri, options["out"])
    return run_plan(planned, run_options, uri, options["out"], as_json=as_json)


@cli.command(short_help="Write the report of a sweep again.")
@click.argument("sweep", required=False)
@click.option("--records", type=click.Path(path_type=Path), help="Any folder of records, whoever wrote it.")
@click.option(
    "--out", "report_out", type=click.Path(path_type=Path), help="Where to write. [default: SWEEP/report]"
)
@click.option(
    "--results",
    type=OutType(),
    default=OUT,
    show_default=True,
    help="Folder of all results.",
)
@click.option("--tracking-uri", help="Read the sweep from this MLflow store; needs --out.")
@click.option(
    "--pictures",
    "most_drawn",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Most trials to draw pictures of, those of the best cells first.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in your browser; not with --json.")
@json_option
def report(
    sweep: str | None,
    records: Path | None,
    report_out: Path | None,
    results: Path,
    tracking_uri: str | None,
    most_drawn: int,
    opened: bool,
    as_json: bool,
) -> None:
    """Write report.html, report.json, report.xlsx, cells.csv and the figures of a sweep, and print its verdicts.

    \b
    sweeps report compare_globals_heads --open  its latest sweep, in your browser
    sweeps report 7f3a2c91d0                    a sweep by id
    sweeps report --records /data/run1 --out /tmp/report
    sweeps report 7f3a2c91d0 --tracking-uri http://head:5000 --out /tmp/report
    """
    from sweeps.access import refuse_silent
    from sweeps.access import tracking_uri as clean_uri
    from sweeps.reporting import write_mlflow_report, write_sweep_report
    from sweeps.status import find_sweep

    if (sweep is None) == (records is None):
        raise RefusedError("Give either a sweep (from `sweeps status`) or --records DIR.")
    screen = console(stderr=as_json)
    if tracking_uri is not None:
        if sweep is None or report_out is None:
            raise RefusedError("--tracking-uri reads a sweep by its id and needs --out DIR for the report.")
        uri = clean_uri(tracking_uri, results)
        refuse_silent(uri, None)
        path = write_mlflow_report(uri, sweep, report_out, screen)
    else:
        folder = records or find_sweep(results, str(sweep))
        path = write_sweep_report(folder, screen, always=True, out=report_out, most_drawn=most_drawn)
    if as_json:
        click.echo((path.parent / "report.json").read_text())
    elif opened:
        open_page(path)


@cli.command(short_help="Send what MLflow or object storage lack.")
@click.argument("sweep", required=False)
@out_option
@uri_option
@json_option
def sync(sweep: str | None, out: Path, tracking_uri: str | None, as_json: bool) -> int:
    """Send to MLflow, and to object storage, what they have not got: of one sweep, or of all under OUT."""
    from sweeps.access import refuse_without_access
    from sweeps.access import tracking_uri as clean_uri
    from sweeps.reporting import publish_alone, store_alone
    from sweeps.status import find_sweep, sweep_folders
    from sweeps.storage import shown
    from sweeps.tracking import PATIENCE_S

    uri = clean_uri(tracking_uri, out)
    folders = [find_sweep(out, sweep)] if sweep else sweep_folders(out)
    silent = refuse_without_access(uri, None, PATIENCE_S)
    problems: dict[str, str | None] = {}
    for folder in folders:
        unstored = store_alone(folder)
        unsent = f"{uri} does not answer: {silent}" if silent else unstored or publish_alone(folder, uri)
        problems[shown(folder)] = unsent or store_alone(folder)
    if as_json:
        print_json({"tracking_uri": uri, "sweeps": problems})
    for place, problem in problems.items():
        if not as_json:
            click.echo(f"{place}: {problem or 'complete in MLflow'}")
    return 1 if any(problems.values()) else 0


@cli.command(short_help="The sweeps there are, or the trials of one.")
@click.argument("sweep", required=False)
@out_option
@json_option
def status(sweep: str | None, out: Path, as_json: bool) -> None:
    """Show the sweeps under OUT, or the trials of one: states, epochs, errors."""
    from sweeps.status import find_sweep, sweep_rows, table_of, trial_rows
    from sweeps.storage import shown

    rows = trial_rows(find_sweep(out, sweep)) if sweep else sweep_rows(out)
    if as_json:
        print_json(rows)
    else:
        console().print(
            table_of(rows) if rows else f"No sweeps under {shown(out)}. Start one with `sweeps run`."
        )


@cli.command(short_help="Experiment on a trained model or on data.")
@click.argument("trial")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--data", "data_root", type=click.Path(path_type=Path), help="Your own data.")
@out_option
@uri_option
@json_option
def probe(
    trial: str, file: Path | None, data_root: Path | None, out: Path, tracking_uri: str | None, as_json: bool
) -> None:
    """Experiment on a trained model, or on data before any is trained, and print verdicts.

    TRIAL is a trial's folder, or its id (or the beginning of it) from `sweeps status SWEEP`. The results go to
    facts/probe.json and to the trial's MLflow run. FAMILY-data FILE examines the family's data instead. Exit status: 0
    probed, whatever was found; 2 refused.

    \b
    sweeps probe 7f3a2c91
    sweeps probe outputs/encoder_variance/7f3a2c91d0/arm=standard/seed_1
    sweeps probe lvm-data windows.npz
    """
    from sweeps.probing import as_text, check_data, family_of_data
    from sweeps.probing import probe as run_probe

    problem, where = None, ""
    if (family := family_of_data(trial)) is not None:
        results = check_data(family, {}, file or data_root)
    elif file is not None:
        raise RefusedError(f"{trial!r} is a trial, whose data is given by --data {file}.")
    else:
        folder, results, problem = run_probe(out, trial, data_root, tracking_uri)
        where = f"{folder}\n"
    if as_json:
        print_json([result.as_json() for result in results])
    else:
        click.echo(f"{where}{as_text(results)}")
    if problem:
        click.echo(f"Not in MLflow: {problem}", err=True)


@cli.command(short_help="MLflow's UI over this project's store.")
@out_option
@uri_option
@click.option("--port", type=int, default=5000, show_default=True)
def ui(out: Path, tracking_uri: str | None, port: int) -> None:
    """Serve the MLflow UI over this project's store, on this machine only."""
    from sweeps.access import tracking_uri as clean_uri

    uri = clean_uri(tracking_uri, out)
    if uri.startswith("http"):
        raise RefusedError(f"{uri} is a server, which serves the UI itself. Open it in a browser.")
    artifacts = (out / "mlartifacts").resolve().as_uri()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--default-artifact-root", artifacts]
    click.echo(f"MLflow UI over {uri}: http://127.0.0.1:{port} (Ctrl-C ends it)")
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # a dozen idle workers less
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port)])


@cli.command(short_help="Check that everything a sweep needs is there.")
@out_option
@uri_option
@json_option
def doctor(out: Path, tracking_uri: str | None, as_json: bool) -> int:
    """Check what a sweep needs: packages, data, output folder, tracking store, cores, memory, GPUs."""
    from sweeps.access import tracking_uri as clean_uri
    from sweeps.doctor import checks

    found = checks(out, clean_uri(tracking_uri, out))
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        for check in found:
            click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.found}")
    return 0 if all(check.ok for check in found) else REFUSED


def run_cli(arguments: Sequence[str], study: Study | None = None) -> int:
    """Run the command line; return the exit status. Every refusal is one line on standard error."""
    try:
        open_sealed()
        result = cli.main(args=list(arguments), prog_name="sweeps", standalone_mode=False, obj=study)
    except RefusedError as error:
        click.echo(f"sweeps: {error}", err=True)
        return REFUSED
    except click.ClickException as error:
        error.show()
        return REFUSED
    except UnfinishedError as error:
        click.echo(f"sweeps: {error}", err=True)
        return UNFINISHED
    except OSError as error:
        click.echo(f"sweeps: {first_line(error)}. Choose a place that can be read and written.", err=True)
        return REFUSED
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. What is recorded stays; run it again to resume.", err=True)
        return 130
    return result if isinstance(result, int) else 0
