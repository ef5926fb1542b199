"""Contender `pure`: the same trainings on every core and nothing else, the limit for any driver.

One process per core with one thread, trials from a shared queue, data loaded once per process; no Ray, no
tracking, no file.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from benchmarks.workload import METRIC, Done, Job


def run(job: Job) -> Done:
    """Train every trial and return what the processes sent.

    Raises:
        RuntimeError: If a process failed.
    """
    context = multiprocessing.get_context("spawn")
    n_processes = min(os.cpu_count() or 1, len(job.trials))
    trials, answers = context.Queue(), context.Queue()
    for item in [*range(len(job.trials)), *[None] * n_processes]:
        trials.put(item)
    processes = [
        context.Process(target=train_from, args=(job, trials, answers), daemon=True)
        for _ in range(n_processes)
    ]
    for process in processes:
        process.start()
    done = Done({}, {}, {})
    for label, loss, epochs, training_s in iter_answers(answers, n_processes):
        done.losses[label], done.epochs[label], done.training_s[label] = loss, epochs, training_s
    for process in processes:
        process.join()
    return done


def iter_answers(answers: Any, n_processes: int) -> Any:
    """Yield the answers until every process has said that it ended.

    Raises:
        RuntimeError: If one ended with an error.
    """
    while n_processes:
        answer = answers.get()
        if answer is None:
            n_processes -= 1
        elif isinstance(answer, str):
            raise RuntimeError(f"A training process failed: {answer}")
        else:
            yield answer


def train_from(job: Job, trials: Any, answers: Any) -> None:
    """Train trials of the queue until it gives None; the body of one process."""
    try:
        from benchmarks.one_trial import begin
        from trainables.families import load_family

        dataset = load_family(job.family).load_data(job.trials[0].params, None)
        while (number := trials.get()) is not None:
            trial = job.trials[number]
            training = begin(trial.params, trial.seed, job.workload.epochs, dataset)
            while not training.done:
                training.run_epoch()
            loss = training.history[-1][METRIC]
            answers.put((trial.label, loss, training.epoch, training.wall_s))
        answers.put(None)
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")
        raise
