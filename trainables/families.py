"""Families by name: a folder here, or any package on the Python path that has a ``FAMILY``."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trainables
from search_spaces.domains import did_you_mean
from search_spaces.errors import RefusedError, first_line

if TYPE_CHECKING:  # planning loads a family without torch, which the contract imports
    from trainables.contract import Family


class FamilyError(RefusedError):
    """A family name that leads nowhere."""


def family_names() -> list[str]:
    """Return the families that come with the project: the packages in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(trainables.__path__) if module.ispkg)


def load_family(name: str) -> Family:
    """Return the family called ``name``: a folder of `trainables`, or a dotted package of the user's own.

    Raises:
        FamilyError: If there is no such package, or it has no ``FAMILY``.
    """
    if "." not in name and name not in family_names():
        raise FamilyError(
            f"Unknown family {name!r}.{did_you_mean(name, family_names())} There is {', '.join(family_names())}; "
            "a family of your own is named by its package, such as mypackage.myfamily."
        )
    module_name = name if "." in name else f"trainables.{name}"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's package may fail in any way; all of them are one refusal
        raise FamilyError(
            f"Family {name!r} cannot be imported: {first_line(error)}. Mend it, or put its package on PYTHONPATH."
        ) from error
    if not hasattr(module, "FAMILY"):
        raise FamilyError(f"Package {module_name} has no FAMILY. Define FAMILY in its __init__.py.")
    family: Family = module.FAMILY
    return family


def root_of(name: str) -> Path | None:
    """Return the folder from which a user's own family is imported, None for a family of the project."""
    if "." not in name:
        return None
    load_family(name)
    return Path(str(sys.modules[name].__file__)).parents[name.count(".") + 1].resolve()


def code_version(name: str) -> str:
    """Return a hash of the code that decides a trial's numbers: the family's folder and the training loop.

    Args:
        name: A family name as in `load_family`.
    """
    load_family(name)
    module = sys.modules[name if "." in name else f"trainables.{name}"]
    folder = Path(str(module.__file__)).parent
    shared = Path(__file__).parent
    sources = [*sorted(folder.rglob("*.py")), *sorted(shared.glob("*.py"))]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
