"""Who is judged in the study of reconstruction weights: its arms, or the best cell of every form of the loss.

An arm is a named setting of several parameters. Only `BASELINE`, `LITERAL` and names that begin with `OPTION`
have a role of their own; every other arm is a remedy, whatever it is called. A search, or a study without
arms, lends one cell per form of the loss: its best one by the objective.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.recommendation import ranked_cells
from analysis.subjects import ARM, Subject, all_params, metric_name
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import Value

BASELINE, LITERAL, OPTION = "baseline", "literal", "option_"

Role = Literal["baseline", "literal", "option", "remedy", "point"]


@dataclass(frozen=True)
class Arm(Subject):
    """One cell that findings of this study speak of.

    Args:
        role: ``point`` in a search, or in a study without arms.
        heteroscedastic: Whether its decoder gives a sigma.
    """

    role: Role
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
    return Arm(name, cell, params, role, gives_sigma(table, cell, params, role))


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
