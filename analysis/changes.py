"""What changed between sweeps besides their numbers: the question, the code, the data, the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.table import SweepTable

OF_STUDY = (
    "name",
    "family",
    "question",
    "analysis",
    "epochs",
    "seeds",
    "objective",
    "arms",
    "guards",
    "sampler",
)
OF_PROVENANCE = ("data_fingerprint", "code_version", "git_sha", "git_dirty", "hardware")
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Change:
    """One thing that is not the same in all sweeps.

    Args:
        what: Its name.
        values: What each sweep has, in their order.
    """

    what: str
    values: tuple[str, ...]


def changes(tables: Sequence[SweepTable]) -> tuple[Change, ...]:
    """Return what differs between the sweeps, in the order in which a reader looks for it."""
    told = [facts(table) for table in tables]
    names = list(dict.fromkeys(name for one in told for name in one))
    rows = [Change(name, tuple(one.get(name, NOT_RECORDED) for one in told)) for name in ordered(names)]
    return tuple(row for row in rows if len(set(row.values)) > 1)


def facts(table: SweepTable) -> dict[str, str]:
    """Return what is recorded of a sweep that may differ in another, as text by name."""
    study, known = table.study, table.provenance
    found: dict[str, Any] = {name: study.get(name) for name in OF_STUDY}
    found |= {f"grid {axis.name}": axis.values for axis in table.gridded}
    found |= {f"search {axis.name}": (axis.low, axis.high) for axis in table.searched}
    found |= dict(study.get("fixed") or {}) | dict(table.params)
    found |= {name: known.get(name) for name in OF_PROVENANCE}
    found |= {f"version {name}": version for name, version in (known.get("versions") or {}).items()}
    return {name: as_text(value) for name, value in found.items() if value not in (None, (), {}, [])}


def ordered(names: Sequence[str]) -> list[str]:
    """Return names of facts: the study first, then parameters, then where the numbers come from."""
    last = [name for name in names if name in OF_PROVENANCE or name.startswith("version ")]
    return [name for name in names if name not in last] + last


def as_text(value: Any) -> str:
    """Return a recorded value as a reader would write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {as_text(item)}" for name, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(as_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
