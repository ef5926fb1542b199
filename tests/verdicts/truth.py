"""What is true of a planted sweep: what it says when its seeds hardly scatter.

Effects: the same contrasts on the table without noise; their estimates are exact. Findings: their verdicts with
noise so small that every interval is narrower than any distance to a bound. Where several such sweeps do not agree,
the truth stands at the bound itself, and neither answer is false.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from analysis.claims import claims
from analysis.effects import Contrast, Effect, effects_at
from analysis.findings import Finding
from analysis.table import SweepTable
from tests.verdicts.memory import table_of
from tests.verdicts.settings import Setting

TINY = 1e-5  # of the noise
ROUNDS = (101, 102, 103)
LIVE = " (live arms)"
OF_THE_DATA = re.compile(
    r"winner_|best_at_edge|important_|guard"
)  # findings on what was drawn, not on what is true
NAMING = re.compile(r"sweet_spot|best_setting|vq_ranks_last")  # findings whose sentence names what is best


@dataclass(frozen=True)
class Truth:
    """What is true of one setting.

    Args:
        setting: The setting.
        seen: True effects that were asked for before, by contrast and reference: the bound that a contrast is held
            against is the one nearest to its mean.
    """

    setting: Setting
    seen: dict[tuple[str, float | None], Effect | None] = field(default_factory=dict)

    @cached_property
    def table(self) -> SweepTable:
        """The sweep without noise, with the columns that its analysis adds."""
        found = table_of(self.setting.nearly_noiseless(0.0, 0))
        claims(found)
        return found

    @cached_property
    def findings(self) -> Mapping[str, Finding | None]:
        """The findings that are decided by the truth; None where it stands at a bound."""
        rounds = [
            {f.id: f for f in claims(table_of(self.setting.nearly_noiseless(TINY, seed))).findings}
            for seed in ROUNDS
        ]
        return {name: agreed([said.get(name) for said in rounds]) for name in rounds[0]}

    def effects(self, contrasts: Sequence[Contrast]) -> dict[str, Effect]:
        """Return the true effects by id; those that the noiseless table has no column for are left out."""
        new = [c for c in contrasts if (c.id, c.reference) not in self.seen]
        known = [c for c in (self.known(contrast) for contrast in new) if c is not None]
        found = effects_at(self.table, known, 0.05, 0.95)
        self.seen.update({(c.id, c.reference): found.get(c.id) for c in new})
        effects = {c.id: self.seen[c.id, c.reference] for c in contrasts}
        return {name: effect for name, effect in effects.items() if effect is not None}

    def known(self, contrast: Contrast) -> Contrast | None:
        """Return the contrast on the column of the noiseless table, None when it has none."""
        columns = self.table.trials.columns
        for metric in (contrast.metric, contrast.metric.removesuffix(LIVE), contrast.metric + LIVE):
            if metric in columns:
                return Contrast(**{**vars(contrast), "metric": metric})
        return None


def agreed(findings: Sequence[Finding | None]) -> Finding | None:
    """Return the finding if all say the same, decided, thing."""
    first = findings[0]
    if first is None or first.verdict not in {"supported", "rejected"}:
        return None
    alike = all(other is not None and same_claim(first, other) for other in findings)
    return first if alike else None


def same_claim(a: Finding, b: Finding) -> bool:
    """Return whether two findings say the same: the verdict, and the name of the best where they name one."""
    named = NAMING.search(a.id) is not None and a.verdict == "supported"
    return a.verdict == b.verdict and (not named or a.statement == b.statement)


def has_truth(finding: Finding) -> bool:
    """Return whether a finding speaks of what is planted, not of what happened to be drawn."""
    return OF_THE_DATA.search(finding.id) is None


def is_false(finding: Finding, truth: Finding | None) -> bool:
    """Return whether a finding claims what is not true; what is left open claims nothing."""
    decided = finding.verdict in {"supported", "rejected"}
    return decided and truth is not None and not same_claim(finding, truth)
