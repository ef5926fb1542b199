"""The answer in Markdown, short enough for the description of an MLflow run.

It is written beside the report as ``note.md`` and sent from there. Names come from whoever wrote the study, so none
of them may end a table's row or begin markup.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.answer import Answer
from analysis.figures import grid_axes
from analysis.findings import Finding
from analysis.recommendation import ranked_cells
from analysis.table import Axis, CellKey, SweepTable
from search_spaces.domains import Value, value_text

NOTE_FILE = "note.md"
LONGEST = 4_800  # characters; MLflow's servers take 5,000 in a tag, newer ones 8,000
MOST_VERDICTS = 20  # rows
MOST_LEVELS = 8  # values of an axis in the heatmap
MOST_RANKED = 8  # cells of a search
LONGEST_STATEMENT = 160  # characters; the report has the whole sentence
LONGEST_PARAGRAPH = 600
MARKUP = re.compile(r"[\\`*{}\[\]<>|#~!]|(?<!\w)_|_(?!\w)")  # an underscore within a word is none


def note_text(found: Answer) -> str:
    """Return the answer in Markdown, below `LONGEST` characters; what does not fit is left to the report."""
    question = found.table.study.get("question") or "What does the sweep show?"
    kept = [f"**{plain(question)}**", plain(found.headline)]
    ending = how_to_open(found.table)
    for versions in ([recommendation_part(found)], [map_part(found)], verdict_parts(found)):
        room = LONGEST - len("\n\n".join([*kept, "", ending, ""]))
        fitting = next((text for text in versions if len(text) <= room), "")
        kept += [fitting] if fitting else []
    return "\n\n".join([*kept, ending]) + "\n"


def experiment_text(sweep: Mapping[str, Any]) -> str:
    """Return the description of a study's experiment: its question, what varies, and how to look at its runs.

    Args:
        sweep: Contents of ``sweep.json``.
    """
    study = sweep.get("study") or {}
    objective = study.get("objective") or {}
    varied = [f"`{code(name)}`{meaning_of(axis)}" for name, axis in (sweep.get("axes") or {}).items()]
    columns = ", ".join(f"`params.{code(name)}`" for name in sweep.get("axes") or {})
    lines = [
        f"**{plain(study.get('question') or study.get('name') or 'A study')}**",
        f"Family `{code(study.get('family') or 'unknown')}`. What varies: {'; '.join(varied) or 'not recorded'}.",
        f"Judged by `{code(objective.get('metric') or 'nothing')}` ({plain(objective.get('mode') or 'no mode')}), "
        "which also selects the epoch of a trial unless the study says otherwise.",
        "- A run `sweep ...` is one execution; its description has the verdicts, its artifacts the report.\n"
        f"- The runs below it are trials. Columns: {columns}, `params.seed`, `tags.state`.\n"
        "- Filters: `tags.kind = 'sweep'`, `tags.kind = 'trial'`, `tags.state = 'complete'`.\n"
        "- Select trials and choose Compare for parallel coordinates over what varies.",
    ]
    return "\n\n".join(lines)[:LONGEST] + "\n"


def meaning_of(axis: Mapping[str, Any]) -> str:
    """Return what an axis of ``sweep.json`` means, in brackets; empty when that is not recorded."""
    return f" ({plain(axis['meaning'])})" if axis.get("meaning") else ""


def plain(text: object, most: int = LONGEST_PARAGRAPH) -> str:
    """Return text as Markdown that shows it as it is, in one line."""
    return MARKUP.sub(r"\\\g<0>", textwrap.shorten(str(text), most, placeholder=" …"))


def code(text: object) -> str:
    """Return text as it may stand between backticks, in a table too."""
    return re.sub(r"[`|\s]+", " ", str(text))[:120]


def rows_text(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the header first, as a table in Markdown."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def recommendation_part(found: Answer) -> str:
    """Return which cell is recommended, and why; or why none is."""
    taken = found.recommendation
    if taken is None:
        return f"### Recommendation\n\nNone. {plain(found.no_recommendation)}"
    summary = taken.summary
    within = "" if summary.ci_low is None else f" [{summary.ci_low:.3g}, {summary.ci_high:.3g}]"
    caution = f"\n\n**Caution.** {plain(taken.standing.caution)}" if taken.standing.caution else ""
    price = "".join(f"\n- Price: {plain(item.text)}" for item in taken.price)
    value = f"{plain(taken.metric)} {summary.mean:.4g}{within}, {summary.n} seeds"
    return (
        f"### Recommendation\n\n**{plain(taken.label)}**: {value}. {plain(taken.reason)}{caution}\n"
        f"\n- Runner-up: {plain(taken.runner_up)}, "
        f"{'' if taken.distinguishable else 'not '}told apart by the seeds{price}"
    )


def verdict_parts(found: Answer) -> list[str]:
    """Return the table of verdicts, then shorter ones for when it does not fit."""
    findings = [f for f in found.lone_findings if f.verdict != "not_applicable"]
    findings += [
        f for shared in found.verdict_tables for f in shared.findings if f.verdict != "not_applicable"
    ]
    sizes = [(MOST_VERDICTS, LONGEST_STATEMENT), (MOST_VERDICTS, 80), (10, 80), (5, 60)]
    return [verdicts_table(findings, *size) for size in sizes] if findings else []


def verdicts_table(findings: Sequence[Finding], most: int, longest: int) -> str:
    """Return the first findings as a table, and how many more there are."""
    rows = [("finding", "verdict", "what was found")]
    rows += [(plain(f.id, 80), f"**{f.verdict}**", plain(f.statement, longest)) for f in findings[:most]]
    more = f"\n\n{len(findings) - most} more are in the report." if len(findings) > most else ""
    return f"### Verdicts\n\n{rows_text(rows)}{more}"


def map_part(found: Answer) -> str:
    """Return the objective over the two axes of the page's heatmap; of a search its best points."""
    table = found.table
    best_first = ranked_cells(table)
    if table.objective is None or not best_first:
        return ""
    if table.is_search:
        return ranking(table, best_first)
    rows, columns, rest = grid_axes(table)
    taken = table.params_of(best_first[0]) if found.recommendation is None else found.recommendation.cell
    fixed = {axis.name: taken[axis.name] for axis in rest}
    axes = (None if rows is None else rows.thinned(MOST_LEVELS), columns.thinned(MOST_LEVELS))
    where = ", ".join(f"{name} {value_text(value)}" for name, value in fixed.items())
    few = "" if axes == (rows, columns) else " Of an axis with many values some are shown."
    return (
        f"### {plain(table.objective.metric)}{f', {plain(where)}' if where else ''}\n\n"
        f"{rows_text(map_rows(table, *axes, fixed))}\n\n"
        f"Means over seeds at the epoch that the objective selects; the best one is bold.{few}"
    )


