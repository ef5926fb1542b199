"""Metrics of the recursive solver: closed forms, hand counts, and planted solvers whose every answer is known."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from search_spaces.etrm import SPACE, VARIATIONAL_ENCODERS
from tests.trainables.test_etrm_probe import (
    FIRST_COLOUR,
    N_DEMONSTRATIONS,
    SIDE,
    VOCABULARY,
    Copier,
    Deaf,
    Filler,
    Noisy,
    as_logits,
    as_tensors,
    fill_puzzles,
)
from trainables.etrm import evaluation
from trainables.etrm.augmentation import several_views
from trainables.etrm.context_metrics import (
    active_units,
    cross_sample_ratio,
    cross_sample_var,
    first_rows,
    foreign_rows,
    sampled_ratio,
    within_var,
)
from trainables.etrm.evaluation import (
    VIEW_SEED,
    Answers,
    answer_metrics,
    copy_metrics,
    evaluate,
    halting_step,
)
from trainables.etrm.metrics import METRICS
from trainables.etrm.model import ARCSolver
from trainables.etrm.stablemax import divergence, log_stablemax, stablemax_cross_entropy

torch.set_num_threads(1)
TINY = {
    "side": SIDE,
    "hidden_dim": 8,
    "encoder_dim": 8,
    "n_heads": 2,
    "context_tokens": 2,
    "latent_dim": 3,
    "encoder_num_layers": 1,
    "halt_max_steps": 2,
    "max_demonstrations": N_DEMONSTRATIONS,
    "n_views": 2,
}
IN_TRAINING = {"encoder_within_puzzle_var"}  # of two draws, taken at every step
OF_A_LATENT = {"kl_per_dim", "active_units", "snr"}


def metrics_of(model, split=None, n_views=2):
    return evaluate(model, as_tensors(split or fill_puzzles()), {"n_views": n_views})


def test_stablemax_is_what_it_is_defined_as():
    x = torch.tensor([[-3.0, -0.5, 0.0, 2.0], [1.0, 1.0, 1e4, -1e4]], dtype=torch.float64)
    s = np.where(x >= 0, x + 1, 1 / (1 - x.numpy().clip(max=0)))
    np.testing.assert_allclose(log_stablemax(x).exp(), s / s.sum(-1, keepdims=True), rtol=1e-12)


def test_stablemax_has_its_own_gradient_where_its_branches_meet():
    x = torch.tensor([0.0, 1.0, -1.0, 3.0], dtype=torch.float64, requires_grad=True)
    log_stablemax(x)[0].backward()
    s, slope = np.array([1.0, 2.0, 0.5, 4.0]), np.array([1.0, 1.0, 0.25, 1.0])
    np.testing.assert_allclose(x.grad, np.eye(4)[0] * slope / s - slope / s.sum(), rtol=1e-12)


def test_cross_entropy_is_the_mean_over_the_valid_cells_of_each_sample():
    logits = torch.zeros(2, 3, VOCABULARY)
    logits[0, 0, 4] = 9.0  # s = 10 against eleven ones
    labels = torch.tensor([[4, 7, 0], [0, 0, 0]])
    expected = [(math.log(21 / 10) + math.log(12)) / 2, 0.0]
    np.testing.assert_allclose(stablemax_cross_entropy(logits, labels), expected, rtol=1e-6)
    assert stablemax_cross_entropy(logits, labels).dtype == logits.dtype


def test_divergence_is_zero_between_equals_and_known_between_others():
    p, uniform = torch.tensor([2.0, 0.0]), torch.zeros(2)
    assert float(divergence(p, p)) == 0
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(divergence(p, uniform)) == pytest.approx(expected, rel=1e-6)


def test_cross_sample_variance_and_ratio_of_contexts_by_hand():
    context = torch.tensor([[[1.0, 3.0]], [[1.0, -3.0]]])  # means 1 and 0: variance 0 and 9
    assert float(cross_sample_var(context)) == pytest.approx(4.5)
    assert float(cross_sample_ratio(context)) == pytest.approx(4.5 / 5)
    assert float(cross_sample_ratio(1e-3 * context)) == pytest.approx(0.9)
    assert float(cross_sample_ratio(context, noise=5.0)) == pytest.approx(4.5 / 10), "noise drowns the signal"
    assert float(cross_sample_ratio(context[:1].repeat(5, 1, 1))) == 0
    assert float(cross_sample_ratio(torch.zeros(3, 1, 2))) == 0


def test_variance_within_a_puzzle_is_twice_that_of_the_sampling():
    generator = torch.Generator().manual_seed(0)
    first, second = (
        5.0 + 0.2 * torch.randn(64, 16, 64, generator=generator) for _ in range(2)
    )  # 65536 draws: the error of a variance is 2 / sqrt(2 * 65536), under one per cent
    assert float(within_var(first, second)) == pytest.approx(2 * 0.2**2, rel=0.03)
    assert float(within_var(first, first)) == 0


def test_context_metrics_of_training_run_under_vmap():
    contexts = torch.randn(3, 5, 2, 4, generator=torch.Generator().manual_seed(1))
    together = torch.vmap(lambda c: torch.stack([cross_sample_ratio(c), within_var(c, 2 * c)]))(contexts)
    alone = torch.stack([torch.stack([cross_sample_ratio(c), c.square().mean()]) for c in contexts])
    torch.testing.assert_close(together, alone)


def test_every_query_gets_the_context_of_another_puzzle_in_whatever_order_rows_stand():
    puzzle = torch.tensor([7, 7, 3, 9, 9, 9, 3])
    assert sorted(first_rows(puzzle).tolist()) == [0, 2, 3]
    foreign = foreign_rows(puzzle)
    assert (puzzle[foreign] != puzzle).all()
    assert {tuple(pair) for pair in torch.stack([puzzle, puzzle[foreign]], 1).tolist()} == {
        (7, 9),
        (9, 3),
        (3, 7),
    }


def test_a_unit_is_active_when_its_mean_over_the_present_demonstrations_varies():
    mean = torch.zeros(4, 2, 3)
    mean[:, 0, 0] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    mean[:, 1, 1] = torch.tensor([50.0, -50.0, 50.0, -50.0])  # of demonstrations that are not there
    mean[:, 0, 2] = torch.tensor([0.09, -0.09, 0.09, -0.09])  # variance 0.0081
    present = torch.tensor([[True, False]]).repeat(4, 1)
    assert int(active_units(mean, present)) == 1
    assert int(active_units(mean, present | True)) == 2
    assert int(active_units(mean[:, 0], present)) == 1


def test_halting_is_at_the_first_step_that_says_so_and_else_at_the_last():
    q = torch.tensor([[-1.0, 0.1, -1.0, -1.0], [0.1, -1.0, -2.0, 0.0], [4.0, 5.0, -3.0, -1.0]])
    assert halting_step(q).tolist() == [1, 0, 2, 2]
    labels = torch.tensor([[5, 6, 0], [5, 6, 0], [5, 6, 0], [5, 6, 0]])
    last = torch.tensor([[5, 6, 9], [5, 5, 0], [5, 6, 1], [4, 4, 0]])  # right, half, right, none
    at_halt = torch.tensor([[5, 7, 0], [5, 6, 0], [5, 6, 1], [4, 4, 0]])
    numbers = answer_metrics(Answers(as_logits(last), at_halt, q), labels)
    assert float(numbers["exact_accuracy"]) == 0.5
    assert float(numbers["exact_accuracy_at_halt"]) == 0.5
    assert float(numbers["accuracy"]) == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert float(numbers["steps"]) == pytest.approx((2 + 1 + 3 + 3) / 4)
    assert (
        float(numbers["q_halt_accuracy"]) == 0.5
    )  # the first is right and says so, the last is not and does not


def test_copies_are_counted_where_the_answer_is_not_the_query():
    tokens = torch.tensor([[2, 3, 0], [2, 3, 0], [4, 4, 0], [5, 6, 0], [8, 8, 8]])
    labels = torch.tensor([[2, 9, 0], [7, 8, 9], [4, 4, 0], [5, 7, 1], [8, 8, 0]])
    predicted = torch.tensor([[2, 3, 11], [2, 8, 0], [4, 4, 0], [5, 7, 0], [8, 9, 8]])
    rates = copy_metrics(predicted, tokens, labels)
    # All rows but 2 differ; only row 0 has all the query's cells. Valid cells that differ: 1 of row 0, 3 of row 1, 2 of
    # row 3, of which those copied are that one, the first and last of row 1, and the last of row 3.
    assert float(rates["copy_rate"]) == pytest.approx(1 / 4)
    assert float(rates["copy_cell_rate"]) == pytest.approx(4 / 6)


def test_copy_rates_are_absent_where_every_answer_is_its_query():
    tokens = torch.tensor([[2, 3, 0]])
    assert copy_metrics(tokens, tokens, tokens) == {}


def test_a_solver_that_reads_its_context_loses_all_without_it():
    numbers = metrics_of(Filler())
    right = (
        "accuracy",
        "exact_accuracy",
        "exact_accuracy_at_halt",
        "pass_at_1",
        "em_drop_shuffle",
        "em_drop_zero",
    )
    assert {name: numbers[name] for name in right} == dict.fromkeys(right, 1.0)
    assert (numbers["copy_rate"], numbers["copy_cell_rate"], numbers["steps"]) == (0, 0, 3)
    labels = evaluation.puzzles_as(as_tensors(fill_puzzles()), evaluation.plain_views(24, "cpu"))["labels"]
    coloured, valid = (labels >= FIRST_COLOUR).sum(), (labels > 0).sum()
    assert numbers["ctx_flip"] == pytest.approx(float(coloured / valid))
    # Where it flips, one token has 9 / 20 of the mass, one 1 / 20, and they change places.
    assert numbers["ctx_kl"] == pytest.approx(float(coloured / valid) * 8 / 20 * math.log(9), rel=1e-6)
    assert numbers["lm"] == pytest.approx(math.log(20 / 9), rel=1e-6)


def test_contexts_are_measured_once_per_puzzle():
    split = {name: np.delete(array, range(1, 12, 2), axis=0) for name, array in fill_puzzles().items()}
    numbers = metrics_of(Filler(scale=3.0), split)  # of one puzzle two queries, of another one
    colours = np.eye(VOCABULARY)[[FIRST_COLOUR + 1 + puzzle % 9 for puzzle in range(12)]] * 3.0
    variance = np.square(colours - colours.mean(0)).mean()
    assert numbers["encoder_cross_sample_var"] == pytest.approx(variance, rel=1e-5)
    assert numbers["signal_var"] == numbers["encoder_cross_sample_var"]
    assert numbers["encoder_cross_sample_ratio"] == pytest.approx(variance / (9 / 12), rel=1e-5)
    assert numbers["encoder_output_norm"] == pytest.approx(3.0)
    assert numbers["encoder_output_mean"] == pytest.approx(0.25)
    assert numbers["encoder_output_std"] == pytest.approx(colours.std(), rel=1e-5)
    assert numbers["context_to_token_rms"] == pytest.approx(3.0, rel=1e-5)
    singular = np.linalg.svd(colours - colours.mean(0), compute_uv=False)
    share = singular[singular > 1e-9] / singular.sum()
    assert numbers["rankme"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)


def test_noise_of_the_context_is_that_of_the_latent_and_none_without_one():
    numbers, certain = metrics_of(Noisy(), fill_puzzles(400, 1)), metrics_of(Filler())
    assert numbers["noise_var"] == pytest.approx(0.09, rel=0.08)  # 4800 draws: two per cent
    assert numbers["snr"] == pytest.approx(numbers["signal_var"] / numbers["noise_var"])
    assert numbers["active_units"] == 9  # one per colour
    kl = 0.5 * (1 / VOCABULARY + 0.09 - 1 - math.log(0.09))
    assert numbers["kl_per_dim"] == pytest.approx(kl, rel=1e-5)
    assert certain["noise_var"] == 0
    assert not OF_A_LATENT & set(certain)


def test_the_ratio_of_drawn_contexts_is_that_of_their_means_and_the_noise():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(400, 16, 64, generator=generator) * 0.3
    first, second = (mean + 0.5 * torch.randn(400, 16, 64, generator=generator) for _ in range(2))
    expected = float(cross_sample_ratio(mean, noise=0.25))
    assert float(sampled_ratio(first, second)) == pytest.approx(expected, rel=0.03)
    assert float(sampled_ratio(mean, mean)) == pytest.approx(float(cross_sample_ratio(mean)))


def test_voting_names_the_true_answer_among_the_first_k():
    """A solver that always says 5 says another colour in every view, once the view's colours are undone."""
    split, n_views = fill_puzzles(9, 1), 6
    votes = Counter(int(np.flatnonzero(colours == 5)[0]) for colours, _ in several_views(n_views, VIEW_SEED))
    order = [colour for colour, _ in votes.most_common()]
    assert len(order) > 2
    numbers = metrics_of(Deaf(), split, n_views)
    for k in (1, 2, 5):
        assert numbers[f"pass_at_{k}"] == pytest.approx(
            len(order[:k]) / 9
        )  # nine puzzles, one of each colour


