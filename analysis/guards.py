"""What ending trials early saved, and whether the rules that ended them were right.

A guard ends a trial whose monitor lies outside a bound. Some such trials are run on to the end all the same:
the audit. A rule was wrong about an audited trial when the monitor is back inside its bound at the last
epoch. Trials that the scheduler ended (``pruned``) are counted apart: it ranks trials, it judges none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy import stats

from analysis.exhibit import Listing
from analysis.findings import Finding, Number, Verdict, not_applicable
from analysis.table import SweepTable
from search_spaces.errors import RefusedError
from trainables.guard import Guard

TOLERATED = 0.05  # share of wrong stops above which a rule costs more truth than it saves time; design
LEVEL = 0.95  # of the exact interval of that share
MOST_AUDITS = 2000  # beyond it no audit decides
SEEN_THROUGH = ("complete", "diverged")  # states of audited trials that show how it would have ended
SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Saving:
    """What ending trials early saved, by one rule or by the scheduler.

    Args:
        rule: The rule in words, or `SCHEDULER`.
        ended: Trials that it ended.
        epochs: Epochs that those trials did not train.
        seconds: The same in seconds, at each trial's own seconds per epoch.
        share: Of the epochs planned for all started trials.
    """

    rule: str
    ended: int
    epochs: int
    seconds: float
    share: float


@dataclass(frozen=True)
class Audit:
    """What the audit says of one rule, or of all.

    Args:
        rule: The rule in words, ``all`` for all of them.
        n: Trials that broke it, were run on, and were seen through.
        wrong: Those whose monitor is back inside the bound at their last epoch.
        low: Lower end of the exact 95 % interval of the share of wrong ones (Clopper and Pearson 1934).
        high: Upper end.
        would_be_best: Audited trials whose objective beats that of every other completed trial.
    """

    rule: str
    n: int
    wrong: int
    low: float
    high: float
    would_be_best: int

    @property
    def interval_text(self) -> str:
        """The share with its interval: ``0 of 3, 0 % to 71 %``."""
        return f"{self.wrong} of {self.n}, {self.low:.0%} to {self.high:.0%}"


def has_guards(table: SweepTable) -> bool:
    """Return whether the study has rules, or some trial broke one."""
    return bool(table.study.get("guards")) or bool(broke(table).any())


def broke(table: SweepTable) -> pd.Series[bool]:
    """Return by trial whether it broke a rule, also when it was run on."""
    if "guard" not in table.trials.columns:
        return table.trials["state"] == "collapsed"
    return table.trials["guard"].notna() | (table.trials["state"] == "collapsed")


def rules_of(table: SweepTable) -> dict[str, Guard]:
    """Return the study's rules by their words; entries that are no rule are left out."""
    found = {}
    for described in table.study.get("guards") or ():
        try:
            guard = Guard(**described)
        except (TypeError, RefusedError):
            continue
        found[guard.text] = guard
    return found


def savings(table: SweepTable) -> list[Saving]:
    """Return what was saved: every rule that ended a trial, then the scheduler; nothing without planned epochs."""
    planned = int(table.study.get("epochs") or 0)
    if not planned or table.trials.empty:
        return []
    rows = table.trials.assign(left=(planned - table.trials["n_epochs"]).clip(lower=0))
    per_epoch = rows["wall_s"] / rows["n_epochs"].where(rows["n_epochs"] > 0)
    rows = rows.assign(seconds=rows["left"] * per_epoch)
    names = rows["guard"] if "guard" in rows.columns else pd.Series(None, index=rows.index, dtype=object)
    rows = rows.assign(rule=names.where(names.notna(), "a rule that is not recorded"))
    rows.loc[rows["state"] == "pruned", "rule"] = SCHEDULER
    ended = rows[rows["state"].isin(["collapsed", "pruned"])]
    found = [
        Saving(
            str(rule),
            len(part),
            int(part["left"].sum()),
            float(part["seconds"].sum()),
            float(part["left"].sum()) / (planned * len(rows)),
        )
        for rule, part in ended.groupby("rule")
    ]
    return sorted(found, key=lambda saving: (saving.rule == SCHEDULER, -saving.epochs))


