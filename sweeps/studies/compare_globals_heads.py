"""Does globals_beta help the globals, and what does it cost the tokens?

27 trials (9 cells x 3 seeds), about 5 minutes on two CPU cores.
Expected: globals improve strongly from beta 0 to 1 and hardly from 1 to 10; vq rebuilds tokens worst.

Run:     sweeps run compare_globals_heads
Cluster: ray submit cluster.yaml sweeps/studies/compare_globals_heads.py -- --out s3://bucket/results
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="compare_globals_heads",
    family="globals_autoencoder",
    question="How does the weight on global reconstruction act in each latent space?",
    grid={"latent_space": ("none", "linear", "vq"), "globals_beta": (0.0, 1.0, 10.0)},
    seeds=3,
    epochs=20,
    objective=Objective("valid/comparable_loss", mode="min", epoch_metric="valid/trained_loss"),
    analysis="globals_heads",
)

if __name__ == "__main__":
    main(STUDY)
