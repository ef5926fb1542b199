"""The answer in Markdown: it fits into a tag of any MLflow server, and no name in it is markup."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from planted import Planted

from analysis.answer import answer
from analysis.load import load_table
from analysis.note import LONGEST, MOST_VERDICTS, experiment_text, note_text
from tests.analysis.planted_arms import PlantedArms
from tests.analysis.planted_search import PlantedSearch
from tests.verdicts.memory import table_of


@pytest.fixture(scope="module")
def found():
    return answer(table_of(Planted()))


def tables(text):
    """Return the tables of a text in Markdown, as lists of rows of entries."""
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.strip().splitlines()] for block in blocks]


def test_a_note_has_question_headline_verdicts_heatmap_and_the_way_to_the_report(found):
    text = note_text(found)
    heat, verdicts = tables(text)
    assert "How does the weight on global reconstruction act" in text
    assert found.headline[:30] in text
    assert [entry.strip() for entry in heat[0]] == ["latent_space / globals_beta", "0", "1", "10"]
    assert sum("**" in entry for row in heat for entry in row) == 1
    ids = {row[0].strip() for row in verdicts[2:]}
    assert ids == {f.id for f in found.lone_findings if f.verdict != "not_applicable"}
    assert "`report/report.html`" in text
    assert "**none, globals_beta 1**" in text


@pytest.mark.parametrize("planted", [Planted(dims=(2, 32)), PlantedArms(), PlantedSearch()])
def test_a_note_of_any_sweep_fits_into_a_tag(planted, tmp_path):
    text = note_text(answer(load_table(planted.write(tmp_path))))
    assert len(text) <= LONGEST
    for table in tables(text):
        assert len(table) <= MOST_VERDICTS + 2
        assert len({len(row) for row in table}) == 1
    assert "report/report.html" in text


def test_what_does_not_fit_is_left_to_the_report(found):
    long = [replace(f, id=f"{f.id}_{n}", statement="so " * 500) for n in range(20) for f in found.findings]
    text = note_text(replace(found, findings=tuple(long)))
    assert len(text) <= LONGEST
    assert re.search(r"\d+ more are in the report", text)
    assert "`report/report.html`" in text


def test_names_are_no_markup(found):
    hostile = "a | b\n\n# c <script> [x](javascript:1) `d` ![i](http://x)"
    table = replace(found.table, study={**found.table.study, "question": hostile})
    findings = (replace(found.findings[0], id=hostile, statement=hostile), *found.findings[1:])
    text = note_text(replace(found, table=table, findings=findings))
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(|^# ", text, re.MULTILINE)
    assert {len(row) for row in tables(text)[1]} == {3}


def test_an_experiment_says_what_varies_and_how_to_look():
    text = experiment_text(Planted().sweep())
    assert "`latent_space` (bottleneck between encoder and decoder)" in text
    assert "`params.globals_beta`" in text
    assert "tags.kind = 'sweep'" in text
    assert experiment_text({})
