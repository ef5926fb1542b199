"""The KL-weight study tells collapse from exchange, and finds the weight that the objective wants."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from analysis import kl_weight
from analysis.answer import answer
from analysis.load import load_table
from sweeps.records import EpochRow, RecordWriter, TrialRow, read_records

WEIGHTS = (0.1, 1.0, 10.0)
KL = {0.1: 8.0, 1.0: 0.8, 10.0: 0.001}
NLL = {0.1: -0.9, 1.0: -1.1, 10.0: -0.4}
RECON = {0.1: 0.01, 1.0: 0.012, 10.0: 0.05}
UNITS = {0.1: 16.0, 1.0: 12.0, 10.0: 1.0}
FLAT = dict.fromkeys(WEIGHTS, 1.0)
MEANINGS = {
    "nll": {"mode": "min", "positive": False, "meaning": "negative log likelihood"},
    "kl_per_dim": {"positive": True, "unit": "nat"},
    "mse": {"mode": "min", "positive": True},
}


@pytest.fixture
def table(tmp_path):
    def write(kl=KL, nll=NLL, recon=RECON, warm=1.0, seeds=(1, 2, 3), noise=1.0):
        axes = {
            "kl_weight": {
                "values": list(WEIGHTS),
                "scale": "log",
                "simplicity": list(WEIGHTS),
                "weight": True,
            },
            "kl_schedule": {"values": ["constant", "linear"], "scale": "category", "simplicity": [0, 1]},
        }
        study = {"name": "kl_weight_ssvae", "family": "ssvae", "analysis": "kl_weight", "seeds": list(seeds)}
        study |= {"epochs": 1, "objective": {"metric": "valid/nll", "mode": "min"}}
        study |= {"grid": {name: axis["values"] for name, axis in axes.items()}}
        sweep = {"sweep_id": "a", "study": study, "axes": axes, "metrics": MEANINGS}
        folder = tmp_path / f"records_{len(list(tmp_path.iterdir()))}"
        writer, rng = RecordWriter(folder, sweep), np.random.default_rng(0)
        for weight, schedule, seed in itertools.product(WEIGHTS, ("constant", "linear"), seeds):
            z = noise * rng.normal(0, 1, 4)
            swept = {"kl_weight": weight, "kl_schedule": schedule}
            row = TrialRow(
                f"{weight:g}{schedule}{seed}", f"kl_weight={weight:g},kl_schedule={schedule}", swept, seed
            )
            factor = warm if schedule == "linear" else 1.0
            values = {
                "valid/nll": nll[weight] + 0.02 * z[0],
                "valid/kl_per_dim": kl[weight] * factor * math.exp(0.05 * z[1]),
                "valid/mse": recon[weight] * math.exp(0.03 * z[2]),
                "valid/active_units": UNITS[weight] * math.exp(0.03 * z[3]),
            }
            writer.record_trial(row)
            writer.record_epoch(EpochRow(row.trial_id, 1, values, 1000))
            row.state = "complete"
            writer.record_trial(row)
        writer.compact()
        return load_table(read_records(folder))

    return write


def findings(table):
    return {found.id: found for found in answer(table).findings}


def test_the_planted_sweet_spot_and_its_neighbours_are_found(table):
    found = findings(table())
    assert found["sweet_spot_kl_weight"].statement.startswith("kl_weight 1 is the best kl_weight")
    assert found["over_regularisation"].verdict == "supported"
    assert found["units_switched_off"].verdict == "supported"
    assert found["kl_against_reconstruction"].verdict == "supported"


def test_collapse_and_explosion_are_found_in_their_cells(table):
    found = findings(table())
    assert "posterior collapses" in found["kl_anomaly[kl_weight 10, constant]"].statement
    assert "KL explodes" in found["kl_anomaly[kl_weight 0.1, linear]"].statement
    assert found["kl_anomaly[kl_weight 1, linear]"].verdict == "rejected"


def test_a_weight_that_does_nothing_is_not_blamed(table):
    found = findings(table(nll=FLAT, recon=FLAT, noise=0.1))
    assert found["over_regularisation"].verdict == "rejected"
    assert found["kl_against_reconstruction"].statement == (
        "No exchange of KL for reconstruction: the heavier weight costs no reconstruction."
    )


@pytest.mark.parametrize(("warm", "verdict"), [(2.0, "supported"), (0.5, "rejected")])
def test_a_warm_up_that_keeps_information_is_told_from_one_that_does_not(table, warm, verdict):
    assert findings(table(warm=warm))["schedule_keeps_information"].verdict == verdict


def test_one_seed_decides_nothing(table):
    found = [f for f in findings(table(seeds=(1,))).values() if f.verdict != "not_applicable"]
    assert {f.verdict for f in found} == {"undecided"}


def test_the_curves_over_the_weight_are_drawn(table):
    given = table()
    (drawing,) = kl_weight.exhibits(given, {})
    assert len(drawing.figure.axes) == 4
    assert "kl_weight 1, constant" in drawing.alternative
