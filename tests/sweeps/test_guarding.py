"""Guards at work: what they save on a search with regions of collapse, and how an audit judges them."""

import json

import pytest

from tests.sweeps.conftest import only_sweep, sweeps

pytestmark = pytest.mark.slow
EPOCHS, TRIALS = 40, 48
STUDY = f"""
from sweeps.__main__ import main
from sweeps.study import Objective, Study
STUDY = Study(
    name="collapsing", family="ssvae", question="Where is sigma not stuck?",
    arms={{form: {{"recon_loss": form}} for form in ("nll", "note_nll", "normalised_nll")}},
    search={{"recon_weight": (1e-2, 1e3)}},
    fixed={{"kl_weight": 1.0, "diversity_weight": 1.0, "n_images": 600, "patience": 0}},
    seeds=1, epochs={EPOCHS}, max_trials={TRIALS}, finalists=1, sampler="qmc",
    objective=Objective("valid/nll_per_pixel", mode="min"), guard_audit=0.2,
)
if __name__ == "__main__":
    main(STUDY)
"""


def test_guards_save_a_third_of_the_epochs_and_the_audit_finds_them_right(tmp_path, recorded):
    study, out = tmp_path / "collapsing.py", tmp_path / "out"
    study.write_text(STUDY)
    sweeps("run", study, "--out", out, "--address", "local", cwd=tmp_path)
    trials = recorded(out).trials.values()
    broke = [row for row in trials if row.guard is not None]
    collapsed = [row for row in broke if row.state == "collapsed"]
    audited = [row for row in broke if row.state == "complete"]
    saved = sum(EPOCHS - row.n_epochs for row in collapsed)
    assert len(trials) == TRIALS
    assert all(row.n_epochs == row.guard_epoch < EPOCHS for row in collapsed)
    assert all(row.n_epochs == EPOCHS for row in audited)
    assert saved >= 0.3 * EPOCHS * TRIALS
    report = json.loads((only_sweep(out) / "report" / "report.json").read_text())
    audit = next(audit for audit in report["guards"]["audits"] if audit["rule"] == "all")
    assert len(audited) >= 5
    assert (audit["n"], audit["wrong"], audit["would_be_best"]) == (len(audited), 0, 0)
    assert sum(saving["epochs"] for saving in report["guards"]["savings"]) == saved