def audited(table: SweepTable) -> pd.DataFrame:
    """Return the trials that broke a rule and were seen through, with whether the rule was ``wrong``."""
    if "guard" not in table.trials.columns:
        return table.trials.iloc[:0].assign(wrong=False)
    rows = table.trials[table.trials["guard"].notna() & table.trials["state"].isin(SEEN_THROUGH)]
    known = rules_of(table)
    rows = rows[rows["guard"].isin(list(known))]
    named = zip(rows["trial_id"], rows["state"], rows["guard"], strict=True)
    wrong = [state == "complete" and recovered(table, trial, known[rule]) for trial, state, rule in named]
    return rows.assign(wrong=pd.Series(wrong, index=rows.index, dtype=bool))


def recovered(table: SweepTable, trial_id: str, guard: Guard) -> bool:
    """Return whether the monitor of a trial is back inside the bound at the last epoch that has it."""
    own = (table.history["trial_id"] == trial_id) & (table.history["metric"] == guard.metric)
    monitor = table.history[own].sort_values("epoch")["value"]
    return len(monitor) > 0 and not guard.outside(float(monitor.iloc[-1]))


def audits(table: SweepTable) -> list[Audit]:
    """Return the audit of all rules together, then of every rule that some audited trial broke."""
    rows = audited(table)
    best = beats_all_others(table, rows)
    parts = [("all", rows), *((str(rule), part) for rule, part in rows.groupby("guard"))]
    return [one_audit(rule, part, int(best.reindex(part.index).sum())) for rule, part in parts if len(part)]


def one_audit(rule: str, rows: pd.DataFrame, would_be_best: int) -> Audit:
    """Return the audit of one rule with the exact interval of its share of wrong stops."""
    n, wrong = len(rows), int(rows["wrong"].sum())
    low, high = exact_interval(wrong, n)
    return Audit(rule, n, wrong, low, high, would_be_best)


def exact_interval(wrong: int, n: int) -> tuple[float, float]:
    """Return the interval of a share; everything when nothing was tried (Clopper and Pearson 1934)."""
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(wrong, n).proportion_ci(LEVEL, method="exact")
    return float(found.low), float(found.high)


def beats_all_others(table: SweepTable, rows: pd.DataFrame) -> pd.Series[bool]:
    """Return by audited trial whether its objective beats that of every completed trial that broke no rule."""
    if table.objective is None or table.objective.metric not in table.trials.columns:
        return pd.Series(False, index=rows.index)
    unbroken = table.trials[(table.trials["state"] == "complete") & ~broke(table)]
    sign = 1.0 if table.objective.mode == "min" else -1.0
    own, others = sign * rows[table.objective.metric], sign * unbroken[table.objective.metric]
    least = float(others.min()) if others.notna().any() else math.inf
    return (own < least) & (rows["state"] == "complete")


def findings(table: SweepTable) -> list[Finding]:
    """Return the finding on a sweep's guards, nothing when it has none."""
    return [guards_are_right(table)] if has_guards(table) else []


def guards_are_right(table: SweepTable) -> Finding:
    """The rules end hardly any trial that would have recovered: fewer than 5 %."""
    found = audits(table)
    saved = tuple(
        Number(f"epochs saved by {saving.rule}", 100 * saving.share, "% of those planned")
        for saving in savings(table)
    )
    if not broke(table).any():
        return not_applicable("guards_are_right", "No trial broke a rule.")
    if not found:
        said = (
            "No trial that broke a rule was run on to the end, so nothing says whether the rules are right."
        )
        advice = (
            "Raise guard_audit (a share, 0.1 by default): so many of the trials that break a rule are run on."
        )
        return Finding("guards_are_right", "undecided", said, saved, advice)
    overall = found[0]
    verdict: Verdict = "undecided"
    if overall.high < TOLERATED:
        verdict = "supported"
    elif overall.low > TOLERATED:
        verdict = "rejected"
    numbers = tuple(
        Number(f"audit of {audit.rule}: wrong ({audit.interval_text})", audit.wrong / audit.n)
        for audit in found
    )
    advice = advice_on(verdict, overall)
    return Finding("guards_are_right", verdict, statement_of(verdict, overall), (*numbers, *saved), advice)


