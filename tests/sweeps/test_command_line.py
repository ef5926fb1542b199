"""The command line: one-line refusals with status 2 and nothing started; failures with status 1."""

import json
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from search_spaces.errors import RefusedError
from sweeps.driver import TimeBudget, cluster_address
from sweeps.records import read_records
from tests.sweeps.conftest import ROOT, assert_refused, only_sweep, sweeps
from trainables.globals_autoencoder.events import DEFAULT_EVENTS

RUN = ["run", "compare_globals_heads"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "globals_bta=1"], "Unknown parameter 'globals_bta'. Did you mean 'globals_beta'?"),
        (
            ["--set", "globals_beta=-1"],
            "globals_beta=-1 is below 0. A weight on a loss term cannot be negative.",
        ),
        (["--set", "latent_space=vqq"], "latent_space='vqq' is not an option. Did you mean 'vq'?"),
        (["--set", "globals_beta"], "is not NAME=VALUE. Write --set globals_beta=0,1,10."),
        (["--set", "latent_dim=two"], "latent_dim='two' is not a whole number."),
        (["--set", "latent_dim=2.5"], "latent_dim=2.5 is not a whole number. Give a value from 1 to"),
        (["--set", "n_events=99999999"], "is above the 24000 events"),
        (["--data", "nowhere.parquet"], "nowhere.parquet"),
        (["--address", "127.0.0.1:1"], "No Ray cluster at 127.0.0.1:1"),
        (
            ["--address", "local", "--gpus-per-trial", "64"],
            "A trial asks for 1 CPU, 64 GPU, and no node has that",
        ),
    ],
)
@pytest.mark.slow
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, message):
    out = tmp_path / "out"
    result = sweeps(*RUN, "--out", out, *arguments, cwd=tmp_path, check=False)
    assert_refused(result, message, out)


@pytest.mark.slow
def test_a_truncated_event_file_is_refused(tmp_path):
    broken, out = tmp_path / "broken.parquet", tmp_path / "out"
    broken.write_bytes(DEFAULT_EVENTS.read_bytes()[:100_000])
    assert_refused(
        sweeps(*RUN, "--data", broken, "--out", out, cwd=tmp_path, check=False), "broken.parquet", out
    )


@pytest.mark.slow
def test_an_output_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = sweeps(*RUN, "--out", tmp_path / "file", cwd=tmp_path, check=False)
    assert_refused(result, "is not writable", tmp_path / "nothing")
    assert "Choose another with --out." in result.stderr


@pytest.mark.slow
def test_a_study_file_with_an_error_is_refused(tmp_path):
    (tmp_path / "bad.py").write_text("from sweeps.study import Study\nSTUDY = Study(nam='x')\n")
    result = sweeps("run", "bad.py", cwd=tmp_path, check=False)
    assert_refused(result, "bad.py:2: TypeError", tmp_path / "outputs")


@pytest.mark.slow
def test_events_with_malformed_lines_are_imported_and_counted(tmp_path):
    good = "1; ttbar; 1.0; 45000.0; 0.5; j,60000,50000,0.1,0.2; b,45000,40000,-0.3,-1.0;"
    (tmp_path / "events.csv").write_text(f"{good}\n2; ttbar; 1; 5; 0.5; j,60000,50000,0.1;\n{good}\n")
    result = sweeps("data", "import", "events", "events.csv", "--out", "events.parquet", cwd=tmp_path)
    assert "2 events in events.parquet" in result.stdout
    assert "1 of 3 lines were skipped; see --strict." in result.stdout
    assert pq.read_table(tmp_path / "events.parquet")["met_gev"].to_pylist() == [45.0, 45.0]
    strict = sweeps(
        "data", "import", "events", "events.csv", "--out", "x.parquet", "--strict", cwd=tmp_path, check=False
    )
    assert_refused(strict, "line 2", tmp_path / "none")


@pytest.mark.slow
def test_a_trial_that_fails_fails_alone_with_its_traceback_and_status_one(tmp_path, toy_study):
    study, out = toy_study(epochs=2), tmp_path / "out"
    arguments = [
        "--set",
        "break_at=0,1",
        "--set",
        "pull=1",
        "--seeds",
        "1",
        "--out",
        out,
        "--address",
        "local",
    ]
    result = sweeps("run", study, *arguments, cwd=tmp_path, check=False)
    assert result.returncode == 1
    rows = read_records(only_sweep(out)).trials.values()
    assert sorted(row.state for row in rows) == ["complete", "failed"]
    (failed,) = [row for row in rows if row.state == "failed"]
    assert "RuntimeError: planted failure" in failed.error
    assert "Traceback" in failed.error
    listed = sweeps("status", only_sweep(out).name, "--out", out, "--json", cwd=tmp_path)
    assert {row["state"] for row in json.loads(listed.stdout)} == {"complete", "failed"}


