"""Looks at a sweep that goes on until its findings are decided, and the error rate that each look may spend.

A finding may be looked at after 3, 5, 8 and 10 seeds, say, and is settled by the first look that decides it. Four looks
at 95 % each would be wrong more often than one in twenty; so each look spends a part of the error rate of the report,
by a spending function that is fixed before the first trial (Lan and DeMets 1983). The parts add up to that rate, so by
the union bound all intervals of all looks hold at once with the confidence of the report, however the looks depend on
one another. An effect that keeps a finding open goes on in all its cells; one whose cells do not all go on stands as
the last look has shown it. So wherever an interval is read, its seeds are as many as the schedule says, and not as many
as the data chose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.claims import NOTHING_EARLIER, Claims, Earlier, claims
from analysis.effects import LEVEL, Contrast, Effect
from analysis.exhibit import Listing
from analysis.findings import Finding, settled
from analysis.follow_up import seeds_of
from analysis.table import CellKey, SweepTable, listed

HOPELESS = 2  # a finding whose every open effect needs this many times the seeds of the last look is given up


@dataclass(frozen=True)
class Look:
    """One look.

    Args:
        n_seeds: Seeds that every cell of an open finding has by then.
        level: Simultaneous confidence of the intervals at this look.
    """

    n_seeds: int
    level: float


@dataclass(frozen=True)
class Seen:
    """What one look saw.

    Args:
        look: The look.
        n_trials: Trials that it rests on.
        decided: Findings that it settled.
        undecided: Findings that it left open and that go on.
        hopeless: Findings that it gave up: the seeds of the last look would not decide them.
        cells: What goes on: the cells that open findings rest on.
    """

    look: Look
    n_trials: int
    decided: tuple[str, ...]
    undecided: tuple[str, ...]
    hopeless: tuple[str, ...]
    cells: frozenset[CellKey] = frozenset()

    def as_json(self) -> dict[str, Any]:
        """Return what the look saw as it stands in ``report.json``."""
        return {
            "n_seeds": self.look.n_seeds,
            "level": self.look.level,
            "n_trials": self.n_trials,
            "decided": list(self.decided),
            "undecided": list(self.undecided),
            "hopeless": list(self.hopeless),
        }

    @property
    def text(self) -> str:
        """The look in words."""
        parts = [
            f"{name} {listed(found)}"
            for name, found in (
                ("decides", self.decided),
                ("leaves open", self.undecided),
                ("gives up", self.hopeless),
            )
            if found
        ]
        told = "; ".join(parts) or "decides nothing"
        return f"Look at {self.look.n_seeds} seeds ({self.n_trials} trials, level {self.look.level:.1%}): {told}."


def looks_of(seeds: Sequence[int], level: float = LEVEL) -> list[Look]:
    """Return the looks at these numbers of seeds, each with what it spends of ``1 - level``.

    Source:
        Spending function of Pocock's type, Lan and DeMets (1983), alpha * ln(1 + (e - 1) t) at the share t of the
        seeds; each look spends its increase.
    """
    alpha = 1 - level
    spent = [alpha * math.log(1 + (math.e - 1) * n / seeds[-1]) for n in seeds]
    return [
        Look(n, 1 - (now - before)) for n, now, before in zip(seeds, spent, [0.0, *spent[:-1]], strict=True)
    ]


def recorded_looks(table: SweepTable) -> list[Look]:
    """Return the looks of a sweep that was run until decided, empty for any other."""
    seeds = [int(n) for n in table.study.get("looks") or ()]
    return looks_of(seeds) if seeds else []


def at_look(table: SweepTable, look: Look) -> SweepTable:
    """Return the table with the trials that a look knows: those of the first seeds."""
    known = seeds_of(table)[: look.n_seeds]
    kept = table.trials[table.trials["seed"].isin(known)]
    n_later = len(table.trials) - len(kept)
    if not n_later:
        return table
    history = table.history[table.history["trial_id"].isin(kept["trial_id"])]
    later = f"{n_later} trials of seeds beyond the look at {look.n_seeds} take no part."
    return replace(table, trials=kept, history=history, problems=[*table.problems, later], _index=None)


def claims_in_looks(table: SweepTable, looks: Sequence[Look]) -> tuple[Claims, tuple[Seen, ...]]:
    """Return what the looks say that the trials have reached, every finding as it stood when it was settled.

    Args:
        table: The sweep.
        looks: Its looks, at least one.
    """
    settled_findings: dict[str, Finding] = {}
    path: list[Seen] = []
    earlier = NOTHING_EARLIER
    for look in looks:
        known = at_look(table, look)
        if path and (len(known.trials) == path[-1].n_trials or not path[-1].cells):
            break
        claimed = claims(known, look.level, replace(earlier, cells=behind(known, look)))
        earlier = Earlier({**earlier.effects, **claimed.effects}, frozenset())
        seen, ended = saw(look, known, claimed, set(settled_findings), looks[-1].n_seeds)
        settled_findings |= ended
        path.append(seen)
    findings = tuple(settled_findings.get(finding.id, finding) for finding in claimed.findings)
    return replace(claimed, findings=findings), tuple(path)


def behind(known: SweepTable, look: Look) -> frozenset[CellKey]:
    """Return the cells that have fewer trials than the schedule gives at a look: they were not gone on with."""
    return frozenset(cell for cell in known.cells if len(known.states_of(cell)) < look.n_seeds)


def saw(
    look: Look, known: SweepTable, claimed: Claims, before: set[str], most: int
) -> tuple[Seen, dict[str, Finding]]:
    """Return what one look saw, and the findings that it settled or gave up, by id.

    Args:
        look: The look.
        known: The trials that it knows.
        claimed: What they say.
        before: Findings that earlier looks have settled.
        most: Seeds at the last look.
    """
    fresh = [f for f in claimed.findings if f.id not in before and f.verdict != "not_applicable"]
    decided = [f for f in fresh if f.verdict != "undecided"]
    further = [f for f in fresh if goes_on(f, most)]
    hopeless = [f for f in fresh if f.verdict == "undecided" and effects_of(f) and f not in further]
    cells = frozenset(cells_of(further, claimed.contrasts)) if look.n_seeds < most else frozenset()
    seen = Seen(look, len(known.trials), named(decided), named(further), named(hopeless), cells)
    return seen, {finding.id: finding for finding in (*decided, *hopeless)}


def named(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the names of findings."""
    return tuple(finding.id for finding in findings)


