"""A team's MLflow server, as `deploy/mlflow/serve.py` starts it: PostgreSQL, S3, logins, and whatever breaks."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from sweeps.access import refuse_without_access
from sweeps.commands import run_cli
from sweeps.plan import trial_folder
from sweeps.records import EpochRow, Records, TrialRow, read_records
from sweeps.tracker import Tracker
from sweeps.tracking import MlflowStore
from tests.conftest import TOY_STUDY, write_toy_family
from tests.proxy import AWAY, Fault, FaultyProxy, at_random
from tests.servers import Postgres, free_port, serving
from tests.sweeps.conftest import assert_once_in_mlflow, only_sweep, sweeps

ROOT = Path(__file__).parents[2]
SERVE = str(ROOT / "deploy" / "mlflow" / "serve.py")
ADMIN, SECRET_KEY = "planted-admin-password", "planted-secret-key"
PASSWORDS = {"ann": "planted-ann/pass:w@rd", "bob": "planted-bob-password"}
NO_S3 = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}  # clients have no key of the bucket
ROW = TrialRow("t1", "pull=1", {"pull": 1.0}, 1)
EPOCHS = [
    EpochRow("t1", number, {"valid/near": 1.0 / number}, 1_700_000_000_000 + number) for number in (1, 2)
]


@dataclass
class Team:
    """The running server with what lies behind it."""

    url: str
    database: Postgres
    bucket: str
    s3: str
    log: Path


def login(user: str) -> dict[str, str]:
    return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": PASSWORDS[user]}


@pytest.fixture(scope="module")
def team(s3_server, tmp_path_factory):
    import boto3

    folder, url = tmp_path_factory.mktemp("team"), f"http://127.0.0.1:{free_port()}"
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket="team")
    database = Postgres()
    try:
        environment = {
            "MLFLOW_BACKEND_STORE_URI": database.create("mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": "s3://team/artifacts",
            "MLFLOW_S3_ENDPOINT_URL": s3_server,
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET_KEY,
        }
        command = [sys.executable, SERVE, "--port", url.rpartition(":")[2], "--workers", "2"]
        command += ["--permission", "READ"]
        with serving(command, url, folder / "server.log", **environment):
            for user, password in PASSWORDS.items():
                as_admin(url, "2.0/mlflow/users/create", username=user, password=password)
            yield Team(url, database, "team", s3_server, folder / "server.log")
    finally:
        database.close()


def as_admin(url, path, **content):
    answer = requests.post(f"{url}/api/{path}", json=content, auth=("admin", ADMIN), timeout=30)
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def cluster():
    """Run a Ray cluster that sweeps find with ``--address auto``; return what that takes in their environment."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie below it
    environment = {"RAY_TMPDIR": str(folder), "RAY_prestart_worker_first_driver": "0"}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", "0"]
    command += ["--num-cpus", "8", "--include-dashboard", "false", "--disable-usage-stats"]
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: (folder / "ray" / "ray_current_cluster").exists())
        yield environment
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(met, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def study_of(folder, name, epochs=2, nap_ms=0):
    """Write a user's study with a name, and so an experiment, of its own."""
    write_toy_family(folder)
    text = TOY_STUDY.format(epochs=epochs, nap_ms=nap_ms).replace('name="toy"', f'name="{name}"')
    (folder / f"{name}.py").write_text(text)
    return str(folder / f"{name}.py")


@pytest.mark.parametrize(
    ("arguments", "changed", "message"),
    [
        ([], {"MLFLOW_AUTH_ADMIN_PASSWORD": ""}, "MLFLOW_AUTH_ADMIN_PASSWORD is not set"),
        ([], {"MLFLOW_AUTH_ADMIN_PASSWORD": "password1234"}, "example of a documentation"),
        ([], {"MLFLOW_FLASK_SERVER_SECRET_KEY": ""}, "MLFLOW_FLASK_SERVER_SECRET_KEY is not set"),
        ([], {"MLFLOW_FLASK_SERVER_SECRET_KEY": "my-secret-key"}, "example of a documentation"),
        ([], {"MLFLOW_FLASK_SERVER_SECRET_KEY": "short"}, "has 5 characters, fewer than 12"),
        (
            [],
            {"MLFLOW_BACKEND_STORE_URI": "sqlite:///x.db"},
            "is a sqlite store, and a team needs PostgreSQL",
        ),
        ([], {"MLFLOW_BACKEND_STORE_URI": "postgresql:///x?password=y"}, "Put it into PGPASSWORD"),
        ([], {"MLFLOW_ARTIFACTS_DESTINATION": "/tmp/x"}, "is no place in S3"),
        (["--no-auth", "--host", "0.0.0.0"], {}, "would let everybody in"),
    ],
)
def test_the_start_script_refuses_what_would_leave_a_team_without_its_server(arguments, changed, message):
    environment = {
        "MLFLOW_BACKEND_STORE_URI": "postgresql://mlflow@127.0.0.1/mlflow",
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://team/artifacts",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": SECRET_KEY,
    }
    result = subprocess.run(
        [sys.executable, SERVE, *arguments],
        env=environment | changed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "sync", "promote"])
