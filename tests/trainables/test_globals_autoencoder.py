"""The event autoencoder: what its losses count, and that its codes stay alive."""

import math

import numpy as np
import pytest
import torch

from tests.trainables.conftest import run, small_dataset, training
from trainables.diagnostics import participation_ratio, rankme
from trainables.families import load_family
from trainables.globals_autoencoder.evaluation import code_metrics
from trainables.globals_autoencoder.loss import masked_mse
from trainables.globals_autoencoder.quantiser import (
    Quantised,
    VectorQuantiser,
    initial_state,
    next_state,
    update_codes,
)

NAME = "globals_autoencoder"
FAMILY = load_family(NAME)


def test_padding_never_counts_in_the_token_loss():
    predicted, target = torch.ones(2, 3, 5), torch.zeros(2, 3, 5)
    mask = torch.tensor([[True, False, False], [True, True, False]])
    predicted[~mask] = 1e6
    assert masked_mse(predicted, target, mask).item() == 1.0


@pytest.mark.parametrize("mixing", ["none", "attention"])
def test_what_stands_in_padding_changes_no_real_token_and_no_globals(mixing):
    one = training(NAME, mixing=mixing)
    batch = {key: values[:16] for key, values in one.splits["valid"].items()}
    changed = {**batch, "continuous": torch.where(batch["mask"].unsqueeze(-1), batch["continuous"], 7.0)}
    before, after = one.model(batch), one.model(changed)
    torch.testing.assert_close(before.tokens[batch["mask"]], after.tokens[batch["mask"]])
    torch.testing.assert_close(before.globals, after.globals)


@pytest.mark.parametrize(("mixing", "reaches"), [("none", False), ("attention", True)])
def test_only_mixing_lets_one_token_see_another(mixing, reaches):
    one = training(NAME, mixing=mixing)
    batch = {key: values[:16] for key, values in one.splits["valid"].items()}
    latents = one.model(batch).latents
    changed = {**batch, "continuous": batch["continuous"].clone()}
    changed["continuous"][:, 0] += 1.0
    others = one.model(changed).latents[:, 1:]
    assert torch.equal(others[batch["mask"][:, 1:]], latents[:, 1:][batch["mask"][:, 1:]]) != reaches


def test_cells_that_share_a_seed_start_from_the_same_encoder_decoder_and_head():
    models = [training(NAME, latent_space=space).model for space in ("none", "linear", "vq")]
    for name, values in models[0].state_dict().items():
        assert all(torch.equal(values, model.state_dict()[name]) for model in models[1:])


def test_at_beta_zero_the_head_is_evaluated_near_the_variance_of_the_target_and_not_trained():
    one = training(NAME, globals_beta=0.0, epochs=3)
    before = {name: value.clone() for name, value in one.model.globals_head.state_dict().items()}
    last = run(one)[-1]
    assert 0.8 < last["valid/rec_globals"] < 1.3
    assert last["grad_share/rec_globals"] == 0.0
    assert all(
        torch.equal(before[name], value) for name, value in one.model.globals_head.state_dict().items()
    )


def test_the_nearest_code_is_chosen_and_the_gradient_passes_straight_through():
    quantiser = VectorQuantiser(3, 2, learn_codes=True)
    with torch.no_grad():
        quantiser.codebook.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]]))
    encoded = torch.tensor([[[0.9, 0.8], [0.1, -0.1]]], requires_grad=True)
    quantised = quantiser(encoded)
    assert quantised.codes.tolist() == [[1, 0]]
    torch.testing.assert_close(quantised.latents[0, 0], torch.ones(2))
    quantised.latents.sum().backward()
    torch.testing.assert_close(encoded.grad, torch.ones_like(encoded))


def test_codes_start_from_data_and_a_dead_code_comes_back_as_an_encoding():
    params = FAMILY.space.resolve(
        {"latent_space": "vq", "codebook_size": 4, "latent_dim": 2, "vq_restart_every": 1}
    )
    quantiser, state = VectorQuantiser(4, 2, learn_codes=True), initial_state(params)
    encoded = torch.arange(12.0).reshape(1, 6, 2) + 100
    mask = torch.tensor([[True, True, True, True, False, False]])
    state = next_state(quantiser(encoded), mask, state, params)
    state = update_codes(quantiser, state, params, step=1)
    torch.testing.assert_close(quantiser.codebook.data, encoded[0, :4])
    with torch.no_grad():
        quantiser.codebook[3] = 1e6
    for step in range(2, 80):
        state = update_codes(quantiser, next_state(quantiser(encoded), mask, state, params), params, step)
    assert quantiser.codebook[3].max() < 200


