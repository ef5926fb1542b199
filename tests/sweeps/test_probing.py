"""``sweeps probe`` on a trial that was really trained, and ``sweeps data check`` on data right and wrong."""

import json

import numpy as np
import pytest

from sweeps.records import read_records
from tests.sweeps.conftest import only_sweep, sweeps

STUDY = """
from sweeps.__main__ import main
from sweeps.study import Objective, Study
STUDY = Study(
    name="tiny", family="etrm", question="Is the context read?", arms={{"standard": {{"encoder_type": "standard"}}}},
    fixed={{"side": 6, "hidden_dim": 16, "encoder_dim": 16, "n_heads": 2, "n_views": 1, "passes_per_epoch": 1,
           "train_rows": 8}},
    seeds={seeds}, epochs=1, objective=Objective("train_eval/lm", mode="min"),
)
if __name__ == "__main__":
    main(STUDY)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the output folder of a sweep of two trials."""
    folder = tmp_path_factory.mktemp("probing")
    (folder / "tiny.py").write_text(STUDY.format(seeds=2))
    sweeps("run", "tiny.py", "--out", "out", "--address", "local", cwd=folder)
    return folder / "out"


def runs_of(out):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'")
    return client, {run.data.tags["trial_id"]: run for run in found}


@pytest.mark.slow
def test_a_probe_prints_verdicts_and_leaves_them_with_the_trial_and_in_mlflow(trained):
    row = next(iter(read_records(only_sweep(trained)).trials.values()))
    said = sweeps("probe", row.trial_id[:6], "--out", trained, cwd=trained.parent).stdout
    assert "decoder_ignores_context" in said
    first = json.loads(sweeps("probe", row.trial_id, "--out", trained, "--json", cwd=trained.parent).stdout)
    ids = [result["id"] for result in first]
    assert {"decoder_ignores_context", "representation_collapse", "copies_input"} <= set(ids)
    assert {"data_can_be_read", "demonstrations_match_query", "no_evaluation_puzzle_in_training"} <= set(ids)
    (kept,) = only_sweep(trained).glob(f"*/seed_{row.seed}/facts/probe.json")
    assert json.loads(kept.read_text()) == first
    client, runs = runs_of(trained)
    run = runs[row.trial_id]
    for result in first:
        assert run.data.tags[f"probe.{result['id']}"] == result["verdict"]
        for name, value in result["numbers"].items():
            key = f"probe/{result['id']}/{name}"
            assert run.data.metrics[key] == pytest.approx(value)
            assert len(client.get_metric_history(run.info.run_id, key)) == 1, "sent twice, kept once"
    assert [file.path for file in client.list_artifacts(run.info.run_id, "facts")].count(
        "facts/probe.json"
    ) == 1


@pytest.mark.slow
def test_a_probe_takes_the_folder_of_a_trial_and_refuses_what_is_none(trained):
    folder = next(only_sweep(trained).glob("*/seed_1"))
    assert "verdict" in sweeps("probe", folder, "--out", trained, "--json", cwd=trained.parent).stdout
    elsewhere = sweeps("probe", folder, "--out", trained / "none", "--json", cwd=trained.parent)
    assert "verdict" in elsewhere.stdout, "a folder says by itself which sweep it is of"
    lost = sweeps("probe", "zzzz", "--out", trained, cwd=trained.parent, check=False)
    assert (lost.returncode, lost.stderr.count("\n")) == (2, 1)
    assert "No trial 'zzzz' under" in lost.stderr
    other = sweeps("probe", folder, "--data", trained, "--out", trained, cwd=trained.parent, check=False)
    assert other.returncode == 2
    trial_id = next(iter(read_records(only_sweep(trained)).trials))
    damaged = trained / "tiny" / "damaged"
    damaged.mkdir()
    (damaged / "sweep.json").write_text("{")
    sweeps("probe", trial_id, "--out", trained, cwd=trained.parent)  # another sweep's damage hides nothing
    (damaged / "sweep.json").unlink()
    (folder / "model.pt").rename(folder / "model.gone")
    gone = sweeps("probe", folder, "--out", trained, cwd=trained.parent, check=False)
    (folder / "model.gone").rename(folder / "model.pt")
    assert gone.returncode == 2
    assert "has no model.pt: the trial has not ended" in gone.stderr


@pytest.mark.slow
def test_a_probe_refuses_weights_that_were_trained_under_other_code(trained):
    sweep = only_sweep(trained)
    text = (sweep / "sweep.json").read_text()
    version = json.loads(text)["provenance"]["code_version"]
    (sweep / "sweep.json").write_text(text.replace(version, "0ld"))
    refused = sweeps("probe", next(sweep.glob("*/seed_1")), cwd=trained.parent, check=False)
    (sweep / "sweep.json").write_text(text)
    assert refused.returncode == 2
    assert f"The code of etrm has changed since the trial was trained (0ld, now {version})" in refused.stderr


@pytest.mark.slow
def test_the_data_of_a_family_is_checked(tmp_path):
    right = sweeps("data", "check", "etrm", "--set", "side=6", "--json", cwd=tmp_path)
    claims = {result["id"]: result for result in json.loads(right.stdout)}
    assert claims["demonstrations_match_query"]["verdict"] == "supported"
    assert claims["data_can_be_read"]["numbers"]["n_train"] > 40
    assert "data_can_be_read" in sweeps("data", "check", "ssvae", cwd=tmp_path).stdout
    wrong = sweeps("data", "check", "etrm", "--data", tmp_path / "none", cwd=tmp_path, check=False)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    unknown = sweeps("data", "check", "etrm", "--set", "sides=6", cwd=tmp_path, check=False)
    assert unknown.returncode == 2
    assert "Did you mean 'side'?" in unknown.stderr


def test_data_is_probed_before_anything_is_trained_on_it(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 6, 8)).astype(np.float32)
    np.savez(
        tmp_path / "windows.npz",
        context_sequences=vectors[:, :5],
        target_vectors=vectors[:, 5],
        doc_ids=np.repeat(np.arange(10), 6),
    )
    found = json.loads(sweeps("probe", "lvm-data", "windows.npz", "--json", cwd=tmp_path).stdout)
    claims = {result["id"]: result["verdict"] for result in found}
    assert claims["split_by_document"] == "supported"
    assert claims["mean_vector_is_near"] == "rejected"
    assert claims["decoder_a"] == claims["decoder_b"] == "not_applicable"
    assert {"moments_agree", "data_can_be_read"} <= claims.keys()
    wrong = sweeps("probe", "7f3a", "windows.npz", cwd=tmp_path, check=False)
    assert wrong.returncode == 2
    assert "'7f3a' is a trial, whose data is given by --data windows.npz" in wrong.stderr