def exhibits(path: Sequence[Seen]) -> list[Listing]:
    """Return the path to the verdicts as a table, nothing for a sweep without looks."""
    if not path:
        return []
    rows = [
        (
            f"after {seen.look.n_seeds} seeds",
            seen.n_trials,
            f"{seen.look.level:.1%}",
            *(", ".join(found) or None for found in (seen.decided, seen.undecided, seen.hopeless)),
        )
        for seen in path
    ]
    return [
        Listing(
            "path",
            "The path to the verdicts",
            "The sweep looked at its findings at numbers of seeds that were fixed beforehand, and went on in the cells "
            "of open ones. Each look spends a part of the error rate, so that all of them together are wrong no more "
            "often than one would be; a finding keeps the verdict of the look that decided it. What is given up would "
            f"need over {HOPELESS} times the seeds of the last look.",
            ("look", "trials", "confidence", "decided", "went on", "given up"),
            rows,
        )
    ]


def goes_on(finding: Finding, most: int) -> bool:
    """Return whether further seeds, up to ``most``, are worth their time: it is open, and rests on seeds."""
    return finding.verdict == "undecided" and any(within_reach(item, most) for item in open_effects(finding))


def open_effects(finding: Finding) -> list[Effect]:
    """Return the effects that keep a finding open; all of them where each is settled, but at another bound."""
    found = effects_of(finding)
    return [effect for effect in found if not settled(effect)] or found


def within_reach(effect: Effect, most: int) -> bool:
    """Return whether an effect may be decided by the last look, as far as the seeds can say now."""
    if effect.ci_low is None or settled(effect):
        return True
    return effect.seeds_needed is not None and effect.seeds_needed <= HOPELESS * most


def effects_of(finding: Finding) -> list[Effect]:
    """Return the effects that a finding rests on."""
    return [item for item in finding.evidence if isinstance(item, Effect)]


def cells_of(findings: Sequence[Finding], contrasts: Mapping[str, Contrast]) -> set[CellKey]:
    """Return the cells that keep findings open."""
    ids = {effect.id for finding in findings for effect in open_effects(finding)}
    return {cell for name in ids & set(contrasts) for block in contrasts[name].blocks for cell in block}
