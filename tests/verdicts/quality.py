"""What the simulated sweeps show: rates by setting and by finding, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statsmodels.stats.proportion import proportion_confint

from tests.verdicts.settings import Setting, all_settings
from tests.verdicts.simulate import Counts

LARGEST_ERROR = 0.05  # of false claims, and of reports with an interval that misses: what a report promises
COVERAGE = (0.93, 0.97)  # of 95 % intervals that stand alone
COMMAND = "make verdicts"
POWERED = ("effect 20%, noise 5%", "effect 20%, noise 5%, plain")


@dataclass(frozen=True)
class Outcome:
    """The rates of one setting.

    Args:
        setting: The setting.
        counts: What came of its sweeps.
    """

    setting: Setting
    counts: Counts

    @property
    def false_rate(self) -> float:
        """Share of sweeps with any false claim."""
        return self.counts.with_false / self.counts.n

    @property
    def miss_rate(self) -> float:
        """Share of sweeps with any simultaneous interval that misses its truth."""
        return self.counts.with_miss / self.counts.n

    @property
    def coverage(self) -> float | None:
        """Share of intervals alone that hold their truth, None without any."""
        return share(self.counts.singles - self.counts.missed, self.counts.singles)

    @property
    def power(self) -> float | None:
        """Share of contrasts with a true effect beyond the margin that are shown to differ, None without any."""
        return share(self.counts.shown, self.counts.effects)

    @property
    def decided(self) -> float | None:
        """Share of findings with a known truth that say it."""
        return share(sum(self.counts.decided.values()), sum(self.counts.asked.values()))

    @property
    def worst(self) -> tuple[str, float]:
        """The finding with the most false claims, and their rate."""
        if not self.counts.false or not max(self.counts.false.values()):
            return "", 0.0
        name, n = self.counts.false.most_common(1)[0]
        return name, n / self.counts.asked[name]

    def as_json(self) -> dict[str, Any]:
        """Return the rates of the setting."""
        low, high = wilson(self.counts.with_false, self.counts.n)
        name, rate = self.worst
        return {
            "study": self.setting.study,
            "setting": self.setting.name,
            "sweeps": self.counts.n,
            "any_false_claim": round(self.false_rate, 4),
            "any_false_claim_95": [round(low, 4), round(high, 4)],
            "worst_finding": name or None,
            "worst_finding_false": round(rate, 4),
            "any_interval_misses": round(self.miss_rate, 4),
            "coverage_alone": rounded(self.coverage),
            "effects_shown": rounded(self.power),
            "findings_decided": rounded(self.decided),
        }


def share(n: int, of: int) -> float | None:
    """Return a share, None of nothing."""
    return n / of if of else None


def rounded(value: float | None) -> float | None:
    """Return a share with four digits."""
    return None if value is None else round(value, 4)


def wilson(n: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, Wilson (1927)."""
    low, high = proportion_confint(n, of, method="wilson")
    return float(low), float(high)


