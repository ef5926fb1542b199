"""Why does the hybrid encoder starve: gradient flow, output scale, architecture or halting?

A star around the note's failing configuration SF1 (hybrid encoder of four layers, exploration 0.5, small batch): every
arm but the two references changes one thing, so that each hypothesis has an experiment of its own. SF2 is SF1 with
exploration 0.7; the control is the standard encoder of two layers with little exploration and the larger batch.
A full design of the note's axes has 168 cells; this one has ten. Batches 128 and 256 of the note are 16 and 32 here,
and the 1000 steps of a frozen solver are the first 50 of 336. The control makes twice the passes, so that it takes as
many steps as SF1; the large batch alone changes nothing else, and so takes half of them.
Sixteen puzzles, learnt by heart: few enough that a solver begins to get whole grids right, and so to halt, within the
budget. The objective is what is learnt of them; nothing unseen is solved at this size.
30 trials (10 arms x 3 seeds), about 12 minutes on two CPU cores.
Expected: unknown; the report ranks the hypotheses by evidence, each with its fix.

Run:     sweeps run encoder_health
Cluster: ray submit cluster.yaml sweeps/studies/encoder_health.py -- --out s3://bucket/results \
             --gpus-per-trial 1 --epochs 500 --set preset=trm --set side=30 --set n_puzzles=0 --set augment=True
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

SF1 = {
    "encoder_type": "hybrid_standard",
    "encoder_num_layers": 4,
    "halt_exploration_prob": 0.5,
    "batch_size": 16,
}

STUDY = Study(
    name="encoder_health",
    family="etrm",
    question="Why does the hybrid encoder do worse than the control, and what mends it?",
    arms={
        "control": {
            "encoder_type": "standard",
            "encoder_num_layers": 2,
            "halt_exploration_prob": 0.1,
            "batch_size": 32,
            "passes_per_epoch": 100,
        },
        "sf1": SF1,
        "sf2": {**SF1, "halt_exploration_prob": 0.7},
        "sf1_low_exploration": {**SF1, "halt_exploration_prob": 0.1},
        "sf1_fast_encoder": {**SF1, "encoder_lr_scale": 10.0},
        "sf1_frozen_solver": {**SF1, "freeze_decoder_steps": 50},
        "sf1_standard": {**SF1, "encoder_type": "standard"},
        "sf1_two_layers": {**SF1, "encoder_num_layers": 2},
        "sf1_rescaled": {**SF1, "context_scale": 0.125},
        "sf1_large_batch": {**SF1, "batch_size": 32},
    },
    fixed={
        "side": 8,
        "n_puzzles": 16,
        "augment": False,
        "n_views": 1,
        "lr_schedule": "cosine",
        "passes_per_epoch": 50,
        "train_rows": 32,
    },
    seeds=3,
    epochs=6,
    objective=Objective("train_eval/lm", mode="min"),
    analysis="encoder_health",
)

if __name__ == "__main__":
    main(STUDY)
