"""The study of encoder health names the planted cause first, with its fix, and nothing where nothing is wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from planted_encoders import (
    COLLAPSE_TEXT,
    DETACHED_TEXT,
    MENDS,
    SF1,
    EncoderTruth,
    PlantedEncoders,
    health_truths,
)

from analysis import encoder_health, encoder_health_changes
from analysis.answer import answer
from analysis.effects import estimate
from analysis.load import load_table
from analysis.recommendation import contrasts_with_best
from analysis.report import write_report

pytestmark = pytest.mark.slow

IDS = {"H1": "H1_gradient_flow", "H2": "H2_output_scale", "H3": "H3_architecture", "H4": "H4_halting"}
HEALTHY = EncoderTruth()


@pytest.fixture
def table(tmp_path):
    def write(truths, **more):
        folder = tmp_path / f"records_{len(list(tmp_path.iterdir()))}"
        return load_table(PlantedEncoders(truths, **more).write(folder))

    return write


def findings(given):
    """Return the study's own findings with the error rate of a whole report."""
    with_best, further = contrasts_with_best(given)
    effects = estimate(given, [*encoder_health.contrasts(given), *with_best], further)
    return {found.id: found for found in encoder_health.findings(given, effects)}


def with_sick(**symptom):
    """Return three arms, one of which is sick in one thing."""
    arms = {
        name: replace(HEALTHY, params={"encoder_dim": 64 + i}) for i, name in enumerate(("a", "b", "c", "d"))
    }
    return {**arms, "sick": replace(HEALTHY, **symptom)}


@pytest.mark.parametrize(
    ("kind", "symptom"),
    [
        ("decoder_ignores_context", {"flip": 0.0005}),
        ("copies_input", {"copies": 0.9}),
        ("encoder_starved", {"ratio": 0.02}),
        ("context_scale_off", {"scale": 40.0}),
        ("context_scale_off", {"scale": 0.02}),
        ("halting_off", {"steps": 1.02}),
        ("halting_off", {"steps": 3.99}),
        ("representation_collapse", {"cross": 0.01}),
    ],
)
def test_what_is_wrong_with_one_arm_is_found_there_and_nowhere_else(table, kind, symptom):
    found = findings(table(with_sick(**symptom)))
    assert found[f"{kind}[sick]"].verdict == "supported"
    assert found[f"{kind}[sick]"].advice
    assert "supported" not in {found[f"{kind}[{name}]"].verdict for name in "abcd"}


def test_of_healthy_arms_every_ill_is_ruled_out(table):
    found = findings(table(health_truths(), noise=0.5))
    judged = {(monitor.kind, arm) for monitor in encoder_health.MONITORS for arm in health_truths()}
    assert {found[f"{kind}[{arm}]"].verdict for kind, arm in judged} == {"rejected"}


def test_a_decoder_is_not_blamed_for_ignoring_contexts_that_are_all_the_same(table):
    found = findings(table(with_sick(flip=0.0005, cross=0.01)))["decoder_ignores_context[sick]"]
    assert found.verdict == "not_applicable"
    assert "there is nothing to ignore" in found.statement


def test_a_detached_encoder_is_named_although_a_guard_ended_all_its_trials(table):
    truths = with_sick(ratio=0.0, reached=0.0)
    given = table(truths, guards={"sick": DETACHED_TEXT})
    assert set(given.rows_of(("sick",))["state"]) == {"collapsed"}
    found = findings(given)["encoder_starved[sick]"]
    assert found.verdict == "supported"
    assert found.statement == "sick: no encoder parameter receives a gradient."
    assert findings(given)["copies_input[sick]"].verdict == "not_applicable"


def test_a_detached_encoder_is_named_when_its_trials_ran_to_the_end(table):
    found = findings(table(with_sick(ratio=0.0, reached=0.0)))["encoder_starved[sick]"]
    assert "no encoder parameter receives a gradient" in found.statement


def test_a_partly_detached_encoder_is_starved_at_a_healthy_ratio(table):
    found = findings(table(with_sick(reached=0.6)))["encoder_starved[sick]"]
    assert found.verdict == "supported"
    assert "only 60% of the encoder's parameters receive a gradient" in found.statement


