"""Where does a trade-off between tokens and globals begin, as the latent gets narrower?

With 32 numbers for a handful of inputs there is no bottleneck, and a trade-off cannot appear.
108 trials (36 cells x 3 seeds), about 20 minutes on two CPU cores.

Run:     sweeps run globals_latent_dim
Cluster: ray submit cluster.yaml sweeps/studies/globals_latent_dim.py -- --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="globals_latent_dim",
    family="globals_autoencoder",
    question="At which latent_dim does the weight on the globals begin to cost token reconstruction?",
    grid={
        "latent_space": ("none", "linear", "vq"),
        "globals_beta": (0.0, 1.0, 10.0),
        "latent_dim": (2, 3, 8, 32),
    },
    seeds=3,
    epochs=20,
    objective=Objective("valid/comparable_loss", mode="min", epoch_metric="valid/trained_loss"),
    analysis="globals_heads",
)

if __name__ == "__main__":
    main(STUDY)
