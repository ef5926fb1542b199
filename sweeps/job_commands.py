"""``sweeps submit``, ``sweeps jobs`` and ``sweeps stop``: sweeps as jobs of a Ray cluster."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from search_spaces.errors import RefusedError
from sweeps.options import (
    SizeType,
    json_option,
    planned_from,
    question_options,
    running_options,
    uri_option,
)
from sweeps.study_files import is_path, load_study
from sweeps.terminal import console, print_json

if TYPE_CHECKING:  # imported where it is used: the command line must answer at once
    from sweeps.submit import Cluster, Job

INTERRUPTED = 130
OWN_OPTIONS = ("address", "out", "variables", "install", "most_bytes", "no_wait", "as_json")
address_option = click.option(
    "--address",
    help="Jobs API of the cluster. [default: $RAY_API_SERVER_ADDRESS, $RAY_ADDRESS or http://127.0.0.1:8265]",
)


@click.command(short_help="Run a study as a job of a Ray cluster.")
@click.argument("study")
@address_option
@click.option(
    "--out", required=True, help="Where the cluster keeps results: s3://..., or a path all nodes share."
)
@question_options
@running_options
@uri_option
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME",
    help="Send this variable of yours, sealed by Ray's token.",
)
@click.option("--install", is_flag=True, help="Install the packages of this machine on the nodes first.")
@click.option("--max-upload", "most_bytes", type=SizeType(), default="20MB", show_default=True)
@click.option("--no-wait", is_flag=True, help="Do not follow the job.")
@json_option
@click.pass_context
def submit(context: click.Context, /, study: str, **options: Any) -> int:
    """Run a study as a job of a Ray cluster, and follow it; again to resume or extend it.

    The job brings this project's code, the study's file and what it imports of yours. Ctrl-C leaves it running.
    Exit status: that of the sweep; 2 also when the cluster refuses it. With --no-wait 0: submitted.

    \b
    sweeps submit compare_globals_heads --address http://head:8265 --out s3://bucket/results
    sweeps submit my_study.py --out /shared/results --gpus-per-trial 0.25 --env MLFLOW_TRACKING_PASSWORD
    """
    from sweeps.submit import connect, row_of
    from sweeps.upload import files_of_job, lay_out, refuse_too_large

    job = job_of(context, study, options)
    files = files_of_job(study)
    refuse_too_large(files, options["most_bytes"])
    cluster = connect(options["address"])
    with tempfile.TemporaryDirectory(prefix="sweeps_job_") as folder:
        lay_out(files, Path(folder))
        name = cluster.submit(job, Path(folder))
    click.echo(f"Job {name} is submitted.", err=options["as_json"])
    if options["no_wait"]:
        return show_job(row_of(cluster.client.get_job_info(name)), options["as_json"])
    return followed(cluster, name, options["as_json"])


@click.command(short_help="The sweeps that are jobs of a cluster.")
@click.argument("job", required=False)
@address_option
@click.option("--follow", is_flag=True, help="Show its log until it ends; then exit as its sweep did.")
@json_option
def jobs(job: str | None, address: str | None, follow: bool, as_json: bool) -> int:
    """Show the sweeps that are jobs of a cluster, or one of them with the end of its log.

    JOB is a name from this list, or its beginning: the latest job is taken. Exit status: 0 shown; 2 refused.

    \b
    sweeps jobs --address http://head:8265
    sweeps jobs compare_globals_heads --follow
    """
    from sweeps.submit import connect, row_of

    cluster = connect(address)
    if job is None:
        return show_jobs([row_of(one) for one in cluster.jobs()], as_json)
    name = cluster.find(job)
    if follow:
        return followed(cluster, name, as_json)
    click.echo(cluster.log_tail(name), err=as_json)
    return show_job(row_of(cluster.client.get_job_info(name)), as_json)


@click.command(short_help="End a job; what is recorded stays.")
@click.argument("job")
@address_option
@json_option
def stop(job: str, address: str | None, as_json: bool) -> int:
    """End a job as Ctrl-C ends a sweep: what is recorded stays, and a report is written.

    Submitted again, it goes on where it was. Exit status: 0 it has ended; 2 refused.

    \b
    sweeps stop compare_globals_heads --address http://head:8265
    sweeps stop compare_globals_heads-7f3a2c91d0-1
    """
    from sweeps.submit import connect, row_of

    cluster = connect(address)
    name = cluster.find(job)
    details = cluster.stop(name)
    click.echo(cluster.log_tail(name), err=as_json)
    return show_job(row_of(details), as_json)


def job_of(context: click.Context, study: str, options: dict[str, Any]) -> Job:
    """Return the job that the options of `submit` ask for; all that can be refused here is refused here."""
    from sweeps.access import without_login
    from sweeps.plan import digest
    from sweeps.storage import refuse_login
    from sweeps.submit import Job
    from sweeps.upload import pinned_packages

    out, data = options["out"], options["data_root"]
    refuse_login(out)
    if options["tracking_uri"]:
        context.params["tracking_uri"] = without_login(options["tracking_uri"], os.environ)
    for option, place in (("--out", out), ("--data", data)):
        if place is not None and "://" not in str(place) and not Path(place).is_absolute():
            raise RefusedError(
                f"{option} {place} is a path of this machine. Give an absolute one, which all nodes of the cluster see."
            )
    asked = load_study(study)
    here = data if data is not None and Path(data).exists() else None
    with tempfile.TemporaryDirectory() as nothing:
        plan = planned_from(asked, **{**options, "out": Path(nothing), "data_root": here})
    sweep_id = plan.sweep_id if data == here else digest(plan.sweep_id, str(data))[:10]
    named = Path(study).name if is_path(study) else study
    return Job(
        study=plan.study.name,
        sweep_id=sweep_id,
        out=out,
        arguments=(named, "--out", out, *given_options(context)),
        sealed=sealed(options["variables"]),
        packages=pinned_packages() if options["install"] else [],
    )


def given_options(context: click.Context) -> Iterator[str]:
    """Yield the options of the command line that are the sweep's, as its job shall be given them."""
    for param in context.command.params:
        given = context.get_parameter_source(str(param.name)) == ParameterSource.COMMANDLINE
        if isinstance(param, click.Option) and given and param.name not in OWN_OPTIONS:
            value = context.params[str(param.name)]
            if param.is_flag:
                yield param.opts[0]
                continue
            for one in value if param.multiple else [value]:
                yield from (param.opts[0], "=".join(one) if isinstance(one, tuple) else str(one))


