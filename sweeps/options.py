"""Options that several verbs of the command line share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from search_spaces.errors import RefusedError
from sweeps.study import SAMPLERS, SCHEDULERS

OUT = Path("outputs")
Command = TypeVar("Command", bound=Callable[..., Any])


class DurationType(click.ParamType):  # type: ignore[type-arg]
    """Seconds, written as ``90s``, ``15m``, ``2h`` or a plain number."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is not a duration above 0. Write it as 90s, 15m or 2h.", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class SizeType(click.ParamType):  # type: ignore[type-arg]
    """Bytes, written as ``800MB``, ``4GB`` or a plain number."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG]?)B?", str(value), re.IGNORECASE)
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is not a size above 0. Write it as 800MB or 4GB.", param, ctx)
        return int(float(match[1]) * {"": 1, "M": 10**6, "G": 10**9}[match[2].upper()])


class LabelType(click.ParamType):  # type: ignore[type-arg]
    """A label of a node, written as ``NAME=VALUE``."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        name, separator, label = str(value).partition("=")
        if not (name and separator and label):
            self.fail(f"{value!r} is no label. Write it as ray.io/accelerator-type=A10G.", param, ctx)
        return name, label


class OutType(click.ParamType):  # type: ignore[type-arg]
    """A folder of results: local, or in object storage as ``s3://bucket/prefix``, of which a local copy is made."""

    name = "path or uri"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the local folder, with the records that object storage has."""
        if "://" not in str(value):
            return Path(value)
        from sweeps.storage import local_out

        return local_out(str(value))


def study_options(command: Command) -> Command:
    """Add the options that say which trials a study consists of."""
    for option in reversed(
        [
            click.option("--seeds", type=click.IntRange(1), help="Number of seeds per cell."),
            click.option("--epochs", type=click.IntRange(1), help="Epochs per trial."),
            click.option(
                "--set", "settings", multiple=True, metavar="NAME=V1[,V2]", help="Fix or sweep a parameter."
            ),
            click.option(
                "--search", "ranges", multiple=True, metavar="NAME=LOW:HIGH", help="Search a parameter."
            ),
            click.option("--sampler", type=click.Choice(SAMPLERS), help="How a search draws its points."),
            click.option("--scheduler", type=click.Choice(SCHEDULERS), help="Ends unpromising points early."),
            click.option(
                "--max-trials", type=click.IntRange(1), help="Most trials of a search, finalists included."
            ),
            click.option(
                "--finalists", type=click.IntRange(1), help="Points that a search runs on all seeds."
            ),
            click.option("--data", "data_root", type=click.Path(path_type=Path), help="Your own data."),
            out_option,
            json_option,
        ]
    ):
        command = option(command)
    return command


out_option = click.option(
    "--out",
    type=OutType(),
    default=OUT,
    show_default=True,
    help="Folder of all results, or a place in object storage such as s3://bucket/results.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
uri_option = click.option(
    "--tracking-uri", help="MLflow store. [default: $MLFLOW_TRACKING_URI, or OUT/mlflow.db]"
)


def split_options(option: str, given: Sequence[str], example: str) -> list[tuple[str, str]]:
    """Return name and text of every ``NAME=TEXT``, or raise `RefusedError`."""
    pairs = [text.partition("=") for text in given]
    for text, (_, separator, values) in zip(given, pairs, strict=True):
        if not separator or not values:
            raise RefusedError(f"{option} {text!r} is not NAME=VALUE. Write {option} {example}.")
    return [(name, values) for name, _, values in pairs]
