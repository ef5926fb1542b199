"""``--out s3://...``: what a sweep leaves there, and what a kill, another machine or a faulty store make of it."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from search_spaces.errors import RefusedError
from sweeps import lease as leases
from sweeps.lease import LEASE_FILE, Lease
from sweeps.records import EpochRow, RecordWriter, TrialRow, read_records
from sweeps.storage import Mirror, local_out, shown
from tests.proxy import AWAY, Fault, FaultyProxy, at_random
from tests.sweeps.conftest import assert_once_in_mlflow, numbers, only_sweep, sweeps, trained_in_process
from trainables.ray_trainable import scratch_folder
from trainables.remote import RemoteFolder

pytestmark = pytest.mark.slow
SWEEP = {"sweep_id": "s1", "study": {"name": "toy"}, "axes": {"pull": {}}}
HARM = (Fault(status=500), Fault(status=503, executed=False), Fault(cut=True), AWAY)


@pytest.fixture
def bucket(s3_server, s3_bucket, monkeypatch):
    """Return a maker of folders in a new bucket; the environment leads to it as to any store that is not Amazon's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    return lambda below="", patience_s=5.0: RemoteFolder(f"s3://{s3_bucket}/{below}", patience_s=patience_s)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_sent_before_a_crash_is_found_on_another_machine(tmp_path, bucket, seed):
    draws, remote = random.Random(seed), bucket("results/toy/s1")
    writer, mirror = RecordWriter(tmp_path / "a", SWEEP), Mirror(tmp_path / "a", remote)
    epoch, sent = 0, 0
    for _ in range(40):
        act = draws.choice(["epoch", "epoch", "push", "push", "compact", "crash"])
        if act == "epoch":
            epoch += 1
            writer.record_trial(TrialRow("t1", "pull=1", {"pull": 1.0}, 1, n_epochs=epoch - 1))
            writer.record_epoch(EpochRow("t1", epoch, {"valid/near": epoch / 7}, 1_700_000_000_000 + epoch))
        elif act == "push":
            mirror.push_records()
            sent = epoch
        elif act == "compact":
            writer.compact()
        else:
            machine = tmp_path / f"machine_{draws.random()}"
            mirror = Mirror(machine, remote)
            mirror.pull()
            if sent:
                assert [one.epoch for one in read_records(machine).epochs_of("t1")] == list(
                    range(1, sent + 1)
                )
            writer, epoch = RecordWriter(machine, SWEEP), sent
    assert sent > 5


def test_a_copy_that_is_ahead_is_kept_and_one_that_is_behind_is_replaced(tmp_path, bucket):
    remote = bucket("results/toy/s1")
    writer, mirror = RecordWriter(tmp_path / "a", SWEEP), Mirror(tmp_path / "a", remote)
    writer.record_trial(TrialRow("t1", "pull=1", {"pull": 1.0}, 1))
    mirror.push_records()
    writer.record_trial(TrialRow("t1", "pull=1", {"pull": 1.0}, 1, state="complete"))
    Mirror(tmp_path / "a", remote).pull()  # as after a kill, before the last event was sent
    assert read_records(tmp_path / "a").trials["t1"].state == "complete"
    other = Mirror(tmp_path / "b", remote)
    other.pull()
    other_writer = RecordWriter(tmp_path / "b", SWEEP)
    other_writer.record_trial(TrialRow("t1", "pull=1", {"pull": 1.0}, 1, state="failed"))
    other.push_records()
    Mirror(tmp_path / "a", remote).pull()
    assert read_records(tmp_path / "a").trials["t1"].state == "failed"