def test_a_copier_is_told_by_its_rates():
    numbers = metrics_of(Copier())
    assert (numbers["copy_rate"], numbers["copy_cell_rate"]) == (1, 1)
    assert (numbers["exact_accuracy"], numbers["ctx_flip"], numbers["ctx_kl"]) == (0, 0, 0)


@pytest.mark.parametrize("encoder_type", ["standard", *VARIATIONAL_ENCODERS])
def test_every_metric_is_there_of_whatever_a_model_answers(encoder_type):
    params = SPACE.resolve({**TINY, "encoder_type": encoder_type})
    split = as_tensors(fill_puzzles())
    with torch.no_grad():
        one, other = (evaluate(ARCSolver(params, seed).eval(), split, params) for seed in (1, 2))
    assert (
        set(one)
        == set(other)
        == set(METRICS) - IN_TRAINING - (set() if encoder_type in VARIATIONAL_ENCODERS else OF_A_LATENT)
    )
    assert all(map(math.isfinite, one.values()))
    assert one["lm"] != other["lm"]


def test_metrics_do_not_depend_on_how_rows_are_cut_into_parts(monkeypatch):
    params = SPACE.resolve(TINY)
    model, split = ARCSolver(params, 1).eval(), as_tensors(fill_puzzles(6))
    with torch.no_grad():
        whole = evaluate(model, split, params)
        monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 5)
        assert evaluate(model, split, params) == pytest.approx(whole, rel=1e-4, abs=1e-6)
