"""The best model of a sweep that was really run: logged, promoted, loaded elsewhere, served by MLflow's own server."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from sweeps.records import read_records
from sweeps.winner import find_winner
from tests.servers import free_port
from tests.sweeps.conftest import only_sweep, sweeps
from trainables.serving import WEIGHTS_FILE

DIM, N_CONTEXT = 12, 5
STUDY = """
from sweeps.study import Objective, Study
STUDY = Study(
    name="tiny_vectors", family="lvm", question="Does the contrast help?", grid={"infonce_weight": (0.0, 0.1)},
    fixed={"hidden_dim": 16, "n_layers": 1}, seeds=2, epochs=2, objective=Objective("valid/mse", mode="min"),
)
"""
ELSEWHERE = """
import importlib.util, json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder)]
assert importlib.util.find_spec("trainables") is None, "the repository can still be imported"
import mlflow
import numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
vectors = np.load(sys.argv[3])
import trainables.lvm.model
answers = {kind: model.predict(vectors, params={"output_type": kind}).tolist() for kind in ("decoder", "cosine")}
print(json.dumps({"code": trainables.lvm.model.__file__, "default": model.predict(vectors).tolist(), **answers}))
"""


def contexts(n=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, N_CONTEXT, DIM)).astype(np.float32)


def write_windows(path):
    """Write a file of windows: 20 documents whose next vector is half the last one, moved."""
    context = contexts(n=400)
    target = context[:, -1] / 2 + 1
    np.savez(path, context_sequences=context, target_vectors=target, doc_ids=np.repeat(np.arange(20), 20))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run a study of next-vector models; return its output folder, its store and what the run said."""
    folder = tmp_path_factory.mktemp("promoting")
    (folder / "tiny.py").write_text(STUDY)
    write_windows(folder / "windows.npz")
    arguments = ["tiny.py", "--data", "windows.npz", "--out", "out", "--address", "local", "--json"]
    facts = json.loads(sweeps("run", *arguments, cwd=folder).stdout)
    return SimpleNamespace(out=folder / "out", uri=f"sqlite:///{folder}/out/mlflow.db", facts=facts)


@pytest.fixture(scope="module")
def promoted(trained):
    """Promote the winner; return what the command said."""
    return promote(trained)


def promote(trained, *options):
    command = ["promote", "tiny_vectors", "--out", trained.out, "--json", *options]
    return json.loads(sweeps(*command, cwd=trained.out.parent).stdout)


def client_of(trained):
    from mlflow.tracking import MlflowClient

    return MlflowClient(trained.uri)


def models_of(trained):
    client = client_of(trained)
    experiment = client.get_experiment_by_name("tiny_vectors")
    return list(client.search_logged_models([experiment.experiment_id]))


def artifacts_of(trained):
    (model,) = models_of(trained)
    return Path(model.artifact_location.removeprefix("file://"))


@pytest.mark.slow
def test_the_winner_is_logged_to_its_run_when_its_sweep_ends(trained):
    assert trained.facts["problems"] == []
    records = read_records(only_sweep(trained.out))
    said = json.loads((only_sweep(trained.out) / "report" / "report.json").read_text())
    cell = said["recommendation"]["cell"]
    rows = [row for row in records.trials.values() if row.swept == cell]
    lowest = {
        row.trial_id: min(epoch.metrics["valid/mse"] for epoch in records.epochs_of(row.trial_id))
        for row in rows
    }
    (model,) = models_of(trained)
    assert str(model.status) == "READY"
    assert model.tags["trial_id"] == min(lowest, key=lowest.get)
    client = client_of(trained)
    run = client.get_run(model.source_run_id)
    assert run.data.tags["trial_id"] == model.tags["trial_id"]
    assert run.info.status == "FINISHED"
    (metric,) = [metric for metric in model.metrics if metric.key == "valid/mse"]
    assert metric.value == lowest[model.tags["trial_id"]]
    assert len(client.get_metric_history(run.info.run_id, "valid/mse")) == 2, "sent again, kept once"


@pytest.mark.slow
def test_a_promoted_model_is_a_version_that_says_where_it_comes_from_and_what_it_takes(trained, promoted):
    import mlflow

    client = client_of(trained)
    version = client.get_model_version_by_alias("tiny_vectors", "champion")
    assert (version.version, promoted["is_new"], promoted["uri"]) == (
        1,
        True,
        "models:/tiny_vectors@champion",
    )
    row = read_records(only_sweep(trained.out)).trials[promoted["trial_id"]]
    sweep_id = only_sweep(trained.out).name
    origin = {"sweep_id": sweep_id, "trial_id": row.trial_id, "cell": row.cell}
    verdict = {"objective", "objective_value", "best_baseline", "best_baseline_value", "against_baseline"}
    assert {name: version.tags[name] for name in origin} == origin
    assert version.tags.keys() == origin.keys() | verdict
    assert (version.tags["objective"], version.tags["best_baseline"]) == ("valid/mse", "mean_vector")
    assert client.get_run(version.run_id).data.tags["trial_id"] == row.trial_id
    signature = mlflow.models.Model.load(str(artifacts_of(trained))).signature
    assert [tensor.shape for tensor in signature.inputs.inputs] == [(-1, N_CONTEXT, DIM)]
    assert [tensor.shape for tensor in signature.outputs.inputs] == [(-1, DIM)]
    assert [(param.name, param.default) for param in signature.params] == [("output_type", "decoder")]


