"""The pictures of trained solvers: the sheet of puzzles, and maps of the contexts. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from trainables.etrm.health import COLLAPSED_CROSS_RATIO
from trainables.etrm.puzzle_sheet import puzzles
from trainables.picture import Examples, Picture, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arms = Mapping[str, Examples]

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#5b6270"  # after Okabe and Ito 2008
WIDTH = 9.6  # inches
MOST_COLUMNS = 3
LEAST_REACH = 0.25  # of the map, root mean squares of the context: no collapse is magnified


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
        "Of every puzzle: demonstrations, query, true answer, the model's, and the model's when it is given another "
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
