"""What a family says so that a trained model of it can answer requests; a trial leaves it beside its weights.

With ``model.pt`` it is all that a server needs: no data, no study, no records. Imports neither torch nor MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SERVING_FILE = "serving.json"
WEIGHTS_FILE = "model.pt"


@dataclass(frozen=True)
class Serving:
    """How a trained model is built again, and what it takes and gives.

    Args:
        script: Module that MLflow runs in the server, such as ``trainables.lvm.served``: it defines a `PythonModel`
            that reads the artifacts ``serving`` (this) and ``weights``, and calls `mlflow.models.set_model`.
        facts: What the script needs beside the weights to build the model; JSON values.
        input_shape: Shape of a request, float32; -1 is the number of rows.
        output_shape: Shape of the answer, float32.
        parameters: What a request may choose: the options of each parameter by name, the default first.
        requirements: Packages that the script and the model import.
    """

    script: str
    facts: Mapping[str, Any]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: Mapping[str, tuple[str, ...]]
    requirements: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Write ``serving.json`` into a trial's folder."""
        (folder / SERVING_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Serving:
        """Return what a trial has written to ``path``."""
        said = json.loads(path.read_text())
        return cls(
            script=said["script"],
            facts=said["facts"],
            input_shape=tuple(said["input_shape"]),
            output_shape=tuple(said["output_shape"]),
            parameters={name: tuple(options) for name, options in said["parameters"].items()},
            requirements=tuple(said["requirements"]),
        )
