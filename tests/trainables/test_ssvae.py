"""The semi-supervised VAE: what its losses count, what its gradients reach, that its counts forget."""

import math

import numpy as np
import pytest
import torch

from tests.trainables.conftest import run, training
from trainables.families import load_family
from trainables.ssvae.loss import (
    component_kl,
    dirichlet_penalty,
    entropy,
    free_bits_kl,
    kl_per_dimension,
    kl_scale,
    term_weights,
)
from trainables.ssvae.model import Posterior
from trainables.ssvae.reconstruction import REFERENCE_SIGMA, beta_eff, nll_per_pixel, reconstruction
from trainables.ssvae.tau import certainty, class_probabilities, tau_counts, tau_loss, tau_metrics, tau_of

NAME = "ssvae"
FAMILY = load_family(NAME)
MSE = {"heteroscedastic": False, "recon_loss": "mse"}
LITERAL = {"recon_loss": "note_nll", "sigma_head": "softplus_clip", "recon_weight": 500.0}
DECODERS = [
    {"decoder_type": kind, "component_aware": aware, **({} if predicts else MSE)}
    for kind in ("dense", "conv")
    for aware in (False, True)
    for predicts in (False, True)
]
N_PIXELS = 64


def resolved(**given):
    return FAMILY.space.resolve(given)


