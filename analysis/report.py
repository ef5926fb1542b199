"""Write the answer of a sweep: report.html, .json, .xlsx, note.md, cells.csv, a CSV per table, figures, next_study.py.

Equal records give equal bytes: nothing in a report says when it was made. The page loads nothing from
elsewhere, so it can be mailed, archived and read without a network.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import theme
from analysis.answer import Answer, answer
from analysis.cells import cells_frame, shown_counts
from analysis.cost import cost_lines
from analysis.exhibit import Drawing, Listing
from analysis.gallery import curve_metrics, gallery
from analysis.load import load_table
from analysis.note import NOTE_FILE, note_text
from analysis.page_data import as_script, is_interactive, page_data
from analysis.pages import anchor, breakable, finite, page_text
from analysis.study_file import study_text
from analysis.table import SweepTable
from analysis.workbook import write_workbook
from sweeps.records import Records, write_atomically

LARGEST_SVG = 400_000  # characters; a figure of many pixels is embedded as PNG instead, where that is smaller
MOST_EMBEDDED = 3_000_000  # characters of all figures on the page; those beyond are links to their files
SCRIPTS = ("page.js", "heatmap.js", "curves.js", "shares.js", "scatter.js", "parallel.js", "table.js")
COUNT_TITLES = {"n_diverged": "diverged", "n_collapsed": "collapsed", "n_pruned": "pruned"}
MOST_EVIDENCE = 60  # effects below one finding
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


def write_report(source: Records | SweepTable, folder: Path, pictures: Sequence[Drawing] = ()) -> Report:
    """Write the report of one sweep into ``folder``, which is created, and return it.

    Args:
        source: Records, or the table made of them.
        folder: Folder of the report; files of an earlier report are replaced.
        pictures: Further figures that the caller brings; they come last.

    Raises:
        RecordsError: If the records hold no trial.
        AnalysisError: If the study names an analysis that does not exist.
    """
    found = answer(load_table(source) if isinstance(source, Records) else source)
    shown = gallery(found, pictures)
    files = [folder / name for name in ("report.html", "report.json", "cells.csv")]
    files += write_figures([item for item in shown if isinstance(item, Drawing)], folder / "figures")
    listings = [item for item in shown if isinstance(item, Listing)]
    files += [*write_listings(listings, folder), write_workbook(found, listings, folder / "report.xlsx")]
    files.append(folder / NOTE_FILE)
    write_atomically(files[-1], note_text(found))
    if found.follow_up is not None:
        files.append(folder / "next_study.py")
        write_atomically(files[-1], study_text(found.follow_up))
    data = {**found.as_json(), "listings": [vars(listing) for listing in listings]}
    write_atomically(files[1], json.dumps(finite(data), indent=2, allow_nan=False) + "\n")
    write_atomically(files[2], cells_frame(found.table, found.cells).to_csv(index=False))
    write_atomically(files[0], render(found, shown, folder))
    return Report(found, folder, tuple(files))


def write_figures(drawings: Sequence[Drawing], folder: Path) -> list[Path]:
    """Write every figure as PNG and SVG; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    stems = [folder / drawing.name for drawing in drawings]
    for drawing, stem in zip(drawings, stems, strict=True):
        theme.save(drawing.figure, stem)
    return [stem.with_suffix(kind) for stem in stems for kind in (".png", ".svg")]


def write_listings(listings: Sequence[Listing], folder: Path) -> list[Path]:
    """Write every table as CSV; return the files."""
    files = [folder / f"{listing.name}.csv" for listing in listings]
    for listing, path in zip(listings, files, strict=True):
        frame = pd.DataFrame(list(listing.rows), columns=list(listing.columns), dtype=object)
        write_atomically(path, frame.to_csv(index=False))
    return files


def embedded(drawing: Drawing, folder: Path) -> str:
    """Return the element of one figure for the page: its SVG, or its PNG where the SVG is large."""
    svg = (folder / f"{drawing.name}.svg").read_text(encoding="utf-8")
    png = base64.b64encode((folder / f"{drawing.name}.png").read_bytes()).decode()
    if len(svg) <= max(LARGEST_SVG, len(png)):
        return inline_svg(drawing, svg)
    return f'<img alt="{html.escape(drawing.alternative)}" src="data:image/png;base64,{png}">'


def embedded_exhibits(
    shown: Sequence[Drawing | Listing], folder: Path
) -> list[tuple[Drawing | Listing, str | None]]:
    """Return the exhibits with their elements, None for a table; links once the figures are `MOST_EMBEDDED`."""
    found: list[tuple[Drawing | Listing, str | None]] = []
    room = MOST_EMBEDDED
    for item in shown:
        element = embedded(item, folder) if isinstance(item, Drawing) else None
        room -= len(element or "")
        if element is not None and room < 0:
            element = f'<a href="figures/{item.name}.png">figures/{item.name}.png</a>'
        found.append((item, element))
    return found


def inline_svg(drawing: Drawing, svg: str) -> str:
    """Return the figure as an SVG element for the page, with ids of its own and a text alternative."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{drawing.name}-', svg)
    svg = re.sub(r'href="#', f'href="#{drawing.name}-', svg)
    svg = svg.replace("url(#", f"url(#{drawing.name}-")
    opening, rest = svg.split(">", 1)
    return f'{opening} role="img" aria-labelledby="{drawing.name}-title">{rest}'


def render(found: Answer, shown: Sequence[Drawing | Listing], folder: Path) -> str:
    """Return the page."""
    from markupsafe import Markup

    metrics = dict.fromkeys(
        [*found.figure_metrics, *(m for m in found.table.metrics if m.startswith("test/"))]
    )
    data = page_data(found, curve_metrics(found))
    exhibits = embedded_exhibits(shown, folder / "figures")
    folded = {item.name for item, _ in exhibits if is_interactive(item.name, data)}
    values = {
        "found": found,
        "table": found.table,
        "exhibits": exhibits,
        "folds": lambda item: item.name in folded,
        "n_folded": len(folded),
        "data": data,
        "script": Markup(as_script(finite(data))),
        "scripts": SCRIPTS,
        "costs": cost_lines(found.table),
        "has_runs": any(trial[-1] for trial in data["trials"]),
        "counts": {name: COUNT_TITLES.get(name, name) for name in shown_counts(found.cells)},
        "metrics": list(metrics)[:SHOWN_METRICS],
        "baselines": baselines_by_predictor(found.table),
        "n_trials": len(found.table.trials),
        "most_evidence": MOST_EVIDENCE,
        "next_study": None if found.follow_up is None else study_text(found.follow_up),
    }
    return page_text("report.html.j2", values, {"breakable": breakable, "anchor": anchor})


def baselines_by_predictor(table: SweepTable) -> dict[str, dict[str, float]]:
    """Return the baselines as rows beside the cells."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in table.baselines.items():
        predictor, _, metric = name.partition("/")
        rows.setdefault(predictor, {})[metric] = value
    return rows
