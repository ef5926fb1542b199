"""A comparison of sweeps: what it calls a real difference is one, and the same work is no evidence."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from planted import Planted
from rich.console import Console

from analysis.changes import changes
from analysis.comparison import compare
from analysis.comparison_page import comparison_text, write_comparison
from analysis.load import load_table
from analysis.sides import ComparisonError
from sweeps.study import Objective
from tests.analysis.planted_arms import PlantedArms
from tests.analysis.planted_search import PlantedSearch
from tests.verdicts.memory import table_of

FEW = {"tokens_by_beta": {0.0: 1.0, 1.0: 2.0}, "globals_by_beta": {0.0: 1.0, 1.0: 0.08}, "epochs": 1}


def sweep(name, **truths):
    """Return a planted sweep under an id of its own, whose trials are its own work."""
    table = table_of(Planted(**truths))
    table.sweep_id = name
    table.trials["trial_id"] = name + table.trials["trial_id"]
    return table


def false_claims(n, **truths):
    """Return how many of ``n`` comparisons of sweeps with one truth tell any real difference."""
    wrong = 0
    for draw in range(n):
        pair = [sweep("a", random_seed=2 * draw, **truths), sweep("b", random_seed=2 * draw + 1, **truths)]
        wrong += any(item.verdict in ("better", "worse") for item in compare(pair).judged)
    return wrong


def verdicts(found, metric):
    return {item.cell: item.verdict for item in found.judged if item.effect.metric == metric}


def test_equal_sweeps_hardly_ever_differ():
    assert false_claims(10, **FEW) <= 2  # of 10 at a true rate of 5 %, three or more have a chance of 1 %


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "noise"), [(0.02, 0.02), (0.05, 0.01)])
def test_equal_sweeps_differ_in_at_most_five_percent(shared, noise):
    assert false_claims(60, shared=shared, noise=noise, **FEW) <= 7  # 8 or more of 60 at 5 %: 1 %


def test_a_planted_change_is_found_in_its_cells_and_nowhere_else():
    worse = {0.0: 1.0, 1.0: 2.4}  # a fifth more at beta 1
    quiet = {"noise": 0.01, "shared": 0.01}
    found = compare(
        [sweep("a", **FEW, **quiet), sweep("b", random_seed=1, **FEW | {"tokens_by_beta": worse}, **quiet)]
    )
    told = verdicts(found, "valid/rec_tokens")
    assert {cell for cell, verdict in told.items() if verdict == "worse"} == {
        f"{latent}, globals_beta 1" for latent in ("none", "linear", "vq")
    }
    assert "better" not in {item.verdict for item in found.judged}
    effect = next(
        i.effect for i in found.judged if i.cell == "vq, globals_beta 1" and "tokens" in i.effect.metric
    )
    assert effect.ci_low < 1.2 < effect.ci_high
    assert re.match(r"b against a: \d worse, ", found.headline)


def test_what_is_open_says_how_many_seeds_would_decide_it():
    found = compare([sweep("a", noise=0.2, **FEW), sweep("b", noise=0.2, random_seed=1, **FEW)])
    open_ones = [item for item in found.judged if item.verdict == "undecided"]
    assert any(re.search(r"about \d+ seeds per cell would decide it", item.text) for item in open_ones)


def test_sameness_is_shown_and_not_assumed():
    quiet = {"noise": 0.002, "shared": 0.002}
    found = compare([sweep("a", **FEW, **quiet), sweep("b", random_seed=1, **FEW, **quiet)])
    assert set(verdicts(found, "valid/rec_tokens").values()) == {"same"}


def test_cells_in_one_sweep_alone_are_told():
    more = {"tokens_by_beta": {1.0: 2.0, 10.0: 6.0}, "globals_by_beta": {1.0: 0.08, 10.0: 0.08}}
    found = compare([sweep("a", **FEW), sweep("b", **FEW | more)])
    (shared,) = found.shared
    assert len(shared.both) == 3
    assert set(shared.first_only) == {f"{latent}, globals_beta 0" for latent in ("none", "linear", "vq")}
    assert set(shared.own) == {f"{latent}, globals_beta 10" for latent in ("none", "linear", "vq")}
    assert {item.cell for item in found.judged} == set(shared.both)


def test_a_parameter_that_one_sweep_varies_and_the_other_fixes_has_the_same_cells():
    wide = sweep("b", dims=(32, 64), **FEW)
    found = compare([sweep("a", **FEW), wide])
    assert len(found.shared[0].both) == 6  # the first has latent_dim 32 throughout
    assert all("latent_dim 64" in cell for cell in found.shared[0].own)


def test_the_same_work_is_told_and_no_evidence():
    first, again = table_of(Planted(**FEW)), table_of(Planted(**FEW))
    again.sweep_id = "longer"
    found = compare([first, again])
    assert found.judged == ()
    assert found.shared[0].identical == 18
    assert "18 trials have the same id" in found.notes[0]
    assert "nothing to compare" in found.headline


def test_of_a_sweep_with_more_seeds_only_the_new_ones_are_held_against_the_first():
    first, more = table_of(Planted(**FEW)), table_of(Planted(**FEW, seeds=(1, 2, 3, 4, 5)))
    more.sweep_id = "longer"
    found = compare([first, more])
    assert found.shared[0].identical == 18
    assert {item.effect.n for item in found.judged} == {2}


def test_what_changed_is_told_by_name():
    first, other = sweep("a", **FEW), sweep("b", random_seed=1, **FEW)
    other.params = {**other.params, "lr": 3e-3}
    other.provenance = {**other.provenance, "git_sha": "0ddba11", "versions": {"torch": "2.14.0"}}
    told = {change.what: change.values for change in changes([first, other])}
    assert told == {
        "lr": ("0.001", "0.003"),
        "git_sha": ("49c5296", "0ddba11"),
        "version torch": ("2.13.0", "2.14.0"),
    }


def test_other_objectives_and_other_data_are_told():
    first, other = sweep("a", **FEW), sweep("b", random_seed=1, **FEW)
    other.objective = Objective("valid/rec_tokens", "min")
    other.provenance = {**other.provenance, "data_fingerprint": "cd34"}
    notes = " ".join(compare([first, other]).notes)
    assert "a is judged by valid/comparable_loss, b by valid/rec_tokens" in notes
    assert "trained on other data" in notes


def test_sweeps_without_a_common_cell_are_compared_by_their_best():
    alone = [
        {"tokens_by_latent": dict.fromkeys(names, 1.0), "globals_by_latent": dict.fromkeys(names, 1.0)}
        for names in (("none", "linear"), ("vq",))
    ]
    found = compare([sweep("a", **FEW | alone[0]), sweep("b", random_seed=1, **FEW | alone[1])])
    (cell,) = {item.cell for item in found.judged}
    assert re.fullmatch(r"vq, globals_beta 1 against (none|linear), globals_beta 1", cell)
    assert "the intervals hold for all 8 pairs of cells" in " ".join(found.notes)


def test_families_without_a_common_parameter_are_compared_by_their_best():
    other = sweep("b", random_seed=1, **FEW)
    names = {"latent_space": "encoder", "globals_beta": "kl_weight"}
    other.axes = tuple(replace(axis, name=names[axis.name]) for axis in other.axes)
    other.trials = other.trials.rename(columns=names)
    other.study = {**other.study, "family": "another", "analysis": "grid"}
    found = compare([sweep("a", **FEW), other])
    (cell,) = {item.cell for item in found.judged}
    assert re.fullmatch(r"(none|linear), kl_weight 1 against (none|linear), globals_beta 1", cell)
    notes = " ".join(found.notes)
    assert "the intervals hold for all 36 pairs of cells" in notes
    assert "of different families: a metric is taken as the same by its name" in notes


def test_searches_are_compared_by_the_best_of_what_ran_on_all_seeds(tmp_path):
    tables = [load_table(PlantedSearch(random_seed=seed).write(tmp_path / str(seed))) for seed in (1, 2)]
    tables[1].sweep_id = "another"
    tables[1].trials["trial_id"] = "b" + tables[1].trials["trial_id"].astype(str)
    found = compare(tables)
    assert found.shared[0].both == ()
    assert len({item.cell for item in found.judged}) == 1
    assert min(item.effect.n for item in found.judged) > 1


def test_three_sweeps_share_one_error_rate():
    three = [sweep(name, random_seed=seed, **FEW) for seed, name in enumerate("abc")]
    found, two = compare(three), compare(three[:2])
    effects = [[i.effect for i in f.judged if i.sweep == "b"] for f in (found, two)]
    widths = [[effect.ci_high - effect.ci_low for effect in told] for told in effects]
    assert all(wide > narrow for wide, narrow in zip(*widths, strict=True))


def test_nonsense_is_refused():
    first = sweep("a", **FEW)
    with pytest.raises(ComparisonError, match="Name at least two"):
        compare([first])
    with pytest.raises(ComparisonError, match="a is the same sweep as a"):
        compare([first, replace(first)], ["a", "a"])
    with pytest.raises(ComparisonError, match="no metric in common"):
        compare([first, table_of(PlantedArms())])
    gone = {(s, b, n): "diverged" for s in ("none", "linear", "vq") for b in (0.0, 1.0) for n in (1, 2, 3)}
    with pytest.raises(ComparisonError, match="completed trial in both"):
        compare([first, sweep("b", states=gone, **FEW)])


def test_page_and_file_say_the_same_and_load_nothing(tmp_path):
    hostile = sweep("<b>", random_seed=1, **FEW)
    found = compare([sweep("a", **FEW), hostile])
    page = write_comparison(found, tmp_path / "out")
    text, data = page.read_text(), json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert data["schema_version"] == 1
    assert len(data["comparisons"]) == len(found.judged) == text.count('class="badge ')
    assert {item["verdict"] for item in data["comparisons"]} <= {"same", "better", "worse", "undecided"}
    assert "<b>" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|<script|@import""", text)


def test_the_terminal_shows_real_differences_first():
    worse = {"tokens_by_beta": {0.0: 1.0, 1.0: 6.0}}
    found = compare([sweep("a", **FEW), sweep("b", random_seed=1, **FEW | worse)])
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(comparison_text(found, "comparison.html"))
    lines = console.export_text().splitlines()
    places = [n for n, line in enumerate(lines) if "  worse, " in line]
    assert places
    assert max(places) < min(n for n, line in enumerate(lines) if re.search("  (undecided|same), ", line))