def test_a_login_that_is_refused_ends_a_command_before_it_starts(team, verb, tmp_path, monkeypatch, capsys):
    out, study = tmp_path / "out", "compare_globals_heads"
    if verb == "promote":
        (out / study / "abc").mkdir(parents=True)
        (out / study / "abc" / "sweep.json").write_text("{}")
    arguments = [verb, *([] if verb == "sync" else [study]), "--out", str(out), "--tracking-uri", team.url]
    before = sorted(tmp_path.rglob("*"))
    for user, message in (("", "asks for a login (401)"), ("ann", "refuses the login of ann (401)")):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", user and "planted-wrong-password")
        assert run_cli(arguments) == 2
        told = capsys.readouterr()
        assert len(told.err.splitlines()) == 1
        assert f"{message}. Set MLFLOW_TRACKING_USERNAME" in told.err
        assert "planted" not in told.err + told.out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_who_may_read_and_not_write_is_refused_and_a_server_that_is_away_refuses_nobody(team, monkeypatch):
    from mlflow.tracking import MlflowClient

    for name, value in login("ann").items():
        monkeypatch.setenv(name, value)
    MlflowClient(team.url).create_experiment("of ann")
    assert refuse_without_access(team.url, "of ann") is None
    assert refuse_without_access(team.url, "not there yet") is None
    for name, value in login("bob").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"lets bob not write there \(403\): Permission denied"):
        refuse_without_access(team.url, "of ann")
    assert "Connection refused" in refuse_without_access("http://127.0.0.1:9", "x")
    with FaultyProxy(team.url, lambda request: Fault(wait_s=5)) as slow:
        started = time.monotonic()
        assert "timed out" in refuse_without_access(slow.url, "of ann", 0.5)
        assert time.monotonic() - started < 4


@pytest.mark.slow
def test_a_password_is_nowhere_and_a_failed_trial_says_why(team, cluster, tmp_path, monkeypatch):
    import boto3
    from mlflow.tracking import MlflowClient

    study, out = study_of(tmp_path, "planted"), tmp_path / "out"
    secret = requests.utils.quote(PASSWORDS["ann"], safe="")
    arguments = ["run", study, "--out", out, "--address", "auto", "--seeds", "1", "--set", "pull=1"]
    arguments += ["--set", "break_at=0,1", "--tracking-uri", team.url.replace("//", f"//ann:{secret}@")]
    command = [sys.executable, "-m", "sweeps", *map(str, arguments)]
    with (tmp_path / "shown").open("wb") as shown:
        run = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | cluster | NO_S3, stdout=shown, stderr=shown
        )
    wait_until(
        lambda: b"--address" in process_line(run.pid) and secret.encode() not in process_line(run.pid), 10
    )
    assert run.wait(timeout=180) == 1, (tmp_path / "shown").read_text()

    for name, value in login("ann").items():
        monkeypatch.setenv(name, value)
    client, records = MlflowClient(team.url), read_records(only_sweep(out))
    (failed,) = [row for row in records.trials.values() if row.state == "failed"]
    told = client.get_run(failed.mlflow_run_id)
    log = only_sweep(out) / trial_folder(failed.cell, failed.seed) / "run.log"
    assert told.info.status == "FAILED"
    assert told.data.tags["log"] == f"{failed.node}:{log}"
    assert failed.node == os.uname().nodename
    assert "Traceback" in told.data.tags["error"]
    assert "RuntimeError: planted failure" in told.data.tags["error"]
    assert "run.log" in {file.path for file in client.list_artifacts(failed.mlflow_run_id)}

    s3 = boto3.client("s3", endpoint_url=team.s3)
    kept = [
        s3.get_object(Bucket="team", Key=found["Key"])
        for found in s3.list_objects_v2(Bucket="team")["Contents"]
    ]
    assert len(kept) > 10
    places = {f"artifact {number}": item["Body"].read() for number, item in enumerate(kept)}
    files = [*out.rglob("*"), *Path(cluster["RAY_TMPDIR"]).rglob("*"), team.log, tmp_path / "shown"]
    places |= {str(path): path.read_bytes() for path in files if path.is_file()}
    places["database"] = team.database.run("pg_dump", *team.database.login, "mlflow").encode()
    assert b"planted failure" in places["database"]
    assert any("raylet" in place for place in places)
    assert f"MLflow    {team.url}; look at it with a browser".encode() in places[str(tmp_path / "shown")]
    hidden = [*PASSWORDS.values(), secret, ADMIN, SECRET_KEY, Postgres.password]
    leaks = [
        (place, word) for place, content in places.items() for word in hidden if word.encode() in content
    ]
    assert leaks == []


