"""Metrics of the semi-supervised VAE: what they say where the answer is known, and the pictures beside them."""

import math

import numpy as np
import pytest
import torch

from tests.trainables.conftest import run, small_dataset, training
from trainables.dataset import Metric
from trainables.families import load_family
from trainables.guard import first_broken
from trainables.ssvae.evaluation import (
    clustering_metrics,
    evaluate,
    label_metrics,
    latent_metrics,
    read_out,
    sigma_error_spearman,
    sigma_metrics,
    usage_metrics,
)
from trainables.ssvae.model import Posterior
from trainables.ssvae.uncertainty import (
    aurocs,
    calibration_metrics,
    combined_uncertainty,
    foreign_images,
    observed_coverage,
    ood_metrics,
)

NAME = "ssvae"
FAMILY = load_family(NAME)
MSE = {"heteroscedastic": False, "recon_loss": "mse"}


def values(tensors):
    return {name: float(value) for name, value in tensors.items()}


def test_effective_components_are_k_when_uniform_and_one_when_collapsed():
    uniform = values(usage_metrics(torch.eye(10).repeat(3, 1)))
    assert uniform["K_eff"] == pytest.approx(10.0)
    assert uniform["active_components"] == 10
    assert uniform["max_usage"] == pytest.approx(0.1)
    assert uniform["component_entropy"] == pytest.approx(0.0, abs=1e-6)
    collapsed = values(usage_metrics(torch.eye(10)[:1].repeat(30, 1)))
    assert collapsed["K_eff"] == pytest.approx(1.0)
    assert collapsed["active_components"] == 1
    undecided = values(usage_metrics(torch.full((5, 10), 0.1)))
    assert undecided["component_entropy"] == pytest.approx(math.log(10))


def test_accuracy_and_certainty_of_a_classifier_that_knows():
    r, tau = torch.eye(3), torch.eye(3)
    right = values(label_metrics(r, torch.tensor([1.0, 0.5, 0.0]), tau, torch.tensor([0, 1, 2])))
    assert right["accuracy"] == 1.0
    assert (right["certainty_min"], right["certainty_mean"], right["certainty_max"]) == (0.0, 0.5, 1.0)
    assert right["certainty_std"] == pytest.approx(math.sqrt(1 / 6))
    wrong = values(label_metrics(r, torch.ones(3), tau, torch.tensor([1, 2, 0])))
    assert wrong["accuracy"] == 0.0


def test_components_that_are_the_labels_by_another_name_agree_fully():
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert clustering_metrics((labels + 1) % 3, labels) == {
        "nmi": pytest.approx(1.0),
        "ari": pytest.approx(1.0),
    }
    assert clustering_metrics(np.zeros(6, dtype=int), labels)["ari"] == 0.0


def test_a_unit_is_active_when_its_mean_moves_with_the_image():
    mean = torch.zeros(100, 4)
    mean[:, 0] = torch.linspace(-1, 1, 100)
    mean[:, 1] = torch.linspace(-0.1, 0.1, 100)  # variance 0.0034
    found = values(latent_metrics(Posterior(torch.ones(100, 1), mean, torch.zeros(100, 4))))
    assert found["active_units"] == 1
    assert found["kl_z"] == pytest.approx(4 * found["kl_z_per_dim"])
    assert found["kl_z"] == pytest.approx(0.5 * float(mean.square().sum(dim=1).mean()), rel=1e-5)


def test_saturation_is_the_share_of_images_within_a_hundredth_of_a_bound():
    params = FAMILY.space.resolve({})
    found = values(sigma_metrics(torch.tensor([0.05, 0.059, 0.2, 0.495, 0.5]), params))
    assert found["sigma_at_min"] == pytest.approx(0.4)
    assert found["sigma_at_max"] == pytest.approx(0.4)
    assert found["sigma_mean"] == pytest.approx(0.2608)


