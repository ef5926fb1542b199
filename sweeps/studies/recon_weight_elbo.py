"""Where is the best recon_weight of the per-pixel likelihood, judged by the ELBO?

The small search: one form of the loss, one objective, forty trials.
40 trials (34 points + 3 finalists x 2 further seeds), about 3 minutes on two CPU cores.
Expected: recon_weight and kl_weight matter only through their ratio, and the best one is near that of the ELBO.

Run:     sweeps run recon_weight_elbo
         sweeps run recon_weight_elbo --sampler random --seeds 1 --max-trials 200
Cluster: ray submit cluster.yaml sweeps/studies/recon_weight_elbo.py -- --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="recon_weight_elbo",
    family="ssvae",
    question="Where is the best recon_weight of the per-pixel likelihood, judged by the ELBO?",
    search={"recon_weight": (1e-2, 1e2), "kl_weight": (1e-2, 1e1)},
    fixed={"recon_loss": "nll", "diversity_weight": 1.0},
    seeds=3,
    epochs=60,
    objective=Objective("valid/neg_elbo_per_pixel", mode="min"),
    sampler="tpe",
    max_trials=40,
    finalists=3,
    analysis="recon_weight",
)

if __name__ == "__main__":
    main(STUDY)
