"""Does the recursive solver learn at all: can the control learn 32 small puzzles by heart?

The sanity line before any question about encoders: on 32 real puzzles of at most 8 x 8, without augmentation, the
standard encoder must get most training grids exactly right, which copying the query never does.
1 trial of 1350 steps, about 8 minutes on one CPU core.
Expected: train_eval/exact_accuracy above 0.6, the copy baseline beside it 0; held-out puzzles stay unsolved.

Run:     sweeps run overfit_check
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="overfit_check",
    family="etrm",
    question="Can the control learn 32 small puzzles by heart?",
    grid={"encoder_type": ("standard",)},
    fixed={
        "side": 8,
        "n_puzzles": 32,
        "augment": False,
        "batch_size": 32,
        "lr_schedule": "cosine",
        "passes_per_epoch": 40,
        "train_rows": 64,
    },
    seeds=1,
    epochs=30,
    objective=Objective("train_eval/exact_accuracy", mode="max"),
)

if __name__ == "__main__":
    main(STUDY)
