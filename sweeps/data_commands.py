"""``sweeps data``: making, importing and looking at the data that families train on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """Read a family's data and check that it is what the family takes it for.

    A verdict is on the claim that its name makes, and some claims are bad news; what is wrong is marked with `!`.
    Exit status: 0 nothing is marked; 1 something is; 2 the data cannot be read.

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


@data.group()
def extract() -> None:
    """Turn texts into vectors."""


@generate.command("events")
@click.option("--n", "n_events", type=click.IntRange(10), default=100_000, show_default=True, help="Events.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write.")
def generate_events_command(n_events: int, seed: int, out: Path) -> None:
    """Simulate proton collisions with Pythia 8 and FastJet (extra: events).

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
    """Convert a CSV of the DarkMachines or four-tops challenge (MeV) to this project's schema (GeV).

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


@extract.command("lvm")
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    help="Folder, .jsonl or .parquet. [default: installed docstrings]",
)
@click.option(
    "--encoder",
    default="lsa",
    show_default=True,
    help="lsa, sentence-transformers:<name or path>, or gtr-t5[:<path>]; neural ones need the extra: vectors.",
)
@click.option(
    "--context", type=click.IntRange(1, 1000), default=5, show_default=True, help="Sentences of a context."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="NPZ or Parquet file to write.")
def extract_lvm_command(texts: Path | None, encoder: str, context: int, out: Path) -> None:
    """Cut texts into sentences, encode them, and write windows of five vectors and the next for `lvm`.

    A folder is read with all its .txt, .md and .rst files, a document each; the rows of .jsonl and .parquet files have
    a `text` and may have an `id`. Documents that repeat another are left out. lsa is fitted on all documents, held-out
    ones, too: its axes know their words, as those of an encoder from elsewhere may. Its decoder is written beside the
    file. Exit status: 0 written; 2 refused.

    \b
    sweeps data extract lvm --out windows.npz
    sweeps data extract lvm --texts notes/ --encoder sentence-transformers:all-MiniLM-L6-v2 --out notes.parquet
    """
    from trainables.lvm.corpus import default_corpus
    from trainables.lvm.extract import check_extraction, decoder_file, extract
    from trainables.lvm.texts import distinct, read_documents

    check_extraction(encoder, out)  # found now, and not after minutes of encoding
    started = time.monotonic()
    if texts is not None:
        documents = read_documents(texts)
    else:
        with progress_bar("documents") as progress:
            documents = default_corpus(progress)
    documents, repeats = distinct(documents)
    if repeats:
        listed = ", ".join(f"{name} (as {first})" for name, first in list(repeats.items())[:3])
        more = f" and {len(repeats) - 3} more" if len(repeats) > 3 else ""
        click.echo(f"{len(repeats)} documents repeat another word for word and are left out: {listed}{more}")
    with progress_bar("sentences") as progress:
        windows = extract(documents, encoder, out, context, progress)
    click.echo(
        f"{len(windows)} windows of {windows.n_documents} documents in {out}: d = {windows.target_vectors.shape[1]}, "
        f"encoder {windows.encoder}, {time.monotonic() - started:.0f} s"
    )
    if encoder == "lsa":
        click.echo(f"Its decoder is {decoder_file(out)}; keep both together.")


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of what is done and what there is, which draws both on standard error."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, asked: int) -> None:
            bar.length = asked
            bar.update(done - bar.pos)

        yield show


def require_suffix(out: Path) -> None:
    """Raise `RefusedError` unless ``out`` names a Parquet file."""
    if out.suffix != ".parquet":
        raise RefusedError(f"--out {out} does not end in .parquet. Events are written as Parquet.")
