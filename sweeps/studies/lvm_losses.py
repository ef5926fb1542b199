"""Squared error, contrast or both: which loss makes a next-vector model say more than the mean, in which backbone?

The design note behind this family blames plain squared error for predictions that are one vector for all; its authors'
later record has squared error ahead of the contrastive term. Every mix has the same two weak terms on moments and
spread. The weights of "both" are set so that either term has a say in the gradient: see the shares in the report.
36 trials (4 backbones x 3 mixes x 3 seeds), about 7 minutes on two CPU cores, on the documentation of installed
packages (no download; `sweeps data extract lvm` makes windows of your own texts).
Expected: squared error beats the mean vector by little, contrast pays cosine for retrieval; whether any beats the mean
of its context is the question.

Run:     sweeps run lvm_losses
         sweeps run lvm_losses --data my_windows.npz
Cluster: ray submit cluster.yaml sweeps/studies/lvm_losses.py -- --out /shared/results \
             --gpus-per-trial 0.25 --data /shared/windows.parquet --set preset=note
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="lvm_losses",
    family="lvm",
    question="Squared error, contrast or both: which makes a next-vector model say more than the mean?",
    grid={"backbone": ("lstm", "gru", "transformer", "mamba2")},
    arms={
        "mse": {"mse_weight": 1.0, "infonce_weight": 0.0},
        "infonce": {"mse_weight": 0.0, "infonce_weight": 1.0},
        "both": {"mse_weight": 1.0, "infonce_weight": 1e-4},
    },
    seeds=3,
    epochs=8,
    objective=Objective("valid/cos", mode="max"),
    analysis="lvm",
)

if __name__ == "__main__":
    main(STUDY)
