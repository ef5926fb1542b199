"""The pictures of trained solvers: puzzles beside their answers, and maps of the contexts. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
PANEL = 0.75  # inches; lengths of the sheet of puzzles are in panels
COLUMN, ROW = 1.27, 1.27  # from one panel to the next
LABEL, MARGIN = 0.42, 0.12  # left and right of the panels
HEAD, HEADING = 0.5, 0.3  # titles of the columns, and the name of an arm above them
HEADING_STYLE: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 10.5, "fontweight": "bold"}
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


@dataclass(frozen=True)
class Place:
    """A panel of the sheet: a square of side one whose top left corner is at ``(x, y)``, y downwards."""

    axes: Axes
    x: float
    y: float

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write at a point of the panel, from (0, 0) at the top left to (1, 1)."""
        self.axes.text(self.x + x, self.y + y, text, **style)


def puzzles(arms: Arms) -> Figure:
    """Return a row per puzzle: demonstrations, query, truth, answer, and answer under another puzzle's context.

    One axes holds all panels at places that are computed: axes of their own and a layout engine take ten times as
    long, and every trial gets this picture.
    """
    from matplotlib.figure import Figure

    most = None if len(arms) == 1 else SHOWN_OF_SEVERAL
    shown = {name: puzzles_of(examples, most) for name, examples in arms.items()}
    n_pairs = max(len(row.pairs) for rows in shown.values() for row in rows)
    columns = [LABEL + number * COLUMN for number in range(2 * n_pairs + 4)]
    head = HEAD + (HEADING if len(arms) > 1 else 0.0)
    width, height = columns[-1] + 1 + MARGIN, sum(head + ROW * len(rows) for rows in shown.values())
    figure = Figure(figsize=(PANEL * width, PANEL * height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    top = 0.0
    for name, rows in shown.items():
        if len(arms) > 1:
            axes.text(width / 2, top + HEADING, name.replace(",", ", "), **HEADING_STYLE)
        for x, title in zip(columns, column_titles(n_pairs), strict=True):
            axes.text(x + 0.5, top + head - 0.08, title, ha="center", va="bottom", fontsize=8.5, color=INK)
        for number, row in enumerate(rows):
            draw_puzzle([Place(axes, x, top + head + ROW * number) for x in columns], row, n_pairs)
        top += head + ROW * len(rows)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    return figure


def column_titles(n_pairs: int) -> list[str]:
    """Return the headings of the columns."""
    pairs = [title for number in range(1, n_pairs + 1) for title in (f"input {number}", f"output {number}")]
    return [*pairs, "query", "truth", "answer", "answer under\nother context"]


def draw_puzzle(row: Sequence[Place], one: Puzzle, n_pairs: int) -> None:
    """Draw one puzzle into its places, from left to right."""
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
    label = f"{SPLITS[one.split]}\n{one.name}"
    row[0].text(-0.22, 0.5, label, fontsize=7.5, color=GREY, ha="center", va="center", rotation=90)


def draw_grid(place: Place, grid: Array) -> None:
    """Draw a grid at the top left of ``(side, side)``."""
    draw_cells(place, grid, *extent(grid))


def draw_cells(place: Place, grid: Array, height: int, width: int) -> tuple[float, float, float]:
    """Draw the first rows and columns of ``(side, side)``, as large as the panel holds, lines between the cells.

    Returns:
        Left and upper edge of what was drawn, and the side of a cell.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap

    height, width = max(height, 1), max(width, 1)  # an empty answer is one cell of nothing
    cell = 1 / max(height, width)
    left, up = place.x + (1 - width * cell) / 2, place.y + (1 - height * cell) / 2
    right, down = left + width * cell, up + height * cell
    colours, norm = ListedColormap((NOTHING, *ARC)), BoundaryNorm(np.arange(-1.5, 10), len(ARC) + 1)
    shown = grid[:height, :width]
    box = (left, right, down, up)
    place.axes.imshow(shown, cmap=colours, norm=norm, interpolation="nearest", extent=box)
    place.axes.hlines(np.linspace(up, down, height + 1), left, right, colors=LINE, linewidths=0.35)
    place.axes.vlines(np.linspace(left, right, width + 1), up, down, colors=LINE, linewidths=0.35)
    return left, up, cell


def extent(grid: Array) -> tuple[int, int]:
    """Return rows and columns of a grid at the top left of ``(side, side)``."""
    inside = grid >= 0
    return int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())


def draw_arrow(place: Place) -> None:
    """Draw an arrow from the grid on the left to this one, in the gap between them."""
    place.text((1 - COLUMN) / 2, 0.5, "→", ha="center", va="center", fontsize=9, color=GREY)


def draw_answer(place: Place, grid: Array, truth: Array, *, exact: bool) -> None:
    """Draw an answer, a cross on every wrong cell that it has, and below it how much of all is wrong."""
    height, width = np.maximum(extent(truth), extent(grid))
    left, up, cell = draw_cells(place, grid, int(height), int(width))
    rows, columns = np.nonzero((grid != truth) & (grid >= 0))
    x, y = left + (columns + 0.5) * cell, up + (rows + 0.5) * cell
    size = min(6.0, 28.0 / max(height, width, 1))
    for colour, line in (("white", 1.8), ("black", 0.8)):
        place.axes.plot(x, y, "x", color=colour, markersize=size, markeredgewidth=line, zorder=3)
    text, ink = ("right", RIGHT) if exact else (f"{wrong_share(grid, truth):.0%} wrong", GREY)
    place.text(0.5, 1.04, text, ha="center", va="top", fontsize=7, color=ink)


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
