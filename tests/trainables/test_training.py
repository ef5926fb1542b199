"""The one loop: what it keeps, what it refuses, what it averages."""

import math
from pathlib import Path

import pytest
import torch

from tests.trainables.conftest import run, small_dataset, training
from trainables.accounting import account, set_gradient, weighted_gradients
from trainables.batches import epoch_order, shuffled_batches
from trainables.families import load_family
from trainables.optimisation import build_optimizer, build_plateau, build_schedule, lower_on_plateau
from trainables.training import DivergedError, ObjectiveError, Training
from trainables.trial import Trial
from trainables.trial_folder import load_checkpoint, save_checkpoint
from trainables.trial_spec import TrialSpec

NAME = "globals_autoencoder"
PLAIN = {"adam_beta2": 0.999, "lr": 1.0, "optimizer": "adam", "weight_decay": 0.0}


def spec(tmp_path, metric="valid/comparable_loss", epochs=2, **given):
    params = load_family(NAME).space.resolve({"batch_size": 32, **given})
    return TrialSpec("trial", NAME, params, 1, epochs, metric, "min", tmp_path)


def test_a_diverged_trial_names_the_term_and_the_step():
    one = training(NAME, lr=1.0, clip_norm=0.0, weight_decay=1.0, globals_beta=1e6, epochs=40)
    with torch.no_grad():
        one.model.decoder[-1].bias.fill_(math.inf)
    with pytest.raises(DivergedError, match=r"rec_tokens became non-finite at step 1 \(epoch 1\)"):
        run(one)


def test_a_diverged_trial_is_a_result_with_its_reason(tmp_path):
    trial = Trial(spec(tmp_path), lambda: small_dataset(NAME))
    trial.training = trial._prepare()
    with torch.no_grad():
        trial.training.model.globals_head.mlp[-1].bias.fill_(math.nan)
    result = trial.advance()
    assert (result["state"], result["done"]) == ("diverged", True)
    assert "rec_globals became non-finite at step 1" in result["error"]


def test_a_failure_is_a_result_with_traceback_and_log(tmp_path):
    def no_data():
        raise OSError("planted")

    result = Trial(spec(tmp_path), no_data).advance()
    assert result["state"] == "failed"
    assert "OSError: planted" in result["error"]
    assert "Traceback" in (tmp_path / "run.log").read_text()


def test_an_objective_that_is_not_reported_lists_those_that_are(tmp_path):
    one = Training(load_family(NAME), spec(tmp_path, metric="valid/loss"), small_dataset(NAME))
    with pytest.raises(
        ObjectiveError, match=r"Objective 'valid/loss' is not reported. It takes one of valid/"
    ):
        one.run_epoch()


def test_the_test_split_is_judged_under_the_weights_of_the_best_epoch():
    one = training(NAME, epochs=6, lr=0.05)
    history = run(one)
    values = [metrics["valid/comparable_loss"] for metrics in history]
    assert one.best_value == min(values)
    assert values[-1] > min(values), "the planted learning rate must make the last epoch a worse one"
    one.model.load_state_dict(one.best_weights)
    again = one.evaluate("test")
    assert again["test/rec_tokens"] == history[-1]["test/rec_tokens"]


def test_accounting_sets_the_gradient_that_a_backward_pass_sets():
    one = training(NAME, latent_space="vq")
    batch = {key: values[:32] for key, values in one.splits["train"].items()}
    loss, _ = one.family.loss(one.model, one.state, batch, one.spec.params)
    gradients = weighted_gradients(loss, one.model)
    set_gradient(one.model, gradients)
    accounted = [p.grad.clone() for p in one.model.parameters()]
    one.optimizer.zero_grad()
    loss.total.backward()
    for ours, theirs in zip(accounted, one.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.grad, rtol=1e-4, atol=1e-7)


