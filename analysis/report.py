"""Write the answer of a sweep: report.html, report.json, cells.csv, figures, next_study.py.

Equal records give equal bytes: nothing in a report says when it was made. The page loads nothing from
elsewhere, so it can be mailed, archived and read without a network.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis import curves, figures, theme
from analysis.answer import Answer, answer
from analysis.cells import cells_frame
from analysis.follow_up import study_text
from analysis.load import load_table
from analysis.table import SweepTable, bare_name
from sweeps.records import Records, write_atomically

SHOWN_METRICS = 8  # columns of the cell table on the page; cells.csv has all


@dataclass(frozen=True)
class Report:
    """A written report.

    Args:
        answer: What it says.
        folder: Where it lies.
        files: All files of the report, the page first.
    """

    answer: Answer
    folder: Path
    files: tuple[Path, ...]

    @property
    def html(self) -> Path:
        """The page."""
        return self.folder / "report.html"


@dataclass(frozen=True)
class Drawing:
    """One figure of the report.

    Args:
        name: Name of its files.
        title: Heading.
        how_to_read: One or two sentences.
        alternative: What it shows, for readers who cannot see it.
        figure: The figure.
    """

    name: str
    title: str
    how_to_read: str
    alternative: str
    figure: Figure


def write_report(source: Records | SweepTable, folder: Path) -> Report:
    """Write the report of one sweep into ``folder``, which is created, and return it.

    Args:
        source: Records, or the table made of them.
        folder: Folder of the report; files of an earlier report are replaced.

    Raises:
        RecordsError: If the records hold no trial.
        AnalysisError: If the study names an analysis that does not exist.
    """
    found = answer(load_table(source) if isinstance(source, Records) else source)
    drawings = draw(found)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("report.html", "report.json", "cells.csv")]
    for drawing in drawings:
        stem = folder / "figures" / drawing.name
        theme.save(drawing.figure, stem)
        files += [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    if found.follow_up is not None:
        files.append(folder / "next_study.py")
        write_atomically(files[-1], study_text(found.follow_up))
    write_atomically(files[1], json.dumps(finite(found.as_json()), indent=2, allow_nan=False) + "\n")
    write_atomically(files[2], cells_frame(found.table, found.cells).to_csv(index=False))
    write_atomically(files[0], render(found, drawings, folder))
    return Report(found, folder, tuple(files))


def finite(value: Any) -> Any:
    """Return JSON-ready data: plain types, None for what is not a finite number."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def draw(found: Answer) -> list[Drawing]:
    """Return the figures of a report in the order of the page."""
    table, drawings = found.table, [heatmap_drawing(found, metric) for metric in found.figure_metrics]
    if found.front is not None:
        drawings.append(trade_off_drawing(found))
    metrics = [m for m in found.figure_metrics if table.meaning(m).mode == "min"][:3]
    if (figure := curves.loss_curves(table, metrics or found.figure_metrics[:1])) is not None:
        drawings.append(
            Drawing(
                "loss_curves",
                "Loss curves",
                "Lines are means over seeds, bands span all seeds. A line that still falls at the end was cut short; "
                "a band that widens is a cell whose seeds disagree.",
                f"Curves over epochs of {', '.join(metrics)} for every cell.",
                figure,
            )
        )
    if (figure := curves.gradient_shares(table)) is not None:
        drawings.append(
            Drawing(
                "gradient_shares",
                "Who wins the gradient",
                "Share of each weighted loss term in the gradient, before clipping. A term near 100 % decides alone "
                "what is learned; the others only look as if they were trained.",
                "Stacked shares of the loss terms over epochs, one panel per cell; the findings name the leaders.",
                figure,
            )
        )
    return drawings


def heatmap_drawing(found: Answer, metric: str) -> Drawing:
    """Return the heatmap of one metric with its text alternative."""
    told = "; ".join(
        f"{cell.label}: {cell.metrics[metric].mean:.3g} (n={cell.n})"
        for cell in found.cells
        if metric in cell.metrics
    )
    meaning = found.table.meaning(metric).text
    better = "better" if found.table.meaning(metric).mode else "larger"
    scale = "The colour scale is logarithmic. " if found.table.meaning(metric).positive else ""
    return Drawing(
        "heatmap_" + re.sub(r"[^A-Za-z0-9_]+", "_", bare_name(metric)),
        metric + (f": {meaning}" if meaning else ""),
        "Each cell: mean over seeds, its own 95 % interval, number of completed seeds; "
        f"brighter is {better}. {scale}A hatched edge marks diverged trials, which are left out of the mean.",
        f"Heatmap of {metric}. {told}.",
        figures.heatmap(found.table, metric),
    )


def trade_off_drawing(found: Answer) -> Drawing:
    """Return the trade-off between two metrics with its text alternative."""
    assert found.front is not None
    named = "; ".join(found.table.label(cell) for cell in found.front.cells)
    return Drawing(
        "trade_off",
        "Trade-off",
        "Down and left is better. Large marks are cell means, small ones seeds. Cells on the front are beaten by no "
        "other on both metrics; the knee is the one closest to the best of both. The front is drawn from means.",
        f"Scatter of {' against '.join(found.front.metrics)}. Pareto set: {named}.",
        figures.trade_off(found.table, found.front),
    )


def inline_svg(drawing: Drawing) -> str:
    """Return the figure as an SVG element for the page, with ids of its own and a text alternative."""
    svg = theme.svg_text(drawing.figure)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{drawing.name}-', svg)
    svg = re.sub(r'href="#', f'href="#{drawing.name}-', svg)
    svg = svg.replace("url(#", f"url(#{drawing.name}-")
    opening, rest = svg.split(">", 1)
    return f'{opening} role="img" aria-labelledby="{drawing.name}-title">{rest}'


def render(found: Answer, drawings: list[Drawing], folder: Path) -> str:
    """Return the page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = dict.fromkeys([*found.figure_metrics, *(m for m in found.table.metrics if m.startswith("test/"))])
    page = environment.get_template("report.html.j2").render(
        found=found,
        table=found.table,
        drawings=[(drawing, inline_svg(drawing)) for drawing in drawings],
        metrics=list(shown)[:SHOWN_METRICS],
        baselines=baselines_by_predictor(found.table),
        n_trials=len(found.table.trials),
        next_study=None if found.follow_up is None else study_text(found.follow_up),
    )
    return "\n".join(line.rstrip() for line in page.splitlines()) + "\n"


def baselines_by_predictor(table: SweepTable) -> dict[str, dict[str, float]]:
    """Return the baselines as rows beside the cells."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in table.baselines.items():
        predictor, _, metric = name.partition("/")
        rows.setdefault(predictor, {})[metric] = value
    return rows
