"""Parameters of the recursive solver with a demonstration encoder: seven encoders, recursion, halting, puzzles."""

from __future__ import annotations

from search_spaces.domains import PRESET, Choice, Float, Int, Params, Space
from search_spaces.training import training_space

VARIATIONAL_ENCODERS = ("lpn_var", "hybrid_variational")
RECURRENT_ENCODERS = ("recurrent_standard", "trm_style")  # ETRMTRM: a state that lives over the ACT steps
LARGEST_SIDE = 30  # of a grid of ARC


def heads_divide_the_width(params: Params) -> str | None:
    """Return what is wrong unless every attention head gets its channels; the solver turns them in pairs."""
    for width, number, least in (("hidden_dim", "n_heads", 2), ("encoder_dim", "encoder_heads", 1)):
        dim, heads = int(params[width]), int(params[number])
        if dim % (least * heads):
            return (
                f"{width}={dim} does not give {number}={heads} heads {'an even' if least == 2 else 'a whole'} number "
                f"of channels each. Take a multiple of {least * heads}."
            )
    return None


def only_a_recurrent_encoder_is_detached(params: Params) -> str | None:
    """Return what is wrong when a context is read from a carry that the encoder does not have."""
    if not params["detached_context"] or params["encoder_type"] in RECURRENT_ENCODERS:
        return None
    return (
        f"detached_context=True reads the context from the carry, which encoder_type={params['encoder_type']} "
        f"has not. Take {' or '.join(RECURRENT_ENCODERS)}, or detached_context=False."
    )


# The model and optimiser of Jolicoeur-Martineau 2025 (arXiv 2510.04871) on ARC-AGI-1. Its batch of 768 is spread over
# several GPUs in half precision; a sample takes about 2 GiB here, so 32 are what a GPU of 80 GB holds.
TRM: Params = {
    "hidden_dim": 512,
    "encoder_dim": 512,
    "n_heads": 8,
    "encoder_heads": 8,
    "n_layers": 2,
    "H_cycles": 3,
    "L_cycles": 4,
    "halt_max_steps": 16,
    "side": 30,
    "max_demonstrations": 10,
    "batch_size": 32,
    "optimizer": "adamw",
    "lr": 1e-4,
    "adam_beta2": 0.95,
    "weight_decay": 0.1,
    "ema_decay": 0.999,
    "warmup_steps": 2000,
    "passes_per_epoch": 100,
}

SPACE = Space(
    {
        PRESET: Choice(
            ("cpu", "trm"),
            "cpu",
            "defaults of all other parameters: small, or the published model on 30 x 30",
        ),
        "encoder_type": Choice(
            (
                "standard",
                "lpn_standard",
                "hybrid_standard",
                "lpn_var",
                "hybrid_variational",
                "recurrent_standard",
                "trm_style",
            ),
            "standard",
            "how demonstrations become a context",
        ),
        "kl_weight": Float(
            0.0, 1e6, 1e-4, "weight of the KL of a variational encoder to N(0, I)", log=True, weight=True
        ),
        "halt_weight": Float(0.0, 1e6, 0.5, "weight of the halting term", log=True, weight=True),
        "latent_dim": Int(1, 4096, 32, "latent dimensions of a variational encoder", log=True),
        "encoder_num_layers": Int(1, 64, 2, "blocks of the encoder", log=True),
        "encoder_dim": Int(4, 8192, 32, "width of the encoder's blocks", log=True),
        "encoder_heads": Int(1, 64, 2, "attention heads of the encoder's blocks", log=True),
        "encoder_lr_scale": Float(1e-3, 1e3, 1.0, "factor on the encoder's learning rate", log=True),
        "freeze_decoder_steps": Int(
            0, 10**9, 0, "steps at the start in which only the encoder learns", log=True, unit="steps"
        ),
        "context_tokens": Int(1, 1024, 16, "tokens of the context", log=True),
        "context_scale": Float(
            1e-6,
            1e6,
            1.0,
            "factor on the context before the solver reads it; 1 is the model of the paper",
            log=True,
        ),
        "detached_context": Choice(
            (False, True),
            False,
            "whether a recurrent encoder's context is read from the detached carry, so that it never learns",
        ),
        "hidden_dim": Int(4, 8192, 64, "width D of the solver and of the context", log=True),
        "n_heads": Int(1, 64, 4, "attention heads", log=True),
        "n_layers": Int(1, 64, 1, "blocks of the solver's one network", log=True),
        "H_cycles": Int(1, 64, 2, "updates of z_H per step, the last one with gradient", log=True),
        "L_cycles": Int(1, 64, 2, "updates of z_L per update of z_H", log=True),
        "halt_max_steps": Int(1, 256, 4, "most steps on one puzzle; evaluation always takes them", log=True),
        "halt_exploration_prob": Float(
            0.0, 1.0, 0.1, "how often, at every step anew, a puzzle gets a drawn least number of steps"
        ),
        "side": Int(2, LARGEST_SIDE, 10, "only puzzles whose grids all fit side x side", log=True),
        "n_puzzles": Int(0, 10**9, 0, "training puzzles used; 0 is all", log=True),
        "max_demonstrations": Int(1, 64, 3, "most demonstrations of one puzzle that are read", log=True),
        "leave_one_out": Choice(
            (False, True),
            False,
            "whether every training demonstration is also a query, with the others as its context",
        ),
        "augment": Choice(
            (False, True), True, "whether training permutes colours, turns, mirrors and shifts the grids"
        ),
        "n_views": Int(
            1, 1024, 4, "augmented views of an evaluated puzzle that vote on its answer", log=True
        ),
        "split_seed": Int(0, 2**31 - 1, 0, "seed that halves the unseen puzzles into validation and test"),
        **training_space(
            batch_size=16, lr=3e-3, ema_decay=0.98, grad_every=20, train_rows=32, passes_per_epoch=10
        ),
    },
    rules=[heads_divide_the_width, only_a_recurrent_encoder_is_detached],
    presets={"trm": TRM},
)
