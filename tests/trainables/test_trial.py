"""One trial with its folder: what it reports when it ends, by itself or by a rule."""

from dataclasses import replace

import pytest

from tests.trainables.conftest import OBJECTIVES, small_dataset, training
from trainables.guard import Guard
from trainables.trial import Trial
from trainables.trial_folder import load_checkpoint, save_checkpoint

NAME = "globals_autoencoder"
OBJECTIVE = OBJECTIVES[NAME]
ALWAYS = Guard(OBJECTIVE, above=0.0, patience=2)  # a loss is above 0 at every epoch


def trial(folder, epochs=4, **changes) -> Trial:
    spec = replace(training(NAME, epochs=epochs, folder=folder).spec, **changes)
    return Trial(spec, lambda: small_dataset(NAME))


def run_to_the_end(one: Trial) -> list[dict]:
    results = [one.advance()]
    while not results[-1]["done"]:
        results.append(one.advance())
    return results


def test_a_trial_that_breaks_a_rule_ends_there_and_keeps_what_it_has(tmp_path):
    results = run_to_the_end(trial(tmp_path, guards=(ALWAYS,)))
    assert [result["state"] for result in results] == ["running", "collapsed"]
    assert results[-1]["error"] == f"{OBJECTIVE} > 0 for 2 epochs, at epoch 2"
    assert (results[-1]["guard"], results[-1]["guard_epoch"]) == (ALWAYS.text, 2)
    assert (tmp_path / "model.pt").exists()
    assert (tmp_path / "facts" / "metrics.csv").read_text().count("\n") == 3


def test_an_audited_trial_is_run_on_and_remembers_the_rule(tmp_path):
    results = run_to_the_end(trial(tmp_path, guards=(ALWAYS,), audited=True))
    assert results[-1]["state"] == "complete"
    assert [result["guard_epoch"] for result in results] == [None, 2, 2, 2]
    assert len(results) == 4


def test_an_audited_trial_remembers_the_rule_across_an_interruption(tmp_path):
    first = trial(tmp_path, guards=(ALWAYS,), audited=True)
    for _ in range(3):
        first.advance()
    save_checkpoint(first.training.checkpoint(), tmp_path)
    assert load_checkpoint(tmp_path, first.spec.trial_id)["broken"] == (ALWAYS.text, 2)
    rest = run_to_the_end(trial(tmp_path, guards=(ALWAYS,), audited=True))
    assert [result["guard_epoch"] for result in rest] == [2]


def test_a_rule_on_a_monitor_that_does_not_exist_fails_the_trial_and_says_so(tmp_path):
    (result,) = run_to_the_end(trial(tmp_path, guards=(Guard("valid/K_off", below=1.0),)))
    assert result["state"] == "failed"
    assert "Guard's monitor 'valid/K_off' is not reported" in result["error"]


def test_a_trial_tells_a_scheduler_epoch_and_objective(tmp_path):
    results = run_to_the_end(trial(tmp_path, epochs=2))
    assert [result["epoch"] for result in results] == [1, 2]
    assert [result["objective"] for result in results] == [
        pytest.approx(result["epochs"][0][1][OBJECTIVE]) for result in results
    ]


def test_patience_completes_a_trial_that_no_longer_improves(tmp_path):
    one = training(NAME, epochs=50, patience=2, lr=1.0, folder=tmp_path)
    while not one.done:
        one.run_epoch()
    assert one.epoch == one.best_epoch + 2 < 50
    assert any(name.startswith("test/") for name in one.history[-1])
