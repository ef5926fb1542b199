"""How the recommended cell stands: beside what needs no training, on test samples, over its epochs, on other metrics.

A cell may be the best of its sweep and still be worth nothing. What is said here rests on the cell's own 95 %
intervals, or on comparisons that hold at once among themselves; no verdict rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from analysis.cells import Summary, summaries
from analysis.effects import Contrast, Effect, Kind, estimate
from analysis.table import CellKey, Mode, SweepTable, bare_name
from analysis.training_length import Peak, peak_of

Relation = Literal["better", "open", "worse"]
AGAINST = {
    "worse": "It is worse than {name}, which needs no training",
    "open": "It is not shown to be better than {name}, which needs no training",
}


@dataclass(frozen=True)
class Trivial:
    """The best predictor without training on one metric.

    Args:
        predictor: Its name in the records.
        value: What it reaches.
    """

    predictor: str
    value: float

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"the {self.predictor.replace('_', ' ')}"


@dataclass(frozen=True)
class HeldOut:
    """One metric of the recommended cell on validation and on test samples, None where it is not recorded.

    Args:
        metric: The metric without its split.
        valid: Mean over seeds on validation samples.
        test: On test samples, under the weights of the best epoch.
        trivial: The best predictor without training on validation samples.
        trivial_test: And on test samples.
    """

    metric: str
    valid: float | None
    test: float | None
    trivial: Trivial | None
    trivial_test: Trivial | None


@dataclass(frozen=True)
class Standing:
    """What a reader must know of a recommended cell besides that it is the best.

    Args:
        caution: Why it may be worth nothing all the same, empty when it beats what needs no training.
        relation: The cell against the best predictor without training, None where the records have none.
        trivial: That predictor.
        test: What test samples say, empty where the records have none.
        contradicted: Whether they contradict validation.
        training: Where its best epoch lies, empty where a budget is too short to say.
        elsewhere: On which other metrics another cell is shown to be better, a sentence each.
        rows: The metrics on validation and test samples.
    """

    caution: str = ""
    relation: Relation | None = None
    trivial: Trivial | None = None
    test: str = ""
    contradicted: bool = False
    training: str = ""
    elsewhere: tuple[str, ...] = ()
    rows: tuple[HeldOut, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the standing as it stands in ``report.json``, beside the recommendation."""
        return asdict(self)


def standing_of(
    table: SweepTable, cell: CellKey, shown: Sequence[str] = (), also: Sequence[str] = ()
) -> Standing:
    """Return how one cell stands.

    Args:
        table: The sweep, which has an objective.
        cell: The cell.
        shown: Further metrics that are shown on validation and test samples.
        also: Metrics on which another cell that is better is to be named.
    """
    assert table.objective is not None
    metric, mode = table.objective.metric, table.objective.mode
    own, trivial = summaries(table, metric)[cell], best_trivial(table, metric, mode)
    relation = None if trivial is None else relation_to(own, trivial.value, mode)
    caution = ""
    if trivial is not None and relation is not None and relation != "better":
        caution = f"{AGAINST[relation].format(name=trivial.name)}: {metric} {own.mean:.3g} against {trivial.value:.3g}."
    test, contradicted = on_test(table, cell, relation)
    peak = peak_of(table, cell)
    return Standing(
        caution,
        relation,
        trivial,
        test,
        contradicted,
        "" if peak is None else training_text(peak),
        tuple(text for other in also if (text := better_elsewhere(table, cell, other))),
        tuple(held_out(table, cell, list(dict.fromkeys([metric, *shown])))),
    )


def best_trivial(table: SweepTable, metric: str, mode: Mode) -> Trivial | None:
    """Return the best predictor without training on a metric with its split, None where none is recorded."""
    found = [
        Trivial(name.partition("/")[0], value)
        for name, value in table.baselines.items()
        if name.partition("/")[2] == metric
    ]
    sign = -1.0 if mode == "max" else 1.0
    return min(found, key=lambda known: sign * known.value, default=None)


def relation_to(own: Summary, value: float, mode: Mode) -> Relation:
    """Return how the interval of a mean lies beside a number; open without an interval."""
    if own.ci_low is None or own.ci_high is None:
        return "open"
    above, below = own.ci_low > value, own.ci_high < value
    better, worse = (above, below) if mode == "max" else (below, above)
    return "better" if better else "worse" if worse else "open"


