"""How heavy may the KL be: posterior collapse against reconstruction over ``kl_weight`` and its schedule.

=================================================  ======================================================
question                                           finding
=================================================  ======================================================
Which weight is best by the objective?             sweet_spot_kl_weight, effect_of_kl_weight
What does too much of it cost?                     over_regularisation, units_switched_off
Is there a price of a lower KL?                    kl_against_reconstruction
Where is the posterior collapsed, or unbound?      kl_anomaly[cell]
Does a warm-up keep the latent alive?              schedule_keeps_information, effect_of_kl_schedule
=================================================  ======================================================

KL and reconstruction trade off by construction, and the names of their metrics differ between families, so no
`TRADE_OFF` is fixed here; `kl_against_reconstruction` gives the exchange with intervals.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis import kl_weight_contrasts as k
from analysis.effects import Effect
from analysis.exhibit import Drawing, Listing
from analysis.findings import Finding, Number, Verdict, Wording, all_of, any_of, not_applicable, told
from analysis.grid import has_effect, objective_kind
from analysis.kl_weight_anomaly import kl_anomaly, kl_contrast
from analysis.kl_weight_contrasts import contrasts
from analysis.kl_weight_figures import against_weight
from analysis.levels import known, level_pairs, sweet_spot
from analysis.table import SweepTable, bare_name
from search_spaces.domains import Value, value_text

__all__ = ["TRADE_OFF", "contrasts", "exhibits", "figure_metrics", "findings"]

TRADE_OFF: tuple[str, str] | None = None

Effects = Mapping[str, Effect]


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the objective, the KL, the units in use and the reconstruction."""
    objective = [table.objective.metric] if table.objective else []
    drawn = dict.fromkeys([*objective, *k.spread_metrics(table)])
    return [metric for metric in drawn if table.values(metric)]


def findings(table: SweepTable, effects: Effects) -> list[Finding]:
    """Return all findings of the study, those on the choice of the weight first."""
    return [
        *on_objective(table, effects),
        kl_against_reconstruction(table, effects),
        units_switched_off(table, effects),
        schedule_keeps_information(table, effects),
        *anomalies(table, effects),
    ]


def exhibits(table: SweepTable, _effects: Effects) -> list[Drawing | Listing]:
    """Return the curves over the weight."""
    drawing = against_weight(table, figure_metrics(table))
    return [] if drawing is None else [drawing]


def on_objective(table: SweepTable, effects: Effects) -> list[Finding]:
    """Return what the weight and its schedule do to the objective."""
    if table.objective is None:
        return [not_applicable("sweet_spot_kl_weight", "The records name no objective.")]
    best = sweet_spot(
        table, effects, "sweet_spot_kl_weight", k.WEIGHT, table.objective.metric, objective_kind(table)
    )
    axes = [name for name in (k.WEIGHT, k.SCHEDULE) if table.axis(name) is not None]
    return [best, over_regularisation(table, effects), *(has_effect(table, effects, name) for name in axes)]


def over_regularisation(table: SweepTable, effects: Effects) -> Finding:
    """The largest weight costs the objective against some smaller one."""
    assert table.objective is not None
    metric, ends = table.objective.metric, k.extremes(table)
    pairs = [pair for pair in level_pairs(table, k.WEIGHT) if ends is not None and pair[0] == ends[0]]
    found = known(effects, *(k.step(table, metric, k.WEIGHT, pair) for pair in pairs))
    if ends is None or not found:
        return not_applicable("over_regularisation", f"Needs two levels of {k.WEIGHT} with data on {metric}.")
    largest, mode = value_text(ends[0]), table.objective.mode
    costs = [loses(effect, mode) for effect in found]
    worst = max(found, key=lambda effect: effect.estimate if mode == "min" else -effect.estimate)
    wording = Wording(
        supported=f"{k.WEIGHT} {largest} over-regularises: it costs {metric} against {worst.b}.",
        rejected=f"{k.WEIGHT} {largest} does not over-regularise: it costs {metric} against no smaller weight.",
        undecided=f"Whether {k.WEIGHT} {largest} over-regularises is open.",
        advice={
            "supported": "Take the smallest weight that the sweet spot cannot be told from.",
            "rejected": "The sweep does not reach the weight that is too large; sweep further up if it matters.",
        },
    )
    return told("over_regularisation", any_of(costs), wording, found)


def loses(effect: Effect, mode: str) -> Verdict:
    """Return the verdict on "``a`` is worse than ``b`` by more than the margin of sameness may hide"."""
    low, high = effect.bounds_of_same
    worse = effect.above(effect.null) if mode == "min" else effect.below(effect.null)
    no_worse = effect.below(high) if mode == "min" else effect.above(low)
    if effect.same or no_worse:
        return "rejected"
    return "supported" if worse else "undecided"


