"""Several objectives: one dominance for any number and any direction of them."""

from __future__ import annotations

import numpy as np
import pytest
from planted_search import PlantedSearch

from analysis.answer import answer
from analysis.load import load_table
from analysis.pareto import as_losses, dominated, knee, pareto_front
from analysis.report import write_report

pytestmark = pytest.mark.slow

THREE = (("valid/nll", "min"), ("valid/accuracy", "max"), ("valid/kl", "min"))


@pytest.fixture
def three(tmp_path):
    records = PlantedSearch(objectives=THREE, n_finalists=8).write(tmp_path / "records")
    return load_table(records)


def test_dominance_knows_directions_and_ties():
    points = [(1.0, 0.9), (1.0, 0.9), (2.0, 0.95), (2.0, 0.9), (1.0, 0.8)]
    beaten = dominated(as_losses(points, ("min", "max")))
    assert beaten.tolist() == [False, False, False, True, True]


def test_three_objectives_of_mixed_directions_by_hand():
    points = [(1.0, 0.9, 5.0), (1.1, 0.9, 5.0), (3.0, 0.95, 9.0), (2.0, 0.2, 1.0), (2.0, 0.2, 1.5)]
    beaten = dominated(as_losses(points, ("min", "max", "min")))
    assert beaten.tolist() == [False, True, False, False, True]


def test_no_member_of_the_front_is_beaten_by_brute_force(three):
    said = answer(three)
    front = said.front
    assert front.modes == ("min", "max", "min")
    assert len(front.points) == 8
    losses = {c: np.array(p) * (1, -1, 1) for c, p in front.points.items()}
    for cell, point in losses.items():
        beaten = any((other <= point).all() and (other < point).any() for other in losses.values())
        assert beaten == (cell not in front.cells)


def test_the_knee_follows_the_direction_of_every_metric():
    points = [(1.0, 0.1), (2.0, 0.8), (9.0, 0.9)]
    cells = (("a",), ("b",), ("c",))
    assert knee(points, cells, ("min", "max")) == ("b",)
    assert knee(points, cells, ("min", "min")) == ("a",)


def test_where_objectives_conflict_the_knee_is_suggested_and_the_set_is_shown(three):
    taken = answer(three).recommendation
    front = answer(three).front
    assert taken.label == taken.knee == three.label(front.knee)
    assert set(taken.pareto) == {three.label(cell) for cell in front.cells}
    assert "The objectives conflict" in taken.reason
    accuracy = next(price for price in taken.price if price.metric == "valid/accuracy")
    assert accuracy.best_value == max(point[1] for point in front.points.values())


def test_the_report_has_a_panel_per_pair_and_the_table_of_the_set(three, tmp_path):
    report = write_report(three, tmp_path / "report")
    lines = (report.folder / "pareto_set.csv").read_text().splitlines()
    assert lines[0] == "cell,valid/nll,valid/accuracy,valid/kl,n,knee"
    assert sum(line.endswith(",knee") for line in lines[1:]) == 1
    assert (report.folder / "figures" / "pareto.svg").exists()
    assert not (report.folder / "figures" / "trade_off.svg").exists()


def test_directions_that_the_records_give_are_used_for_a_trade_off(three):
    front = pareto_front(three, ("valid/nll", "valid/accuracy"))
    assert front.modes == ("min", "max")
    assert front.best(1) == max(front.points, key=lambda cell: front.points[cell][1])
