"""What a sweep proposes to run next: every proposal is a study that runs, and says what it could change."""

from __future__ import annotations

import pytest

from analysis.answer import answer
from analysis.study_file import study_text
from search_spaces.globals_autoencoder import SPACE
from sweeps.plan import make_plan
from sweeps.study_files import load_study

BETTER_AND_BETTER = {0.0: 1.0, 1.0: 0.5, 10.0: 0.1}
FLAT = {0.0: 1.0, 1.0: 1.0, 10.0: 1.0}


def proposed(table):
    return {
        proposal.name.removeprefix("compare_globals_heads_"): proposal for proposal in answer(table).proposals
    }


def test_a_recommended_weight_at_the_upper_edge_widens_the_range(planted):
    found = proposed(planted(globals_by_beta=BETTER_AND_BETTER, tokens_by_beta=FLAT))
    wider = found["wider_globals_beta"]
    assert wider.grid["globals_beta"] == (10.0, 30.0, 90.0)
    assert wider.finding == "edge"
    assert "could take the recommendation from 10" in wider.could_change
    assert list(found).index("wider_globals_beta") < list(found).index("finer_globals_beta")


def test_a_recommended_weight_inside_is_refined_and_not_widened(planted):
    found = proposed(planted())
    assert "wider_globals_beta" not in found
    assert found["finer_globals_beta"].grid["globals_beta"] == pytest.approx((0.333, 1.0, 3.0))


def test_no_value_leaves_the_space(planted):
    table = planted(
        globals_by_beta={0.0: 1.0, 1e3: 0.5, 1e4: 0.1}, tokens_by_beta={0.0: 1.0, 1e3: 1.0, 1e4: 1.0}
    )
    proposals = answer(table).proposals
    values = [value for proposal in proposals for value in proposal.grid.get("globals_beta", ())]
    assert [SPACE.check("globals_beta", value) for value in values] == values
    assert len(values) >= 2


def test_open_findings_ask_for_the_seeds_that_should_decide_them(planted):
    found = proposed(planted(noise=0.1, shared=0.0))
    seeds = found["more_seeds"]
    assert seeds.finding == "more seeds"
    assert 3 < len(seeds.seeds) <= 12
    assert seeds.could_change.startswith(("It should decide ", "It narrows "))


def test_twelve_seeds_ask_for_no_more(planted):
    assert "more_seeds" not in proposed(planted(noise=0.3, seeds=tuple(range(1, 13))))


def test_the_follow_up_of_a_finding_comes_first_and_says_which_finding(planted):
    said = answer(planted())
    first = said.proposals[0]
    assert first.finding in {finding.id for finding in said.findings if finding.follow_up}
    assert first.could_change.startswith(f"It could overturn {first.finding} (")
    assert said.follow_up == first


def test_every_proposal_can_be_planned_and_keeps_its_lineage(planted, tmp_path):
    table = planted(noise=0.1, globals_by_beta=BETTER_AND_BETTER, tokens_by_beta=FLAT)
    found = answer(table).proposals
    assert len(found) >= 2
    for proposal in found:
        path = tmp_path / f"{proposal.name}.py"
        path.write_text(study_text(proposal))
        plan = make_plan(load_study(str(path)), tmp_path / "out")
        assert plan.n_trials == proposal.n_trials
        assert plan.study.follows == {
            "sweep": "7f3a2c91d0",
            "study": "compare_globals_heads",
            "finding": proposal.finding,
        }
