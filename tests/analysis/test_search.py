"""A search is answered by its finalists, and says where it may have misled."""

from __future__ import annotations

import json

import pytest
from planted_search import PlantedSearch

from analysis.answer import answer
from analysis.importance import importances
from analysis.load import load_table
from analysis.recommendation import complexity
from analysis.report import write_report
from analysis.search import OPTIMISM, finalists, searches
from analysis.search_findings import all_importances, scaled_points
from sweeps.study_files import load_study

pytestmark = pytest.mark.slow

ARMS = {"heteroscedastic_literal": -3.0, "bounded_sigma": -4.0}


@pytest.fixture
def search(tmp_path):
    """Return a function from planted truths to the table of their records."""

    def write(**truths):
        return load_table(
            PlantedSearch(**truths).write(tmp_path / f"records_{len(list(tmp_path.iterdir()))}")
        )

    return write


def verdicts(table):
    return {found.id: found for found in answer(table).findings}


def test_a_searched_axis_takes_its_values_from_the_trials_without_a_complaint(search):
    table = search(n_points=12)
    axis = table.axis("kl_weight")
    assert (axis.searched, axis.low, axis.high, len(axis.values)) == (True, 1e-5, 1e-1, 12)
    assert axis.values == tuple(sorted(axis.values))
    assert table.problems == []
    assert answer(table).problems == ()


def test_a_thousand_points_are_a_table_like_any_other(search):
    table = search(n_points=1000, epochs=1, names=("kl_weight", "lr", "latent_dim"))
    assert len(table.cells) == len(table.values("valid/nll")) == 1000
    assert sum(len(table.rows_of(cell)) for cell in table.cells) == 1006
    assert len({table.label(cell) for cell in table.cells}) == 1000


def test_only_replicated_points_are_compared_and_recommended(search):
    table = search(n_points=20)
    said = answer(table)
    best = finalists(table)
    assert len(best) == 3
    assert table.contenders("valid/nll") == sorted(best)
    assert tuple(said.recommendation.cell.values()) in best
    assert all(effect.n == 3 for effect in said.effects.values() if effect.id != OPTIMISM)


def test_a_point_that_was_only_lucky_is_not_the_winner(search):
    points = tuple({"kl_weight": 10**place, "lr": 1e-3} for place in (-3.0, -3.1, -4.4, -1.2, -1.9, -4.9))
    table = search(points=points, noise=0.005, lucky={2: -0.65})
    assert min(table.trials["valid/nll"]) == table.trials.loc[2, "valid/nll"]
    assert table.params_of(finalists(table)[0])["kl_weight"] in {10**-3.0, 10**-3.1}


def test_without_a_second_seed_nothing_is_recommended_and_the_reason_is_said(search):
    said = answer(search(seeds=(1,), n_points=12))
    assert said.recommendation is None
    assert "the best of many points with one seed is the luckiest" in said.no_recommendation


def test_points_that_were_meant_to_have_one_seed_are_no_problem_but_finalists_that_lack_one_are(search):
    table = search(n_points=12)
    further = (table.trials["seed"] == 3) & (
        table.trials["point"] == table.trials.loc[table.trials["seed"] == 3, "point"].iloc[0]
    )
    table.trials.loc[further, "state"] = "collapsed"
    problems = answer(table).problems
    assert len(problems) == 1
    assert "2 of 3 seeds completed; it takes no part in comparisons." in problems[0]


def test_two_points_never_share_a_name(search):
    points = tuple({"kl_weight": 1e-3 * (1 + i * 1e-6), "lr": 1e-3} for i in range(4))
    table = search(points=points)
    assert len({table.label(cell) for cell in table.cells}) == 4


def test_points_stand_in_the_order_of_asking_one_search_per_arm(search):
    found = searches(search(arms=ARMS, n_points=8))
    assert [one.name for one in found] == list(ARMS)
    assert all(one.points["order"].tolist() == list(range(1, 9)) for one in found)
    assert all(set(one.points["seed"]) == {1} for one in found)


