"""From the winner of a sweep to an MLflow model that answers requests, and to a version in the model registry.

The model is made of what the trial left (weights and ``serving.json``) and of the code that trained it, so that who
serves it needs neither data nor this repository. It belongs to the trial's run. What is in MLflow already is found by
its tags, so that all of this may be repeated and doubles nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import RefusedError
from sweeps.model_folder import save_model, serving_of
from sweeps.tracking import children_of, import_mlflow, reason_of, shown_in_mlflow
from sweeps.winner import Winner, find_winner
from trainables.serving import SERVING_FILE


@dataclass(frozen=True)
class Promoted:
    """A version in the model registry.

    Args:
        winner: The trial behind it.
        name: Name of the registered model.
        version: Number of the version.
        alias: What points to it now, as in ``models:/<name>@<alias>``.
        is_new: Whether it was registered now.
        model_id: The model that was logged to the trial's run.
    """

    winner: Winner
    name: str
    version: str
    alias: str
    is_new: bool
    model_id: str

    @property
    def uri(self) -> str:
        """The model's URI for ``mlflow models serve`` and `mlflow.pyfunc.load_model`."""
        return f"models:/{self.name}@{self.alias}"

    def as_json(self) -> dict[str, Any]:
        """Return what `sweeps promote --json` prints."""
        row = self.winner.row
        registered = {key: value for key, value in vars(self).items() if key != "winner"}
        trial = {"trial_id": row.trial_id, "cell": row.cell, "seed": row.seed}
        return {
            "sweep_id": self.winner.sweep["sweep_id"],
            **trial,
            self.winner.metric: self.winner.value,
            "standing": dict(self.winner.standing),
            **registered,
            "uri": self.uri,
        }

    def as_text(self, tracking_uri: str) -> str:
        """Return what `sweeps promote` prints."""
        row, winner = self.winner.row, self.winner
        done = "registered" if self.is_new else "was registered before; nothing is registered twice"
        said = {"caution": winner.standing["caution"], "test": winner.standing["test"]}
        standing = "".join(f"{name:8} {text}\n" for name, text in said.items() if text)
        return (
            f"{self.name} version {self.version} {done}; {self.uri} is this version\n"
            f"trial    {row.trial_id}, {row.cell} seed {row.seed}: {winner.metric} {winner.value:.4g}\n"
            f"{standing}"
            f"serve    MLFLOW_TRACKING_URI={tracking_uri} mlflow models serve -m {self.uri} --env-manager local"
        )


def log_winner(folder: Path, uri: str) -> str | None:
    """Log the winner of a sweep to its run, where there is one and its family says how it is served.

    Args:
        folder: Folder of the sweep.
        uri: Tracking URI.

    Returns:
        What went wrong, None if nothing.
    """
    if not any(folder.glob(f"*/*/{SERVING_FILE}")):
        return None
    try:
        winner = find_winner(folder)
    except RefusedError:
        return None  # the report says why nothing is recommended
    try:
        ModelStore(uri, winner).logged_model()
    except RefusedError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever a remote store raises, the trial's folder has it all
        return f"{reason_of(error).removesuffix('.')}."
    return None


def promote(folder: Path, uri: str, name: str | None, alias: str) -> Promoted:
    """Register the winner of a sweep as a version of a model, and let an alias point to it.

    Args:
        folder: Folder of the sweep.
        uri: Tracking URI.
        name: Name of the registered model, that of the study when None.
        alias: Alias of the version.

    Raises:
        RefusedError: If there is no winner, it cannot be served, or MLflow does not know its run.
    """
    winner = find_winner(folder)
    serving_of(winner)
    import_mlflow(uri)
    from mlflow.exceptions import MlflowException

    try:
        store = ModelStore(uri, winner)
        model = store.logged_model()
        version, is_new = store.registered(name or winner.study, model)
        store.describe(name or winner.study, version)
        store.client.set_registered_model_alias(name or winner.study, alias, version)
    except (MlflowException, OSError) as error:
        raise RefusedError(f"{uri} did not take the model: {reason_of(error)}. Repeat it freely.") from error
    return Promoted(winner, name or winner.study, version, alias, is_new, str(model.model_id))