def batch_of(one, n=24):
    batch = {key: values[:n] for key, values in one.splits["train"].items()}
    return batch | FAMILY.noise(batch, one.spec.params, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("prior", ["standard", "mixture"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_each_of_the_eight_decoders_trains_under_both_priors_within_its_bounds(prior, decoder):
    one = training(NAME, epochs=1, prior=prior, batch_size=96, **decoder)
    metrics = one.run_epoch()
    rebuilt = one.model.decode(torch.randn(5, 16))
    n_apart = 10 if prior == "mixture" and decoder["component_aware"] else 1
    assert rebuilt.mean.shape == (5, n_apart, N_PIXELS)
    assert rebuilt.mean.min() >= 0
    assert rebuilt.mean.max() <= 1
    if decoder.get("heteroscedastic", True):
        assert rebuilt.sigma.shape == (5, n_apart)
        assert rebuilt.sigma.min() > 0.05
        assert rebuilt.sigma.max() < 0.5
    else:
        assert rebuilt.sigma is None
    assert {name.removeprefix("valid/") for name in metrics if name.startswith("valid/")} == set(
        FAMILY.metrics
    )


def test_components_that_are_seen_decode_differently_and_unseen_ones_are_decoded_once():
    z = torch.randn(3, 16)
    seen = training(NAME).model.decode(z).mean
    assert (seen[:, 0] - seen[:, 1]).abs().max() > 1e-3
    assert training(NAME, component_aware=False).model.decode(z).mean.shape[1] == 1


def test_under_the_standard_prior_there_is_no_component_to_be_aware_of():
    one, other = (training(NAME, prior="standard", component_aware=aware) for aware in (False, True))
    assert run(one) == run(other)
    assert one.model.prior is None
    loss, _ = FAMILY.loss(one.model, one.state, batch_of(one), one.spec.params)
    assert list(loss.terms) == ["recon", "kl_z", "tau"]


def test_cells_that_share_a_seed_share_the_modules_that_both_have():
    reference = training(NAME).model.state_dict()
    for cell in (MSE, {"prior": "standard"}, {"recon_loss": "faithful"}, {"component_aware": False}):
        other = training(NAME, **cell).model.state_dict()
        shared = [name for name in reference if name.split(".")[0] in ("encoder", "mean_head", "sigma_head")]
        assert all(torch.equal(reference[name], other[name]) for name in shared if name in other)
        assert torch.equal(reference["decoder.deep.1.weight"], other["decoder.deep.1.weight"])


# --- where gradients go


def sigma_head_gradient(**given):
    one = training(NAME, **given)
    loss, _ = FAMILY.loss(one.model, one.state, batch_of(one), one.spec.params)
    loss.total.backward()
    return one, [parameter.grad for parameter in one.model.sigma_head.parameters()]


@pytest.mark.parametrize("loss", ["nll", "note_nll", "normalised_nll", "beta_nll", "faithful"])
def test_a_sigmoid_head_starts_near_the_expected_error_and_learns_beside_the_mean(loss):
    one, gradients = sigma_head_gradient(recon_loss=loss)
    sigma = one.model.decode(torch.randn(64, 16)).sigma
    assert sigma.mean().item() == pytest.approx(0.271, abs=0.04)
    assert all(bool(gradient.any()) for gradient in gradients)
    assert all(bool(parameter.grad.any()) for parameter in one.model.mean_head.parameters())


def test_a_clipped_softplus_starts_above_its_bound_where_no_gradient_passes():
    one, gradients = sigma_head_gradient(**LITERAL)
    features = one.model.features(torch.zeros(1, 16))
    raw = one.model.sigma_head.linear(features)
    before_clip = 0.05 + torch.nn.functional.softplus(raw)
    assert before_clip.mean().item() == pytest.approx(0.743, abs=0.1)
    assert not any(bool(gradient.any()) for gradient in gradients)
    assert "0.743, above sigma_max=0.5" in FAMILY.without_gradient(one.spec.params)["sigma_head"]
    before = {name: value.clone() for name, value in one.model.sigma_head.state_dict().items()}
    metrics = run(one)[-1]
    assert metrics["valid/sigma_at_max"] == 1.0
    assert metrics["frac_params_with_grad/sigma_head"] == 0.0
    assert all(torch.equal(before[name], value) for name, value in one.model.sigma_head.state_dict().items())


def test_a_clipped_softplus_learns_once_its_bound_lies_above_its_start():
    _, gradients = sigma_head_gradient(**{**LITERAL, "sigma_max": 2.0})
    assert all(bool(gradient.any()) for gradient in gradients)
    assert FAMILY.without_gradient(resolved(**{**LITERAL, "sigma_max": 2.0})) == {}


def test_faithful_leaves_everything_but_the_sigma_head_to_the_squared_error():
    one = training(NAME, recon_loss="faithful", kl_weight=0.0, label_weight=0.0)
    other = training(NAME, recon_loss="mse", heteroscedastic=False)
    gradients = []
    for each in (one, other):
        loss, _ = FAMILY.loss(each.model, each.state, batch_of(each), each.spec.params)
        scale = 1.0 if each is one else N_PIXELS / 2
        (scale * loss.terms["recon"]).backward()
        gradients.append({name: p.grad for name, p in each.model.named_parameters() if p.grad is not None})
    faithful, squared = gradients
    assert any(name.startswith("sigma_head") for name in faithful)
    for name, gradient in squared.items():
        torch.testing.assert_close(faithful[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "modules", "reason"),
    [
        ({"recon_weight": 0.0}, {"decoder", "mean_head", "sigma_head", "prior"}, "recon_weight is 0"),
        (
            {"separate_recon_weight": True, "heteroscedastic_recon_weight": 0.0},
            {"decoder", "mean_head", "sigma_head", "prior"},
            "heteroscedastic_recon_weight is 0",
        ),
        ({"kl_c_weight": 0.0}, {"prior"}, "kl_c_weight is 0"),
        ({"prior": "standard", "label_weight": 0.0}, {"encoder"}, "label_weight is 0"),
    ],
)
def test_a_module_without_gradient_has_its_reason(cell, modules, reason):
    one = training(NAME, **cell)
    reasons = FAMILY.without_gradient(one.spec.params)
    assert set(reasons) == modules
    assert any(reason in text for text in reasons.values())
    metrics = one.run_epoch()
    assert all(metrics[f"frac_params_with_grad/{module}"] < 1.0 for module in modules)


# --- the forms of the reconstruction term, against formulas written out image by image


def by_hand(form, error, sigma, weights, n_pixels, sigma_min=0.05, b=0.5):
    n, c = error.shape
    if form == "optimal_sigma":
        variance = sum(weights[i, j] * error[i, j] for i in range(n) for j in range(c)) / n
        return n_pixels * (math.log(math.sqrt(variance)) + 0.5)
    total = 0.0
    for i in range(n):
        for j in range(c):
            squared = n_pixels * error[i, j]
            log_s, two_v = math.log(sigma[i, j]), 2 * sigma[i, j] ** 2
            one = {
                "mse": error[i, j],
                "note_nll": squared / two_v + log_s,
                "normalised_nll": (squared / two_v + log_s) / math.log(1 / sigma_min),
                "nll": sum(error[i, j] / two_v + log_s for _ in range(n_pixels)),
                "beta_nll": n_pixels * (error[i, j] / two_v + log_s) * sigma[i, j] ** (2 * b),
                "faithful": squared / 2 + squared / two_v + n_pixels * log_s,
            }[form]
            total += weights[i, j] * one / n
    return total


@pytest.mark.parametrize("form", FAMILY.space["recon_loss"].options)
def test_each_form_equals_its_formula(form):
    random = np.random.default_rng(0)
    error, sigma = random.uniform(0.01, 0.2, (7, 3)), random.uniform(0.05, 0.5, (7, 3))
    weights = random.dirichlet(np.ones(3), 7)
    alone = form in ("mse", "optimal_sigma")
    found = reconstruction(
        torch.tensor(error),
        None if alone else torch.tensor(sigma),
        torch.tensor(weights),
        N_PIXELS,
        {"recon_loss": form, "sigma_min": 0.05, "beta_nll_exponent": 0.5},
    )
    assert found.item() == pytest.approx(by_hand(form, error, sigma, weights, N_PIXELS), rel=1e-6)


def test_the_literal_loss_of_a_model_equals_the_formula_of_the_study_note():
    one = training(NAME, **LITERAL)
    batch = batch_of(one)
    loss, _ = FAMILY.loss(one.model, one.state, batch, one.spec.params)
    posterior = one.model.encode(batch["x"])
    z = posterior.mean + (posterior.log_variance / 2).exp() * batch["epsilon"]
    mean = one.model.decode(z).mean.detach().double().numpy()
    x, r = batch["x"].double().numpy(), posterior.responsibilities.detach().double().numpy()
    per_component = ((x[:, None] - mean) ** 2).sum(axis=2) / (2 * 0.5**2) + np.log(0.5)
    assert loss.terms["recon"].item() == pytest.approx((r * per_component).sum(axis=1).mean(), rel=1e-6)
    assert loss.weights["recon"] == 500.0


def test_at_its_best_sigma_every_likelihood_agrees():
    error, weights = torch.full((4, 1), 0.04), torch.ones(4, 1)
    single = nll_per_pixel(error, None, weights)
    torch.testing.assert_close(single, nll_per_pixel(error, torch.full((4, 1), 0.2), weights))
    assert nll_per_pixel(error, torch.full((4, 1), 0.3), weights) > single
    assert single.item() == pytest.approx(0.5 * math.log(2 * math.pi * 0.04) + 0.5)


def test_a_separate_weight_applies_to_heteroscedastic_decoders_alone():
    both = {"recon_weight": 500.0, "heteroscedastic_recon_weight": 50.0}
    assert term_weights(resolved(**both))["recon"] == 500.0
    assert term_weights(resolved(**both, separate_recon_weight=True))["recon"] == 50.0
    assert term_weights(resolved(**both, separate_recon_weight=True, **MSE))["recon"] == 500.0


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"recon_loss": "nll", "recon_weight": 2.0}, 2.5),
        ({"recon_loss": "note_nll", "recon_weight": 500.0}, 0.01),
        ({"recon_loss": "normalised_nll", "recon_weight": 500.0}, 0.01 * math.log(20)),
        ({"recon_loss": "beta_nll"}, 5.0 / REFERENCE_SIGMA),
        ({"recon_loss": "faithful"}, 5.0 / REFERENCE_SIGMA**2),
        ({"recon_loss": "optimal_sigma", "heteroscedastic": False}, 5.0),
        ({**MSE, "recon_weight": 500.0}, 5.0 * 64 / (2 * REFERENCE_SIGMA**2 * 500)),
        ({"recon_weight": 0.0}, math.inf),
    ],
)
def test_beta_eff_puts_every_form_on_the_scale_of_an_elbo(cell, expected):
    assert beta_eff(64, resolved(**cell)) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["nll", "note_nll", "normalised_nll", "beta_nll", "faithful", "mse"])
