"""Votes of augmented views on the answer to one query, and the share of puzzles that the first votes solve.

Every view of a query gives one candidate, turned and coloured back. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainables.dataset import Array


def ranked(candidates: Sequence[Array], q: Sequence[float]) -> list[Array]:
    """Return the distinct candidates, the most voted first; among equals the one with the higher mean ``q``.

    Those equal in both stand in the order of their first vote.

    Args:
        candidates: One grid ``(height, width)`` per view; grids of other shapes are other candidates.
        q: Halting value of each view's prediction, the logit of being exactly right.

    Raises:
        ValueError: If there are not as many values as candidates.

    Source:
        The evaluation of Jolicoeur-Martineau 2025 (arXiv 2510.04871): votes first, then the halting value.
    """
    grids: dict[tuple[tuple[int, ...], bytes], Array] = {}
    votes: dict[tuple[tuple[int, ...], bytes], list[float]] = {}
    for grid, value in zip(candidates, q, strict=True):
        key = (grid.shape, np.asarray(grid, dtype=np.int8).tobytes())
        grids.setdefault(key, grid)
        votes.setdefault(key, []).append(float(value))
    order = sorted(votes, key=lambda key: (-len(votes[key]), -sum(votes[key]) / len(votes[key])))
    return [grids[key] for key in order]


def pass_at(solved_rank: Sequence[int | None], puzzle: Array, k: int) -> float:
    """Return the mean over all evaluated puzzles of the share of a puzzle's queries solved within ``k`` answers.

    Args:
        solved_rank: Of every query, the place of its true answer in `ranked`, from 0; None where it is not there.
        puzzle: Index of every query's puzzle, ``(n,)``.
        k: How many answers may be tried.

    Returns:
        Between 0 and 1. A puzzle without a solved query counts as 0: the denominator is the number of puzzles.

    Raises:
        ValueError: If there is no query, or not one puzzle per query.
    """
    if not len(solved_rank) or len(solved_rank) != len(puzzle):
        raise ValueError(
            f"{len(solved_rank)} ranks for {len(puzzle)} queries, expected one each of at least one."
        )
    solved = np.array([rank is not None and rank < k for rank in solved_rank], dtype=np.float64)
    _, place, n_queries = np.unique(np.asarray(puzzle), return_inverse=True, return_counts=True)
    return float((np.bincount(place, weights=solved) / n_queries).mean())
