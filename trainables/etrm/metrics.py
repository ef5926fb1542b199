"""What each metric of the family means, and which rules end a search's trial early. Imports no torch."""

from __future__ import annotations

from trainables.dataset import Metric
from trainables.etrm.health import COLLAPSED_CROSS_RATIO
from trainables.guard import Guard

METRICS = {
    "lm": Metric("min", True, "stablemax cross-entropy, mean over cells", unit="nats"),
    "accuracy": Metric("max", False, "share of cells that are right"),
    "exact_accuracy": Metric("max", False, "share of queries whose whole grid is right after the last step"),
    "exact_accuracy_at_halt": Metric(
        "max", False, "the same at the step at which the solver would halt", detail=True
    ),
    "pass_at_1": Metric("max", False, "share of puzzles solved by the most voted answer", detail=True),
    "pass_at_2": Metric("max", False, "share of puzzles solved by one of the two most voted answers"),
    "pass_at_5": Metric(
        "max", False, "share of puzzles solved by one of the five most voted answers", detail=True
    ),
    "steps": Metric(None, True, "mean step at which the solver would halt"),
    "q_halt_accuracy": Metric(
        "max", False, "how often the halting value tells right from wrong", detail=True
    ),
    "copy_rate": Metric("min", False, "share of predictions equal to the query, where the answer is not"),
    "copy_cell_rate": Metric(
        "min", False, "share of cells predicted as in the query, where the answer differs", detail=True
    ),
    "encoder_cross_sample_var": Metric(None, True, "variance of the context between puzzles", detail=True),
    "encoder_cross_sample_ratio": Metric(
        "max",
        False,
        "variance of the context between puzzles over its mean square, sampling noise included: 0 says the same of all",
    ),
    "encoder_within_puzzle_var": Metric(
        None, True, "variance between two draws of one puzzle's context: twice what sampling adds"
    ),
    "signal_var": Metric(None, True, "variance between puzzles of the context at the mean of the latent"),
    "noise_var": Metric(None, False, "variance of the context that sampling the latent adds"),
    "snr": Metric(None, False, "signal_var over noise_var; absent without noise", detail=True),
    "context_to_token_rms": Metric(
        None, True, "root mean square of the context over that of the query tokens"
    ),
    "encoder_output_norm": Metric(None, True, "mean norm of a context token", detail=True),
    "encoder_output_mean": Metric(None, False, "mean of the context", detail=True),
    "encoder_output_std": Metric(None, True, "standard deviation of the context", detail=True),
    "rankme": Metric(None, True, "effective rank of the contexts"),
    "ctx_flip": Metric(None, False, "share of cells whose prediction changes under another puzzle's context"),
    "ctx_kl": Metric(
        None, True, "divergence of the predictions under another puzzle's context", unit="nats", detail=True
    ),
    "em_drop_shuffle": Metric(None, False, "exact accuracy lost under another puzzle's context", detail=True),
    "em_drop_zero": Metric(None, False, "exact accuracy lost without a context", detail=True),
    "kl_per_dim": Metric(None, True, "KL of the latent to N(0, I), per dimension", unit="nats"),
    "active_units": Metric(None, False, "latent dimensions whose mean varies by more than 0.01"),
}

# A search spends its epochs on encoders that learn and that tell puzzles apart.
GUARDS = (
    Guard("frac_params_with_grad/encoder", below=1.0, patience=2),
    Guard("valid/encoder_cross_sample_ratio", below=COLLAPSED_CROSS_RATIO, patience=5, grace=5),
)
