"""The MLflow model of a trial, as a folder: its weights, what builds it again, and a copy of the code that trained it.

Who serves it needs the folder and the packages that it names: no data, no records, and not this repository.
"""

from __future__ import annotations

import importlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from search_spaces.errors import RefusedError
from sweeps.winner import Winner
from trainables.serving import SERVING_FILE, WEIGHTS_FILE, Serving

OWN_PACKAGES = ("search_spaces", "trainables")  # what the models of every family are made of
FLOAT = "float32"


def serving_of(winner: Winner) -> Serving:
    """Return what the trial left for whoever serves it.

    Raises:
        RefusedError: If it left no weights, or its family has no way to serve.
    """
    if not (winner.folder / WEIGHTS_FILE).exists():
        raise RefusedError(
            f"{winner.folder} has no {WEIGHTS_FILE}, so there is nothing to serve. Promote where the trial was "
            "trained, or run the study again with another --out."
        )
    if not (winner.folder / SERVING_FILE).exists():
        raise RefusedError(
            f"Family {winner.family!r} cannot be served: its trial left no {SERVING_FILE} in "
            f"{winner.folder}. Define `serving` in its FAMILY, then run the study again."
        )
    return Serving.read(winner.folder / SERVING_FILE)


def save_model(winner: Winner, model: Any, staging: Path) -> None:
    """Write the winner as an MLflow model into the folder ``model`` of ``staging``.

    Raises:
        RefusedError: If it cannot be served, or its code has changed since it was trained.
    """
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model

    from trainables.saved_trial import refuse_other_code

    serving = serving_of(winner)
    refuse_other_code(winner.family, str(winner.sweep.get("provenance", {}).get("code_version", "unknown")))
    example = np.zeros([1 if size == -1 else size for size in serving.input_shape], dtype=FLOAT)
    defaults = {name: options[0] for name, options in serving.parameters.items()}
    mlflow.pyfunc.save_model(
        path=str(staging / "model"),
        python_model=script_path(serving.script),
        artifacts={
            "serving": str(winner.folder / SERVING_FILE),
            "weights": str(winner.folder / WEIGHTS_FILE),
        },
        code_paths=code_copies(serving, staging),
        signature=signature_of(serving),
        input_example=(example, defaults),
        pip_requirements=requirements(serving),
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            run_id=model.source_run_id,
            model_uuid=model.model_id,
            model_id=model.model_id,
        ),
    )


def script_path(module: str) -> str:
    """Return the file of the script that serves a family.

    Raises:
        RefusedError: If there is no such module.
    """
    package, _, name = module.rpartition(".")
    path = Path(next(iter(importlib.import_module(package).__path__))) / f"{name}.py"
    if not path.exists():
        raise RefusedError(f"script={module!r} is no module: there is no {path}. Name that of the family.")
    return str(path)


def signature_of(serving: Serving) -> Any:
    """Return MLflow's signature of a model: one tensor in, one out, parameters that are texts."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    tensor = np.dtype(FLOAT)
    return ModelSignature(
        inputs=Schema([TensorSpec(tensor, serving.input_shape)]),
        outputs=Schema([TensorSpec(tensor, serving.output_shape)]),
        params=ParamSchema(
            [ParamSpec(name, DataType.string, options[0]) for name, options in serving.parameters.items()]
        ),
    )


def code_copies(serving: Serving, staging: Path) -> list[str]:
    """Copy the Python code that the model is made of; return the copies, one folder per package.

    Only code: samples of data that lie in a package are no part of a model.
    """
    copies = []
    for name in dict.fromkeys((*OWN_PACKAGES, serving.script.partition(".")[0])):
        source = Path(next(iter(importlib.import_module(name).__path__)))
        shutil.copytree(source, staging / name, ignore=all_but_code)
        copies.append(str(staging / name))
    return copies


def all_but_code(folder: str, names: list[str]) -> list[str]:
    """Return which entries of a folder are neither Python files nor folders of such."""
    return [
        name
        for name in names
        if name == "__pycache__" or not (name.endswith(".py") or (Path(folder) / name).is_dir())
    ]


def requirements(serving: Serving) -> list[str]:
    """Return the packages that the server needs, at the versions that are installed here.

    Given to MLflow, which would else import the model once more to guess them. A build such as ``+cpu`` is left out:
    no index has it.
    """
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("mlflow", *serving.requirements)]
