"""The pictures of next-vector models: moments, retrieval, and windows in words. Imports no torch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from trainables.dataset import Array
from trainables.picture import Examples, Picture, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arms = Mapping[str, Examples]
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#5b6270", "#1d2129"  # after Okabe and Ito 2008
WIDTH = 9.6  # inches
MOST_COLUMNS = 4
MOST_RANK = 50
SHOWN_OF_SEVERAL = 2  # windows when several arms stand one below the other
COLUMNS = (  # of the table of windows: title, left edge and width in characters
    ("context", 0.0, 58),
    ("what follows", 0.36, 34),
    ("nearest to the prediction", 0.58, 34),
    ("decoded words", 0.80, 31),
)
LINE = 0.145  # inches per line of text


def moments(arms: Arms) -> Figure:
    """Return means and spreads of predictions against those of targets, a point per dimension, a column per arm."""
    from matplotlib.figure import Figure

    n_columns = min(MOST_COLUMNS, len(arms))
    n_rows = math.ceil(len(arms) / n_columns)
    size = (max(WIDTH * n_columns / MOST_COLUMNS, 4.4), 4.4 * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(2 * n_rows, n_columns, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for place, (name, examples) in enumerate(arms.items()):
        row, column = divmod(place, n_columns)
        pair = axes[2 * row, column], axes[2 * row + 1, column]
        for panel, statistic, colour in zip(pair, ("mean", "std"), (BLUE, ORANGE), strict=True):
            panel.set_axis_on()
            draw_moments(panel, examples[f"{statistic}_target"], examples[f"{statistic}_predicted"], colour)
            panel.set_ylabel(f"{statistic} of predictions" if column == 0 else "", fontsize=8.5)
        pair[0].set_title(heading(name), fontsize=9.5, fontweight="bold")
        pair[1].set_xlabel("of targets", fontsize=8.5)
    return figure


def draw_moments(panel: Axes, target: Array, predicted: Array, colour: str) -> None:
    """Draw one statistic of every dimension beside the diagonal on which both are the same."""
    low = float(min(target.min(), predicted.min(), 0.0))
    high = float(max(target.max(), predicted.max()))
    pad = 0.05 * (high - low)
    panel.plot([low, high], [low, high], color="0.75", linewidth=1.0, zorder=0)
    panel.scatter(target, predicted, s=7, color=colour, alpha=0.5, linewidths=0)
    panel.set(xlim=(low - pad, high + pad), ylim=(low - pad, high + pad), aspect="equal")
    panel.tick_params(labelsize=7.5)
    panel.locator_params(nbins=4)
    panel.spines[["top", "right"]].set_visible(False)


def retrieval(arms: Arms) -> Figure:
    """Return how often the own target is among the k nearest, over k, among all and within the document."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    k = np.arange(1, MOST_RANK + 1)
    titles = {
        "rank": "among all validation targets",
        "rank_in_document": "among targets of the same document",
    }
    for panel, (key, title) in zip(panels, titles.items(), strict=True):
        for number, (name, examples) in enumerate(arms.items()):
            ranks = examples[key]
            recall = (ranks[:, None] <= k).mean(axis=0)
            style = ("-", "--", ":", "-.")[number // 10 % 4]
            panel.plot(k, recall, style, color=f"C{number % 10}", linewidth=1.6, label=heading_line(name))
        if key == "rank":
            n = len(next(iter(arms.values()))["rank"])
            panel.plot(k, np.minimum(k / n, 1), color="0.6", linewidth=1.0, label="chance")
        panel.set(xscale="log", xlabel="k", xlim=(1, MOST_RANK), ylim=(0, 1))
        panel.set_title(title, fontsize=9.5)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="0.92")
    panels[0].set_ylabel("share found among the k nearest", fontsize=9)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7.5, frameon=False
    )
    return figure


def heading_line(name: str) -> str:
    """Return the name of an arm on one line."""
    return name.replace(",", ", ")


