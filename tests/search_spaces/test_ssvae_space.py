"""What the space of the semi-supervised VAE refuses, and what it tells instead."""

import subprocess
import sys

import pytest

from search_spaces.domains import SpaceError
from search_spaces.ssvae import HETEROSCEDASTIC_LOSSES, HOMOSCEDASTIC_LOSSES, SPACE


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (0.6, 0.5), (0.0, 0.5), (0.2, 0.1)])
def test_sigma_bounds_out_of_order_are_refused_with_both_values_and_the_way_out(low, high):
    message = (
        rf"sigma_min={low:g} and sigma_max={high:g} do not fulfil 0 < sigma_min < sigma_max\. "
        r"Lower sigma_min \(keeping it above 0\) or raise sigma_max"
    )
    with pytest.raises(SpaceError, match=message):
        SPACE.resolve({"sigma_min": low, "sigma_max": high})


def test_a_negative_sigma_bound_is_refused():
    with pytest.raises(SpaceError, match=r"sigma_min=-0.1 is below 0. Give at least 0."):
        SPACE.resolve({"sigma_min": -0.1})


@pytest.mark.parametrize("loss", HETEROSCEDASTIC_LOSSES)
def test_a_loss_that_reads_sigma_needs_a_decoder_that_predicts_it(loss):
    with pytest.raises(
        SpaceError,
        match=f"recon_loss={loss} needs a predicted sigma, but heteroscedastic=False. "
        "Set heteroscedastic=True, or take recon_loss mse or optimal_sigma.",
    ):
        SPACE.resolve({"recon_loss": loss, "heteroscedastic": False})


@pytest.mark.parametrize("loss", HOMOSCEDASTIC_LOSSES)
def test_a_loss_without_sigma_refuses_a_decoder_that_predicts_it(loss):
    with pytest.raises(
        SpaceError,
        match=f"recon_loss={loss} would leave a predicted sigma untrained, but heteroscedastic=True. "
        "Set heteroscedastic=False, or take recon_loss nll, note_nll",
    ):
        SPACE.resolve({"recon_loss": loss})


def test_every_loss_fits_exactly_one_kind_of_decoder():
    assert sorted(HETEROSCEDASTIC_LOSSES + HOMOSCEDASTIC_LOSSES) == sorted(SPACE["recon_loss"].options)


def test_the_defaults_are_those_of_the_study_note():
    params = SPACE.resolve({})
    expected = {
        "n_components": 10,
        "latent_dim": 16,
        "component_dim": 8,
        "kl_weight": 5.0,
        "kl_c_weight": 0.001,
        "diversity_weight": 0.05,
        "dirichlet_alpha": 5.0,
        "tau_alpha0": 1.0,
        "sigma_min": 0.05,
        "sigma_max": 0.5,
        "lr": 1e-3,
        "batch_size": 128,
        "n_labelled": 50,
        "patience": 10,
    }
    assert {name: params[name] for name in expected} == expected


def test_every_loss_weight_is_marked_as_one_and_may_be_switched_off():
    weights = [name for name, domain in SPACE.items() if getattr(domain, "weight", False)]
    assert weights == [
        "recon_weight",
        "heteroscedastic_recon_weight",
        "kl_weight",
        "kl_c_weight",
        "dirichlet_weight",
        "diversity_weight",
        "label_weight",
    ]
    assert all(SPACE.resolve({name: 0})[name] == 0 for name in weights)


def test_the_space_and_the_family_are_declared_without_torch():
    code = "import sys, trainables.ssvae as f; f.FAMILY.fingerprint(f.FAMILY.space.resolve({}), None)"
    code += "; assert not {'torch', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