def test_accounting_equals_the_closed_form_of_two_planted_terms():
    model = torch.nn.Module()
    model.encoder = torch.nn.Linear(2, 1, bias=False)
    model.unused = torch.nn.Linear(1, 1, bias=False)

    class Planted:
        terms = {"a": model.encoder.weight[0, 0] * 3, "b": model.encoder.weight[0, 1] * 4}
        weights = {"a": 1.0, "b": 2.0}

    metrics = account(weighted_gradients(Planted(), model), model)
    assert metrics["grad_norm/a"] == pytest.approx(3.0)
    assert metrics["grad_norm/encoder/b"] == pytest.approx(8.0)
    assert metrics["grad_share/b"] == pytest.approx(8 / 11)
    assert metrics["grad_cos/a.b"] == pytest.approx(0.0)
    assert metrics["frac_params_with_grad/encoder"] == 1.0
    assert metrics["frac_params_with_grad/unused"] == 0.0
    assert metrics["grad_ratio/encoder"] == pytest.approx(1.0)
    assert metrics["grad_ratio/unused"] == 0.0


def test_the_gradient_ratio_of_a_module_is_its_part_of_the_whole_norm():
    model = torch.nn.Module()
    model.encoder, model.inner = (torch.nn.Linear(1, 1, bias=False) for _ in range(2))

    class Planted:  # two terms that pull the encoder against each other: 5 - 2 = 3 beside 4
        terms = {
            "a": model.encoder.weight.sum() * 5 + model.inner.weight.sum() * 4,
            "b": model.encoder.weight.sum(),
        }
        weights = {"a": 1.0, "b": -2.0}

    metrics = account(weighted_gradients(Planted(), model), model)
    assert metrics["grad_ratio/encoder"] == pytest.approx(3 / 5)
    assert metrics["grad_ratio/inner"] == pytest.approx(4 / 5)


def test_training_samples_are_evaluated_as_the_validation_split_is():
    one = training(NAME, epochs=1, train_rows=40)
    metrics = run(one)[0]
    rows = {name: values[:40] for name, values in one.splits["train"].items()}
    with torch.no_grad():
        again = one.family.evaluate(one.model.eval(), one.state, rows, one.spec.params)
    assert {f"train_eval/{name}": value for name, value in again.items()} == {
        name: value for name, value in metrics.items() if name.startswith("train_eval/")
    }


def test_an_epoch_of_several_passes_sees_every_sample_once_per_pass():
    order = epoch_order(50, seed=1, epoch=3, passes=4)
    assert order.bincount().tolist() == [4] * 50
    assert all(sorted(part.tolist()) == list(range(50)) for part in order.split(50))
    assert torch.equal(order[:50], epoch_order(50, seed=1, epoch=3))
    assert training(NAME, passes_per_epoch=3).steps_per_epoch == 3 * training(NAME).steps_per_epoch


def test_an_encoder_that_a_term_does_not_reach_is_seen_at_the_first_step():
    one = training(NAME)
    one.model.encoder.register_forward_hook(lambda module, inputs, latents: latents.detach())
    metrics = one.run_epoch()
    assert metrics["frac_params_with_grad/encoder"] == 0.0


def test_warm_up_then_cosine_ends_at_zero():
    params = {**PLAIN, "warmup_steps": 10, "lr_schedule": "cosine"}
    optimizer = build_optimizer(torch.nn.Linear(1, 1), params)
    schedule = build_schedule(optimizer, params, n_steps=110)
    rates = []
    for _ in range(110):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[60] == pytest.approx(0.5)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)


def test_on_a_plateau_the_rate_is_halved_and_the_warm_up_goes_on_from_there():
    params = {**PLAIN, "warmup_steps": 4, "lr_schedule": "plateau"}
    optimizer = build_optimizer(torch.nn.Linear(1, 1), params)
    schedule = build_schedule(optimizer, params, n_steps=100)
    plateau = build_plateau(optimizer, params, "min")
    rates = []
    for objective in (1.0, 0.5, 0.5, 0.5, 0.5, 0.4):
        optimizer.step()
        schedule.step()
        lower_on_plateau(plateau, schedule, objective)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 0.75, 1.0, 1.0, 0.5, 0.5])
    assert build_plateau(optimizer, {**params, "lr_schedule": "cosine"}, "min") is None


