"""Parameters of next-vector models: four backbones, two heads, four loss terms, batches of many documents.

Vectors of norm one have squared errors of a thousandth per dimension, a contrastive term has several nats: at equal
weights the latter has all of the gradient. At the defaults either has a say.
"""

from __future__ import annotations

from search_spaces.domains import PRESET, Choice, Float, Int, Params, Space
from search_spaces.training import training_space

BACKBONES = ("lstm", "gru", "transformer", "mamba2")


def heads_divide_the_width(params: Params) -> str | None:
    """Return what is wrong unless every head of a transformer or of Mamba2 gets its channels."""
    dim, heads = int(params["hidden_dim"]), int(params["n_heads"])
    if params["backbone"] not in ("transformer", "mamba2") or dim % heads == 0:
        return None
    return (
        f"hidden_dim={dim} does not give n_heads={heads} heads a whole number of channels each. "
        f"Take a multiple of {heads}."
    )


def some_term_reaches_the_model(params: Params) -> str | None:
    """Return what is wrong when every loss term that depends on the single target has no weight."""
    if params["mse_weight"] or params["infonce_weight"]:
        return None
    return "mse_weight=0 and infonce_weight=0 leave nothing that depends on the target. Give one of them a weight."


def contrast_has_negatives(params: Params) -> str | None:
    """Return what is wrong when a contrast has nothing to tell the target from."""
    if not params["infonce_weight"] or int(params["batch_size"]) > 1:
        return None
    return (
        f"infonce_weight={params['infonce_weight']:g} with batch_size=1: negatives are the other windows of a "
        "batch, and there are none. Raise batch_size, or set infonce_weight=0."
    )


# Sizes of the design note behind this family ("the note"); its LSTM has two layers instead of four.
NOTE: Params = {"hidden_dim": 512, "n_layers": 4, "n_heads": 8, "state_dim": 64}

SPACE = Space(
    {
        PRESET: Choice(
            ("cpu", "note"),
            "cpu",
            "defaults of all other parameters: small for a CPU, or the published sizes of the design note",
        ),
        "backbone": Choice(BACKBONES, "gru", "what reads the context vectors"),
        "head": Choice(
            ("split", "single_normalised"),
            "split",
            "a raw vector for the decoder beside a unit one for retrieval, or one unit vector for both",
        ),
        "hidden_dim": Int(4, 8192, 128, "width of the backbone and of the head", log=True),
        "n_layers": Int(1, 64, 2, "layers of the backbone", log=True),
        "n_heads": Int(1, 64, 4, "attention heads of a transformer, state-space heads of Mamba2", log=True),
        "state_dim": Int(1, 1024, 16, "state dimensions per head of Mamba2", log=True),
        "chunk_size": Int(1, 256, 8, "chunk of Mamba2's scan; above the context length it only costs memory"),
        "mse_weight": Float(
            0.0, 1e6, 1.0, "weight of the squared error of the raw vector", log=True, weight=True
        ),
        "infonce_weight": Float(
            0.0, 1e6, 1e-4, "weight of the symmetric contrastive term", log=True, weight=True
        ),
        "moment_weight": Float(
            0.0, 1e6, 1e-3, "weight of the match of means and spreads to the corpus", log=True, weight=True
        ),
        "variance_weight": Float(
            0.0, 1e6, 1e-3, "weight of the floor under the spread of unit vectors", log=True, weight=True
        ),
        "temperature": Float(1e-3, 10.0, 0.07, "temperature of the contrastive term", log=True),
        "hard_negatives": Choice(
            (False, True), True, "whether another window of the same document is a further negative"
        ),
        "max_per_doc": Int(
            0, 65536, 8, "most windows of one document in a batch; 0 mixes windows as they come"
        ),
        "n_windows": Int(0, 10**7, 0, "windows used, whole documents at a time; 0 is all", log=True),
        "split_seed": Int(0, 2**31 - 1, 0, "seed of the split by document"),
        **training_space(
            batch_size=32,
            lr=5e-4,
            optimizer="adamw",
            weight_decay=0.01,
            lr_schedule="plateau",
            ema_decay=0.99,
            grad_every=50,
        ),
    },
    rules=[heads_divide_the_width, some_term_reaches_the_model, contrast_has_negatives],
    presets={"note": NOTE},
)
