"""The ladder names the planted rungs that help, main effects the planted mix; neither claims anything of nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from planted_lvm import (
    AT_EVERY_BOUND,
    CHANGES,
    COLLAPSED,
    GAINS,
    MIXES,
    NOTE,
    PlantedVectors,
    VectorTruth,
    ladder_truths,
    mix_truths,
)

from analysis import lvm
from analysis.effects import estimate
from analysis.load import load_table
from analysis.recommendation import contrasts_with_best
from analysis.report import write_report
from search_spaces.lvm import BACKBONES
from sweeps.study import Objective

pytestmark = pytest.mark.slow

GRID = {"backbone": BACKBONES}
HEALTHY = VectorTruth()
BEAT = "all_backbones_beat_mean_vector"  # true of cells at the cosine of the context mean


@pytest.fixture
def table(tmp_path):
    def write(truths, **more):
        folder = tmp_path / f"records_{len(list(tmp_path.iterdir()))}"
        return load_table(PlantedVectors(truths, **{"random_seed": 1, **more}).write(folder))

    return write


@pytest.fixture
def mixes(table):
    def write(cos=None, backbone=None, base=None, arms=MIXES, **given):
        return table(mix_truths(cos, backbone, base), arms=arms, grid=GRID, **given)

    return write


def findings(given):
    """Return the study's own findings with the error rate of a whole report."""
    with_best, further = contrasts_with_best(given)
    effects = estimate(given, [*lvm.contrasts(given), *with_best], further)
    return {found.id: found for found in lvm.findings(given, effects)}


@pytest.mark.parametrize(
    ("cos", "infonce", "both"),
    [
        ({"infonce": 0.1, "both": 0.2}, "supported", "supported"),
        ({"infonce": -0.1, "both": 0.1}, "rejected", "supported"),
        ({"infonce": -0.1}, "rejected", "rejected"),
    ],
)
def test_the_better_loss_mix_is_named_whatever_the_arms_are_called(table, cos, infonce, both):
    names = {"mse": "squared", "infonce": "contrast", "both": "all"}
    truths = {(names[mix], kind): truth for (mix, kind), truth in mix_truths(cos).items()}
    arms = {names[mix]: setting for mix, setting in MIXES.items()}
    found = findings(table(truths, arms=arms, grid=GRID))
    assert found["infonce_vs_mse"].verdict == infonce
    assert "averaged over backbone" in found["infonce_vs_mse"].statement
    assert found["both_better_than_one"].verdict == both


def test_mixes_that_differ_in_more_than_their_weights_are_not_compared(mixes):
    arms = {**MIXES, "infonce": {**MIXES["infonce"], "temperature": 0.2}}
    found = findings(mixes(cos={"infonce": 0.1}, arms=arms))
    assert found["infonce_vs_mse"].verdict == "not_applicable"
    assert "one with InfoNCE alone, else the same" in found["infonce_vs_mse"].statement


def test_a_gain_within_the_margin_of_sameness_is_called_small_and_not_a_better_mix(mixes):
    found = findings(mixes(cos={"infonce": 0.015}, noise=0.3))["infonce_vs_mse"]
    assert found.verdict == "rejected"
    assert "improves by less than the margin" in found.statement


def test_the_ladder_names_the_rungs_that_help_and_those_that_do_not(table):
    found = findings(table(ladder_truths(COLLAPSED, **GAINS), noise=0.5))
    verdicts = {parameter: found[f"change_helps[{parameter}]"].verdict for parameter, _ in CHANGES.values()}
    assert (
        verdicts["infonce_weight"] == verdicts["moment_weight"] == verdicts["hard_negatives"] == "supported"
    )
    assert "supported" not in {verdicts[name] for name in ("head", "variance_weight", "max_per_doc")}
    assert found["whole_ladder_helps"].verdict == "supported"
    assert "diverse_batches against note" in found["whole_ladder_helps"].statement
    moment = found["change_helps[moment_weight]"].statement
    assert moment.startswith("moment_weight 0.001 (moment against infonce) helps: valid/cos stays the same")
    assert "valid/moment_err improves (0.0" in moment


