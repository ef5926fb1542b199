"""A search over weights is judged at the best finalist of every form of the loss, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from planted_arms import ARMS, BASELINE, MEANINGS, REMEDY, metrics

from analysis import recon_weight
from analysis.answer import answer
from analysis.load import load_table
from analysis.recon_weight_arms import arms
from sweeps.records import EpochRow, RecordWriter, TrialRow, read_records

pytestmark = pytest.mark.slow

FORMS = {"mse": BASELINE, "nll": REMEDY, "note_nll": ARMS["sigmoid_note_nll"]}
N_POINTS, N_FINALISTS = 12, 3


@pytest.fixture
def table(tmp_path):
    search = {"recon_weight": {"low": 0.1, "high": 1000.0, "log": True, "kind": "float"}}
    axes = {
        "recon_loss": {"values": list(FORMS), "scale": "category", "simplicity": [0, 1, 2]},
        "recon_weight": {"searched": True, "low": 0.1, "high": 1000.0, "scale": "log", "weight": True},
    }
    study = {"name": "recon_weight", "family": "ssvae", "analysis": "recon_weight", "seeds": [1, 2, 3]}
    study |= {"grid": {"recon_loss": list(FORMS)}, "search": search, "epochs": 1}
    study |= {"objective": {"metric": "valid/nll_per_pixel", "mode": "min"}}
    writer = RecordWriter(tmp_path, {"sweep_id": "b", "study": study, "axes": axes, "metrics": MEANINGS})
    rng = np.random.default_rng(0)
    for form, truth in FORMS.items():
        for point in range(N_POINTS):
            weight = float(10 ** (-1 + 4 * point / (N_POINTS - 1)))
            for seed in (1, 2, 3) if point < N_FINALISTS else (1,):
                swept = {"recon_loss": form, "recon_weight": weight}
                row = TrialRow(f"{form}{point}#{seed}", f"{form}{point}", swept, seed, point=point)
                found = metrics(truth, rng.normal(0, 1, 12), 1.0)
                found["valid/nll_per_pixel"] += 0.2 * point
                writer.record_trial(row)
                writer.record_epoch(EpochRow(row.trial_id, 1, found, 1000))
                row.state = "complete"
                writer.record_trial(row)
    writer.compact()
    return load_table(read_records(tmp_path))


def test_every_form_of_the_loss_lends_its_best_finalist(table):
    judged = arms(table)
    assert [arm.name for arm in judged] == list(FORMS)
    assert {table.params_of(arm.cell)["recon_weight"] for arm in judged} == {0.1}


def test_only_the_judged_cells_are_compared(table):
    assert len(recon_weight.contrasts(table)) < 40


def test_checks_and_targets_are_said_of_every_form_and_nothing_of_arms(table):
    found = {finding.id: finding.verdict for finding in answer(table).findings}
    assert found["component_collapse[note_nll]"] == "supported"
    assert found["component_collapse[nll]"] == "rejected"
    assert found["kl_anomaly[mse]"] == "supported"
    assert found["all_targets_met[note_nll]"] == "rejected"
    assert not any("literal" in name or name.startswith("fix_works") for name in found)
    assert "pattern_of_the_note" not in found


def test_the_exhibits_hold_without_the_two_arms_of_the_note(table):
    shown = [item.name for item in recon_weight.exhibits(table, answer(table).effects)]
    assert "arms_by_target" in shown
    assert "literal_against_baseline" not in shown