class ModelStore:
    """The models of one trial in an MLflow store.

    Args:
        uri: Tracking URI, also of the registry.
        winner: The trial.
    """

    def __init__(self, uri: str, winner: Winner) -> None:
        import_mlflow(uri)
        from mlflow.tracking import MlflowClient

        self.client, self.uri, self.winner = MlflowClient(uri, uri), uri, winner
        self.tags = {
            "sweep_id": str(winner.sweep["sweep_id"]),
            "trial_id": winner.row.trial_id,
            "cell": winner.row.cell,
        }
        self.run = self._run()

    def _run(self) -> Any:
        """Return the trial's run: by its tags, because records do not say which store their run id is of."""
        experiment = self.client.get_experiment_by_name(self.winner.study)
        records_id = self.winner.sweep.get("provenance", {}).get("records_id")
        for parent in self._runs(
            experiment, f"tags.sweep_id = '{self.tags['sweep_id']}' and tags.kind = 'sweep'"
        ):
            if parent.data.tags.get("records_id") != records_id:
                continue  # other records of the same question
            query = f"{children_of(parent.info.run_id)} and tags.trial_id = '{self.tags['trial_id']}'"
            for run in self._runs(experiment, query):
                return run
        raise RefusedError(
            f"{self.uri} has no run of trial {self.tags['trial_id']}. Send the sweep there first: "
            f"`sweeps sync {self.tags['sweep_id']}`."
        )

    def _runs(self, experiment: Any, query: str) -> Iterable[Any]:
        return self.client.search_runs([experiment.experiment_id], query) if experiment is not None else []

    def logged_model(self) -> Any:
        """Return the trial's model in MLflow, which is logged now unless it is there.

        The model is marked ready last: one that a kill left behind half-sent is sent again under its id.
        """
        query = f"tags.trial_id = '{self.tags['trial_id']}'"
        found = self.client.search_logged_models([self.run.info.experiment_id], query)
        own = [model for model in found if model.source_run_id == self.run.info.run_id]
        ready = [model for model in own if str(model.status) == "READY"]
        if ready:
            return ready[0]
        model = own[0] if own else self._created()
        with tempfile.TemporaryDirectory() as staging:
            save_model(self.winner, model, Path(staging))
            self.client.log_model_artifacts(model.model_id, str(Path(staging) / "model"))
        self._log_metrics(model.model_id)
        return self.client.finalize_logged_model(model.model_id, "READY")

    def _created(self) -> Any:
        from mlflow.entities import LoggedModelOutput

        model = self.client.create_logged_model(
            self.run.info.experiment_id,
            name=self.winner.study,
            source_run_id=self.run.info.run_id,
            tags=self.tags,
            params=self.run.data.params,
        )
        self.client.log_outputs(self.run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
        return model

    def _log_metrics(self, model_id: str) -> None:
        """Say on the model what its run says of the best epoch: sent with its time, it is the same row there."""
        from mlflow.entities import Metric

        best = self.winner.best
        metrics = [
            Metric(name, value, best.time_ms, best.epoch, model_id=model_id, run_id=self.run.info.run_id)
            for name, value in best.metrics.items()
            if shown_in_mlflow(name, self.winner.sweep.get("metrics", {}))
        ]
        self.client.log_batch(self.run.info.run_id, metrics=metrics)

    def registered(self, name: str, model: Any) -> tuple[str, bool]:
        """Return the version of the registered model ``name`` that is this trial, and whether it is new."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for known in self.client.search_model_versions(f"name = '{name}'"):
            if known.tags.get("trial_id") == self.tags["trial_id"]:
                return str(known.version), False
        made = self.client.create_model_version(
            name, model.artifact_location, self.run.info.run_id, tags=self.tags, model_id=model.model_id
        )
        return str(made.version), True

    def describe(self, name: str, version: str) -> None:
        """Say on a version what its trial reached, and what needs no training reaches; said again, it is the same."""
        winner, trivial = self.winner, self.winner.standing["trivial"]
        tags = {"objective": winner.metric, "objective_value": f"{winner.value:.6g}"}
        if trivial is not None:
            tags |= {
                "best_baseline": trivial["predictor"],
                "best_baseline_value": f"{trivial['value']:.6g}",
                "against_baseline": winner.standing["relation"],
            }
        for key, value in tags.items():
            self.client.set_model_version_tag(name, version, key, value)
        reached = f"{winner.row.cell}, seed {winner.row.seed}: {winner.metric} {winner.value:.4g}."
        told = [reached, winner.standing["caution"], winner.standing["test"]]
        self.client.update_model_version(name, version, " ".join(text for text in told if text))