def test_a_store_that_fails_now_and_then_gets_everything(tmp_path, s3_server, bucket, monkeypatch):
    with FaultyProxy(s3_server, at_random(1, 0.3, *HARM)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        remote = bucket("results/toy/s1", patience_s=60)
        writer, mirror = RecordWriter(tmp_path / "a", SWEEP), Mirror(tmp_path / "a", remote)
        writer.record_trial(TrialRow("t1", "pull=1", {"pull": 1.0}, 1))
        for epoch in range(1, 11):
            writer.record_epoch(EpochRow("t1", epoch, {"valid/near": epoch / 7}, epoch))
            mirror.push_records()
        writer.compact()
        mirror.push_records()
        there = Mirror(tmp_path / "b", remote)
        there.pull()
        assert read_records(tmp_path / "b").history == read_records(tmp_path / "a").history
        assert len(proxy.requests) > 40


def test_two_drivers_never_hold_one_lease(bucket, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_S", 2.0)
    remote, held, refused = bucket("results/toy/s1"), [], []

    def take():
        lease = Lease(remote, "s1")
        try:
            lease.acquire()
            held.append(lease)
            while any(taker.is_alive() for taker in takers if taker is not threading.current_thread()):
                assert lease.renew()
                time.sleep(0.3)
        except RefusedError as error:
            refused.append(str(error))

    takers = [threading.Thread(target=take) for _ in range(4)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert (len(held), len(refused)) == (1, 3)
    assert f"is being run by process {os.getpid()}" in refused[0]
    held[0].release()
    assert remote.read(LEASE_FILE) is None


def test_a_lease_outlives_its_driver_only_as_long_as_nobody_watches_it(bucket, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_S", 2.0)
    remote = bucket("results/toy/s1")
    gone = {"holder": "x", "host": "another", "pid": 1, "beats": 7}
    remote.write(LEASE_FILE, json.dumps(gone).encode())
    began = time.monotonic()
    lease = Lease(remote, "s1")
    lease.acquire()
    assert time.monotonic() - began >= 2.0, "it might have been renewed"
    remote.write(LEASE_FILE, json.dumps(gone | {"beats": 8}).encode())
    assert not lease.renew(), "another driver has taken it over"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    remote.write(LEASE_FILE, json.dumps({**lease._mine, "holder": "y", "pid": dead.pid}).encode())
    Lease(remote, "s1").acquire()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://key:secret@bucket/x", "credentials in --out would be recorded"),
        ("s3://there-is-no-such-bucket/x", "there is no bucket 'there-is-no-such-bucket'"),
        ("s4://bucket/x", "Unrecognized filesystem type"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused_before_anything_starts(
    tmp_path, bucket, monkeypatch, place, said
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(RefusedError, match=said) as refusal:
        local_out(place)
    assert "secret" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_killed_over_a_faulty_store_and_run_again_on_another_machine(tmp_path, s3_server, bucket, toy_study):
    study, place = toy_study(epochs=8, nap_ms=700), f"{bucket('results').uri}"
    harm = at_random(3, 0.1, *HARM)
    with FaultyProxy(s3_server, harm) as proxy:

        def machine(name):
            return {
                "AWS_ENDPOINT_URL": proxy.url,
                "XDG_CACHE_HOME": str(tmp_path / name),
            }

        arguments = [
            "run",
            study,
            "--out",
            place,
            "--address",
            "local",
            "--tracking-uri",
            f"sqlite:///{tmp_path}/m.db",
        ]
        command = [sys.executable, "-m", "sweeps", *map(str, arguments)]
        first = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | machine("first"),
            stdout=(tmp_path / "first.log").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for_states(bucket, {"complete"}, first, tmp_path / "first.log")
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        again = sweeps(*arguments, "--json", cwd=tmp_path, **machine("second"))
    facts = json.loads(again.stdout)
    assert 0 < facts["trained"] < 6, "what the first machine finished is not trained again"
    assert facts["records"].startswith(place)
    assert facts["problems"] == []
    (out,) = (tmp_path / "second" / "counterpoise" / "out").iterdir()
    records = read_records(only_sweep(out))
    assert {row.state for row in records.trials.values()} == {"complete"}
    assert numbers(records) == trained_in_process(study, tmp_path / "reference")
    assert_once_in_mlflow(f"sqlite:///{tmp_path}/m.db", records)
    left = bucket("results").files(recursive=True)
    assert not [name for name in left if name.endswith(("checkpoint.pt", LEASE_FILE)) or "journal" in name]
    assert len([name for name in left if name.endswith("model.pt")]) == 6
    assert len([name for name in left if name.endswith("report.html")]) == 1
    assert not any(scratch_folder(trial).exists() for trial in records.trials), "scratch goes with its trial"
    assert shown(only_sweep(out)).startswith(place)


def wait_for_states(bucket, states, process, log):
    """Wait until the records in the store have a trial in each of these states."""
    deadline = time.monotonic() + 120
    while not states <= set(stored_states(bucket("results"))):
        assert process.poll() is None, "the sweep ended before it could be killed: " + log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.5)


def stored_states(results):
    """Return the states that the journals in the store tell of."""
    for name in results.files(recursive=True):
        if Path(name).name.startswith("journal-"):
            for line in (results.read(name) or b"").splitlines():
                event = json.loads(line)
                if event["kind"] == "trial":
                    yield event["row"]["state"]