@pytest.mark.slow
def test_promoting_again_registers_nothing_and_logs_nothing(trained, promoted):
    again = promote(trained)
    assert again == {**promoted, "is_new": False}
    assert len(client_of(trained).search_model_versions("name = 'tiny_vectors'")) == 1
    assert len(models_of(trained)) == 1
    challenger = promote(trained, "--alias", "challenger", "--name", "other")
    assert (challenger["name"], challenger["version"], challenger["is_new"]) == ("other", "1", True)
    assert len(models_of(trained)) == 1
    words = sweeps("promote", "tiny_vectors", "--out", trained.out, cwd=trained.out.parent).stdout
    assert "tiny_vectors version 1 was registered before; nothing is registered twice" in words
    assert f"MLFLOW_TRACKING_URI={trained.uri} mlflow models serve -m models:/tiny_vectors@champion" in words


@pytest.mark.slow
def test_a_model_needs_neither_this_repository_nor_its_data(trained, promoted, tmp_path):
    np.save(tmp_path / "vectors.npy", contexts())
    command = [
        sys.executable,
        "-I",
        "-c",
        ELSEWHERE,
        trained.uri,
        promoted["uri"],
        str(tmp_path / "vectors.npy"),
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout.splitlines()[-1])
    assert Path(said["code"]).is_relative_to(trained.out / "mlartifacts")
    assert said["default"] == said["decoder"]
    np.testing.assert_allclose(np.linalg.norm(said["cosine"], axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(said["decoder"], answers_of_the_trial(trained, promoted), rtol=1e-4, atol=1e-5)
    artifacts = artifacts_of(trained)
    assert {path.suffix for path in (artifacts / "code").rglob("*") if path.is_file()} <= {".py", ".pyc"}
    needed = {line.partition("==")[0] for line in (artifacts / "requirements.txt").read_text().splitlines()}
    assert needed == {"mlflow", "numpy", "pyyaml", "torch"}


def answers_of_the_trial(trained, promoted):
    """Return what the model of the promoted trial says, built from the trial's own folder."""
    import torch

    from trainables.lvm.model import NextVectorModel

    folder = find_winner(only_sweep(trained.out)).folder
    saved = torch.load(folder / WEIGHTS_FILE, weights_only=True)
    model = NextVectorModel(saved["params"], DIM, N_CONTEXT, seed=0)
    model.load_state_dict(saved["weights"])
    with torch.no_grad():
        return model.eval()(torch.from_numpy(contexts())).raw.numpy()


@pytest.fixture(scope="module")
def ask(trained, promoted, tmp_path_factory):
    """Serve the promoted model; return what sends a request and returns status and answer."""
    with model_server(trained.uri, promoted["uri"], tmp_path_factory.mktemp("server")) as url:
        yield lambda content: post(url, content)


@contextmanager
def model_server(tracking_uri, model_uri, folder):
    """Run ``mlflow models serve`` on loopback until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model_uri, "--env-manager", "local"]
    path = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow calls uvicorn by its name
    )
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=os.environ | {"MLFLOW_TRACKING_URI": tracking_uri, "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/ping"):
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "server.log").read_text()[-2000:]
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def answers(url):
    try:
        urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


def post(url, content):
    request = Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())["predictions"]
    except HTTPError as error:
        return error.code, json.loads(error.read())["message"]


@pytest.mark.slow
def test_a_server_gives_raw_vectors_for_a_decoder_and_unit_ones_for_retrieval(ask, trained, promoted):
    vectors = contexts().tolist()
    status, raw = ask({"inputs": vectors})
    assert status == 200
    np.testing.assert_allclose(raw, answers_of_the_trial(trained, promoted), rtol=1e-4, atol=1e-5)
    assert ask({"inputs": vectors, "params": {"output_type": "decoder"}}) == (200, raw)
    assert ask({"instances": vectors}) == (200, raw)
    status, unit = ask({"inputs": vectors, "params": {"output_type": "cosine"}})
    assert status == 200
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 1e-3).all()
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.divide(raw, lengths), unit, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_server_answers_what_it_cannot_read_with_400_and_a_reason(ask):
    broken = contexts().tolist()
    broken[1][2][3] = float("nan")
    absent = contexts().tolist()
    absent[2][0][0] = None
    ragged = contexts().tolist()
    del ragged[0][0][0]
    right = contexts().tolist()
    for content, reason in (
        ({"inputs": np.zeros((2, 3, DIM)).tolist()}, "(2, 3, 12) does not match expected shape (-1, 5, 12)"),
        ({"inputs": np.zeros((2, 5, 13)).tolist()}, "(2, 5, 13) does not match expected shape (-1, 5, 12)"),
        ({"instances": right[0]}, "(5, 12) does not match expected shape (-1, 5, 12)"),
        ({"inputs": broken}, "Row 1 of the input, counted from 0, has a value that is NaN or infinite"),
        ({"inputs": absent}, "Row 2 of the input, counted from 0, has a value that is NaN or infinite"),
        ({"inputs": ragged}, "inhomogeneous shape"),
        ({"inputs": []}, "with schema '[Tensor('float32', (-1, 5, 12))]'"),
        ({"inputs": right, "params": {"output_type": "cosin"}}, "It takes decoder or cosine"),
    ):
        status, message = ask(content)
        assert status == 400, message
        assert reason in message


@pytest.mark.slow
def test_a_server_answers_many_requests_at_once(ask):
    batches = [contexts(n=4, seed=seed).tolist() for seed in range(200)]
    with ThreadPoolExecutor(32) as pool:
        answered = list(pool.map(lambda batch: ask({"inputs": batch}), batches))
    assert {status for status, _ in answered} == {200}
    alone = [ask({"inputs": batch})[1] for batch in batches[:5]]
    np.testing.assert_allclose([said for _, said in answered[:5]], alone, rtol=1e-5, atol=1e-6)
