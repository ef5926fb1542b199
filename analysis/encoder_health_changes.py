"""Arms that change one thing about the reference: which they are, what they do, how much of the distance they close.

An intervention is an arm that differs from the reference in exactly one parameter, whatever the arm is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis import encoder_health_monitors as m
from analysis import scales
from analysis.effects import Contrast, Effect
from analysis.findings import Verdict, any_of, improves
from analysis.judge import Judge, between
from analysis.recommendation import best_contrast
from analysis.scales import FEWEST_AGREEING
from analysis.subjects import ARM, Subject
from analysis.table import Mode, SweepTable, bare_name
from search_spaces.domains import Value, value_text

CONTROL, REFERENCE = "control", "sf1"  # the hybrid note's names of what works and of what does not
TRAINED = "train_eval/exact_accuracy"
COUNTED = 1.0  # half-widths: seeds that agree are worth an interval that just leaves out its bound; design
CLOSES_LITTLE = 0.25  # of the distance to the control: a change that closes less is not the reason; design


def named_arm(table: SweepTable, name: str) -> Subject | None:
    """Return the arm of that name, None when the sweep lacks it."""
    return next((arm for arm in m.subjects(table) if arm.params.get(ARM) == name), None)


def changes(arm: Subject, reference: Subject) -> dict[str, Value | None]:
    """Return the parameters in which an arm differs from the reference, with the arm's values."""
    names = (arm.params.keys() | reference.params.keys()) - {ARM}
    return {n: arm.params.get(n) for n in sorted(names) if arm.params.get(n) != reference.params.get(n)}


def single_changes(table: SweepTable) -> dict[str, tuple[Subject, str]]:
    """Return the arms that differ from the reference in exactly one parameter, with that parameter, by name."""
    reference = named_arm(table, REFERENCE)
    if reference is None:
        return {}
    found = {arm.name: (arm, changes(arm, reference)) for arm in m.subjects(table)}
    return {name: (arm, next(iter(changed))) for name, (arm, changed) in found.items() if len(changed) == 1}


def is_share(table: SweepTable, metric: str) -> bool:
    """Return whether a metric is a share: it has no unit and lies between 0 and 1 in every trial."""
    values = [value for seeds in table.values(metric).values() for value in seeds.values()]
    known = table.meaning(metric)
    return not known.positive and not known.unit and bool(values) and min(values) >= 0 and max(values) <= 1


def objective_step(table: SweepTable, arm: Subject | None) -> Contrast | None:
    """Return the objective of one arm against the reference, None without either; a share as odds.

    Arms that fail have shares near zero, where their seeds scatter little; odds scatter alike everywhere.
    """
    reference = named_arm(table, REFERENCE)
    if reference is None or arm is None or arm.cell == reference.cell or table.objective is None:
        return None
    if is_share(table, table.objective.metric):
        return between(table, bare_name(table.objective.metric), scales.SHARE, arm, reference)
    return best_contrast(table, reference.cell, arm.cell)


def trained_step(table: SweepTable, arm: Subject | None) -> Contrast | None:
    """Return the exact accuracy on training samples against the reference, as odds; None where it is not recorded."""
    reference = named_arm(table, REFERENCE)
    if reference is None or arm is None or TRAINED not in table.trials:
        return None
    return between(table, TRAINED, scales.SHARE, arm, reference)


def step_contrasts(table: SweepTable) -> list[Contrast]:
    """Return control and every single change against the reference, on the objective and in training."""
    arms = [named_arm(table, CONTROL), *(arm for arm, _ in single_changes(table).values())]
    found = [step(table, arm) for arm in arms for step in (objective_step, trained_step)]
    return [contrast for contrast in found if contrast is not None]


def mode_of(table: SweepTable) -> Mode:
    """Return the direction of the objective."""
    assert table.objective is not None
    return table.objective.mode


def distances(judge: Judge) -> tuple[Effect | None, Effect | None]:
    """Return the control against the reference, on the objective and on training samples."""
    control = named_arm(judge.table, CONTROL)
    steps = (objective_step(judge.table, control), trained_step(judge.table, control))
    return judge.step(steps[0]), judge.step(steps[1])


def problem(judge: Judge) -> Verdict | None:
    """Return the verdict on "the reference is worse than the control, on either", None without data."""
    own, trained = distances(judge)
    verdicts = [improves(own, mode_of(judge.table))] if own is not None else []
    verdicts += [improves(trained, "max")] if trained is not None else []
    return any_of(verdicts) if verdicts else None


def on_scale(value: float, effect: Effect) -> float:
    """Return a value of an effect as it adds up: the logarithm of a ratio."""
    return math.log(value) if effect.kind == "ratio" else value


def strength(effect: Effect) -> float:
    """Return how far an effect is from none, in half-widths of its interval; signed, 0 without an interval.

    An interval without width means that no two seeds differ: they are counted, and count for `COUNTED`.
    """
    if effect.ci_low is None or effect.ci_high is None:
        return 0.0
    low, high = on_scale(effect.ci_low, effect), on_scale(effect.ci_high, effect)
    size = on_scale(effect.estimate, effect)
    if high > low:
        return 2 * size / (high - low)
    return math.copysign(COUNTED, size) if size else 0.0