def sealed(names: Sequence[str]) -> str | None:
    """Return the variables of these names, sealed for the cluster; None when there are none.

    Raises:
        RefusedError: If one is not set here, or there is no token to seal them with.
    """
    from sweeps.sealed import find_token, seal, with_token

    unset = [name for name in names if name not in os.environ]
    if unset:
        raise RefusedError(
            f"--env {unset[0]}: there is no such variable here. Export it first; give its name alone."
        )
    token = find_token() if with_token() else ""
    if names and not token:
        raise RefusedError(
            "--env needs a cluster with a token (RAY_AUTH_MODE=token), for Ray shows a job's environment to everybody "
            "who asks. Without one set the variables on the nodes; see deploy/README.md."
        )
    return seal({name: os.environ[name] for name in names}, token) if names else None


def followed(cluster: Cluster, name: str, as_json: bool) -> int:
    """Show a job's log until it ends, and return the exit status of its sweep."""
    from sweeps.submit import ailment, exit_status, row_of

    try:
        details = cluster.follow(name, lambda text: click.echo(text, nl=False, err=as_json))
    except KeyboardInterrupt:
        follow, end = cluster.command("jobs", name, "--follow"), cluster.command("stop", name)
        click.echo(f"\nJob {name} goes on. Follow it with {follow}, end it with {end}.", err=True)
        return INTERRUPTED
    problem = ailment(details, cluster.log_tail(name))
    if problem:
        click.echo(f"sweeps: {problem}", err=True)
    show_job(row_of(details), as_json)
    return exit_status(details)


def show_job(row: dict[str, Any], as_json: bool) -> int:
    """Print how a job is doing; return 0."""
    if as_json:
        print_json(row)
    else:
        ended = "" if row["exit"] is None else f", exit status {row['exit']}"
        click.echo(f"Job {row['job']}: {row['state'].lower()}{ended}. Results: {row['out']}")
    return 0


def show_jobs(rows: list[dict[str, Any]], as_json: bool) -> int:
    """Print jobs as a table; return 0."""
    from sweeps.status import table_of

    if as_json:
        print_json(rows)
    else:
        console().print(
            table_of(rows) if rows else "The cluster has no sweeps. Send one with `sweeps submit`."
        )
    return 0
