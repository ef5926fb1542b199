"""The answer in the terminal: cell table, verdicts, recommendation, and where the files are."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis import theme
from analysis.answer import Answer
from analysis.cells import Summary, shown_counts
from analysis.effects import Effect
from analysis.findings import Finding
from analysis.report import Report, baselines_by_predictor
from analysis.verdicts import VerdictTable

STYLES = {
    "supported": "bold green",
    "rejected": "bold red",
    "undecided": "bold yellow",
    "not_applicable": "dim",
}
SHORT = {"supported": "yes", "rejected": "no", "undecided": "open", "not_applicable": "–"}
SHOWN_METRICS = 5
CLAIM_WIDTH = (
    11  # characters above a column of verdicts: nine claims and the names of arms fit in 140 columns
)
SHOWN_CELLS = 60
SHOWN_EFFECTS = 3  # per finding; the report has all


def report_text(report: Report) -> RenderableType:
    """Return everything the terminal shows of a written report."""
    found = report.answer
    problems = [Text(f"note: {problem}", style="dim") for problem in found.problems]
    return Group(
        cell_table(found),
        Text(),
        findings_text(found),
        Text(),
        *(verdict_text(shared) for shared in found.verdict_tables),
        *problems,
        recommendation_text(found),
        files_text(report),
    )


def cell_table(found: Answer) -> Table:
    """Return the cells with mean ± half-width of their intervals, counts, and the baselines below."""
    metrics = found.figure_metrics[:SHOWN_METRICS]
    table = Table(title=found.table.study.get("name"), title_justify="left", header_style="bold")
    counts = shown_counts(found.cells)
    table.add_column("cell")
    for name in (*(name.removeprefix("n_") for name in counts), *metrics):
        table.add_column(name, justify="right", overflow="fold")
    chosen = found.recommendation.label if found.recommendation else None
    for cell in found.shown_cells[:SHOWN_CELLS]:
        values = [summary_text(cell.metrics.get(metric)) for metric in metrics]
        told = [str(cell.n), *(str(cell.counts[name] or "") for name in counts[1:])]
        table.add_row(cell.label, *told, *values, style="bold" if cell.label == chosen else "")
    if n_more := len(found.cells) - len(found.shown_cells[:SHOWN_CELLS]):
        table.caption = f"{n_more} more in cells.csv"
    for predictor, known in baselines_by_predictor(found.table).items():
        if any(metric in known for metric in metrics):
            values = [f"{known[metric]:.4g}" if metric in known else "" for metric in metrics]
            table.add_row(f"{predictor} (baseline)", *("" for _ in counts), *values, style="dim")
    return table


def summary_text(summary: Summary | None) -> str:
    """Return ``0.0213 ± 0.0010``, without the second part when seeds give no interval."""
    if summary is None:
        return ""
    half = summary.half_width
    return f"{summary.mean:.4g}" + ("" if half is None else f" ± {half:.2g}")


def findings_text(found: Answer) -> Table:
    """Return every finding that stands alone: verdict, statement, its first intervals and advice."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in found.lone_findings:
        verdict = Text(finding.verdict.replace("_", " "), style=STYLES[finding.verdict])
        grid.add_row(verdict, finding_text(finding))
    return grid


def verdict_text(shared: VerdictTable) -> Table:
    """Return the verdicts of findings that share a table, without their statements."""
    table = Table(title=shared.title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True
    table.caption = (
        "yes: supported, no: rejected, open: undecided, –: not applicable; statements: report.html"
    )
    table.caption_justify = "left"
    table.add_column(shared.noun, overflow="fold")
    for kind in shared.kinds:
        table.add_column(theme.wrapped(kind, CLAIM_WIDTH), overflow="fold")
    for subject, by_kind in shared.rows.items():
        verdicts = [by_kind[kind].verdict if kind in by_kind else "not_applicable" for kind in shared.kinds]
        table.add_row(Text(subject), *(Text(SHORT[verdict], style=STYLES[verdict]) for verdict in verdicts))
    return table


def finding_text(finding: Finding) -> Group:
    """Return one finding: its statement, and below it what it rests on."""
    effects = [item for item in finding.evidence if isinstance(item, Effect)]
    below = [Text(f"  {effect.text}", style="dim") for effect in effects[:SHOWN_EFFECTS]]
    if len(effects) > SHOWN_EFFECTS:
        below.append(Text(f"  and {len(effects) - SHOWN_EFFECTS} more in the report", style="dim"))
    if finding.advice:
        below.append(Text(f"  Advice: {finding.advice}"))
    return Group(Text.assemble((f"{finding.id}: ", "bold"), finding.statement), *below)


def recommendation_text(found: Answer) -> Text:
    """Return the recommendation in words, or why there is none."""
    taken = found.recommendation
    if taken is None:
        return Text.assemble(("No recommendation. ", "bold"), found.no_recommendation)
    lines = [f"{taken.label} ({taken.metric} {summary_text(taken.summary)}). {taken.reason}"]
    told = "told apart" if taken.distinguishable else "not told apart"
    lines += [f"Caution: {taken.standing.caution}"] if taken.standing.caution else []
    lines.append(f"Runner-up: {taken.runner_up}, {told} by the seeds.")
    lines += [
        said for said in (taken.standing.test, taken.standing.training, *taken.standing.elsewhere) if said
    ]
    lines += [f"Price: {price.text}." for price in taken.price]
    if taken.pareto:
        lines.append(f"Pareto set: {'; '.join(taken.pareto)}; knee: {taken.knee}.")
    return Text.assemble(("Recommendation: ", "bold"), "\n".join(lines))


def files_text(report: Report) -> Text:
    """Return where the report lies and what to run next."""
    lines = [f"Report: {shown(report.html)}"]
    follow_up = report.answer.follow_up
    if follow_up is not None:
        command = f"sweeps run {shown(report.folder / 'next_study.py')}"
        lines.append(f"Next:   {command}  ({follow_up.n_trials} trials: {follow_up.question})")
    return Text("\n".join(lines))


def shown(path: Path) -> str:
    """Return a path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.resolve().relative_to(here)) if path.resolve().is_relative_to(here) else str(path)
