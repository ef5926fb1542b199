"""The sheet of puzzles: what a solver answers, and what it answers under another puzzle's context. Imports no torch.

One axes holds all panels at places that are computed: axes of their own and a layout engine take ten times as long, and
every trial gets this picture. Lengths are in panels, y downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.dataset import Array
from trainables.picture import Examples, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
LINE, INK, GREY, RIGHT = "#6b6b6b", "#1d2129", "#5b6270", "#007a57"
SPLITS = {"valid": "validation", "train": "training"}
MOST_PAIRS = 3  # demonstrations shown
SHOWN_OF_SEVERAL = 2  # puzzles of each split when several arms answer them
PANEL = 0.75  # inches
COLUMN, ROW = 1.27, 1.27  # from one panel to the next
LABEL, MARGIN = 0.42, 0.12  # left and right of the panels
HEAD = 0.5  # titles of the columns
LINE_OF_NAME = 0.17  # a line of an arm's name, above its two answers
GAP = 0.35  # below a puzzle that several arms answer

Arms = Mapping[str, Examples]


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

    @property
    def key(self) -> tuple[str, str, bytes]:
        """What makes it the same question: its split, its name and its query."""
        return self.split, self.name, self.query.tobytes()


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
    """A panel: a square of side one whose top left corner is at ``(x, y)``."""

    axes: Axes
    x: float
    y: float

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write at a point of the panel, from (0, 0) at the top left to (1, 1)."""
        self.axes.text(self.x + x, self.y + y, text, **style)


def puzzles(arms: Arms) -> Figure:
    """Return a row per puzzle with the answers of a single arm, or a block per puzzle with those of several."""
    if len(arms) == 1:
        rows = puzzles_of(next(iter(arms.values())))
        n_pairs = max(len(row.pairs) for row in rows)
        figure, axes = sheet(2 * n_pairs + 4, HEAD + ROW * len(rows))
        titles = [*column_titles(n_pairs), "answer", "answer under\nother context"]
        write_titles(axes, titles, HEAD)
        for number, row in enumerate(rows):
            places = places_of(axes, HEAD + ROW * number, 2 * n_pairs + 4)
            draw_question(places[:-2], row)
            draw_answers(places[-2], places[-1], row)
        return figure
    return blocks({name: puzzles_of(examples, SHOWN_OF_SEVERAL) for name, examples in arms.items()})


def blocks(shown: Mapping[str, Sequence[Puzzle]]) -> Figure:
    """Return every puzzle once, and below it the two answers of every arm that shows it."""
    asked = {row.key: row for rows in shown.values() for row in rows}
    answers = {
        key: {name: row for name, rows in shown.items() for row in rows if row.key == key} for key in asked
    }
    n_pairs = max(len(row.pairs) for row in asked.values())
    n_columns = 2 * n_pairs + 2
    per_row = n_columns // 2  # the two answers of an arm stand in two columns of the question
    name_height = 0.3 + LINE_OF_NAME * max(heading(name).count("\n") + 1 for name in shown)
    n_rows = {key: -(-len(found) // per_row) for key, found in answers.items()}
    height = sum(HEAD + ROW + n * (name_height + ROW) + GAP for n in n_rows.values())
    figure, axes = sheet(n_columns, height)
    top = 0.0
    for key, row in asked.items():
        write_titles(axes, column_titles(n_pairs), top + HEAD)
        draw_question(places_of(axes, top + HEAD, n_columns), row)
        for number, (name, own) in enumerate(answers[key].items()):
            line, column = divmod(number, per_row)
            y = top + HEAD + ROW + line * (name_height + ROW) + name_height
            draw_arm(axes, LABEL + 2 * COLUMN * column, y, name, own)
        top += HEAD + ROW + n_rows[key] * (name_height + ROW) + GAP
        axes.axhline(top - GAP / 2, color="0.88", linewidth=0.8)
    return figure


def sheet(n_columns: int, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure for that many columns of panels, and its axes."""
    from matplotlib.figure import Figure

    width = LABEL + (n_columns - 1) * COLUMN + 1 + MARGIN
    figure = Figure(figsize=(PANEL * width, PANEL * height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", autoscale_on=False)
    return figure, axes


def places_of(axes: Axes, y: float, n_columns: int) -> list[Place]:
    """Return the panels of one row, from left to right."""
    return [Place(axes, LABEL + number * COLUMN, y) for number in range(n_columns)]


def column_titles(n_pairs: int) -> list[str]:
    """Return the headings over a question."""
    pairs = [title for number in range(1, n_pairs + 1) for title in (f"input {number}", f"output {number}")]
    return [*pairs, "query", "truth"]


def write_titles(axes: Axes, titles: Sequence[str], y: float) -> None:
    """Write a heading over every panel of the row at ``y``."""
    for place, title in zip(places_of(axes, y, len(titles)), titles, strict=True):
        place.text(0.5, -0.08, title, ha="center", va="bottom", fontsize=8.5, color=INK)


def draw_question(row: Sequence[Place], one: Puzzle) -> None:
    """Draw demonstrations, query and truth into their places, the last two into the last two."""
    for number, (given, asked) in enumerate(one.pairs):
        draw_grid(row[2 * number], given)
        draw_grid(row[2 * number + 1], asked)
        draw_arrow(row[2 * number + 1])
    query, truth = row[-2:]
    draw_grid(query, one.query)
    draw_grid(truth, one.truth)
    draw_arrow(truth)
    label = f"{SPLITS[one.split]}\n{one.name}"
    row[0].text(-0.22, 0.5, label, fontsize=7.5, color=GREY, ha="center", va="center", rotation=90)


def draw_answers(own: Place, other: Place, one: Puzzle) -> None:
    """Draw the answer, and the one under another puzzle's context."""
    draw_answer(own, one.predicted, one.truth, exact=one.exact)
    draw_answer(other, one.foreign, one.truth, exact=one.exact_foreign)


def draw_arm(axes: Axes, x: float, y: float, name: str, one: Puzzle) -> None:
    """Draw both answers of one arm side by side, its name above them."""
    own, other = Place(axes, x, y), Place(axes, x + COLUMN, y)
    own.text(
        (1 + COLUMN) / 2, -0.27, heading(name), ha="center", va="bottom", fontsize=7.5, fontweight="bold"
    )
    for place, title in ((own, "answer"), (other, "other context")):
        place.text(0.5, -0.07, title, ha="center", va="bottom", fontsize=7, color=GREY)
    draw_answers(own, other, one)


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