def statement_of(verdict: Verdict, audit: Audit) -> str:
    """Return what the audit says, in words; what a small number of audits means is said, too."""
    share = f"{audit.wrong} of {audit.n} audited trials recovered"
    if verdict == "supported":
        said = f"The rules are right: {share}, at most {audit.high:.1%} of all that they end."
    elif verdict == "rejected":
        said = f"The rules end trials that would have recovered: {share}, at least {audit.low:.0%} of all."
    else:
        needed = audits_needed(audit)
        more = "no number of audits" if needed is None else f"about {needed} audits"
        said = (
            f"Whether the rules are right is open: {share}, so the share of wrong stops may be anything from "
            f"{audit.low:.0%} to {audit.high:.0%}. At this share {more} would decide it."
        )
    best = (
        f" {audit.would_be_best} of them would have been the best trial of the sweep."
        if audit.would_be_best
        else ""
    )
    return said + best


def advice_on(verdict: Verdict, audit: Audit) -> str:
    """Return what follows from the audit."""
    if audit.would_be_best or verdict == "rejected":
        return "Loosen the bound or raise patience or grace: the rule ends what would have been good."
    return "Keep auditing: a sweep with more broken trials will tell." if verdict == "undecided" else ""


def audits_needed(audit: Audit) -> int | None:
    """Return the smallest number of audits whose interval, at the present share, leaves out `TOLERATED`."""
    share = audit.wrong / audit.n
    for n in range(audit.n + 1, MOST_AUDITS + 1):
        low, high = exact_interval(round(share * n), n)
        if high < TOLERATED or low > TOLERATED:
            return n
    return None


def exhibits(table: SweepTable) -> list[Listing]:
    """Return the table of what ended trials early; nothing when nothing did."""
    if not has_guards(table) and not savings(table):
        return []
    by_rule = {audit.rule: audit for audit in audits(table)}
    saved = {saving.rule: saving for saving in savings(table)}
    names = [*(rule for rule in saved if rule != SCHEDULER), *(r for r in rules_of(table) if r not in saved)]
    rows = [listing_row(rule, saved.get(rule), by_rule.get(rule)) for rule in names]
    rows += [listing_row(SCHEDULER, saved[SCHEDULER], None)] if SCHEDULER in saved else []
    return [
        Listing(
            "guards",
            "What was ended early",
            "Saved: epochs that were planned and not trained, as a share of those planned for all started trials, and "
            "in seconds at each trial's own pace. Audited trials broke the rule and were run on: the rule was wrong "
            "where the monitor was back inside its bound at the end. The interval is exact (Clopper-Pearson, 95 %).",
            (
                *("rule", "trials ended", "epochs saved", "share saved %", "seconds saved"),
                *("audited", "wrong", "wrong share, low", "wrong share, high", "would be best"),
            ),
            rows,
        )
    ]


def listing_row(rule: str, saved: Saving | None, audit: Audit | None) -> tuple[str | float | int | None, ...]:
    """Return one row of the table."""
    ended = (
        (0, 0, 0.0, 0.0) if saved is None else (saved.ended, saved.epochs, 100 * saved.share, saved.seconds)
    )
    told: tuple[float | int | None, ...] = (0, None, None, None, None)
    if audit is not None:
        told = (audit.n, audit.wrong, audit.low, audit.high, audit.would_be_best)
    if rule == SCHEDULER:
        told = (None,) * 5
    return (rule, *ended, *told)


def as_json(table: SweepTable) -> dict[str, Any] | None:
    """Return the section ``guards`` of ``report.json``, None when nothing was or could be ended early."""
    if not has_guards(table) and not savings(table):
        return None
    return {
        "rules": list(rules_of(table)),
        "savings": [vars(saving) for saving in savings(table)],
        "audits": [vars(audit) for audit in audits(table)],
    }