def kl_against_reconstruction(table: SweepTable, effects: Effects) -> Finding:
    """The largest weight lowers the KL and costs reconstruction, against the smallest."""
    ends, kl, recon = k.extremes(table), k.kl_metric(table), k.recorded(table, k.RECON_NAMES)
    steps = [k.step(table, name, k.WEIGHT, ends) for name in (kl, recon) if name and ends]
    found = known(effects, *steps)
    if len(found) < 2:
        return not_applicable(
            "kl_against_reconstruction", f"Needs two levels of {k.WEIGHT}, a KL and a reconstruction."
        )
    lower, dearer = k_falls(found[0]), loses(found[1], "min")
    wording = Wording(
        supported="A heavier KL buys a lower KL with reconstruction: both change between the ends of the sweep.",
        rejected=f"No exchange of KL for reconstruction: {no_exchange(lower)}.",
        undecided="Whether a heavier KL buys a lower KL with reconstruction is open.",
        advice={
            "supported": "Choose by the objective; the two ends are different models, not better and worse."
        },
    )
    return told("kl_against_reconstruction", all_of([lower, dearer]), wording, found)


def k_falls(effect: Effect) -> Verdict:
    """Return the verdict on "the heavier weight has the lower KL"."""
    if effect.same or effect.above(effect.null):
        return "rejected"
    return "supported" if effect.below(effect.null) else "undecided"


def no_exchange(lower: Verdict) -> str:
    """Return which half of the exchange is missing."""
    missing = "does not lower the KL" if lower == "rejected" else "costs no reconstruction"
    return f"the heavier weight {missing}"


def units_switched_off(table: SweepTable, effects: Effects) -> Finding:
    """The largest weight leaves fewer latent units in use than the smallest."""
    ends, metric = k.extremes(table), k.recorded(table, k.UNIT_NAMES)
    found = known(effects, k.step(table, metric, k.WEIGHT, ends)) if metric and ends else []
    if not found or metric is None or ends is None:
        return not_applicable("units_switched_off", f"Needs two levels of {k.WEIGHT} and active units.")
    wording = Wording(
        supported=f"{k.WEIGHT} {value_text(ends[0])} switches latent units off, against {value_text(ends[1])}.",
        rejected=f"{k.WEIGHT} {value_text(ends[0])} leaves as many latent units in use as {value_text(ends[1])}.",
        undecided="Whether the largest weight switches latent units off is open.",
        advice={
            "supported": "Units that are off cost nothing, but carry nothing: a smaller latent_dim does the same."
        },
    )
    return told("units_switched_off", k_falls(found[0]), wording, [*found, *level_numbers(table, metric)])


def level_numbers(table: SweepTable, metric: str) -> list[Number]:
    """Return the mean of a metric at every level of the weight, over all other axes and seeds."""
    axis = table.axis(k.WEIGHT)
    levels: tuple[Value, ...] = axis.simplest_first if axis else ()
    found = []
    for level in levels:
        means = [table.mean(metric, c) for c in table.cells if table.params_of(c)[k.WEIGHT] == level]
        known_means = [mean for mean in means if mean is not None]
        label = f"{bare_name(metric)} at {k.WEIGHT} {value_text(level)}"
        found += [Number(label, sum(known_means) / len(known_means))] if known_means else []
    return found


def schedule_keeps_information(table: SweepTable, effects: Effects) -> Finding:
    """Some schedule keeps more KL than a constant weight, averaged over the weights."""
    metric, axis = k.kl_metric(table), table.axis(k.SCHEDULE)
    if metric is None or axis is None or "constant" not in axis.values:
        return not_applicable("schedule_keeps_information", f"Needs {k.SCHEDULE} with constant, and a KL.")
    keeps: dict[str, Verdict] = {}
    found = []
    for pair in level_pairs(table, k.SCHEDULE):
        for effect in known(effects, k.step(table, metric, k.SCHEDULE, pair)) if "constant" in pair else []:
            other = next(level for level in pair if level != "constant")
            flat, rises = pair[0] == "constant", effect.above(effect.null)
            gained, lost = (effect.below(effect.null), rises) if flat else (rises, effect.below(effect.null))
            keeps[str(other)] = "supported" if gained else "rejected" if lost or effect.same else "undecided"
            found.append(effect)
    if not found:
        return not_applicable(
            "schedule_keeps_information", "Needs a schedule besides constant with data on the KL."
        )
    winners = ", ".join(name for name, verdict in keeps.items() if verdict == "supported")
    wording = Wording(
        supported=f"More KL survives than under a constant weight with: {winners}.",
        rejected="No schedule keeps more KL than a constant weight.",
        undecided="Whether a schedule keeps more KL than a constant weight is open.",
        advice={},
    )
    return told("schedule_keeps_information", any_of(keeps.values()), wording, found)


def anomalies(table: SweepTable, effects: Effects) -> list[Finding]:
    """Return per cell whether its KL is collapsed or unbound."""
    metric, found = k.kl_metric(table), []
    for cell in k.judged_cells(table):
        assert metric is not None
        for effect in known(effects, kl_contrast(table, metric, cell)):
            shown = [Number(metric, mean) for mean in [table.mean(metric, cell)] if mean is not None]
            found.append(kl_anomaly(table.label(cell), effect, shown))
    return found
