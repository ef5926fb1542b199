"""Parameters of the event autoencoder with a bottleneck and a globals head."""

from __future__ import annotations

from search_spaces.domains import Choice, Float, Int, Params, Space
from search_spaces.training import training_space


def heads_divide_the_width(params: Params) -> str | None:
    """Return what is wrong when attention heads cannot share the hidden width evenly."""
    width, heads = int(params["hidden_dim"]), int(params["mixing_heads"])
    if params["mixing"] == "none" or width % heads == 0:
        return None
    return f"hidden_dim={width} is not divisible by mixing_heads={heads}. Take a multiple of {heads}, or fewer heads."


SPACE = Space(
    {
        "latent_space": Choice(("none", "linear", "vq"), "none", "bottleneck between encoder and decoder"),
        "globals_beta": Float(
            0.0, 1e6, 1.0, "weight of the globals reconstruction term", log=True, weight=True
        ),
        "latent_dim": Int(1, 1024, 32, "numbers per token in the latent", log=True),
        "mixing": Choice(
            ("none", "attention"), "none", "whether tokens of an event see each other in the encoder"
        ),
        "mixing_heads": Choice((1, 2, 4, 8), 4, "attention heads when mixing is attention"),
        "hidden_dim": Int(4, 4096, 128, "width of the encoder and decoder layers", log=True),
        "id_dim": Int(1, 64, 8, "width of the object-id embedding"),
        "globals_hidden_dim": Int(1, 1024, 32, "width of the globals head"),
        "codebook_size": Int(2, 65536, 512, "codes of the vector quantiser", log=True),
        "vq_codebook_weight": Float(0.0, 1e6, 1.0, "weight of the codebook term", log=True, weight=True),
        "vq_commit_weight": Float(0.0, 1e6, 0.25, "weight of the commitment term", log=True, weight=True),
        "vq_update": Choice(("gradient", "ema"), "gradient", "how codes follow the encoder"),
        "vq_decay": Float(
            0.0, 0.9999, 0.95, "decay of the moving usage (and of the codes, when vq_update is ema)"
        ),
        "vq_restart_every": Int(0, 10**7, 25, "steps between restarts of dead codes; 0 is off", unit="steps"),
        "vq_restart_threshold": Float(
            0.0, 1.0, 0.1, "usage, as a share of uniform usage, under which a code is dead"
        ),
        "n_events": Int(0, 10**9, 0, "events read from the data; 0 is all", log=True),
        "split_seed": Int(0, 2**31 - 1, 0, "seed of the 80/10/10 split by event"),
        **training_space(),
    },
    rules=[heads_divide_the_width],
)
