"""The same question as `kl_weight`, searched: kl_weight log-uniform, per encoder, guards on.

Both variational encoders get the same search on one seed, and their two best points are trained on three seeds.
A trial whose encoder gets no gradient, or says the same of every puzzle, is ended early and counted as collapsed.
48 trials (2 encoders x (20 points + 2 finalists x 2 further seeds)), about 10 minutes on two CPU cores.
Expected: weights under 1e-3; larger ones collapse.

Run:     sweeps run kl_weight_search
Cluster: ray submit cluster.yaml sweeps/studies/kl_weight_search.py -- --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study
from trainables.guard import Guard

STUDY = Study(
    name="kl_weight_search",
    family="etrm",
    question="Which kl_weight suits each variational encoder?",
    grid={"encoder_type": ("lpn_var", "hybrid_variational")},
    search={"kl_weight": (1e-6, 1e-1), "latent_dim": (8, 128)},
    fixed={"side": 8, "augment": False, "n_views": 1, "passes_per_epoch": 5, "train_rows": 16},
    seeds=3,
    epochs=4,
    objective=Objective("valid/lm", mode="min"),
    max_trials=48,
    finalists=2,
    guards=(
        Guard("frac_params_with_grad/encoder", below=1.0, patience=2),
        Guard("valid/encoder_cross_sample_ratio", below=0.05, patience=2, grace=1),
    ),
    analysis="encoder_variance",
)

if __name__ == "__main__":
    main(STUDY)
