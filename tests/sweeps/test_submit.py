"""Sweeps as jobs of a real cluster with a token: sent, followed, stopped, taken up; and no secret on the way."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from search_spaces.errors import RefusedError
from sweeps.commands import run_cli
from sweeps.sealed import SEALED, open_sealed, seal
from sweeps.upload import files_below, pinned_packages
from tests.conftest import TOY_STUDY, write_toy_family
from tests.servers import free_port
from tests.sweeps.conftest import ROOT, assert_once_in_mlflow, only_sweep, read_records, sweeps

TOKEN = "the-token-of-this-cluster-and-of-no-other"
SECRET = "planted-secret-that-nobody-may-find"
NOTE = """
import hashlib, os
from pathlib import Path
def note(who):
    secret = os.environ["PLANTED"].encode()
    Path(os.environ["GATE"]).with_name(who).write_text(hashlib.sha256(secret).hexdigest())
"""
GATED_FAMILY = f"""
{NOTE}
class Gated(Breaking):
    def evaluate(self, model, state, split, params):
        while params["pull"] == 10 and "GATE" in os.environ and not Path(os.environ["GATE"]).exists():
            time.sleep(0.1)
        if "PLANTED" in os.environ:
            note("worker")
        return super().evaluate(model, state, split, params)
FAMILY = Gated()
"""
NOTING_STUDY = f"""
{NOTE}
if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and "PLANTED" in os.environ:
    note("driver")
