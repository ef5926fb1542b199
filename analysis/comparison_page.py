"""Write a comparison of sweeps: comparison.html, comparison.json, and what the terminal shows of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.comparison import Comparison, Judged, Shared
from analysis.pages import finite, page_text
from analysis.table import listed
from sweeps.records import write_atomically

STYLES = {"better": "bold green", "worse": "bold red", "undecided": "yellow", "same": "dim"}
BADGES = {"better": "supported", "worse": "rejected", "undecided": "undecided", "same": "not_applicable"}
MOST_SHOWN = 40  # comparisons in the terminal; page and file have all
MOST_WIDE = 60  # characters of a value in the terminal


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write ``comparison.html`` and ``comparison.json`` into ``folder``, which is created; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(found.as_json()), indent=2, allow_nan=False) + "\n"
    write_atomically(folder / "comparison.json", text)
    page = folder / "comparison.html"
    write_atomically(page, render(found))
    return page


def render(found: Comparison) -> str:
    """Return the page, which loads nothing from elsewhere."""
    tables = [(one, metrics_of(found, one), by_cell(found, one)) for one in found.shared]
    return page_text("comparison.html.j2", {"found": found, "badges": BADGES, "tables": tables})


def metrics_of(found: Comparison, one: Shared) -> list[str]:
    """Return the metrics that were compared in one sweep, in the order of the page."""
    compared = {item.effect.metric for item in found.judged if item.sweep == one.sweep}
    return [metric for metric in found.metrics if metric in compared]


def by_cell(found: Comparison, one: Shared) -> dict[str, dict[str, Judged]]:
    """Return the comparisons of one sweep with the first, by cell and metric."""
    rows: dict[str, dict[str, Judged]] = {}
    for item in found.judged:
        if item.sweep == one.sweep:
            rows.setdefault(item.cell, {})[item.effect.metric] = item
    return rows


def comparison_text(found: Comparison, page: Path) -> RenderableType:
    """Return everything the terminal shows."""
    parts: list[RenderableType] = [Text(found.headline, style="bold"), Text()]
    parts += [changes_table(found), Text()] if found.changes else [Text("Nothing else changed.\n")]
    for one in found.shared:
        parts += [Text(cells_in_words(found, one), style="dim"), judged_table(found, one), Text()]
    parts += [Text(f"note: {note}", style="dim") for note in found.notes]
    return Group(*parts, Text(f"Comparison: {page}"))


def changes_table(found: Comparison) -> Table:
    """Return what changed besides the numbers, a column per sweep."""
    table = Table(title="What changed", title_justify="left", header_style="bold", box=None)
    for title in ("", *found.names):
        table.add_column(title, overflow="fold")
    for change in found.changes:
        table.add_row(change.what, *(Text(shortened(value)) for value in change.values))
    return table


def shortened(value: str) -> str:
    """Return a value that fits into the terminal."""
    return value if len(value) <= MOST_WIDE else f"{value[: MOST_WIDE - 1]}…"


def cells_in_words(found: Comparison, one: Shared) -> str:
    """Return which cells are in both sweeps and which in one alone."""
    alone = [(found.names[0], one.first_only), (one.sweep, one.own)]
    told = "".join(f" In {name} only: {listed(cells, '; ')}." for name, cells in alone if cells)
    return f"{one.sweep} against {found.names[0]}: {len(one.both)} cells in both.{told}"


def judged_table(found: Comparison, one: Shared) -> Table:
    """Return the comparisons of one sweep with the first, what differs before what does not."""
    rows = sorted((item for item in found.judged if item.sweep == one.sweep), key=importance)
    cut = f", the first {MOST_SHOWN} of {len(rows)}" if len(rows) > MOST_SHOWN else ""
    table = Table(
        title=f"{one.sweep} against {found.names[0]}{cut}",
        title_justify="left",
        header_style="bold",
        box=None,
    )
    for title in ("cell", "metric", "verdict"):
        table.add_column(title, overflow="fold")
    for item in rows[:MOST_SHOWN]:
        table.add_row(Text(item.cell), item.effect.metric, Text(item.text, STYLES.get(item.verdict, "")))
    return table


def importance(item: Judged) -> int:
    """Return the place of a comparison in the terminal: real differences, open ones, sameness."""
    order: Sequence[str] = ("worse", "better", "lower", "higher", "undecided", "same")
    return order.index(item.verdict)
