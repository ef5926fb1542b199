"""Findings: named claims with a verdict, the evidence for it, and what to do next.

A verdict follows from intervals alone. ``supported``: the interval lies wholly where the claim says;
``rejected``: wholly where it does not; ``undecided``: otherwise; ``not_applicable``: the cells that the
claim needs are not in the sweep or have no completed trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.effects import Effect
from analysis.follow_up import FollowUp
from analysis.power import MOST_SEEDS
from analysis.table import Mode

Verdict = Literal["supported", "rejected", "undecided", "not_applicable"]


@dataclass(frozen=True)
class Number:
    """A number behind a finding that is no comparison.

    Args:
        label: What it is.
        value: Its value.
        unit: Its unit, empty when it has none.
    """

    label: str
    value: float
    unit: str = ""

    @property
    def text(self) -> str:
        """The number as a phrase."""
        return f"{self.label}: {self.value:.4g}{' ' + self.unit if self.unit else ''}"

    def as_json(self) -> dict[str, Any]:
        """Return the number as it stands in ``report.json``."""
        return {"label": self.label, "value": self.value, "unit": self.unit, "text": self.text}


@dataclass(frozen=True)
class Finding:
    """A named claim with its verdict.

    Args:
        id: Name of the claim, the same in every report.
        verdict: What the intervals say.
        statement: What was found, one sentence.
        evidence: Effects and numbers it rests on.
        advice: What to do, empty when nothing follows.
        follow_up: A study that would take it further.
        seeds_needed: Seeds per cell that would decide it, None when decided or unknown.
    """

    id: str
    verdict: Verdict
    statement: str
    evidence: tuple[Effect | Number, ...] = ()
    advice: str = ""
    follow_up: FollowUp | None = None
    seeds_needed: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as it stands in ``report.json``."""
        return {
            "id": self.id,
            "verdict": self.verdict,
            "statement": self.statement,
            "evidence": [item.as_json() for item in self.evidence],
            "advice": self.advice,
            "follow_up": None if self.follow_up is None else self.follow_up.as_json(),
            "seeds_needed": self.seeds_needed,
        }


@dataclass(frozen=True)
class Wording:
    """The statement of a finding for each verdict that data can give it, and the advice that follows."""

    supported: str
    rejected: str
    undecided: str
    advice: Mapping[Verdict, str]


def decide(identity: str, verdict: Verdict, wording: Wording, evidence: Sequence[Effect | Number]) -> Finding:
    """Return the finding with the wording of its verdict, and the seeds that would decide it."""
    statement = {
        "supported": wording.supported,
        "rejected": wording.rejected,
        "undecided": wording.undecided,
    }[verdict]
    seeds = seeds_needed(evidence) if verdict == "undecided" else None
    if verdict == "undecided":
        statement = f"{statement} {what_would_decide(evidence, seeds)}"
    return Finding(
        identity, verdict, statement, tuple(evidence), wording.advice.get(verdict, ""), None, seeds
    )


def not_applicable(identity: str, reason: str) -> Finding:
    """Return a finding that this sweep cannot speak to, with the reason."""
    return Finding(identity, "not_applicable", reason)


def with_follow_up(finding: Finding, follow_up: FollowUp | None, when: Verdict = "supported") -> Finding:
    """Return the finding with a follow-up when its verdict is ``when``."""
    return replace(finding, follow_up=follow_up) if finding.verdict == when else finding


def seeds_needed(evidence: Iterable[Effect | Number]) -> int | None:
    """Return the seeds per cell that would decide every open effect, None when that is not known."""
    needed = [item.seeds_needed for item in evidence if isinstance(item, Effect) and not settled(item)]
    known = [n for n in needed if n is not None]
    return max(known) if known and len(known) == len(needed) else None


def settled(effect: Effect) -> bool:
    """Return whether an effect is shown to differ or shown to be the same."""
    return effect.differs or effect.same


def what_would_decide(evidence: Sequence[Effect | Number], seeds: int | None) -> str:
    """Return what it would take to decide.

    `Effect.seeds_needed` counts the seeds that tell an effect from its own reference. Where every effect is told
    from it, another bound of an interval is open, and no number is said.
    """
    effects = [item for item in evidence if isinstance(item, Effect)]
    if any(effect.ci_low is None for effect in effects):
        return "One seed gives no interval: at least 2 seeds are needed, how many more is unknown."
    if all(settled(effect) for effect in effects):
        return "An interval reaches over a bound; more seeds would narrow it."
    if seeds is not None:
        return f"About {seeds} seeds per cell would decide it (power 0.8)."
    return (
        f"One of its effects is so close to its bound that {MOST_SEEDS} seeds per cell would not decide it."
    )


def improves(effect: Effect, mode: Mode) -> Verdict:
    """Return the verdict on "``a`` is better than ``b``, by more than the margin of sameness".

    Rejected when any gain is shown to be smaller than the margin, even if it is not zero.
    """
    low, high = effect.bounds_of_same
    small = effect.above(low) if mode == "min" else effect.below(high)
    gained = effect.below(effect.null) if mode == "min" else effect.above(effect.null)
    if small or effect.same:
        return "rejected"
    return "supported" if gained else "undecided"


def differs(effect: Effect) -> Verdict:
    """Return the verdict on "``a`` and ``b`` differ": rejected when they are the same within the margin."""
    if effect.same:
        return "rejected"
    return "supported" if effect.differs else "undecided"


def equal(effect: Effect) -> Verdict:
    """Return the verdict on "``a`` and ``b`` are the same": rejected when the interval lies outside the margin."""
    low, high = effect.bounds_of_same
    if effect.same:
        return "supported"
    return "rejected" if effect.above(high) or effect.below(low) else "undecided"


def exceeds(effect: Effect, bound: float) -> Verdict:
    """Return the verdict on "the effect is larger than ``bound``"."""
    if effect.above(bound):
        return "supported"
    return "rejected" if effect.below(bound) else "undecided"


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a claim that holds when all of its parts hold."""
    parts = list(verdicts)
    if "rejected" in parts:
        return "rejected"
    return "supported" if parts and all(part == "supported" for part in parts) else "undecided"


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a claim that holds when one of its parts holds."""
    parts = list(verdicts)
    if "supported" in parts:
        return "supported"
    return "rejected" if parts and all(part == "rejected" for part in parts) else "undecided"


def present(effects: Mapping[str, Effect], ids: Iterable[str]) -> list[Effect]:
    """Return those of the named effects that the sweep has data for."""
    return [effects[identity] for identity in ids if identity in effects]


def told(identity: str, verdict: Verdict, wording: Wording, evidence: Sequence[Effect | Number]) -> Finding:
    """Return the finding, with a warning where its intervals have no width."""
    effects = [item for item in evidence if isinstance(item, Effect)]
    return decide(identity, verdict, with_agreement(wording, effects), evidence)


def with_agreement(wording: Wording, effects: Sequence[Effect]) -> Wording:
    """Return the wording with a warning where a finding rests on intervals that have no width.

    They have none only where no two seeds of the whole sweep differ, such as a share that is 0 or 1 in all.
    """
    if not effects or any(effect.ci_low is None or effect.ci_low != effect.ci_high for effect in effects):
        return wording
    n = min(effect.n for effect in effects)
    warning = f" All {n} seeds agree to the last digit, so the interval has no width of its own."
    return replace(wording, supported=wording.supported + warning, rejected=wording.rejected + warning)
