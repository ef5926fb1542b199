"""Contender `stock`: Ray Tune and its MLflow callback as their documentation shows them.

A function trainable that reports once an epoch, `with_parameters` for the data, one CPU per trial, the default
loggers on. It reports 12 metrics per epoch, far fewer than `ours` records, and writes no file of a trial.
"""

from __future__ import annotations

from typing import Any

import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback

from benchmarks.tracked import refuse_untracked
from benchmarks.workload import METRIC, Done, Job
from trainables.dataset import Dataset
from trainables.families import load_family

REPORTED = (
    METRIC,
    "valid/total_loss",
    "valid/rec_tokens",
    "valid/rec_globals",
    "valid/met_r2",
    "valid/met_resolution",
    "valid/metphi_cos_err",
    "valid/latent_rankme",
    "train/total_loss",
    "train/rec_tokens",
    "train/rec_globals",
    "grad_norm",
)


def train_trial(config: dict[str, Any], dataset: Dataset, params: dict[str, Any], epochs: int) -> None:
    """Train one trial: ``config["trial"]`` holds its swept parameters and its seed, ``params`` the others."""
    from benchmarks.one_trial import begin

    swept = dict(config["trial"])
    seed = swept.pop("seed")
    training = begin({**params, **swept}, seed, epochs, dataset)
    while not training.done:
        metrics = training.run_epoch()
        tune.report({name: metrics[name] for name in REPORTED if name in metrics})


def run(job: Job) -> Done:
    """Train every trial and return what Tune's results say.

    Raises:
        RuntimeError: If a trial failed or was not tracked.
    """
    ray.init(address="local")  # else Tune joins whatever cluster this machine has, or once had
    params = job.trials[0].params
    dataset = load_family(job.family).load_data(params, None)
    configs = [{**trial.swept, "seed": trial.seed} for trial in job.trials]
    trainable = tune.with_parameters(train_trial, dataset=dataset, params=params, epochs=job.workload.epochs)
    callback = MLflowLoggerCallback(
        tracking_uri=f"sqlite:///{job.folder / 'mlflow.db'}", experiment_name="stock"
    )
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"trial": tune.grid_search(configs)},
        run_config=tune.RunConfig(name="stock", storage_path=str(job.folder), callbacks=[callback]),
    ).fit()
    if results.errors:
        raise RuntimeError(f"{len(results.errors)} trials failed, the first with: {results.errors[0]}")
    refuse_untracked(job.folder / "mlflow.db", job)
    losses, epochs = {}, {}
    for result in results:
        label = job.trials[configs.index(result.config["trial"])].label
        losses[label], epochs[label] = result.metrics[METRIC], result.metrics["training_iteration"]
    return Done(losses, epochs, training_s={})