def test_a_guard_on_the_cross_ratio_answers_for_the_trials_it_ended(table):
    given = table(with_sick(cross=0.01), guards={"sick": COLLAPSE_TEXT})
    found = findings(given)["representation_collapse[sick]"]
    assert found.verdict == "supported"
    assert "a guard ended all 3 trials for it" in found.statement


def test_survivors_of_a_guard_do_not_speak_for_those_it_ended(table):
    given = table(with_sick(), guards={"sick": COLLAPSE_TEXT}, broken_seeds=(1,))
    assert findings(given)["representation_collapse[sick]"].verdict == "undecided"


def test_a_solver_that_never_halts_is_not_told_to_explore_less(table):
    never = findings(table(with_sick(steps=4.0)))["halting_off[sick]"]
    assert never.verdict == "supported"
    assert "exact accuracy and q_halt_accuracy" in never.advice
    assert "train longer, or raise halt_weight" in never.advice
    assert "less" not in never.advice.replace("a least number", "")
    at_once = findings(table(with_sick(steps=1.0)))["halting_off[sick]"]
    assert at_once.verdict == "supported"
    assert "raise halt_exploration_prob" in at_once.advice


@pytest.mark.parametrize("steps", [0.4, None], ids=["a mean below 1", "no metric"])
def test_trials_in_which_no_puzzle_ended_say_nothing_of_halting(table, steps):
    found = findings(table(with_sick(steps=steps)))
    assert found["halting_off[sick]"].verdict == "not_applicable"
    assert "no puzzle has ended" in found["halting_off[sick]"].statement
    assert found["halting_off[a]"].verdict == "rejected"
    everywhere = {name: replace(truth, steps=steps) for name, truth in health_truths("H1").items()}
    ranked = findings(table(everywhere))
    assert ranked["hypotheses_ranked"].statement.startswith("By evidence: 1. H1 gradient flow")
    assert "halting_off no value" in ranked["H4_halting"].statement


@pytest.mark.parametrize("cause", ["H1", "H2", "H3", "H4"])
def test_the_true_cause_comes_first_with_its_fix(table, cause):
    found = findings(table(health_truths(cause)))
    ranked = found["hypotheses_ranked"]
    assert ranked.verdict == "supported"
    first = IDS[cause].replace("_", " ")
    assert ranked.statement.startswith(f"By evidence: 1. {first} (supported by both)")
    assert f"(arm {MENDS[cause]})" in ranked.advice
    assert found["problem_is_there"].verdict == "supported"
    others = {found[identity].verdict for key, identity in IDS.items() if key != cause}
    assert others == {"rejected"}


def test_with_nothing_planted_no_hypothesis_is_supported(table):
    found = findings(table(health_truths()))
    assert {found[identity].verdict for identity in IDS.values()} <= {"undecided", "rejected"}
    assert found["hypotheses_ranked"].verdict != "supported"
    assert found["problem_is_there"].verdict != "supported"


@pytest.mark.parametrize(
    ("symptom", "identity", "kind"),
    [
        ({"steps": 4.0}, "H4_halting", "halting_off"),
        ({"scale": 26.0}, "H2_output_scale", "context_scale_off"),
    ],
)
def test_what_the_control_shows_too_is_no_reason(table, symptom, identity, kind):
    for cause in (None, "H1"):
        everywhere = {name: replace(truth, **symptom) for name, truth in health_truths(cause).items()}
        found = findings(table(everywhere))
        assert found[f"{kind}[sf1]"].verdict == found[f"{kind}[control]"].verdict == "supported"
        assert found[identity].verdict != "supported"
        assert f"{kind} out of bounds in control, too" in found[identity].statement
        assert (found["hypotheses_ranked"].verdict == "supported") == (cause == "H1")


