"""Who is judged in the study of reconstruction weights: its arms, or the best cell of every form of the loss.

An arm is a named setting of several parameters. Only `BASELINE`, `LITERAL` and names that begin with `OPTION`
have a role of their own; every other arm is a remedy, whatever it is called. A search, or a study without
arms, lends one cell per form of the loss: its best one by the objective.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.cells import summaries
from analysis.recommendation import ranked_cells
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import Value

ARM, BASELINE, LITERAL, OPTION = "arm", "baseline", "literal", "option_"
SPLITS = ("valid/", "test/", "train/", "")
NO_SPREAD = 1e-9  # relative to their size: seeds that differ less are the same to the digits of float32

Role = Literal["baseline", "literal", "option", "remedy", "point"]


@dataclass(frozen=True)
class Arm:
    """One cell that findings speak of.

    Args:
        name: Name for people, and in the ids of findings.
        cell: Its cell.
        role: ``point`` in a search, or in a study without arms.
        params: All parameters that the records tell of it: those of its arm, of the study, of the space.
        heteroscedastic: Whether its decoder gives a sigma.
    """

    name: str
    cell: CellKey
    role: Role
    params: Mapping[str, Value]
    heteroscedastic: bool


def arms(table: SweepTable) -> list[Arm]:
    """Return the arms in the order of the study; the best cell of every form of the loss without arms."""
    named = table.axis(ARM)
    forms = table.gridded if table.is_search else table.axes
    by = (named,) if named else tuple(axis for axis in forms if axis.scale == "category")
    chosen: dict[tuple[Value, ...], CellKey] = {}
    for cell in [*ranked_cells(table), *table.cells]:
        chosen.setdefault(group_of(table, cell, by), cell)
    keys = sorted(chosen, key=lambda key: [a.values.index(v) for a, v in zip(by, key, strict=True)])
    return [one_arm(table, by, key, chosen[key]) for key in keys]


def group_of(table: SweepTable, cell: CellKey, by: Sequence[Axis]) -> tuple[Value, ...]:
    """Return the values of one cell on the axes that tell the judged cells apart."""
    params = table.params_of(cell)
    return tuple(params[axis.name] for axis in by)


def one_arm(table: SweepTable, by: Sequence[Axis], key: tuple[Value, ...], cell: CellKey) -> Arm:
    """Return one judged cell with everything the records say of its parameters."""
    named = len(by) == 1 and by[0].name == ARM
    params = all_params(table, cell)
    name = ", ".join(str(value) for value in key) or "best cell"
    role: Role = role_of(name) if named and not table.is_search else "point"
    return Arm(name, cell, role, params, gives_sigma(table, cell, params, role))


def all_params(table: SweepTable, cell: CellKey) -> dict[str, Value]:
    """Return every parameter that the records tell of a cell: of the space, the study, its arm, its axes."""
    swept = table.params_of(cell)
    setting = (table.study.get("arms") or {}).get(str(swept.get(ARM)), {})
    return {**table.params, **(table.study.get("fixed") or {}), **setting, **swept}


def role_of(name: str) -> Role:
    """Return the role of an arm by its name."""
    if name == BASELINE:
        return "baseline"
    if name == LITERAL:
        return "literal"
    return "option" if name.startswith(OPTION) else "remedy"


def gives_sigma(table: SweepTable, cell: CellKey, params: Mapping[str, Value], role: Role) -> bool:
    """Return whether the decoder gives a sigma: as its parameter says, else whether saturation is recorded."""
    if "heteroscedastic" in params:
        return str(params["heteroscedastic"]).lower() in {"true", "yes", "1", "1.0"}
    return role != "baseline" and table.mean(metric_name(table, "sigma_at_max"), cell) is not None


def with_role(table: SweepTable, *roles: Role) -> list[Arm]:
    """Return the arms of these roles."""
    return [arm for arm in arms(table) if arm.role in roles]


def only(table: SweepTable, role: Role) -> Arm | None:
    """Return the arm of a role that one arm has, None when the sweep lacks it."""
    return next(iter(with_role(table, role)), None)


def metric_name(table: SweepTable, name: str) -> str:
    """Return a metric with the split it is recorded for, validation first."""
    recorded = set(table.trials.columns)
    return next((split + name for split in SPLITS if split + name in recorded), f"valid/{name}")


def mean_of(table: SweepTable, name: str, cell: CellKey) -> float | None:
    """Return the mean over the seeds of one cell of a metric without its split, None without a value."""
    return table.mean(metric_name(table, name), cell)


def half_widths(table: SweepTable, name: str) -> dict[CellKey, float | None]:
    """Return half the width of each cell's own 95 % interval, None where seeds give none."""
    return {cell: summary.half_width for cell, summary in summaries(table, metric_name(table, name)).items()}


def constant(values: Sequence[float]) -> bool:
    """Return whether several seeds gave the same number, as they do at a bound."""
    spread = max(values) - min(values) if values else 0.0
    return len(values) > 1 and spread <= NO_SPREAD * max(1.0, max(abs(value) for value in values))
