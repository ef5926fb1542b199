"""The pictures of trained solvers: puzzles beside their answers, and maps of the contexts. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainables.dataset import Array
from trainables.etrm.health import COLLAPSED_CROSS_RATIO
from trainables.picture import Examples, Picture, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arms = Mapping[str, Examples]

# The ten colours in which ARC is published: black, blue, red, green, yellow, grey, magenta, orange, light blue, maroon.
ARC = (
    "#000000",
    "#0074D9",
    "#FF4136",
    "#2ECC40",
    "#FFDC00",
    "#AAAAAA",
    "#F012BE",
    "#FF851B",
    "#7FDBFF",
    "#870C25",
)
NOTHING = "#ffffff"  # where a predicted grid has no cell
LINE, INK, GREY = "#6b6b6b", "#1d2129", "#5b6270"
BLUE, RIGHT, VERMILION = "#0072B2", "#007a57", "#D55E00"  # after Okabe and Ito 2008
WIDTH = 9.6  # inches
SPLITS = {"valid": "validation", "train": "training"}
MOST_PAIRS = 3  # demonstrations shown
SHOWN_OF_SEVERAL = 2  # puzzles of each split when arms stand one above the other
MOST_COLUMNS = 3
LEAST_REACH = 0.25  # of the map, root mean squares of the context: no collapse is magnified


@dataclass(frozen=True)
class Puzzle:
    """One row of the picture, every grid with -1 outside.

    Args:
        split: ``valid`` or ``train``.
        name: As published.
        pairs: Inputs and outputs, up to three.
        query: ``(side, side)``, as are the next three.
        truth: The answer.
        predicted: What the model answers.
        foreign: What it answers under another puzzle's context.
        exact: Whether its answer is right.
        exact_foreign: Whether the other one is.
    """

    split: str
    name: str
    pairs: list[tuple[Array, Array]]
    query: Array
    truth: Array
    predicted: Array
    foreign: Array
    exact: bool
    exact_foreign: bool


def puzzles_of(examples: Examples, most: int | None = None) -> list[Puzzle]:
    """Return the puzzles of an arm, validation first, at most ``most`` of each split."""
    return [
        puzzle(examples, split, row)
        for split in SPLITS
        for row in range(len(examples[f"{split}_name"]))[:most]
    ]


def puzzle(examples: Examples, split: str, row: int) -> Puzzle:
    """Return one puzzle out of the arrays of its split."""
    own = {
        name.removeprefix(f"{split}_"): array[row]
        for name, array in examples.items()
        if name.startswith(f"{split}_")
    }
    pairs = [
        (given, asked)
        for given, asked in zip(own["demo_input"], own["demo_output"], strict=True)
        if given[0, 0] >= 0
    ]
    return Puzzle(
        split,
        str(own["name"]),
        pairs[:MOST_PAIRS],
        query=own["query"],
        truth=own["truth"],
        predicted=own["predicted"],
        foreign=own["foreign"],
        exact=bool(own["exact"]),
        exact_foreign=bool(own["exact_foreign"]),
    )


def puzzles(arms: Arms) -> Figure:
    """Return a row per puzzle: demonstrations, query, truth, answer, and answer under another puzzle's context."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    most = None if len(arms) == 1 else SHOWN_OF_SEVERAL
    shown = {name: puzzles_of(examples, most) for name, examples in arms.items()}
    heights = [0.95 * len(rows) + (0.35 if len(arms) == 1 else 0.6) for rows in shown.values()]
    close = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.03, wspace=0.05, hspace=0.0)
    figure = Figure(figsize=(WIDTH, sum(heights)), layout=close)
    parts = figure.subfigures(len(arms), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (name, rows) in zip(parts, shown.items(), strict=True):
        n_pairs = max(len(row.pairs) for row in rows)
        axes = part.subplots(len(rows), 2 * n_pairs + 4, squeeze=False)
        for column, title in enumerate(column_titles(n_pairs)):
            axes[0, column].set_title(title, fontsize=8.5, color=INK)
        for place, row in zip(axes, rows, strict=True):
            draw_puzzle(place, row, n_pairs)
        if len(arms) > 1:
            part.suptitle(heading(name), fontsize=10.5, fontweight="bold")
    return figure


def column_titles(n_pairs: int) -> list[str]:
    """Return the headings of the columns."""
    pairs = [title for number in range(1, n_pairs + 1) for title in (f"input {number}", f"output {number}")]
    return [*pairs, "query", "truth", "answer", "answer under\nother context"]


def draw_puzzle(row: Array, one: Puzzle, n_pairs: int) -> None:
    """Draw one puzzle into its axes, from left to right."""
    for axes in row:
        axes.set_axis_off()
    for number, (given, asked) in enumerate(one.pairs):
        draw_grid(row[2 * number], given)
        draw_grid(row[2 * number + 1], asked)
        draw_arrow(row[2 * number + 1])
    query, truth, predicted, foreign = row[2 * n_pairs :]
    draw_grid(query, one.query)
    draw_grid(truth, one.truth)
    draw_arrow(truth)
    draw_answer(predicted, one.predicted, one.truth, exact=one.exact)
    draw_answer(foreign, one.foreign, one.truth, exact=one.exact_foreign)
    row[0].text(
        -0.15,
        0.5,
        f"{SPLITS[one.split]}\n{one.name}",
        transform=row[0].transAxes,
        fontsize=7.5,
        color=GREY,
        ha="center",
        va="center",
        rotation=90,
    )


def draw_grid(axes: Axes, grid: Array) -> None:
    """Draw a grid at the top left of ``(side, side)``."""
    draw_cells(axes, grid, *extent(grid))


def draw_cells(axes: Axes, grid: Array, height: int, width: int) -> None:
    """Draw the first rows and columns of ``(side, side)`` with thin lines between the cells."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    height, width = max(height, 1), max(width, 1)  # an empty answer is one cell of nothing
    colours, norm = ListedColormap((NOTHING, *ARC)), BoundaryNorm(np.arange(-1.5, 10), len(ARC) + 1)
    axes.imshow(grid[:height, :width], cmap=colours, norm=norm, interpolation="nearest")
    axes.hlines(np.arange(height + 1) - 0.5, -0.5, width - 0.5, colors=LINE, linewidths=0.35)
    axes.vlines(np.arange(width + 1) - 0.5, -0.5, height - 0.5, colors=LINE, linewidths=0.35)
    reach = max(height, width) / 2 + 0.1  # a square, so that all panels of a row have one size
    x, y = width / 2 - 0.5, height / 2 - 0.5
    axes.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))


def extent(grid: Array) -> tuple[int, int]:
    """Return rows and columns of a grid at the top left of ``(side, side)``."""
    inside = grid >= 0
    return int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())


def draw_arrow(axes: Axes) -> None:
    """Draw an arrow from the grid on the left to this one."""
    arrow = axes.annotate(
        "→",
        (0, 0.5),
        (-1, 0),
        "axes fraction",
        "offset points",
        ha="right",
        va="center",
        fontsize=9,
        color=GREY,
    )
    arrow.set_in_layout(False)  # it takes the gap that is there, so that all columns have one width


def draw_answer(axes: Axes, grid: Array, truth: Array, *, exact: bool) -> None:
    """Draw an answer, a cross on every wrong cell that it has, and below it how much of all is wrong."""
    height, width = np.maximum(extent(truth), extent(grid))
    draw_cells(axes, grid, int(height), int(width))
    rows, columns = np.nonzero((grid != truth) & (grid >= 0))
    size = min(6.0, 28.0 / max(height, width, 1))
    for colour, line in (("white", 1.8), ("black", 0.8)):
        axes.plot(columns, rows, "x", color=colour, markersize=size, markeredgewidth=line, zorder=3)
    text, ink = ("right", RIGHT) if exact else (f"{wrong_share(grid, truth):.0%} wrong", GREY)
    axes.text(0.5, -0.04, text, transform=axes.transAxes, ha="center", va="top", fontsize=7, color=ink)


def wrong_share(grid: Array, truth: Array) -> float:
    """Return the share of cells wrong among those that either grid has, both ``(side, side)``."""
    either = (grid >= 0) | (truth >= 0)
    return float((grid != truth)[either].mean())


def contexts(arms: Arms) -> Figure:
    """Return the first two principal components of the contexts, a point per validation puzzle, a panel per arm."""
    from matplotlib.figure import Figure

    n_columns = min(MOST_COLUMNS, len(arms))
    n_rows = math.ceil(len(arms) / n_columns)
    width = WIDTH * (0.42, 0.72, 1.0)[n_columns - 1]
    figure = Figure(figsize=(width, 2.9 * n_rows + 0.35), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    reach = 1.1 * max(float(np.abs(examples["context_map"]).max(initial=0.0)) for examples in arms.values())
    for place, (name, examples) in zip(axes.flat, arms.items(), strict=False):
        draw_contexts(place, examples, max(reach, LEAST_REACH))
        place.set_title(heading(name), fontsize=10, fontweight="bold")
    for place in axes.flat[len(arms) :]:
        place.set_axis_off()
    figure.supxlabel("first principal component of the context", fontsize=9.5)
    figure.supylabel("second", fontsize=9.5)
    return figure


def draw_contexts(axes: Axes, examples: Examples, reach: float) -> None:
    """Draw one arm's contexts between ``-reach`` and ``reach``, the scale of all arms: a collapse is a dot."""
    points = examples["context_map"]
    axes.axhline(0, color="0.88", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.88", linewidth=0.8, zorder=0)
    axes.scatter(points[:, 0], points[:, 1], s=13, color=BLUE, alpha=0.55, linewidths=0)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    ratio, shares = float(examples["context_ratio"]), examples["context_share"]
    collapsed = ratio < COLLAPSED_CROSS_RATIO
    noise = float(examples["context_noise"])
    drowned = noise > 1 - COLLAPSED_CROSS_RATIO
    text = (
        f"cross ratio {ratio:.2g}{', collapsed' if collapsed else ''}\nshown {float(shares.sum()):.0%} of it"
    )
    if noise > 0:
        text += f"\nsampling noise {100 * noise:.3g} % of the variance"
    colour = VERMILION if collapsed or drowned else GREY
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=8, color=colour)


PICTURES = {
    "puzzles": Picture(
        "Puzzles and answers",
        "A row per puzzle: demonstrations, query, true answer, the model's, and the model's when it is given another "
        "puzzle's context. A cross marks a wrong cell, white a missing one; shares are of the cells that either grid "
        "has. Where both answers are always equal, the context is not read.",
        puzzles,
    ),
    "contexts": Picture(
        "Contexts of the puzzles",
        "Every point is the context of a validation puzzle, on its first two principal components, in units of the "
        "contexts' root mean square: a dot in the middle is one context for all puzzles. Points are at the mean of "
        "the latent; where sampling has nearly all of the variance, a draw says nothing of its puzzle.",
        contexts,
        per_trial=False,
    ),
}
