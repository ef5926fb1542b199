"""MLflow mirrors the records: once, in order, and without anybody waiting for it."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sweeps.access import tracking_uri
from sweeps.records import EpochRow, Records, TrialRow
from sweeps.tracker import RETRY_EVERY_S, Tracker
from sweeps.tracking import MlflowStore, Pending, shown_in_mlflow
from tests.servers import free_port, tracking_server

SWEEP = {
    "sweep_id": "s1",
    "study": {"name": "toy", "question": "Which pull?"},
    "provenance": {"git_sha": "abc", "versions": {"torch": "2.13.0"}},
}
ROW = TrialRow("t1", "pull=1", {"pull": 1.0}, 1)
EPOCHS = [
    EpochRow("t1", number, {"valid/near": 1.0 / number}, 1_700_000_000_000 + number) for number in (1, 2, 3)
]
ENDED = replace(ROW, state="complete", n_epochs=3, wall_s=1.5)


def store_in(folder):
    return MlflowStore(f"sqlite:///{folder}/mlflow.db", SWEEP, folder)


def values_of(store, metric="valid/near"):
    run_id = store.children["t1"][0]
    return sorted((point.step, point.value) for point in store.client.get_metric_history(run_id, metric))


def test_noise_never_becomes_a_metric_key():
    meanings = {"rec_globals": {"mode": "min"}, "total_loss": {"mode": None}}
    for shown in ("valid/rec_globals", "test/rec_globals", "valid/total_loss", "grad_share/rec_globals"):
        assert shown_in_mlflow(shown, meanings)
    for kept_back in (
        "grad_share/encoder/rec_globals",
        "grad_norm/a",
        "grad_cos/a.b",
        "train/lr",
        "test/total_loss",
    ):
        assert not shown_in_mlflow(kept_back, meanings)


def test_a_detail_of_a_family_stays_in_the_records_and_its_gradient_share_does_not():
    meanings = {"kl_z": {"mode": None, "detail": True}, "accuracy": {"mode": "max", "detail": False}}
    assert not shown_in_mlflow("valid/kl_z", meanings)
    assert shown_in_mlflow("grad_share/kl_z", meanings)
    assert shown_in_mlflow("test/accuracy", meanings)


def test_the_environment_names_the_store_and_the_default_lies_beside_the_results(tmp_path, monkeypatch):
    assert tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://head:5000")
    assert tracking_uri(None, tmp_path) == "http://head:5000"


@pytest.mark.slow
def test_a_push_that_is_repeated_by_a_new_process_doubles_nothing(tmp_path):
    for _ in range(3):
        store = store_in(tmp_path)
        store.push(Pending(ROW, EPOCHS[:2]))
        store = store_in(tmp_path)
        store.push(Pending(ENDED, EPOCHS))
    store = store_in(tmp_path)
    assert len(store.children) == 1
    assert values_of(store) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    run = store.client.get_run(store.children["t1"][0])
    assert run.data.params == {"pull": "1.0", "seed": "1"}
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == store.parent.run_id
    assert {"trial_id", "cell", "state"} <= set(run.data.tags)


@pytest.mark.slow
def test_the_parent_says_what_was_asked_and_where_it_comes_from(tmp_path):
    store = store_in(tmp_path)
    tags = store.client.get_run(store.parent.run_id).data.tags
    expected = {
        "study": "toy",
        "question": "Which pull?",
        "sweep_id": "s1",
        "git_sha": "abc",
        "version.torch": "2.13.0",
    }
    assert expected.items() <= tags.items()


@pytest.mark.slow
def test_more_epochs_than_one_batch_may_hold_all_arrive(tmp_path):
    many = [
        EpochRow("t1", n, {f"valid/m{k}": 1.0 for k in range(30)}, 1_700_000_000_000 + n)
        for n in range(1, 101)
    ]
    store = store_in(tmp_path)
    store.push(Pending(ENDED, many))
    assert len(values_of(store, "valid/m29")) == 100


def told_everything(tracker):
    """Tell a tracker a whole trial; return how long that took."""
    started = time.monotonic()
    tracker.trial(ROW)
    for epoch in EPOCHS:
        tracker.epoch(ROW, epoch)
    tracker.trial(ENDED)
    return time.monotonic() - started


@pytest.mark.slow
def test_a_store_that_is_away_stops_nobody_and_gets_everything_when_it_is_back(tmp_path):
    attempts = []

    def connect():
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            raise ConnectionError("no route")
        return store_in(tmp_path)

    tracker = Tracker(connect, Records(SWEEP), lambda row: Path(row.trial_id))
    assert told_everything(tracker) < 0.1
    assert tracker.drain(30) == 0
    assert tracker.problem is None
    assert values_of(tracker.store) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert attempts[1] - attempts[0] >= RETRY_EVERY_S


@pytest.mark.slow
def test_a_store_that_is_slow_is_waited_for_as_long_as_it_takes_something(tmp_path):
    store = store_in(tmp_path)
    push = store.push

    def slow_push(pending):
        time.sleep(0.3)
        push(pending)

    store.push = slow_push
    tracker = Tracker(lambda: store, Records(SWEEP), lambda row: tmp_path / row.trial_id)
    for seed in range(14):
        tracker.trial(replace(ENDED, trial_id=f"t{seed}", seed=seed))
    assert tracker.drain(3.0) == 0, "three seconds are enough for one, though not for all"
    assert len(store.children) == 14


def test_a_store_that_stays_away_is_given_up_in_time_and_says_why():
    def connect():
        raise TimeoutError

    tracker = Tracker(connect, Records(SWEEP), lambda row: Path(row.trial_id))
    assert told_everything(tracker) < 0.1
    started = time.monotonic()
    assert tracker.drain(0.5) == 1
    assert time.monotonic() - started < 5
    assert tracker.problem == "TimeoutError"


@pytest.mark.slow
def test_a_run_whose_creation_was_never_answered_is_found_and_not_created_again(tmp_path):
    store = store_in(tmp_path)
    create = store.client.create_run

    def create_and_lose_the_answer(*arguments, **options):
        store.client.create_run = create
        create(*arguments, **options)
        raise TimeoutError

    store.client.create_run = create_and_lose_the_answer
    tracker = Tracker(lambda: store, Records(SWEEP), lambda row: tmp_path / row.trial_id)
    tracker.epoch(ROW, EPOCHS[0])
    tracker.trial(ENDED)
    assert tracker.drain(30) == 0
    runs = store.client.search_runs([store.experiment_id], "tags.trial_id = 't1'")
    assert len(runs) == 1


@pytest.mark.slow
def test_a_kill_before_a_run_is_terminated_is_mended_by_the_next_push(tmp_path):
    store = store_in(tmp_path)

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    store.client.set_terminated = killed
    with pytest.raises(KeyboardInterrupt):
        store.push(Pending(ENDED, EPOCHS))
    again = store_in(tmp_path)
    assert again.is_behind(ENDED)
    again.push(Pending(ENDED, EPOCHS))
    assert again.client.get_run(again.children["t1"][0]).info.status == "FINISHED"


@pytest.mark.slow
def test_a_trial_that_the_store_refuses_holds_up_no_other(tmp_path):
    tracker = Tracker(lambda: store_in(tmp_path), Records(SWEEP), lambda row: tmp_path / row.trial_id)
    tracker.epoch(ROW, EpochRow("t1", 1, {"valid/acc@5": 1.0}, 1))
    tracker.trial(ENDED)
    tracker.trial(replace(ENDED, trial_id="t2", seed=2))
    assert tracker.drain(30) == 0
    assert tracker.store.children["t2"][1] == "complete"


@pytest.mark.slow
def test_what_an_earlier_start_recorded_is_sent_first(tmp_path):
    from sweeps.records import RecordWriter, read_records

    writer = RecordWriter(tmp_path / "records", {**SWEEP, "axes": {"pull": {}}})
    writer.record_trial(ROW)
    for epoch in EPOCHS[:2]:
        writer.record_epoch(epoch)
    tracker = Tracker(
        lambda: store_in(tmp_path), read_records(tmp_path / "records"), lambda row: tmp_path / row.trial_id
    )
    tracker.epoch(ROW, EPOCHS[2])
    tracker.trial(ENDED)
    assert tracker.drain(30) == 0
    assert values_of(tracker.store) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


@pytest.mark.slow
def test_a_server_that_stops_and_starts_during_a_sweep_misses_nothing(tmp_path, toy_study):
    from tests.sweeps.conftest import assert_once_in_mlflow, only_sweep, sweeps

    study, port, out = toy_study(epochs=8, nap_ms=1200), free_port(), tmp_path / "out"
    with tracking_server(tmp_path, port) as uri:
        command = [
            sys.executable,
            "-m",
            "sweeps",
            "run",
            str(study),
            "--out",
            str(out),
            "--tracking-uri",
            uri,
            "--address",
            "local",
        ]
        run = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        deadline = time.monotonic() + 60
        while not list(out.glob("*/*/journal.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(6)
    began = journal_epochs(out)
    time.sleep(8)
    assert journal_epochs(out) > began, "training went on without the server"
    with tracking_server(tmp_path, port) as uri:
        output, _ = run.communicate(timeout=180)
        assert run.returncode == 0, output
        sweeps("sync", "--out", out, "--tracking-uri", uri, cwd=tmp_path)
        from sweeps.records import read_records

        assert_once_in_mlflow(uri, read_records(only_sweep(out)))


def journal_epochs(out) -> int:
    return sum(path.read_text().count('"kind": "epoch"') for path in out.glob("*/*/journal.jsonl"))
