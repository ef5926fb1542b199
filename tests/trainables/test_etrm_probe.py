"""Planted solvers: the probe finds what is wrong with each and nothing with a healthy one, and pictures show it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.etrm import SPACE
from trainables.dataset import DataError, Dataset
from trainables.etrm.context_metrics import cross_sample_ratio
from trainables.etrm.examples import examples
from trainables.etrm.experiments import cross_ratio, probe
from trainables.etrm.model import Contexts
from trainables.etrm.pictures import PICTURES
from trainables.etrm.puzzle_sheet import SPLITS
from trainables.probe import Interval

SIDE, N_DEMONSTRATIONS, VOCABULARY, FIRST_COLOUR = 5, 2, 12, 2
PARAMS = SPACE.resolve({})
CLAIMS = ("decoder_ignores_context", "representation_collapse", "copies_input", "context_scale_off")


def fill_puzzles(n_puzzles=12, queries=2, seed=0):
    """Puzzles whose answer is the query filled with the one colour of the demonstrations' outputs.

    Neighbours have other colours, and no grid has one colour only, so that no query is its answer.
    """
    rng = np.random.default_rng(seed)
    n = n_puzzles * queries
    split = {
        "query": np.full((n, SIDE, SIDE), -1, np.int8),
        "answer": np.full((n, SIDE, SIDE), -1, np.int8),
        "demo_inputs": np.full((n, N_DEMONSTRATIONS, SIDE, SIDE), -1, np.int8),
        "demo_outputs": np.full((n, N_DEMONSTRATIONS, SIDE, SIDE), -1, np.int8),
        "puzzle": np.repeat(np.arange(n_puzzles), queries),
        "number": np.tile(np.arange(queries), n_puzzles),
    }
    for puzzle in range(n_puzzles):
        rows, colour = slice(puzzle * queries, (puzzle + 1) * queries), 1 + puzzle % 9
        for place in range(1 + puzzle % N_DEMONSTRATIONS):  # every other puzzle lacks a demonstration
            height, width = rng.integers(2, SIDE + 1, 2)
            split["demo_inputs"][rows, place, :height, :width] = rng.integers(0, 10, (height, width))
            split["demo_outputs"][rows, place, :height, :width] = colour
        for row in range(rows.start, rows.stop):
            height, width = rng.integers(2, SIDE + 1, 2)
            split["query"][row, :height, :width] = rng.integers(0, 10, (height, width))
            split["query"][row, 0, :2] = (0, colour)
            split["answer"][row, :height, :width] = colour
    return split


def as_tensors(split):
    return {name: torch.as_tensor(array) for name, array in split.items()}


class Filler(nn.Module):
    """Fills the query with the colour that the context names: right on every puzzle, and by the context alone."""

    def __init__(self, scale=1.0, n_steps=3):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.n_steps = n_steps

    def noise_shape(self, n):
        return None

    def contexts(self, demos, present, epsilon=None):
        seen = nn.functional.one_hot(demos[:, 0, 1].amax(dim=-1), VOCABULARY).float()
        return Contexts((self.scale * seen)[None, :, None].expand(self.n_steps, -1, 1, -1), None, None)

    def solve(self, tokens, context):
        logits = torch.stack([self.answer(tokens, now) for now in context])
        return logits, torch.full(logits.shape[:2], -1.0)

    def answer(self, tokens, now):
        colour = now[:, 0].argmax(dim=-1, keepdim=True)
        return as_logits(torch.where(tokens >= FIRST_COLOUR, colour, tokens))

    def token_rms(self, tokens):
        return torch.tensor(VOCABULARY**-0.5)  # of one-hot embeddings


class Deaf(Filler):
    """Fills with colour 5 whatever the context says."""

    def answer(self, tokens, now):
        return as_logits(torch.where(tokens >= FIRST_COLOUR, 5 + FIRST_COLOUR, tokens))


class HardOfHearing(Deaf):
    """The same, but the context moves its logits a little."""

    def answer(self, tokens, now):
        moved = (now * torch.arange(now.shape[-1])).mean(dim=(1, 2))
        return super().answer(tokens, now) + 1e-3 * moved[:, None, None]


class Copier(Filler):
    """Answers with the query."""

    def answer(self, tokens, now):
        return as_logits(tokens)


class Flooder(Filler):
    """Says the context's colour everywhere, also where there is no cell."""

    def answer(self, tokens, now):
        return as_logits(now[:, 0].argmax(dim=-1, keepdim=True).expand_as(tokens))


class Collapsed(Filler):
    """Has one context for all puzzles."""

    def contexts(self, demos, present, epsilon=None):
        encoded = super().contexts(demos, present)
        return encoded._replace(context=torch.ones_like(encoded.context))


