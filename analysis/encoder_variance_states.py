"""In which of four states an encoder is: do puzzles get contexts of their own, and does sampling add noise to them?

==================  ===========================================  ==============================================
                    within one puzzle ~0                         within one puzzle high
==================  ===========================================  ==============================================
between them low    collapsed to deterministic: raise kl_weight  stochastic and uninformative: more latent_dim,
                                                                 more layers
between them high   deterministic and healthy                    variational and healthy
==================  ===========================================  ==============================================

The raw variance within a puzzle has the unit of the context, and so says little alone. What it means follows from
the split of the context's variance into signal (between puzzles, at the mean of the latent) and noise (that sampling
adds): noise is high when it is above its bound **and** a visible share of the two, and the puzzles are told apart
when their contexts differ **and** noise does not drown the difference. Source: the note on encoder variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis import scales
from analysis.effects import Contrast
from analysis.encoder_health_monitors import COLLAPSED, CROSS, collapsed, monitored, subjects
from analysis.exhibit import Listing
from analysis.findings import Finding, Verdict, Wording, all_of, not_applicable, told
from analysis.judge import Judge, Quantity, against_bound, given, nearest_bound, numbers, opposite
from analysis.scales import Scale
from analysis.subjects import Subject, mean_of, metric_name
from analysis.table import Meaning, SweepTable
from search_spaces.etrm import VARIATIONAL_ENCODERS
from trainables.etrm.health import COLLAPSED_CROSS_RATIO, LEAST_WITHIN_VAR, SUSPICIOUS_CROSS_RATIO

NEGLIGIBLE_VAR = LEAST_WITHIN_VAR / 10  # added before logarithms: near zero those are of rounding
LEAST_NOISE_SHARE = 0.01  # of signal + noise: a hundredth of the variance is no sampling to speak of; design
MOST_NOISE_SHARE = 1 - COLLAPSED_CROSS_RATIO  # the signal is as small a part as that of a collapsed encoder
NOISE_SHARE = "noise_share"


def raised(variance: float) -> float:
    """Return a variance as it stands in the column that is compared."""
    return max(variance, 0.0) + NEGLIGIBLE_VAR


def lowered(value: float) -> float:
    """Return the variance that stands in the column as ``value``, at least 0: the inverse of `raised`."""
    return max(0.0, value - NEGLIGIBLE_VAR)


RAISED = Scale("ratio", f"{NEGLIGIBLE_VAR:g} more than the value", raised, back=lowered)
WITHIN = Quantity("encoder_within_puzzle_var", RAISED, (LEAST_WITHIN_VAR,))
NOISE = Quantity(NOISE_SHARE, scales.VARIANCE_SHARE, (LEAST_NOISE_SHARE, MOST_NOISE_SHARE))
SIGNAL = Quantity("signal_var", RAISED, (LEAST_WITHIN_VAR,))


NOT_VARIATIONAL = "See that the encoder gets gradient (encoder_starved); then take another encoder_type."


@dataclass(frozen=True)
class State:
    """One of the four states, with what to do about it."""

    name: str
    advice: str


STATES = {
    (False, False): State("collapsed to deterministic", "Raise kl_weight."),
    (False, True): State(
        "stochastic and uninformative", "Raise latent_dim, add encoder layers (encoder_num_layers)."
    ),
    (True, False): State("deterministic and healthy", ""),
    (True, True): State("variational and healthy", ""),
}


def with_noise_share(table: SweepTable) -> None:
    """Write into the trials which share of signal + noise is noise; missing where both are zero.

    Drawn in place of their ratio, which spans orders of magnitude and is infinite without noise.
    """
    signal, noise = metric_name(table, "signal_var"), metric_name(table, "noise_var")
    if signal in table.trials and noise in table.trials:
        whole = table.trials[signal] + table.trials[noise]
        table.trials[f"valid/{NOISE_SHARE}"] = table.trials[noise] / whole.where(whole > 0, np.nan)
        meaning = Meaning(text="share of noise in signal + noise, the variance of the context")
        table.meanings = {**table.meanings, NOISE_SHARE: meaning}


def state_contrasts(table: SweepTable) -> list[Contrast]:
    """Return every judged cell against the nearest bound of what its state follows from."""
    with_noise_share(table)
    found = [against_bound(table, arm, q) for arm in subjects(table) for q in (CROSS, WITHIN, NOISE)]
    return [contrast for contrast in found if contrast is not None]


def informative(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "puzzles get contexts of their own, not drowned in noise", None without data."""
    differing = opposite(collapsed(judge, arm))
    audible = judge.below(arm, NOISE, MOST_NOISE_SHARE)
    return None if differing is None else all_of(v for v in (differing, audible) if v is not None)


