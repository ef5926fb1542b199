"""How diverse are the contexts of the seven encoders, and how random?

The note compared a standard encoder (O1), the recurrent one (O3, ETRMTRM) and a variational one (O4), and expected
variances between puzzles of 0.15, 0.15 and 0.05. Its O3 read the context from a detached carry, so that no parameter
of that encoder ever learnt; here it stands beside one that learns.
24 trials (8 arms x 3 seeds), about 7 minutes on two CPU cores.
Expected: the detached encoder keeps the diversity of its initial weights; a variance alone says nothing about use.

Run:     sweeps run encoder_variance
Cluster: ray submit cluster.yaml sweeps/studies/encoder_variance.py -- --out s3://bucket/results \
             --gpus-per-trial 1 --epochs 50 --set preset=trm --set side=30 --set augment=True --set passes_per_epoch=100
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="encoder_variance",
    family="etrm",
    question="How diverse and how random are the contexts of the seven encoders, and which of them are used?",
    arms={
        "standard": {"encoder_type": "standard"},
        "lpn_standard": {"encoder_type": "lpn_standard"},
        "hybrid_standard": {"encoder_type": "hybrid_standard", "encoder_num_layers": 4},
        "lpn_var": {"encoder_type": "lpn_var"},
        "hybrid_variational": {"encoder_type": "hybrid_variational"},
        "recurrent_standard": {"encoder_type": "recurrent_standard"},
        "etrmtrm": {"encoder_type": "trm_style"},
        "etrmtrm_detached": {"encoder_type": "trm_style", "detached_context": True},
    },
    fixed={"side": 8, "augment": False, "n_views": 1, "passes_per_epoch": 5, "train_rows": 16},
    seeds=3,
    epochs=4,
    objective=Objective("valid/lm", mode="min"),
    analysis="encoder_variance",
)

if __name__ == "__main__":
    main(STUDY)
