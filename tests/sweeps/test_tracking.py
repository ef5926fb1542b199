"""MLflow mirrors the records: once, in order, and without anybody waiting for it."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces.errors import RefusedError
from sweeps.access import tracking_uri, without_login
from sweeps.records import EpochRow, Records, TrialRow
from sweeps.tracker import RETRY_EVERY_S, Tracker
from sweeps.tracking import PATIENCE_S, TIMEOUT, MlflowStore, Pending, in_haste, shown_in_mlflow

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
def test_of_runs_that_were_created_twice_the_one_that_was_written_to_is_kept(tmp_path):
    from mlflow.entities import ViewType

    sweep = {**SWEEP, "provenance": {"records_id": "r1"}}
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = MlflowStore(uri, sweep, tmp_path)
    store.push(Pending(ROW, EPOCHS))
    store.note_published("digest")
    parent, child = (store.client.get_run(run.run_id) for run in (store.parent, store.children["t1"]))
    tags_of_parent = {name: value for name, value in parent.data.tags.items() if name != "records_digest"}
    for _ in range(2):  # what was given up is carried out after all, the trials' runs below one of the sweep
        late = store.client.create_run(store.experiment_id, tags=tags_of_parent).info.run_id
        for trial in ("t1", "t2"):
            tags = {**child.data.tags, "trial_id": trial, "mlflow.parentRunId": late}
            store.client.create_run(store.experiment_id, tags=tags)
    again = MlflowStore(uri, sweep, tmp_path)
    assert again.parent.run_id == parent.info.run_id
    assert again.children["t1"].run_id == child.info.run_id
    assert values_of(again) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    left = again.client.search_runs([again.experiment_id], "tags.kind = 'trial'")
    assert sorted(run.data.tags["trial_id"] for run in left) == ["t1", "t2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in left} == {parent.info.run_id}
    doubles = again.client.search_runs([again.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [run.data.tags["kind"] for run in doubles] == ["double"] * 5
    assert {run.info.status for run in doubles} == {"KILLED"}


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
def test_two_drivers_that_make_the_same_experiment_at_once_share_it(tmp_path):
    first, known = store_in(tmp_path), []

    class Slower(MlflowStore):
        def _experiment(self, *arguments):
            look = self.client.get_experiment_by_name
            self.client.get_experiment_by_name = lambda name: (
                known.append(look(name)) if not known else look(name)
            )
            return super()._experiment(*arguments)

    assert Slower(f"sqlite:///{tmp_path}/mlflow.db", SWEEP, tmp_path).experiment_id == first.experiment_id
    assert len(known) == 1


@pytest.mark.slow
def test_the_same_question_asked_in_two_places_has_two_runs_and_an_old_one_is_none_of_them(tmp_path):
    places = [{**SWEEP, "provenance": {"records_id": name}} for name in ("here", "there")]
    stores = [MlflowStore(f"sqlite:///{tmp_path}/mlflow.db", sweep, tmp_path) for sweep in (SWEEP, *places)]
    for later, store in enumerate(stores):
        store.push(Pending(ENDED, [replace(epoch, time_ms=epoch.time_ms + later) for epoch in EPOCHS]))
    for store in stores:
        assert values_of(store) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert len({store.parent.run_id for store in stores}) == 3
    again = MlflowStore(f"sqlite:///{tmp_path}/mlflow.db", places[1], tmp_path)
    assert again.children == stores[2].children


@pytest.mark.slow
def test_a_deleted_experiment_says_how_it_comes_back(tmp_path):
    store = store_in(tmp_path)
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(RefusedError, match="mlflow experiments restore --experiment-id 1"):
        store_in(tmp_path)


@pytest.mark.slow
def test_what_no_driver_works_at_is_not_shown_as_running_and_goes_on_in_the_same_run(tmp_path):
    tracker = Tracker(lambda: store_in(tmp_path), Records(SWEEP), lambda row: tmp_path / row.trial_id)
    tracker.epoch(ROW, EPOCHS[0])
    assert tracker.drain(30) == 0
    store = store_in(tmp_path)
    assert (store.parent.status, store.children["t1"].status) == ("KILLED", "KILLED")
    store.reopen()
    store.push(Pending(ROW, EPOCHS[:2]))
    store = store_in(tmp_path)
    assert (store.parent.status, store.children["t1"].status) == ("RUNNING", "RUNNING")
    store.push(Pending(replace(ENDED, state="failed", error="it broke"), EPOCHS))
    store.push(Pending(ROW, EPOCHS))  # it is trained again
    store.interrupt()
    assert store_in(tmp_path).children["t1"][1:3] == ("running", "KILLED")
    store.push(Pending(ENDED, EPOCHS))
    late = {"status": "RUNNING"}  # what was asked before, and is carried out now
    store.client.update_run(store.children["t1"].run_id, **late)
    assert store_in(tmp_path).is_behind(ENDED)


@pytest.mark.slow
def test_a_run_never_ends_before_it_began_though_the_clock_was_set_back(tmp_path, monkeypatch):
    store = store_in(tmp_path)
    back = [replace(epoch, time_ms=epoch.time_ms - 5000 * epoch.epoch) for epoch in EPOCHS]
    store.push(Pending(ENDED, back))
    store.push(Pending(replace(ENDED, trial_id="t2", state="failed", error="it broke"), []))
    monkeypatch.setattr("sweeps.tracking.time.time_ns", lambda: 1_000_000_000_000_000_000)
    store.end("FINISHED")
    for run in (store.parent, *store.children.values()):
        info = store.client.get_run(run.run_id).info
        assert info.end_time >= info.start_time


@pytest.mark.slow
def test_a_long_trace_keeps_its_two_ends_and_the_log_is_named(tmp_path):
    store = store_in(tmp_path)
    error = "RuntimeError: first words\n" + "middle\n" * 2000 + "RuntimeError: last words"
    failed = replace(ENDED, state="failed", error=error, node="node7")
    (tmp_path / "t1").mkdir()
    (tmp_path / "t1" / "run.log").write_text("what was logged")
    store.push(Pending(failed, EPOCHS, tmp_path / "t1"))
    run = store.client.get_run(store.children["t1"].run_id)
    assert run.data.tags["error"].startswith("RuntimeError: first words")
    assert run.data.tags["error"].endswith("RuntimeError: last words")
    assert len(run.data.tags["error"]) == 5000
    assert run.data.tags["log"] == f"node7:{tmp_path}/t1/run.log"
    assert [file.path for file in store.client.list_artifacts(run.info.run_id)] == ["run.log"]


@pytest.mark.slow
def test_a_sync_after_the_sweep_notes_the_runs_in_the_records(tmp_path):
    from sweeps.records import RecordWriter, read_records
    from sweeps.reporting import publish_alone

    folder = tmp_path / "out" / "toy" / "s1"
    writer = RecordWriter(folder, {**SWEEP, "axes": {"pull": {}}})
    for row in (ROW, ENDED, replace(ROW, trial_id="t2", seed=2)):
        writer.record_trial(row)
    writer.compact()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert publish_alone(folder, uri) is None
    store, rows = store_in(tmp_path), read_records(folder).trials
    assert {trial: row.mlflow_run_id for trial, row in rows.items()} == {
        trial: run.run_id for trial, run in store.children.items()
    }
    assert (store.children["t1"].status, store.children["t2"].status) == ("FINISHED", "KILLED")
    assert store.parent.status == "KILLED"


def test_a_store_that_is_too_slow_at_the_end_is_left_and_named():
    asked = threading.Event()

    def connect():
        asked.set()
        time.sleep(5)

    tracker = Tracker(connect, Records(SWEEP), lambda row: Path(row.trial_id))
    tracker.trial(ROW)
    assert asked.wait(5)
    started = time.monotonic()
    assert tracker.drain(0.3) == 1
    assert time.monotonic() - started < 3
    assert tracker.unsent == "1 trials, for it is still being sent"


def test_nobody_waits_for_an_answer_longer_at_the_end_unless_the_environment_says_so(monkeypatch):
    monkeypatch.setenv(TIMEOUT, str(PATIENCE_S))
    with in_haste():
        assert os.environ[TIMEOUT] == "10"
    assert os.environ[TIMEOUT] == "60"
    monkeypatch.setenv(TIMEOUT, "3")
    with in_haste():
        assert os.environ[TIMEOUT] == "3"


@pytest.mark.parametrize(
    ("uri", "clean", "moved"),
    [
        ("http://head:5000", "http://head:5000", {}),
        (
            "https://ann:p%40ss:w%2Frd@head:5000/mlflow",
            "https://head:5000/mlflow",
            {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "p@ss:w/rd"},
        ),
        (
            "postgresql+psycopg://ann:word@db/mlflow",
            "postgresql+psycopg://db/mlflow",
            {"PGUSER": "ann", "PGPASSWORD": "word"},
        ),
        ("sqlite:////tmp/a@b:c.db", "sqlite:////tmp/a@b:c.db", {}),
    ],
)
def test_a_login_moves_from_the_uri_to_where_it_is_looked_for(uri, clean, moved, tmp_path, monkeypatch):
    environment = {}
    assert without_login(uri, environment) == clean
    assert environment == moved
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PGUSER", "PGPASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri(None, tmp_path) == os.environ["MLFLOW_TRACKING_URI"] == clean
    assert moved.items() <= os.environ.items()


@pytest.mark.parametrize(
    "uri", ["mysql://ann:word@db/mlflow", "postgresql://db/mlflow?user=ann&password=word"]
)
def test_a_password_that_has_no_other_place_is_refused(uri):
    with pytest.raises(RefusedError, match="would be recorded") as refused:
        without_login(uri, {})
    assert "word@" not in str(refused.value)
