"""Nothing that is recorded is lost, wherever the driver dies; nothing is there twice."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeps.records import (
    HISTORY_FILE,
    JOURNAL_FILE,
    SWEEP_FILE,
    TRIALS_FILE,
    EpochRow,
    RecordsError,
    RecordWriter,
    TrialRow,
    read_records,
)

SWEEP = {"sweep_id": "s", "study": {"name": "toy"}, "axes": {"pull": {}}}


def row(name="a", seed=1, **changes):
    return TrialRow(name, "pull=1", {"pull": 1.0}, seed, **changes)


def epoch(number, name="a", **metrics):
    return EpochRow(name, number, metrics or {"loss": float(number)}, 1000 + number)


def test_what_is_written_is_read_back(tmp_path):
    writer = RecordWriter(tmp_path, SWEEP)
    writer.record_trial(row())
    writer.record_epoch(epoch(1, loss=0.5, accuracy=0.25))
    writer.record_trial(row(state="complete", n_epochs=1, wall_s=2.5))
    for _ in range(2):
        records = read_records(tmp_path)
        assert records.trials["a"] == row(state="complete", n_epochs=1, wall_s=2.5)
        assert records.epochs_of("a") == [EpochRow("a", 1, {"loss": 0.5, "accuracy": 0.25}, 1001)]
        writer.compact()
    assert not (tmp_path / JOURNAL_FILE).exists()


def test_an_epoch_is_recorded_once_however_often_it_is_reported(tmp_path):
    writer = RecordWriter(tmp_path, SWEEP)
    writer.record_trial(row())
    assert writer.record_epoch(epoch(1))
    assert not writer.record_epoch(epoch(1, loss=9.0))
    writer.compact()
    again = RecordWriter(tmp_path, SWEEP)
    assert not again.record_epoch(epoch(1, loss=9.0))
    assert read_records(tmp_path).epochs_of("a")[0].metrics == {"loss": 1.0}


def test_a_value_that_is_no_number_is_absent_rather_than_a_sentinel(tmp_path):
    writer = RecordWriter(tmp_path, SWEEP)
    writer.record_trial(row())
    writer.record_epoch(epoch(1, loss=math.nan, other=math.inf, kept=1.0))
    assert read_records(tmp_path).epochs_of("a")[0].metrics == {"kept": 1.0}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1))
def test_a_journal_cut_at_any_byte_loses_at_most_its_last_event(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("cut")
    writer = RecordWriter(folder, SWEEP)
    writer.record_trial(row())
    for number in range(1, 6):
        writer.record_epoch(epoch(number))
    journal = (folder / JOURNAL_FILE).read_bytes()
    kept = journal[: int(share * len(journal))]
    (folder / JOURNAL_FILE).write_bytes(kept)
    whole_events = max(0, kept.count(b"\n") - 1)  # the first line is the journal's id
    again = RecordWriter(folder, SWEEP)
    survived = len(again.trials) + len(read_records(folder).history)
    assert survived in (whole_events, whole_events + 1)
    if again.trials:
        for number in range(1, 6):
            again.record_epoch(epoch(number))
        again.compact()
        assert [one.epoch for one in read_records(folder).epochs_of("a")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("survivor", ["old tables", "new history", "both tables"])
def test_a_crash_anywhere_in_compaction_changes_nothing(tmp_path, survivor):
    writer = RecordWriter(tmp_path, SWEEP)
    writer.record_trial(row())
    writer.record_epoch(epoch(1))
    writer.compact()
    writer.record_epoch(epoch(2))
    before = {name: (tmp_path / name).read_bytes() for name in (TRIALS_FILE, HISTORY_FILE, JOURNAL_FILE)}
    expected = read_records(tmp_path)
    writer.compact()
    restored = {"old tables": 3, "new history": 1, "both tables": 0}[survivor]
    for name in [TRIALS_FILE, HISTORY_FILE][:restored]:
        (tmp_path / name).write_bytes(before[name])
    (tmp_path / JOURNAL_FILE).write_bytes(before[JOURNAL_FILE])
    found = read_records(tmp_path)
    assert found.trials == expected.trials
    assert found.history.equals(expected.history)


def test_damage_in_the_middle_of_a_journal_is_named_with_its_line(tmp_path):
    writer = RecordWriter(tmp_path, SWEEP)
    writer.record_trial(row())
    writer.record_epoch(epoch(1))
    lines = (tmp_path / JOURNAL_FILE).read_text().splitlines()
    (tmp_path / JOURNAL_FILE).write_text("\n".join([lines[0], "{broken", lines[1]]) + "\n")
    with pytest.raises(RecordsError, match=r"journal.jsonl: line 2 is damaged: .* Remove that line"):
        read_records(tmp_path)


def test_tables_written_by_others_need_only_their_documented_columns(tmp_path):
    (tmp_path / SWEEP_FILE).write_text(json.dumps(SWEEP))
    trials = {"trial_id": ["x"], "cell": ["pull=1"], "pull": [1.0], "seed": [1], "state": ["complete"]}
    pq.write_table(pa.table(trials), tmp_path / TRIALS_FILE)
    history = {"trial_id": ["x"], "epoch": [1], "metric": ["valid/near"], "value": [0.5]}
    pq.write_table(pa.table(history), tmp_path / HISTORY_FILE)
    records = read_records(tmp_path)
    assert records.trials["x"].swept == {"pull": 1.0}
    assert records.epochs_of("x")[0].metrics == {"valid/near": 0.5}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            TRIALS_FILE,
            b"not parquet",
            r"trials.parquet cannot be read: .* Restore it, or run the study again.",
        ),
        (SWEEP_FILE, b"{", r"sweep.json cannot be read: .* Restore it"),
        (SWEEP_FILE, b"[]", r"sweep.json is not a JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    RecordWriter(tmp_path, SWEEP)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordsError, match=message):
        read_records(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    RecordWriter(tmp_path, SWEEP)
    pq.write_table(pa.table({"trial_id": ["x"], "seed": [1]}), tmp_path / TRIALS_FILE)
    with pytest.raises(RecordsError, match=r"has no column 'cell'. It needs trial_id, cell, seed, state."):
        read_records(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(RecordsError, match=r"holds no sweep.json. Give a folder of records"):
        read_records(tmp_path)


def test_a_state_that_does_not_exist_cannot_be_recorded(tmp_path):
    writer = RecordWriter(tmp_path, SWEEP)
    with pytest.raises(ValueError, match=r"state=.done. is not a state\. It takes complete, pruned"):
        writer.record_trial(row(state="done"))


def test_times_never_run_backwards_in_the_records_though_the_clock_does(tmp_path, monkeypatch):
    monkeypatch.setattr("sweeps.records.time.time_ns", lambda: 2_000_000_000)
    writer = RecordWriter(tmp_path, SWEEP)
    writer.record_trial(TrialRow("t1", "pull=1", {"pull": 1.0}, 1))
    writer.record_epoch(EpochRow("t1", 1, {"valid/near": 1.0}, writer.now_ms()))
    monkeypatch.setattr("sweeps.records.time.time_ns", lambda: 1_000_000_000)
    assert writer.now_ms() == 2000
    assert RecordWriter(tmp_path, SWEEP).now_ms() == 2000
    monkeypatch.setattr("sweeps.records.time.time_ns", lambda: 3_000_000_000)
    assert writer.now_ms() == 3000
