"""Which recon_weight and kl_weight suit each form of the reconstruction term?

Weights of different forms do not compare; their best points do. Every form gets the same search on one seed,
and its two best points are trained again on three. Likelihood, accuracy and use of components are optimised
together, because each alone is won by a model that fails the others.
168 trials (7 forms x (20 points + 2 finalists x 2 further seeds)), about 15 minutes on two CPU cores.
Expected: for the likelihood forms a recon_weight near the ELBO's, kl_weight near or below 1.

Run:     sweeps run recon_weight
         sweeps run recon_weight --set arm=nll,beta_nll --max-trials 100
Cluster: ray submit cluster.yaml sweeps/studies/recon_weight.py -- --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

ONE_SIGMA = {"heteroscedastic": False}

STUDY = Study(
    name="recon_weight",
    family="ssvae",
    question="Which recon_weight and kl_weight suit each form of the reconstruction term?",
    arms={
        "mse": {"recon_loss": "mse", **ONE_SIGMA},
        "optimal_sigma": {"recon_loss": "optimal_sigma", **ONE_SIGMA},
        "nll": {"recon_loss": "nll"},
        "note_nll": {"recon_loss": "note_nll"},
        "normalised_nll": {"recon_loss": "normalised_nll"},
        "beta_nll": {"recon_loss": "beta_nll"},
        "faithful": {"recon_loss": "faithful"},
    },
    search={"recon_weight": (1e-2, 1e3), "kl_weight": (1e-2, 1e1)},
    fixed={"diversity_weight": 1.0},
    seeds=3,
    epochs=100,
    objective=Objective("valid/nll_per_pixel", mode="min"),
    objectives=(
        Objective("valid/nll_per_pixel", mode="min"),
        Objective("valid/accuracy", mode="max"),
        Objective("valid/K_eff", mode="max"),
    ),
    sampler="tpe",
    max_trials=168,
    finalists=2,
    analysis="recon_weight",
)

if __name__ == "__main__":
    main(STUDY)
