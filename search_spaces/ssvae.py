"""Parameters of the semi-supervised VAE: prior, eight decoders, seven reconstruction terms, and their weights."""

from __future__ import annotations

from search_spaces.domains import Choice, Float, Int, Params, Space
from search_spaces.training import training_space

HOMOSCEDASTIC_LOSSES = ("mse", "optimal_sigma")
HETEROSCEDASTIC_LOSSES = ("nll", "note_nll", "normalised_nll", "beta_nll", "faithful")


def loss_fits_the_decoder(params: Params) -> str | None:
    """Return what is wrong when the loss reads a sigma that nothing predicts, or the other way round."""
    loss, predicts = str(params["recon_loss"]), bool(params["heteroscedastic"])
    if loss in HETEROSCEDASTIC_LOSSES and not predicts:
        return (
            f"recon_loss={loss} needs a predicted sigma, but heteroscedastic=False. "
            f"Set heteroscedastic=True, or take recon_loss {' or '.join(HOMOSCEDASTIC_LOSSES)}."
        )
    if loss in HOMOSCEDASTIC_LOSSES and predicts:
        return (
            f"recon_loss={loss} would leave a predicted sigma untrained, but heteroscedastic=True. "
            f"Set heteroscedastic=False, or take recon_loss {', '.join(HETEROSCEDASTIC_LOSSES)}."
        )
    return None


def sigma_bounds_are_ordered(params: Params) -> str | None:
    """Return what is wrong unless 0 < sigma_min < sigma_max."""
    low, high = float(params["sigma_min"]), float(params["sigma_max"])
    if 0 < low < high:
        return None
    return (
        f"sigma_min={low:g} and sigma_max={high:g} do not fulfil 0 < sigma_min < sigma_max. "
        "Lower sigma_min (keeping it above 0) or raise sigma_max; the defaults are 0.05 and 0.5."
    )


SPACE = Space(
    {
        "prior": Choice(
            ("standard", "mixture"),
            "mixture",
            "N(0, I) alone, or with a component c that the decoder may see",
        ),
        "decoder_type": Choice(("dense", "conv"), "dense", "layers of the decoder"),
        "component_aware": Choice(
            (False, True), True, "whether the decoder sees the component; no effect under the standard prior"
        ),
        "heteroscedastic": Choice((False, True), True, "whether the decoder predicts one sigma per image"),
        "sigma_head": Choice(
            ("sigmoid", "softplus_clip"), "sigmoid", "how a predicted sigma is kept between its bounds"
        ),
        "recon_loss": Choice(
            ("mse", "optimal_sigma", "nll", "note_nll", "normalised_nll", "beta_nll", "faithful"),
            "nll",
            "form of the reconstruction term",
        ),
        "recon_weight": Float(0.0, 1e6, 1.0, "weight of the reconstruction term", log=True, weight=True),
        "separate_recon_weight": Choice(
            (False, True),
            False,
            "whether a heteroscedastic decoder takes heteroscedastic_recon_weight in place of recon_weight",
        ),
        "heteroscedastic_recon_weight": Float(
            0.0, 1e6, 1.0, "weight of the reconstruction term when separate", log=True, weight=True
        ),
        "beta_nll_exponent": Float(0.0, 1.0, 0.5, "exponent b of beta_nll: 0 is nll, 1 weighs like mse"),
        "kl_weight": Float(0.0, 1e6, 5.0, "weight of KL(q(z|x) || N(0, I))", log=True, weight=True),
        "kl_schedule": Choice(
            ("constant", "linear", "cyclical"),
            "constant",
            "factor on kl_weight: 1; from 0 to 1 over the first half of training; four such ramps",
        ),
        "free_bits": Float(0.0, 100.0, 0.0, "KL per latent dimension that costs nothing extra", unit="nats"),
        "kl_c_weight": Float(0.0, 1e6, 0.001, "weight of KL(q(c|x) || pi)", log=True, weight=True),
        "dirichlet_weight": Float(
            0.0,
            1e6,
            0.001,
            "weight of the Dirichlet prior on pi; one over n_train is its ELBO",
            log=True,
            weight=True,
        ),
        "dirichlet_alpha": Float(1.0, 1000.0, 5.0, "concentration of the Dirichlet prior on pi", log=True),
        "diversity_weight": Float(
            0.0,
            1e6,
            0.05,
            "weight of minus the entropy of mean usage: more spreads usage",
            log=True,
            weight=True,
        ),
        "label_weight": Float(
            0.0, 1e6, 1.0, "weight of the tau term on labelled images", log=True, weight=True
        ),
        "tau_alpha0": Float(
            1e-3, 1000.0, 1.0, "count that every component gives every class at first", log=True
        ),
        "n_components": Int(2, 1000, 10, "components K", log=True),
        "latent_dim": Int(1, 1024, 16, "latent dimensions L", log=True),
        "component_dim": Int(1, 1024, 8, "width of a component's embedding", log=True),
        "hidden_dim": Int(8, 8192, 256, "widest layer; the encoder is this, a half, a quarter", log=True),
        "sigma_min": Float(0.0, 0.9, 0.05, "lower bound of a predicted sigma", log=True),
        "sigma_max": Float(0.0, 10.0, 0.5, "upper bound of a predicted sigma", log=True),
        "dataset": Choice(
            ("digits", "mnist"), "digits", "scikit-learn's 8 x 8 digits, or MNIST / files of your own"
        ),
        "n_images": Int(0, 10**9, 0, "images used of the data; 0 is all", log=True),
        "n_labelled": Int(1, 10**9, 50, "training images whose label is known", log=True),
        "split_seed": Int(0, 2**31 - 1, 0, "seed of the 60/20/20 split by class"),
        "label_seed": Int(0, 2**31 - 1, 0, "seed of the draw of labelled images"),
        **training_space(patience=10),
    },
    rules=[loss_fits_the_decoder, sigma_bounds_are_ordered],
)