def windows(arms: Arms) -> Figure | None:
    """Return a few windows in words: context, what follows, what is nearest to the prediction, what is decoded."""
    from matplotlib.figure import Figure

    shown = {
        name: rows_of(examples, len(arms)) for name, examples in arms.items() if "shown_next" in examples
    }
    if not shown:
        return None
    blocks = [(name, rows, [row_lines(row) for row in rows]) for name, rows in shown.items()]
    n_lines = sum(2 + 2 * (len(arms) > 1) + sum(lines + 1 for lines in heights) for _, _, heights in blocks)
    figure = Figure(figsize=(WIDTH, LINE * (n_lines + 1)))
    axes = figure.add_axes((0.01, 0.0, 0.98, 1.0))
    axes.set(xlim=(0, 1), ylim=(n_lines + 0.5, -0.5))
    axes.set_axis_off()
    line = 0.0
    for name, rows, heights in blocks:
        if len(arms) > 1:
            axes.text(0, line, heading_line(name), fontsize=9.5, fontweight="bold", va="top", color=INK)
            line += 2
        for title, left, _ in COLUMNS:
            axes.text(left, line, title, fontsize=8.5, va="top", color=GREY)
        line += 1.5
        for row, height in zip(rows, heights, strict=True):
            axes.axhline(line - 0.25, color="0.85", linewidth=0.7)
            for (_, left, _), text in zip(COLUMNS, row, strict=True):
                axes.text(left, line, text, fontsize=7.5, va="top", color=INK, linespacing=1.25)
            line += height + 1
        line += 0.5
    return figure


def rows_of(examples: Examples, n_arms: int) -> list[tuple[str, ...]]:
    """Return the wrapped texts of the windows that are shown, a row each."""
    n = len(examples["shown_next"])
    return [row_of(examples, row) for row in range(n if n_arms == 1 else min(n, SHOWN_OF_SEVERAL))]


def row_of(examples: Examples, row: int) -> tuple[str, ...]:
    """Return the texts of one window, wrapped to their columns; the rank of what follows stands below it."""
    context = (
        [f"{number}. {text}" for number, text in enumerate(examples["shown_context"][row], start=1)]
        if ("shown_context" in examples)
        else ["(no texts)"]
    )
    widths = [width for _, _, width in COLUMNS]
    wrapped = "\n".join(textwrap.shorten(str(text), widths[0] * 2 - 4) for text in context)
    follows = f"{examples['shown_next'][row]} [rank {int(examples['shown_rank'][row])}]"
    texts = (follows, str(examples["shown_nearest"][row]), str(examples["shown_words"][row]) or "–")
    return (
        "\n".join(textwrap.fill(line, widths[0]) for line in wrapped.split("\n")),
        *(textwrap.fill(plain(text), width) for text, width in zip(texts, widths[1:], strict=True)),
    )


def plain(text: str) -> str:
    """Return text in which a dollar begins no formula."""
    return text.replace("$", r"\$")


def row_lines(row: tuple[str, ...]) -> int:
    """Return how many lines a row of wrapped texts takes."""
    return max(1 + text.count("\n") for text in row)


PICTURES = {
    "moments": Picture(
        "Moments of predictions and targets",
        "A point per dimension: above, its mean; below, its standard deviation; on the line both are the same. Spreads "
        "that lie flat at the bottom are a model that says the mean of everything.",
        moments,
    ),
    "retrieval": Picture(
        "Retrieval",
        "How often the vector that follows is among the k nearest to the prediction. Within a document all candidates "
        "have its topic, so a model that only knows the topic is near chance there.",
        retrieval,
    ),
    "windows": Picture(
        "Windows in words",
        "Validation windows: five sentences, the one that follows with its rank among all validation targets, the "
        "sentence whose vector is nearest to the prediction, and the words that the decoder makes of it.",
        windows,
    ),
}
