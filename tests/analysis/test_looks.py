"""A finding is settled by the first look that decides it, and all looks together err no more often than one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.answer import answer
from analysis.looks import at_look, looks_of, recorded_looks
from sweeps.study import Objective, Study, StudyError

LOOKS = (3, 5, 8, 10)


def in_looks(table, keep=None):
    """Return the table as a sweep with looks records it; of trials beyond the first look those of ``keep`` cells."""
    table.study["looks"] = list(LOOKS)
    if keep is not None:
        columns = [table.trials[axis.name] for axis in table.axes]
        kept = [
            seed <= LOOKS[0] or table.label(tuple(cell)) in keep
            for seed, *cell in zip(table.trials["seed"], *columns, strict=True)
        ]
        table = replace(table, trials=table.trials[kept], _index=None)
    return table


def test_what_the_looks_spend_adds_up_to_the_error_rate_of_the_report():
    looks = looks_of(LOOKS)
    assert [look.n_seeds for look in looks] == list(LOOKS)
    assert sum(1 - look.level for look in looks) == pytest.approx(0.05)
    assert all(0 < 1 - look.level < 0.025 for look in looks)


def test_a_single_look_spends_all_of_it():
    assert looks_of((3,))[0].level == pytest.approx(0.95)


def test_a_large_effect_is_settled_by_the_first_look_and_keeps_its_verdict(planted):
    found = answer(in_looks(planted(seeds=tuple(range(1, 11)))))
    first = found.path[0]
    assert "head_needed" in first.decided
    assert not any("head_needed" in seen.decided for seen in found.path[1:])
    head = next(f for f in found.findings if f.id == "head_needed")
    assert {effect.n for effect in head.evidence} == {3}, "it rests on the seeds that settled it"


def test_an_open_finding_goes_on_in_the_cells_that_it_rests_on_and_in_no_other(planted):
    table = in_looks(planted(noise=0.1, shared=0.0, tokens_by_latent={"none": 1.0, "linear": 1.0}))
    seen = answer(table).path[0]
    assert seen.undecided
    assert seen.cells
    assert seen.cells <= set(table.cells)
    assert len(answer(table).path) == 1, "no look is reached whose trials are not there"


def test_a_settled_sweep_asks_for_no_further_trial(planted):
    quiet = planted(noise=0.001, shared=0.0)
    seen = answer(in_looks(quiet)).path[0]
    assert not seen.undecided
    assert not seen.cells


def test_what_ten_times_the_seeds_would_not_decide_is_given_up(planted):
    table = in_looks(planted(noise=3.0, tokens_by_beta={0.0: 1.0, 1.0: 1.02, 10.0: 1.02}))
    seen = answer(table).path[0]
    assert seen.hopeless
    assert not set(seen.hopeless) & set(seen.undecided)


def test_seeds_beyond_the_last_look_take_no_part_and_this_is_said(planted):
    table = in_looks(planted(seeds=tuple(range(1, 13)), noise=0.2))
    known = at_look(table, recorded_looks(table)[-1])
    assert set(known.trials["seed"]) == set(range(1, 11))
    assert known.problems[-1] == "18 trials of seeds beyond the look at 10 take no part."


def test_a_cell_that_was_never_meant_to_have_more_seeds_is_no_problem(planted):
    table = in_looks(
        planted(seeds=tuple(range(1, 6))), keep={"none, globals_beta 1", "none, globals_beta 10"}
    )
    assert not [said for said in answer(table).problems if "seeds completed" in said]


def test_the_path_stands_in_the_report(planted):
    told = answer(in_looks(planted(seeds=tuple(range(1, 6))))).as_json()["path"]
    assert (told[0]["n_seeds"], told[0]["n_trials"]) == (3, 27)


@pytest.mark.parametrize(
    ("study", "most", "said"),
    [
        ({"seeds": 1}, 10, r"begins with the 1 seeds of the study .* Begin with at least 2 \(--seeds\)"),
        ({"seeds": 12}, 10, "begins with the 12 seeds of the study and ends with 10"),
        ({"search": {"lr": (1e-4, 1e-2)}}, 10, "adds seeds to the cells of a grid, and this study searches"),
    ],
)
def test_what_cannot_be_decided_is_refused(study, most, said):
    asked = Study("s", "f", "q?", Objective("valid/a"), grid={"x": (1, 2)}, **study)
    with pytest.raises(StudyError, match=said):
        asked.until_decided(most)


def test_looks_grow_by_half_up_to_the_most():
    study = Study("s", "f", "q?", Objective("valid/a"), grid={"x": (1, 2)}, seeds=3)
    assert study.until_decided(10).looks == LOOKS
    assert study.until_decided(3).looks == (3,)