def test_a_smaller_weight_is_simpler_and_a_learning_rate_is_not(search):
    table = search(points=({"kl_weight": 1e-4, "lr": 1e-2}, {"kl_weight": 1e-2, "lr": 1e-4}))
    simple, heavy = sorted(table.cells)
    assert complexity(table, simple) == pytest.approx(0.25)
    assert complexity(table, heavy) == pytest.approx(0.75)


def test_a_best_point_at_the_edge_asks_for_a_wider_range(search, tmp_path):
    table = search(valley=-5.5, n_points=30)
    found = verdicts(table)["best_at_edge[kl_weight]"]
    assert found.verdict == "supported"
    assert "at the lower edge of what was searched (1e-05 to 0.1)" in found.statement
    assert found.follow_up.search["kl_weight"] == pytest.approx((1e-6, 1e-1))
    report = write_report(table, tmp_path / "report")
    study = load_study(str(report.folder / "next_study.py"))
    assert study.search == {"kl_weight": (1e-6, 0.1), "lr": (0.0001, 0.01)}
    assert (study.finalists, study.sampler, study.grid) == (3, "tpe", {})


def test_a_best_point_inside_its_range_is_told_so(search):
    found = verdicts(search(depth=2.0, n_points=60, noise=0.005))["best_at_edge[kl_weight]"]
    assert found.verdict == "rejected"
    assert found.follow_up is None


def test_the_follow_up_of_a_search_over_arms_keeps_arms_guards_and_budget(search, tmp_path):
    table = search(arms=ARMS, collapse_above=-1.5, n_points=10, overrides={})
    table.study["max_trials"] = 40
    report = write_report(table, tmp_path / "report")
    study = load_study(str(report.folder / "next_study.py"))
    assert dict(study.arms) == {arm: {"recon_loss": arm} for arm in ARMS}
    assert [guard.text for guard in study.guards] == ["valid/K_eff < 1.5 for 2 epochs"]
    extra = len(study.seeds) - 3
    assert study.max_trials == 40 + 2 * 3 * extra


def test_finalists_that_clearly_differ_have_a_winner(search):
    points = tuple({"kl_weight": 10**place, "lr": 1e-3} for place in (-3.0, -1.5, -4.8, -4.9, -1.2))
    found = verdicts(search(points=points, noise=0.01, depth=0.6))["winner_is_distinguishable"]
    assert found.verdict == "supported"


def test_a_plateau_has_no_winner(search):
    found = verdicts(search(depth=0.0, noise=0.001, names=("kl_weight",)))["winner_is_distinguishable"]
    assert found.verdict == "rejected"


def test_the_luck_of_the_winner_is_the_first_seed_against_the_further_ones(search):
    points = tuple({"kl_weight": 10**place, "lr": 1e-3} for place in (-3.0, -1.5, -4.8, -1.0))
    table = search(points=points, noise=0.004, lucky={0: -0.4})
    said = answer(table)
    effect = said.effects[OPTIMISM]
    seeds = table.values("valid/nll")[finalists(table)[0]]
    assert effect.estimate == pytest.approx(seeds[1] / (seeds[2] * seeds[3]) ** 0.5)
    assert effect.df == 3
    found = {one.id: one for one in said.findings}["winner_was_lucky"]
    assert found.verdict == "supported"
    assert "not the value that the search showed" in found.advice


def test_an_honest_winner_is_not_called_lucky(search):
    assert verdicts(search(noise=0.001, n_points=12))["winner_was_lucky"].verdict == "rejected"


def test_the_luck_shares_the_error_rate_of_the_report(search):
    said = answer(search(n_points=12))
    assert {effect.level for effect in said.effects.values()} == {0.95}
    assert OPTIMISM in said.effects