def test_beta_eff_is_what_the_gradient_of_the_mean_says(form):
    error, weights = torch.tensor([[0.03]], requires_grad=True), torch.ones(1, 1)
    cell = {"recon_loss": form, "heteroscedastic": form != "mse", "recon_weight": 7.0}
    params = resolved(**cell)
    sigma = None if form == "mse" else torch.full((1, 1), REFERENCE_SIGMA)
    (pull,) = torch.autograd.grad(7.0 * reconstruction(error, sigma, weights, 64, params), error)
    elbo = 64 / (2 * REFERENCE_SIGMA**2)
    assert beta_eff(64, params) == pytest.approx(5.0 * elbo / pull.item(), rel=1e-5)


# --- the other terms


def test_kl_of_a_standard_normal_is_zero_and_of_a_shifted_one_half_its_square():
    posterior = Posterior(torch.ones(2, 1), torch.tensor([[0.0, 2.0], [0.0, 2.0]]), torch.zeros(2, 2))
    assert kl_per_dimension(posterior).tolist() == [0.0, 2.0]


def test_free_bits_cost_the_same_below_their_level_and_pull_nothing_there():
    per_dimension = torch.tensor([0.01, 0.3, 2.0], requires_grad=True)
    loss = free_bits_kl(per_dimension, 0.25)
    assert loss.item() == pytest.approx(0.25 + 0.3 + 2.0)
    loss.backward()
    assert per_dimension.grad.tolist() == [0.0, 1.0, 1.0]
    assert free_bits_kl(per_dimension, 0.0).item() == pytest.approx(2.31)


