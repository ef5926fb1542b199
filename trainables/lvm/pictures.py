"""The pictures of next-vector models: moments, retrieval, and windows in words. Imports no torch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
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
MOST_RANK, TICKS = 50, (1, 2, 5, 10, 20, 50)
SHOWN_OF_SEVERAL = 2  # windows when several arms stand one below the other
COLUMNS = (  # of what arms answer: title, left edge and width in characters
    ("arm", 0.0, 30),
    ("rank", 0.21, 6),
    ("nearest to the prediction", 0.26, 62),
    ("decoded words", 0.66, 52),
)
FULL = 150  # characters in a line over the whole width
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
            recall = (examples[key][:, None] <= k).mean(axis=0)
            style = ("-", "--", ":", "-.")[number // 10 % 4]
            panel.plot(k, recall, style, color=f"C{number % 10}", linewidth=1.6, label=heading_line(name))
        n_candidates = candidates(next(iter(arms.values())), key)
        if n_candidates is not None:
            chance = np.minimum(k / n_candidates[:, None], 1).mean(axis=0)
            panel.plot(k, chance, color="0.45", linewidth=2.4, alpha=0.6, label="chance")
        panel.set(xscale="log", xlabel="k", xlim=(1, MOST_RANK), ylim=(0, 1))
        panel.set_xticks(TICKS, map(str, TICKS))
        panel.set_title(title, fontsize=9.5)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="0.92")
    panels[0].set_ylabel("share found among the k nearest", fontsize=9)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7.5, frameon=False
    )
    return figure


def candidates(examples: Examples, key: str) -> Array | None:
    """Return among how many targets each own one is looked for, ``(n,)``; None where older examples do not say."""
    if key == "rank":
        return np.full(len(examples[key]), len(examples[key]))
    return examples.get("n_in_document")


def retrieval_in_words(arms: Arms) -> str:
    """Return the shares at k = 1 and 5 of every arm."""
    return " ".join(
        f"{heading_line(name)}: own target nearest for {np.mean(e['rank'] <= 1):.1%}, among the five nearest for "
        f"{np.mean(e['rank'] <= 5):.1%} of all windows; within the document "
        f"{np.mean(e['rank_in_document'] <= 1):.1%} and {np.mean(e['rank_in_document'] <= 5):.1%}."
        for name, e in arms.items()
    )


def moments_in_words(arms: Arms) -> str:
    """Return how large the spreads of every arm are beside those of the targets."""
    return " ".join(
        f"{heading_line(name)}: the median dimension spreads {np.median(e['std_predicted'] / e['std_target']):.2g} "
        "times as much as the targets do."
        for name, e in arms.items()
    )


def heading_line(name: str) -> str:
    """Return the name of an arm on one line, as the report writes it."""
    return name.replace(",", ", ").replace("=", " ")


@dataclass
class Shown:
    """One window with what every arm makes of it.

    Args:
        context: Its sentences, one string with a line each.
        following: The sentence that follows.
        answers: Arm, rank of what follows, nearest sentence and decoded words, by arm.
    """

    context: tuple[str, ...]
    following: str
    answers: list[tuple[str, str, str, str]]


def shown_windows(arms: Arms) -> list[Shown]:
    """Return the windows that are shown, each once, with the answers of all arms that kept it; none without texts."""
    found: dict[tuple[str, ...], Shown] = {}
    for name, examples in arms.items():
        n = len(examples.get("shown_next", ()))
        for row in range(n if len(arms) == 1 else min(n, SHOWN_OF_SEVERAL)):
            context = tuple(map(str, examples["shown_context"][row])) if "shown_context" in examples else ()
            following = str(examples["shown_next"][row])
            shown = found.setdefault((*context, following), Shown(context, following, []))
            words = examples.get("shown_words_scaled", examples.get("shown_words"))
            said = "" if words is None else str(words[row])
            rank, nearest = str(int(examples["shown_rank"][row])), str(examples["shown_nearest"][row])
            shown.answers.append((heading_line(name), rank, nearest, said or "–"))
    return list(found.values())


def windows(arms: Arms) -> Figure | None:
    """Return a few windows in words, each context once: what follows, and below it what every arm makes of it."""
    from matplotlib.figure import Figure

    shown = shown_windows(arms)
    if not shown:
        return None
    lines = [line for window in shown for line in window_lines(window, single=len(arms) == 1)]
    heights = [max(1 + text.count("\n") for _, text in line.cells) + line.below for line in lines]
    figure = Figure(figsize=(WIDTH, LINE * (sum(heights) + 1)))
    axes = figure.add_axes((0.01, 0.0, 0.98, 1.0))
    axes.set(xlim=(0, 1), ylim=(sum(heights) + 0.5, -0.5))
    axes.set_axis_off()
    at = 0.0
    for line, height in zip(lines, heights, strict=True):
        if line.ruled:
            axes.axhline(at - 0.25, color="0.85", linewidth=0.7)
        for left, text in line.cells:
            weight = "bold" if line.bold else "normal"
            axes.text(
                left,
                at,
                text,
                fontsize=7.5,
                va="top",
                color=GREY if line.soft else INK,
                fontweight=weight,
                linespacing=1.25,
            )
        at += height
    return figure


@dataclass(frozen=True)
class Line:
    """One row of text: cells by their left edge, and how they look.

    Args:
        cells: Left edge and wrapped text.
        below: Free lines below it.
        ruled: Whether a line stands above it.
        bold: Whether it is bold.
        soft: Whether it is grey.
    """

    cells: tuple[tuple[float, str], ...]
    below: float = 0.4
    ruled: bool = False
    bold: bool = False
    soft: bool = False


def window_lines(window: Shown, *, single: bool) -> list[Line]:
    """Return the rows of one window: its context, what follows, and the answer of every arm."""
    context = "\n".join(
        textwrap.fill(f"{number}. {plain(text)}", FULL, subsequent_indent="    ")
        for number, text in enumerate(window.context or ("(no texts)",), start=1)
    )
    columns = [column for column in COLUMNS if not (single and column[0] == "arm")]
    found = [
        Line(((0.0, "context"),), below=0.2, ruled=True, soft=True),
        Line(((0.0, context),)),
        Line(((0.0, "what follows"),), below=0.2, soft=True),
        Line(((0.0, textwrap.fill(plain(window.following), FULL)),), bold=True),
        Line(tuple((left, title) for title, left, _ in columns), below=0.2, soft=True),
    ]
    for answer in window.answers:
        texts = [
            text
            for (title, _, _), text in zip(COLUMNS, answer, strict=True)
            if not (single and title == "arm")
        ]
        cells = [
            (left, textwrap.fill(plain(text), width))
            for (_, left, width), text in zip(columns, texts, strict=True)
        ]
        found.append(Line(tuple(cells)))
    return [*found, Line(((0.0, ""),), below=0.2)]


def windows_in_words(arms: Arms) -> str:
    """Return the windows with all answers as text."""
    return " ".join(
        f"Context: {' / '.join(window.context)}. What follows: {window.following}. "
        + " ".join(
            f"{arm}: rank {rank}, nearest {nearest!r}, words {words}."
            for arm, rank, nearest, words in window.answers
        )
        for window in shown_windows(arms)
    )


def plain(text: str) -> str:
    """Return text in which a dollar begins no formula."""
    return text.replace("$", r"\$")


PICTURES = {
    "moments": Picture(
        "Moments of predictions and targets",
        "A point per dimension: above, its mean; below, its standard deviation; on the line both are the same. Spreads "
        "that lie flat at the bottom are a model that says the mean of everything.",
        moments,
        in_words=moments_in_words,
    ),
    "retrieval": Picture(
        "Retrieval",
        "How often the vector that follows is among the k nearest to the prediction; the thick grey line is "
        "chance. Within a document all candidates have its topic, so a model that only knows the topic is near "
        "chance there.",
        retrieval,
        in_words=retrieval_in_words,
    ),
    "windows": Picture(
        "Windows in words",
        "Validation windows, each with its five sentences and the one that follows; below it, for every arm, the "
        "rank of what follows among all validation targets, the sentence whose vector is nearest to the "
        "prediction, and the words that the decoder makes of it. A vector of another length decodes to other "
        "words, so predictions are brought to the length of the corpus's vectors (in examples of older sweeps "
        "they are not); a dash is a prediction of which no word weighs enough, as where it is much shorter.",
        windows,
        in_words=windows_in_words,
    ),
}
