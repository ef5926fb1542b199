"""How figures look: one palette that colour-blind readers can tell apart, one size of text, stable bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2430", "#5b6270", "#dfe3ea"
# Okabe and Ito (2008), in an order that keeps neighbours apart in lightness as well as in hue.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7a5c00", "#000000")
KNOWN_COLOURS = {"none": PALETTE[0], "linear": PALETTE[1], "vq": PALETTE[2]}
TERM_COLOURS = {
    "rec_tokens": "#56B4E9",
    "rec_globals": "#D55E00",
    "vq_codebook": "#b9bec8",
    "vq_commit": "#7d8492",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = ((0, (1, 1.2)), (0, (4, 1.6)), "solid", (0, (6, 1.5, 1, 1.5)), (0, (2, 2)))
HEAT = "cividis"
RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "svg.hashsalt": "counterpoise",
    "svg.fonttype": "path",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Apply the theme while a figure is drawn or saved."""
    with mpl.rc_context(RC):
        yield


def colour_of(level: object, levels: Sequence[object]) -> str:
    """Return the colour of a level: the same for a known one in every figure, else by its place."""
    if str(level) in KNOWN_COLOURS:
        return KNOWN_COLOURS[str(level)]
    return PALETTE[list(levels).index(level) % len(PALETTE)]


def term_colour(term: str, terms: Sequence[str]) -> str:
    """Return the colour of a loss term."""
    return TERM_COLOURS.get(term, PALETTE[list(terms).index(term) % len(PALETTE)])


def shade(colour: str, strength: float) -> tuple[float, float, float]:
    """Return the colour mixed with white; ``strength`` 1 keeps it, 0 is white."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    r, g, b = 1 - strength * (1 - rgb)
    return float(r), float(g), float(b)


def wrapped(text: str, width: int) -> str:
    """Return a label in lines of at most ``width`` characters where its words and parts allow it."""
    lines = [""]
    for part in re.findall(r"[^\s_,/=-]+[_,/=-]*\s*|\S", text):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem.png`` and ``stem.svg``; equal figures give equal bytes. The figure is laid out once, for both."""
    with drawing():
        figure.savefig(stem.with_suffix(".png"), metadata={"Software": None}, facecolor="white")
    figure.set_layout_engine("none")
    stem.with_suffix(".svg").write_text(svg_text(figure), encoding="utf-8")


def svg_text(figure: Figure) -> str:
    """Return the figure as SVG without date or creator."""
    buffer = io.StringIO()
    with drawing():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return buffer.getvalue()
