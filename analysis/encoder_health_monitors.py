"""What is measured of an encoder and of the solver that reads it, and whether it is out of bounds, cell by cell.

Bounds are those of `trainables.etrm.health`. Means rest on completed trials alone, so what a guard ended would be
invisible; two things are therefore read off the records of all trials: the share of the encoder's parameters that
any gradient reaches, which is a matter of structure and not of chance, and which guard ended a cell's trials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import scales
from analysis.effects import Contrast, Effect
from analysis.findings import Finding, Number, Verdict, Wording, any_of, not_applicable, told
from analysis.judge import Judge, Quantity, against_bound, given, in_range, numbers, opposite
from analysis.kl_weight_contrasts import MOST_CELLS
from analysis.scales import FEWEST_AGREEING
from analysis.search import finalists
from analysis.subjects import Subject, all_params, metric_name
from analysis.table import SweepTable
from trainables.etrm import health

REACHED = "frac_params_with_grad/encoder"
STEPS, HALTING_COLUMN = "train/steps", "train/halting_share"
ROUNDING = 1e-6  # of a share: means of ones in float32
COLLAPSE_GUARD = "valid/encoder_cross_sample_ratio"

CROSS = Quantity(
    "encoder_cross_sample_ratio",
    scales.VARIANCE_SHARE,
    (health.COLLAPSED_CROSS_RATIO, health.SUSPICIOUS_CROSS_RATIO),
)
GRADIENT = Quantity("grad_ratio/encoder", scales.VARIANCE_SHARE, (health.STARVED_GRAD_RATIO,))
CONTEXT = Quantity("context_to_token_rms", scales.RATIO, health.CONTEXT_SCALE)
FLIP = Quantity("ctx_flip", scales.SHARE, (health.IGNORED_CONTEXT_FLIP,))
COPY = Quantity("copy_rate", scales.SHARE, (health.COPYING_RATE,))
HALTING = Quantity("halting_share", scales.SHARE, health.HALTING_SHARE)
QUANTITIES = (CROSS, GRADIENT, CONTEXT, FLIP, COPY, HALTING)


def subjects(table: SweepTable) -> list[Subject]:
    """Return the cells that are judged one by one: those of a grid, the finalists of a search.

    Nothing of a grid that is so large that a verdict for every cell is not read.
    """
    cells = finalists(table) if table.is_search else table.cells
    shown = cells if len(cells) <= MOST_CELLS else []
    return [Subject(table.label(cell), cell, all_params(table, cell)) for cell in shown]


def with_halting_share(table: SweepTable) -> None:
    """Write into the trials how far training halts, from 0 (the first step) to 1 (``halt_max_steps``).

    Cells whose records do not tell ``halt_max_steps``, or that have one step only, get no value. Nor do trials whose
    mean is below the first step: no puzzle ends there, so the mean counts steps in which none has ended.
    """
    if STEPS not in table.trials or HALTING_COLUMN in table.trials:
        return
    found = pd.Series(np.nan, index=table.trials.index)
    for cell in table.cells:
        most, rows = all_params(table, cell).get("halt_max_steps"), table.rows_of(cell).index
        if isinstance(most, int | float) and most > 1:
            shares = (table.trials.loc[rows, STEPS] - 1) / (most - 1)
            found.loc[rows] = shares.where(shares >= -ROUNDING).clip(0.0, 1.0)
    table.trials[HALTING_COLUMN] = found


def monitor_contrasts(table: SweepTable) -> list[Contrast]:
    """Return every judged cell against the nearest bound of every monitored quantity."""
    with_halting_share(table)
    found = [against_bound(table, arm, quantity) for arm in subjects(table) for quantity in QUANTITIES]
    return [contrast for contrast in found if contrast is not None]


def largest_by_trial(table: SweepTable, arm: Subject, metric: str) -> list[float]:
    """Return the largest value that each trial of a cell ever recorded, whatever became of the trial."""
    rows = table.history[table.history["metric"] == metric]
    rows = rows[rows["trial_id"].isin(table.rows_of(arm.cell)["trial_id"])]
    return [float(value) for value in rows.groupby("trial_id")["value"].max()]


def unreached(table: SweepTable, arm: Subject) -> Verdict | None:
    """Return the verdict on "some parameter of the encoder never gets a gradient", None without accountings.

    Counted over all trials, those that a guard ended, too; fewer than `FEWEST_AGREEING` decide nothing.
    """
    shares = largest_by_trial(table, arm, REACHED)
    if not shares:
        return None
    if len(shares) < FEWEST_AGREEING:
        return "undecided"
    if max(shares) < 1:
        return "supported"
    return "rejected" if min(shares) >= 1 else "undecided"


def n_ended(table: SweepTable, arm: Subject, metric: str) -> int:
    """Return how many trials of a cell a guard on ``metric`` ended."""
    rows = table.rows_of(arm.cell)
    if "guard" not in rows:
        return 0
    by_guard = rows["guard"].fillna("").astype(str).str.startswith(f"{metric} ")
    return int((by_guard & (rows["state"] == "collapsed")).sum())


def collapsed(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "all puzzles get the same context", None without data.

    A guard on this very ratio ends what collapses, and leaves means to those that did not: where it ended
    all trials, it has answered; where it ended some, the survivors cannot.
    """
    ended, n = n_ended(judge.table, arm, COLLAPSE_GUARD), len(judge.table.rows_of(arm.cell))
    verdict = judge.below(arm, CROSS, health.COLLAPSED_CROSS_RATIO)
    if ended == n and n >= FEWEST_AGREEING:
        return "supported"
    return "undecided" if ended and verdict != "supported" else verdict