def process_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.slow
def test_a_request_that_is_carried_out_late_doubles_nothing(team, tmp_path, monkeypatch):
    sweep = {
        "sweep_id": "late",
        "study": {"name": "late", "question": "Twice?"},
        "provenance": {"records_id": "r1"},
    }
    for name, value in login("ann").items():
        monkeypatch.setenv(name, value)
    owner = MlflowStore(team.url, {**sweep, "sweep_id": "another"}, tmp_path)
    grant = {"username": "bob", "resource_type": "experiment", "resource_id": owner.experiment_id}
    as_admin(team.url, "3.0/mlflow/users/permissions/grant", **grant, permission="EDIT")
    for name, value in {**login("bob"), "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}.items():
        monkeypatch.setenv(name, value)

    def creates():
        return [one for one in proxy.requests if one.path.endswith("/runs/create")]

    def late(request):  # the sweep's run, and the trial's
        return Fault(wait_s=7) if request in (creates()[:1] + creates()[2:3]) else None

    with FaultyProxy(team.url, late) as proxy:
        tracker = Tracker(
            lambda: MlflowStore(proxy.url, sweep, tmp_path), Records(sweep), lambda row: tmp_path
        )
        for epoch in EPOCHS:
            tracker.epoch(ROW, epoch)
        tracker.trial(replace(ROW, state="complete", n_epochs=2))
        assert tracker.drain(30) == 0
        assert tracker.may_double
        assert len(creates()) == 4
        wait_until(lambda: len(owner.client.search_runs([owner.experiment_id])) == 5, 30)
    store = MlflowStore(team.url, sweep, tmp_path)
    runs = owner.client.search_runs([owner.experiment_id])
    assert sorted(run.data.tags["kind"] for run in runs) == ["double", "double", "sweep", "sweep", "trial"]
    history = store.client.get_metric_history(store.children["t1"].run_id, "valid/near")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]
    doubles = [run for run in runs if run.data.tags["kind"] == "double"]  # bob may not delete what is ann's
    assert {run.info.status for run in doubles} == {"KILLED"}
    assert not any({"sweep_id", "trial_id", "mlflow.parentRunId"} & set(run.data.tags) for run in doubles)


