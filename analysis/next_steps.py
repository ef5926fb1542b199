"""What to run next: every study that the answer proposes, the most urgent first.

What a finding asks for comes first; then a wider range, when the recommended weight is the largest that was swept and
the seeds tell it from smaller ones; then more seeds for what is open; then a finer look around the recommended cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.effects import Effect
from analysis.findings import Finding
from analysis.follow_up import FollowUp, proposal_for_seeds, propose
from analysis.search_findings import admitted
from analysis.table import Axis, CellKey, SweepTable, listed

FINER, WIDER = 3.0, 3.0  # factors between neighbouring weights: half a decade
NARROWER = 10**0.5  # a search goes on within this factor around its best point
EDGE, FINE, NARROW, SEEDS = "edge", "finer", "narrower", "more seeds"


def proposals(table: SweepTable, findings: Sequence[Finding], chosen: CellKey) -> list[FollowUp]:
    """Return the studies that could follow, the most urgent first, no two of one name.

    Args:
        table: The sweep.
        findings: Its findings.
        chosen: The recommended cell, the best one when none is recommended.
    """
    asked = [
        replace(finding.follow_up, finding=finding.id, could_change=changes_of(finding))
        for finding in findings
        if finding.follow_up is not None
    ]
    weights = [
        (axis, value) for axis, value in zip(table.axes, chosen, strict=True) if is_weight(axis, value)
    ]
    found = [
        *asked,
        *(wider_weight(table, axis, float(value)) for axis, value in weights if not axis.searched),
        more_seeds(table, findings),
        *(finer_weight(table, axis, float(value)) for axis, value in weights if not axis.searched),
        narrower_search(table, chosen),
    ]
    by_name = {one.name: one for one in reversed(found) if one is not None}
    return list(reversed(by_name.values()))


def is_weight(axis: Axis, value: object) -> bool:
    """Return whether an axis is a weight on a loss term, and its value one that can be varied by factors."""
    return axis.weight and isinstance(value, int | float) and value > 0


def changes_of(finding: Finding) -> str:
    """Return what the follow-up of a finding could change, one sentence."""
    return f"It could overturn {finding.id} ({finding.verdict} here), and with it the recommendation."


def more_seeds(table: SweepTable, findings: Sequence[Finding]) -> FollowUp | None:
    """Return the same study with the seeds that would decide the first open finding, None when nothing is open."""
    undecided = [f for f in findings if f.verdict == "undecided" and rests_on_seeds(f)]
    if not undecided:
        return None
    known = [finding.seeds_needed for finding in undecided if finding.seeds_needed]
    named = ", ".join(finding.id for finding in undecided)
    proposal = proposal_for_seeds(table, min(known) if known else None, f"Undecided: {named}.")
    if proposal is None:
        return None
    within = [f.id for f in undecided if f.seeds_needed and f.seeds_needed <= len(proposal.seeds)]
    change = f"It should decide {listed(within)} (power 0.8)." if within else "It narrows every interval."
    return replace(proposal, finding=SEEDS, could_change=change)


def rests_on_seeds(finding: Finding) -> bool:
    """Return whether more seeds could decide a finding: it rests on effects, not on audits or a range."""
    return any(isinstance(item, Effect) for item in finding.evidence)


def wider_weight(table: SweepTable, axis: Axis, value: float) -> FollowUp | None:
    """Return the study with larger values of a weight whose largest swept one is recommended.

    The simplest of equals is recommended, so the largest weight is only where the seeds tell it from smaller ones.
    """
    if value < max(float(v) for v in axis.values):
        return None
    values = within_space(table, axis, (value, WIDER * value, WIDER**2 * value))
    if len(values) < 2:
        return None
    proposal = propose(
        table,
        f"wider_{axis.name}",
        f"Is there a better {axis.name} above {value:g}?",
        f"The recommended {axis.name} is the largest that was swept.",
        {axis.name: values},
    )
    change = f"A larger {axis.name} could take the recommendation from {value:g}."
    return proposal and replace(proposal, finding=EDGE, could_change=change)


def finer_weight(table: SweepTable, axis: Axis, value: float) -> FollowUp | None:
    """Return the study with a weight swept closely around its recommended value."""
    values = within_space(table, axis, (value / FINER, value, FINER * value))
    if len(values) < 2:
        return None
    proposal = propose(
        table,
        f"finer_{axis.name}",
        f"Is there a better {axis.name} near {value:g}?",
        "The recommended weight can be refined.",
        {axis.name: values},
    )
    change = f"Another {axis.name} near {value:g} could take the recommendation."
    return proposal and replace(proposal, finding=FINE, could_change=change)


def narrower_search(table: SweepTable, chosen: CellKey) -> FollowUp | None:
    """Return the search over narrower ranges around its best point, None for a grid or where they are narrow."""
    values = table.params_of(chosen)
    ranges = {axis.name: around(axis, float(values[axis.name])) for axis in table.searched if axis.ranged}
    if not any(ranges[axis.name] != axis.bounds for axis in table.searched if axis.ranged):
        return None
    whole = {axis.name for axis in table.searched if all(isinstance(value, int) for value in axis.values)}
    bounds = {
        name: tuple(int(end) if name in whole else end for end in ends)
        for name, ends in ranges.items()
        if ends[0] < ends[1]
    }
    told = "; ".join(f"{name} from {low:.3g} to {high:.3g}" for name, (low, high) in ranges.items())
    proposal = propose(
        table,
        "narrower",
        f"Is there a better point near the best one ({told})?",
        "The best point lies inside what was searched.",
        bounds,
    )
    return proposal and replace(proposal, finding=NARROW, could_change="A better point could take its place.")


def around(axis: Axis, value: float) -> tuple[float, float]:
    """Return the part of a searched range around a value: half a decade to each side, or a sixth of a linear range."""
    low, high = axis.bounds
    if axis.scale == "log" and value > 0:
        inner = max(low, value / NARROWER), min(high, value * NARROWER)
    else:
        inner = max(low, value - (high - low) / 6), min(high, value + (high - low) / 6)
    return float(f"{inner[0]:.3g}"), float(f"{inner[1]:.3g}")


def within_space(table: SweepTable, axis: Axis, values: Sequence[float]) -> tuple[float, ...]:
    """Return those values, to three digits, that the family's space admits."""
    low, high = admitted(table, axis)
    return tuple(float(f"{value:.3g}") for value in values if low <= value <= high)