def map_rows(
    table: SweepTable, rows: Axis | None, columns: Axis, fixed: Mapping[str, Value]
) -> list[list[str]]:
    """Return the objective's means: a header of the columns' values, then a row per value of ``rows``."""
    assert table.objective is not None
    metric, names = table.objective.metric, [axis.name for axis in table.axes]
    lines: list[dict[str, Value]] = [{}] if rows is None else [{rows.name: v} for v in rows.simplest_first]
    params = [[{**fixed, **line, columns.name: v} for v in columns.simplest_first] for line in lines]
    means = [[table.mean(metric, tuple(cell[name] for name in names)) for cell in line] for line in params]
    known = [value for line in means for value in line if value is not None]
    best = (min if table.objective.mode == "min" else max)(known, default=None)
    corner = columns.name if rows is None else f"{rows.name} / {columns.name}"
    first = ["mean" if rows is None else plain(value_text(line[rows.name])) for line in lines]
    body = [[name, *(shown(mean, best) for mean in line)] for name, line in zip(first, means, strict=True)]
    return [[plain(corner), *(plain(value_text(value)) for value in columns.simplest_first)], *body]


def shown(mean: float | None, best: float | None) -> str:
    """Return one mean with four digits, bold when it is the best, a dash where there is none."""
    if mean is None:
        return "–"
    return f"**{mean:.4g}**" if mean == best else f"{mean:.4g}"


def ranking(table: SweepTable, best_first: Sequence[CellKey]) -> str:
    """Return the best points of a search with their parameters."""
    assert table.objective is not None
    metric = table.objective.metric
    rows = [[plain(axis.name) for axis in table.axes] + [plain(metric), "seeds"]]
    for cell in best_first[:MOST_RANKED]:
        values = [f"{value:.3g}" if isinstance(value, float) else plain(value_text(value)) for value in cell]
        seeds = table.values(metric)[cell]
        rows.append([*values, f"{table.mean(metric, cell):.4g}", str(len(seeds))])
    return f"### Best points\n\n{rows_text(rows)}"


def how_to_open(table: SweepTable) -> str:
    """Return where the whole report is."""
    local = (
        f", or `sweeps report {code(table.sweep_id)} --open` where the records are" if table.sweep_id else ""
    )
    return (
        "The report, with intervals, evidence and figures: Artifacts, `report/report.html`; as a workbook "
        f"`report/report.xlsx`{local}."
    )
