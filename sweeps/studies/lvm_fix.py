"""What does each part of a remedy do, added one after the other to a form that is said to be broken?

The design note behind this family blames gibberish from the decoder on one normalised output trained on squared error,
and asks for two heads, contrast, terms on moments and spread, hard negatives and diverse batches. A ladder: the first
arm is the form it calls broken; every further arm adds one change to the one before. The report gives the effect of
each with its interval.
21 trials (7 arms x 3 seeds), about 5 minutes on two CPU cores.
Expected: unknown; the authors' later record refuted the note's own explanation.

Run:     sweeps run lvm_fix
         sweeps run lvm_fix --data my_windows.npz
Cluster: ray submit cluster.yaml sweeps/studies/lvm_fix.py -- --out /shared/results \
             --gpus-per-trial 0.25 --data /shared/windows.parquet --set preset=note
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

BROKEN = {
    "head": "single_normalised",
    "mse_weight": 1.0,
    "infonce_weight": 0.0,
    "moment_weight": 0.0,
    "variance_weight": 0.0,
    "hard_negatives": False,
    "max_per_doc": 0,
}
SPLIT = {**BROKEN, "head": "split"}
CONTRAST = {**SPLIT, "infonce_weight": 1e-4}
MOMENT = {**CONTRAST, "moment_weight": 0.3}
VARIANCE = {**MOMENT, "variance_weight": 0.003}
HARD = {**VARIANCE, "hard_negatives": True}
DIVERSE = {**HARD, "max_per_doc": 8}

STUDY = Study(
    name="lvm_fix",
    family="lvm",
    question="What do two heads, contrast, moments, spread and harder batches each do to one normalised output?",
    arms={
        "one_normalised": BROKEN,
        "split_head": SPLIT,
        "infonce": CONTRAST,
        "moment": MOMENT,
        "variance": VARIANCE,
        "hard_negatives": HARD,
        "diverse_batches": DIVERSE,
    },
    seeds=3,
    epochs=8,
    objective=Objective("valid/cos", mode="max"),
    analysis="lvm",
)

if __name__ == "__main__":
    main(STUDY)
