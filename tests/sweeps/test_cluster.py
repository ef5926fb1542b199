"""Several nodes: trials go where they may and fit, and a sweep outlives its whole cluster."""

import time

import pytest

from sweeps.records import read_records
from tests.chaos.machines import Driver, Nodes
from tests.sweeps.conftest import assert_refused, numbers, only_sweep, sweeps, trained_in_process
from trainables.ray_trainable import UnseenFolderError, refuse_unseen

KINDS = (
    {"num_cpus": 2, "labels": {"zone": "a"}, "object_store_memory": 100_000_000},
    {"num_cpus": 2, "num_gpus": 4, "labels": {"zone": "b"}, "object_store_memory": 100_000_000},
)


@pytest.fixture(scope="module")
def nodes():
    """Run two nodes of different kinds; GPUs by declaration, so trials that ask for them stay on the CPU."""
    running = Nodes(KINDS)
    yield running
    running.stop()


@pytest.mark.slow
def test_trials_go_to_nodes_with_the_label_and_room(nodes, tmp_path, toy_study):
    study = toy_study(epochs=1)
    placed = ["--label", "zone=b", "--gpus-per-trial", 0.5, "--device", "cpu", "--memory-per-trial", "1GB"]
    sweeps("run", study, "--out", tmp_path / "out", "--address", nodes.address, *placed, cwd=tmp_path)
    rows = read_records(only_sweep(tmp_path / "out")).trials.values()
    assert {row.state for row in rows} == {"complete"}
    assert all(50 < row.memory_mb < 1000 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--label", "zone=c"], "No node has the labels zone=c. There is"),
        (
            ["--label", "zone=a", "--gpus-per-trial", "1"],
            "asks for 1 CPU, 1 GPU, and no node has that (at most",
        ),
        (["--memory-per-trial", "900GB"], "Lower --cpus-per-trial, --gpus-per-trial or --memory-per-trial"),
    ],
)
def test_what_no_node_can_hold_is_refused_before_anything_starts(nodes, tmp_path, toy_study, asked, said):
    out = tmp_path / "out"
    result = sweeps(
        "run", toy_study(), "--out", out, "--address", nodes.address, *asked, cwd=tmp_path, check=False
    )
    assert_refused(result, said, out)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--label", "zone"], "is no label. Write it as"),
        (["--memory-per-trial", "much"], "is not a size above 0. Write it as 800MB or 4GB"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, asked, said):
    result = sweeps("run", "compare_globals_heads", *asked, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert said in result.stderr


@pytest.mark.slow
def test_where_an_autoscaler_runs_trials_wait_for_nodes_that_are_not_there_yet(tmp_path, toy_study):
    growing = Nodes(())
    try:
        growing.promise(num_cpus=2, num_gpus=4)
        arguments = [toy_study(epochs=1), "--out", tmp_path / "out", "--address", growing.address]
        driver = Driver(
            [*arguments, "--gpus-per-trial", 1, "--device", "cpu"], tmp_path, tmp_path / "driver.log"
        )
        deadline = time.monotonic() + 90
        while not list((tmp_path / "out").glob("*/*/sweep.json")):
            assert driver.runs, "it refused, or did not wait"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        growing.cluster.add_node(num_cpus=2, num_gpus=4)
        assert driver.process.wait(300) == 0
    finally:
        growing.stop()
    rows = read_records(only_sweep(tmp_path / "out")).trials.values()
    assert [row.state for row in rows] == ["complete"] * 6


@pytest.mark.slow
def test_a_sweep_goes_on_in_a_new_cluster_when_the_head_was_lost(tmp_path, toy_study, monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
    study, out = toy_study(epochs=8, nap_ms=600), tmp_path / "out"
    lost = Nodes(KINDS[:1])
    try:
        driver = Driver([study, "--out", out, "--address", lost.address], tmp_path, tmp_path / "driver.log")
        deadline = time.monotonic() + 90
        while not any('"complete"' in path.read_text() for path in out.glob("*/*/journal.jsonl")):
            assert driver.runs
            assert time.monotonic() < deadline
            time.sleep(0.2)
        lost.kill_head()
        assert driver.process.wait(60) == 1
    finally:
        lost.stop()
    n_kept = sum(row.state == "complete" for row in read_records(only_sweep(out)).trials.values())
    again = sweeps("run", study, "--out", out, "--address", "local", "--json", cwd=tmp_path)
    assert 0 < n_kept < 6
    assert f'"trained": {6 - n_kept}' in again.stdout
    records = read_records(only_sweep(out))
    assert {row.state for row in records.trials.values()} == {"complete"}
    assert numbers(records) == trained_in_process(study, tmp_path / "reference")


def test_a_node_that_does_not_see_the_folder_of_results_says_so(tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    refuse_unseen(tmp_path / "pull=1" / "seed_1")
    with pytest.raises(
        UnseenFolderError, match=r"does not see .*elsewhere.* file system that all nodes share"
    ):
        refuse_unseen(tmp_path / "elsewhere" / "pull=1" / "seed_1")