class Noisy(Filler):
    """Adds noise of a known standard deviation, through a latent whose mean is the plain context."""

    deviation = 0.3

    def noise_shape(self, n):
        return (n, VOCABULARY)

    def contexts(self, demos, present, epsilon=None):
        mean = super().contexts(demos, present).context[0, :, 0]
        drawn = mean if epsilon is None else mean + self.deviation * epsilon
        context = drawn[None, :, None].expand(self.n_steps, -1, 1, -1)
        return Contexts(context, mean, torch.full_like(mean, 2 * math.log(self.deviation)))


def as_logits(tokens):
    return 8.0 * nn.functional.one_hot(tokens, VOCABULARY).float()


def results(model, split=None, params=PARAMS):
    found = probe(model, split or fill_puzzles(), params)
    return {result.id: result for result in found}


def verdicts(model):
    return {name: result.verdict for name, result in results(model).items()}


def test_a_healthy_solver_raises_no_alarm():
    found = results(Filler())
    assert verdicts(Filler()) == dict.fromkeys(CLAIMS, "rejected")
    assert not any(result.alarm or result.advice for result in found.values())
    numbers = found["decoder_ignores_context"].numbers
    assert (numbers["exact_accuracy_true"], numbers["accuracy_true"]) == (1, 1)
    assert (numbers["exact_accuracy_shuffled"], numbers["exact_accuracy_zeroed"]) == (0, 0)
    assert numbers["lm_true"] == pytest.approx(math.log(20 / 9), rel=1e-6)
    assert numbers["lm_shuffled"] > numbers["lm_true"]
    assert numbers["puzzles_changed"] == 12
    assert numbers["ctx_flip_low"] <= numbers["ctx_flip"] <= numbers["ctx_flip_high"]


def test_a_solver_that_ignores_its_context_is_found():
    found = results(Deaf())["decoder_ignores_context"]
    assert (found.verdict, found.alarm) == ("supported", True)
    assert found.numbers["ctx_flip_high"] == found.numbers["puzzles_changed"] == 0
    assert found.numbers["n_puzzles"] == 12
    assert found.numbers["lm_true"] == found.numbers["lm_shuffled"] == found.numbers["lm_zeroed"]
    assert "does not read the context: 0 (0 to 0) of cells" in found.statement
    assert "freeze_decoder_steps" in found.advice


def test_few_puzzles_without_a_flip_prove_nothing_of_a_solver_that_reads_a_little():
    few, many = (results(HardOfHearing(), fill_puzzles(n))["decoder_ignores_context"] for n in (12, 24))
    assert few.numbers["puzzles_changed"] == many.numbers["puzzles_changed"] == 0
    assert (few.verdict, many.verdict) == ("undecided", "supported")


def test_cells_outside_the_answer_flip_nothing():
    assert results(Flooder())["decoder_ignores_context"].numbers["ctx_flip"] == 1


def test_a_solver_that_copies_its_query_is_found():
    found = results(Copier())["copies_input"]
    assert (found.verdict, found.alarm) == ("supported", True)
    # All 24 of 24: Clopper and Pearson's lower bound is the 24th root of 0.025.
    assert found.numbers["copy_rate_low"] == pytest.approx(0.025 ** (1 / 24))
    assert "24 of 24 answers repeat a query" in found.statement


def test_exchanging_contexts_that_are_all_alike_shows_nothing():
    found = results(Collapsed())
    collapse = found["representation_collapse"]
    assert (collapse.verdict, collapse.alarm) == ("supported", True)
    assert collapse.numbers["encoder_cross_sample_ratio_high"] < 1e-6
    assert "encoder_lr_scale" in collapse.advice
    ignored = found["decoder_ignores_context"]
    assert (ignored.verdict, ignored.alarm) == ("not_applicable", False)


def test_advice_on_a_collapse_names_what_can_cause_it():
    detached = SPACE.resolve({"encoder_type": "trm_style", "detached_context": True})
    assert "detached_context=False" in results(Collapsed(), params=detached)["representation_collapse"].advice
    variational = SPACE.resolve({"encoder_type": "lpn_var", "kl_weight": 0.5})
    advice = results(Collapsed(), params=variational)["representation_collapse"].advice
    assert advice.startswith("Lower kl_weight=0.5; else raise encoder_lr_scale=1")


@pytest.mark.parametrize(("scale", "change"), [(100.0, "Lower"), (0.01, "Raise")])
def test_a_context_of_the_wrong_scale_is_found(scale, change):
    found = results(Filler(scale))["context_scale_off"]
    assert (found.verdict, found.alarm) == ("supported", True)
    assert found.numbers["context_to_token_rms"] == pytest.approx(scale, rel=1e-5)
    assert found.advice.startswith(f"{change} context_scale=1")


