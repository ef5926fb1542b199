"""Which kl_weight, latent size and depth make a variational encoder say something that is not noise?

The context of a puzzle may be collapsed to one for all puzzles, drowned in its own sampling noise, deterministic,
or variational and informative; the report puts every cell into one of the four, with intervals.
48 trials (16 cells x 3 seeds), about 9 minutes on two CPU cores: puzzles of at most 8 x 8, no augmentation, so
that a few hundred steps are enough for the solver to begin to read its context. Seeds of an encoder differ more than
weights do: `--seeds 5` decides more cells. The other variational encoder is one `--set` away.
Expected: more weight, more noise within a puzzle; too much, and nothing is left that tells puzzles apart.

Run:     sweeps run kl_weight
         sweeps run kl_weight --set encoder_type=hybrid_variational
         sweeps run kl_weight --set side=10 --set augment=True --epochs 50
Cluster: ray submit cluster.yaml sweeps/studies/kl_weight.py -- --out s3://bucket/results \
             --gpus-per-trial 1 --epochs 50 --set preset=trm --set side=30 --set augment=True --set passes_per_epoch=100
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="kl_weight",
    family="etrm",
    question="Which kl_weight, latent_dim and depth make a variational encoder say something that is not noise?",
    grid={
        "kl_weight": (0.0, 1e-4, 1e-3, 1e-2),
        "latent_dim": (32, 128),
        "encoder_num_layers": (2, 4),
    },
    fixed={
        "encoder_type": "lpn_var",
        "side": 8,
        "augment": False,
        "n_views": 1,
        "passes_per_epoch": 5,
        "train_rows": 16,
    },
    seeds=3,
    epochs=4,
    objective=Objective("valid/lm", mode="min"),
    analysis="encoder_variance",
)

if __name__ == "__main__":
    main(STUDY)