"""


@dataclass
class Cluster:
    """A cluster of one node with the Jobs API, and a user beside it."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rj", dir="/tmp")))
    port: int = field(default_factory=free_port)

    def __post_init__(self):
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "RAY_TMPDIR": str(self.folder / "ray"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = ["ray", "start", "--head", "--block", "--port=0", "--num-cpus=2", "--disable-usage-stats"]
        command += [f"--dashboard-port={self.port}", f"--dashboard-agent-listen-port={free_port()}"]
        command += [f"--ray-client-server-port={free_port()}", "--min-worker-port=0", "--max-worker-port=0"]
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | self.environment, start_new_session=True
            )
        self.work = self.folder / "user"
        write_toy_family(self.work)
        with (self.work / "toys" / "toyfamily" / "__init__.py").open("a") as family:
            family.write(GATED_FAMILY)
        (self.work / "toy.py").write_text(NOTING_STUDY + TOY_STUDY.format(epochs=1, nap_ms=0))

    def wait(self):
        """Return when it takes jobs."""
        deadline = time.monotonic() + 120
        while self.sweeps("jobs", check=False).returncode:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)

    def sweeps(self, *arguments, check=True, **environment):
        """Run the command line as its user does, who is told the address by the environment."""
        known = self.environment | {"RAY_API_SERVER_ADDRESS": self.address}
        return sweeps(*arguments, cwd=self.work, check=check, **known | environment)

    def start(self, *arguments, **environment):
        """Start the command line, and return its process."""
        known = self.environment | {"RAY_API_SERVER_ADDRESS": self.address}
        command = [sys.executable, "-m", "sweeps", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.work, env=os.environ | known | environment, **pipes)

    def told(self, path):
        """Return what the cluster tells whoever has its token."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.get(f"{self.address}/api/{path}", headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.text

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def cluster():
    running = Cluster()
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def story(cluster):
    """Send a sweep, leave it, meet it, stop it in the middle, and send it again."""
    out, gate = cluster.folder / "out", cluster.folder / "gate"
    secrets = {"PLANTED": SECRET, "GATE": str(gate)}
    submit = ["submit", "toy.py", "--out", out, "--env", "PLANTED", "--env", "GATE"]
    first = cluster.start(*submit, **secrets)
    assert any(line.startswith("[4/6]") for line in first.stdout), "the gate holds two of six trials"
    first.send_signal(signal.SIGINT)
    told = SimpleNamespace(first=(*first.communicate(timeout=30), first.returncode), out=out)
    told.second = cluster.sweeps(*submit, check=False, **secrets)
    told.elsewhere = json.loads(cluster.sweeps("jobs", "--json").stdout)
    told.stopped = cluster.sweeps("stop", "toy", "--json")
    told.after_stop = read_records(only_sweep(out))
    told.reported = (only_sweep(out) / "report" / "report.html").exists()
    gate.touch()
    told.again = cluster.sweeps(*submit, "--json", check=False, **secrets)
    return told


@pytest.mark.slow
def test_ctrl_c_leaves_the_job_running_and_says_how_to_follow_and_stop_it(story):
    _, problem, status = story.first
    (job,) = story.elsewhere
    assert status == 130
    assert f"Job {job['job']} goes on. Follow it with `sweeps jobs {job['job']} --follow`" in problem
    assert job["state"] == "RUNNING"


@pytest.mark.slow
def test_a_sweep_that_runs_is_not_submitted_a_second_time(story):
    job = story.elsewhere[0]["job"]
    assert job.startswith("toy-")
    assert job.endswith("-1")
    assert story.second.returncode == 2
    assert f"Job {job} is at this sweep." in story.second.stderr


@pytest.mark.slow
def test_a_stopped_job_concludes_as_on_ctrl_c(story):
    assert json.loads(story.stopped.stdout)["state"] == "STOPPED"
    assert "run it again to take up the rest" in story.stopped.stderr
    states = Counter(row.state for row in story.after_stop.trials.values())
    assert states == {"complete": 4, "running": 2}
    assert story.reported


@pytest.mark.slow
def test_submitted_again_it_trains_only_what_is_left(story):
    ended = json.loads(story.again.stdout)
    assert story.again.returncode == 0, story.again.stderr
    assert ended["job"] == story.elsewhere[0]["job"].removesuffix("1") + "2"
    assert (ended["state"], ended["exit"]) == ("SUCCEEDED", 0)
    assert "2 of 6 trials to train" in story.again.stderr
    records = read_records(only_sweep(story.out))
    assert {row.state for row in records.trials.values()} == {"complete"}
    assert_once_in_mlflow(f"sqlite:///{story.out}/mlflow.db", records)
    assert records.sweep["provenance"]["git_sha"], "a job's copy of the code knows its commit"


@pytest.mark.slow
def test_a_secret_reaches_driver_and_workers_and_is_found_nowhere(cluster, story):
    known = hashlib.sha256(SECRET.encode()).hexdigest()
    assert (cluster.folder / "driver").read_text() == known
    assert (cluster.folder / "worker").read_text() == known
    assert len(json.loads(cluster.sweeps("jobs", "--json").stdout)) >= 2
    told = cluster.told("jobs/")
    told += "".join(cluster.told(f"jobs/{job['job']}/logs") for job in story.elsewhere)
    told += "".join((*story.first[:2], story.second.stderr, story.stopped.stderr, story.again.stderr))
    assert "toy.py" in told
    assert SECRET not in told
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    assert any(path.name == "runtime_env_agent.log" for path in files), "where Ray writes a job's environment"
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--set", "break_at=1", "--set", "pull=0,1", "--seeds", "1"], 1, "Not finished: 2 failed"),
        (["--out", "/proc/nowhere"], 2, "Output folder /proc/nowhere"),
    ],
)
def test_the_exit_status_of_the_sweep_is_that_of_the_command(cluster, options, status, said):
    ended = cluster.sweeps("submit", "toy.py", "--out", cluster.folder / "other", *options, check=False)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert said in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "token", "said"),
    [
        (["submit", "toy.py", "--out", "/shared"], {"RAY_AUTH_TOKEN": "another"}, "failed: Forbidden"),
        (["jobs"], {"RAY_AUTH_MODE": "disabled"}, "required: Unauthorized: Missing authentication token"),
        (
            ["stop", "toy"],
            {"RAY_AUTH_TOKEN": "", "HOME": "/nowhere"},
            "couldn't find an authentication token",
        ),
    ],
)
def test_nobody_gets_in_without_the_token(cluster, command, token, said):
    refused = cluster.sweeps(*command, check=False, **token)
    assert refused.returncode == 2
    assert f"The cluster at {cluster.address} does not let you in" in refused.stderr
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--address", "http://127.0.0.1:1"], "No Ray cluster answers at http://127.0.0.1:1"),
        (["--address", "http://me:password@head:8265"], "--address holds a login"),
        (["--out", "results"], "--out results is a path of this machine. Give an absolute one"),
        (["--out", "s3://key:secret@bucket/results"], "credentials in --out would be recorded"),
        (["--tracking-uri", "mysql://me:secret@db/mlflow"], "A password in a mysql URI would be recorded"),
        (["--data", "events.parquet"], "--data events.parquet is a path of this machine"),
        (["--env", "NOT_SET_HERE"], "--env NOT_SET_HERE: there is no such variable here"),
        (["--env", "HOME"], "--env needs a cluster with a token (RAY_AUTH_MODE=token)"),
        (["--set", "pul=1"], "Unknown parameter 'pul'. Did you mean 'pull'?"),
        (["--max-upload", "1MB"], "sample/events.parquet (1.5 MB)"),
    ],
)
def test_a_bad_submission_is_refused_in_one_line(toy_study, monkeypatch, capsys, options, said):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")  # and so restored
    assert run_cli(["submit", str(toy_study()), "--out", "/shared", *options]) == 2
    refused = capsys.readouterr().err
    assert said in refused
    assert len(refused.splitlines()) == 1, refused


@pytest.mark.slow
def test_a_job_that_would_bring_too_much_is_refused_with_what_is_large(tmp_path, toy_study):
    study = toy_study()
    with (tmp_path / "toys" / "toyfamily" / "weights.npy").open("wb") as large:
        large.truncate(30_000_000)
    refused = sweeps("submit", study, "--out", "/shared", cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert (
        "above 20.0 MB; the largest are toys/toyfamily/weights.npy (30.0 MB), trainables/" in refused.stderr
    )


def test_a_job_brings_neither_caches_nor_hidden_files(tmp_path):
    for name in ("a.py", "__pycache__/a.pyc", ".git/config", "sub/b.txt", ".env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(name for name, _ in files_below(tmp_path)) == ["a.py", "sub/b.txt"]


def test_what_is_installed_on_request_are_the_pinned_packages():
    pinned = {line.strip().lower().replace("_", "-") for line in (ROOT / "constraints.txt").open()}
    asked = set(pinned_packages())
    assert {line.partition("==")[0] for line in asked} >= {"torch", "mlflow", "aiohttp", "cryptography"}
    assert not any(line.startswith("ray==") for line in asked), "the cluster's Ray is its own"
    assert asked - pinned <= {line for line in asked if line.startswith("setuptools==")}


def test_a_package_that_the_nodes_lack_is_named_with_the_way_out():
    from ray.job_submission import JobDetails, JobStatus, JobType

    from sweeps.submit import ailment, exit_status

    job = {
        "type": JobType.SUBMISSION,
        "status": JobStatus.FAILED,
        "entrypoint": "python -m sweeps run toy.py",
    }
    begun = JobDetails(**job, driver_exit_code=1, driver_agent_http_address="http://10.0.0.1:52365")
    lacking = "Traceback ...\nModuleNotFoundError: No module named 'optuna'\n"
    assert "lacks the package optuna. Submit with --install" in ailment(begun, lacking)
    assert ailment(begun, "Not finished: 1 failed") is None
    never = JobDetails(**job, message="runtime_env setup failed: no space left\nTraceback ...")
    assert exit_status(never) == 2
    assert ailment(never, "") == "The job could not start: runtime_env setup failed: no space left"


def test_what_is_sealed_opens_with_the_same_token_alone(monkeypatch):
    sealed = seal({"MLFLOW_TRACKING_PASSWORD": SECRET}, TOKEN)
    assert SECRET not in sealed
    assert sealed != seal({"MLFLOW_TRACKING_PASSWORD": SECRET}, TOKEN), "equal secrets do not show"
    for name, value in ((SEALED, sealed), ("RAY_AUTH_MODE", "token"), ("RAY_AUTH_TOKEN", "another")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    with pytest.raises(RefusedError, match="this node has another token than the submitter"):
        open_sealed()
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    open_sealed()
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == SECRET