def by_finding(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return for every finding of every study its false claims and its power over all settings of the study."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for outcome in outcomes:
        for name, asked in outcome.counts.asked.items():
            key = outcome.setting.study, name
            empty: dict[str, Any] = {"study": key[0], "finding": name, "asked": 0, "false": 0, "decided": 0}
            empty |= {"worst": 0.0, "worst_setting": None}
            row = rows.setdefault(key, empty)
            false = outcome.counts.false[name]
            row["asked"] += asked
            row["false"] += false
            row["decided"] += outcome.counts.decided[name]
            if false / asked > row["worst"]:
                row["worst"], row["worst_setting"] = round(false / asked, 4), outcome.setting.name
    return list(rows.values())


def written(outcomes: Sequence[Outcome], page: Path, numbers: Path) -> None:
    """Write page and numbers."""
    found = {"settings": [outcome.as_json() for outcome in outcomes], "findings": by_finding(outcomes)}
    numbers.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page.write_text(document(outcomes), encoding="utf-8")


def percent(value: float | None) -> str:
    """Return a share as text."""
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def line(outcome: Outcome) -> str:
    """Return one row of the table of a study; what breaks a promise is bold."""
    low, high = wilson(outcome.counts.with_false, outcome.counts.n)
    name, rate = outcome.worst
    cells = [
        outcome.setting.name,
        f"{marked(outcome.false_rate)} [{percent(low)}, {percent(high)}]",
        f"`{name}` {percent(rate)}" if name else "-",
        marked(outcome.miss_rate),
        percent(outcome.coverage),
        percent(outcome.power),
        percent(outcome.decided),
    ]
    return f"| {' | '.join(cells)} |"


def marked(rate: float) -> str:
    """Return an error rate, bold where it is above what is promised."""
    return f"**{percent(rate)}**" if rate > LARGEST_ERROR else percent(rate)


HEAD = (
    "| setting | any false claim | worst finding | any interval misses | coverage alone | effects shown "
    "| findings decided |\n|---|---|---|---|---|---|---|"
)


def document(outcomes: Sequence[Outcome]) -> str:
    """Return the page."""
    n, few = (which(outcome.counts.n for outcome in outcomes) for which in (max, min))
    total = sum(outcome.counts.n for outcome in outcomes)
    done, planned = len(outcomes), len(all_settings())
    ended = [f"This run ended after {done} of {planned} settings."] if done < planned else []
    parts = [INTRODUCTION.format(command=COMMAND, n=n, few=few, total=total), *ended, summary(outcomes)]
    for study in dict.fromkeys(outcome.setting.study for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.setting.study == study]
        parts += [f"## {study}\n\n{HEAD}\n" + "\n".join(line(outcome) for outcome in own)]
    parts.append(findings_part(outcomes))
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# How good the verdicts are

Written by `{command}`: {total} simulated sweeps whose truth is known, {n} per setting ({few} in
studies with dozens of findings). Every one goes through the
analysis of its study, and what its report claims is held against what was planted.

* **any false claim**: share of reports with a finding that says `supported` or `rejected` where the opposite is true,
  with its Wilson interval; `undecided` claims nothing. The truth of a finding is its verdict when seeds hardly scatter.
  Findings whose truth stands exactly at a bound, or which speak of what a search happened to draw, are not asked.
* **any interval misses**: share of reports in which any of the simultaneous 95 % intervals leaves out its true value.
* **coverage alone**: share of single 95 % intervals that hold their truth. Comparisons with the best cell, which
  the data choose, are among them and hold it less often; no claim rests on one of them alone.
* **effects shown**: share of contrasts with a true effect beyond the margin of 5 % whose simultaneous interval
  excludes "no effect".
* **findings decided**: share of findings with a known truth that say it.

What is above the 5 % that a report promises is bold; a true rate of 5 % is measured above it every other time."""


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return which promises hold."""
    n = len(outcomes)
    false = [o for o in outcomes if o.false_rate > LARGEST_ERROR]
    missed = [o for o in outcomes if o.miss_rate > LARGEST_ERROR]
    surely = [o for o in missed if wilson(o.counts.with_miss, o.counts.n)[0] > LARGEST_ERROR]
    outside = [o for o in outcomes if o.coverage is not None and not COVERAGE[0] <= o.coverage <= COVERAGE[1]]
    lines = [
        "## Summary\n",
        f"* False claims: in {n - len(false)} of {n} settings at most 5 % of reports have any{named(false)}",
        f"* Simultaneous intervals: in {n - len(missed)} of {n} settings at most 5 % of reports have one that misses.",
        f"* Above 5 % beyond the chance of so many simulations: {len(surely)} settings{named(surely)}",
        *power_lines(outcomes),
        f"* Single intervals: coverage is 93 to 97 % in {n - len(outside)} of {n} settings{named(outside)}",
    ]
    return "\n".join(lines)


def power_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Return how often each finding is decided where steps of 20 % stand in noise of 5 %, at three seeds."""
    found = []
    for outcome in outcomes:
        if outcome.setting.name in POWERED and outcome.setting.study in {"globals_heads", "grid"}:
            counts = outcome.counts
            rates = [f"`{name}` {percent(counts.decided[name] / n)}" for name, n in counts.asked.items()]
            found.append(
                f"* Power at effects of 20 % and noise of 5 %, {outcome.setting.study}: {', '.join(rates)}."
            )
    return found


def named(outcomes: Sequence[Outcome]) -> str:
    """Return the settings as the end of a sentence."""
    return f": {'; '.join(outcome.setting.id for outcome in outcomes)}." if outcomes else "."


def findings_part(outcomes: Sequence[Outcome]) -> str:
    """Return the table of findings."""
    head = (
        "## By finding, over all settings of its study\n\n"
        "| study | finding | asked | false | worst setting | decided |\n|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(finding_line(row) for row in by_finding(outcomes))])


def finding_line(row: dict[str, Any]) -> str:
    """Return the row of one finding."""
    false, decided = percent(row["false"] / row["asked"]), percent(row["decided"] / row["asked"])
    return (
        f"| {row['study']} | `{row['finding']}` | {row['asked']} | {false} | {worst_text(row)} | {decided} |"
    )


def worst_text(row: dict[str, Any]) -> str:
    """Return the setting with the most false claims of a finding."""
    return f"{row['worst_setting']} {marked(row['worst'])}" if row["worst_setting"] else "-"
