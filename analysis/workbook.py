"""The answer as a workbook, report.xlsx: what is in report.json, ready to be sorted, filtered and pivoted.

A workbook is opened by people who may not know whoever named the arms. So no text becomes a formula, a link or a
number, whatever it begins with; numbers stay numbers, and what does not exist is an empty cell.
Equal answers give equal bytes: the date of creation is a constant, and nothing depends on when it is written.
Numbers have sixteen digits, those of the format. A sheet has a million rows: of more trials the first are shown, and
the sheet ``notes`` says so.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from analysis.answer import Answer
from analysis.cells import cells_frame
from analysis.exhibit import Listing
from analysis.findings import Finding
from analysis.table import SweepTable

MOST_ROWS = 1_048_575  # of a sheet below its header, the format's own limit
MOST_COLUMNS = 16_384  # likewise
LONGEST_TEXT = 32_767  # characters of a cell, likewise
LONGEST_NAME = 31  # characters of a sheet's name, likewise
LARGEST_WHOLE = 2**53  # beyond it numbers of a workbook skip whole numbers, so those are written as text
ILLEGAL = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")  # XML 1.0, "Char"
WIDEST, NARROWEST = 60, 8  # characters of a column
LOOKED_AT = 500  # rows that decide the width of a column
CREATED = datetime.datetime(2000, 1, 1)  # no date of this kind belongs to an answer
TRIAL_COLUMNS = ("trial_id", "cell", "seed", "state", "n_epochs", "epoch", "wall_s", "memory_mb")
OTHER_TRIAL_COLUMNS = ("point", "guard", "guard_epoch", "node", "error", "mlflow_run_id")
COLOURS = {  # text and ground, those of the page
    "supported": ("#0a6b47", "#d9f2e6"),
    "rejected": ("#9a2c12", "#fde3da"),
    "undecided": ("#745300", "#fdf0c8"),
    "not_applicable": ("#545b68", "#e8ebf0"),
}
Entry = str | float | int | bool | None


@dataclass(frozen=True)
class Sheet:
    """One table of the workbook.

    Args:
        name: Wished name; made legal and unique when it is written.
        columns: Titles of the columns.
        rows: Entries, as many per row as there are columns.
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def write_workbook(found: Answer, listings: Sequence[Listing], path: Path) -> Path:
    """Write the workbook of an answer and return its path.

    Args:
        found: The answer.
        listings: The tables that the page shows; a sheet each, after those that every workbook has.
        path: The file; replaced in one step.
    """
    partial = path.with_suffix(".partial")
    options = {f"strings_to_{kind}": False for kind in ("formulas", "urls", "numbers")}
    book = Workbook(str(partial), options)
    book.set_properties({"title": "Report of a sweep", "created": CREATED})
    names: set[str] = set()
    for sheet in sheets(found, listings):
        name = legal_name(sheet.name, names)
        names.add(name.lower())
        fill(book, book.add_worksheet(name), sheet)
    book.close()
    partial.replace(path)
    return path


def sheets(found: Answer, listings: Sequence[Listing]) -> list[Sheet]:
    """Return the tables of the workbook in their order."""
    return [
        verdict_sheet(found.findings),
        recommendation_sheet(found),
        frame_sheet("cells", cells_frame(found.table, found.cells)),
        effect_sheet(found),
        frame_sheet("trials", trials_frame(found.table)),
        *(Sheet(item.name, item.columns, item.rows) for item in listings),
        notes_sheet(found),
    ]


def verdict_sheet(findings: Sequence[Finding]) -> Sheet:
    """Return the findings, those that apply first, with the effect that each rests on first."""
    columns = ("finding", "verdict", "statement", "advice", "seeds_needed", "evidence")
    ordered = sorted(findings, key=lambda finding: finding.verdict == "not_applicable")
    rows = [
        (
            f.id,
            f.verdict,
            f.statement,
            f.advice or None,
            f.seeds_needed,
            f.evidence[0].text if f.evidence else None,
        )
        for f in ordered
    ]
    return Sheet("verdicts", columns, rows)


def recommendation_sheet(found: Answer) -> Sheet:
    """Return the recommended cell, why, and what it costs, as pairs of name and value."""
    taken = found.recommendation
    rows: list[tuple[str, Any]] = [
        ("question", found.table.study.get("question")),
        ("headline", found.headline),
    ]
    if taken is None:
        return Sheet(
            "recommendation",
            ("what", "value"),
            [*rows, ("recommended", None), ("why none", found.no_recommendation)],
        )
    summary = taken.summary
    rows += [("recommended", taken.label), *taken.cell.items(), ("objective", taken.metric)]
    rows += [
        ("mean", summary.mean),
        ("ci_low", summary.ci_low),
        ("ci_high", summary.ci_high),
        ("seeds", summary.n),
    ]
    rows += [
        ("why", taken.reason),
        ("caution", taken.standing.caution or None),
        ("runner-up", taken.runner_up),
    ]
    rows += [("told apart from the runner-up", "yes" if taken.distinguishable else "no")]
    rows += [("price", price.text) for price in taken.price]
    if found.follow_up is not None:
        rows += [("next study", found.follow_up.question), ("its file", "next_study.py")]
    return Sheet("recommendation", ("what", "value"), rows)


def effect_sheet(found: Answer) -> Sheet:
    """Return every effect with its interval; all of these intervals hold at once."""
    columns = (
        *(
            "id",
            "metric",
            "a",
            "b",
            "kind",
            "estimate",
            "ci_low",
            "ci_high",
            "level",
            "p_value",
            "p_same",
            "margin",
        ),
        *("n", "df", "model", "seeds_needed", "differs", "same", "note"),
    )
    told = [effect.as_json() for effect in found.effects.values()]
    rows = [[effect[name] for name in columns] for effect in told]
    return Sheet("effects", columns, rows)


