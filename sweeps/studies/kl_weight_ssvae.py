"""How much KL weight, on which schedule, keeps z informative without paying in likelihood?

36 trials (12 cells x 3 seeds), about 4 minutes on two CPU cores.
Expected: at 5 the latent dies (posterior collapse); at 0.01 it explains what components should; a schedule
moves the edge and not the order.

Run:     sweeps run kl_weight_ssvae
Cluster: ray submit cluster.yaml sweeps/studies/kl_weight_ssvae.py -- --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="kl_weight_ssvae",
    family="ssvae",
    question="Which kl_weight and schedule keep the latent informative without a loss of likelihood?",
    grid={"kl_weight": (0.01, 0.1, 1.0, 5.0), "kl_schedule": ("constant", "linear", "cyclical")},
    fixed={"recon_loss": "nll", "diversity_weight": 1.0, "patience": 0},
    seeds=3,
    epochs=100,
    objective=Objective("valid/neg_elbo_per_pixel", mode="min"),
    analysis="kl_weight",
)

if __name__ == "__main__":
    main(STUDY)