def test_moving_average_codes_become_the_mean_of_their_encodings():
    params = FAMILY.space.resolve(
        {
            "latent_space": "vq",
            "codebook_size": 2,
            "latent_dim": 1,
            "vq_update": "ema",
            "vq_decay": 0.0,
            "vq_restart_every": 0,
        }
    )
    quantiser, state = VectorQuantiser(2, 1, learn_codes=False), initial_state(params)
    with torch.no_grad():
        quantiser.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    encoded, mask = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.ones(1, 3, dtype=torch.bool)
    state = next_state(quantiser(encoded), mask, state, params)
    update_codes(quantiser, state, params, step=2)
    torch.testing.assert_close(quantiser.codebook.data, torch.tensor([[2.0], [9.0]]))


def test_perplexity_counts_real_tokens_alone():
    codes = torch.tensor([[0, 1, 2, 2], [3, 0, 2, 2]])
    mask = torch.tensor([[True, True, False, False], [True, False, False, False]])
    empty = torch.zeros(2, 4, 1)
    params = FAMILY.space.resolve({"latent_space": "vq", "codebook_size": 8})
    metrics = code_metrics(Quantised(empty, empty, empty, codes), mask, {"usage": torch.ones(8)}, params)
    assert metrics["perplexity"] == pytest.approx(3.0)
    assert metrics["rate_bits"] == pytest.approx(math.log2(3))
    assert metrics["codebook_usage"] == 3 / 8


def test_codes_stay_alive_on_real_events():
    last = run(training(NAME, latent_space="vq", codebook_size=64, epochs=6, vq_restart_every=5))[-1]
    assert last["valid/perplexity"] > 16
    assert last["valid/codebook_usage"] > 0.5


def test_a_split_evaluated_in_parts_has_the_metrics_of_the_whole(monkeypatch):
    from trainables.globals_autoencoder import evaluation

    one = training(NAME, latent_space="vq")
    whole = one.evaluate("valid")
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 50)
    for name, value in one.evaluate("valid").items():
        assert value == pytest.approx(whole[name], rel=1e-5), name


def test_comparable_loss_is_the_unweighted_sum_and_total_loss_the_weighted_one():
    metrics = training(NAME, globals_beta=10.0).run_epoch()
    assert metrics["valid/comparable_loss"] == metrics["valid/rec_tokens"] + metrics["valid/rec_globals"]
    expected = metrics["valid/rec_tokens"] + 10 * metrics["valid/rec_globals"]
    assert metrics["valid/total_loss"] == pytest.approx(expected)
    assert metrics["valid/rec_globals_weighted"] == pytest.approx(10 * metrics["valid/rec_globals"])


@pytest.mark.parametrize(("beta", "trained"), [(0.0, ("rec_tokens",)), (10.0, ("rec_tokens", "rec_globals"))])
def test_the_epoch_is_selected_by_the_terms_that_are_trained(beta, trained):
    metrics = training(NAME, globals_beta=beta).run_epoch()
    assert metrics["valid/trained_loss"] == sum(metrics[f"valid/{name}"] for name in trained)


def test_examples_come_back_in_physical_units_and_are_drawn(tmp_path):
    one = training(NAME, epochs=1)
    run(one)
    examples = one.examples()
    dataset = small_dataset(NAME)
    n_real = int(dataset.valid["mask"].sum())
    assert examples["tokens_true"].shape == examples["tokens_rebuilt"].shape == (n_real, 5)
    momentum_gev = np.exp(examples["tokens_true"][:, 1])
    assert 5 < np.median(momentum_gev) < 500
    figure = one.family.pictures["recon"].draw({"one": examples, "two": examples})
    figure.savefig(tmp_path / "recon.png")
    assert (tmp_path / "recon.png").read_bytes().startswith(b"\x89PNG")


def test_rank_measures_know_full_and_collapsed_representations():
    torch.manual_seed(0)
    full = torch.randn(2000, 8)
    line = torch.randn(2000, 1) @ torch.randn(1, 8)
    assert rankme(full) > 7.5
    assert rankme(line) < 1.1
    assert participation_ratio(full) > 7.5
    assert participation_ratio(line) == pytest.approx(1.0, abs=1e-3)
