"""Views of puzzles: what they change, that it can be undone, and that votes of several of them are counted right."""

from functools import cache

import numpy as np
import pytest
import torch

from trainables.etrm.augmentation import (
    View,
    draw_views,
    offsets,
    plain_views,
    recover,
    several_views,
    tokens,
    turned_back,
)
from trainables.etrm.data import grid_tokens
from trainables.etrm.puzzles import read_puzzles
from trainables.etrm.voting import pass_at, ranked

torch.set_num_threads(1)

TURNS = [  # the eight symmetries, built from NumPy's own
    lambda g: g,
    lambda g: np.rot90(g),
    lambda g: np.rot90(g, 2),
    lambda g: np.rot90(g, 3),
    np.fliplr,
    np.flipud,
    np.transpose,
    lambda g: np.fliplr(np.rot90(g)),
]


def square(grids, side):
    """Return grids at the top left of squares, -1 outside, int8 (n, side, side)."""
    found = np.full((len(grids), side, side), -1, dtype=np.int8)
    for place, grid in enumerate(grids):
        found[place, : grid.shape[0], : grid.shape[1]] = grid
    return found


def spelled_out(grid, side, top=0, left=0):
    """Return the tokens of one grid cell by cell: colours, then the border where there is room for it."""
    found = np.zeros((side, side), dtype=np.int64)
    height, width = grid.shape
    for i in range(height):
        for j in range(width):
            found[top + i, left + j] = grid[i, j] + 2
    below, right = top + height, left + width
    if below < side:
        found[below, left : right + 1] = 1
    if right < side:
        found[top : below + 1, right] = 1
    return found.ravel()


def drawn(n, seed=0):
    return draw_views(n, torch.Generator().manual_seed(seed), "cpu")


def one_view(symmetry=0, colours=None, shift=(0.0, 0.0)):
    colours = range(10) if colours is None else colours
    return View(torch.tensor([list(colours)]), torch.tensor([symmetry]), torch.tensor([shift]))


def random_rows(n, k, side, seed=0):
    """Return (n, k, side, side) random grids of random shapes, the last one absent."""
    random = np.random.default_rng(seed)
    shapes = random.integers(1, side + 1, (n * k, 2))
    grids = square([random.integers(0, 10, shape) for shape in shapes], side).reshape(n, k, side, side)
    grids[:, -1] = -1
    return torch.as_tensor(grids)


@cache
def published():
    """Return all grids of every ARC-AGI-1 puzzle, by puzzle."""
    return [
        [grid for pair in puzzle.pairs for grid in pair] for part in read_puzzles(None) for puzzle in part
    ]


# --- tokens


