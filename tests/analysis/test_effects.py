"""An interval holds what it promises, and a claim needs one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.power import TTestPower

from analysis.effects import Contrast, estimate, estimate_singly
from analysis.power import power_of_t, seeds_to_decide
from analysis.spread import Estimate, fit_spread
from analysis.tails import quantile, tail
from analysis.two_way import two_way

CELLS = [(latent, beta) for latent in ("none", "linear", "vq") for beta in (0.0, 1.0, 10.0)]
AXES = ("latent_space", "globals_beta")
PAIRS = [{a: 1.0, b: -1.0} for a, b in itertools.combinations(CELLS, 2)]


def scattered(rng, spread, seeds=3, shared=0.5):
    common = rng.normal(0, shared, seeds)
    return {cell: dict(enumerate(rng.normal(0, spread(cell), seeds) + common, start=1)) for cell in CELLS}


def misses(fit, alpha):
    for found in (fit.contrast(pair) for pair in PAIRS):
        se, df = found.widest(alpha)
        if abs(found.value) > stats.t.isf(alpha / 2, df) * se:
            return True
    return False


@pytest.mark.parametrize(
    "spread",
    [
        lambda cell: 1.0,
        lambda cell: {"none": 1.0, "linear": 2.0, "vq": 4.0}[cell[0]],
        lambda cell: 4.0 if cell[1] == 10.0 else 1.0,
    ],
    ids=["equal spreads", "spreads that differ by column", "one level of an axis four times as noisy"],
)
def test_intervals_of_all_pairs_hold_at_once_in_95_of_100_null_sweeps(spread):
    rng, n = np.random.default_rng(11), 150
    alpha = 1 - 0.95 ** (1 / len(PAIRS))
    wrong = sum(misses(fit_spread(scattered(rng, spread), AXES), alpha) for _ in range(n))
    assert wrong / n <= 0.08


def test_what_seeds_share_cancels_when_spreads_are_pooled():
    rng = np.random.default_rng(4)
    fit = fit_spread(scattered(rng, lambda cell: 0.01, shared=5.0), AXES)
    assert fit.model == "pooled"
    assert fit.contrast(PAIRS[0]).se < 0.05


def test_spreads_that_clearly_differ_by_latent_space_are_not_pooled():
    rng = np.random.default_rng(1)
    fit = fit_spread(scattered(rng, lambda cell: 10.0 if cell[0] == "vq" else 0.1, shared=0.0), AXES)
    noisy, quiet = {CELLS[6]: 1.0, CELLS[7]: -1.0}, {CELLS[0]: 1.0, CELLS[1]: -1.0}
    assert fit.model == "by latent_space"
    assert fit.contrast(noisy).se > 20 * fit.contrast(quiet).se


@pytest.mark.parametrize("absent", [(), ((0, 1), (4, 3), (7, 1), (7, 2))])
def test_the_paired_model_is_the_least_squares_fit_of_the_full_design(absent):
    values = scattered(np.random.default_rng(7), lambda cell: 1.0)
    for place, seed in absent:
        del values[CELLS[place]][seed]
    rows = [(cell, seed, y) for cell, seeds in values.items() for seed, y in seeds.items()]
    fit = two_way(pd.DataFrame(rows, columns=["cell", "seed", "y"]), tuple(CELLS))
    design = [
        [*(float(cell == c) for c in CELLS), *(float(seed == s) for s in (2, 3))] for cell, seed, _ in rows
    ]
    full = OLS(np.array([y for *_, y in rows]), np.array(design)).fit()
    assert (fit.df, fit.mean_square) == pytest.approx((full.df_resid, full.mse_resid))
    assert fit.residuals == pytest.approx(full.resid)
    weights = dict(zip(CELLS, (2, -1, -1, 0.5, 0, 0, 0, 0.5, -1), strict=True))
    vector = np.array([*weights.values(), 0, 0])
    value, of_seeds = fit.contrast(weights)
    own = sum(weight**2 / len(values[cell]) for cell, weight in weights.items()) * fit.mean_square
    assert (value, own + of_seeds) == pytest.approx(
        (vector @ full.params, vector @ full.cov_params() @ vector)
    )


def test_no_grouping_of_spreads_gives_a_wider_interval_than_the_one_that_is_shown():
    rng, alpha = np.random.default_rng(3), 1e-3
    fit = fit_spread(scattered(rng, lambda cell: 2.0 if cell[1] == 10.0 else 1.0), AXES)
    for found in map(fit.contrast, PAIRS):
        se, df = found.widest(alpha)
        every = [(found.se, found.df), *found.others]
        assert quantile(alpha / 2, df) * se == max(quantile(alpha / 2, d) * s for s, d in every)
    assert any(fit.contrast(pair).others for pair in PAIRS)


def test_a_cell_that_scatters_more_than_the_others_gets_a_wider_interval():
    noisy = scattered(np.random.default_rng(9), lambda cell: 3.0 if cell == CELLS[0] else 1.0, shared=0.0)
    fit = fit_spread(noisy, AXES)
    assert fit.contrast(PAIRS[0]).widest(0.01)[0] > 1.3 * fit.contrast(PAIRS[-1]).widest(0.01)[0]


def test_seeds_stay_paired_where_spreads_differ_and_seeds_share_much():
    rng = np.random.default_rng(1)
    shared, own = ({"shared": 20.0}, {"shared": 0.0})
    loud, quiet = (
        fit_spread(scattered(rng, lambda cell: 4.0 if cell[0] == "vq" else 0.5, **more), AXES)
        for more in (shared, own)
    )
    assert loud.paired is not None
    assert {loud.model, quiet.model} == {"by latent_space"}
    assert loud.contrast(PAIRS[0]).se < 2.0


def test_same_is_what_lies_inside_the_margin_as_shown(planted):
    verdicts = set()
    for seed in range(12):
        table = planted(noise=0.022, random_seed=seed)
        pair = {("linear", 1.0): 1.0, ("none", 1.0): -1.0}
        contrast = Contrast("x", "valid/rec_globals", "linear", "none", (pair,), "ratio")
        effect = estimate(table, [contrast])["x"]
        low, high = effect.bounds_of_same
        assert effect.same == (effect.above(low) and effect.below(high))
        verdicts.add(effect.same)
    assert verdicts == {True, False}, "both must occur"


def test_one_seed_gives_an_estimate_and_no_interval():
    fit = fit_spread({cell: {1: float(place)} for place, cell in enumerate(CELLS)}, AXES)
    found = fit.contrast(PAIRS[0])
    assert (fit.model, found.value, found.se) == ("unknown", -1.0, None)


def test_seeds_that_agree_to_the_last_digit_give_an_exact_effect(planted):
    table = planted(noise=0.0)
    table.trials["valid/rec_globals"] = table.trials["globals_beta"].map({0.0: 1.0, 1.0: 0.1, 10.0: 0.1})
    contrast = Contrast(
        "x", "valid/rec_globals", "1", "0", ({("none", 1.0): 1.0, ("none", 0.0): -1.0},), "ratio"
    )
    effect = estimate(table, [contrast])["x"]
    assert effect.ci_low == effect.ci_high == pytest.approx(0.1)


def test_a_cell_whose_seeds_agree_by_chance_does_not_turn_differences_into_certainties():
    rng = np.random.default_rng(2)
    values = scattered(rng, lambda cell: 1.0, shared=0.0)
    values[CELLS[0]] = dict.fromkeys((1, 2, 3), 0.5)
    values[CELLS[1]] = dict.fromkeys((1, 2, 3), 0.6)
    assert fit_spread(values, AXES).contrast(PAIRS[0]).se > 0.1


def test_an_unbalanced_table_keeps_its_effects(planted):
    table = planted(missing=(("none", 0.0, 1), ("vq", 10.0, 2), ("vq", 10.0, 3)))
    pair = {("none", 1.0): 1.0, ("none", 0.0): -1.0}
    effect = estimate(table, [Contrast("x", "valid/rec_globals", "1", "0", (pair,), "ratio")])["x"]
    assert (effect.n, effect.below(0.2), effect.above(0.04)) == (2, True, True)


def test_a_block_without_data_is_left_out_and_named(planted):
    table = planted(states={("vq", 1.0, seed): "diverged" for seed in (1, 2, 3)})
    blocks = tuple({(latent, 1.0): 1.0, (latent, 0.0): -1.0} for latent in ("none", "vq"))
    effect = estimate(table, [Contrast("x", "valid/rec_globals", "1", "0", blocks, "ratio")])["x"]
    assert effect.note == "without vq, globals_beta 1"
    assert effect.differs


def test_a_contrast_without_any_data_gives_no_effect(planted):
    pair = {("none", 1.0): 1.0, ("none", 0.0): -1.0}
    assert estimate(planted(), [Contrast("x", "valid/absent", "1", "0", (pair,), "ratio")]) == {}


def test_more_contrasts_make_every_interval_wider(planted):
    table = planted()
    contrast = Contrast(
        "x", "valid/rec_globals", "1", "0", ({("none", 1.0): 1.0, ("none", 0.0): -1.0},), "ratio"
    )
    few, many = (estimate(table, [contrast], further)["x"] for further in (0, 200))
    assert many.ci_high - many.ci_low > 1.5 * (few.ci_high - few.ci_low)
    assert many.p_same >= few.p_same


def test_sameness_is_claimed_only_inside_the_margin(planted):
    pair = {("linear", 1.0): 1.0, ("none", 1.0): -1.0}
    contrast = Contrast("x", "valid/rec_globals", "linear", "none", (pair,), "ratio")
    assert estimate(planted(noise=0.002), [contrast])["x"].same
    assert not estimate(planted(noise=0.1), [contrast])["x"].same
    apart = planted(noise=0.002, globals_by_latent={"none": 1.0, "linear": 1.08, "vq": 2.0})
    effect = estimate(apart, [contrast])["x"]
    assert effect.differs
    assert not effect.same


def test_the_seeds_that_are_said_to_decide_reach_the_power_by_simulation():
    rng = np.random.default_rng(5)
    found = Estimate(value=1.0, se=math.sqrt(2 * 0.25 / 3), df=16, n=3)
    n = seeds_to_decide(0.5, found, 0.05, 0.0)
    draws = rng.normal(0.5, math.sqrt(0.5 / n), 4000) / np.sqrt(
        0.5 / n * rng.chisquare(8 * (n - 1), 4000) / (8 * (n - 1))
    )
    power = np.mean(np.abs(draws) > stats.t.isf(0.025, 8 * (n - 1)))
    assert 0.77 < power < 0.88


def test_an_effect_says_itself_in_words(planted):
    contrast = Contrast(
        "x", "valid/rec_globals", "beta 1", "beta 0", ({("none", 1.0): 1.0, ("none", 0.0): -1.0},), "ratio"
    )
    text = estimate(planted(), [contrast])["x"].text
    assert text.startswith("valid/rec_globals, beta 1 against beta 0: falls to 0.0")
    assert "x [0.0" in text


def test_an_interval_that_stands_alone_is_that_of_a_report_with_a_single_contrast(planted):
    table, metric = planted(), "valid/rec_tokens"
    asked = [
        Contrast(
            f"vq vs none, {beta:g}",
            metric,
            "vq",
            "none",
            ({("vq", beta): 1.0, ("none", beta): -1.0},),
            "ratio",
        )
        for beta in (0.0, 1.0, 10.0)
    ]
    alone, together = estimate_singly(table, asked), estimate(table, asked)
    first = asked[0].id
    assert alone[first] == estimate(table, asked[:1])[first]
    assert together[first].ci_low < alone[first].ci_low < alone[first].ci_high < together[first].ci_high


@pytest.mark.parametrize("df", [1.0, 2.5, 16.0, 300.0, math.inf])
@pytest.mark.parametrize("size", [0.025, 3e-5])
def test_tails_are_those_of_student(df, size):
    law = stats.norm if math.isinf(df) else stats.t(df)
    assert quantile(size, df) == pytest.approx(law.isf(size), rel=1e-9)
    assert tail(2.7, df) == pytest.approx(law.sf(2.7), rel=1e-9)


@pytest.mark.parametrize(("side", "alpha"), [("two-sided", 0.05), ("two-sided", 5e-4), ("larger", 2.5e-4)])
@pytest.mark.parametrize("df", [2.0, 16.0, 300.0])
def test_power_is_that_of_the_t_test(side, alpha, df):
    known = TTestPower().power(0.9, 12, alpha, df=df, alternative=side)
    assert power_of_t(0.9 * math.sqrt(12), df, alpha, side) == pytest.approx(known, abs=1e-6)