@pytest.mark.slow
def test_a_sweep_meets_every_fault_of_its_server_and_loses_and_doubles_nothing(
    team, cluster, tmp_path, monkeypatch
):
    study, out = study_of(tmp_path, "faults", epochs=8, nap_ms=1000), tmp_path / "out"
    environment = os.environ | cluster | NO_S3 | login("ann") | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    broken = at_random(
        7,
        0.15,
        AWAY,
        Fault(cut=True),
        Fault(status=500),
        Fault(status=503, executed=False),
        Fault(answer_wait_s=4),
    )
    n_late = iter([True] * 3)

    def rule(request):
        late = request.path.endswith("/runs/create") and next(n_late, False)
        return Fault(wait_s=8) if late else broken(request)

    with FaultyProxy(team.url) as proxy:
        command = [sys.executable, "-m", "sweeps", "run", study, "--out", str(out), "--address", "auto"]
        command += ["--tracking-uri", proxy.url, "--json"]
        proxy.rule = rule
        with (tmp_path / "shown").open("wb") as shown, (tmp_path / "facts").open("wb") as facts:
            run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=facts, stderr=shown)
        wait_until(lambda: journal_epochs(out) >= 6)
        team.database.stop()
        wait_until(lambda: journal_epochs(out) >= 15, 30)  # training goes on
        proxy.rule = lambda request: AWAY
        team.database.start()
        wait_until(lambda: journal_epochs(out) >= 24, 30)
        proxy.rule = rule
        assert run.wait(timeout=180) == 0, (tmp_path / "shown").read_text()
        proxy.rule = lambda request: None
        time.sleep(8)  # what was late has been carried out
    assert json.loads((tmp_path / "facts").read_text())["states"] == {"complete": 6}
    sync = ["sync", "--out", out, "--tracking-uri", team.url]
    assert "complete in MLflow" in sweeps(*sync, cwd=tmp_path, **login("ann"), **NO_S3).stdout
    for name, value in login("ann").items():
        monkeypatch.setenv(name, value)
    records = read_records(only_sweep(out))
    assert {row.state for row in records.trials.values()} == {"complete"}
    assert all(row.mlflow_run_id for row in records.trials.values())
    assert_once_in_mlflow(team.url, records)


def journal_epochs(out) -> int:
    return sum(path.read_text().count('"kind": "epoch"') for path in out.glob("*/*/journal.jsonl"))


@pytest.mark.slow
def test_many_drivers_at_once_lose_double_and_lock_nothing(team, cluster, tmp_path, monkeypatch):
    """Eight people ask one question on PostgreSQL, while two questions share one SQLite: all start at the same time."""
    from mlflow.tracking import MlflowClient

    study, alone = study_of(tmp_path, "crowd"), study_of(tmp_path, "pair")
    common = ["--address", "auto", "--seeds", "1"]
    drivers = []
    for number in range(8):
        own = ["run", study, "--out", str(tmp_path / f"out{number}"), "--tracking-uri", team.url]
        drivers.append([[*own, "--set", "pull=1,2", *common], login("ann"), str(tmp_path / f"log{number}")])
    for pulls in ("1,2", "3,4"):
        own = ["run", alone, "--out", str(tmp_path / "shared"), "--set", f"pull={pulls}"]
        drivers.append([[*own, *common], {}, str(tmp_path / f"log{pulls}")])
    (tmp_path / "drivers.json").write_text(json.dumps(drivers))
    script = [sys.executable, ROOT / "tests" / "sweeps" / "many_drivers.py", tmp_path / "drivers.json"]
    environment = os.environ | cluster | NO_S3 | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    logs = "\n".join(Path(log).read_text() for _, _, log in drivers)
    assert json.loads(result.stdout) == [0] * 10, logs
    assert "MLflow has not got" not in logs

    for name, value in login("ann").items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(team.url)
    runs = client.search_runs([client.get_experiment_by_name("crowd").experiment_id])
    by_id = {run.info.run_id: run for run in runs}
    assert sorted(run.data.tags["kind"] for run in runs) == ["sweep"] * 8 + ["trial"] * 16
    assert {run.info.status for run in runs} == {"FINISHED"}
    for number in range(8):
        for row in read_records(only_sweep(tmp_path / f"out{number}")).trials.values():
            run = by_id.pop(row.mlflow_run_id)
            assert run.data.tags["trial_id"] == row.trial_id
            history = client.get_metric_history(run.info.run_id, "valid/near")
            assert [point.step for point in history] == [1, 2]
    assert {run.data.tags["kind"] for run in by_id.values()} == {"sweep"}
    local = MlflowClient(f"sqlite:///{tmp_path}/shared/mlflow.db")
    runs = local.search_runs([local.get_experiment_by_name("pair").experiment_id])
    assert sorted(run.data.tags["kind"] for run in runs) == ["sweep"] * 2 + ["trial"] * 4
    assert {run.info.status for run in runs} == {"FINISHED"}