@pytest.mark.slow
def test_a_diverged_trial_is_kept_with_its_reason_and_not_trained_again(tmp_path, toy_study):
    study, out = toy_study(epochs=2), tmp_path / "out"
    arguments = [
        "--set",
        "blow_up=0,1",
        "--set",
        "pull=1",
        "--seeds",
        "1",
        "--out",
        out,
        "--address",
        "local",
    ]
    assert sweeps("run", study, *arguments, cwd=tmp_path, check=False).returncode == 0
    rows = {row.state: row for row in read_records(only_sweep(out)).trials.values()}
    assert set(rows) == {"complete", "diverged"}
    assert "far became non-finite at step 1 (epoch 1)" in rows["diverged"].error
    assert '"trained": 0' in sweeps("run", study, *arguments, "--json", cwd=tmp_path, check=False).stdout


@pytest.mark.slow
def test_list_plan_status_and_doctor_speak_json(tmp_path):
    names = [study["name"] for study in json.loads(sweeps("list", "--json", cwd=tmp_path).stdout)]
    assert {"compare_globals_heads", "globals_latent_dim"} <= set(names)
    plan = json.loads(sweeps("plan", "compare_globals_heads", "--seeds", "2", "--json", cwd=tmp_path).stdout)
    assert (plan["n_trials"], plan["n_open"], plan["seeds"]) == (18, 18, [1, 2])
    assert json.loads(sweeps("status", "--json", cwd=tmp_path).stdout) == []
    assert all(check["ok"] for check in json.loads(sweeps("doctor", "--json", cwd=tmp_path).stdout))
    assert not (tmp_path / "outputs").exists(), "looking starts nothing"


@pytest.mark.slow
def test_a_study_file_runs_by_itself_against_a_running_cluster(tmp_path):
    ray = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--port",
        "0",
        "--num-cpus",
        "2",
    ]
    ray += ["--include-dashboard", "false", "--disable-usage-stats"]
    cluster = subprocess.Popen(
        ray, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for_cluster()
        study = ROOT / "sweeps" / "studies" / "compare_globals_heads.py"
        options = ["--epochs", "1", "--seeds", "1", "--set", "n_events=1000"]
        by_itself = subprocess.run(
            [sys.executable, study, *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert by_itself.returncode == 0, by_itself.stdout + by_itself.stderr
        assert len(read_records(only_sweep(tmp_path / "outputs")).trials) == 9
        sweeps(*RUN, *options, "--address", "auto", "--out", tmp_path / "auto", cwd=tmp_path)
        assert len(read_records(only_sweep(tmp_path / "auto")).trials) == 9
    finally:
        cluster.terminate()
        cluster.wait(timeout=60)


def wait_for_cluster():
    deadline = time.monotonic() + 90
    while not runs_here():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def runs_here() -> bool:
    try:
        return cluster_address("auto") != "local"
    except RefusedError:
        return False


def test_a_time_budget_goes_by_a_clock_that_nobody_sets(monkeypatch):
    budget = TimeBudget(0.3)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert not budget.stop_all()
    time.sleep(0.3)
    assert budget.stop_all()


def test_a_cluster_that_died_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    assert cluster_address(None) == "local"
    with pytest.raises(RefusedError, match="No Ray cluster runs on this machine"):
        cluster_address("auto")


@pytest.mark.parametrize(
    "verb",
    [
        ["run"],
        ["plan"],
        ["probe"],
        ["promote"],
        ["submit"],
        ["jobs"],
        ["stop"],
        ["data", "check"],
        ["data", "extract", "lvm"],
    ],
)
def test_help_shows_examples_on_lines_of_their_own(verb, tmp_path):
    shown = sweeps(*verb, "--help", cwd=tmp_path).stdout.splitlines()
    assert len([line for line in shown if line.startswith(f"  sweeps {' '.join(verb)} ")]) >= 2
    assert not any("\\b" in line for line in shown)
