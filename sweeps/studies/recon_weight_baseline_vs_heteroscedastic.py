"""Why does a heteroscedastic decoder collapse where a plain one learns, and what mends it?

Two arms as they were first compared, three options that were proposed, the two halves of a remedy alone, and
remedies whole. `..._spread` arms also reward even use of components and weigh the labels more. Five seeds: the
arms scatter by very different amounts, so each vouches for itself, and three seeds decide little that is close.
65 trials (13 arms x 5 seeds), about 8 minutes on two CPU cores.
Expected: in the literal arm sigma stands at sigma_max for every image, where its head has no gradient, and z
explains what components should; no option touches that. The sigmoid head with the per-pixel likelihood does.

Run:     sweeps run recon_weight_baseline_vs_heteroscedastic
Cluster: ray submit cluster.yaml sweeps/studies/recon_weight_baseline_vs_heteroscedastic.py -- \
             --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

LITERAL = {"recon_loss": "note_nll", "sigma_head": "softplus_clip", "recon_weight": 500.0}
ELBO = {"recon_loss": "nll", "sigma_head": "sigmoid", "recon_weight": 1.0, "kl_weight": 1.0}
SPREAD = {"diversity_weight": 10.0, "label_weight": 10.0}

STUDY = Study(
    name="recon_weight_baseline_vs_heteroscedastic",
    family="ssvae",
    question="Why does the heteroscedastic decoder collapse at recon_weight 500, and which remedy works?",
    arms={
        "baseline": {"heteroscedastic": False, "recon_loss": "mse", "recon_weight": 500.0},
        "literal": LITERAL,
        "option_1_lower_weight": {**LITERAL, "recon_weight": 50.0},
        "option_2_normalised": {**LITERAL, "recon_loss": "normalised_nll"},
        "option_3_own_weight": {
            **LITERAL,
            "separate_recon_weight": True,
            "heteroscedastic_recon_weight": 1.0,
        },
        "sigmoid_head_alone": {**LITERAL, "sigma_head": "sigmoid"},
        "nll_alone": {**ELBO, "sigma_head": "softplus_clip"},
        "literal_spread": {**LITERAL, **SPREAD},
        "nll": ELBO,
        "nll_spread": {**ELBO, **SPREAD},
        "beta_nll_spread": {**ELBO, **SPREAD, "recon_loss": "beta_nll", "recon_weight": 10.0},
        "faithful_spread": {**ELBO, **SPREAD, "recon_loss": "faithful", "recon_weight": 100.0},
        "optimal_sigma_spread": {**ELBO, **SPREAD, "recon_loss": "optimal_sigma", "heteroscedastic": False},
    },
    seeds=5,
    epochs=100,
    objective=Objective("valid/nll_per_pixel", mode="min"),
    analysis="recon_weight",
)

if __name__ == "__main__":
    main(STUDY)
