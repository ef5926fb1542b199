"""Killed at a random moment and run again: every trial once, every number the same."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from sweeps.records import read_records
from tests.sweeps.conftest import assert_once_in_mlflow, numbers, only_sweep, sweeps, trained_in_process

pytestmark = pytest.mark.slow
SMALL_GRID = {"n_events": [3000], "latent_space": ["none", "vq"]}


def run_and_kill(arguments, cwd, out, delay_s):
    """Start a sweep, wait for its first epoch, then end its whole process group after ``delay_s`` more seconds."""
    command = [sys.executable, "-m", "sweeps", "run", *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not any('"epoch"' in path.read_text() for path in out.glob("*/*/journal.jsonl")):
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def test_a_killed_sweep_ends_as_if_it_had_never_been_killed(tmp_path, recorded):
    killed, draw = tmp_path / "killed", random.Random(1)
    options = ["compare_globals_heads", "--address", "local", "--epochs", "6", "--seeds", "2"]
    options += [part for name, values in SMALL_GRID.items() for part in ("--set", f"{name}={listed(values)}")]
    for _ in range(2):
        run_and_kill([*options, "--out", killed], tmp_path, killed, draw.uniform(0.0, 2.0))
    sweeps("run", *options, "--out", killed, cwd=tmp_path)
    again = recorded(killed)
    asked = {"epochs": 6, "seeds": 2}
    assert numbers(again) == trained_in_process(
        "compare_globals_heads", tmp_path / "whole", SMALL_GRID, **asked
    )
    assert {row.state for row in again.trials.values()} == {"complete"}
    assert_once_in_mlflow(f"sqlite:///{killed}/mlflow.db", again, "valid/rec_tokens")


def listed(values):
    return ",".join(map(str, values))


def test_a_second_run_trains_nothing_and_more_seeds_train_only_themselves(tmp_path, toy_study, recorded):
    study, out = toy_study(epochs=2), tmp_path / "out"
    sweeps("run", study, "--out", out, "--address", "local", cwd=tmp_path)
    first = recorded(out)
    again = sweeps("run", study, "--out", out, "--json", cwd=tmp_path)
    assert '"trained": 0' in again.stdout
    assert numbers(recorded(out)) == numbers(first)
    more = sweeps("run", study, "--out", out, "--seeds", "3", "--address", "local", "--json", cwd=tmp_path)
    assert '"trained": 3' in more.stdout
    assert len(recorded(out).trials) == 9
    assert_once_in_mlflow(f"sqlite:///{out}/mlflow.db", read_records(only_sweep(out)))


def test_trials_of_another_sweep_are_taken_over_and_not_trained_twice(tmp_path, toy_study):
    study, out = toy_study(epochs=2), tmp_path / "out"
    sweeps("run", study, "--out", out, "--address", "local", cwd=tmp_path)
    wider = sweeps(
        "run", study, "--out", out, "--set", "pull=0,1,10,100", "--address", "local", "--json", cwd=tmp_path
    )
    assert '"trained": 2' in wider.stdout
    (folder,) = [
        path.parent for path in out.glob("*/*/sweep.json") if len(read_records(path.parent).trials) == 8
    ]
    records = read_records(folder)
    assert {row.state for row in records.trials.values()} == {"complete"}
    assert all(
        row.n_epochs == 2 and len(records.epochs_of(row.trial_id)) == 2 for row in records.trials.values()
    )
    assert len(list(folder.glob("*/seed_*/model.pt"))) == 8


def test_a_report_and_tables_that_a_kill_prevented_come_with_the_next_run(tmp_path, toy_study):
    study, out = toy_study(epochs=2), tmp_path / "out"
    sweeps("run", study, "--out", out, "--address", "local", cwd=tmp_path)
    folder = only_sweep(out)
    shutil.rmtree(folder / "report")
    database = sqlite3.connect(out / "mlflow.db")
    database.execute("delete from tags where key = 'records_digest'")
    database.commit()
    shutil.rmtree(next((out / "mlartifacts").glob("*/artifacts/records")))
    assert '"trained": 0' in sweeps("run", study, "--out", out, "--json", cwd=tmp_path).stdout
    assert (folder / "report" / "report.html").exists()
    assert list((out / "mlartifacts").glob("*/artifacts/records/history.parquet"))


def test_a_report_made_from_mlflow_says_what_the_one_from_the_records_says(tmp_path, toy_study):
    study, out, elsewhere = toy_study(epochs=2), tmp_path / "out", tmp_path / "elsewhere"
    sweeps("run", study, "--out", out, "--address", "local", cwd=tmp_path)
    folder, uri = only_sweep(out), f"sqlite:///{out}/mlflow.db"
    sweeps("report", folder.name, "--tracking-uri", uri, "--out", elsewhere, cwd=tmp_path)
    for name in ("cells.csv", "report.json"):
        assert (elsewhere / name).read_text() == (folder / "report" / name).read_text()
    refused = sweeps("report", folder.name, "--tracking-uri", uri, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "needs --out DIR for the report" in refused.stderr


def test_a_second_driver_of_the_same_sweep_is_refused(tmp_path, toy_study):
    study, out = toy_study(epochs=4, nap_ms=1500), tmp_path / "out"
    command = [sys.executable, "-m", "sweeps", "run", str(study), "--out", str(out), "--address", "local"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not list(out.glob("*/*/journal.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = sweeps("run", study, "--out", out, cwd=tmp_path, check=False)
        assert second.returncode == 2
        assert f"is being run by process {first.pid}. Wait for it, or end it" in second.stderr
        synced = sweeps("sync", "--out", out, cwd=tmp_path, check=False)
        assert synced.returncode == 1
        assert "is being run by process" in synced.stdout
    finally:
        first.terminate()
        first.wait(timeout=60)
