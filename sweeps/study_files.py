"""Studies by name or by the path of their file; a file may bring a family of its own beside it."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from search_spaces.domains import did_you_mean
from sweeps import studies
from sweeps.study import Study, StudyError


def study_names() -> list[str]:
    """Return the names of the studies that come with the project."""
    return sorted(module.name for module in pkgutil.iter_modules(studies.__path__))


def load_study(name: str) -> Study:
    """Return the study called ``name``, a module of `sweeps.studies` or the path of a study file.

    Raises:
        StudyError: If there is no such study, its file has an error, or it defines no ``STUDY``.
    """
    if is_path(name):
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


def is_path(name: str) -> bool:
    """Return whether a study is named by the path of its file."""
    return name.endswith(".py") or "/" in name


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
