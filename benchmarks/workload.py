"""The work that every contender does: the trials of one study, cut short.

The study's own plan decides the trials, so a contender cannot train something else by accident. A job is
plain values, written to a file for a fresh process. Imports neither Ray, torch nor MLflow.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.domains import Params
from sweeps.plan import Plan, make_plan
from sweeps.studies.compare_globals_heads import STUDY
from sweeps.study import Study

JOB_FILE = "job.json"
DONE_FILE = "done.json"
LOG_FILE = "contender.log"
METRIC = STUDY.objective.metric


@dataclass(frozen=True)
class Workload:
    """How far the study is cut.

    Args:
        n_trials: Number of its trials, the first of the plan.
        epochs: Epochs per trial.
        n_events: Events to train on, 0 for all.
    """

    n_trials: int
    epochs: int
    n_events: int

    @property
    def study(self) -> Study:
        """The study with its epochs and events cut."""
        return replace(STUDY, epochs=self.epochs, fixed={**STUDY.fixed, "n_events": self.n_events})

    def plan(self, out: Path) -> Plan:
        """Return the plan of the first ``n_trials`` trials, with results under ``out``."""
        return replace(make_plan(self.study, out), limit=self.n_trials)


SHORT = Workload(n_trials=27, epochs=5, n_events=5_000)  # measured: 1.3 s of training per trial on one core
DEMO = Workload(n_trials=27, epochs=STUDY.epochs, n_events=0)


@dataclass(frozen=True)
class JobTrial:
    """One trial as a contender gets it.

    Args:
        label: Cell and seed as text; names the trial in every contender's answer.
        swept: Swept parameters.
        params: Every parameter.
        seed: Its seed.
    """

    label: str
    swept: Params
    params: Params
    seed: int


@dataclass(frozen=True)
class Job:
    """What a contender's process is given.

    Args:
        workload: What was cut.
        family: Name of the family.
        trials: The trials, in the plan's order.
        folder: Fresh folder for everything the contender writes.
    """

    workload: Workload
    family: str
    trials: tuple[JobTrial, ...]
    folder: Path


@dataclass(frozen=True)
class Done:
    """What a contender says of its work.

    Args:
        losses: The last epoch's value of `METRIC` by trial label.
        epochs: Epochs trained by trial label.
        training_s: Seconds inside `Training.run_epoch` by trial label; empty where they are not known.
    """

    losses: dict[str, float]
    epochs: dict[str, int]
    training_s: dict[str, float]


def make_job(workload: Workload, folder: Path) -> Job:
    """Return the job of ``workload``; ``folder`` is not touched."""
    plan = workload.plan(folder)
    trials = tuple(
        JobTrial(f"{trial.cell} seed {trial.seed}", dict(trial.swept), dict(trial.params), trial.seed)
        for trial in plan.trials
    )
    return Job(workload, plan.study.family, trials, folder)


def write_job(job: Job) -> None:
    """Write the job into its folder, where `read_job` finds it."""
    content = {**asdict(job), "folder": str(job.folder)}
    (job.folder / JOB_FILE).write_text(json.dumps(content))


def read_job(folder: Path) -> Job:
    """Return the job that `write_job` wrote."""
    content: dict[str, Any] = json.loads((folder / JOB_FILE).read_text())
    trials = tuple(JobTrial(**trial) for trial in content["trials"])
    return Job(Workload(**content["workload"]), content["family"], trials, Path(content["folder"]))


def write_done(done: Done, folder: Path) -> None:
    """Write a contender's answer; floats keep every bit."""
    (folder / DONE_FILE).write_text(json.dumps(asdict(done)))


def read_done(folder: Path) -> Done:
    """Return the answer that `write_done` wrote."""
    return Done(**json.loads((folder / DONE_FILE).read_text()))