def test_standard_normal_residuals_are_calibrated_and_wide_sigmas_are_not():
    residuals = torch.randn(400, 64, generator=torch.Generator().manual_seed(0))
    right = calibration_metrics(residuals)
    assert right["calibration_std"] == pytest.approx(1.0, abs=0.02)
    assert right["coverage_50"] == pytest.approx(0.5, abs=0.02)
    assert right["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert right["ece_regression"] < 0.01
    wide = calibration_metrics(residuals / 4)
    assert wide["calibration_std"] == pytest.approx(0.25, abs=0.01)
    assert wide["coverage_90"] > 0.999
    assert wide["ece_regression"] > 0.3
    assert np.all(np.diff(observed_coverage(residuals)) > 0)


def test_combined_uncertainty_orders_by_both_and_by_certainty_alone_under_one_sigma():
    sure, sigma = np.array([0.9, 0.5, 0.1]), np.array([0.1, 0.2, 0.3])
    assert combined_uncertainty(sure, sigma).tolist() == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert np.argsort(combined_uncertainty(sure, np.full(3, 0.2))).tolist() == [0, 1, 2]


def test_auroc_is_one_when_foreign_images_score_higher_and_one_half_when_all_tie():
    scores = np.array([[0.1, 1.0], [0.2, 1.0], [0.8, 1.0], [0.9, 1.0]])
    assert aurocs(scores, n_own=2).tolist() == [1.0, 0.5]
    own = (np.array([0.9, 0.8]), np.array([0.1, 0.1]))
    found = ood_metrics(*own, {"rotated": (np.array([0.2, 0.1]), np.array([0.1, 0.1]))})
    assert found["ood_auroc"] == found["ood_auroc_certainty"] == found["ood_auroc_rotated"] == 1.0
    assert found["ood_auroc_sigma"] == 0.5


def test_foreign_images_are_a_pure_function_of_the_split():
    x = torch.rand(200, 64)
    one, other = foreign_images(x, (8, 8)), foreign_images(x, (8, 8))
    assert all(torch.equal(one[kind], other[kind]) for kind in one)
    assert {images.shape for images in one.values()} == {(128, 64)}
    torch.testing.assert_close(one["inverted"], 1 - x[:128])
    torch.testing.assert_close(one["rotated"][0].view(8, 8), torch.rot90(x[0].view(8, 8)))
    assert foreign_images(torch.rand(3, 32), (4, 8))["rotated"].shape == (3, 32)


def test_every_metric_is_named_explained_and_finite():
    one = training(NAME, epochs=1)
    metrics = one.run_epoch()
    for split in ("valid", "test"):
        found = {name.removeprefix(f"{split}/") for name in metrics if name.startswith(f"{split}/")}
        assert found == set(FAMILY.metrics)
    assert all(isinstance(metric, Metric) and metric.meaning for metric in FAMILY.metrics.values())
    assert len(FAMILY.metrics) == 42


@pytest.mark.parametrize("cell", [{}, {"component_aware": False}, {"prior": "standard"}, MSE])
def test_a_split_evaluated_in_parts_has_the_metrics_of_the_whole(cell, monkeypatch):
    from trainables.ssvae import evaluation

    one = training(NAME, **cell)
    one.run_epoch()
    whole = one.evaluate("valid")
    assert one.evaluate("valid") == whole
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 50)
    for name, value in one.evaluate("valid").items():
        # ranks may swap where the last bits differ
        assert value == pytest.approx(whole[name], rel=1e-3, abs=1e-3), name


def test_one_sigma_for_all_images_is_the_root_of_their_error_and_ranks_nothing():
    metrics = training(NAME, **MSE).run_epoch()
    assert metrics["valid/sigma_std"] == 0.0
    assert metrics["valid/sigma_error_spearman"] == 0.0
    assert metrics["valid/ood_auroc_sigma"] == 0.5
    expected = 0.5 * math.log(2 * math.pi * metrics["valid/sigma_mean"] ** 2) + 0.5
    assert metrics["valid/nll_per_pixel"] == pytest.approx(expected, abs=1e-5)
    assert metrics["valid/recon_loss"] == pytest.approx(metrics["valid/sigma_mean"] ** 2, rel=1e-5)
    assert metrics["valid/ood_auroc"] == pytest.approx(metrics["valid/ood_auroc_certainty"])


def test_a_saturated_sigma_ranks_nothing_although_it_is_predicted():
    one = training(NAME, sigma_head="softplus_clip", recon_loss="note_nll")
    seen = read_out(one.model.eval(), one.splits["valid"]["x"])
    assert seen.sigma.unique().tolist() == [0.5]
    assert sigma_error_spearman(seen, one.splits["valid"]["x"]) == 0.0


