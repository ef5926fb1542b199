"""Shared by all tests: a quiet environment, an S3 on loopback, and a user's own study with its own tiny family."""

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
)
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("RAY_ADDRESS", None)

TOY_FAMILY = '''
"""Two numbers that are pulled to different places by two terms: a loss-weight question in its smallest form."""
import hashlib, time
import numpy as np
from search_spaces.domains import Float, Int, Space
from search_spaces.training import training_space
from trainables.dataset import Dataset, Metric
from trainables.defaults import FamilyDefaults

SPACE = Space({
    "pull": Float(0.0, 1e3, 1.0, "weight of the second term", log=True, weight=True),
    "nap_ms": Int(0, 10_000, 0, "how long an epoch sleeps"),
    "break_at": Int(0, 100, 0, "epoch at which it fails; 0 is never"),
    "blow_up": Int(0, 1, 0, "whether the second term overflows"),
    **training_space(batch_size=16, lr=0.05, grad_every=2),
})

class Toy(FamilyDefaults):
    name = "toyfamily"
    space = SPACE
    metrics = {"near": Metric("min", True, "distance of the first number"),
               "far": Metric("min", True, "distance of the second number")}
    def fingerprint(self, params, root):
        return "toy"
    def load_data(self, params, root):
        x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        split = {"x": x}
        return Dataset(split, split, split, "toy", {"zero/valid/near": 1.0}, {})
    def build(self, params, dataset, seed):
        import torch
        torch.manual_seed(seed)
        model = torch.nn.Module()
        model.first, model.second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        return model
    def loss(self, model, state, batch, params):
        from trainables.contract import LossTerms
        out = model.second(model.first(batch["x"]))
        terms = {"near": (model.first(batch["x"]) - 1).square().mean(), "far": (out + 2).square().mean()}
        if params["blow_up"]:
            terms["far"] = terms["far"] * float("inf")
        return LossTerms(terms, {"near": 1.0, "far": params["pull"]}), state
    def evaluate(self, model, state, split, params):
        time.sleep(params["nap_ms"] / 1000 / 2)
        out = model.first(split["x"])
        return {"near": float((out - 1).square().mean()), "far": float((model.second(out) + 2).square().mean())}
    def examples(self, model, state, dataset, params):
        return {"x": dataset.valid["x"]}

class Breaking(Toy):
    def evaluate(self, model, state, split, params):
        self.calls = getattr(self, "calls", 0) + 1
        if params["break_at"]:
            raise RuntimeError("planted failure")
        return super().evaluate(model, state, split, params)

FAMILY = Breaking()
'''

TOY_STUDY = """
from sweeps.__main__ import main
from sweeps.study import Objective, Study
STUDY = Study(
    name="toy", family="toys.toyfamily", question="Which pull?",
    grid={{"pull": (0.0, 1.0, 10.0)}}, seeds=2, epochs={epochs}, fixed={{"nap_ms": {nap_ms}}},
    objective=Objective("valid/near", mode="min"),
)
if __name__ == "__main__":
    main(STUDY)
"""


TOY_SEARCH = """
from sweeps.__main__ import main
from sweeps.study import Objective, Study
from trainables.guard import Guard
STUDY = Study(
    name="toy_search", family="toys.toyfamily", question="Which pull, and how fast?",
    search={{"pull": (1e-3, 1e3), "lr": (1e-3, 0.5)}}, seeds=2, epochs=5, fixed={{"nap_ms": {nap_ms}}},
    objective=Objective("valid/near", mode="min"), max_trials=20, finalists=2, scheduler="asha",
    guards=(Guard("valid/near", above=2.5, patience=2),), guard_audit=0.5,
)
if __name__ == "__main__":
    main(STUDY)
"""


def write_toy_family(folder: Path) -> None:
    """Write a user's own family, importable from a study file beside it."""
    package = folder / "toys" / "toyfamily"
    package.mkdir(parents=True, exist_ok=True)
    (folder / "toys" / "__init__.py").write_text("")
    (package / "__init__.py").write_text(TOY_FAMILY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests first: at the end workers then share short ones, instead of waiting for a long one."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def toy_study(tmp_path: Path):
    """Write a user's study file with its own family beside it; return a maker of the file's path."""

    def make(epochs: int = 3, nap_ms: int = 0) -> Path:
        write_toy_family(tmp_path)
        study = tmp_path / "toy.py"
        study.write_text(TOY_STUDY.format(epochs=epochs, nap_ms=nap_ms))
        return study

    return make


@pytest.fixture
def toy_search(tmp_path: Path):
    """Write a user's study that searches, as `toy_study` does."""

    def make(nap_ms: int = 0) -> Path:
        write_toy_family(tmp_path)
        study = tmp_path / "toy_search.py"
        study.write_text(TOY_SEARCH.format(nap_ms=nap_ms))
        return study

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run an S3 on loopback for the whole session; return its URL. Its credentials stand in the environment."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str) -> str:
    """Return the name of a new, empty bucket on `s3_server`."""
    import boto3

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=name)
    return name
