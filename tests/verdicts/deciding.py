"""Sweeps that go on until decided, held against the same sweeps with ten seeds everywhere, and against the truth."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field, replace

from analysis.answer import answer
from analysis.claims import claims
from analysis.findings import Finding
from analysis.table import SweepTable
from tests.verdicts.memory import table_of
from tests.verdicts.settings import Setting
from tests.verdicts.truth import Truth, has_truth, is_false

LOOKS = (3, 5, 8, 10)  # those of `sweeps run --decide` from three seeds
DECIDED = ("supported", "rejected")


@dataclass
class Decided:
    """What came of sweeps that went on until decided.

    Args:
        shares: Trials that they took, as a share of those of ten seeds everywhere.
        with_false: Sweeps with any false claim.
        with_false_fixed: The same of ten seeds everywhere.
        both: Findings that both decided.
        contradicted: Those of them on which they do not agree.
        early: Findings that only the sweep that decides itself decided.
        late: Findings that only ten seeds everywhere decided, by name.
    """

    shares: list[float] = field(default_factory=list)
    with_false: int = 0
    with_false_fixed: int = 0
    both: int = 0
    contradicted: int = 0
    early: int = 0
    late: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Median share of the trials."""
        return statistics.median(self.shares)

    @property
    def agreement(self) -> float:
        """Share of the findings that ten seeds decide and the looks decide alike."""
        n_fixed = self.both + sum(self.late.values())
        return (self.both - self.contradicted) / n_fixed if n_fixed else 1.0


def decide(setting: Setting, n: int, first_seed: int = 1000) -> Decided:
    """Return what comes of ``n`` simulated sweeps of a setting of a grid; the same for the same seeds.

    Args:
        setting: The setting; its seeds are replaced by those of the last look.
        n: Sweeps.
        first_seed: Of the simulation.
    """
    setting = replace(setting, given={**setting.given, "seeds": tuple(range(1, LOOKS[-1] + 1))})
    truth, found = Truth(setting), Decided()
    for seed in range(first_seed, first_seed + n):
        compare(table_of(setting.simulated(seed)), truth, found)
    return found


def compare(table: SweepTable, truth: Truth, found: Decided) -> None:
    """Take one simulated sweep with all seeds, and count what deciding itself would have made of it."""
    fixed = {finding.id: finding for finding in claims(table).findings}
    n_trials, looked = until_decided(table)
    found.shares.append(n_trials / len(table.trials))
    found.with_false_fixed += any_false(fixed, truth)
    found.with_false += any_false(looked, truth)
    for name, finding in fixed.items():
        verdicts = finding.verdict, looked[name].verdict
        if all(verdict in DECIDED for verdict in verdicts):
            found.both += 1
            found.contradicted += verdicts[0] != verdicts[1]
        elif verdicts[0] in DECIDED:
            found.late[name] += 1
        elif verdicts[1] in DECIDED:
            found.early += 1


def until_decided(table: SweepTable) -> tuple[int, dict[str, Finding]]:
    """Return how many trials a sweep takes that decides itself, and its findings by name.

    Args:
        table: All trials that it could take.
    """
    columns = [table.trials[axis.name] for axis in table.axes]
    cells = list(zip(*columns, strict=True))
    seeds = sorted(int(seed) for seed in table.trials["seed"].unique())
    places = {seed: place for place, seed in enumerate(seeds, start=1)}
    wanted = dict.fromkeys(cells, LOOKS[0])
    place = 0
    while True:
        kept = [places[seed] <= wanted[cell] for seed, cell in zip(table.trials["seed"], cells, strict=True)]
        study = {**table.study, "seeds": seeds, "looks": list(LOOKS)}
        known = answer(replace(table, trials=table.trials[kept], study=study, _index=None))
        going_on = known.path[min(place, len(known.path) - 1)].cells
        place += 1
        if not going_on or place == len(LOOKS):
            return sum(kept), {finding.id: finding for finding in known.findings}
        wanted |= dict.fromkeys(going_on, LOOKS[place])


def any_false(findings: dict[str, Finding], truth: Truth) -> bool:
    """Return whether any finding claims what is not true."""
    return any(
        is_false(finding, truth.findings.get(name))
        for name, finding in findings.items()
        if has_truth(finding)
    )
