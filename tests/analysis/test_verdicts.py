"""Findings about many things alike share a table; none of them is lost, and those that answer stand alone."""

from __future__ import annotations

import html
import json
import re

import pytest
from planted import Planted
from planted_arms import PlantedArms
from rich.console import Console

from analysis.findings import Finding
from analysis.load import load_table
from analysis.pages import breakable
from analysis.report import write_report
from analysis.table import Axis, SweepTable
from analysis.verdict_text import report_text
from analysis.verdicts import standing_alone, verdict_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(
        PlantedArms().write(tmp_path_factory.mktemp("records")), tmp_path_factory.mktemp("report")
    )


@pytest.fixture
def table(planted):
    return planted()


def finding(identity, verdict="supported"):
    return Finding(identity, verdict, f"What is said of {identity}.")


def test_rows_stand_in_the_order_of_the_study_and_columns_in_that_of_their_first_appearance(table):
    ids = ("calibrated[vq]", "answer", "kl_anomaly[none]", "kl_anomaly[vq]", "calibrated[linear]")
    found = [finding(identity) for identity in ids]
    (shared,) = verdict_tables(table, found)
    assert shared.title == "Verdicts per latent_space"
    assert list(shared.rows) == ["none", "linear", "vq"]
    assert shared.kinds == ["calibrated", "kl_anomaly"]
    assert "calibrated" not in shared.rows["none"]
    assert [item.id for item in standing_alone(found, [shared])] == ["answer"]


def test_values_parameters_and_cells_do_not_share_a_table(table):
    rows = (
        "none",
        "linear",
        "vq",
        "latent_space",
        "globals_beta",
        "lr",
        "none, lr 1",
        "vq, lr 1",
        "best cell",
    )
    found = [finding(f"kind[{row}]") for row in rows]
    table.axes = (*table.axes, Axis("lr", (), scale="log", searched=True))
    assert {shared.noun: list(shared.rows) for shared in verdict_tables(table, found)} == {
        "latent_space": list(rows[:3]),
        "parameter": list(rows[3:6]),
        "cell": list(rows[6:]),
    }


def test_one_or_two_verdicts_stay_cards(table):
    found = [finding("kind[vq]"), finding("kind[none]")]
    assert verdict_tables(table, found) == []
    assert standing_alone(found, []) == found


def test_what_does_not_apply_is_counted_apart(table):
    found = [finding("a[vq]"), finding("b[vq]", "not_applicable"), finding("a[none]", "undecided")]
    (shared,) = verdict_tables(table, found)
    assert shared.n_verdicts == 2
    assert shared.told_of("vq") == "vq: 1 verdict, 1 not applicable"


def test_the_headline_counts_what_stands_alone_and_names_the_rest(report):
    alone = [found for found in report.answer.findings if "[" not in found.id]
    said = report.answer.headline
    assert sum(int(n) for n in re.findall(r"(\d+) (?:supported|rejected|undecided)", said)) == len(alone)
    assert said.endswith(f"; verdicts per arm: {report.answer.verdict_tables[0].n_verdicts}.")


def test_the_page_holds_every_finding_once_and_tables_those_of_arms(report):
    page = report.html.read_text()
    for found in report.answer.findings:
        assert page.count(f'id="finding-{found.id}"') == 1
        assert html.escape(found.statement, quote=False).replace("'", "&#39;") in page
    assert page.count('<article class="card finding"') == 5
    assert "<summary>sigmoid_<wbr>nll: 9 verdicts</summary>" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_verdict_of_the_table_says_itself_in_words_and_leads_to_its_statement(report):
    page = report.html.read_text()
    pill = re.search(
        r'<a class="badge supported" href="#finding-fix_works%5Bsigmoid_nll%5D" title="([^"]+)">(.+?)</a>',
        page,
    )
    assert pill[2] == "supported"
    assert pill[1].startswith("sigmoid_nll works")
    assert '<span class="unseen">not applicable</span>' in page


def test_report_json_keeps_all_findings(report):
    data = json.loads((report.folder / "report.json").read_text())
    assert [item["id"] for item in data["findings"]] == [found.id for found in report.answer.findings]


def test_the_terminal_shows_a_table_of_short_verdicts_in_140_columns(report):
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(report_text(report))
    text = console.export_text()
    assert "Verdicts per arm" in text
    assert "statements: report.html" in text
    assert re.search(r"^ ?sigmoid_note_nll +no +no +yes", text, re.MULTILINE)
    assert "fix_works[" not in text


def test_arms_share_one_figure_of_all_metrics_and_a_grid_has_one_each(report, tmp_path):
    names = {path.stem for path in (report.folder / "figures").iterdir()}
    assert {name for name in names if name.startswith("heatmap")} == {"heatmap_all_metrics"}
    assert "valid/accuracy: baseline: 0." in report.html.read_text()
    grid = write_report(load_table(Planted().write(tmp_path / "records")), tmp_path / "report")
    assert not (grid.folder / "figures" / "heatmap_all_metrics.svg").exists()


def test_the_only_axis_of_names_is_drawn_with_a_row_per_name(tmp_path):
    from analysis.category_figure import category_heatmap, names_axis

    table: SweepTable = load_table(PlantedArms().write(tmp_path / "records"))
    axis = names_axis(table)
    figure = category_heatmap(table, axis, ["valid/nll_per_pixel", "valid/accuracy", "valid/sigma_at_max"])
    labels = [label.get_text().replace("\n", "") for label in figure.axes[0].get_yticklabels()]
    assert labels == list(axis.values)
    assert len(figure.axes) == 3
    assert "no value" in {text.get_text() for text in figure.axes[2].texts}
    assert names_axis(load_table(Planted().write(tmp_path / "grid"))) is None


def test_names_may_break_behind_underscores_and_stay_escaped():
    assert breakable("a_<b>") == "a_<wbr>&lt;b&gt;"
