"""Grids of a thousand cells and more: an answer in time, a page that can be read, and nothing left out unsaid."""

from __future__ import annotations

import cProfile
import json
import math
import pstats

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from analysis.answer import answer
from analysis.curves import loss_curves
from analysis.effects import estimate_singly
from analysis.figures import heatmap
from analysis.grid import contrasts
from analysis.levels import level_pairs
from analysis.load import load_table
from analysis.report import write_report
from analysis.table import FEW_LEVELS, listed
from sweeps.records import HISTORY_SCHEMA, Records, TrialRow

SIDE, SEEDS = 32, 2
METRIC = "valid/rec_loss"


def grid(side: int, absent: tuple[tuple[float, float], ...] = ()) -> Records:
    """Return records of a square grid: the loss rises with ``a``, hardly with ``b``, and is least at ``a`` 3."""
    rng = np.random.default_rng(0)
    values = [float(value) for value in range(side)]
    axis = {"values": values, "scale": "linear", "simplicity": values}
    objective = {"metric": METRIC, "mode": "min"}
    study = {"name": "large", "question": "?", "seeds": [1, 2], "epochs": 2, "objective": objective}
    sweep = {
        "study": study | {"grid": {"a": values, "b": values}},
        "axes": {"a": axis, "b": axis},
        "metrics": {"rec_loss": {"mode": "min", "positive": True}},
    }
    trials, history = {}, []
    for place, (a, b, seed) in enumerate(
        (a, b, s) for a in values for b in values for s in range(1, SEEDS + 1)
    ):
        if (a, b) in absent:
            continue
        row = TrialRow(f"t{place:06d}", f"a={a:g},b={b:g}", {"a": a, "b": b}, seed, "complete", 2, 1.0)
        trials[row.trial_id] = row
        loss = (1 + 0.2 * abs(a - 3)) * (1 + 0.001 * b) * math.exp(rng.normal(0, 0.01))
        history += [(row.trial_id, epoch, METRIC, loss * (3 - epoch), 1000 * epoch) for epoch in (1, 2)]
    columns = zip(HISTORY_SCHEMA.names, zip(*history, strict=True), strict=True)
    return Records(
        sweep, trials, pa.table({name: list(column) for name, column in columns}).cast(HISTORY_SCHEMA)
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(grid(SIDE, absent=((5.0, 5.0),)), tmp_path_factory.mktemp("report"))


@pytest.mark.slow
def test_the_page_of_a_thousand_cells_stays_small_and_says_what_it_leaves_out(report):
    page, n_cells = report.html.read_text(), SIDE * SIDE - 1
    assert len(page) < 600_000
    assert page.count('<th scope="row">a ') == 200
    assert f"Shown are the 200 best cells by the objective; {n_cells - 200} more are in cells.csv." in page
    assert f"{n_cells} cells: the best 200 are compared with the best one." in page
    assert "32 values of a: each is compared with the best one alone." in page
    assert len(pd.read_csv(report.folder / "cells.csv")) == n_cells
    assert len(json.loads((report.folder / "report.json").read_text())["cells"]) == n_cells


@pytest.mark.slow
def test_every_comparison_that_could_have_been_made_counts_although_few_are_listed(report):
    found = report.answer
    assert len(found.effects) == 2 * (SIDE - 1) + 199
    together = found.effects[f"{METRIC}: a 4 vs a 3"]
    alone = estimate_singly(found.table, contrasts(found.table))[together.id]
    n_pairs = 2 * math.comb(SIDE, 2) + math.comb(SIDE * SIDE - 1, 2)
    wider = stats.t.isf((1 - 0.95 ** (1 / n_pairs)) / 2, together.df) / stats.t.isf(0.025, alone.df)
    widths = [math.log(effect.ci_high / effect.ci_low) for effect in (together, alone)]
    assert widths[0] / widths[1] == pytest.approx(wider)
    verdicts = {finding.id: finding.verdict for finding in found.findings}
    assert (verdicts["sweet_spot_a"], verdicts["effect_of_a"]) == ("supported", "supported")
    assert found.recommendation is not None
    assert found.recommendation.cell["a"] == 3.0


@pytest.mark.slow
def test_an_answer_takes_four_times_the_calls_for_four_times_the_cells():
    calls = []
    for side in (24, 48):
        table, profile = load_table(grid(side)), cProfile.Profile()
        profile.runcall(answer, table)
        calls.append(pstats.Stats(profile).total_calls)
    assert calls[1] / calls[0] < 5


def test_levels_of_a_crowded_axis_are_held_against_the_best_one():
    table = load_table(grid(21))
    assert len(level_pairs(table, "a")) == 20
    assert all(3.0 in pair for pair in level_pairs(table, "a"))
    assert len(level_pairs(load_table(grid(20)), "a")) == 190


def test_a_large_heatmap_is_an_image_and_curves_are_thinned():
    table = load_table(grid(SIDE, absent=((5.0, 6.0),)))
    (image,) = heatmap(table, METRIC).axes[0].get_images()
    assert image.get_array().shape == (SIDE, SIDE)
    assert np.ma.getmaskarray(image.get_array()).sum() == 1
    panels = loss_curves(table, [METRIC]).axes
    assert [len(panel.lines) for panel in panels] == [FEW_LEVELS] * FEW_LEVELS


def test_names_in_a_sentence_are_counted_where_they_are_many():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefghi")) == "a, b, c, d, e, f, g, h, i"
    assert listed(list("abcdefghijk")) == "a, b, c, d, e, f, g, h, and 3 more"
