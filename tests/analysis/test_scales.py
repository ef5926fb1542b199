"""Scales make live arms comparable and keep arms at rest apart; bounds mean the same on every scale."""

from __future__ import annotations

import pytest
from planted_arms import PlantedArms

from analysis import scales
from analysis.load import load_table
from analysis.recon_weight_arms import arms, role_of
from analysis.subjects import constant

pytestmark = pytest.mark.slow


@pytest.fixture
def table(tmp_path):
    return load_table(PlantedArms().write(tmp_path))


def cell(table, name):
    return next(arm.cell for arm in arms(table) if arm.name == name)


def test_roles_follow_from_names_and_everything_else_is_a_remedy():
    assert [role_of(name) for name in ("baseline", "literal", "option_9", "sigmoid")] == [
        "baseline",
        "literal",
        "option",
        "remedy",
    ]


def test_live_arms_are_judged_without_those_at_rest(table):
    live = scales.column(table, "K_eff", scales.COMPONENTS, cell(table, "baseline"))
    assert live == "valid/K_eff (live arms)"
    assert cell(table, "literal") not in table.values(live)
    assert cell(table, "sigmoid_nll") in table.values(live)


def test_an_arm_at_rest_is_judged_among_all(table):
    assert scales.column(table, "K_eff", scales.COMPONENTS, cell(table, "literal")) == "valid/K_eff"


def test_asking_twice_changes_nothing(table):
    ask = (table, "sigma_at_min", scales.SHARE, cell(table, "sigmoid_note_nll"))
    first = scales.column(*ask)
    before = table.trials.copy()
    assert scales.column(*ask) == first
    assert table.trials.equals(before)


@pytest.mark.parametrize("scale", [scales.RATIO, scales.SHARE, scales.GRADIENT, scales.CORRELATION])
def test_a_bound_is_no_effect_against_itself(scale):
    assert scale.bound(0.3, 0.3) == (1.0 if scale.kind == "ratio" else 0.0)
    assert scale.bound(0.6, 0.3) > scale.bound(0.3, 0.3)


def test_shares_of_nothing_and_everything_have_odds():
    assert 0 < scales.share_odds(0.0) < scales.share_odds(0.05) < scales.share_odds(1.0) < float("inf")


def test_one_seed_is_not_called_constant():
    assert constant([0.5, 0.5, 0.5])
    assert not constant([0.5])
    assert not constant([0.5, 0.50001])
