"""The ladder of arms, each with one change more than the one before: which rung helps, and what all do together.

Rungs are known by their parameters and by the order of the study, not by the names of the arms.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.effects import Contrast, Effect
from analysis.findings import Finding, Number, Wording, not_applicable, told
from analysis.judge import Judge
from analysis.lvm_steps import changed, helps, settings, steps, taken, told_of
from analysis.subjects import ARM
from analysis.table import SweepTable, bare_name
from search_spaces.domains import Value, value_text

WHOLE, RETRIEVAL = "whole_ladder_helps", "valid/mrr"


@dataclass(frozen=True)
class Rung:
    """One arm of a ladder.

    Args:
        arm: Its name.
        base: The nearest arm before it that differs in exactly one parameter.
        parameter: That parameter.
        value: Its value in this arm.
    """

    arm: str
    base: str
    parameter: str
    value: Value

    @property
    def setting(self) -> str:
        """The change: ``head split``."""
        return f"{self.parameter} {value_text(self.value)}"


def linked(table: SweepTable) -> dict[str, Rung | None]:
    """Return every arm but the first with what it changes, None where it changes several things at once."""
    arms = settings(table)
    names = list(arms)
    found: dict[str, Rung | None] = {}
    for place, name in enumerate(names[1:], start=1):
        differing = {base: changed(arms[name], arms[base]) for base in reversed(names[:place])}
        single = next((base for base, parameters in differing.items() if len(parameters) == 1), None)
        parameter = differing[single][0] if single is not None else ""
        found[name] = None if single is None else Rung(name, single, parameter, arms[name][parameter])
    return found


def rungs(table: SweepTable) -> list[Rung]:
    """Return the rungs above the first arm; none unless every arm changes one thing about an earlier one."""
    found = linked(table)
    known = [rung for rung in found.values() if rung is not None]
    return known if len(known) == len(found) else []


def whole(table: SweepTable) -> tuple[Value, Value] | None:
    """Return the last rung and the first arm, None without a ladder."""
    return (rungs(table)[-1].arm, next(iter(settings(table)))) if rungs(table) else None


def why_no_ladder(table: SweepTable) -> str:
    """Return why the arms are no ladder."""
    if len(settings(table)) < 2:
        return "Needs arms of which each changes one parameter of an earlier one."
    odd = next(name for name, rung in linked(table).items() if rung is None)
    return f"The arms are no ladder: {odd} differs from every arm before it in more than one parameter, or in none."


def ladder_contrasts(table: SweepTable) -> list[Contrast]:
    """Return every rung against the one that it changes, and the last against the first, on every judged metric."""
    ends = whole(table)
    pairs = [(rung.arm, rung.base) for rung in rungs(table)] + ([ends] if ends else [])
    return [contrast for pair in pairs for contrast in steps(table, ARM, pair).values()]


def on_ladder(judge: Judge) -> list[Finding]:
    """Return what the whole ladder does, then what every rung does."""
    return [whole_ladder_helps(judge), *(change_helps(judge, rung) for rung in rungs(judge.table))]


def change_helps(judge: Judge, rung: Rung) -> Finding:
    """One change, on top of all before it, improves the objective, or the moments at no price on the objective."""
    identity, effects = f"change_helps[{rung.arm}]", taken(judge, ARM, (rung.arm, rung.base))
    if not effects:
        return not_applicable(identity, f"{rung.arm} or {rung.base} has no completed trial.")
    what = f"{rung.setting} ({rung.arm} against {rung.base})"
    said = told_of(judge.table, effects)
    wording = Wording(
        supported=f"{what} helps: {said}.",
        rejected=f"{what} does not help: {said}.",
        undecided=f"Whether {what} helps is open: {said}.",
        advice={"rejected": f"Leave {rung.parameter} as it is in {rung.base}."},
    )
    evidence: list[Effect | Number] = [*effects.values(), *retrieval(judge.table, rung.arm, rung.base)]
    return told(identity, helps(judge.table, effects), wording, evidence)


def arm_mean(table: SweepTable, metric: str, arm: str) -> float | None:
    """Return the mean of a metric over all cells of one arm, None without a value."""
    means = [table.mean(metric, cell) for cell in table.cells if table.params_of(cell).get(ARM) == arm]
    known = [mean for mean in means if mean is not None]
    return sum(known) / len(known) if known else None


def retrieval(table: SweepTable, *arms: str) -> list[Number]:
    """Return the reciprocal rank of the own target by arm: what a contrast is for, though no verdict rests on it."""
    means = ((arm, arm_mean(table, RETRIEVAL, arm)) for arm in arms)
    return [Number(f"{bare_name(RETRIEVAL)}, {arm}", mean) for arm, mean in means if mean is not None]


def whole_ladder_helps(judge: Judge) -> Finding:
    """All changes together improve the objective, or the moments at no price on the objective."""
    ends = whole(judge.table)
    if ends is None:
        return not_applicable(WHOLE, why_no_ladder(judge.table))
    effects, (last, first) = taken(judge, ARM, ends), ends
    if not effects:
        return not_applicable(WHOLE, f"{last} or {first} has no completed trial.")
    said = told_of(judge.table, effects)
    wording = Wording(
        supported=f"All changes together help, {last} against {first}: {said}.",
        rejected=f"All changes together do not help, {last} against {first}: {said}.",
        undecided=f"Whether all changes together help, {last} against {first}, is open: {said}.",
        advice={"supported": "Keep the changes whose own rung helps; leave out those that do not."},
    )
    evidence: list[Effect | Number] = [*effects.values(), *retrieval(judge.table, str(last), str(first))]
    return told(WHOLE, helps(judge.table, effects), wording, evidence)