def test_the_total_is_the_weighted_sum_with_the_schedule_finished():
    one = training(NAME, kl_schedule="linear", **MSE, recon_weight=500.0)
    params, split = one.spec.params, one.splits["valid"]
    with torch.no_grad():
        found = evaluate(one.model.eval(), one.state, split, params)
        no_kl = evaluate(one.model, one.state, split, {**params, "kl_weight": 0.0})
    assert found["total_loss"] - no_kl["total_loss"] == pytest.approx(5.0 * found["kl_z"], abs=1e-3)


def test_the_nll_of_a_heteroscedastic_arm_follows_from_its_recon_term():
    metrics = training(NAME).run_epoch()
    expected = metrics["valid/recon_loss"] / 64 + 0.5 * math.log(2 * math.pi)
    assert metrics["valid/nll_per_pixel"] == pytest.approx(expected, abs=1e-5)


def test_the_guards_end_a_collapsed_trial_and_let_a_healthy_one_go_on():
    healthy = {"valid/K_eff": 9.0, "valid/sigma_at_max": 0.0}
    assert first_broken(FAMILY.guards, [healthy] * 20) is None
    collapsed, saturated = healthy | {"valid/K_eff": 1.1}, healthy | {"valid/sigma_at_max": 1.0}
    assert first_broken(FAMILY.guards, [collapsed] * 7) is None
    assert first_broken(FAMILY.guards, [collapsed] * 8).text == "valid/K_eff < 1.5 for 3 epochs"
    assert first_broken(FAMILY.guards, [saturated] * 8).text == "valid/sigma_at_max > 0.95 for 3 epochs"


# --- examples and pictures


@pytest.fixture(scope="module")
def examples():
    found = {}
    for name, cell in {"nll": {}, "mse": MSE}.items():
        one = training(NAME, epochs=1, **cell)
        run(one)
        found[name] = one.examples()
    return found


def test_examples_are_small_and_hold_no_objects(examples, tmp_path):
    np.savez_compressed(tmp_path / "examples.npz", allow_pickle=False, **examples["nll"])
    assert (tmp_path / "examples.npz").stat().st_size < 200_000
    assert examples["nll"]["image"].shape == (10, 8, 8)
    assert examples["nll"]["image"].dtype == np.uint8


def test_the_shortlist_holds_the_most_uncertain_unlabelled_training_images(examples):
    one = examples["nll"]
    train = small_dataset(NAME).train
    assert len(one["shortlist_row"]) == 12
    assert (train["labelled"][one["shortlist_row"]] == 0).all()
    assert np.array_equal(train["y"][one["shortlist_row"]], one["shortlist_label"])
    images = (train["x"][one["shortlist_row"]].reshape(-1, 8, 8) * 255).round().astype(np.uint8)
    assert np.array_equal(images, one["shortlist_image"])
    assert np.all(np.diff(one["shortlist_score"]) <= 0)
    assert one["shortlist_score"].max() <= 1.0


@pytest.mark.parametrize("name", sorted(FAMILY.pictures))
def test_a_picture_is_drawn_of_one_arm_and_of_several(name, examples, tmp_path):
    picture = FAMILY.pictures[name]
    assert len(picture.draw({"nll": examples["nll"]}).axes) >= 1
    picture.draw(examples).savefig(tmp_path / "picture.png", dpi=30)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert picture.title
    assert picture.how_to_read
    assert picture.per_trial == (name == "recon")


def test_a_fourth_arm_begins_a_row_of_its_own(examples):
    panels = FAMILY.pictures["component_usage"].draw(dict.fromkeys("abcd", examples["nll"])).axes
    assert [panel.get_title() for panel in panels] == ["a", "b", "c", "d", "", ""]


@pytest.mark.parametrize("name", ["sigma_histogram", "sigma_by_class", "sigma_error"])
def test_nothing_is_drawn_of_a_sigma_that_nothing_predicts(name, examples):
    assert FAMILY.pictures[name].draw({"mse": examples["mse"]}) is None


def test_no_shortlist_is_drawn_when_every_image_is_labelled(examples):
    labelled = {**examples["nll"], "shortlist_row": np.zeros(0, dtype=int)}
    assert FAMILY.pictures["shortlist"].draw({"nll": labelled}) is None
