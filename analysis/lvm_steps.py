"""One setting against another on what a next-vector model is trained for: the objective, and the moments.

Arms are known by their parameters, which the space completes where an arm does not name them. A setting helps when it
improves the objective, or the moments at no price on the objective; statements say what either does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis import scales
from analysis.effects import Contrast, Effect
from analysis.findings import Verdict, all_of, any_of, improves
from analysis.grid import objective_kind
from analysis.judge import Judge
from analysis.levels import level_contrast
from analysis.scales import FEWEST_AGREEING, Scale
from analysis.subjects import ARM, constant
from analysis.table import Mode, SweepTable, bare_name
from search_spaces.domains import Params, Value
from search_spaces.lvm import SPACE

MOMENT_ERROR = "valid/moment_err"
RANKED, COSINES = ("valid/mrr",), ("valid/cos", "valid/centred_cosine")
STILL = 2e-4  # of a cosine: seeds of a model that says one vector for all agree to less; design
STILL_SHARE = 2e-3  # of an error of the moments: the same in shares of it; design

Pair = tuple[Value, Value]
ByMetric = Mapping[str, Effect]


def still(values: Sequence[float]) -> bool:
    """Return whether the seeds of a cosine agree as they do where every prediction is the same vector."""
    return agree(values, STILL)


def still_error(values: Sequence[float]) -> bool:
    """Return whether the seeds of an error agree as they do where every prediction is the same vector."""
    return agree(values, STILL_SHARE * max(values))


def agree(values: Sequence[float], tolerance: float) -> bool:
    """Return whether enough seeds lie within a tolerance; two may do so by chance."""
    enough = len(values) >= FEWEST_AGREEING
    return constant(values) or (enough and max(values) - min(values) < tolerance)


COSINE = Scale("difference", rests=still)
ERROR = Scale("ratio", rests=still_error)


def judged_metrics(table: SweepTable) -> list[str]:
    """Return the metrics on which settings are compared, the objective first; those that have data."""
    objective = [table.objective.metric] if table.objective else []
    return [metric for metric in dict.fromkeys([*objective, MOMENT_ERROR]) if table.values(metric)]


def scale_of(table: SweepTable, metric: str) -> Scale:
    """Return on which scale settings are compared on a metric; the objective as everywhere else in the report."""
    if metric == MOMENT_ERROR:
        return ERROR
    if metric in RANKED:
        return scales.RATIO
    if metric in COSINES:
        return COSINE
    return scales.RATIO if objective_kind(table) == "ratio" else COSINE


def mode_of(table: SweepTable, metric: str) -> Mode:
    """Return which direction of a metric is better."""
    if table.objective is not None and metric == table.objective.metric:
        return table.objective.mode
    return table.meaning(metric).mode or "min"


def step(table: SweepTable, metric: str, axis: str, pair: Pair) -> Contrast | None:
    """Return one level of an axis against another, averaged over all other axes.

    Cells that say one vector for all stay out of the spread of those that do not: see `analysis.scales`.

    Args:
        table: The sweep.
        metric: One of `judged_metrics`.
        axis: The axis.
        pair: The level, and the one that it is compared with.

    Returns:
        None when the sweep lacks the axis or one of its levels, or searched it.
    """
    swept = table.axis(axis)
    if swept is None or swept.searched:
        return None
    cells = [cell for cell in table.cells if table.params_of(cell)[axis] in pair]
    scale = scale_of(table, metric)
    return level_contrast(
        table, scales.column(table, bare_name(metric), scale, *cells), axis, pair, scale.kind
    )


def steps(table: SweepTable, axis: str, pair: Pair) -> dict[str, Contrast]:
    """Return one level of an axis against another on every judged metric, by metric."""
    found = {metric: step(table, metric, axis, pair) for metric in judged_metrics(table)}
    return {metric: contrast for metric, contrast in found.items() if contrast is not None}


def taken(judge: Judge, axis: str, pair: Pair) -> ByMetric:
    """Return the effects of one level of an axis against another by metric, those that have data."""
    found = {metric: judge.step(contrast) for metric, contrast in steps(judge.table, axis, pair).items()}
    return {metric: effect for metric, effect in found.items() if effect is not None}


def helps(table: SweepTable, found: ByMetric) -> Verdict:
    """Return the verdict on "it improves the objective, or the moments at no price on the objective".

    Better and worse by more than the margin of sameness. What a setting does to the moments is no reason against it
    where it improves the objective.
    """
    verdicts = {metric: improves(effect, mode_of(table, metric)) for metric, effect in found.items()}
    price = [
        keeps(effect, mode_of(table, metric)) for metric, effect in found.items() if metric != MOMENT_ERROR
    ]
    if MOMENT_ERROR in verdicts:
        verdicts[MOMENT_ERROR] = all_of([verdicts[MOMENT_ERROR], *price])
    return any_of(verdicts.values())


def keeps(effect: Effect, mode: Mode) -> Verdict:
    """Return the verdict on "it loses less than the margin of sameness"."""
    low, high = effect.bounds_of_same
    kept, lost = (
        (effect.below(high), effect.above(high)) if mode == "min" else (effect.above(low), effect.below(low))
    )
    return "supported" if kept else "rejected" if lost else "undecided"


def told_of(table: SweepTable, found: ByMetric) -> str:
    """Return what a setting does to every metric: ``valid/cos improves (+0.05 [+0.03, +0.07])``."""
    return ", ".join(
        f"{metric} {word(effect, mode_of(table, metric))} ({effect.interval_text})"
        for metric, effect in found.items()
    )


def word(effect: Effect, mode: Mode) -> str:
    """Return what becomes of one metric, in a few words; a gain within the margin of sameness is called small."""
    verdict = improves(effect, mode)
    gained, lost = effect.above(effect.null), effect.below(effect.null)
    if mode == "min":
        gained, lost = lost, gained
    if verdict == "supported":
        return "improves"
    if gained:
        return "improves by less than the margin"
    if effect.same:
        return "stays the same within the margin"
    if lost:
        return "gets worse"
    return "does not improve by more than the margin" if verdict == "rejected" else "is open"


def settings(table: SweepTable) -> dict[str, Params]:
    """Return all parameters of every arm that was run, in the order of the study; empty without arms."""
    axis, arms = table.axis(ARM), table.study.get("arms") or {}
    defaults: Params = {name: SPACE[name].default for name in SPACE}
    shared = {**defaults, **table.params, **(table.study.get("fixed") or {})}
    ran = [] if axis is None else [str(value) for value in axis.values if value in arms]
    return {arm: {**shared, **arms[arm]} for arm in ran}


def changed(setting: Params, other: Params) -> list[str]:
    """Return the names of the parameters in which two settings differ."""
    return [name for name in setting if setting[name] != other.get(name)]
