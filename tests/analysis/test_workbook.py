"""The workbook: what two other programs read in it is what was recorded, and no text in it acts."""

from __future__ import annotations

import csv
import math
import os
import re
import shutil
import subprocess
import zipfile

import openpyxl
import pandas as pd
import pytest
from planted import Planted

from analysis.answer import answer
from analysis.exhibit import Listing
from analysis.load import load_table
from analysis.workbook import (
    LARGEST_WHOLE,
    entry_of,
    legal_name,
    notes_sheet,
    trials_frame,
    write_workbook,
)

SOFFICE = shutil.which("soffice")
HOSTILE = (
    "=HYPERLINK(1)",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "http://x.example",
    "1e5",
    "{=1+1}",
    "\x00\ud800<&>",
    "  = 1 ",
)


def near(entry, expected):
    """Return whether an entry of a workbook, sixteen digits, is the recorded value; both may be absent."""
    if expected is None or (isinstance(expected, float) and math.isnan(expected)):
        return entry in (None, "")
    if isinstance(expected, float | int) and not isinstance(expected, bool):
        return math.isclose(float(entry), expected, rel_tol=1e-14, abs_tol=0)
    return entry == str(expected)


def assert_equal(rows, frame):
    """Assert that rows, the header first, hold a frame."""
    assert list(rows[0]) == list(frame.columns)
    assert len(rows) == 1 + len(frame) >= 28
    for row, (_, expected) in zip(rows[1:], frame.iterrows(), strict=True):
        for name, entry in zip(frame.columns, row, strict=True):
            assert near(entry, expected[name]), (name, entry, expected[name])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    states = {("vq", 10.0, 2): "diverged"}
    return answer(load_table(Planted(states=states).write(tmp_path_factory.mktemp("records"))))


@pytest.fixture(scope="module")
def book(found, tmp_path_factory):
    return write_workbook(found, [], tmp_path_factory.mktemp("book") / "report.xlsx")


def test_the_trials_sheet_holds_every_trial_with_its_parameters_and_metrics(found, book):
    rows = list(openpyxl.load_workbook(book)["trials"].iter_rows(values_only=True))
    assert_equal(rows, trials_frame(found.table))
    assert {"latent_space", "globals_beta", "seed", "state", "wall_s"} <= set(rows[0])
    assert set(found.table.metrics) <= set(rows[0])


def test_numbers_are_numbers_and_what_does_not_exist_is_empty(found, book):
    page = openpyxl.load_workbook(book)["trials"]
    title = {cell.value: cell.column for cell in page[1]}
    assert page.cell(2, title["globals_beta"]).data_type == "n"
    none = next(row for row in range(2, 29) if page.cell(row, title["latent_space"]).value == "none")
    assert page.cell(none, title["valid/perplexity"]).value is None
    assert not math.isnan(page.cell(none, title["valid/rec_tokens"]).value)


def test_every_verdict_effect_and_cell_of_the_report_is_there(found, book):
    read = openpyxl.load_workbook(book)
    assert {row[0] for row in read["verdicts"].iter_rows(2, values_only=True)} == {
        f.id for f in found.findings
    }
    effects = {row[0]: row[5] for row in read["effects"].iter_rows(2, values_only=True)}
    assert effects == pytest.approx({e.id: e.estimate for e in found.effects.values()}, rel=1e-14)
    assert read["cells"].max_row == 1 + len(found.cells) + 2  # and two predictors without training
    assert ("recommended", found.recommendation.label) in list(
        read["recommendation"].iter_rows(values_only=True)
    )


def test_sheets_can_be_filtered_and_keep_their_header_in_sight(book):
    for page in openpyxl.load_workbook(book):
        assert page.freeze_panes == "B2", page.title
        assert page.auto_filter.ref.startswith("A1:"), page.title
    verdicts = openpyxl.load_workbook(book)["verdicts"]
    assert len([rule for rules in verdicts.conditional_formatting for rule in rules.rules]) == 4


def test_equal_answers_give_equal_bytes(found, book, tmp_path):
    again = write_workbook(found, [], tmp_path / "again.xlsx")
    assert again.read_bytes() == book.read_bytes()


def test_hostile_text_is_text(found, tmp_path):
    listing = Listing("=cmd|' /C calc'!A0", "", "", HOSTILE, [HOSTILE])
    path = write_workbook(found, [listing], tmp_path / "hostile.xlsx")
    page = openpyxl.load_workbook(path).worksheets[-2]
    for row in page.iter_rows():
        assert {cell.data_type for cell in row} == {"s"}
    assert [cell.value for cell in page[2]][:7] == list(HOSTILE[:7])
    with zipfile.ZipFile(path) as files:
        parts = {
            name: files.read(name).decode() for name in files.namelist() if name.endswith((".xml", ".rels"))
        }
    assert not any("<f>" in part or "<hyperlink" in part for part in parts.values())
    assert not any("TargetMode" in part for name, part in parts.items() if name.endswith(".rels"))


def test_sheet_names_are_legal_and_unique():
    taken: set[str] = set()
    for wished in (
        "a" * 40,
        "A" * 40,
        "a" * 31,
        "b/[c]:*?",
        "",
        "'quoted'",
        "b" * 30 + "'" * 3,
        "History",
        "trials",
        "TRIALS",
    ):
        name = legal_name(wished, taken)
        assert 0 < len(name) <= 31
        assert not re.search(r"[\[\]:*?/\\]|^'|'$", name)
        assert name.lower() not in taken | {"history"}
        taken.add(name.lower())


def test_what_the_format_cannot_hold_is_said_or_made_text(found, monkeypatch, tmp_path):
    assert entry_of(LARGEST_WHOLE + 1) == str(LARGEST_WHOLE + 1)
    assert [entry_of(value) for value in (float("nan"), float("inf"), pd.NA, None)] == [None] * 4
    monkeypatch.setattr("analysis.workbook.MOST_ROWS", 10)
    said = [value for name, value in notes_sheet(found).rows if name == "limit"]
    assert "The sheet 'trials' shows the first 10 of 27 rows" in said[0]
    cut = openpyxl.load_workbook(write_workbook(found, [], tmp_path / "cut.xlsx"))
    assert cut["trials"].max_row == 11


def test_a_sheet_without_rows_can_be_opened(found, tmp_path):
    path = write_workbook(found, [Listing("empty", "", "", ("a",), [])], tmp_path / "empty.xlsx")
    assert openpyxl.load_workbook(path)["empty"].max_row == 1


@pytest.mark.slow
@pytest.mark.skipif(
    SOFFICE is None and not os.environ.get("CI"),
    reason="no LibreOffice: install the package libreoffice-calc-nogui",
)
def test_libreoffice_reads_the_recorded_values(found, book, tmp_path):
    every_sheet = (
        "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1"  # full digits
    )
    command = [str(SOFFICE), f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless"]
    command += ["--convert-to", every_sheet, "--outdir", str(tmp_path), str(book)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    with (tmp_path / "report-trials.csv").open(encoding="utf-8", newline="") as file:
        assert_equal(list(csv.reader(file)), trials_frame(found.table))
    with (tmp_path / "report-effects.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found.effects)
