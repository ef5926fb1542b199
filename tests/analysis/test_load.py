"""Whoever wrote the records: what is there is read, what is missing is named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted import Planted

from analysis.load import load_mlflow, load_table, selected_epochs
from analysis.table import bare_name
from sweeps.records import RecordsError, RecordWriter, TrialRow, read_records
from sweeps.study import Objective


def test_the_epoch_is_the_one_where_the_objective_is_best(planted):
    table = planted(epochs=4)
    assert set(table.trials["epoch"]) == {4}
    assert len(table.cells) == 9
    assert table.problems == []


def test_an_objective_that_worsens_selects_the_earlier_epoch(planted):
    table = planted()
    later = table.history["epoch"] == 4
    history = table.history.copy()
    history.loc[later & (history["metric"] == "valid/comparable_loss"), "value"] = 99.0
    assert set(selected_epochs(history, table.objective)) == {3}


def test_diverged_and_unknown_states_are_counted_and_left_out_of_means(tmp_path):
    Planted(states={("vq", 10.0, 1): "diverged"}).write(tmp_path)
    trials = pq.read_table(tmp_path / "trials.parquet")
    states = trials["state"].to_pylist()
    states[0] = "vanished"
    place = trials.column_names.index("state")
    pq.write_table(trials.set_column(place, "state", pa.array(states)), tmp_path / "trials.parquet")
    table = load_table(read_records(tmp_path))
    assert any("unknown state 'vanished'" in problem for problem in table.problems)
    assert any("1 trial(s) are diverged" in problem for problem in table.problems)
    assert sum(len(seeds) for seeds in table.values("valid/rec_tokens").values()) == 25


def test_three_foreign_files_are_enough(tmp_path):
    (tmp_path / "sweep.json").write_text(
        json.dumps(
            {
                "study": {
                    "name": "mine",
                    "grid": {"w": [0.1, 1.0]},
                    "objective": {"metric": "loss", "mode": "min"},
                }
            }
        )
    )
    cells = [(w, seed) for w in (0.1, 1.0) for seed in (1, 2, 3)]
    ids = [f"{w}-{seed}" for w, seed in cells]
    pq.write_table(
        pa.table(
            {
                "trial_id": ids,
                "cell": [f"w={w:g}" for w, _ in cells],
                "seed": [s for _, s in cells],
                "state": ["complete"] * 6,
            }
        ),
        tmp_path / "trials.parquet",
    )
    values = [w + 0.01 * s for w, s in cells]
    pq.write_table(
        pa.table({"trial_id": ids, "epoch": [1] * 6, "metric": ["loss"] * 6, "value": values}),
        tmp_path / "history.parquet",
    )
    table = load_table(read_records(tmp_path))
    assert table.cells == [(0.1,), (1.0,)]
    assert table.mean("loss", (0.1,)) == pytest.approx(0.12)
    assert "sweep.json has no 'axes' section." in table.problems
    assert "sweep.json has no 'metrics' section." in table.problems


def test_a_missing_objective_metric_is_reported_by_trial(tmp_path):
    records = Planted().write(tmp_path)
    lost = next(iter(records.trials))
    mask = pa.array(
        [
            t != lost or m != "valid/comparable_loss"
            for t, m in zip(
                records.history["trial_id"].to_pylist(), records.history["metric"].to_pylist(), strict=True
            )
        ]
    )
    records.history = records.history.filter(mask)
    table = load_table(records)
    assert any(f"have no valid/comparable_loss, among them {lost}" in problem for problem in table.problems)


def test_values_that_are_not_finite_never_enter(tmp_path):
    records = Planted().write(tmp_path)
    values = records.history["value"].to_numpy().copy()
    values[::7] = np.inf
    values[::11] = 1.8e308
    records.history = records.history.set_column(3, "value", pa.array(values))
    assert np.isfinite(load_table(records).history["value"]).all()


def test_records_without_a_trial_are_refused(tmp_path):
    RecordWriter(tmp_path, {"sweep_id": "x"})
    with pytest.raises(RecordsError, match=r"hold no trial. Run the study first"):
        load_table(read_records(tmp_path))


def test_trials_without_swept_parameters_are_refused_with_the_way_out(tmp_path):
    writer = RecordWriter(tmp_path, {"sweep_id": "x"})
    writer.record_trial(TrialRow("a", "the one", {}, 1, "complete"))
    writer.compact()
    with pytest.raises(RecordsError, match=r"no 'swept parameters'. Give trials.parquet one column"):
        load_table(read_records(tmp_path))


@pytest.fixture
def store(tmp_path):
    """A SQLite store with one sweep: parent with records, and one without them."""
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    records = Planted(epochs=2, seeds=(1, 2)).write(tmp_path / "records")
    client = MlflowClient(uri)
    experiment = client.create_experiment(
        "compare_globals_heads", artifact_location=(tmp_path / "artifacts").as_uri()
    )
    for sweep_id in ("with", "without"):
        tags = {
            "sweep_id": sweep_id,
            "study": "compare_globals_heads",
            "question": "q?",
            "objective": "valid/comparable_loss",
        }
        parent = client.create_run(experiment, tags=tags)
        if sweep_id == "with":
            client.log_artifacts(parent.info.run_id, str(tmp_path / "records"), "records")
        else:
            log_children(client, experiment, parent.info.run_id, records)
    return uri, records


def log_children(client, experiment, parent, records):
    from mlflow.entities import Metric, Param

    for trial in records.trials.values():
        tags = {
            "mlflow.parentRunId": parent,
            "sweep_id": "without",
            "trial_id": trial.trial_id,
            "state": trial.state,
        }
        run = client.create_run(experiment, tags=tags).info.run_id
        params = [Param(k, str(v)) for k, v in {**trial.swept, "seed": trial.seed, "lr": 0.001}.items()]
        metrics = [
            Metric(k, v, e.time_ms, e.epoch)
            for e in records.epochs_of(trial.trial_id)
            for k, v in e.metrics.items()
        ]
        client.log_batch(run, metrics=metrics, params=params)


@pytest.mark.slow
def test_a_sweep_in_mlflow_reads_as_its_records(store):
    uri, records = store
    direct = load_table(records)
    for sweep_id in ("with", "without"):
        table = load_table(load_mlflow(uri, sweep_id))
        means = {
            frozenset(table.params_of(c).items()): table.mean("valid/rec_tokens", c) for c in table.cells
        }
        for cell in direct.cells:
            mean = means.pop(frozenset(direct.params_of(cell).items()))
            assert mean == pytest.approx(direct.mean("valid/rec_tokens", cell))
        assert not means


@pytest.mark.slow
def test_a_sweep_that_mlflow_does_not_know_is_refused(store):
    with pytest.raises(RecordsError, match=r"No sweep 'absent' in sqlite"):
        load_mlflow(store[0], "absent")


def test_a_metric_of_training_samples_means_what_it_means_on_other_splits():
    assert {bare_name(f"{split}/lm") for split in ("train", "valid", "test", "train_eval")} == {"lm"}
    assert bare_name("grad_share/lm") == "grad_share/lm"


def test_an_epoch_metric_selects_the_epoch_and_the_objective_does_where_it_is_not_recorded(planted):
    table = planted()
    history = table.history
    by_objective = selected_epochs(history, Objective("valid/comparable_loss", "min"))
    assert set(by_objective) == {4}
    first = history[(history["metric"] == "valid/comparable_loss") & (history["epoch"] == 1)]
    early = first.assign(metric="valid/trained_loss", value=0.0)
    late = early.assign(epoch=4, value=1.0)
    known = pd.concat([history, early, late], ignore_index=True)
    objective = Objective("valid/comparable_loss", "min", epoch_metric="valid/trained_loss")
    assert set(selected_epochs(known, objective)) == {1}
    assert set(selected_epochs(history, objective)) == {4}
