"""``sweeps promote`` on records made by hand: which trial wins, what is refused, what a kill leaves behind."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sweeps.commands import run_cli
from sweeps.records import EpochRow, RecordWriter, TrialRow
from sweeps.winner import find_winner
from trainables.families import code_version
from trainables.serving import SERVING_FILE, WEIGHTS_FILE, Serving

DIM, N_CONTEXT = 12, 5


def recorded(folder, n_seeds=2, family="lvm"):
    """Write records of a sweep of two cells by hand, the second one the better; return its folder."""
    sweep = {
        "sweep_id": "abc123",
        "study": {
            "name": "toy",
            "question": "Which pull?",
            "grid": {"pull": [1.0, 2.0]},
            "seeds": list(range(1, n_seeds + 1)),
            "objective": {"metric": "valid/near", "mode": "min"},
        },
        "family": family,
        "axes": {"pull": {"values": [1.0, 2.0]}},
        "metrics": {"near": {"mode": "min", "positive": True}},
        "baselines": {"nothing/valid/near": 0.5},
        "provenance": {"code_version": code_version("lvm")},
    }
    writer = RecordWriter(folder / "toy" / "abc123", sweep)
    for pull in (1.0, 2.0):
        for seed in range(1, n_seeds + 1):
            row = TrialRow(f"t{pull:g}{seed}", f"pull={pull:g}", {"pull": pull}, seed)
            writer.record_trial(row)
            for epoch, value in ((1, 3.0), (2, (100.0 if pull == 1.0 else 1.0) + seed / 100)):
                writer.record_epoch(
                    EpochRow(row.trial_id, epoch, {"valid/near": value}, 1_700_000_000_000 + epoch)
                )
            writer.record_trial(replace(row, state="complete", n_epochs=2))
    writer.compact()
    return folder / "toy" / "abc123"


def refused(capsys, out, name="toy"):
    """Return the one line with which the command line refuses."""
    assert run_cli(["promote", name, "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err


def test_the_winner_is_the_best_seed_of_the_recommended_cell_at_its_best_epoch(tmp_path):
    winner = find_winner(recorded(tmp_path))
    assert (winner.row.trial_id, winner.best.epoch, winner.value) == ("t21", 2, 1.01)
    assert winner.folder == tmp_path / "toy" / "abc123" / "pull=2" / "seed_1"


def test_a_sweep_without_a_recommendation_has_no_winner(tmp_path, capsys):
    recorded(tmp_path, n_seeds=1)
    said = refused(capsys, tmp_path)
    assert "Sweep abc123 of toy recommends no cell, so it has no winner: One seed per cell" in said


def test_a_trial_without_weights_is_no_model(tmp_path, capsys):
    recorded(tmp_path)
    assert "pull=2/seed_1 has no model.pt, so there is nothing to serve. Promote where" in refused(
        capsys, tmp_path
    )


def test_a_family_that_says_nothing_of_serving_is_refused_with_what_to_define(tmp_path, capsys):
    folder = recorded(tmp_path, family="toys.toyfamily") / "pull=2" / "seed_1"
    folder.mkdir(parents=True)
    (folder / WEIGHTS_FILE).write_bytes(b"")
    said = refused(capsys, tmp_path)
    assert "Family 'toys.toyfamily' cannot be served: its trial left no serving.json in" in said
    assert "Define `serving` in its FAMILY" in said


def test_an_unknown_sweep_is_refused_with_its_nearest_name(tmp_path, capsys):
    recorded(tmp_path)
    assert "No sweep 'tok' under" in refused(capsys, tmp_path, "tok")


def servable(folder):
    """Give the winner of hand-made records the weights of a small model; return the sweep's folder."""
    import torch

    from search_spaces.lvm import SPACE
    from trainables.lvm.model import NextVectorModel
    from trainables.lvm.serving import serving

    sweep, params = recorded(folder), SPACE.resolve({"hidden_dim": 8, "n_layers": 1})
    trial = sweep / "pull=2" / "seed_1"
    trial.mkdir(parents=True)
    train = {"context": np.zeros((3, N_CONTEXT, DIM), np.float32)}
    weights = NextVectorModel(params, DIM, N_CONTEXT, seed=1).state_dict()
    torch.save({"params": params, "weights": weights}, trial / WEIGHTS_FILE)
    serving(params, SimpleNamespace(train=train)).write(trial)
    return sweep


@pytest.mark.slow
def test_a_sweep_that_mlflow_does_not_know_is_refused_until_it_is_sent(tmp_path, capsys):
    from mlflow.tracking import MlflowClient

    servable(tmp_path)
    assert "has no run of trial t21. Send the sweep there first: `sweeps sync abc123`" in refused(
        capsys, tmp_path
    )
    assert run_cli(["sync", "abc123", "--out", str(tmp_path)]) == 0
    assert run_cli(["promote", "abc123", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "toy version 1 registered" in said
    caution = find_winner(tmp_path / "toy" / "abc123").standing["caution"]
    assert caution.startswith("It is worse than the nothing, which needs no training: valid/near 1.0")
    assert f"caution  {caution}" in said
    version = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_model_version("toy", "1")
    assert version.description == f"pull=2, seed 1: valid/near 1.01. {caution}"
    assert version.tags | {
        "objective": "valid/near",
        "objective_value": "1.01",
        "best_baseline": "nothing",
        "best_baseline_value": "0.5",
        "against_baseline": "worse",
    } == dict(version.tags)


@pytest.mark.slow
def test_a_model_that_a_kill_left_half_sent_is_sent_again_and_not_twice(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    from sweeps.promotion import log_winner
    from sweeps.reporting import publish

    sweep, uri = servable(tmp_path), f"sqlite:///{tmp_path}/mlflow.db"
    assert publish(sweep, uri) is None

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as kill:
        kill.setattr(MlflowClient, "log_model_artifacts", killed)
        with pytest.raises(KeyboardInterrupt):
            log_winner(sweep, uri)
    assert log_winner(sweep, uri) is None
    assert log_winner(sweep, uri) is None
    client = MlflowClient(uri)
    (model,) = client.search_logged_models([client.get_experiment_by_name("toy").experiment_id])
    assert str(model.status) == "READY"
    assert len(client.get_run(model.source_run_id).outputs.model_outputs) == 1


@pytest.mark.slow
def test_what_keeps_a_winner_from_being_logged_is_a_sentence_and_no_error(tmp_path):
    from sweeps.promotion import log_winner
    from sweeps.reporting import publish

    sweep, uri = servable(tmp_path), f"sqlite:///{tmp_path}/mlflow.db"
    assert "has no run of trial t21" in log_winner(sweep, uri)
    assert publish(sweep, uri) is None
    facts = sweep / "sweep.json"
    facts.write_text(facts.read_text().replace(code_version("lvm"), "0ld"))
    assert "The code of lvm has changed since the trial was trained (0ld, now" in log_winner(sweep, uri)


def test_a_sweep_that_cannot_be_served_is_left_alone(tmp_path):
    from sweeps.promotion import log_winner

    assert log_winner(recorded(tmp_path), "sqlite:////nowhere/at/all.db") is None
    one_seed = recorded(tmp_path / "one", n_seeds=1)
    Serving("s", {}, (-1,), (-1,), {}, ()).write(one_seed)
    (one_seed / "pull=1" / "seed_1").mkdir(parents=True)
    (one_seed / SERVING_FILE).rename(one_seed / "pull=1" / "seed_1" / SERVING_FILE)
    assert log_winner(one_seed, "sqlite:////nowhere/at/all.db") is None