def test_the_kl_schedules_rise_and_fall_as_promised():
    assert {kl_scale("constant", step, 80) for step in range(80)} == {1.0}
    assert [kl_scale("linear", step, 80) for step in (0, 20, 40, 80)] == [0.0, 0.5, 1.0, 1.0]
    assert [kl_scale("cyclical", step, 80) for step in (0, 5, 10, 19, 20, 25, 79)] == [
        0.0,
        0.5,
        1.0,
        1.0,
        0.0,
        0.5,
        1.0,
    ]


def test_the_schedule_moves_the_weight_that_the_loss_applies():
    one = training(NAME, kl_schedule="linear", epochs=4)
    loss, _ = FAMILY.loss(one.model, one.state, batch_of(one), one.spec.params)
    assert loss.weights["kl_z"] == 0.0
    history = run(one)
    assert history[0]["train/kl_scale"] == pytest.approx(2.5 / 12)
    assert history[-1]["train/kl_scale"] == 1.0
    constant = training(NAME)
    assert FAMILY.loss(constant.model, constant.state, batch_of(constant), constant.spec.params)[0].weights[
        "kl_z"
    ] == pytest.approx(5.0)


def test_terms_on_usage_are_zero_or_lowest_where_all_components_are_used_alike():
    uniform, skewed = torch.full((4, 10), 0.1), torch.eye(10)[:4] * 0.9 + 0.01
    pi = torch.full((10,), 0.1)
    assert component_kl(uniform, pi).item() == pytest.approx(0.0, abs=1e-6)
    assert component_kl(torch.eye(10), pi).item() == pytest.approx(math.log(10))
    assert dirichlet_penalty(pi, 5.0).item() == pytest.approx(0.0, abs=1e-5)
    assert dirichlet_penalty(skewed[0], 5.0) > 1.0
    assert entropy(pi).item() == pytest.approx(math.log(10))


