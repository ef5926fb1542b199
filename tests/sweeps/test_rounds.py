"""Many trials: Tune runs in rounds, and nothing is lost, doubled or trained twice across their borders."""

import cProfile
import io
import json
import os
import pstats
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks.many_trials import planned
from sweeps.progress import Progress
from sweeps.records import HISTORY_FILE, EpochRow, RecordWriter, read_trial_rows
from tests.sweeps.conftest import ROOT, assert_once_in_mlflow, only_sweep

ROUND, TRIALS, KILLED_AFTER = 160, 300, 180
DRIVER = f"""
import json, sys
from pathlib import Path
from rich.console import Console
import sweeps.driver as driver
from benchmarks.many_trials import planned
from sweeps.plan import RunOptions
from sweeps.reporting import publish
from sweeps.sweep import execute

driver.TRIALS_PER_ROUND, held, fits = {ROUND}, [0], [0]
fit, on_trial_start = driver.tune.Tuner.fit, driver.ResultCallback.on_trial_start

def counted_fit(tuner):
    fits[0] += 1
    return fit(tuner)

def counted_start(callback, iteration, trials, trial, **info):
    held[0] = max(held[0], len(trials))
    on_trial_start(callback, iteration, trials, trial, **info)

driver.tune.Tuner.fit, driver.ResultCallback.on_trial_start = counted_fit, counted_start
out = Path(sys.argv[1])
uri = f"sqlite:///{{out}}/mlflow.db"
outcome = execute(planned({TRIALS}, out), RunOptions(address="local"), uri, Console(stderr=True))
unsent = outcome.unsent or publish(outcome.folder, uri)
print(json.dumps({{"trained": outcome.trained, "held": held[0], "fits": fits[0], "unsent": unsent}}))
"""


def driving(out):
    """Start a driver of many trials in short rounds."""
    command = [sys.executable, "-c", DRIVER, str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=out, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def ended(out):
    """Return how many trials have ended by the records."""
    rows = [row for file in out.glob("*/*/sweep.json") for row in read_trial_rows(file.parent).values()]
    return sum(row.state == "complete" for row in rows)


@pytest.mark.slow
def test_many_trials_in_rounds_are_each_trained_and_recorded_once_through_a_kill(tmp_path, recorded):
    first = driving(tmp_path)
    deadline = time.monotonic() + 240
    while ended(tmp_path) < KILLED_AFTER:
        assert first.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.3)
    first.kill()
    first.communicate(timeout=10)
    assert (only_sweep(tmp_path) / HISTORY_FILE).exists(), "the first round is in the tables"
    before = ended(tmp_path)
    output, _ = driving(tmp_path).communicate(timeout=400)
    told = json.loads(output)
    assert told["trained"] == TRIALS - before, "what is recorded is not trained again"
    assert told["held"] <= ROUND, "Tune holds no more than the trials of a round"
    assert told["fits"] == -(-told["trained"] // ROUND) + (told["trained"] % ROUND == 0)
    records = recorded(tmp_path)
    assert len(records.trials) == TRIALS
    assert {(row.state, row.n_epochs) for row in records.trials.values()} == {("complete", 1)}
    logs = [path.read_text() for path in only_sweep(tmp_path).glob("*/seed_1/run.log")]
    assert len(logs) == TRIALS
    twice = sum(log.count("epoch 1:") > 1 for log in logs)
    assert twice <= os.cpu_count(), "only trials that were under way at the kill began again"
    assert told["unsent"] is None
    assert_once_in_mlflow(f"sqlite:///{tmp_path}/mlflow.db", records, "valid/rec_target")


def calls(work, *arguments):
    """Return how many function calls a piece of work takes."""
    profile = cProfile.Profile()
    profile.runcall(work, *arguments)
    return pstats.Stats(profile).total_calls


def record(plan):
    """Record every trial of a plan as a driver does, start, epoch and end, and show what a line of each shows."""
    writer = RecordWriter(plan.folder, {"axes": {"target": {}, "pull": {}}})
    progress = Progress(plan.study.objective, plan.n_trials, 1, Console(file=io.StringIO()))
    for trial in plan.trials:
        writer.record_trial(trial.row)
        progress.trial_started(trial.row)
        writer.record_epoch(EpochRow(trial.trial_id, 1, {"valid/rec_target": 1.0}, 1))
        progress.epoch_ended(trial.row, 1, {"valid/rec_target": 1.0})
        ended = replace(trial.row, state="complete", n_epochs=1)
        writer.record_trial(ended)
        progress.trial_ended(ended)
    writer.compact()


def test_a_trial_costs_as_many_calls_in_a_plan_of_thousands_and_in_its_records(tmp_path):
    planning = [calls(planned, n, tmp_path / "plans") / n for n in (100, 1000)]
    assert planning[1] < 1.1 * planning[0]
    plans = [planned(n, tmp_path / str(n)) for n in (100, 1000)]
    recording = [calls(record, plan) / plan.n_trials for plan in plans]
    assert recording[1] < 1.1 * recording[0]
    reading = [calls(planned, plan.n_trials, plan.folder.parent.parent) / plan.n_trials for plan in plans]
    assert reading[1] < 1.1 * reading[0]
    assert planned(1000, tmp_path / "1000").n_open == 0


@pytest.mark.slow
def test_trials_start_in_their_order_and_those_that_ended_are_not_looked_at_again():
    from ray.tune.experiment import Trial

    from sweeps.scheduling import InOrder

    looked_at = []

    class Watched(SimpleNamespace):
        @property
        def status(self):
            looked_at.append(self.name)
            return self.now

    trials = [Watched(name=name, now=Trial.PENDING) for name in range(100)]
    scheduler = InOrder()
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    for trial in trials:
        assert scheduler.choose_trial_to_run(None) is trial
        trial.now = Trial.TERMINATED
    assert scheduler.choose_trial_to_run(None) is None
    assert len(looked_at) <= 4 * len(trials)
    trials[7].now = Trial.PENDING  # its process died, and Tune adds it again
    scheduler.on_trial_add(None, trials[7])
    assert scheduler.choose_trial_to_run(None) is trials[7]