def starved(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "the encoder gets too little gradient, or some of it none", None without data."""
    ratio = judge.below(arm, GRADIENT, health.STARVED_GRAD_RATIO)
    structural = unreached(judge.table, arm)
    if ratio is None:  # the ratio of trials that a guard ended is not taken; that nothing starves needs it
        return None if structural == "rejected" else structural
    return any_of(verdict for verdict in (structural, ratio) if verdict is not None)


def outside(quantity: Quantity, bounds: tuple[float, float]) -> Callable[[Judge, Subject], Verdict | None]:
    """Return the function that judges whether a cell's mean lies outside two bounds."""
    return lambda judge, arm: opposite(in_range(judge, arm, quantity, bounds))


def ignores_context(judge: Judge, arm: Subject) -> Verdict | None:
    """Return the verdict on "contexts differ, and predictions do not care"; None where contexts may not differ."""
    if judge.above(arm, CROSS, health.COLLAPSED_CROSS_RATIO) != "supported":
        return None
    return judge.below(arm, FLIP, health.IGNORED_CONTEXT_FLIP)


@dataclass(frozen=True)
class Monitor:
    """One thing that can be wrong with a cell.

    Args:
        kind: Name of the finding, before the brackets.
        quantity: What its interval is about.
        verdict: Whether it is wrong; None without data.
        wrong: What is then said of the cell, after its name.
        right: What is said when it is not.
        topic: What is open when it is not decided.
        advice: What to do about it.
        shown: Further metrics whose means are shown.
        missing: Why it may not be applicable.
    """

    kind: str
    quantity: Quantity
    verdict: Callable[[Judge, Subject], Verdict | None]
    wrong: str
    right: str
    topic: str
    advice: str
    shown: tuple[str, ...] = ()
    missing: str = "no completed trial has the metric"


LOW, HIGH = health.CONTEXT_SCALE
STARVED = Monitor(
    "encoder_starved",
    GRADIENT,
    starved,
    f"the encoder starves: it has less than {health.STARVED_GRAD_RATIO:g} of the gradient's norm",
    f"the encoder gets gradient: more than {health.STARVED_GRAD_RATIO:g} of its norm, in all parameters",
    "the encoder starves",
    "Raise encoder_lr_scale, freeze the decoder at first (freeze_decoder_steps), and see that no detach cuts it off.",
    ("grad_ratio/inner", "grad_norm"),
)
SCALE_OFF = Monitor(
    "context_scale_off",
    CONTEXT,
    outside(CONTEXT, health.CONTEXT_SCALE),
    f"the context is on another scale than the tokens: their ratio of RMS is outside {LOW:g} to {HIGH:g}",
    f"the context is on the scale of the tokens: their ratio of RMS is within {LOW:g} to {HIGH:g}",
    "the context is on the scale of the tokens",
    "Set context_scale so that the context has the root mean square of the tokens.",
    ("encoder_output_std", "encoder_output_mean"),
)
COLLAPSED = Monitor(
    "representation_collapse",
    CROSS,
    collapsed,
    f"all puzzles get the same context: cross_sample_ratio is below {health.COLLAPSED_CROSS_RATIO:g}",
    f"puzzles get contexts of their own: cross_sample_ratio is above {health.COLLAPSED_CROSS_RATIO:g}",
    "the representation collapses",
    "See that the encoder gets gradient; then change encoder_type or encoder_num_layers.",
    ("encoder_cross_sample_var", "rankme"),
)
HALTING_OFF = Monitor(
    "halting_off",
    HALTING,
    outside(HALTING, health.HALTING_SHARE),
    "halting is off: training stops at the first step or never before the last",
    "halting is alive: training stops between the first step and the last",
    "halting is alive",
    "",  # depends on the side: see `advice_of`
    ("steps", "exact_accuracy", "q_halt_accuracy", "exact_accuracy_at_halt"),
    "train/steps or halt_max_steps is not recorded, or no puzzle has ended",
)
NEVER_HALTS = (
    "It never stops before the last step: see whether exact accuracy and q_halt_accuracy leave it a reason to; then "
    "train longer, or raise halt_weight. halt_exploration_prob only sets a least number of steps, so it cannot help."
)
HALTS_AT_ONCE = "It stops at once: raise halt_exploration_prob, which makes it take more steps."
IGNORES = Monitor(
    "decoder_ignores_context",
    FLIP,
    ignores_context,
    "the decoder ignores its context: another puzzle's changes fewer than "
    f"{health.IGNORED_CONTEXT_FLIP:.0%} of the cells",
    "the decoder reads its context: another puzzle's changes at least "
    f"{health.IGNORED_CONTEXT_FLIP:.0%} of the cells",
    "the decoder reads its context",
    "The contexts differ and are not read: freeze the decoder at first, or check context_scale.",
    ("ctx_kl", "em_drop_shuffle", "em_drop_zero"),
    "its contexts are not shown to differ, so there is nothing to ignore",
)
COPIES = Monitor(
    "copies_input",
    COPY,
    lambda judge, arm: judge.above(arm, COPY, health.COPYING_RATE),
    f"it copies its input: more than {health.COPYING_RATE:.0%} of the predictions are the query",
    f"it does not copy its input: fewer than {health.COPYING_RATE:.0%} of the predictions are the query",
    "it copies its input",
    "Train longer or on fewer puzzles first: copying is where every solver starts.",
    ("copy_cell_rate",),
)
MONITORS = (STARVED, SCALE_OFF, COLLAPSED, HALTING_OFF, IGNORES, COPIES)


def monitored(judge: Judge, monitor: Monitor, arm: Subject) -> Finding:
    """Return whether one thing is wrong with one cell."""
    identity, verdict = f"{monitor.kind}[{arm.name}]", monitor.verdict(judge, arm)
    if verdict is None:
        return not_applicable(identity, f"{arm.name}: {monitor.missing}.")
    wording = Wording(
        supported=f"{arm.name}: {said_of(judge, monitor, arm)}.",
        rejected=f"{arm.name}: {monitor.right}{suspicion(judge, monitor, arm)}.",
        undecided=f"{arm.name}: it is open whether {monitor.topic}.",
        advice={"supported": advice_of(judge, monitor, arm)},
    )
    shown: list[Effect | Number] = [
        *given(judge.effect(arm, monitor.quantity)),
        *numbers(judge.table, arm, monitor.quantity.name, *monitor.shown),
        *reached_numbers(judge.table, monitor, arm),
    ]
    return told(identity, verdict, wording, shown)


def said_of(judge: Judge, monitor: Monitor, arm: Subject) -> str:
    """Return what is wrong with a cell, in the words of the records where they say more than the bound."""
    n = len(judge.table.rows_of(arm.cell))
    if monitor is COLLAPSED and n_ended(judge.table, arm, COLLAPSE_GUARD) == n:
        return f"{monitor.wrong}; a guard ended all {n} trials for it"
    if monitor is not STARVED or unreached(judge.table, arm) != "supported":
        return monitor.wrong
    share = max(largest_by_trial(judge.table, arm, REACHED))
    some = "no encoder parameter receives a gradient"
    return some if share == 0 else f"only {share:.0%} of the encoder's parameters receive a gradient"


def advice_of(judge: Judge, monitor: Monitor, arm: Subject) -> str:
    """Return what to do about a cell; halting too late and too early need different things."""
    if monitor is not HALTING_OFF:
        return monitor.advice
    share = judge.table.mean(HALTING_COLUMN, arm.cell)
    return NEVER_HALTS if share is not None and share > sum(health.HALTING_SHARE) / 2 else HALTS_AT_ONCE


def suspicion(judge: Judge, monitor: Monitor, arm: Subject) -> str:
    """Return the warning that a cell's contexts differ little, empty where they differ enough."""
    mean = judge.table.mean(metric_name(judge.table, CROSS.name), arm.cell)
    low = monitor is COLLAPSED and mean is not None and mean < health.SUSPICIOUS_CROSS_RATIO
    return f", which is suspicious below {health.SUSPICIOUS_CROSS_RATIO:g}" if low else ""


def reached_numbers(table: SweepTable, monitor: Monitor, arm: Subject) -> list[Number]:
    """Return the share of the encoder's parameters that a gradient reaches, over all trials of a cell."""
    shares = largest_by_trial(table, arm, REACHED) if monitor is STARVED else []
    return (
        [Number(f"{REACHED}, {arm.name}, all {len(shares)} trials", float(np.mean(shares)))] if shares else []
    )
