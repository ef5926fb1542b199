"""Sweeps as a user starts them, and what they left behind."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sweeps.records import HISTORY_FILE, Records, read_records

ROOT = Path(__file__).parents[2]


def sweeps(*arguments, cwd, check=True, **environment):
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "sweeps", *map(str, arguments)]
    result = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def assert_refused(result, message, out):
    """Assert one line on standard error, status 2, and that nothing was started."""
    assert result.returncode == 2, result.stdout + result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert not list(out.glob("*/*")), "nothing may be left behind"


def only_sweep(out: Path) -> Path:
    """Return the folder of the one sweep under ``out``."""
    (folder,) = {path.parent for path in out.glob("*/*/sweep.json")}
    return folder


def numbers(records: Records) -> dict[tuple[str, int, int, str], float]:
    """Return every recorded value by cell, seed, epoch and metric."""
    trials = records.trials
    return {
        (trials[row["trial_id"]].cell, trials[row["trial_id"]].seed, row["epoch"], row["metric"]): row[
            "value"
        ]
        for row in records.history.to_pylist()
    }


def trained_in_process(
    study: Path | str, folder: Path, settings: dict | None = None, **changes: int
) -> dict[tuple[str, int, int, str], float]:
    """Train all trials of a study without Ray, records or faults; return its values as `numbers` does."""
    import torch

    from sweeps.driver import trial_config
    from sweeps.plan import RunOptions, make_plan
    from sweeps.study_files import load_study
    from trainables.families import load_family
    from trainables.trial import Trial
    from trainables.trial_spec import TrialSpec

    asked = load_study(str(study)).with_parameters(settings or {})
    plan, found = make_plan(replace(asked, **changes), folder), {}
    family, threads = load_family(plan.study.family), torch.get_num_threads()
    torch.set_num_threads(1)  # as in an actor; more threads add up in another order
    for trial in plan.trials:
        config = trial_config(plan, trial, RunOptions())
        names = {field.name for field in fields(TrialSpec)} - {"folder"}
        spec = TrialSpec(**{name: config[name] for name in names}, folder=Path(config["folder"]))
        one = Trial(spec, lambda trial=trial: family.load_data(trial.params, None))
        results = [one.advance()]
        while not results[-1]["done"]:
            results.append(one.advance())
        found |= {
            (trial.cell, trial.seed, epoch, name): value
            for result in results
            for epoch, metrics in result["epochs"]
            for name, value in metrics.items()
        }
    torch.set_num_threads(threads)
    return found


def assert_once_in_mlflow(uri: str, records: Records, metric: str = "valid/near") -> None:
    """Assert that MLflow has one finished child per trial, and one value per epoch."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(records.sweep["study"]["name"])
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if run.data.tags["kind"] == "sweep"]
    children = [run for run in runs if run.data.tags["kind"] == "trial"]
    assert len(parents) == 1, f"{len(parents)} parents"
    known = sorted(run.data.tags["trial_id"] for run in children)
    assert known == sorted(records.trials), f"{len(known)} runs of {len(set(known))} trials"
    unfinished = {run.info.run_name: run.info.status for run in runs if run.info.status != "FINISHED"}
    assert not unfinished, f"not finished: {unfinished}"
    assert all(run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id for run in children), "orphans"
    for run in children:
        history = client.get_metric_history(run.info.run_id, metric)
        n_epochs = records.trials[run.data.tags["trial_id"]].n_epochs
        steps = sorted(point.step for point in history)
        assert steps == list(range(1, n_epochs + 1)), f"{run.info.run_name}: epochs {steps}"


@pytest.fixture
def recorded():
    """Return a reader of the one sweep under a folder that also holds it to one row per value."""

    def read(out: Path) -> Records:
        folder = only_sweep(out)
        records = read_records(folder)
        assert (folder / HISTORY_FILE).exists()
        assert len(numbers(records)) == records.history.num_rows
        return records

    return read