def test_rungs_that_change_nothing_are_shown_to_where_seeds_scatter_little(table):
    found = findings(table(ladder_truths(COLLAPSED, **GAINS), noise=0.1))
    idle = [found[f"change_helps[{name}]"] for name in ("head", "variance_weight", "max_per_doc")]
    assert {finding.verdict for finding in idle} == {"rejected"}
    assert idle[0].advice == "Leave head as it is in note."


def test_the_named_choices_rest_on_their_rungs(table):
    found = findings(table(ladder_truths(COLLAPSED, **GAINS), noise=0.5))
    assert found["hard_negatives_help"].verdict == "supported"
    assert found["moment_term_helps"].verdict == "supported"
    rung = found["change_helps[moment_weight]"]
    assert found["moment_term_helps"].evidence == rung.evidence[:2]
    assert [number.label for number in rung.evidence[2:]] == ["mrr, moment", "mrr, infonce"]
    assert found["infonce_vs_mse"].verdict == "not_applicable"


def test_a_rung_that_does_harm_does_not_help(table):
    truths = ladder_truths(HEALTHY, moment={"cos": 0.5, "sigma_err": 0.4})
    found = findings(table(truths, noise=0.5))["change_helps[moment_weight]"]
    assert found.verdict == "rejected"
    assert "valid/cos gets worse" in found.statement
    assert "valid/moment_err gets worse" in found.statement
    assert found.advice == "Leave moment_weight as it is in infonce."


def test_better_moments_that_cost_the_objective_are_no_help(table):
    bought = findings(table(ladder_truths(HEALTHY, moment={"cos": 0.5, "sigma_err": 0.01, "mu_err": 0.01})))
    rung = bought["change_helps[moment_weight]"]
    assert rung.verdict == "rejected"
    assert "valid/cos gets worse" in rung.statement
    assert "valid/moment_err improves" in rung.statement
    assert bought["whole_ladder_helps"].verdict == bought["moment_term_helps"].verdict == "rejected"
    near = findings(table(ladder_truths(HEALTHY, moment={"cos": 0.59, "sigma_err": 0.01, "mu_err": 0.01})))
    assert near["change_helps[moment_weight]"].verdict == "undecided"


def test_a_better_objective_is_a_help_whatever_the_moments_do(table):
    found = findings(table(ladder_truths(HEALTHY, infonce={"cos": 0.75, "sigma_err": 0.3})))
    assert found["change_helps[infonce_weight]"].verdict == "supported"
    assert "valid/moment_err gets worse" in found["change_helps[infonce_weight]"].statement


def test_rungs_are_known_by_their_parameters_and_not_by_their_names(table):
    truths = {f"arm_{place}": truth for place, truth in enumerate(ladder_truths(COLLAPSED, **GAINS).values())}
    found = findings(table(truths, noise=0.5))
    assert found["change_helps[infonce_weight]"].statement.startswith("infonce_weight 0.1 (arm_2 against")
    assert {f"change_helps[{parameter}]" for parameter, _ in CHANGES.values()} <= found.keys()


def test_what_an_arm_does_not_name_has_the_default_of_the_space(table):
    truths = {
        "note": replace(HEALTHY, params={"head": "single_normalised"}),
        "split": replace(HEALTHY, params={}),
        "more": replace(HEALTHY, params={"infonce_weight": 0.5}),
    }
    found = findings(table(truths))
    assert {"change_helps[head]", "change_helps[infonce_weight]"} <= found.keys()


def test_rungs_that_change_the_same_parameter_are_told_apart_by_their_arms(table):
    weights = {"none": 0.0, "light": 0.1, "heavy": 1.0}
    truths = {name: replace(HEALTHY, params={"infonce_weight": w}) for name, w in weights.items()}
    found = findings(table(truths))
    assert {"change_helps[infonce_weight, light]", "change_helps[infonce_weight, heavy]"} <= found.keys()