def stochastic(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "sampling moves the context, by a visible share of its variance", None without data."""
    within = judge.above(arm, WITHIN, LEAST_WITHIN_VAR)
    share = judge.above(arm, NOISE, LEAST_NOISE_SHARE)
    return None if within is None else all_of(v for v in (within, share) if v is not None)


def state_of(judge: Judge, arm: Subject) -> State | None:
    """Return the state of one cell, None where an interval reaches over a bound or there is no data."""
    told_apart, noisy = informative(judge, arm), stochastic(judge, arm)
    open_or_absent = {"undecided", None}
    if told_apart in open_or_absent or noisy in open_or_absent:
        return None
    return STATES[told_apart == "supported", noisy == "supported"]


def state_of_estimates(judge: Judge, arm: Subject) -> State | None:
    """Return the state in which the estimates of a cell lie, whatever their intervals say; None without data."""
    cross, within, share = (estimate_of(judge, arm, quantity) for quantity in (CROSS, WITHIN, NOISE))
    if cross is None or within is None:
        return None
    told_apart = cross >= COLLAPSED_CROSS_RATIO and (share is None or share < MOST_NOISE_SHARE)
    return STATES[told_apart, within > LEAST_WITHIN_VAR and (share is None or share > LEAST_NOISE_SHARE)]


def in_own_unit(judge: Judge, arm: Subject, quantity: Quantity) -> tuple[float | None, ...] | None:
    """Return estimate and both ends of the interval of one quantity in its own unit, None without an effect."""
    effect, bound = judge.effect(arm, quantity), nearest_bound(judge.table, arm, quantity)
    if effect is None or bound is None:
        return None
    ends = (effect.estimate, effect.ci_low, effect.ci_high)
    return tuple(None if end is None else quantity.scale.metric_at(end, bound) for end in ends)


def estimate_of(judge: Judge, arm: Subject, quantity: Quantity) -> float | None:
    """Return what is said of one quantity: its estimate, or the mean of seeds that all agree."""
    found = in_own_unit(judge, arm, quantity)
    return mean_of(judge.table, quantity.name, arm.cell) if found is None else found[0]


def interval_text(judge: Judge, arm: Subject, quantity: Quantity) -> str:
    """Return estimate and simultaneous interval of one quantity in its own unit: ``0.31 [0.25, 0.38]``."""
    found = in_own_unit(judge, arm, quantity)
    if found is None:
        mean = mean_of(judge.table, quantity.name, arm.cell)
        return "–" if mean is None else f"{mean:.3g} in every seed"
    value, low, high = found
    return f"{value:.3g} [no interval]" if low is None else f"{value:.3g} [{low:.3g}, {high:.3g}]"


def suspicious(judge: Judge, arm: Subject) -> bool:
    """Return whether the cross ratio of a cell is above collapse, and lower than a healthy one."""
    ratio = estimate_of(judge, arm, CROSS)
    return ratio is not None and COLLAPSED_CROSS_RATIO <= ratio < SUSPICIOUS_CROSS_RATIO


def cross_text(judge: Judge, arm: Subject) -> str:
    """Return the cross ratio with its interval, and that it is low: ``0.1 [0.08, 0.12], suspicious below 0.15``."""
    low = f", suspicious below {SUSPICIOUS_CROSS_RATIO:g}" if suspicious(judge, arm) else ""
    return interval_text(judge, arm, CROSS) + low


def state_text(judge: Judge, arm: Subject, state: State | None) -> str:
    """Return the name of a state; no cell whose cross ratio is suspicious is called healthy.

    Of an open cell it says where the estimates lie, which its seeds do not decide.
    """
    if state is None:
        likely = state_of_estimates(judge, arm)
        return "open" if likely is None else f"open (by its estimates {state_text(judge, arm, likely)})"
    return state.name.replace("healthy", "suspicious") if suspicious(judge, arm) else state.name


def advice_for(arm: Subject, state: State) -> str:
    """Return what to do about a state; no weight of a KL helps an encoder that has none."""
    variational = str(arm.params.get("encoder_type")) in VARIATIONAL_ENCODERS
    return state.advice if variational or not state.advice else NOT_VARIATIONAL


def states(judge: Judge) -> list[Finding]:
    """Return of every cell whether it collapses, then in which state it is."""
    arms = subjects(judge.table)
    return [
        *(monitored(judge, COLLAPSED, arm) for arm in arms),
        *(encoder_state(judge, arm) for arm in arms),
    ]


def encoder_state(judge: Judge, arm: Subject) -> Finding:
    """Puzzles get contexts of their own; whether sampling adds noise to them is told, too."""
    identity = f"encoder_state[{arm.name}]"
    told_apart, noisy = informative(judge, arm), stochastic(judge, arm)
    if told_apart is None or noisy is None:
        reason = f"{arm.name} has no completed trial with {CROSS.name} and {WITHIN.name}."
        return not_applicable(identity, reason)
    state = state_of(judge, arm)
    verdict: Verdict = "undecided" if state is None else told_apart
    name = state_text(judge, arm, state)
    numbers_said = f"cross ratio {cross_text(judge, arm)}, within {interval_text(judge, arm, WITHIN)}"
    wording = Wording(
        supported=f"{arm.name} is {name}: {numbers_said}.",
        rejected=f"{arm.name} is {name}: {numbers_said}.",
        undecided=f"The state of {arm.name} is {name}: {numbers_said}.",
        advice={"rejected": advice_for(arm, state)} if state else {},
    )
    shown = numbers(judge.table, arm, CROSS.name, WITHIN.name, "signal_var", "noise_var", NOISE_SHARE)
    effects = given(*(judge.effect(arm, quantity) for quantity in (CROSS, WITHIN, NOISE)))
    return told(identity, verdict, wording, [*effects, *shown])


def state_table(judge: Judge) -> Listing | None:
    """Return the states of all cells; None without a cell that has data."""
    rows = [table_row(judge, arm) for arm in subjects(judge.table)]
    if all(row[1] == "–" for row in rows):
        return None
    return Listing(
        "encoder_states",
        "State of the encoder in every cell",
        "Estimates with simultaneous intervals. The cross ratio is the variance of the context between puzzles over "
        f"its mean square: below {COLLAPSED_CROSS_RATIO:g} collapsed, below {SUSPICIOUS_CROSS_RATIO:g} suspicious. "
        f"Within: variance between two draws of one puzzle, high above {LEAST_WITHIN_VAR:g} where noise is also more "
        f"than {LEAST_NOISE_SHARE:.0%} of signal + noise. Open: an interval reaches over a bound, and where the "
        "estimates lie is no verdict.",
        ("cell", "cross ratio", "within", "signal / noise", "share of noise", "state", "advice"),
        rows,
    )


def table_row(judge: Judge, arm: Subject) -> list[str]:
    """Return one row of the table of states."""
    state, ratio = state_of(judge, arm), mean_of(judge.table, CROSS.name, arm.cell)
    signal, noise = (mean_of(judge.table, name, arm.cell) for name in ("signal_var", "noise_var"))
    split = "–" if signal is None or noise is None else f"{signal:.3g} / {noise:.3g}"
    said = "no data" if ratio is None else state_text(judge, arm, state)
    advice = "" if state is None else advice_for(arm, state)
    within, noise_share = (interval_text(judge, arm, quantity) for quantity in (WITHIN, NOISE))
    return [arm.name, cross_text(judge, arm), within, split, noise_share, said, advice or "–"]
