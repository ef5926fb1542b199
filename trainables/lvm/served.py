"""The script that an MLflow model server runs to answer with the next vector; see `trainables.serving.Serving`.

It has the model's folder and no other: weights, ``serving.json`` and a copy of this code. What a request gets wrong
is answered with status 400 and a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from trainables.dataset import Array
from trainables.lvm.model import NextVectorModel
from trainables.serving import Serving


class NextVectorServer(PythonModel):  # type: ignore[misc]  # MLflow has no types
    """Predicts the vector that follows C vectors of a document. Any number of threads may ask it at once."""

    serving: Serving
    model: NextVectorModel

    def load_context(self, context: PythonModelContext) -> None:
        """Build the model and load its weights, once, before the first request."""
        self.serving = Serving.read(Path(context.artifacts["serving"]))
        facts = self.serving.facts
        model = NextVectorModel(facts["params"], facts["dim"], facts["n_context"], seed=0)
        saved = torch.load(context.artifacts["weights"], map_location="cpu", weights_only=True)
        model.load_state_dict(saved["weights"])
        self.model = model.eval()

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: Mapping[str, Any] | None = None
    ) -> Array:
        """Return the next vectors, float32 ``(n, d)``.

        Args:
            context: Not read: the model is loaded.
            model_input: Context vectors, float32 ``(n, C, d)``.
            params: ``output_type``: ``decoder`` (default) for the raw vector, ``cosine`` for the unit vector.

        Raises:
            MlflowException: With status 400, if shape, values or ``output_type`` are not as promised.
        """
        options = self.serving.parameters["output_type"]
        output_type = (params or {}).get("output_type", options[0])
        if output_type not in options:
            raise refusal(f"output_type={output_type!r} is not an output. It takes {' or '.join(options)}.")
        vectors = checked(model_input, self.serving.input_shape)
        with torch.inference_mode():
            predicted = self.model(torch.from_numpy(vectors))
        said: Array = (predicted.unit if output_type == "cosine" else predicted.raw).numpy()
        return said


def checked(given: Any, shape: tuple[int, ...]) -> Array:
    """Return context vectors as float32 ``(n, C, d)``.

    Args:
        given: An array, or lists of numbers.
        shape: ``(-1, C, d)``.

    Raises:
        MlflowException: With status 400, if they have another shape, no row, or a value that is no finite number.
    """
    expected = f"(n, {shape[1]}, {shape[2]})"
    try:
        vectors = np.array(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise refusal(f"The input is no array of numbers {expected}: {error}.") from error
    if vectors.shape[1:] != shape[1:]:
        raise refusal(f"The input has the shape {vectors.shape}; this model takes {expected}.")
    if not len(vectors):
        raise refusal(f"The input has no row. Send at least one: this model takes {expected}.")
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=(1, 2)))
    if len(broken):
        raise refusal(
            f"Row {broken[0]} of the input, counted from 0, has a value that is NaN or infinite"
            f" ({len(broken)} of {len(vectors)} rows have). Send finite numbers."
        )
    return vectors


def refusal(message: str) -> MlflowException:
    """Return an error that a server answers with status 400."""
    return MlflowException.invalid_parameter_value(message)


set_model(NextVectorServer())