def test_arms_of_which_one_changes_several_things_are_no_ladder(table):
    truths = ladder_truths(HEALTHY)
    del truths["infonce"]
    found = findings(table(truths))
    assert found["whole_ladder_helps"].verdict == "not_applicable"
    assert found["whole_ladder_helps"].statement == (
        "The arms are no ladder: moment differs from every arm before it in more than one parameter, or in none."
    )
    assert not [identity for identity in found if identity.startswith("change_helps")]


def test_a_rung_without_a_completed_trial_is_not_judged(table):
    failed = {("arm=moment", seed): "diverged" for seed in (1, 2, 3)}
    found = findings(table(ladder_truths(HEALTHY), states=failed))
    assert found["change_helps[moment_weight]"].verdict == "not_applicable"
    assert found["change_helps[moment_weight]"].statement == "moment or infonce has no completed trial."
    assert found["moment_term_helps"].verdict == "not_applicable"
    assert found["change_helps[head]"].verdict != "not_applicable"


def test_an_objective_that_falls_is_judged_as_a_ratio_in_its_own_direction(table):
    better = ladder_truths(HEALTHY, infonce={"cos": 0.8})
    found = findings(table(better, objective=Objective("valid/mse", "min")))
    assert found["change_helps[infonce_weight]"].verdict == "supported"
    assert "valid/mse improves (0.4" in found["change_helps[infonce_weight]"].statement


@pytest.mark.parametrize(("gain", "verdict"), [(0.1, "supported"), (-0.1, "rejected"), (0.0, None)])
def test_hard_negatives_as_an_axis_are_judged_on_average(table, gain, verdict):
    truths = {
        (kind, on): replace(HEALTHY, cos=0.62 + gain * on, sigma_err=0.04 + 0.02 * (on and gain < 0))
        for kind in BACKBONES
        for on in (False, True)
    }
    found = findings(table(truths, grid={**GRID, "hard_negatives": (False, True)}))["hard_negatives_help"]
    assert found.verdict == verdict or (verdict is None and found.verdict != "supported")
    assert "hard_negatives True against hard_negatives False" in found.statement


def test_one_seed_decides_nothing(table):
    found = findings(table(ladder_truths(HEALTHY), seeds=(1,))).values()
    assert {f.verdict for f in found if f.verdict != "not_applicable"} == {"undecided"}


def test_the_whole_report_shows_the_ladder_the_baselines_and_the_summary(table, tmp_path):
    given = table(ladder_truths(COLLAPSED, **GAINS))
    report = write_report(given, tmp_path / "report")
    names = {path.name for path in (report.folder / "figures").iterdir()}
    assert {"ladder.png", "ladder.svg", "baseline_bars.png", "baseline_bars.svg"} <= names
    rows = (report.folder / "next_vector_summary.csv").read_text().splitlines()
    assert rows[0].startswith("cell,cosine,skill,next less last,collapse index,error of means")
    assert len(rows) == 1 + len(NOTE) + 5
    assert rows[-1].startswith('"the same, normalised (decoder test B)",')
    assert "±" in rows[1]
    data = json.loads((report.folder / "report.json").read_text())
    asked = {item["id"] for found in data["findings"] for item in found["evidence"] if "id" in item}
    assert asked <= {effect["id"] for effect in data["effects"]}
    page = report.html.read_text()
    assert "Forest plot of the rungs above note. valid/cos: split_head: head split" in page
    assert "Lines: context mean 0.546, mean vector 0.45, copy last 0.4." in page
    assert "Verdicts per arm" in page


def claims(found):
    """Return the claims that are supported and false where every mean lies at its bound and no two cells differ."""
    return [finding.id for finding in found.values() if finding.verdict == "supported" and finding.id != BEAT]


def test_no_ladder_without_differences_makes_a_false_claim(table):
    """None of 15 bounds the rate of false claims by 18 % (95 %); none of 150 did when this was written: 2 %."""
    for seed in range(15):
        found = findings(table(ladder_truths(AT_EVERY_BOUND), random_seed=seed))
        assert claims(found) == [], f"random_seed={seed}"
