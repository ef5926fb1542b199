"""What a reader must know of the recommended cell: what needs no training, test samples, its epochs, other metrics."""

from __future__ import annotations

import pytest

from analysis.answer import answer
from analysis.report import write_report
from analysis.standing import standing_of
from analysis.training_length import Peak
from analysis.verdict_text import recommendation_text

BEST = ("linear", 1.0)
LOSS = "comparable_loss"


def clear(planted, **more):
    """Return a grid in which linear at beta 1 is the best: its loss is about 0.03."""
    better = {"none": 1.0, "linear": 0.3, "vq": 9.0}
    return planted(globals_by_latent=better, tokens_by_latent=better, **more)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.01, "It is worse than the mean image, which needs no training: valid/comparable_loss 0.03"),
        (None, "It is not shown to be better than the mean image, which needs no training"),
        (9.0, ""),
    ],
)
def test_a_recommendation_that_beats_nothing_says_so_in_headline_terminal_and_report(
    planted, tmp_path, value, said
):
    table = clear(planted)
    table.baselines = {
        f"mean_image/valid/{LOSS}": value or table.mean(f"valid/{LOSS}", BEST),
        "other/valid/x": 0.0,
    }
    found = answer(table)
    assert found.recommendation.standing.caution.startswith(said)
    assert bool(found.recommendation.standing.caution) == bool(said)
    assert ("which needs no training" in found.headline) == bool(said)
    assert ("Caution: It is" in recommendation_text(found).plain) == bool(said)
    page = write_report(table, tmp_path / "report").html.read_text()
    assert ("<strong>Caution.</strong>" in page) == bool(said)


def test_without_a_baseline_on_the_objective_there_is_nothing_to_caution_of(planted):
    standing = answer(clear(planted)).recommendation.standing
    assert (standing.caution, standing.relation, standing.trivial) == ("", None, None)
    assert (standing.test, standing.rows) == ("", ())


def with_test(table, **by_latent):
    """Give every trial a loss on test samples: that on validation samples times a factor by latent space."""
    factor = table.trials["latent_space"].map({"none": 1.0, "linear": 1.0, "vq": 1.0} | by_latent)
    table.trials[f"test/{LOSS}"] = table.trials[f"valid/{LOSS}"] * factor
    return table


def test_test_samples_that_agree_are_quoted_and_shown_beside_validation(planted, tmp_path):
    table = with_test(clear(planted))
    table.baselines = {f"mean/valid/{LOSS}": 9.0, f"mean/test/{LOSS}": 8.0}
    standing = answer(table).recommendation.standing
    assert standing.test.startswith("Test agrees with validation. test/comparable_loss is 0.03")
    assert standing.test.endswith("the mean has 8 on test samples.")
    (row,) = standing.rows
    assert (row.metric, row.valid, row.trivial.value, row.trivial_test.value) == (LOSS, row.test, 9.0, 8.0)
    page = write_report(table, tmp_path / "report").html.read_text()
    assert "On validation and on test samples (1 metrics)" in page


def test_a_cell_that_is_better_on_test_samples_contradicts_validation(planted):
    standing = answer(with_test(clear(planted), linear=9.0)).recommendation.standing
    assert standing.contradicted
    assert standing.test.startswith("Test contradicts validation: there none, globals_beta 1 is better (0.")


def test_what_needs_no_training_may_be_beaten_on_validation_only(planted):
    table = with_test(clear(planted))
    table.baselines = {f"mean/valid/{LOSS}": 9.0, f"mean/test/{LOSS}": 0.001}
    standing = answer(table).recommendation.standing
    assert standing.contradicted
    assert standing.caution == ""
    assert "it beats the mean on validation samples only" in standing.test


def test_a_cell_that_is_clearly_better_elsewhere_is_named(planted):
    table = clear(planted)
    (said,) = standing_of(table, BEST, also=["valid/rec_tokens", "valid/met_r2"]).elsewhere
    assert said.startswith(
        "linear, globals_beta 0 is better on valid/rec_tokens: 0.0031 against 0.00597 (0.5"
    )


@pytest.mark.parametrize(
    ("epochs", "place", "text", "advice"),
    [
        ((8, 8, 7), "latest", "its best epochs are 7, 8 and 8 of 8", "train longer"),
        (
            (2, 3, 3),
            "earliest",
            "its best epochs are 2, 3 and 3 of 8",
            "longer training would not help: regularise",
        ),
        ((6,), "inside", "its best epoch is 6 of 8", "longer training would hardly help"),
    ],
)
def test_longer_training_is_advised_only_where_the_last_epoch_is_the_best(epochs, place, text, advice):
    peak = Peak(epochs, 8)
    assert (peak.place, peak.text) == (place, text)
    assert peak.advice.startswith(advice)


def test_a_recommendation_says_where_its_best_epochs_lie(planted):
    assert answer(clear(planted)).recommendation.standing.training.startswith(
        "Its best epochs are 4, 4 and 4 of 4."
    )
    assert answer(clear(planted, epochs=2)).recommendation.standing.training == ""
