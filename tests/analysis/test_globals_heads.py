"""Every finding of the globals study says what was planted, and says nothing when nothing can be said."""

from __future__ import annotations

import pytest

from analysis import globals_heads
from analysis.answer import answer
from analysis.effects import estimate
from analysis.recommendation import contrasts_with_best

ORDINARY = {
    "beta_has_effect": "supported",
    "head_needed": "supported",
    "beta_10_worth_it": "rejected",
    "sweet_spot": "supported",
    "free_lunch": "rejected",
    "trade_off": "supported",
    "vq_too_restrictive": "supported",
    "vq_ranks_last": "supported",
    "codes_alive": "supported",
    "globals_from_visible": "supported",
    "wins_the_gradient": "supported",
    "bottleneck_makes_trade_off": "not_applicable",
}
FLAT = {0.0: 1.0, 1.0: 1.0, 10.0: 1.0}
EQUAL = {"none": 1.0, "linear": 1.0, "vq": 1.0}


def finding(table, identity):
    effects = estimate(table, [*globals_heads.contrasts(table), *contrasts_with_best(table)[0]], 28)
    return next(found for found in globals_heads.findings(table, effects) if found.id == identity)


def test_a_planted_trade_off_sweep_gets_every_verdict_right(planted):
    verdicts = {found.id: found.verdict for found in answer(planted()).findings}
    assert {identity: verdicts[identity] for identity in ORDINARY} == ORDINARY
    assert verdicts["linear_equals_none"] in {"supported", "undecided"}


def test_linear_equals_none_is_supported_when_seeds_show_it(planted):
    assert finding(planted(noise=0.004), "linear_equals_none").verdict == "supported"


def test_linear_equals_none_is_rejected_when_they_differ(planted):
    table = planted(tokens_by_latent={"none": 1.0, "linear": 1.6, "vq": 20.0})
    assert finding(table, "linear_equals_none").verdict == "rejected"


def test_beta_without_effect_is_told_from_an_open_question(planted):
    assert finding(planted(globals_by_beta=FLAT, noise=0.004), "beta_has_effect").verdict == "rejected"
    assert finding(planted(globals_by_beta=FLAT, noise=0.3), "beta_has_effect").verdict == "undecided"


def test_globals_that_stay_at_the_variance_are_said_to_be_not_encoded(planted):
    found = finding(planted(globals_by_beta=FLAT, noise=0.004), "beta_has_effect")
    assert "not encoded" in found.advice


def test_globals_that_are_good_at_every_beta_are_said_to_be_saturated(planted):
    found = finding(planted(globals_by_beta=dict.fromkeys(FLAT, 0.1), noise=0.004), "beta_has_effect")
    assert "saturated" in found.advice


def test_tokens_that_keep_their_loss_make_a_free_lunch(planted):
    table = planted(tokens_by_beta=FLAT, noise=0.004)
    assert finding(table, "free_lunch").verdict == "supported"
    assert finding(table, "trade_off").verdict == "rejected"


def test_a_trade_off_proposes_twice_the_latent_dim(planted):
    follow_up = finding(planted(), "trade_off").follow_up
    assert follow_up.fixed["latent_dim"] == 64
    assert follow_up.n_trials == 27


def test_beta_10_that_gains_is_worth_it(planted):
    table = planted(globals_by_beta={0.0: 1.0, 1.0: 0.2, 10.0: 0.08})
    assert finding(table, "beta_10_worth_it").verdict == "supported"


def test_vq_that_is_as_good_is_not_too_restrictive(planted):
    table = planted(tokens_by_latent=EQUAL, globals_by_latent=EQUAL, noise=0.004)
    assert finding(table, "vq_too_restrictive").verdict == "rejected"
    assert finding(table, "vq_ranks_last").verdict == "rejected"


def test_dead_codes_are_seen(planted):
    found = finding(planted(perplexity=3.0), "codes_alive")
    assert found.verdict == "rejected"
    assert "dead_codes" in found.advice


def test_a_head_that_does_not_beat_the_visible_sum_is_told_so(planted):
    found = finding(planted(met_r2=0.2), "globals_from_visible")
    assert found.verdict == "rejected"
    assert found.follow_up.grid["mixing"] == ("none", "attention")


def test_without_the_baseline_nothing_is_said_about_it(planted):
    found = finding(planted(overrides={"baselines": {}}), "globals_from_visible")
    assert found.verdict == "not_applicable"


def test_the_gradient_is_lost_to_the_globals_only_where_beta_is_heavy(planted):
    found = finding(planted(), "wins_the_gradient")
    assert "rec_globals has the largest share in none, globals_beta 10 (77%)" in found.statement


@pytest.mark.parametrize(("price", "verdict"), [(4.0, "supported"), (1.0, "rejected")])
def test_the_price_of_beta_is_compared_between_widths(planted, price, verdict):
    table = planted(dims=(2, 32), price_at_small_dim=price, noise=0.004, shared=0.004)
    assert finding(table, "bottleneck_makes_trade_off").verdict == verdict


def test_findings_hold_on_a_grid_with_latent_dim(planted):
    verdicts = {found.id: found.verdict for found in answer(planted(dims=(2, 8, 32))).findings}
    assert verdicts["trade_off"] == verdicts["beta_has_effect"] == "supported"


def test_one_seed_decides_nothing_and_says_that_more_are_needed(planted):
    said = answer(planted(seeds=(1,)))
    applicable = [found for found in said.findings if found.verdict != "not_applicable"]
    assert {found.verdict for found in applicable} == {"undecided"}
    assert all("at least 2 seeds" in found.statement for found in applicable)
    assert said.recommendation is None
    assert "One seed" in said.no_recommendation


def test_a_latent_space_that_diverged_takes_its_findings_with_it(planted):
    gone = {("vq", beta, seed): "diverged" for beta in FLAT for seed in (1, 2, 3)}
    said = answer(planted(states=gone))
    verdicts = {found.id: found.verdict for found in said.findings}
    assert verdicts["vq_too_restrictive"] == verdicts["codes_alive"] == "not_applicable"
    assert verdicts["beta_has_effect"] == "supported"
    assert any("vq, globals_beta 10: 0 of 3 seeds" in problem for problem in said.problems)


def test_cells_that_were_never_run_make_a_finding_not_applicable(planted):
    table = planted(tokens_by_beta={0.0: 1.0, 1.0: 2.0}, globals_by_beta={0.0: 1.0, 1.0: 0.1})
    assert finding(table, "beta_10_worth_it").statement.startswith("Needs globals_beta 1 and 10")


def test_an_undecided_finding_says_how_many_seeds_would_decide(planted):
    found = finding(planted(noise=0.05), "linear_equals_none")
    assert found.verdict == "undecided"
    assert found.seeds_needed > 3
    assert f"About {found.seeds_needed} seeds" in found.statement
