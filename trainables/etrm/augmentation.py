"""Views of a puzzle: its colours permuted, its grids turned or mirrored, and shifted within side x side.

One view holds for all grids of a row, demonstrations, query and answer, so that it is still one puzzle. What
makes tokens of grids runs under ``vmap``: indices are computed, no value of a tensor is branched on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.dataset import Array
from trainables.etrm.data import END, FIRST_COLOUR, PAD
from trainables.etrm.puzzles import N_COLOURS

N_SYMMETRIES = 8
N_VIEWS = N_SYMMETRIES * math.factorial(N_COLOURS - 1)  # without shifts

# The dihedral group in the order of the code of arXiv 2510.04871: np.rot90 by 0 to 3 quarters, np.fliplr, np.flipud,
# the transposition, np.fliplr of a quarter. Cell (i, j) of the turned grid is cell (a, b) of the grid: (i, j),
# or (j, i) where the axes are swapped, then a or b counted from the other end.
SWAPPED = (False, True, False, True, False, False, True, True)
FROM_BELOW = (False, False, True, True, False, True, False, True)
FROM_RIGHT = (False, True, True, False, True, False, False, True)


class View(NamedTuple):
    """How B puzzles are seen.

    Args:
        colours: The new colour of each colour, int64 ``(B, 10)``, a permutation; 0, the background, stays 0.
        symmetry: Place in the dihedral group, 0..7, int64 ``(B,)``; 0 leaves grids as they are.
        shift: In [0, 1), ``(B, 2)``, down and right: the share of the room that the largest grid leaves.
    """

    colours: Tensor
    symmetry: Tensor
    shift: Tensor


def draw_views(n: int, generator: torch.Generator, device: torch.device | str) -> View:
    """Return ``n`` random views, uniform over colours, symmetries and places."""
    order = torch.rand((n, N_COLOURS - 1), generator=generator, device=device).argsort(-1)
    background = torch.zeros((n, 1), dtype=torch.int64, device=device)
    return View(
        torch.cat([background, order + 1], -1),
        torch.randint(N_SYMMETRIES, (n,), generator=generator, device=device),
        torch.rand((n, 2), generator=generator, device=device),
    )


def plain_views(n: int, device: torch.device | str) -> View:
    """Return ``n`` views that change nothing."""
    return View(
        torch.arange(N_COLOURS, device=device).expand(n, N_COLOURS),
        torch.zeros(n, dtype=torch.int64, device=device),
        torch.zeros((n, 2), device=device),
    )


def several_views(n_views: int, seed: int) -> list[tuple[Array, int]]:
    """Return distinct views without a shift: colours int64 ``(10,)`` and symmetry; the first one changes nothing.

    The views of a smaller number are the first ones of a larger.

    Raises:
        ValueError: If ``n_views`` is not between 1 and 8 * 9!, of which there are no more.
    """
    if not 1 <= n_views <= N_VIEWS:
        raise ValueError(f"n_views={n_views} is outside 1..{N_VIEWS}: there are no more distinct views.")
    random = np.random.default_rng(seed)
    views = {(tuple(range(N_COLOURS)), 0): None}
    while len(views) < n_views:
        colours = (0, *(int(colour) for colour in 1 + random.permutation(N_COLOURS - 1)))
        views[colours, int(random.integers(N_SYMMETRIES))] = None
    return [(np.array(colours, dtype=np.int64), symmetry) for colours, symmetry in views]


def offsets(view: View, grids: Tensor) -> Tensor:
    """Return where the turned grids start, row and column, int64 ``(B, 2)``.

    Args:
        view: B views.
        grids: All grids of each row, colours 0..9 at the top left and -1 outside, ``(B, K, side, side)``.

    Returns:
        ``floor(shift * (side - largest + 1))`` per direction, the largest extent of the turned grids; so all
        fit side x side together, and a shift uniform on [0, 1) is uniform over the places.
    """
    height, width = extents(grids)
    swapped = _of(SWAPPED, view.symmetry)[:, None]
    turned = torch.stack([torch.where(swapped, width, height), torch.where(swapped, height, width)], -1)
    room = grids.shape[-1] - turned.amax(1) + 1
    return (view.shift * room).floor().to(torch.int64)


def tokens(grids: Tensor, view: View, offset: Tensor) -> Tensor:
    """Return the tokens of grids as a view shows them, int64 ``(B, K, S)`` or ``(B, S)``, S = side * side.

    Args:
        grids: Colours 0..9 at the top left and -1 outside, integer ``(B, K, side, side)`` or ``(B, side, side)``.
        view: B views.
        offset: Where the turned grids start, int64 ``(B, 2)``; see `offsets`.

    Returns:
        As `trainables.etrm.data.grid_tokens`, with which the plain view agrees.
    """
    if grids.ndim == 3:
        return tokens(grids[:, None], view, offset)[:, 0]
    side = grids.shape[-1]
    height, width = (extent[..., None, None] for extent in extents(grids))  # (B, K, 1, 1)
    swapped, below, right = (
        _of(table, view.symmetry)[:, None, None, None] for table in (SWAPPED, FROM_BELOW, FROM_RIGHT)
    )
    turned_height, turned_width = torch.where(swapped, width, height), torch.where(swapped, height, width)
    places = torch.arange(side, device=grids.device)
    i = (places - offset[:, :1])[:, None, :, None]
    j = (places - offset[:, 1:])[:, None, None, :]
    inside = (i >= 0) & (i < turned_height) & (j >= 0) & (j < turned_width)
    border = ((i == turned_height) & (j >= 0) & (j <= turned_width)) | (
        (j == turned_width) & (i >= 0) & (i <= turned_height)
    )
    a, b = torch.where(swapped, j, i), torch.where(swapped, i, j)
    a, b = torch.where(below, height - 1 - a, a), torch.where(right, width - 1 - b, b)
    source = torch.where(inside, a * side + b, 0).flatten(-2)
    colours = grids.flatten(-2).to(torch.int64).gather(-1, source).clamp(min=0)
    recoloured = view.colours[:, None].expand(-1, grids.shape[1], -1).gather(-1, colours) + FIRST_COLOUR
    outside = torch.where((border & (height > 0)).flatten(-2), END, PAD)
    return torch.where(inside.flatten(-2), recoloured, outside)


def extents(grids: Tensor) -> tuple[Tensor, Tensor]:
    """Return heights and widths in cells, int64, of grids at the top left ``(..., side, side)``; 0 of an absent one."""
    inside = grids >= 0
    return inside.any(-1).sum(-1), inside.any(-2).sum(-1)


def _of(table: Sequence[bool], symmetry: Tensor) -> Tensor:
    return torch.tensor(table, device=symmetry.device)[symmetry]


def recover(predicted: Tensor | Array, view: View, offset: Tensor | Array) -> Array | list[Array]:
    """Return the grids that tokens under views stand for, in the puzzle's own colours and orientation.

    Args:
        predicted: Tokens ``(S,)`` or ``(n, S)``.
        view: One view, or n; its shift is not read.
        offset: Where the turned grids start, ``(2,)``, ``(1, 2)`` or ``(n, 2)``.

    Returns:
        Of ``(S,)`` an int8 grid ``(height, width)``, of ``(n, S)`` a list of them. The turned grid is the largest
        rectangle of colours that starts at the offset, `largest_rectangle`: the grid itself where
        tokens are those of a grid, since its border stops it. It is 0 x 0 where no colour stands at the offset.
    """
    flat = _array(predicted)
    rows = np.atleast_2d(flat)
    n, side = len(rows), math.isqrt(rows.shape[-1])
    colours = np.broadcast_to(_array(view.colours).reshape(-1, N_COLOURS), (n, N_COLOURS))
    symmetry = np.broadcast_to(_array(view.symmetry).reshape(-1), (n,))
    start = np.broadcast_to(_array(offset).reshape(-1, 2), (n, 2))
    grids = []
    for row, to, turn, (top, left) in zip(rows, colours, symmetry, start, strict=True):
        turned = largest_rectangle(row.reshape(side, side)[top:, left:])
        grids.append(np.argsort(to).astype(np.int8)[turned_back(turned, int(turn)) - FIRST_COLOUR])
    return grids[0] if flat.ndim == 1 else grids


def largest_rectangle(square: Array) -> Array:
    """Return the largest rectangle at the top left that has only colours; of equals, the one with fewer rows.

    Args:
        square: Tokens ``(rows, columns)``.

    Source:
        The cropping of predictions in the code of arXiv 2510.04871.
    """
    # In every row the run of colours from the left, no longer than in the rows above it.
    runs = np.minimum.accumulate(np.logical_and.accumulate(square >= FIRST_COLOUR, axis=1).sum(1))
    areas = runs * np.arange(1, len(square) + 1)
    if not areas.size or not areas.max():
        return square[:0, :0]
    height = int(areas.argmax()) + 1
    return square[:height, : runs[height - 1]]


def turned_back(grid: Array, symmetry: int) -> Array:
    """Return the grid that ``symmetry`` turned into this one."""
    if FROM_BELOW[symmetry]:
        grid = np.flip(grid, 1 if SWAPPED[symmetry] else 0)
    if FROM_RIGHT[symmetry]:
        grid = np.flip(grid, 0 if SWAPPED[symmetry] else 1)
    return grid.T if SWAPPED[symmetry] else grid


def _array(values: Tensor | Array) -> Array:
    return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