def test_arms_are_compared_each_at_its_best(search):
    table = search(arms=ARMS, noise=0.004, n_points=15)
    table.trials.loc[table.trials["arm"] == "bounded_sigma", "valid/nll"] *= 0.5
    found = verdicts(table)["best_setting"]
    assert found.verdict == "supported"
    assert "bounded_sigma is better than every other point of the grid" in found.statement


def test_importance_finds_the_parameter_that_was_planted(search):
    table = search(names=("kl_weight", "lr", "latent_dim"))
    found = all_importances(table)[0]
    assert found.ranked[0] == max(found.ped_anova, key=found.ped_anova.get) == "kl_weight"
    assert sum(found.fanova.values()) == pytest.approx(1.0)
    said = verdicts(table)["important_parameters"]
    assert said.verdict == "supported"
    assert said.statement.startswith("The objective depends on kl_weight.")
    assert all_importances(table) == all_importances(table)


def test_where_nothing_matters_shares_are_not_taken_for_a_finding(search):
    table = search(depth=0.0, names=("kl_weight", "latent_dim"), noise=0.1)
    assert verdicts(table)["important_parameters"].verdict == "undecided"


def test_importances_need_ten_points(search):
    table = search(n_points=9)
    assert verdicts(table)["important_parameters"].verdict == "not_applicable"
    assert importances("all", scaled_points(table, searches(table)), table.axes, "min") is None


def test_collapsed_and_pruned_points_are_left_out_of_the_importances(search):
    table = search(collapse_above=-2.0, pruned=5)
    n = len(searches(table)[0].complete)
    assert n < 40 - 5
    assert all_importances(table)[0].n == n


def test_an_objective_that_grows_is_searched_upwards(search):
    table = search(objectives=(("valid/accuracy", "max"),), noise=0.002)
    best = finalists(table)[0]
    assert abs(table.params_of(best)["kl_weight"] / 1e-4) < 4
    assert verdicts(table)["best_at_edge[kl_weight]"].verdict == "rejected"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    planted = PlantedSearch(arms=ARMS, collapse_above=-1.8, audited=4, pruned=6)
    return write_report(planted.write(tmp_path_factory.mktemp("records")), tmp_path_factory.mktemp("report"))


def test_the_report_of_a_search_draws_the_search_and_no_heatmap(report):
    names = {path.stem for path in (report.folder / "figures").glob("*.svg")}
    drawn = {"search_history", "search_slices", "search_contour", "search_importances", "finalist_curves"}
    assert drawn <= names
    assert not any(name.startswith("heatmap") for name in names)


def test_tables_stand_on_the_page_in_report_json_and_as_csv(report):
    data = json.loads((report.folder / "report.json").read_text())
    page = report.html.read_text()
    assert [listing["name"] for listing in data["listings"]] == ["finalists", "guards"]
    for listing in data["listings"]:
        lines = (report.folder / f"{listing['name']}.csv").read_text().splitlines()
        assert len(lines) == 1 + len(listing["rows"])
        assert f'aria-labelledby="{listing["name"]}-title"' in page
    assert data["listings"][0]["columns"][:4] == ["rank", "arm", "kl_weight", "lr"]
    assert data["schema_version"] == 1


def test_the_page_lists_the_finalists_and_the_csv_has_every_point(report):
    assert report.html.read_text().count("kl_weight") > 0
    assert len(report.answer.shown_cells) == 6
    assert "; 74 more are in cells.csv." in report.html.read_text()
    header, *rows = (report.folder / "cells.csv").read_text().splitlines()
    assert len(rows) == 80 + 1
    assert {"n_collapsed", "n_pruned"} <= set(header.split(","))


def test_states_that_do_not_occur_have_no_column(search, tmp_path):
    report = write_report(search(n_points=12), tmp_path / "report")
    header = (report.folder / "cells.csv").read_text().splitlines()[0]
    assert "n_diverged" in header
    assert "n_collapsed" not in header
    assert "n_pruned" not in header
    assert "n_collapsed" not in json.loads((report.folder / "report.json").read_text())["cells"][0]
