"""Sweeps that go on until decided, held against the same sweeps with ten seeds everywhere, and against the truth.

``python -m tests.verdicts.deciding --simulations 20`` writes ``docs/deciding.md``.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from analysis.claims import claims
from analysis.findings import Finding
from analysis.looks import claims_in_looks, recorded_looks
from analysis.table import SweepTable
from tests.verdicts.memory import table_of
from tests.verdicts.settings import Setting, all_settings
from tests.verdicts.truth import Truth, has_truth, is_false

LOOKS = (3, 5, 8, 10)  # those of `sweeps run --decide` from three seeds
DECIDED = ("supported", "rejected")
PAGE = Path(__file__).parents[2] / "docs" / "deciding.md"
HEAD = """# Sweeps that go on until decided

Written by `make verdicts`. Planted sweeps of 3 x 3 cells and ten seeds. Each is read twice: with all ten seeds,
and as `sweeps run --decide` would have run it, looking after {looks} seeds. {n} simulated sweeps per setting.

* **trials**: median share of the trials that deciding took.
* **agreement**: of the verdicts that ten seeds give, the share that deciding gives, too. The others are left open: each
  look spends a part of the error rate, and what looks hopeless is given up.
* **contradicted**: verdicts that are opposite. **false**: sweeps with any false claim, deciding / ten seeds.

| setting | trials | agreement | contradicted | false | most often left open |
|---|---|---|---|---|---|
"""


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
        known = replace(table, trials=table.trials[kept], study=study, _index=None)
        claimed, path = claims_in_looks(known, recorded_looks(known))
        going_on = path[min(place, len(path) - 1)].cells
        place += 1
        if not going_on or place == len(LOOKS):
            return sum(kept), {finding.id: finding for finding in claimed.findings}
        wanted |= dict.fromkeys(going_on, LOOKS[place])


def any_false(findings: dict[str, Finding], truth: Truth) -> bool:
    """Return whether any finding claims what is not true."""
    return any(
        is_false(finding, truth.findings.get(name))
        for name, finding in findings.items()
        if has_truth(finding)
    )


def row(setting: Setting, found: Decided) -> str:
    """Return one setting as a row of the page."""
    left = ", ".join(f"{name} ({n})" for name, n in found.late.most_common(2)) or "-"
    false = f"{found.with_false} / {found.with_false_fixed}"
    return (
        f"| {setting.id} | {found.share:.0%} | {found.agreement:.1%} | {found.contradicted} of {found.both} "
        f"| {false} | {left} |"
    )


def tail(outcomes: Sequence[Decided]) -> str:
    """Return the sums over all settings."""
    shares = [share for found in outcomes for share in found.shares]
    n, both = len(shares), sum(found.both for found in outcomes)
    late = sum(sum(found.late.values()) for found in outcomes)
    contradicted = sum(found.contradicted for found in outcomes)
    false, fixed = (
        sum(getattr(found, name) for found in outcomes) for name in ("with_false", "with_false_fixed")
    )
    return (
        f"\nOver all {n} sweeps: median share of the trials {statistics.median(shares):.0%}, agreement "
        f"{(both - contradicted) / (both + late):.1%}, {contradicted} of {both} verdicts contradicted, "
        f"sweeps with a false claim {false / n:.1%} (ten seeds everywhere: {fixed / n:.1%}).\n"
    )


@click.command()
@click.option("--simulations", type=click.IntRange(1), default=20, show_default=True, help="Per setting.")
def run(simulations: int) -> None:
    """Write how a sweep that decides itself compares with ten seeds everywhere to docs/deciding.md."""
    chosen = [
        s for s in all_settings() if s.study in ("globals_heads", "grid") and "seeds" not in s.name.split()
    ]
    outcomes: list[Decided] = []
    rows: list[str] = []
    for setting in chosen:
        outcomes.append(decide(setting, simulations))
        rows.append(row(setting, outcomes[-1]))
        click.echo(rows[-1])
        head = HEAD.format(looks=", ".join(map(str, LOOKS)), n=simulations)
        PAGE.write_text(head + "\n".join(rows) + "\n" + tail(outcomes))
    click.echo(tail(outcomes))


if __name__ == "__main__":
    run()