def test_a_symptom_that_was_counted_does_not_win_over_one_that_was_measured(table):
    starved = {**health_truths("H1"), "sf1_lr10": EncoderTruth(0.3, ratio=0.02, exact=0.05, trained=0.1)}
    starved["sf1_lr10"] = replace(starved["sf1_lr10"], params={**SF1, "encoder_lr_scale": 10.0})
    for halting_control in (4.0, 2.5):
        steps = {name: halting_control if name == "control" else 4.0 for name in starved}
        found = findings(table({name: replace(truth, steps=steps[name]) for name, truth in starved.items()}))
        assert found["encoder_starved[sf1]"].verdict == "supported"
        ranked = found["hypotheses_ranked"].statement
        assert ranked.startswith("By evidence: 1. H1 gradient flow (supported by one)")
        assert found["H4_halting"].verdict == ("rejected" if halting_control == 4.0 else "supported")


def test_without_the_control_a_monitor_counts_alone(table):
    truths = {
        name: replace(truth, scale=26.0) for name, truth in health_truths().items() if name != "control"
    }
    assert findings(table(truths))["H2_output_scale"].verdict == "supported"


BETTER = EncoderTruth(exact=0.7, trained=0.9, params={**SF1, "encoder_lr_scale": 10.0})
WORSE_CONTROL = EncoderTruth(exact=0.1, trained=0.2, params={"encoder_type": "standard", "batch_size": 32})


def test_where_the_control_is_worse_there_is_nothing_to_explain_and_no_share_to_close(table):
    given = table(health_truths(control=WORSE_CONTROL, sf1_lr10=BETTER))
    found = findings(given)
    assert found["problem_is_there"].verdict == "rejected"
    assert found["hypotheses_ranked"].verdict == "rejected"
    assert found["hypotheses_ranked"].statement.startswith("There is nothing to explain")
    assert {found[identity].verdict for identity in IDS.values()} == {"rejected"}
    assert found["H1_gradient_flow"].statement.startswith("Gradient flow has nothing to explain")
    helped = found["change_helps[sf1_lr10]"]
    assert helped.verdict == "supported"
    assert "%" not in helped.statement
    assert "no distance to close" in helped.statement


def test_the_way_to_the_control_goes_in_the_direction_of_the_objective(table):
    given = table(health_truths("H1"))
    effects = estimate(given, encoder_health.contrasts(given))
    ratio = next(effect for effect in effects.values() if effect.kind == "ratio")
    halved = replace(ratio, estimate=0.5, ci_low=0.4, ci_high=0.6, p_same=1.0)
    open_gain = replace(ratio, estimate=1.2, ci_low=0.95, ci_high=1.6, p_same=1.0)
    assert encoder_health_changes.helps(open_gain, halved, "max") == "undecided"
    assert encoder_health_changes.closed(open_gain, halved, "max") is None
    assert encoder_health_changes.closed_text(open_gain, halved, "max") == "no distance to close"
    assert encoder_health_changes.closed(halved, halved, "min") is not None
    assert encoder_health_changes.helps(open_gain, halved, "min") == "rejected"


def test_a_monitor_alone_ranks_below_a_monitor_with_a_cure(table):
    truths = health_truths("H1")
    also_collapsed = {name: replace(truth, cross=0.01) for name, truth in truths.items() if name != "control"}
    ranked = findings(table({**truths, **also_collapsed}))["hypotheses_ranked"].statement
    assert ranked.startswith(
        "By evidence: 1. H1 gradient flow (supported by both); 2. H3 architecture (supported by one)"
    )


def test_changes_are_known_by_their_parameters_and_not_by_their_names(table):
    truths = health_truths("H2")
    truths["anything"] = truths.pop("sf1_rescaled")
    truths["sf1_two_changes"] = EncoderTruth(params={**SF1, "context_scale": 0.1, "encoder_lr_scale": 10.0})
    given = table(truths)
    changes = {
        name: parameter for name, (_, parameter) in encoder_health_changes.single_changes(given).items()
    }
    assert changes["anything"] == "context_scale"
    assert changes["sf2"] == "halt_exploration_prob"
    assert not {"sf1_two_changes", "control", "sf1"} & changes.keys()
    assert "(arm anything)" in findings(given)["hypotheses_ranked"].advice


