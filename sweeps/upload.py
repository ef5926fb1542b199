"""What a job brings along: this project's packages, the study's file, and what the study imports of the user's own.

Ray copies the job's working directory to every node. Installed packages are the cluster's own matter, and so is data.
"""

from __future__ import annotations

import importlib
import json
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from search_spaces.errors import RefusedError
from sweeps.study_files import is_path
from sweeps.sweep import ORIGIN_FILE, code_origin

PACKAGES = ("analysis", "search_spaces", "sweeps", "trainables")
PROJECT = "counterpoise"
RAY_MOST_BYTES = 100 * 2**20  # what Ray itself takes
MOST_NAMED = 5


def files_of_job(study: str) -> dict[str, Path]:
    """Return the files that a job needs by their place in its working directory; call it when the study is loaded.

    Args:
        study: Name of a study, or the path of its file.
    """
    roots = {name: Path(str(importlib.import_module(name).__file__)).parent for name in PACKAGES}
    found = roots | own_modules()
    if is_path(study):
        found[Path(study).name] = Path(study).resolve()
    return {str(Path(name) / part): file for name, root in found.items() for part, file in files_below(root)}


def own_modules() -> dict[str, Path]:
    """Return the top-level modules and packages in use that are neither Python's, nor installed, nor this project's."""
    tops = {name.partition(".")[0] for name in sys.modules} - {*PACKAGES, "__main__"}
    places = {name: place_of(name) for name in tops if not name.startswith("user_study_")}
    theirs = [*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()]
    return {
        place.name: place
        for place in places.values()
        if place is not None and not any(place.is_relative_to(Path(folder).resolve()) for folder in theirs)
    }


def place_of(name: str) -> Path | None:
    """Return the folder or file of an imported top-level module, None for one without."""
    module = sys.modules.get(name)
    file, folders = getattr(module, "__file__", None), list(getattr(module, "__path__", []))
    if folders:
        return Path(folders[0]).resolve()
    return Path(file).resolve() if file else None


def files_below(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files in and below a folder, or the one file, with their path below it; no caches, nothing hidden."""
    if root.is_file():
        yield "", root
    for path in sorted(root.rglob("*")):
        part = path.relative_to(root)
        if path.is_file() and not any(one.startswith(".") or one == "__pycache__" for one in part.parts):
            yield str(part), path


def refuse_too_large(files: Mapping[str, Path], most_bytes: int) -> None:
    """Raise `RefusedError` with the largest files when ``files`` have more bytes than a job may bring."""
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total, most_bytes = sum(sizes.values()), min(most_bytes, RAY_MOST_BYTES)
    if total <= most_bytes:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:MOST_NAMED]
    named = ", ".join(f"{name} ({megabytes(sizes[name])})" for name in largest)
    raise RefusedError(
        f"The job would bring {megabytes(total)}, above {megabytes(most_bytes)}; the largest are {named}. Put data "
        "where the cluster reads it and name it with --data, or raise --max-upload (Ray takes 104.9 MB at most)."
    )


def megabytes(size: int) -> str:
    """Return a number of bytes as people write it."""
    return f"{size / 1e6:.1f} MB"


def lay_out(files: Mapping[str, Path], folder: Path) -> None:
    """Copy the files of a job into ``folder``, with a note of the commit that they come from."""
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    (folder / ORIGIN_FILE).write_text(json.dumps(code_origin()))


def pinned_packages() -> list[str]:
    """Return what this project needs, directly or not, in the versions installed here; Ray is the cluster's own."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pins: dict[str, str] = {}
    seen, waiting = set[str](), [f"{PROJECT}[cluster]"]
    while waiting:
        wanted = Requirement(waiting.pop())
        try:
            package = distribution(wanted.name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        name = canonicalize_name(wanted.name)
        pins[name] = f"{name}=={package.version.partition('+')[0]}"
        for one in map(Requirement, package.requires or ()):
            asked = one.marker is None or any(
                one.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
            )
            one.marker = None
            if asked and str(one) not in seen:
                seen.add(str(one))
                waiting.append(str(one))
    return sorted(pin for name, pin in pins.items() if name not in (PROJECT, "ray"))
