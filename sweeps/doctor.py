"""Checks of what a sweep needs, each with what was found and, when it fails, the way out."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from search_spaces.errors import first_line
from sweeps.access import refuse_silent
from sweeps.study_files import load_study, study_names
from trainables.families import family_names, load_family

MIN_FREE_GIB = 2.0
PACKAGES = ("ray", "torch", "mlflow", "optuna", "numpy", "pyarrow")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What was looked at.
        ok: Whether a sweep can do with it.
        found: What was found, or what to do about it.
    """

    name: str
    ok: bool
    found: str


def checks(out: Path, tracking_uri: str) -> list[Check]:
    """Return all checks; none of them changes anything."""
    looks: dict[str, Callable[[], str]] = {
        "packages": packages,
        "families": families,
        "studies": studies,
        "output folder": lambda: output_folder(out),
        "tracking store": lambda: tracking_store(tracking_uri),
        "cores": lambda: f"{os.cpu_count()}",
        "memory": memory,
        "GPUs": gpus,
    }
    return [checked(name, look) for name, look in looks.items()]


def checked(name: str, look: Callable[[], str]) -> Check:
    """Return a check: it fails when ``look`` raises, whatever it raises."""
    try:
        return Check(name, True, look())
    except Exception as error:  # noqa: BLE001 - a doctor reports every ailment, and goes on to the next
        return Check(name, False, first_line(error))


def packages() -> str:
    """Return the versions of the main packages after importing each."""
    for name in PACKAGES:
        importlib.import_module(name)
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def families() -> str:
    """Return every family with the fingerprint of its default data."""
    found = []
    for name in family_names():
        family = load_family(name)
        found.append(f"{name} (default data {family.fingerprint(family.space.resolve({}), None)})")
    return ", ".join(found)


def studies() -> str:
    """Return every study after checking it against its family's space."""
    for name in study_names():
        study = load_study(name)
        study.checked(load_family(study.family).space)
    return ", ".join(study_names())


def output_folder(out: Path) -> str:
    """Return where results go and the free space there; raise when it cannot be written or is nearly full."""
    existing = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.exists())
    with tempfile.TemporaryFile(dir=existing):
        free_gib = shutil.disk_usage(existing).free / 2**30
    if free_gib < MIN_FREE_GIB:
        raise OSError(
            f"{existing} has {free_gib:.1f} GiB free, below {MIN_FREE_GIB:g}. Free some, or choose --out."
        )
    return f"{out}, {free_gib:.0f} GiB free"


def tracking_store(uri: str) -> str:
    """Return the tracking store; raise when a server lets nobody in, or no database could be kept there."""
    if not uri.startswith("http"):
        folder = Path(uri.removeprefix("sqlite:///")).parent
        return f"{uri} ({output_folder(folder)})" if uri.startswith("sqlite") else uri
    refuse_silent(uri, None)
    return f"{uri} answers, and takes the login if it asks for one"


def memory() -> str:
    """Return the memory of this machine in GiB."""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def gpus() -> str:
    """Return the GPUs that torch sees; none is no failure."""
    torch = importlib.import_module("torch")
    count = torch.cuda.device_count()
    return ", ".join(torch.cuda.get_device_name(i) for i in range(count)) or "none; trials train on the CPU"
