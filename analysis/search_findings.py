"""What any search can be asked, whatever its study is about: its edges, its winner, its parameters.

A range that was too narrow and a winner that was lucky are the two ways in which a search misleads;
both are findings of every search, beside the finalists' comparison and the parameters that matter.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.effects import Effect
from analysis.findings import (
    Finding,
    Number,
    Verdict,
    Wording,
    decide,
    improves,
    not_applicable,
    with_follow_up,
)
from analysis.follow_up import FollowUp, propose
from analysis.grid import objective_kind
from analysis.importance import FEWEST_POINTS, Importances, importances
from analysis.search import (
    OPTIMISM,
    Searched,
    against_best,
    best_by_setting,
    finalists,
    searches,
    setting_name,
)
from analysis.table import Axis, CellKey, Mode, SweepTable
from search_spaces.domains import value_text

EDGE = 0.05  # share of a range at either end, on the scale of the axis, that counts as its edge
WIDER_LOG, WIDER_LINEAR = 10.0, 1.0  # a range is widened by a factor, or by this many times its width
MATTERS = 0.01  # level of the test of dependence; it stands beside the intervals of the report

Effects = Mapping[str, Effect]


def findings(table: SweepTable, effects: Effects, found: Sequence[Importances]) -> list[Finding]:
    """Return the findings of a search; nothing for a grid or without an objective.

    Args:
        table: The sweep.
        effects: All effects of the report.
        found: What `all_importances` returns.
    """
    if not table.is_search or table.objective is None:
        return []
    ranged = [axis for axis in table.searched if axis.ranged]
    compared = [best_setting(table, effects)] if len(searches(table)) > 1 else []
    return [
        *compared,
        winner_is_distinguishable(table, effects),
        winner_was_lucky(table, effects),
        *(best_at_edge(table, effects, axis) for axis in ranged),
        important_parameters(table, found),
    ]


def mode_of(table: SweepTable) -> Mode:
    """Return the direction of the objective."""
    assert table.objective is not None
    return table.objective.mode


def best_setting(table: SweepTable, effects: Effects) -> Finding:
    """One point of the grid is better than every other when each is at its own best point of the search."""
    by_setting = best_by_setting(table)
    found = list(against_best(table, effects, list(by_setting.values())).values())
    if not found:
        return not_applicable("best_setting", "Needs replicated points at two points of the grid.")
    name = setting_name(table, next(iter(by_setting)))
    wording = Wording(
        supported=f"Each at its best, {name} is better than every other point of the grid.",
        rejected="Each at its best, the points of the grid are the same within the margin.",
        undecided=f"Each at its best, {name} is ahead, but not told apart from every other point of the grid.",
        advice={"rejected": "Take the simplest of them; what was searched matters more."},
    )
    return decide("best_setting", told_apart(found), wording, found)


def told_apart(effects: Sequence[Effect]) -> Verdict:
    """Return the verdict on "the best differs from all others": rejected when all are the same as it."""
    if all(effect.same for effect in effects):
        return "rejected"
    return "supported" if all(effect.differs for effect in effects) else "undecided"


def winner_is_distinguishable(table: SweepTable, effects: Effects) -> Finding:
    """The best finalist is told from every other one."""
    identity, ranked = "winner_is_distinguishable", finalists(table)
    found = list(against_best(table, effects, ranked).values())
    if not found:
        return not_applicable(identity, "Needs two points of the search that ran on all seeds.")
    name = table.label(ranked[0])
    n_open = sum(not effect.differs for effect in found)
    wording = Wording(
        supported=f"The winner ({name}) is told from all {len(found)} other finalists.",
        rejected=f"The {len(ranked)} finalists are the same within the margin: there is no winner.",
        undecided=f"The winner ({name}) is not told from {n_open} of {len(found)} other finalists.",
        advice={
            "rejected": "Any of them will do: the search has found a plateau, not a point.",
            "undecided": "Treat the finalists as one region, or add seeds.",
        },
    )
    return decide(identity, told_apart(found), wording, found)


def winner_was_lucky(table: SweepTable, effects: Effects) -> Finding:
    """The winner's value on the seed that chose it is better than its values on the further seeds."""
    effect = effects.get(OPTIMISM)
    if effect is None:
        return not_applicable(
            "winner_was_lucky", "Needs a winner that ran on the first seed and on further ones."
        )
    verdict = improves(effect, mode_of(table))
    words = Wording(
        supported=f"The winner was lucky on its first seed: {effect.interval_text} against its further seeds.",
        rejected=f"The winner holds on further seeds: its first one was not better by 5 % ({effect.interval_text}).",
        undecided=f"Whether its first seed flattered the winner is open ({effect.interval_text} against its others).",
        advice={
            "supported": "Expect the mean of the further seeds from it, not the value that the search showed."
        },
    )
    said = {"supported": words.supported, "rejected": words.rejected}.get(verdict, words.undecided)
    return Finding("winner_was_lucky", verdict, said, (effect,), words.advice.get(verdict, ""))