def test_the_diversity_term_rewards_entropy_at_a_weight_above_zero():
    one = training(NAME)
    loss, _ = FAMILY.loss(one.model, one.state, batch_of(one), one.spec.params)
    usage = one.model.encode(batch_of(one)["x"]).responsibilities.mean(dim=0)
    torch.testing.assert_close(loss.terms["diversity"], -entropy(usage))
    assert loss.weights["diversity"] == 0.05


# --- the tau classifier


def test_tau_counts_match_an_example_counted_by_hand():
    r = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    counts = tau_counts(r, torch.tensor([0, 0, 2]), n_classes=3, alpha0=1.0)
    torch.testing.assert_close(counts, torch.tensor([[2.5, 1.0, 1.0], [1.5, 1.0, 2.0]]))
    tau = tau_of(counts)
    torch.testing.assert_close(tau[0], torch.tensor([2.5, 1.0, 1.0]) / 4.5)
    probabilities = class_probabilities(r, tau)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3))
    assert probabilities.argmax(dim=1).tolist() == [0, 0, 2]
    torch.testing.assert_close(certainty(r, tau)[1], torch.tensor(0.5 * 2.5 / 4.5))


def test_the_tau_loss_counts_labelled_images_alone_and_is_zero_without_any():
    r = torch.tensor([[0.8, 0.2], [0.3, 0.7]], requires_grad=True)
    tau = torch.tensor([[0.9, 0.1], [0.2, 0.8]], requires_grad=True)
    labels = torch.tensor([0, 1])
    loss = tau_loss(r, labels, torch.tensor([1.0, 0.0]), tau)
    assert loss.item() == pytest.approx(-math.log(0.8 * 0.9 + 0.2 * 0.2))
    loss.backward()
    assert tau.grad is None
    assert r.grad[1].tolist() == [0.0, 0.0]
    assert tau_loss(r, labels, torch.zeros(2), tau).item() == 0.0


def test_counts_are_rebuilt_every_epoch_and_never_accumulate():
    one = training(NAME, epochs=3)
    run(one)
    counts = one.state["tau_counts"]
    assert counts.sum().item() == pytest.approx(
        100 + 50, rel=1e-5
    )  # K Y alpha0 and the labelled images, once
    again = FAMILY.refresh_state(one.model, one.state, one.splits["train"], one.spec.params)
    torch.testing.assert_close(again["tau_counts"], counts)


def test_only_labelled_images_reach_the_counts():
    one = training(NAME)
    changed = {**one.splits["train"], "y": one.splits["train"]["y"].clone()}
    changed["y"][50:] = 0
    again = FAMILY.refresh_state(one.model, one.state, changed, one.spec.params)
    torch.testing.assert_close(again["tau_counts"], one.state["tau_counts"])


def test_tau_metrics_know_an_assignment_of_one_component_per_label():
    perfect = {
        name: value.item() for name, value in tau_metrics(torch.eye(4), torch.full((4,), 0.25)).items()
    }
    assert perfect == {
        "tau_sparsity": 0.75,
        "components_per_label": 1.0,
        "label_coverage": 4.0,
        "free_channels": 0.0,
    }
    silent = tau_metrics(torch.full((4, 10), 0.1), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert silent["label_coverage"] == 0
    assert silent["free_channels"] == 3


@pytest.mark.slow
def test_the_literal_loss_saturates_sigma_and_the_per_pixel_likelihood_predicts_it():
    literal = run(training(NAME, epochs=40, batch_size=32, **LITERAL))[-1]
    remedy = run(training(NAME, epochs=40, batch_size=32, kl_weight=1.0, diversity_weight=10.0))[-1]
    assert literal["valid/sigma_at_max"] == 1.0
    assert remedy["valid/sigma_at_max"] == 0.0
    assert remedy["valid/sigma_error_spearman"] > 0.3
    assert remedy["valid/K_eff"] > 8.0 > literal["valid/K_eff"]
    assert remedy["valid/nll_per_pixel"] < literal["valid/nll_per_pixel"]
