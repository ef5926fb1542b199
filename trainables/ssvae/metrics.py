"""What the metrics of the semi-supervised VAE mean; recorded as ``valid/<name>`` and ``test/<name>``."""

from dataclasses import replace

from trainables.dataset import Metric
from trainables.guard import Guard

GUARDS = (
    Guard("valid/K_eff", below=1.5, patience=3, grace=5),  # one component takes every image
    Guard("valid/sigma_at_max", above=0.95, patience=3, grace=5),  # sigma has left the reach of its gradient
)

_COMPONENTS = {
    "K_eff": Metric(
        "max", True, "exp of the entropy of mean usage: components that carry the data", "components"
    ),
    "active_components": Metric("max", False, "components with a mean usage above 0.01", "components"),
    "max_usage": Metric("min", False, "mean usage of the most used component"),
    "component_entropy": Metric(None, False, "entropy of q(c|x), mean over images", "nats"),
    "kl_c": Metric(None, False, "KL(q(c|x) || pi), mean over images", "nats"),
    "nmi": Metric("max", False, "normalised mutual information of the likeliest component and the label"),
    "ari": Metric("max", False, "adjusted Rand index of the likeliest component and the label"),
}
_TAU = {
    "accuracy": Metric("max", False, "share of images whose likeliest class is right"),
    "certainty_mean": Metric("max", False, "max over c of r_c max over y of tau[c, y], mean over images"),
    "certainty_std": Metric(None, False, "standard deviation of the certainty over images"),
    "certainty_min": Metric(None, False, "smallest certainty"),
    "certainty_max": Metric(None, False, "largest certainty"),
    "tau_sparsity": Metric(None, False, "share of tau below 0.05"),
    "components_per_label": Metric(
        None, False, "components with tau above 0.15, mean over labels", "components"
    ),
    "label_coverage": Metric("max", False, "labels with a component whose tau is above 0.15", "labels"),
    "free_channels": Metric(
        None, False, "components used below 0.001 or without a label above 0.05", "components"
    ),
}
_LATENT = {
    "kl_z": Metric(None, True, "KL(q(z|x) || N(0, I)), mean over images", "nats"),
    "kl_z_per_dim": Metric(None, True, "kl_z over the latent dimensions", "nats"),
    "active_units": Metric(
        "max", False, "latent dimensions whose mean varies by more than 0.01", "dimensions"
    ),
    "latent_rankme": Metric(None, True, "effective rank of the latent means (RankMe)", "dimensions"),
}
_ERRORS = {
    "nll_per_pixel": Metric(
        "min",
        False,
        "Gaussian negative log likelihood at the predicted sigma; without one, at the split's best sigma",
        "nats/pixel",
    ),
    "neg_elbo_per_pixel": Metric(
        "min", False, "negative ELBO at the posterior mean of z, all weights at 1", "nats/pixel"
    ),
    "mse": Metric("min", True, "squared error of the mean reconstruction, mean over pixels"),
    "mae": Metric("min", True, "absolute error of the mean reconstruction, mean over pixels"),
    "recon_loss": Metric(None, False, "the reconstruction term in its own form, unweighted"),
    "total_loss": Metric(
        None, False, "everything weighted; holds the swept weights, so never compared across them"
    ),
    "beta_eff": Metric(None, True, "kl_weight over recon_weight in the units of an ELBO at sigma 0.1"),
}
_SIGMA = {
    "sigma_mean": Metric(None, True, "predicted sigma, mean over images"),
    "sigma_std": Metric(None, False, "standard deviation of the predicted sigma over images"),
    "sigma_at_max": Metric("min", False, "share of images with sigma within 0.01 of sigma_max"),
    "sigma_at_min": Metric("min", False, "share of images with sigma within 0.01 of sigma_min"),
    "sigma_error_spearman": Metric(
        "max", False, "rank correlation of sigma and an image's RMSE; 0 for one sigma"
    ),
    "calibration_std": Metric(None, True, "standard deviation of (x - mean) / sigma; 1 is calibrated"),
    "coverage_50": Metric(None, False, "share of pixels inside the 50 % interval"),
    "coverage_90": Metric(None, False, "share of pixels inside the 90 % interval"),
    "ece_regression": Metric(
        "min", True, "distance of observed from nominal coverage, mean over nine levels"
    ),
}
_OOD = {
    "ood_auroc": Metric(
        "max", False, "AUROC of the combined uncertainty, mean over the three kinds of foreign image"
    ),
    "ood_auroc_certainty": Metric("max", False, "the same by 1 - certainty alone"),
    "ood_auroc_sigma": Metric("max", False, "the same by sigma alone; 0.5 for one sigma"),
    "ood_auroc_rotated": Metric(
        "max", False, "AUROC of the combined uncertainty: images turned by 90 degrees"
    ),
    "ood_auroc_inverted": Metric("max", False, "AUROC of the combined uncertainty: 1 - x"),
    "ood_auroc_noise": Metric("max", False, "AUROC of the combined uncertainty: uniform noise"),
}
_DETAILS = {
    *(
        "mae",
        "total_loss",
        "certainty_std",
        "certainty_min",
        "certainty_max",
        "tau_sparsity",
        "label_coverage",
    ),
    *(
        "components_per_label",
        "free_channels",
        "active_components",
        "component_entropy",
        "kl_c",
        "nmi",
        "ari",
    ),
    *("kl_z", "latent_rankme", "sigma_at_min", "coverage_50", "coverage_90", "ece_regression"),
    *("ood_auroc_certainty", "ood_auroc_sigma", "ood_auroc_rotated", "ood_auroc_inverted", "ood_auroc_noise"),
}
METRICS: dict[str, Metric] = {
    name: replace(metric, detail=name in _DETAILS)
    for name, metric in (_ERRORS | _TAU | _COMPONENTS | _LATENT | _SIGMA | _OOD).items()
}
