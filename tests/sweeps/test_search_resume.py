"""A search that is killed again and again draws the points, and gets the numbers, of one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import optuna
import pytest

from sweeps.records import JOURNAL_FILE, read_records
from tests.sweeps.conftest import numbers, only_sweep, sweeps

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("KILLS", "4"))  # `make chaos` kills ten times
N_POINTS, N_REPLICAS = 18, 2
ONE_AT_A_TIME = ["--cpus-per-trial", str(os.cpu_count()), "--address", "local"]


def run_and_kill(study, out, delay_s):
    """Start a search, wait until it has begun a trial, and kill its driver ``delay_s`` later."""
    command = [sys.executable, "-m", "sweeps", "run", str(study), "--out", str(out), *ONE_AT_A_TIME]
    started = time.time()
    process = subprocess.Popen(
        command, cwd=out.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not any(path.stat().st_mtime > started for path in out.glob(f"*/*/{JOURNAL_FILE}")):
        assert process.poll() is None, "the search ended before it could be killed"
        assert time.time() < started + 60
        time.sleep(0.02)
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def points(records):
    """Return state, guard and parameters by seed and point."""
    return {
        (row.seed, row.point): (row.state, row.guard, row.swept, row.trial_id)
        for row in records.trials.values()
    }


def optuna_points(folder):
    """Return number, state, parameters (to the digits of the records) and values of every point that Optuna holds."""
    (name,) = optuna.get_all_study_names(f"sqlite:///{folder}/optuna.db")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/optuna.db")
    return [
        (
            trial.number,
            trial.state.name,
            {k: float(f"{v:.4g}") for k, v in trial.params.items()},
            trial.values,
        )
        for trial in study.trials
    ]


def test_a_search_killed_again_and_again_is_the_search_that_never_was(tmp_path, toy_search):
    study, draw = toy_search(nap_ms=80), random.Random(3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    sweeps("run", study, "--out", whole, *ONE_AT_A_TIME, cwd=tmp_path)
    for _ in range(KILLS):
        run_and_kill(study, killed, draw.uniform(0.0, 1.0))
    assert len(read_records(only_sweep(killed)).trials) < N_POINTS + N_REPLICAS, "killed after its end"
    sweeps("run", study, "--out", killed, *ONE_AT_A_TIME, cwd=tmp_path)
    expected, again = read_records(only_sweep(whole)), read_records(only_sweep(killed))
    assert points(again) == points(expected)
    assert numbers(again) == numbers(expected)
    assert Counter(row.seed for row in again.trials.values()) == {1: N_POINTS, 2: N_REPLICAS}
    assert len({tuple(row.swept.values()) for row in again.trials.values()}) == N_POINTS
    told = optuna_points(only_sweep(killed))
    assert told == optuna_points(only_sweep(whole))
    assert {state for _, state, _, _ in told} <= {"COMPLETE", "PRUNED"}
    assert_states_in_mlflow(killed, again)


def assert_states_in_mlflow(out, records):
    """Assert that MLflow has every trial once, in the state of the records."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out}/mlflow.db")
    experiment = client.get_experiment_by_name("toy_search")
    children = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'", max_results=1000)
    states = sorted((run.data.tags["trial_id"], run.data.tags["state"]) for run in children)
    assert states == sorted((row.trial_id, row.state) for row in records.trials.values())


def test_a_search_whose_optuna_storage_is_lost_goes_on_from_its_records(tmp_path, toy_search):
    study, out = toy_search(), tmp_path / "out"
    sweeps("run", study, "--out", out, *ONE_AT_A_TIME, cwd=tmp_path)
    folder = only_sweep(out)
    first, told = points(read_records(folder)), optuna_points(folder)
    (folder / "optuna.db").unlink()
    more = sweeps("run", study, "--out", out, "--max-trials", "24", *ONE_AT_A_TIME, cwd=tmp_path)
    again = points(read_records(folder))
    assert {key: again[key] for key in first if key[0] == 1} == {
        key: value for key, value in first.items() if key[0] == 1
    }
    assert len([key for key in again if key[0] == 1]) == N_POINTS + 4, more.stdout
    assert [point[1:] for point in optuna_points(folder)][:N_POINTS] == [point[1:] for point in told]
