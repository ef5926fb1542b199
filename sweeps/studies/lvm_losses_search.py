"""How heavy may the terms on moments and spread be, and how hot the contrast, before skill is paid for them?

The form of `lvm_losses` that is searched: three parameters, two objectives that may conflict, skill over the best
trivial predictor and the error of the predictions' moments. The report shows the Pareto set and suggests its knee.
46 trials (40 points, 3 finalists on two further seeds), about 10 minutes on two CPU cores.
Expected: moments are matched at a weight far above the note's 0.001, at little cost.

Run:     sweeps run lvm_losses_search
Cluster: ray submit cluster.yaml sweeps/studies/lvm_losses_search.py -- --out /shared/results \
             --gpus-per-trial 0.25 --data /shared/windows.parquet
"""

from sweeps.__main__ import main
from sweeps.study import Objective, Study

STUDY = Study(
    name="lvm_losses_search",
    family="lvm",
    question="Which weights on moments and spread, and which temperature, match the corpus without losing skill?",
    search={"moment_weight": (1e-3, 1e2), "variance_weight": (1e-4, 1e1), "temperature": (0.02, 1.0)},
    fixed={"backbone": "gru"},
    seeds=3,
    epochs=8,
    objective=Objective("valid/skill", mode="max"),
    objectives=(Objective("valid/skill", mode="max"), Objective("valid/moment_err", mode="min")),
    sampler="nsga2",
    max_trials=46,
    finalists=3,
    analysis="lvm",
)

if __name__ == "__main__":
    main(STUDY)
