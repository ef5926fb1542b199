"""Many simulated sweeps of one setting, held against its truth."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from analysis.claims import analysis_of, claims, everything_asked
from analysis.effects import LEVEL, Effect, own_error_rate
from analysis.findings import Finding
from analysis.tails import quantile
from tests.verdicts.memory import table_of
from tests.verdicts.settings import Setting
from tests.verdicts.truth import Truth, has_truth, is_false

SLACK = 1e-9  # relative to one: rounding


@dataclass
class Counts:
    """What came of the simulated sweeps of one setting.

    Args:
        n: Sweeps.
        with_false: Sweeps with any false claim.
        with_miss: Sweeps with any simultaneous interval that misses its truth.
        false: False claims by finding.
        decided: Claims by finding that are true.
        asked: Sweeps by finding in which its truth is known.
        singles: Intervals that stand alone, over all sweeps.
        missed: Those of them that miss their truth.
        effects: Contrasts whose truth is an effect, over all sweeps.
        shown: Those of them that are shown to differ.
        missing: Simultaneous intervals that miss their truth, by contrast.
    """

    n: int = 0
    with_false: int = 0
    with_miss: int = 0
    false: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    singles: int = 0
    missed: int = 0
    effects: int = 0
    shown: int = 0
    missing: Counter[str] = field(default_factory=Counter)


def simulate(setting: Setting, n: int) -> Counts:
    """Return the counts of ``n`` simulated sweeps; every setting has draws of its own, the same each time."""
    truth, counts = Truth(setting), Counts()
    first_seed = zlib.crc32(setting.id.encode())
    for seed in range(first_seed, first_seed + n):
        one_sweep(setting, truth, seed, counts)
    return counts


def one_sweep(setting: Setting, truth: Truth, seed: int, counts: Counts) -> None:
    """Simulate one sweep and count what its report claims."""
    table = table_of(setting.simulated(seed))
    claimed = claims(table)
    counts.n += 1
    count_findings(claimed.findings, truth, counts)
    asked, further = everything_asked(table, analysis_of(table).contrasts(table))
    true = truth.effects(asked)
    told = [(effect, true[name]) for name, effect in claimed.effects.items() if name in true]
    count_effects(told, own_error_rate(asked, further), counts)


def count_findings(findings: Sequence[Finding], truth: Truth, counts: Counts) -> None:
    """Hold the findings of one sweep against the truth."""
    false = 0
    for finding in findings:
        known = truth.findings.get(finding.id)
        if known is None or not has_truth(finding):
            continue
        wrong = is_false(finding, known)
        false += wrong
        counts.asked[finding.id] += 1
        counts.false[finding.id] += wrong
        counts.decided[finding.id] += not wrong and finding.verdict == known.verdict
    counts.with_false += false > 0


def count_effects(told: Sequence[tuple[Effect, Effect]], alpha: float, counts: Counts) -> None:
    """Hold the effects of one sweep against the true ones.

    Args:
        told: Effects of the report with the true ones.
        alpha: Error rate of each single interval of the report.
        counts: What is counted.
    """
    missed = [effect.id for effect, true in told if misses(effect, true)]
    counts.with_miss += bool(missed)
    counts.missing.update(missed)
    for effect, true in told:
        if effect.ci_low is not None:
            counts.singles += 1
            counts.missed += misses(alone(effect, alpha), true)
        if abs(true.estimate - effect.null) > effect.margin:
            counts.effects += 1
            counts.shown += effect.differs


def misses(effect: Effect, true: Effect) -> bool:
    """Return whether the interval of an effect leaves out its truth."""
    if effect.ci_low is None or effect.ci_high is None:
        return False
    slack = SLACK * max(1.0, abs(true.estimate))
    return not effect.ci_low - slack <= true.estimate <= effect.ci_high + slack


def alone(effect: Effect, alpha: float) -> Effect:
    """Return an effect with the interval that holds by itself, as `estimate_singly` does without a second fit."""
    if effect.ci_low is None or effect.ci_high is None:
        return effect
    df = math.inf if effect.df is None else effect.df
    share = quantile((1 - LEVEL) / 2, df) / quantile(alpha / 2, df)
    ends = (effect.estimate, effect.ci_low, effect.ci_high)
    if effect.kind == "ratio":
        middle, low, high = (math.log(max(end, 1e-300)) for end in ends)
        low, high = (math.exp(middle + share * (end - middle)) for end in (low, high))
    else:
        middle, low, high = ends
        low, high = (middle + share * (end - middle) for end in (low, high))
    return replace(effect, ci_low=low, ci_high=high)
