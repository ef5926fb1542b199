"""What the metrics of the event autoencoder mean; recorded as ``valid/<name>`` and ``test/<name>``."""

from trainables.dataset import Metric
from trainables.guard import Guard

GUARDS = (Guard("valid/latent_rankme", below=1.05, patience=3, grace=2),)  # all tokens on one line

METRICS: dict[str, Metric] = {
    "rec_tokens": Metric("min", True, "squared error of standardised token features, mean over real tokens"),
    "rec_globals": Metric("min", True, "unweighted squared error of the standardised globals"),
    "comparable_loss": Metric(
        "min", True, "rec_tokens + rec_globals, both unweighted: comparable across weights"
    ),
    "trained_loss": Metric(
        None,
        True,
        "those terms of comparable_loss whose weight is above 0; selects the epoch, compares no cells",
    ),
    "met_r2": Metric("max", False, "R^2 of MET"),
    "metphi_cos_err": Metric("min", True, "1 - cos of the angle between true and rebuilt MET, mean"),
    "met_resolution": Metric("min", True, "standard deviation of (rebuilt - true) / true MET"),
    "perplexity": Metric("max", True, "exp of the entropy of code frequencies over real tokens", "codes"),
    "codebook_usage": Metric("max", False, "share of the codes that are used"),
    "dead_codes": Metric("min", False, "codes whose moving usage lies under the restart threshold", "codes"),
    "rate_bits": Metric(None, False, "log2 of the perplexity: information per token", "bits"),
    "vq_codebook": Metric("min", True, "squared distance of codes to encodings"),
    "vq_commit": Metric("min", True, "squared distance of encodings to codes"),
    "rec_tokens_all_slots": Metric("min", True, "rec_tokens with padding counted in"),
    "rec_globals_weighted": Metric(None, False, "globals_beta times rec_globals"),
    "total_loss": Metric(
        None, True, "what is optimised; holds the swept weight, so never compared across it"
    ),
    "latent_rankme": Metric(None, True, "effective rank of the latents (RankMe)", "dimensions"),
    "latent_participation_ratio": Metric(
        None, True, "participation ratio of the latents' covariance", "dimensions"
    ),
}