def best_at_edge(table: SweepTable, effects: Effects, axis: Axis) -> Finding:
    """The best replicated point lies at the edge of what was searched, so a better one may lie outside."""
    identity, ranked = f"best_at_edge[{axis.name}]", finalists(table)
    if not ranked:
        return not_applicable(identity, "Needs a point of the search that ran on further seeds.")
    like_best = [ranked[0], *(c for c, e in against_best(table, effects, ranked).items() if not e.differs)]
    positions = {cell: axis.position(table.params_of(cell)[axis.name]) for cell in ranked}
    n_near = sum(edge_of(positions[cell]) is not None for cell in like_best)
    end, value = edge_of(positions[ranked[0]]), value_at(table, axis, ranked[0])
    verdict: Verdict = "supported" if end else "undecided" if n_near else "rejected"
    searched = "{:.3g} to {:.3g}".format(*axis.bounds)
    inside = f"The best point has {axis.name} {value}, inside what was searched ({searched})"
    statement = {
        "supported": f"The best point has {axis.name} {value}, at the {end} edge of what was searched ({searched}).",
        "undecided": f"{inside}, but {n_near} of {len(like_best)} that seeds cannot tell apart stand at an edge.",
        "rejected": f"{inside}.",
    }[verdict]
    numbers = tuple(
        Number(
            f"{axis.name} of the best point{f' of {name}' if name else ''}, place in its range",
            positions[cell],
        )
        for key, cell in best_by_setting(table).items()
        for name in [setting_name(table, key)]
    )
    wider = wider_range(table, axis, end) if end else None
    advice = advice_at_edge(axis, end, wider) if end else ""
    found = Finding(identity, verdict, statement, numbers, advice)
    return with_follow_up(found, widened(table, axis, wider))


def edge_of(position: float) -> str | None:
    """Return which edge of its range a position lies at, None inside."""
    if position <= EDGE:
        return "lower"
    return "upper" if position >= 1 - EDGE else None


def value_at(table: SweepTable, axis: Axis, cell: CellKey) -> str:
    """Return the value of one axis in a cell as text."""
    value = table.params_of(cell)[axis.name]
    return f"{value:.3g}" if isinstance(value, float) else value_text(value)


def wider_range(table: SweepTable, axis: Axis, end: str) -> tuple[float, float] | None:
    """Return the range with one end moved out as far as the space allows, None when it cannot be moved."""
    low, high = axis.bounds
    floor, ceiling = admitted(table, axis)
    if axis.scale == "log":
        below, above = low / WIDER_LOG, high * WIDER_LOG
    else:
        below, above = (low - WIDER_LINEAR * (high - low)), high + WIDER_LINEAR * (high - low)
    wider = (max(below, floor), high) if end == "lower" else (low, min(above, ceiling))
    rounded = float(f"{wider[0]:.6g}"), float(f"{wider[1]:.6g}")
    return None if rounded == (low, high) else rounded


