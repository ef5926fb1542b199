"""The command ``python -m benchmarks.run``: race, table, results file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.contender import CONTENDERS
from benchmarks.race import ContenderError, DifferentWorkError, race
from benchmarks.results import (
    FIGURES,
    LATEST,
    Figure,
    Result,
    describe_machine,
    result_of,
    table,
    write_results,
)
from benchmarks.workload import DEMO, SHORT, Workload


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--repeats", type=click.IntRange(1), help="Rounds. [default: 3, for the demo 1]")
@click.option("--only", type=click.Choice([figure.name for figure in FIGURES]), help="One figure alone.")
@click.option(
    "--demo", is_flag=True, help="The whole demo against bare training: some ten minutes per round."
)
@click.option("--trials", type=click.IntRange(1, 27), help="Fewer trials: a smoke test, not kept.")
@click.option("--epochs", type=click.IntRange(1), help="Other epochs per trial: not kept.")
@click.option("--events", type=click.IntRange(10), help="Other number of events: not kept.")
@click.option("--out", type=click.Path(path_type=Path), default=LATEST, help="Results file.")
def main(
    repeats: int | None,
    only: str | None,
    demo: bool,
    trials: int | None,
    epochs: int | None,
    events: int | None,
    out: Path,
) -> None:
    r"""Measure what the driver costs, as ratios within one run.

    \b
    python -m benchmarks.run                                    short trials, medians of 3
    python -m benchmarks.run --demo                             the demo against bare training
    python -m benchmarks.run --repeats 1 --trials 2 --epochs 1 --events 600

    Exit status: 0 measured, whatever the ratios; 1 a contender failed or did different work.
    """
    figures = chosen_figures(only, demo)
    whole = DEMO if figures[0].demo else SHORT
    given = {"n_trials": trials, "epochs": epochs, "n_events": events}
    workload = replace(whole, **{name: value for name, value in given.items() if value is not None})
    machine = describe_machine()
    try:
        results = measure(figures, workload, repeats or (1 if figures[0].demo else 3), machine)
    except (ContenderError, DifferentWorkError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\n{table(results)}")
    if workload == whole:
        write_results(out, machine, results)
        click.echo(f"\nwritten to {out}")
    else:
        click.echo("\na cut-down workload: nothing is written")


def chosen_figures(only: str | None, demo: bool) -> list[Figure]:
    """Return the figures to measure; a name decides, otherwise those of the demo or of short trials."""
    return [figure for figure in FIGURES if (figure.name == only if only else figure.demo == demo)]


def measure(
    figures: Sequence[Figure], workload: Workload, repeats: int, machine: dict[str, object]
) -> list[Result]:
    """Race the contenders that the figures need, and return one result per figure."""
    wanted = {"ours", *(figure.other for figure in figures)}
    names = [name for name in CONTENDERS if name in wanted]
    events = workload.n_events or "all"
    click.echo(
        f"{workload.n_trials} trials x {workload.epochs} epochs on {events} events, {repeats} rounds of "
        f"{', '.join(names)}, on {machine['cores']} cores"
    )
    rounds = race(names, workload, repeats, click.echo)
    return [result_of(figure, rounds, workload, machine) for figure in figures]


if __name__ == "__main__":
    main()
