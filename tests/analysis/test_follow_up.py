"""A follow-up is a study that runs as it is."""

from __future__ import annotations

import pytest

from analysis.follow_up import proposal_for_seeds, propose
from analysis.study_file import study_text
from search_spaces.globals_autoencoder import SPACE
from sweeps.study_files import load_study


def test_the_study_file_reads_back_as_the_same_study(planted, tmp_path):
    follow_up = propose(
        planted(), "wider", 'Does "wider" help?', "trade_off\\", {"latent_dim": (64,), "lr": (1e-4, 1e-3)}
    )
    path = tmp_path / "next_study.py"
    path.write_text(study_text(follow_up))
    study = load_study(str(path)).checked(SPACE)
    assert study.question == 'Does "wider" help?'
    assert study.fixed == {"latent_dim": 64}
    assert study.grid == {
        "latent_space": ("none", "linear", "vq"),
        "globals_beta": (0.0, 1.0, 10.0),
        "lr": (1e-4, 1e-3),
    }
    assert (study.objective.metric, study.objective.mode) == ("valid/comparable_loss", "min")
    assert study.seed_list == (1, 2, 3)


@pytest.mark.parametrize(("wanted", "seeds"), [(5, 5), (2, 4), (900, 12), (None, 6)])
def test_more_seeds_keep_those_that_were_trained_and_stay_affordable(planted, wanted, seeds):
    follow_up = proposal_for_seeds(planted(), wanted, "linear_equals_none is undecided.")
    assert follow_up.seeds == tuple(range(1, seeds + 1))


def test_records_that_do_not_name_the_family_propose_nothing(planted):
    table = planted()
    del table.study["family"]
    assert propose(table, "x", "q", "r") is None