def admitted(table: SweepTable, axis: Axis) -> tuple[float, float]:
    """Return the bounds that the family's space sets; what a weight may be when the space is not here."""
    try:
        space = importlib.import_module(f"search_spaces.{table.study.get('family')}").SPACE
        domain = space[axis.name]
        return float(domain.low), float(domain.high)
    except (ImportError, AttributeError, KeyError):
        return (0.0 if axis.weight or axis.bounds[0] >= 0 else -math.inf), math.inf


def advice_at_edge(axis: Axis, end: str, wider: tuple[float, float] | None) -> str:
    """Return what to do about a best point at an edge."""
    if wider is None:
        return f"The {end} end of {axis.name} is that of its space: the parameter may not be needed there."
    return f"Widen the range of {axis.name} to {wider[0]:.3g} to {wider[1]:.3g} and search again."


def widened(table: SweepTable, axis: Axis, wider: tuple[float, float] | None) -> FollowUp | None:
    """Return the same search over a wider range of one parameter."""
    if wider is None:
        return None
    whole = all(isinstance(value, int) for value in axis.values)
    bounds = tuple(int(bound) if whole else bound for bound in wider)
    return propose(
        table,
        f"wider_{axis.name}",
        f"Is there a better point with {axis.name} from {wider[0]:.3g} to {wider[1]:.3g}?",
        f"best_at_edge[{axis.name}]: the best point lies at the edge of what was searched.",
        {axis.name: bounds},
    )


def all_importances(table: SweepTable) -> list[Importances]:
    """Return the importances over all points, then those at every point of the grid that has enough points.

    Nothing for a grid or without an objective.
    """
    found = searches(table) if table.is_search and table.objective else []
    if not found:
        return []
    overall = importances("all", scaled_points(table, found), table.axes, mode_of(table))
    single = [importances(s.name, scaled_points(table, [s]), table.searched, mode_of(table)) for s in found]
    return [item for item in [overall, *(single if len(found) > 1 else [])] if item is not None]


def scaled_points(table: SweepTable, found: Sequence[Searched]) -> pd.DataFrame:
    """Return the completed points of some searches, the objective on the scale on which effects add up."""
    parts = []
    for one in found:
        value = one.complete["objective"]
        value = value.map(math.log) if objective_kind(table) == "ratio" else value
        parts.append(one.complete.assign(objective=value, setting=one.name))
    return pd.concat(parts, ignore_index=True)


def important_parameters(table: SweepTable, found: Sequence[Importances]) -> Finding:
    """The objective depends on some parameter; which ones, and how much each explains."""
    identity = "important_parameters"
    overall = next((item for item in found if item.name == "all"), None)
    if overall is None:
        return not_applicable(
            identity, f"Needs {FEWEST_POINTS} completed points with different values of the objective."
        )
    matter = [name for name in overall.ranked if overall.p_values[name] < MATTERS]
    numbers = tuple(number for item in found for number in numbers_of(item))
    if not matter:
        statement = f"{overall.n} points do not show that the objective depends on any parameter."
        return Finding(
            identity, "undecided", statement, numbers, "Ask for more points before reading the shares."
        )
    shares = ", ".join(f"{name} {overall.fanova[name]:.0%}" for name in overall.ranked)
    statement = f"The objective depends on {' and '.join(matter)}. Shares by fANOVA: {shares}."
    rest = [axis.name for axis in table.searched if axis.name in overall.fanova and axis.name not in matter]
    advice = f"No dependence on {' or '.join(rest)} is seen: fix it before the next search." if rest else ""
    return Finding(identity, "supported", statement, numbers, advice)


def numbers_of(item: Importances) -> list[Number]:
    """Return the importances as numbers, those of one point of the grid with its name."""
    where = "" if item.name == "all" else f", {item.name}"
    return [
        Number(f"{name}{where} (n={item.n}): {label}", shares[name])
        for name in item.ranked
        for label, shares in (
            ("fANOVA", item.fanova),
            ("PED-ANOVA", item.ped_anova),
            ("p of no dependence", item.p_values),
        )
    ]