def test_a_last_batch_that_is_not_full_is_left_out_unless_it_is_the_only_one():
    params = {"batch_size": 8, "passes_per_epoch": 1}
    assert [len(rows) for rows in shuffled_batches(20, params, 1, 0)] == [8, 8]
    assert [len(rows) for rows in shuffled_batches(5, params, 1, 0)] == [5]


def test_evaluation_uses_the_moving_average_where_there_is_one():
    plain, averaged = training(NAME), training(NAME, ema_decay=0.9)
    plain.run_epoch()
    averaged.run_epoch()
    assert plain.history[0]["train/rec_tokens"] == averaged.history[0]["train/rec_tokens"]
    assert plain.history[0]["valid/rec_tokens"] != averaged.history[0]["valid/rec_tokens"]


def test_every_sample_is_seen_once_per_epoch_in_an_order_of_seed_and_epoch():
    assert sorted(epoch_order(50, 1, 0).tolist()) == list(range(50))
    assert epoch_order(50, 1, 0).tolist() == epoch_order(50, 1, 0).tolist()
    assert epoch_order(50, 1, 0).tolist() != epoch_order(50, 1, 1).tolist()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a checkpoint"])
def test_a_damaged_checkpoint_starts_the_trial_over_and_says_so(tmp_path, caplog, damage):
    (tmp_path / "checkpoint.pt").write_bytes(damage)
    assert load_checkpoint(tmp_path, "trial") is None
    assert "the trial starts over" in caplog.text


class Code:
    """What a hostile checkpoint holds: loading it by pickle would run it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


def test_a_checkpoint_with_code_in_it_is_refused_and_the_code_not_run(tmp_path, caplog):
    torch.save({"trial_id": "trial", "epoch": Code(tmp_path / "trace")}, tmp_path / "checkpoint.pt")
    assert load_checkpoint(tmp_path, "trial") is None
    assert not (tmp_path / "trace").exists()
    assert "the trial starts over" in caplog.text


def test_a_checkpoint_of_another_shape_starts_the_trial_over(tmp_path):
    whole = Trial(spec(tmp_path / "whole", epochs=2), lambda: small_dataset(NAME))
    expected = [pair for _ in range(2) for pair in whole.advance()["epochs"]]
    one = Trial(spec(tmp_path / "tampered", epochs=2), lambda: small_dataset(NAME))
    one.advance()
    content = one.training.checkpoint()
    content["model"] = {name: value[..., :1] for name, value in content["model"].items()}
    save_checkpoint(content, tmp_path / "tampered")
    again = Trial(spec(tmp_path / "tampered", epochs=2), lambda: small_dataset(NAME))
    assert [pair for _ in range(2) for pair in again.advance()["epochs"]] == expected
    assert "does not fit" in (tmp_path / "tampered" / "run.log").read_text()


def test_a_checkpoint_of_another_trial_is_not_taken(tmp_path, caplog):
    save_checkpoint({"trial_id": "other"}, tmp_path)
    assert load_checkpoint(tmp_path, "trial") is None
    assert "belongs to trial other" in caplog.text


def test_a_trial_that_begins_again_reports_every_epoch_and_ends_the_same(tmp_path):
    whole = Trial(spec(tmp_path / "whole", epochs=4), lambda: small_dataset(NAME))
    expected = [pair for _ in range(4) for pair in whole.advance()["epochs"]]
    killed = Trial(spec(tmp_path / "killed", epochs=4), lambda: small_dataset(NAME))
    killed.advance()
    killed.advance()
    save_checkpoint(killed.training.checkpoint(), tmp_path / "killed")
    again = Trial(spec(tmp_path / "killed", epochs=4), lambda: small_dataset(NAME))
    results = [again.advance() for _ in range(2)]
    assert [pair for result in results for pair in result["epochs"]] == expected
    assert results[-1]["state"] == "complete"
    for file in ("config.yaml", "model.pt", "facts/metrics.csv", "examples.npz", "run.log"):
        assert (tmp_path / "killed" / file).stat().st_size > 0