def test_tokens_are_colours_a_border_with_its_corner_and_padding():
    grid = np.array([[0, 3], [9, 1]])
    found = tokens(torch.as_tensor(square([grid], 4)), plain_views(1, "cpu"), torch.zeros(1, 2, dtype=int))
    assert found.reshape(4, 4).tolist() == [[2, 5, 1, 0], [11, 3, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert found.dtype == torch.int64


@pytest.mark.parametrize("shape", [(4, 4), (4, 2), (2, 4), (1, 1), (3, 3)])
def test_a_border_that_has_no_room_is_left_out(shape):
    grid = np.full(shape, 7)
    found = grid_tokens(square([grid], 4))[0]
    assert found.tolist() == spelled_out(grid, 4).tolist()
    assert (found == 1).sum() == (shape[0] < 4) * shape[1] + (shape[1] < 4) * shape[0] + (max(shape) < 4)


def test_an_absent_grid_has_no_tokens_under_any_view():
    grids = torch.full((64, 1, 6, 6), -1, dtype=torch.int8)
    view = drawn(64)
    assert not tokens(grids, view, torch.zeros(64, 2, dtype=torch.int64)).any()
    assert not grid_tokens(grids.numpy()).any()


def test_numpy_and_torch_write_the_same_tokens():
    grids = random_rows(20, 5, 9)
    view = plain_views(20, "cpu")
    offset = offsets(view, grids)
    assert not offset.any()
    np.testing.assert_array_equal(tokens(grids, view, offset).numpy(), grid_tokens(grids.numpy()))
    np.testing.assert_array_equal(tokens(grids[:, 0], view, offset).numpy(), grid_tokens(grids[:, 0].numpy()))


def test_every_view_shows_the_grid_recoloured_turned_and_shifted():
    side, grids, view = 9, random_rows(200, 3, 9, seed=1), drawn(200, seed=1)
    offset = offsets(view, grids)
    found = tokens(grids, view, offset).numpy()
    for row in range(200):
        top, left = offset[row].tolist()
        for place in range(2):
            inside = grids[row, place].numpy()
            grid = inside[: (inside[:, 0] >= 0).sum(), : (inside[0] >= 0).sum()]
            seen = TURNS[view.symmetry[row]](view.colours[row].numpy()[grid])
            assert found[row, place].tolist() == spelled_out(seen, side, top, left).tolist()


# --- views


def test_drawn_views_are_permutations_that_keep_the_background_and_reach_every_symmetry():
    view = drawn(4000)
    assert (view.colours[:, 0] == 0).all()
    assert (view.colours.sort(-1).values == torch.arange(10)).all()
    shares = torch.stack([(view.colours == colour).float().mean(0) for colour in range(1, 10)])
    np.testing.assert_allclose(shares[:, 1:], 1 / 9, atol=0.03)  # five standard errors
    np.testing.assert_allclose(torch.bincount(view.symmetry, minlength=8) / 4000, 1 / 8, atol=0.03)
    assert view.shift.min() >= 0
    assert view.shift.max() < 1


def test_draws_follow_the_generator():
    for first, again, other in zip(drawn(5), drawn(5), drawn(5, seed=1), strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@pytest.mark.parametrize("symmetry", range(8))
def test_symmetries_are_those_of_numpy_and_are_undone(symmetry):
    grid = np.arange(6).reshape(2, 3)
    seen = TURNS[symmetry](grid)
    view, nowhere = one_view(symmetry), torch.zeros(1, 2, dtype=torch.int64)
    found = tokens(torch.as_tensor(square([grid], 5)), view, nowhere)
    assert found[0].tolist() == spelled_out(seen, 5).tolist()
    np.testing.assert_array_equal(turned_back(seen, symmetry), grid)


def test_symmetries_are_eight_and_closed():
    grid = np.arange(9).reshape(3, 3)
    elements = {turn(grid).tobytes() for turn in TURNS}
    products = {np.ascontiguousarray(a(b(grid))).tobytes() for a in TURNS for b in TURNS}
    view = View(torch.arange(10).expand(8, 10), torch.arange(8), torch.zeros(8, 2))
    seen = tokens(
        torch.as_tensor(square([grid] * 8, 3)), view, torch.zeros(8, 2, dtype=torch.int64)
    )  # without room for a border: the grid itself
    assert len(elements) == 8
    assert products == elements == {(row - 2).numpy().tobytes() for row in seen}


# --- shifts


def test_shifts_reach_every_place_at_which_all_grids_of_a_row_fit_and_no_other():
    grids = torch.as_tensor(square([np.ones((2, 4)), np.ones((3, 1))], 6))[None]
    lattice = [(0.999999 * a / 40, 0.999999 * b / 40) for a in range(41) for b in range(41)]
    for symmetry, room in ((0, (3, 2)), (1, (2, 3)), (2, (3, 2)), (6, (2, 3))):
        view = View(
            torch.arange(10).expand(len(lattice), 10),
            torch.full((len(lattice),), symmetry),
            torch.tensor(lattice),
        )
        found = offsets(view, grids.expand(len(lattice), -1, -1, -1)).tolist()
        places = {(a, b) for a in range(room[0] + 1) for b in range(room[1] + 1)}
        assert {tuple(place) for place in found} == places


def test_a_grid_as_large_as_the_square_stays():
    grids = torch.zeros(50, 1, 7, 7, dtype=torch.int8)
    assert not offsets(drawn(50), grids).any()


# --- under vmap


def test_a_vmap_over_cells_gives_what_a_loop_gives():
    grids = torch.stack([random_rows(6, 3, 7, seed=seed) for seed in range(4)])
    views = View(*(torch.stack(parts) for parts in zip(*(drawn(6, seed) for seed in range(4)), strict=True)))

    def seen(view, grids):
        offset = offsets(view, grids)
        return offset, tokens(grids, view, offset), tokens(grids[:, 0], view, offset)

    together = torch.func.vmap(seen)(views, grids)
    shared = torch.func.vmap(seen, in_dims=(0, None))(views, grids[0])
    for cell in range(4):
        view = View(*(part[cell] for part in views))
        for found, alone in zip(together, seen(view, grids[cell]), strict=True):
            assert torch.equal(found[cell], alone)
        for found, alone in zip(shared, seen(view, grids[0]), strict=True):
            assert torch.equal(found[cell], alone)


# --- the way back


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_grid_of_all_800_puzzles_comes_back_from_a_random_view(seed):
    n_grids, shifted = 0, 0
    for puzzle, grids in enumerate(published()):
        rows = torch.as_tensor(square(grids, 30))[None]
        view = drawn(1, seed=1000 * seed + puzzle)
        offset = offsets(view, rows)
        for grid, found in zip(grids, recover(tokens(rows, view, offset)[0], view, offset), strict=True):
            assert found.dtype == np.int8
            assert np.array_equal(found, grid)
        n_grids, shifted = n_grids + len(grids), shifted + bool(offset.any())
    assert len(published()) == 800
    assert n_grids > 6000
    assert shifted > 600


def test_one_prediction_comes_back_as_one_grid():
    grid = np.array([[1, 2, 3], [4, 5, 6]])
    view = one_view(7, [0, 9, 8, 7, 6, 5, 4, 3, 2, 1], (0.9, 0.5))
    grids = torch.as_tensor(square([grid], 8))
    offset = offsets(view, grids[None])
    assert offset.tolist() == [[5, 3]]
    row = tokens(grids, view, offset)[0]
    for predicted in (row, row.numpy()):
        assert np.array_equal(recover(predicted, view, offset), grid)
    plain = View(*(part[0] for part in view))
    assert np.array_equal(recover(row, plain, offset[0]), grid)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([[2, 3, 1], [4, 5, 1], [1, 1, 1]], [[0, 1], [2, 3]]),
        (
            [[2, 3, 4], [5, 0, 6], [7, 8, 9]],
            [[0, 1, 2]],
        ),  # a hole: the row of three beats the column of three
        ([[2, 3, 1], [4, 5, 6], [7, 1, 1]], [[0, 1], [2, 3]]),  # a ragged edge is cut off
        ([[2, 1, 1], [4, 1, 5], [7, 1, 5]], [[0], [2], [5]]),  # beyond the border nothing is read
        ([[2, 3, 4], [5, 6, 7], [8, 9, 10]], [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
    ],
)
def test_a_prediction_is_read_as_its_largest_rectangle_of_colours(predicted, expected):
    found = recover(np.array(predicted).ravel(), one_view(), np.zeros((1, 2), dtype=int))
    assert found.tolist() == expected


@pytest.mark.parametrize("start", [0, 1])
def test_a_prediction_that_starts_with_no_colour_is_an_empty_grid(start):
    predicted = np.full(9, 5)
    predicted[0] = start
    assert recover(predicted, one_view(), np.zeros((1, 2), dtype=int)).shape == (0, 0)


# --- several views, and their votes


def test_the_views_that_vote_are_distinct_begin_with_the_plain_one_and_are_the_same_every_time():
    views = several_views(500, seed=3)
    assert views[0][0].tolist() == list(range(10))
    assert views[0][1] == 0
    assert len({(tuple(colours), symmetry) for colours, symmetry in views}) == 500
    assert all(sorted(colours) == list(range(10)) and colours[0] == 0 for colours, _ in views)
    assert {symmetry for _, symmetry in views} == set(range(8))
    for fewer, more in zip(several_views(7, seed=3), views, strict=False):
        assert fewer[0].tolist() == more[0].tolist()
        assert fewer[1] == more[1]
    assert several_views(2, seed=4)[1][0].tolist() != views[1][0].tolist()


@pytest.mark.parametrize("n_views", [0, 8 * 362880 + 1])
def test_more_views_than_there_are_is_refused(n_views):
    with pytest.raises(ValueError, match=rf"n_views={n_views} is outside 1..2903040: there are no more"):
        several_views(n_views, 0)


def test_votes_decide_then_the_halting_value_then_the_order():
    a, b, c, d = (np.full((1, 2), colour) for colour in range(4))
    tall = np.zeros((2, 1), dtype=int)  # the bytes of a in another shape
    found = ranked([d, c, b, a, a, tall], [0.0, 0.0, 3.0, -9.0, -5.0, 1.0])
    expected = [a, b, tall, d, c]
    assert [grid.tolist() for grid in found] == [grid.tolist() for grid in expected]
    found = ranked([a, b, a, b], [4.0, 2.0, 0.0, 2.5])  # means, not sums nor bests: 2 against 2.25
    assert [grid.tolist() for grid in found] == [b.tolist(), a.tolist()]
    with pytest.raises(ValueError, match="shorter"):
        ranked([a, b], [1.0])


def test_a_puzzle_scores_the_share_of_its_queries_and_all_puzzles_count():
    rank, puzzle = [0, 1, None, 0, None, 4], np.array([7, 7, 7, 2, 9, 30])
    assert pass_at(rank, puzzle, 1) == pytest.approx((1 / 3 + 1 + 0 + 0) / 4)
    assert pass_at(rank, puzzle, 2) == pytest.approx((2 / 3 + 1 + 0 + 0) / 4)
    assert pass_at(rank, puzzle, 5) == pytest.approx((2 / 3 + 1 + 0 + 1) / 4)
    assert pass_at([None, None], np.array([0, 1]), 5) == 0.0
    with pytest.raises(ValueError, match="2 ranks for 1 queries, expected one each"):
        pass_at([0, 1], np.array([0]), 1)
    with pytest.raises(ValueError, match="0 ranks for 0 queries, expected one each of at least one"):
        pass_at([], np.array([]), 1)
