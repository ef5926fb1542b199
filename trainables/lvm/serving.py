"""What a server of a next-vector model needs beside the weights. Imports no torch."""

from __future__ import annotations

from search_spaces.domains import Params
from trainables.dataset import Dataset
from trainables.serving import Serving

OUTPUT_TYPES = ("decoder", "cosine")  # the raw vector, for a decoder; the unit vector, for retrieval


def serving(params: Params, dataset: Dataset) -> Serving:
    """Return how a model trained on ``dataset`` is served: ``(n, C, d)`` in, ``(n, d)`` out."""
    _, n_context, dim = dataset.train["context"].shape
    of_backbone = ("transformers",) if params["backbone"] == "mamba2" else ()
    return Serving(
        script="trainables.lvm.served",
        facts={"params": dict(params), "dim": dim, "n_context": n_context},
        input_shape=(-1, n_context, dim),
        output_shape=(-1, dim),
        parameters={"output_type": OUTPUT_TYPES},
        requirements=("numpy", "pyyaml", "torch", *of_backbone),
    )