def test_copying_is_right_where_every_answer_is_its_query():
    split = fill_puzzles()
    found = results(Copier(), {**split, "answer": split["query"]})["copies_input"]
    assert (found.verdict, found.alarm) == ("not_applicable", False)


def test_two_puzzles_are_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"has 2 puzzles; contexts are exchanged .* 3 or more\. Raise side"):
        probe(Filler(), fill_puzzles(2), PARAMS)


def test_a_verdict_needs_the_whole_interval_on_one_side():
    interval = Interval(0.5, 0.4, 0.6)
    assert [interval.below(bound) for bound in (0.7, 0.5, 0.4)] == ["supported", "undecided", "rejected"]
    assert [interval.above(bound) for bound in (0.3, 0.5, 0.6)] == ["supported", "undecided", "rejected"]


def test_the_interval_of_the_cross_ratio_covers_it_nineteen_times_in_twenty():
    """Contexts of mean square 1 + 0.25 with variance 0.25 between puzzles: the ratio is 0.2."""
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(300):
        context = 1 + 0.5 * torch.randn(30, 1, 4, generator=generator)
        interval = cross_ratio(context)
        assert interval.value == pytest.approx(float(cross_sample_ratio(context)))
        covered += interval.low <= 0.2 <= interval.high
    assert covered / 300 == pytest.approx(0.95, abs=0.04)  # three standard errors


def test_contexts_that_are_all_zero_have_no_spread():
    interval = cross_ratio(torch.zeros(5, 2, 3))
    assert (interval.value, interval.high) == pytest.approx((0, 0), abs=1e-9)


def test_the_same_model_gets_the_same_verdict():
    first, second = (results(Filler())["representation_collapse"] for _ in range(2))
    assert first == second
    assert np.isfinite(list(first.numbers.values())).all()


def dataset():
    splits = (fill_puzzles(20, 2, seed) for seed in range(3))
    names = np.array([f"puzzle {number}" for number in range(20)])
    return Dataset(*splits, fingerprint="planted", constants={"puzzle_names": names})


def test_examples_show_the_same_puzzles_of_every_model_each_beside_its_truth():
    right, deaf = (examples(model, dataset(), SPACE.resolve({})) for model in (Filler(), Deaf()))
    assert right["valid_name"].tolist() == deaf["valid_name"].tolist()
    assert len(set(right["valid_name"])) == 4
    assert len(right["train_name"]) == 2
    for split in ("valid", "train"):
        np.testing.assert_array_equal(right[f"{split}_predicted"], right[f"{split}_truth"])
        assert right[f"{split}_exact"].all()
        assert not right[f"{split}_exact_foreign"].any()
        np.testing.assert_array_equal(deaf[f"{split}_predicted"], deaf[f"{split}_foreign"])
    assert sum(array.nbytes for array in right.values()) < 200_000


def test_the_map_of_contexts_is_to_scale_and_a_point_when_they_are_one():
    spread, collapsed = (
        examples(model, dataset(), SPACE.resolve({})) for model in (Filler(7.0), Collapsed())
    )
    shown = float(np.square(spread["context_map"]).sum(1).mean())
    assert shown == pytest.approx(float(spread["context_ratio"] * spread["context_share"].sum()), rel=1e-4)
    assert not collapsed["context_map"].any()
    assert collapsed["context_ratio"] == 0


@pytest.mark.slow
def test_pictures_mark_every_wrong_cell_and_draw_arms_side_by_side():
    right, deaf = (examples(model, dataset(), SPACE.resolve({})) for model in (Filler(), Deaf()))
    figure = PICTURES["puzzles"].draw({"deaf": deaf})
    (axes,) = figure.axes
    crosses = sum(len(line.get_xdata()) for line in axes.lines) // 2  # drawn twice
    wrong = sum(
        int((deaf[f"{split}_{name}"] != deaf[f"{split}_truth"]).sum())
        for split in SPLITS
        for name in ("predicted", "foreign")
    )
    assert crosses == wrong > 0
    grids = {split: 2 * (deaf[f"{split}_demo_input"][:, :, 0, 0] >= 0).sum(axis=1) + 4 for split in SPLITS}
    assert len(axes.images) == sum(each.sum() for each in grids.values())
    side_by_side = PICTURES["puzzles"].draw({"a": right, "b": deaf})
    (axes,) = side_by_side.axes
    n_answers = 2 * 2 * len(SPLITS) * 2  # two each by two arms to two puzzles of every split
    assert len(axes.images) == sum((each[:2] - 2).sum() for each in grids.values()) + n_answers
    assert [text.get_text() for text in axes.texts if text.get_text() in "ab"] == ["a", "b"] * 4
    panels = PICTURES["contexts"].draw({"a": right, "b": deaf}).axes
    assert [axes.get_title() for axes in panels] == ["a", "b"]
