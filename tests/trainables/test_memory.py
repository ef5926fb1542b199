"""What a trial takes is measured, and one that takes more than it may fails alone."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.conftest import small_dataset, training
from trainables.memory import MB, MemoryLimitError, forget_peak, held_below, peak_mb, taken
from trainables.trial import Trial

NAME = "globals_autoencoder"
BIG = 300 * MB


def fill(n_bytes: int) -> torch.Tensor:
    return torch.ones(n_bytes // 4)


def test_the_peak_is_that_of_the_trial_and_not_of_the_one_before():
    forget_peak()
    before = peak_mb()
    fill(BIG)
    assert BIG / MB * 0.9 < peak_mb() - before < BIG / MB * 1.2
    forget_peak()
    assert abs(peak_mb() - before) < 50


def test_what_asks_for_more_than_it_may_fails_and_what_comes_after_does_not():
    limit = taken("VmRSS") + BIG
    with held_below(limit):
        fill(BIG // 4)
    with (
        pytest.raises(MemoryLimitError, match=r"more than the .* MB of --memory-per-trial"),
        held_below(limit),
    ):
        fill(2 * BIG)
    fill(2 * BIG)


def test_another_error_in_the_block_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), held_below(taken("VmRSS") + BIG):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_a_trial_beyond_its_limit_fails_with_the_way_out_and_the_next_one_completes(tmp_path):
    spec = training(NAME, epochs=1, folder=tmp_path / "a").spec
    limit = taken("VmRSS") + 5 * MB
    greedy = Trial(spec, lambda: (fill(BIG), small_dataset(NAME))[1], memory=limit)
    result = greedy.advance()
    assert result["state"] == "failed"
    assert result["error"].startswith("MemoryLimitError: more than the")
    assert "Traceback" in result["error"]
    modest = Trial(replace(spec, folder=tmp_path / "b"), lambda: small_dataset(NAME), memory=limit + 2 * BIG)
    result = modest.advance()
    assert result["state"] == "complete"
    assert 0 < result["memory_mb"] < (limit + 2 * BIG) / MB
