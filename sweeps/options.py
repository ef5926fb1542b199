"""Options that several verbs of the command line share, and how their texts are read."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from search_spaces.domains import Value
from search_spaces.errors import RefusedError
from sweeps.study import ARM, SAMPLERS, SCHEDULERS, Study

if TYPE_CHECKING:  # imported where it is used: the command line must answer at once
    from sweeps.plan import Plan, RunOptions

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


def adding(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that adds ``options`` to a command, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


question_options = adding(
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
        click.option("--finalists", type=click.IntRange(1), help="Points that a search runs on all seeds."),
        click.option(
            "--decide", is_flag=True, help="Add seeds where findings are open, until they are decided."
        ),
        click.option(
            "--max-seeds",
            type=click.IntRange(2),
            default=10,
            show_default=True,
            help="Most seeds of --decide.",
        ),
        click.option("--data", "data_root", type=click.Path(path_type=Path), help="Your own data."),
    ]
)
"""What a study asks: which trials it consists of."""

running_options = adding(
    [
        click.option(
            "--cpus-per-trial", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True
        ),
        click.option("--gpus-per-trial", type=click.FloatRange(0), default=0.0, show_default=True),
        click.option(
            "--memory-per-trial", type=SizeType(), help="Most memory of a trial's process, such as 4GB."
        ),
        click.option(
            "--label", "labels", type=LabelType(), multiple=True, help="Train on nodes with this label alone."
        ),
        click.option(
            "--device", type=click.Choice(["cpu", "cuda"]), help="[default: cuda for trials with a GPU]"
        ),
        click.option(
            "--time-budget", "time_budget_s", type=DurationType(), help="Stop after this time, such as 2h."
        ),
        click.option(
            "--max-failures",
            type=click.IntRange(0),
            default=3,
            show_default=True,
            help="Retries of a dead process.",
        ),
    ]
)
"""How trials are run."""

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
study_options = adding([question_options, out_option, json_option])


def split_options(option: str, given: Sequence[str], example: str) -> list[tuple[str, str]]:
    """Return name and text of every ``NAME=TEXT``, or raise `RefusedError`."""
    pairs = [text.partition("=") for text in given]
    for text, (_, separator, values) in zip(given, pairs, strict=True):
        if not separator or not values:
            raise RefusedError(f"{option} {text!r} is not NAME=VALUE. Write {option} {example}.")
    return [(name, values) for name, _, values in pairs]


def planned_from(study: Study, **options: Any) -> Plan:
    """Return the plan of ``study`` under the options of `question_options`, with results in ``options["out"]``."""
    from sweeps.plan import make_plan
    from trainables.families import load_family

    space = load_family(study.family).space
    settings: dict[str, list[Value]] = {}
    for name, text in split_options("--set", options["settings"], "globals_beta=0,1,10"):
        named = name == ARM and study.arms
        settings[name] = [part if named else space.parse(name, part) for part in text.split(",")]
    ranges = {
        name: [space.parse(name, part) for part in text.split(":")]
        for name, text in split_options("--search", options["ranges"], "kl_weight=1e-3:10")
    }
    refuse_unknown_analysis(study.analysis)
    names = ("seeds", "epochs", "sampler", "scheduler", "max_trials", "finalists")
    changes = {name: options[name] for name in names if options[name] is not None}
    changed = replace(study, **changes).with_parameters(settings).with_ranges(ranges)
    if options["decide"]:
        changed = changed.until_decided(options["max_seeds"])
    return make_plan(changed, options["out"], options["data_root"])


def taken_run_options(options: dict[str, Any]) -> RunOptions:
    """Take the options of `running_options` and the address out of ``options``, and return them."""
    from sweeps.plan import RunOptions

    return RunOptions(**{field.name: options.pop(field.name) for field in fields(RunOptions)})


def refuse_unknown_analysis(analysis: str) -> None:
    """Raise `RefusedError` unless there is such a module."""
    if importlib.util.find_spec(analysis if "." in analysis else f"analysis.{analysis}") is None:
        raise RefusedError(
            f"analysis={analysis!r} is no module of analysis/. Name one, or leave it for 'grid'."
        )
