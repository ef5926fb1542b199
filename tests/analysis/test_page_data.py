"""What the interactive parts of the page know is what report.json says, and no more than a page can carry."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from planted import Planted
from planted_search import PlantedSearch

from analysis.answer import answer
from analysis.cost import cost, cost_lines, duration
from analysis.load import load_table
from analysis.page_data import (
    MOST_CURVES,
    MOST_EPOCHS,
    as_script,
    few_epochs,
    is_interactive,
    page_data,
    rounded,
    run_address,
)

OBJECTIVE = "valid/comparable_loss"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    states = {("vq", 10.0, 2): "diverged"}
    return answer(load_table(Planted(states=states).write(tmp_path_factory.mktemp("records"))))


@pytest.fixture(scope="module")
def data(found):
    return page_data(found, [OBJECTIVE])


def test_every_cell_has_the_numbers_of_the_report(found, data):
    names = [metric["name"] for metric in data["metrics"]]
    assert names[0] == OBJECTIVE
    for cell, known in zip(data["cells"], found.as_json()["cells"], strict=True):
        assert (cell["label"], *cell["counts"][:2]) == (known["label"], known["n"], known["n_diverged"])
        for name, value in zip(names, cell["values"], strict=True):
            expected = known["metrics"].get(name)
            assert (value is None) == (expected is None)
            if expected:
                assert value == pytest.approx(
                    [expected[k] for k in ("mean", "ci_low", "ci_high", "n")], rel=1e-5
                )


def test_every_trial_stands_in_its_cell_with_its_state_and_objective(found, data):
    trials = found.table.trials
    assert len(data["trials"]) == len(trials)
    for (cell, seed, state, objective, wall_s, *_), (_, row) in zip(
        data["trials"], trials.iterrows(), strict=True
    ):
        values = [data["axes"][i]["names"][place] for i, place in enumerate(data["cells"][cell]["at"])]
        assert values == [row["latent_space"], f"{row['globals_beta']:g}"]
        assert (seed, state, wall_s) == (row["seed"], row["state"], 8)
        assert objective == pytest.approx(row[OBJECTIVE], rel=1e-5)


def test_a_curve_is_the_mean_over_seeds_between_the_least_and_the_largest(found, data):
    history = found.table.history
    for cell, (mean, low, high) in data["curves"]["lines"][OBJECTIVE].items():
        rows = found.table.rows_of(found.cells[int(cell)].key)
        of_cell = history[(history["metric"] == OBJECTIVE) & history["trial_id"].isin(rows["trial_id"])]
        by_epoch = of_cell.groupby("epoch")["value"]
        assert mean == pytest.approx(list(by_epoch.mean()), rel=1e-5)
        assert low == pytest.approx(list(by_epoch.min()), rel=1e-5)
        assert high == pytest.approx(list(by_epoch.max()), rel=1e-5)


def test_the_shares_of_the_terms_add_up_to_all_of_the_gradient(data):
    assert data["shares"]["terms"] == ["rec_tokens", "rec_globals"]
    for shares in data["shares"]["shares"].values():
        assert [sum(of_epoch) for of_epoch in zip(*shares, strict=True)] == pytest.approx([1.0] * 4, abs=0.05)


def test_the_front_and_the_recommended_cell_are_those_of_the_answer(found, data):
    labels = [cell["label"] for cell in data["cells"]]
    assert [labels[place] for place in data["front"]["front"]] == [
        found.table.label(cell) for cell in found.front.cells
    ]
    assert labels[data["recommended"]] == found.recommendation.label


def test_a_search_has_strands_and_no_heatmap(tmp_path):
    data = page_data(answer(load_table(PlantedSearch(n_points=12).write(tmp_path))), [])
    assert data["layout"] is None
    assert data["parallel"]
    assert not is_interactive("heatmap_nll", data)
    assert is_interactive("finalist_curves", data)


def test_data_cannot_end_the_element_it_stands_in():
    text = as_script({"label": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"label": "</script><!-- & \u2028"}


def test_what_is_not_finite_or_has_too_many_digits_is_not_carried():
    assert [rounded(x) for x in (float("nan"), None, 3.0, 0.123456789)] == [None, None, 3, 0.123457]


def test_long_trainings_keep_their_first_and_last_epoch_and_few_between():
    assert few_epochs(pd.Series([1, 1])) == [1]
    many = few_epochs(pd.Series(range(1, 1001)))
    assert (len(many), many[0], many[-1]) == (MOST_EPOCHS, 1, 1000)


def test_only_the_best_cells_have_curves(tmp_path):
    tokens = {float(beta): 1.0 + beta for beta in range(MOST_CURVES)}
    planted = Planted(tokens_by_beta=tokens, globals_by_beta=tokens, seeds=(1,))
    found = answer(load_table(planted.write(tmp_path)))
    data = page_data(found, [OBJECTIVE])
    means = [cell["values"][0][0] for cell in data["cells"]]
    assert len(data["curves"]["cells"]) == MOST_CURVES < len(means)
    assert max(means[cell] for cell in data["curves"]["cells"]) <= sorted(means)[MOST_CURVES - 1]


@pytest.mark.parametrize(
    ("tracking", "address"),
    [
        ({"uri": "https://team/mlflow/", "experiment_id": "7"}, "https://team/mlflow/#/experiments/7/runs/"),
        ({"uri": "sqlite:////out/mlflow.db", "experiment_id": "1"}, None),
        ({"uri": "http://head:5000"}, None),
        ({"uri": "javascript://head/%0aalert(1)", "experiment_id": "1"}, None),
        ({}, None),
    ],
)
def test_only_a_server_has_an_address_for_runs(tracking, address):
    assert run_address(tracking) == address


def test_a_login_in_the_tracking_address_goes_no_further_than_the_records(tmp_path):
    records = Planted(overrides={"tracking": {"uri": "http://me:pw@head:5000", "experiment_id": "1"}}).write(
        tmp_path
    )
    assert load_table(records).tracking == {"uri": "http://head:5000", "experiment_id": "1"}
    local = replace(records, sweep=records.sweep | {"tracking": {"uri": "sqlite:////out/mlflow.db"}})
    assert load_table(local).tracking == {"uri": "sqlite:////out/mlflow.db"}


def test_what_a_sweep_took_is_summed_over_its_trials_and_said_in_words(found):
    table = replace(found.table, trials=found.table.trials.assign(memory_mb=300.0, node="a"), span_s=90.0)
    assert cost(table) == {
        "trial_hours": pytest.approx(27 * 8 / 3600),
        "span_s": 90.0,
        "peak_memory_mb": 300.0,
        "nodes": ["a"],
    }
    lines = cost_lines(table)
    assert lines["cost"].startswith("0.06 hours of training, all 27 trials")
    assert lines["wall time"] == "1.5 min from the first to the last recorded epoch"
    assert lines["peak memory"] == "300 MB, the largest trial"
    assert [duration(s) for s in (5, 7200)] == ["5 s", "2.0 h"]


def test_what_nobody_recorded_of_the_cost_is_said_to_be_so(found):
    table = replace(
        found.table, trials=found.table.trials.drop(columns=["wall_s", "memory_mb", "node"]), span_s=None
    )
    assert set(cost_lines(table).values()) == {"not recorded"}