@dataclass(frozen=True)
class Intervention:
    """What a single change does.

    Args:
        arm: The arm.
        parameter: What it changes.
        objective: Against the reference on the objective, None without data.
        trained: The same for exact accuracy on training samples.
        verdict: Whether it helps on either, None without data.
        gain: Its largest improvement in half-widths of the interval.
        idle: Whether it never acted: every number of every seed is that of the reference.
    """

    arm: Subject
    parameter: str
    objective: Effect | None
    trained: Effect | None
    verdict: Verdict | None
    gain: float
    idle: bool = False

    @property
    def setting(self) -> str:
        """The change: ``encoder_lr_scale 10``."""
        value = self.arm.params.get(self.parameter)
        return f"{self.parameter} {'default' if value is None else value_text(value)}"

    @property
    def effects(self) -> list[Effect]:
        """Those of its effects that have data."""
        return [effect for effect in (self.objective, self.trained) if effect is not None]


def intervention(judge: Judge, arm: Subject, parameter: str) -> Intervention:
    """Return what one single change does, judged on the objective and on training samples.

    It helps when it improves either. It is rejected when it improves neither, or is shown to close less than
    `CLOSES_LITTLE` of a distance that is there: then it is not the reason, whatever else it may do. A change that never
    acted is rejected, too, however wide an interval the other arms lend it.
    """
    modes: tuple[Mode, Mode] = (mode_of(judge.table), "max")
    effects = [judge.step(step(judge.table, arm)) for step in (objective_step, trained_step)]
    judged = list(zip(effects, distances(judge), modes, strict=True))
    known = [(effect, distance, mode) for effect, distance, mode in judged if effect is not None]
    gains = [strength(effect) * (1 if mode == "max" else -1) for effect, _, mode in known]
    verdict = any_of(helps(*one) for one in known) if known else None
    unused = verdict is not None and never_acted(judge.table, arm)
    gain = max(gains, default=-math.inf)
    return Intervention(
        arm, parameter, judged[0][0], judged[1][0], "rejected" if unused else verdict, gain, unused
    )


def never_acted(table: SweepTable, arm: Subject) -> bool:
    """Return whether all that was recorded of an arm is, seed by seed, what was recorded of the reference.

    Such as a rule on halting where nothing halts. Fewer than `FEWEST_AGREEING` seeds decide nothing.
    """
    reference = named_arm(table, REFERENCE)
    own = recorded_numbers(table, arm)
    return reference is not None and len(own) >= FEWEST_AGREEING and own == recorded_numbers(table, reference)


def recorded_numbers(table: SweepTable, arm: Subject) -> dict[int, dict[tuple[int, str], float]]:
    """Return every recorded value of an arm by seed, then by epoch and metric."""
    seeds = dict(zip(table.rows_of(arm.cell)["trial_id"], table.rows_of(arm.cell)["seed"], strict=True))
    found: dict[int, dict[tuple[int, str], float]] = {int(seed): {} for seed in seeds.values()}
    rows = table.history[table.history["trial_id"].isin(seeds)]
    for trial, epoch, metric, value in rows[["trial_id", "epoch", "metric", "value"]].itertuples(index=False):
        found[int(seeds[trial])][int(epoch), str(metric)] = float(value)
    return found


def helps(effect: Effect, distance: Effect | None, mode: Mode) -> Verdict:
    """Return the verdict on "the change helps"; rejected also where it closes next to nothing of the distance.

    Where there is no distance, the verdict rests on the effect alone.
    """
    verdict, share = improves(effect, mode), closed(effect, distance, mode)
    return (
        "rejected" if verdict != "supported" and share is not None and share[2] < CLOSES_LITTLE else verdict
    )


def interventions(judge: Judge, parameters: Sequence[str] | None = None) -> list[Intervention]:
    """Return the single changes of these parameters, of all when None, the best first."""
    found = [
        intervention(judge, arm, parameter)
        for arm, parameter in single_changes(judge.table).values()
        if parameters is None or parameter in parameters
    ]
    return sorted(found, key=lambda one: -one.gain)


def closed(effect: Effect | None, distance: Effect | None, mode: Mode) -> tuple[float, float, float] | None:
    """Return the share of the way from the reference to the control that a change goes, with its interval.

    Both effects lie in their simultaneous intervals at once, so the share lies between the extremes of their
    quotients: an interval that is wider than needed, and holds.

    Returns:
        None without intervals, or where the control is not shown to be better: then there is no way to go.
    """
    if effect is None or distance is None or effect.ci_low is None or effect.ci_high is None:
        return None
    if distance.ci_low is None or distance.ci_high is None or improves(distance, mode) != "supported":
        return None
    ways = [on_scale(end, distance) for end in (distance.ci_low, distance.ci_high)]
    shares = [on_scale(end, effect) / way for end in (effect.ci_low, effect.ci_high) for way in ways]
    share = on_scale(effect.estimate, effect) / on_scale(distance.estimate, distance)
    return share, min(shares), max(shares)


def closed_text(effect: Effect | None, distance: Effect | None, mode: Mode) -> str:
    """Return how much of the distance a change closes: ``closes 92 % [70, 114]``."""
    found = closed(effect, distance, mode)
    if found is None:
        return "no distance to close" if distance is not None and effect is not None else "no value"
    share, low, high = (round(100 * part) for part in found)
    return f"closes {share} % [{low}, {high}]"
