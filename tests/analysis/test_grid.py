"""A study without an analysis of its own still gets verdicts."""

from __future__ import annotations

import pytest

from analysis.answer import answer
from analysis.claims import AnalysisError, load_analysis


def as_grid(planted, **truths):
    table = planted(**truths)
    table.study["analysis"] = "grid"
    return table


def test_every_axis_gets_an_effect_and_a_best_level(planted):
    said = answer(as_grid(planted, noise=0.004))
    verdicts = {found.id: found.verdict for found in said.findings}
    assert verdicts["effect_of_latent_space"] == "supported"
    assert verdicts["sweet_spot_globals_beta"] == "supported"
    assert said.recommendation.cell["globals_beta"] == 1.0


def test_an_axis_without_effect_is_told_so(planted):
    same = {"none": 1.0, "linear": 1.0, "vq": 1.0}
    said = answer(as_grid(planted, noise=0.002, tokens_by_latent=same, globals_by_latent=same))
    verdicts = {found.id: found.verdict for found in said.findings}
    assert verdicts["effect_of_latent_space"] == verdicts["sweet_spot_latent_space"] == "rejected"


def test_an_objective_that_grows_is_followed_upwards(planted):
    table = as_grid(planted)
    table.objective = type(table.objective)("valid/met_r2", "max")
    said = answer(table)
    assert said.recommendation.cell["globals_beta"] == 1.0
    assert said.recommendation.summary.mean > 0.5


def test_an_unknown_analysis_is_refused_with_the_way_out():
    with pytest.raises(
        AnalysisError, match=r"analysis='globals_hads' is not a module of analysis. Use 'grid'"
    ):
        load_analysis("globals_hads")


def test_a_module_that_is_no_analysis_is_refused():
    with pytest.raises(AnalysisError, match=r"analysis.table has no contrasts"):
        load_analysis("table")
