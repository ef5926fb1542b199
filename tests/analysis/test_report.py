"""The report: stable bytes, a schema that holds, nothing loaded from elsewhere."""

from __future__ import annotations

import json
import re

import pytest
from planted import Planted
from rich.console import Console

from analysis.curves import draw_trial_losses
from analysis.figures import grid_axes, heatmap
from analysis.load import load_table
from analysis.pages import finite
from analysis.report import write_report
from analysis.verdict_text import report_text
from search_spaces.globals_autoencoder import SPACE
from sweeps.study_files import load_study


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    states = {("vq", 10.0, 2): "diverged", ("vq", 0.0, 1): "diverged"}
    return Planted(states=states).write(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def report(records, tmp_path_factory):
    return write_report(records, tmp_path_factory.mktemp("report"))


def refuse(constant):
    raise AssertionError(f"{constant} in JSON")


def test_report_json_keeps_its_schema_and_holds_finite_numbers_only(report):
    data = json.loads((report.folder / "report.json").read_text(), parse_constant=refuse)
    expected = {
        "schema_version",
        "study",
        "sweep_id",
        "question",
        "objective",
        "cells",
        "effects",
        "findings",
        "recommendation",
        "provenance",
    }
    assert expected <= set(data)
    assert data["schema_version"] == 1
    assert data["objective"] == {"metric": "valid/comparable_loss", "mode": "min", "epoch_metric": None}
    cell = data["cells"][0]
    assert {"params", "n", "n_diverged", "metrics"} <= set(cell)
    assert {"mean", "sd", "ci_low", "ci_high"} <= set(cell["metrics"]["valid/rec_tokens"])
    for finding in data["findings"]:
        assert {"id", "verdict", "statement", "evidence", "advice", "follow_up"} <= set(finding)
        assert finding["verdict"] in {"supported", "rejected", "undecided", "not_applicable"}
    assert data["recommendation"]["cell"] == {"latent_space": "none", "globals_beta": 1.0}


@pytest.mark.slow
def test_equal_records_give_equal_bytes(report, records, tmp_path):
    again = write_report(load_table(records), tmp_path)
    for one, other in zip(report.files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_page_loads_nothing_from_elsewhere(report):
    page = report.html.read_text()
    assert not re.search(r"""(?:src|href|action|data)\s*=\s*["']?\s*(?:https?:)?//""", page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert not re.search(r"<script[^>]*\bsrc", page)


def test_the_page_shows_every_finding_figure_baseline_and_problem(report):
    page = report.html.read_text()
    for finding in report.answer.findings:
        assert f'id="finding-{finding.id}"' in page
    assert page.count("<svg") == page.count('role="img"') >= 8
    assert "visible_sum (baseline)" in page
    assert "2 trial(s) are diverged" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_figures_lie_beside_the_page_as_png_and_svg(report):
    names = {path.name for path in (report.folder / "figures").iterdir()}
    for stem in ("heatmap_rec_tokens", "heatmap_rec_globals", "trade_off", "loss_curves", "gradient_shares"):
        assert {f"{stem}.png", f"{stem}.svg"} <= names


def test_the_next_study_is_one_that_can_be_run(report):
    study = load_study(str(report.folder / "next_study.py")).checked(SPACE)
    assert study.fixed["latent_dim"] == 64


def test_the_cell_table_has_baseline_rows_beside_the_models(report):
    lines = (report.folder / "cells.csv").read_text().splitlines()
    assert len(lines) == 1 + 9 + 2
    assert lines[-2].startswith("baseline visible_sum")


def test_the_terminal_shows_cells_verdicts_and_where_the_files_are(report):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(report_text(report))
    text = console.export_text()
    assert "trade_off: A trade-off" in text
    assert "Recommendation: none, globals_beta 1" in text
    assert "report.html" in text


def test_a_sweep_that_only_diverged_is_reported_without_a_verdict(tmp_path):
    gone = {(s, b, 1): "diverged" for s in ("none", "linear", "vq") for b in (0.0, 1.0, 10.0)}
    report = write_report(Planted(seeds=(1,), states=gone).write(tmp_path / "records"), tmp_path / "report")
    assert report.answer.recommendation is None
    assert {found.verdict for found in report.answer.findings} == {"not_applicable"}
    assert "No cell is recommended" in report.html.read_text()


def test_a_heatmap_of_one_axis_and_of_three_can_be_drawn(planted):
    three = planted(dims=(2, 32))
    assert len(heatmap(three, "valid/rec_tokens").axes) == 2
    row, column, rest = grid_axes(three)
    assert (row.name, column.name, [axis.name for axis in rest]) == (
        "latent_space",
        "globals_beta",
        ["latent_dim"],
    )


def test_the_losses_of_a_trial_are_drawn_where_they_are_wanted(records, tmp_path):
    path = tmp_path / "figures" / "losses.png"
    draw_trial_losses(records.epochs_of(next(iter(records.trials))), path, "none, globals_beta 0, seed 1")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_not_finite_becomes_null():
    assert finite({"a": [float("nan"), float("inf"), 1.0]}) == {"a": [None, None, 1.0]}


def test_a_follow_up_says_which_sweep_and_finding_it_follows(planted, tmp_path):
    table = planted()
    assert "Follows sweep" not in write_report(table, tmp_path / "first").html.read_text()
    table.study["follows"] = {"sweep": "0123abcd45", "study": "first_study", "finding": "trade_off"}
    page = write_report(table, tmp_path / "second").html.read_text()
    assert "Follows sweep 0123abcd45 of first_study, because of trade_off" in page