def trials_frame(table: SweepTable) -> pd.DataFrame:
    """Return one row per trial: swept parameters and every recorded metric at the selected epoch in columns."""
    known = table.trials.columns
    swept = [axis.name for axis in table.axes]
    metrics = [metric for metric in table.metrics if metric in known]
    first = [name for name in TRIAL_COLUMNS if name in known]
    last = [name for name in OTHER_TRIAL_COLUMNS if name in known and table.trials[name].notna().any()]
    columns = list(dict.fromkeys([*first[:2], *swept, *first[2:], *metrics, *last]))
    return table.trials[columns]


def notes_sheet(found: Answer) -> Sheet:
    """Return what limits the answer, and where it comes from."""
    cut = [
        f"The sheet {name!r} shows the first {MOST_ROWS:,} of {n:,} rows, the most that the format holds; "
        "the Parquet tables have all."
        for name, n in (("trials", len(found.table.trials)), ("cells", len(found.cells)))
        if n > MOST_ROWS
    ]
    rows: list[tuple[str, Any]] = [("limit", problem) for problem in (*cut, *found.problems)]
    rows += [("reading", "Metrics of a trial stand at the epoch that the objective selects.")]
    rows += [
        (
            "reading",
            "All intervals of the sheet 'effects' hold at once; those of 'cells' are each cell's own.",
        )
    ]
    rows += [(str(name), flat(value)) for name, value in found.table.provenance.items()]
    rows += [(f"not swept: {name}", value) for name, value in found.table.params.items()]
    return Sheet("notes", ("what", "value"), rows)


def flat(value: Any) -> Any:
    """Return a mapping as text, anything else as it is."""
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value


def frame_sheet(name: str, frame: pd.DataFrame) -> Sheet:
    """Return a table of pandas as a sheet."""
    columns = [frame[column].tolist() for column in frame.columns]
    return Sheet(name, tuple(map(str, frame.columns)), list(zip(*columns, strict=True)))


def legal_name(wished: str, taken: Iterable[str]) -> str:
    """Return a sheet's name that the format allows and that is not ``taken`` (names in lower case)."""
    name = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", wished).strip("'")[:LONGEST_NAME].rstrip("'") or "table"
    name = f"{name[: LONGEST_NAME - 1]}_" if name.lower() == "history" else name  # Excel's own
    known, number = set(taken), 1
    unique = name
    while unique.lower() in known:
        number += 1
        unique = f"{name[: LONGEST_NAME - len(str(number)) - 1]}_{number}"
    return unique


def fill(book: Workbook, page: Worksheet, sheet: Sheet) -> None:
    """Write one table: frozen header, filter, widths, number formats, verdicts in colour."""
    columns = sheet.columns[:MOST_COLUMNS]
    rows = sheet.rows[:MOST_ROWS]
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    plain, fine = (
        book.add_format({"valign": "top"}),
        book.add_format({"num_format": "0.0000E+00", "valign": "top"}),
    )
    decimal = book.add_format({"num_format": "0.0000", "valign": "top"})
    for place, title in enumerate(columns):
        page.write_string(0, place, written(title), head)
        entries = [entry_of(row[place]) for row in rows]
        width = width_of(title, entries[:LOOKED_AT])
        page.set_column(place, place, width)
        for number, entry in enumerate(entries, start=1):
            how = number_format(entry, plain, decimal, fine) if not isinstance(entry, str) else wrapped
            put(page, number, place, entry, how)
    page.freeze_panes(1, 1)
    if columns:
        page.autofilter(0, 0, max(1, len(rows)), len(columns) - 1)
    if "verdict" in columns and rows:
        colour_verdicts(book, page, columns.index("verdict"), len(rows))


def entry_of(value: Any) -> Entry:
    """Return a value as a cell holds it: None for what does not exist, text for what is no number."""
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if value is pd.NA:
        return None
    whole = isinstance(value, int) and abs(value) <= LARGEST_WHOLE
    return value if whole or isinstance(value, str | float) else str(value)


def written(text: str) -> str:
    """Return text as the format can hold it: no characters that XML forbids, and no more than a cell takes."""
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)[:LONGEST_TEXT]


def put(page: Worksheet, row: int, column: int, entry: Entry, how: Format) -> None:
    """Write one entry as what it is; an entry that does not exist leaves the cell empty."""
    if entry is None:
        return
    if isinstance(entry, bool):
        page.write_boolean(row, column, entry, how)
    elif isinstance(entry, str):
        page.write_string(row, column, written(entry), how)
    else:
        page.write_number(row, column, entry, how)


def number_format(entry: Entry, plain: Format, decimal: Format, fine: Format) -> Format:
    """Return how an entry is shown: whole numbers as they are, others with four digits, small and large in powers."""
    if not isinstance(entry, float) or entry == int(entry):
        return plain
    return decimal if 0.01 <= abs(entry) < 1e5 else fine


def width_of(title: str, entries: Sequence[Entry]) -> int:
    """Return the width of a column in characters: that of its longest entry, within bounds."""
    lengths = [len(entry) if isinstance(entry, str) else 11 for entry in entries if entry is not None]
    return min(WIDEST, max([NARROWEST, min(len(title), 24), *lengths]) + 2)


def colour_verdicts(book: Workbook, page: Worksheet, column: int, n_rows: int) -> None:
    """Colour a column of verdicts by conditional format, so that sorting and editing keep the colours right."""
    for verdict, (ink, ground) in COLOURS.items():
        how = book.add_format({"font_color": ink, "bg_color": ground})
        rule = {"type": "cell", "criteria": "==", "value": f'"{verdict}"', "format": how}
        page.conditional_format(1, column, n_rows, column, rule)
