"""The study of reconstruction weights sees the planted collapse, names its cause and its cure, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planted_arms import ARMS, BASELINE, LITERAL, REMEDY, PlantedArms

from analysis import recon_weight
from analysis.answer import answer
from analysis.load import load_table

pytestmark = pytest.mark.slow

NO_COLLAPSE = replace(
    LITERAL, k_eff=9.5, accuracy=0.5, nll=-1.0, at_max=0.0, share=0.9, beta_eff=1.0, kl_per_dim=0.5
)


@pytest.fixture
def table(tmp_path):
    def write(**truths):
        folder = tmp_path / f"records_{len(list(tmp_path.iterdir()))}"
        return load_table(PlantedArms(**truths).write(folder))

    return write


def findings(table):
    return {found.id: found for found in answer(table).findings}


def without(*names):
    return {name: truth for name, truth in ARMS.items() if name not in names}


def test_the_pattern_of_the_note_is_recognised_at_three_seeds(table):
    found = findings(table())
    verdicts = {name: found[name].verdict for name in found}
    assert verdicts["pattern_of_the_note"] == "supported"
    assert verdicts["baseline_is_healthy"] == "rejected"
    assert verdicts["options_cure_saturation"] == "rejected"
    assert verdicts["component_collapse[literal]"] == verdicts["sigma_saturated_high[literal]"] == "supported"
    assert verdicts["component_collapse[baseline]"] == verdicts["sigma_saturated_low[literal]"] == "rejected"
    assert verdicts["loss_scale_mismatch[literal]"] == verdicts["kl_anomaly[literal]"] == "supported"
    assert verdicts["calibrated[literal]"] == "rejected"


def test_the_two_kinds_of_a_bad_kl_are_told_apart(table):
    found = findings(table())
    assert "posterior collapses" in found["kl_anomaly[baseline]"].statement
    assert "KL explodes" in found["kl_anomaly[literal]"].statement
    assert "posterior collapses, so that z carries nothing" in found["baseline_is_healthy"].statement


def test_the_cause_is_named_from_the_numbers(table):
    said = findings(table())["why_literal_fails"].statement
    assert "sigma is at sigma_max for 100.0% of the images and no gradient reaches its head" in said
    assert "reconstruction has 99.9" in said
    assert "beta_eff is 0.002" in said


def test_a_head_that_gets_a_gradient_is_not_said_to_have_none(table):
    said = findings(table(arms={**ARMS, "literal": replace(LITERAL, head=1.0)}))[
        "why_literal_fails"
    ].statement
    assert "sigma is at sigma_max" in said
    assert "no gradient" not in said


def with_head_reached(table, n_reached):
    """Let a gradient reach the head of literal in that many of its accountings, and in no other."""
    history = table.history
    mine = history["trial_id"].isin(table.rows_of(("literal",))["trial_id"])
    rows = history.index[mine & (history["metric"] == "frac_params_with_grad/sigma_head")]
    history.loc[rows, "value"] = 0.0
    history.loc[rows[:n_reached], "value"] = 1.0
    return table, len(rows)


@pytest.mark.parametrize(
    ("n_reached", "said"),
    [
        (0, " and no gradient reaches its head;"),
        (1, " and a gradient reaches its head in only 8.3 % of the accountings;"),
        (6, " of the images;"),
    ],
)
def test_how_rarely_a_gradient_reaches_the_head_is_said(table, n_reached, said):
    given, n = with_head_reached(table(), n_reached)
    found = findings(given)["why_literal_fails"]
    assert n == 12
    assert said in found.statement
    shares = {item.label: item.value for item in found.evidence if hasattr(item, "label")}
    assert shares["accountings with a gradient in the head, literal"] == pytest.approx(n_reached / n)


def test_a_literal_arm_that_loses_components_but_not_all_is_told_against_the_baseline(table):
    some = replace(LITERAL, k_eff=1.6)
    found = findings(table(arms={**ARMS, "literal": some}, seeds=(1, 2, 3, 4, 5), noise=2.0))[
        "pattern_of_the_note"
    ]
    assert found.verdict == "undecided"
    assert found.statement.startswith("Literal loses components relative to the baseline; whether to one")
    assert "components, against 1.00 in the note; lower than the baseline's 9." in found.statement
    step = next(item for item in found.evidence if getattr(item, "id", "").endswith(": literal vs baseline"))
    assert step.interval_text in found.statement


def test_a_gradient_that_others_share_at_a_sane_scale_is_not_named_as_a_cause(table):
    said = findings(table(arms={**ARMS, "literal": replace(LITERAL, share=0.6, beta_eff=1.0)}))[
        "why_literal_fails"
    ].statement
    assert "of the gradient" not in said


def test_a_literal_arm_that_stays_well_is_reported_as_not_the_pattern_of_the_note(table):
    found = findings(table(arms={**ARMS, "literal": NO_COLLAPSE}))
    assert found["pattern_of_the_note"].verdict == "rejected"
    assert "Not the pattern of the note: literal does not collapse" in found["pattern_of_the_note"].statement
    assert found["why_literal_fails"].verdict == "rejected"
    assert found["options_cure_saturation"].verdict == "not_applicable"


def test_a_baseline_that_collapses_too_is_not_the_pattern_of_the_note(table):
    found = findings(table(arms={**ARMS, "baseline": replace(BASELINE, k_eff=1.01)}))
    assert "the baseline collapses, too" in found["pattern_of_the_note"].statement


def test_a_remedy_that_works_is_named_and_one_that_does_not_is_not(table):
    found = findings(table())
    assert found["which_remedy_works"].statement == (
        "Works: sigmoid_nll, sigmoid_beta_nll. Does not work: sigmoid_note_nll."
    )
    assert found["fix_works[sigmoid_nll]"].verdict == "supported"
    assert found["fix_works[sigmoid_note_nll]"].verdict == "rejected"
    assert "K_eff, likelihood" in found["fix_works[sigmoid_note_nll]"].statement


def test_remedies_are_known_by_their_role_and_not_by_their_name(table):
    found = findings(table(arms={**ARMS, "anything_else": REMEDY}))
    assert found["fix_works[anything_else]"].verdict == "supported"


def test_no_remedy_that_works_is_said_plainly(table):
    found = findings(table(arms=without("sigmoid_nll", "sigmoid_beta_nll")))
    assert found["which_remedy_works"].statement.startswith("No remedy works: sigmoid_note_nll")


def test_an_option_that_frees_sigma_is_named(table):
    found = findings(table(arms={**ARMS, "option_2": REMEDY}))
    assert found["options_cure_saturation"].verdict == "supported"
    assert found["options_cure_saturation"].statement.startswith("option_2 cures the saturation")


def test_all_targets_are_met_only_by_arms_that_meet_each(table):
    wide = replace(REMEDY, sigma_mean=0.13)
    found = findings(table(arms={**ARMS, "sigmoid_nll": wide}))
    assert found["all_targets_met[sigmoid_nll]"].verdict == "supported"
    assert "less than 5% saturated, calibration, K_eff above 8" in found["all_targets_met[literal]"].statement
    assert "all_targets_met[baseline]" not in found


@pytest.mark.parametrize(
    ("missing", "identity"),
    [
        ("literal", "pattern_of_the_note"),
        ("literal", "why_literal_fails"),
        ("literal", "fix_works[sigmoid_nll]"),
        ("literal", "which_remedy_works"),
        ("baseline", "baseline_is_healthy"),
    ],
)
def test_an_arm_that_is_not_there_makes_its_findings_not_applicable(table, missing, identity):
    found = findings(table(arms=without(missing)))[identity]
    assert found.verdict == "not_applicable"
    assert missing in found.statement


def test_without_options_nothing_is_said_of_them(table):
    found = findings(table(arms=without("option_1", "option_2", "option_3")))
    assert found["options_cure_saturation"].verdict == "not_applicable"


def test_one_seed_decides_nothing(table):
    found = findings(table(seeds=(1,))).values()
    applicable = [finding for finding in found if finding.verdict != "not_applicable"]
    assert len(applicable) > 20
    assert {finding.verdict for finding in applicable} == {"undecided"}


def test_an_arm_that_diverged_is_not_judged(table):
    gone = {("literal", seed): "diverged" for seed in (1, 2, 3)}
    found = findings(table(states=gone))
    assert found["component_collapse[literal]"].verdict == "not_applicable"
    assert found["pattern_of_the_note"].verdict == "not_applicable"


def test_a_share_that_all_seeds_agree_on_is_counted_and_said_to_be(table):
    found = findings(table())["sigma_saturated_high[literal]"]
    assert found.statement.endswith("more than 95% of the images, in every seed.")
    two = findings(table(seeds=(1, 2)))["sigma_saturated_high[literal]"]
    assert "in every seed" not in two.statement


def test_ranks_of_rounding_errors_are_no_information(table):
    found = findings(table())
    assert found["sigma_informative[literal]"].verdict == "not_applicable"
    assert "one sigma for all images" in found["sigma_informative[literal]"].statement
    assert found["sigma_informative[sigmoid_nll]"].verdict == "supported"


def test_an_arm_at_rest_does_not_lend_its_certainty_to_the_others(table):
    noisy = replace(REMEDY, at_max=0.1)
    said = answer(table(arms={**ARMS, "sigmoid_nll": noisy}, noise=3.0))
    widths = {
        e.a: e.ci_high / e.ci_low
        for e in said.effects.values()
        if e.metric.startswith("odds of valid/sigma_at_max")
    }
    assert "literal" not in widths  # all its seeds agree: counted, not estimated
    assert widths["sigmoid_nll"] > 1


def test_a_kl_that_rounds_to_zero_is_a_collapse_and_no_crash(table):
    found = findings(table(arms={**ARMS, "baseline": replace(BASELINE, kl_per_dim=0.0)}))
    assert found["kl_anomaly[baseline]"].verdict == "supported"
    assert found["kl_anomaly[sigmoid_nll]"].verdict == "rejected"


def test_noise_opens_findings_and_turns_none_around(table):
    truth = {name: found.verdict for name, found in findings(table(noise=0.3)).items()}
    for seed in range(3):
        loud = findings(table(noise=4.0, random_seed=seed))
        assert all(found.verdict in {"undecided", truth[name]} for name, found in loud.items())


def test_the_table_of_the_note_stands_beside_what_was_measured(table):
    shown = {item.name: item for item in recon_weight.exhibits(table(), {})}
    listing = shown["literal_against_baseline"]
    rows = {row[0]: row[1:] for row in listing.rows}
    assert len(rows) == 13
    assert rows["K_eff"][:2] == [1.0, 9.882]
    assert rows["K_eff"][3:] == [1.0, 9.9, 0.101]
    assert rows["accuracy"][3:5] == [0.095, 0.37]
    assert rows["certainty: mean [min, max]"][1] == "0.45 [0.15, 0.86]"
    assert all(len(row) == len(listing.columns) for row in listing.rows)


def test_every_arm_is_held_against_every_target(table):
    given = table()
    listing = next(
        item for item in recon_weight.exhibits(given, answer(given).effects) if item.name == "arms_by_target"
    )
    rows = {row[0]: row for row in listing.rows}
    assert set(rows) == set(ARMS)
    assert rows["literal"][1].endswith("not met")
    assert rows["baseline"][-1] == "–"


def test_the_figures_are_drawn_with_words_for_those_who_cannot_see_them(table):
    given = table()
    drawn = {
        item.name: item
        for item in recon_weight.exhibits(given, answer(given).effects)
        if hasattr(item, "figure")
    }
    assert set(drawn) == {"recon_gradient_share", "target_matrix", "beta_eff_against_kl"}
    assert "literal 99.97 %" in drawn["recon_gradient_share"].alternative
    assert "literal, K_eff > 8: not met" in drawn["target_matrix"].alternative
