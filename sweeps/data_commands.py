"""``sweeps data``: making, importing and looking at the data that families train on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from search_spaces.errors import RefusedError
from sweeps.options import json_option, split_options


@click.group()
def data() -> None:
    """Make or import data for a family."""


@data.command("check")
@click.argument("family")
@click.option("--data", "data_root", type=click.Path(path_type=Path), help="Your own data.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Fix a parameter.")
@json_option
def check_command(family: str, data_root: Path | None, settings: tuple[str, ...], as_json: bool) -> int:
    r"""Read a family's data and check that it is what the family takes it for.

    Exit status: 0 all is right; 1 something is wrong; 2 the data cannot be read.

    \b
    sweeps data check etrm
    sweeps data check etrm --data ~/arc --set side=30
    """
    from sweeps.probing import as_text, check_data
    from trainables.families import load_family

    space = load_family(family).space
    given = split_options("--set", settings, "side=30")
    results = check_data(family, {name: space.parse(name, text) for name, text in given}, data_root)
    if as_json:
        click.echo(json.dumps([result.as_json() for result in results], indent=2))
    else:
        click.echo(as_text(results))
    return 1 if any(result.alarm for result in results) else 0


@data.group()
def generate() -> None:
    """Simulate data."""


@data.group("import")
def import_() -> None:
    """Convert data from another format."""


@generate.command("events")
@click.option("--n", "n_events", type=click.IntRange(10), default=100_000, show_default=True, help="Events.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
def generate_events_command(n_events: int, seed: int, out: Path) -> None:
    r"""Simulate proton collisions with Pythia 8 and FastJet (extra: events).

    \b
    sweeps data generate events --n 100000 --seed 1 --out events.parquet
    sweeps run compare_globals_heads --data events.parquet
    """
    from trainables.globals_autoencoder.event_card import event_card
    from trainables.globals_autoencoder.events import read_events, write_events
    from trainables.globals_autoencoder.generate import generate_events

    require_suffix(out)
    card = out.with_suffix(".md")
    card.touch()  # a place that cannot be written is found now, and not after minutes of simulation
    with click.progressbar(length=n_events, label="events", file=sys.stderr) as bar:
        table = generate_events(n_events, seed, progress=lambda done, asked: bar.update(done - bar.pos))
    write_events(table, out)
    card.write_text(event_card(read_events(out), out))
    click.echo(f"{table.num_rows} events in {out}, described in {card}")


@import_.command("events")
@click.argument("csv", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
@click.option("--strict", is_flag=True, help="Refuse the file at its first malformed line.")
def import_events_command(csv: Path, out: Path, strict: bool) -> None:
    r"""Convert a CSV of the DarkMachines or four-tops challenge (MeV) to this project's schema (GeV).

    \b
    sweeps data import events TTbar.csv --out events.parquet
    """
    from trainables.globals_autoencoder.challenge_csv import import_events
    from trainables.globals_autoencoder.events import write_events

    require_suffix(out)
    result = import_events(csv, strict=strict)
    write_events(result.table, out)
    click.echo(f"{result.table.num_rows} events in {out}")
    if result.n_skipped:
        click.echo(
            f"{result.n_skipped} of {result.n_read + result.n_skipped} lines were skipped; see --strict."
        )
        for problem in result.first_problems:
            click.echo(f"  {problem}")


def require_suffix(out: Path) -> None:
    """Raise `RefusedError` unless ``out`` names a Parquet file."""
    if out.suffix != ".parquet":
        raise RefusedError(f"--out {out} does not end in .parquet. Events are written as Parquet.")
