"""One cell or none, for a reason that is said."""

from __future__ import annotations

import pytest

from analysis.answer import answer
from analysis.pareto import knee, pareto_front
from analysis.recommendation import contrasts_with_best

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