def on_test(table: SweepTable, cell: CellKey, on_valid: Relation | None) -> tuple[str, bool]:
    """Return what test samples say of a cell that validation chose, and whether they contradict validation.

    Args:
        table: The sweep.
        cell: The cell.
        on_valid: The cell against the best predictor without training on validation samples.
    """
    assert table.objective is not None
    metric, mode = table.objective.metric, table.objective.mode
    test = f"test/{bare_name(metric)}"
    own = summaries(table, test).get(cell)
    if not metric.startswith("valid/") or own is None:
        return "", False
    trivial, valid = best_trivial(table, test, mode), table.mean(metric, cell)
    relation = None if trivial is None else relation_to(own, trivial.value, mode)
    said = f"{test} is {own.mean:.3g}{interval_text(own)}, {metric} {valid:.3g}"
    if trivial is not None:
        said += f"; {trivial.name} has {trivial.value:.3g} on test samples"
    against = [] if trivial is None else change_of(on_valid, relation, trivial.name)
    rival = shown_better(table, cell, test, mode)
    if rival is not None and not ahead(table, rival.a, cell):
        against.append(f"there {rival.a} is better ({rival.interval_text})")
    if against:
        return f"Test contradicts validation: {' and '.join(against)}. {said}.", True
    return f"Test agrees with validation. {said}.", False


def ahead(table: SweepTable, label: str, cell: CellKey) -> bool:
    """Return whether the cell called ``label`` has the better objective, too: it is then passed over for a reason."""
    assert table.objective is not None
    other = next(found for found in table.cells if table.label(found) == label)
    means = [table.mean(table.objective.metric, found) for found in (other, cell)]
    if means[0] is None or means[1] is None:
        return False
    return means[0] > means[1] if table.objective.mode == "max" else means[0] < means[1]


def change_of(on_valid: Relation | None, on_test: Relation | None, name: str) -> list[str]:
    """Return in words that a cell beats what needs no training on one split only; nothing where both agree."""
    if (on_valid == "better") == (on_test == "better"):
        return []
    return [
        f"it beats {name} on validation samples only"
        if on_valid == "better"
        else f"it beats {name} there only"
    ]


def shown_better(table: SweepTable, cell: CellKey, metric: str, mode: Mode) -> Effect | None:
    """Return the best cell on a metric against another cell where it is shown to be better, else None.

    The best cell is chosen by the data, so the intervals of all cells against the other hold at once.
    """
    others = [other for other in table.contenders(metric) if other != cell]
    kind = kind_of(table, metric)
    asked = [
        Contrast(
            f"{metric}: {table.label(other)} vs {table.label(cell)}",
            metric,
            table.label(other),
            table.label(cell),
            ({other: 1.0, cell: -1.0},),
            kind,
        )
        for other in others
    ]
    effects = estimate(table, asked).values()
    better = [e for e in effects if (e.above(e.null) if mode == "max" else e.below(e.null))]
    sign = -1.0 if mode == "max" else 1.0
    return min(better, key=lambda effect: sign * effect.estimate, default=None)


def kind_of(table: SweepTable, metric: str) -> Kind:
    """Return on which scale cells are compared on a metric: as a ratio where it is a positive quantity, and is."""
    values = [value for seeds in table.values(metric).values() for value in seeds.values()]
    return "ratio" if table.meaning(metric).positive and all(value > 0 for value in values) else "difference"


def better_elsewhere(table: SweepTable, cell: CellKey, metric: str) -> str:
    """Return in words which cell is better on another metric, empty where none is shown to be."""
    mode, own = table.meaning(metric).mode, table.mean(metric, cell)
    rival = None if mode is None or own is None else shown_better(table, cell, metric, mode)
    if rival is None or own is None:
        return ""
    best = own * rival.estimate if rival.kind == "ratio" else own + rival.estimate
    return f"{rival.a} is better on {metric}: {best:.3g} against {own:.3g} ({rival.interval_text})."


def interval_text(summary: Summary) -> str:
    """Return the interval of a mean in words, empty without one."""
    if summary.ci_low is None or summary.ci_high is None:
        return ""
    return f" [{summary.ci_low:.3g}, {summary.ci_high:.3g}]"


def training_text(peak: Peak) -> str:
    """Return where the best epochs of a cell lie and what follows from it."""
    return f"{peak.text[0].upper()}{peak.text[1:]}. {peak.advice[0].upper()}{peak.advice[1:]}."


def held_out(table: SweepTable, cell: CellKey, metrics: Sequence[str]) -> list[HeldOut]:
    """Return those metrics of a cell that are recorded on test samples, too."""
    rows = []
    for metric in metrics:
        bare = bare_name(metric)
        valid, test = table.mean(metric, cell), table.mean(f"test/{bare}", cell)
        mode = table.meaning(metric).mode
        known = [
            None if mode is None else best_trivial(table, name, mode) for name in (metric, f"test/{bare}")
        ]
        if test is not None:
            rows.append(HeldOut(bare, valid, test, known[0], known[1]))
    return rows