def test_the_share_of_the_distance_that_a_change_closes_is_told_with_its_interval(table):
    halfway = {"sf1_lr10": EncoderTruth(exact=0.1335, trained=0.29, params={**SF1, "encoder_lr_scale": 10.0})}
    given = table(health_truths("H1", **halfway), noise=0.3)
    effects = estimate(given, encoder_health.contrasts(given))
    judge = encoder_health.Judge(given, effects)
    (change,) = [one for one in encoder_health_changes.interventions(judge) if one.arm.name == "sf1_lr10"]
    control = encoder_health_changes.named_arm(given, "control")
    distance = judge.step(encoder_health_changes.objective_step(given, control))
    share, low, high = encoder_health_changes.closed(change.objective, distance, "max")
    assert (
        low < 0.5 < high
    )  # 0.1335 has the geometric mean of the odds of 0.05 and 0.3, with the step of shares
    assert share == pytest.approx(0.5, abs=0.08)


def test_a_change_that_never_acted_is_said_to_change_nothing(table):
    found = findings(table(health_truths("H1"), twins={"sf2": "sf1"}))
    assert found["change_helps[sf2]"].verdict == "rejected"
    assert found["change_helps[sf2]"].statement == (
        "sf2 (halt_exploration_prob 0.7) changes nothing, every number of every seed is that of sf1."
    )
    assert "changes nothing" not in found["change_helps[sf1_freeze]"].statement


def test_a_batch_size_that_matters_belongs_to_no_hypothesis(table):
    better = {"sf1_large_batch": EncoderTruth(params={**SF1, "batch_size": 64})}
    found = findings(table(health_truths("H1", **better)))
    assert found["batch_matters"].verdict == "supported"
    assert "at equal epochs" in found["batch_matters"].statement
    assert "a larger batch takes fewer steps" in found["batch_matters"].statement
    assert "H4" in found["hypotheses_ranked"].statement
    assert found["H4_halting"].verdict == "rejected"


def test_without_the_reference_arm_nothing_is_ranked(table):
    truths = health_truths()
    del truths["sf1"]
    found = findings(table(truths))
    assert found["hypotheses_ranked"].verdict == "not_applicable"
    assert "sf1" in found["hypotheses_ranked"].statement
    assert found["problem_is_there"].verdict == "not_applicable"


def test_one_seed_decides_nothing(table):
    found = findings(table(health_truths("H1"), seeds=(1,))).values()
    assert {f.verdict for f in found if f.verdict != "not_applicable"} == {"undecided"}


def test_the_report_shows_the_ranking_as_a_table_and_both_figures(table, tmp_path):
    given = table(health_truths("H1"))
    report = write_report(given, tmp_path / "report")
    names = {path.name for path in (report.folder / "figures").iterdir()}
    assert {"interventions.png", "gradient_ratio.svg"} <= names
    rows = (report.folder / "hypotheses.csv").read_text().splitlines()
    assert rows[0] == "rank,hypothesis,monitor,best single change,verdict,fix"
    assert rows[1].startswith("1,H1 gradient flow,encoder_starved: out of bounds (grad_ratio/encoder 0.0")
    assert "supported by both,take encoder_lr_scale 10 (arm sf1_lr10)" in rows[1]
    assert len(rows) == 5
    data = json.loads((report.folder / "report.json").read_text())
    asked = {item["id"] for found in data["findings"] for item in found["evidence"] if "id" in item}
    assert asked <= {effect["id"] for effect in data["effects"]}
    assert "Verdicts per arm" in report.html.read_text()


def test_no_sweep_without_differences_makes_a_claim(table):
    """None of 15 bounds the rate of false claims by 18 % (95 %); none of 60 did when this was written: 5 %."""
    for seed in range(15):
        found = findings(table(health_truths(), random_seed=seed)).values()
        assert [f.id for f in found if f.verdict == "supported"] == [], f"random_seed={seed}"


def test_the_answer_counts_every_contrast_towards_the_error_rate(table):
    said = answer(table(health_truths("H3")))
    assert {f.id: f.verdict for f in said.findings}["H3_architecture"] == "supported"
    assert said.headline
