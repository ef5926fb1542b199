"""A declared question: family, space, seeds, budget, objective, and the analysis that answers it.

A study is data: it is read, checked and planned without Ray, torch or MLflow.
"""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Literal

from search_spaces.domains import Space, SpaceError, Value, did_you_mean
from search_spaces.errors import RefusedError
from sweeps import studies


class StudyError(RefusedError):
    """A study that cannot be found, read or run as it is written."""


@dataclass(frozen=True)
class Objective:
    """The metric that selects the epoch of a trial and the cell of a sweep; never a total that holds a swept weight."""

    metric: str
    mode: Literal["min", "max"] = "min"


@dataclass(frozen=True)
class Study:
    """One question about loss weights, and all that is needed to answer it.

    Args:
        name: Name of the study; also its MLflow experiment and its folder of results.
        family: Model family: a folder of `trainables`, or a package of the user's own.
        question: What is asked, one sentence.
        grid: Swept parameters with their values; the cells are their product.
        seeds: Number of seeds (1, 2, ...), or the seeds themselves.
        epochs: Epochs per trial.
        objective: Selects epoch and cell.
        analysis: Module of `analysis` that turns the records into findings.
        fixed: Values of parameters that are not swept and differ from the defaults of the space.
    """

    name: str
    family: str
    question: str
    grid: Mapping[str, Sequence[Value]]
    objective: Objective
    seeds: int | Sequence[int] = 3
    epochs: int = 20
    analysis: str = "grid"
    fixed: Mapping[str, Value] = field(default_factory=dict)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, from 1 when only their number is given."""
        return tuple(range(1, self.seeds + 1)) if isinstance(self.seeds, int) else tuple(self.seeds)

    def checked(self, space: Space) -> Study:
        """Return the study with every value in the type of its domain.

        Raises:
            SpaceError: If a parameter is unknown or a value is not admitted.
            StudyError: If the study itself is malformed: no cells, no seeds, a value twice, a bad name.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", self.name):
            raise StudyError(
                f"Study name {self.name!r} is not usable as a folder. Use letters, digits, '_', '-' and '.'."
            )
        if self.epochs < 1:
            raise StudyError(f"epochs={self.epochs} is below 1. Train for at least one epoch.")
        if not self.seed_list or min(self.seed_list) < 0 or len(set(self.seed_list)) != len(self.seed_list):
            raise StudyError(
                f"seeds={self.seeds!r} gives no usable seeds. Give a number above 0, or distinct seeds >= 0."
            )
        if not self.grid:
            raise StudyError(
                "Nothing is swept. A sweep compares cells: give at least one parameter in grid or --set."
            )
        if self.objective.mode not in ("min", "max"):
            raise StudyError(
                f"Objective mode {self.objective.mode!r} is neither 'min' nor 'max'. Write one of them."
            )
        both = sorted(set(self.grid) & set(self.fixed))
        if both:
            raise StudyError(f"{both[0]} is swept and fixed at once. Take it out of grid or of fixed.")
        grid = {name: checked_values(space, name, values) for name, values in self.grid.items()}
        return replace(
            self, grid=grid, fixed={name: space.check(name, value) for name, value in self.fixed.items()}
        )

    def with_parameters(self, settings: Mapping[str, Sequence[Value]]) -> Study:
        """Return the study with parameters set anew: one value fixes a parameter, several sweep it."""
        grid = {
            name: values
            for name, values in self.grid.items()
            if len(settings.get(name, values)) > 1 or name not in settings
        }
        fixed = {name: value for name, value in self.fixed.items() if name not in settings}
        for name, values in settings.items():
            if len(values) > 1:
                grid[name] = values
            else:
                fixed[name] = values[0]
        return replace(self, grid=grid, fixed=fixed)


def checked_values(space: Space, name: str, values: Sequence[Value]) -> tuple[Value, ...]:
    """Return the values of a swept parameter in the type of its domain, or raise for none, doubles or bad ones."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise SpaceError(f"{name}={values!r} is not a list of values. Write {name}=(value, value, ...).")
    checked = tuple(space.check(name, value) for value in values)
    if len(set(checked)) != len(checked):
        raise SpaceError(
            f"{name}={list(values)} holds a value twice. Every cell is one point: give each value once."
        )
    return checked


def study_names() -> list[str]:
    """Return the names of the studies that come with the project."""
    return sorted(module.name for module in pkgutil.iter_modules(studies.__path__))


def load_study(name: str) -> Study:
    """Return the study called ``name``, a module of `sweeps.studies` or the path of a study file.

    Raises:
        StudyError: If there is no such study, its file has an error, or it defines no ``STUDY``.
    """
    if name.endswith(".py") or "/" in name:
        module = import_file(Path(name))
    elif name in study_names():
        module = import_file(Path(str(studies.__path__[0])) / f"{name}.py")
    else:
        raise StudyError(
            f"Unknown study {name!r}.{did_you_mean(name, study_names())} There is {', '.join(study_names())}; "
            "a study of your own is named by the path of its file."
        )
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise StudyError(f"{name} defines no STUDY. End the file with STUDY = Study(...).")
    return study


def import_file(path: Path) -> ModuleType:
    """Return the module in the file at ``path``, or raise `StudyError` with the line that failed."""
    if not path.is_file():
        raise StudyError(
            f"Study file {path} does not exist. Give the path of a Python file that defines STUDY."
        )
    spec = importlib.util.spec_from_file_location(f"user_study_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StudyError(f"Study file {path} is not a Python file. Its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    make_importable(path.parent.resolve())
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may fail in any way; all of them are one refusal
        raise StudyError(
            f"{path}:{failing_line(error, path)}: {type(error).__name__}: {error}. Mend the study file."
        ) from error
    return module


def make_importable(folder: Path) -> None:
    """Put ``folder`` on the path of this process and of the workers it starts: a study may bring its family."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([inherited] if inherited else [])])


def failing_line(error: BaseException, path: Path) -> int:
    """Return the last line of the file at ``path`` in the traceback of ``error``, 1 when there is none."""
    if isinstance(error, SyntaxError):
        return error.lineno or 1
    line, frame = 1, error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
