"""The rungs of the ladder one below the other: what each adds to the objective and to the moments."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from analysis import theme
from analysis.effects import Effect
from analysis.encoder_health_figures import ForestRow, draw_forest_line, draw_forest_row, set_forest_axes
from analysis.exhibit import Drawing
from analysis.figures import metric_title
from analysis.findings import improves
from analysis.judge import Judge
from analysis.lvm_ladder import arm_mean, rungs, whole
from analysis.lvm_steps import judged_metrics, mode_of, taken
from analysis.subjects import ARM
from analysis.table import SweepTable

ROW, PANEL, NAMES = 0.38, 3.5, 2.6  # inches: height of a row, width of a panel, of the names at its left
NARROW = 50  # of the largest ratio to the smallest: up to it ticks at 2 and 5 have room
TITLE = 44  # characters in a line below a panel


@dataclass(frozen=True)
class Slot:
    """One row of the figure.

    Args:
        group: Its place in the ladder.
        name: What it changes, and its arm.
        pair: Its arm, and the one that it is compared with.
    """

    group: str
    name: str
    pair: tuple[str, str]


def slots(table: SweepTable) -> list[Slot]:
    """Return the rungs from the bottom of the ladder to its top, then all changes together."""
    found = [
        Slot(str(place), f"{rung.arm}: {rung.setting}", (rung.arm, rung.base))
        for place, rung in enumerate(rungs(table), start=1)
    ]
    ends = whole(table)
    return found if ends is None else [*found, Slot("all", str(ends[0]), (str(ends[0]), str(ends[1])))]


def placed(judge: Judge, metric: str) -> dict[int, ForestRow]:
    """Return the rows of one metric by their place from the top; those with data."""
    found = {}
    for place, slot in enumerate(slots(judge.table)):
        effect = taken(judge, ARM, slot.pair).get(metric)
        if effect is not None:
            shown = improves(effect, mode_of(judge.table, metric)) == "supported"
            found[place] = ForestRow(slot.group, slot.name, effect, effect.interval_text, shown)
    return found


def ladder(judge: Judge) -> Drawing | None:
    """Return what every rung does to the objective and to the moments, with intervals; None without a ladder."""
    table, ends = judge.table, whole(judge.table)
    by_metric = {metric: rows for metric in judged_metrics(table) if (rows := placed(judge, metric))}
    if ends is None or not by_metric:
        return None
    n = len(by_metric)
    size = (NAMES + (PANEL + 1.3) * n, ROW * (len(slots(table)) + 1) + 1.1)
    with theme.drawing():
        figure = Figure(figsize=size, layout="constrained")
        for place, (metric, rows) in enumerate(by_metric.items()):
            panel = figure.add_subplot(1, n, place + 1)
            draw_ladder(judge, panel, metric, rows)
            set_names(judge, panel, str(ends[1]), shown=place == 0)
    told = "; ".join(
        f"{metric}: " + ", ".join(f"{row.name} {row.text}" for row in rows.values())
        for metric, rows in by_metric.items()
    )
    return Drawing(
        "ladder",
        "What each rung of the ladder adds",
        f"The ladder starts with {ends[1]}; every arm below it changes one thing about an arm above it, and the last "
        f"row is all changes together, {ends[0]} against {ends[1]}. Marks are estimates, lines the simultaneous "
        "intervals; filled marks are shown to help on that metric.",
        f"Forest plot of the rungs above {ends[1]}. {told}.",
        figure,
    )


def draw_ladder(judge: Judge, panel: Axes, metric: str, rows: dict[int, ForestRow]) -> None:
    """Draw the rungs on one metric, each at its place, beside the line of no change."""
    for place, row in rows.items():
        draw_forest_row(panel, place, row)
    first = next(iter(rows.values()))
    draw_forest_line(panel, first.effect.null, "no change", theme.INK, "solid")
    set_forest_axes(panel, list(rows.values()))
    low, high = panel.get_xlim()
    if first.effect.kind == "ratio" and high > NARROW * low:
        panel.xaxis.set_major_locator(LogLocator(subs=(1,)))
    panel.set_xlabel(theme.wrapped(title(judge.table, metric, first.effect), TITLE))
    start = slots(judge.table)[-1].pair[1]
    mean = arm_mean(judge.table, metric, start)
    if mean is not None:
        text = f"{mean:.3g} in {start}"
        panel.annotate(text, (1.01, -1), xycoords=("axes fraction", "data"), va="center", fontsize=8)


def set_names(judge: Judge, panel: Axes, start: str, *, shown: bool) -> None:
    """Name the rows of a panel, the first arm above all rungs; no names where another panel has them."""
    found = slots(judge.table)
    names = [f"start  {start}", *(f"{slot.group}  {slot.name}" for slot in found)]
    panel.set_yticks(range(-1, len(found)), names if shown else [""] * len(names), color=theme.INK)
    panel.set_ylim(len(found) - 0.5, -1.6)
    panel.axhline(len(found) - 1.5, color=theme.GRID, linewidth=1.0, zorder=0)


def title(table: SweepTable, metric: str, effect: Effect) -> str:
    """Return what the axis of one panel shows: a difference, or a ratio."""
    relation = "ratio to" if effect.kind == "ratio" else "difference from"
    return f"{metric_title(table, metric)}: {relation} the arm that it changes"
