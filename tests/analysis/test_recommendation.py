"""One cell or none, for a reason that is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_arms import ARMS, REMEDY, PlantedArms

from analysis.answer import answer
from analysis.load import load_table
from analysis.pareto import knee, pareto_front
from analysis.recommendation import complexity, contrasts_with_best
from sweeps.plan import named_axis

TRADE_OFF = ("valid/rec_tokens", "valid/rec_globals")


def test_among_cells_that_seeds_cannot_tell_apart_the_simplest_is_taken(planted):
    taken = answer(planted(noise=0.05)).recommendation
    assert taken.cell == {"latent_space": "none", "globals_beta": 1.0}
    assert set(taken.indistinguishable) >= {"none, globals_beta 1", "linear, globals_beta 1"}
    assert "simpl" in taken.reason


def test_a_cell_that_is_clearly_best_is_taken_for_its_value(planted):
    table = planted(
        globals_by_latent={"none": 1.0, "linear": 0.3, "vq": 1.8},
        tokens_by_latent={"none": 1.0, "linear": 0.3, "vq": 9.0},
    )
    taken = answer(table).recommendation
    assert taken.cell == {"latent_space": "linear", "globals_beta": 1.0}
    assert taken.distinguishable
    assert "tell it from every other cell" in taken.reason


def test_the_price_names_the_cell_that_is_better_on_the_other_metric(planted):
    tokens = answer(planted()).recommendation.price[0]
    assert tokens.metric == "valid/rec_tokens"
    assert tokens.best_cell.endswith("globals_beta 0")
    assert tokens.value == pytest.approx(2 * tokens.best_value, rel=0.2)


def test_the_pareto_set_holds_no_cell_that_another_beats(planted):
    front = pareto_front(planted(), TRADE_OFF)
    assert front.conflict
    assert all(cell[0] != "vq" for cell in front.cells)
    assert front.knee[1] == 1.0


def test_the_knee_is_the_point_closest_to_the_best_of_both():
    assert knee([(1.0, 100.0), (2.0, 2.0), (100.0, 1.0)], (("a",), ("b",), ("c",))) == ("b",)


def test_every_pair_counts_when_the_best_cell_is_chosen_by_data(planted):
    listed, further = contrasts_with_best(planted())
    assert (len(listed), len(listed) + further) == (8, 36)


def test_without_an_objective_nothing_is_recommended(planted):
    said = answer(planted(overrides={"study": {"name": "s", "grid": {}, "analysis": "grid"}}))
    assert said.recommendation is None
    assert "no objective" in said.no_recommendation


ESCAPED = (
    1.5,
    1.3,
    1.1,
    0.8,
    0.3,
)  # log factors on the objective by seed: worse in all of them, but unevenly


def with_noisy_cell(planted, log_factors):
    """Return a grid in which linear at beta 1 is the best, and the simpler none at beta 1 scatters."""
    better = {"none": 1.0, "linear": 0.3, "vq": 9.0}
    table = planted(globals_by_latent=better, tokens_by_latent=better, seeds=(1, 2, 3, 4, 5))
    best, metric = ("linear", 1.0), "valid/comparable_loss"
    mean = np.mean(list(table.values(metric)[best].values()))
    rows = table.rows_of(("none", 1.0)).index
    table.trials.loc[rows, metric] = mean * np.exp(np.array(log_factors))
    return table


def test_a_simpler_cell_does_not_win_by_its_noise(planted):
    taken = answer(with_noisy_cell(planted, ESCAPED)).recommendation
    assert "none, globals_beta 1" in taken.indistinguishable
    assert taken.cell == {"latent_space": "linear", "globals_beta": 1.0}
    assert "none, globals_beta 1 would be simpler, but is not taken" in taken.reason


def test_a_simpler_cell_that_even_its_own_interval_leaves_open_is_taken(planted):
    around = [factor - np.mean(ESCAPED) + 0.05 for factor in ESCAPED]
    taken = answer(with_noisy_cell(planted, around)).recommendation
    assert taken.cell == {"latent_space": "none", "globals_beta": 1.0}
    assert taken.reason.startswith("It is the simplest of 2 cells")


@pytest.mark.parametrize("ranks", [None, ()])
def test_the_order_of_the_arms_does_not_make_one_simpler(ranks, tmp_path):
    arms = {
        "literal": ARMS["literal"],
        "first": replace(REMEDY, nll=-1.14),
        "second": replace(REMEDY, nll=-1.15),
    }
    table = load_table(PlantedArms(arms=arms, seeds=(1, 2, 3, 4, 5)).write(tmp_path / "records"))
    if ranks is not None:
        table.axes = tuple(replace(axis, simplicity=ranks) for axis in table.axes)
    taken = answer(table).recommendation
    assert {complexity(table, cell) for cell in table.cells} == {0.0}
    assert set(taken.indistinguishable) == {"first", "second"}
    assert taken.against_best is None
    assert "none of which is simpler than another" in taken.reason


def test_new_records_rank_no_arm_above_another():
    assert named_axis(("baseline", "literal"))["simplicity"] == []
