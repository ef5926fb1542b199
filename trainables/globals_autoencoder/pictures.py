"""The picture of a trial: what went in against what came out. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from trainables.dataset import Array
from trainables.picture import Examples, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR = "#1b6ca8"


def reconstruction(examples_by_name: Mapping[str, Examples]) -> Figure:
    """Return rebuilt against true token features and globals: six panels, in one row each when there are several.

    Args:
        examples_by_name: What `trainables.globals_autoencoder.evaluation.examples` returned, by trial or cell.
    """
    from matplotlib.figure import Figure

    n = len(examples_by_name)
    rows, columns, size = (2, 3, (9.6, 5.4)) if n == 1 else (1, 6, (13.0, 2.5 * n))
    figure = Figure(figsize=size, layout="constrained")
    parts = figure.subfigures(n, 1, squeeze=False)[:, 0]
    for part, (name, examples) in zip(parts, examples_by_name.items(), strict=True):
        axes = part.subplots(rows, columns)
        for place, (title, true, rebuilt, is_log) in zip(axes.flat, panels(examples), strict=True):
            draw_panel(place, title, true, rebuilt, is_log=is_log)
        part.suptitle(name if n > 1 else "", fontsize=11, fontweight="bold")
        part.supxlabel("true", fontsize=10)
        part.supylabel("rebuilt", fontsize=10)
    return figure


def panels(examples: Examples) -> list[tuple[str, Array, Array, bool]]:
    """Return title, true and rebuilt values in physical units, and whether they span decades, per panel."""
    tokens = (examples["tokens_true"], examples["tokens_rebuilt"])
    numbers = (examples["globals_true"], examples["globals_rebuilt"])
    energy, momentum, met = (
        (np.exp(source[0][:, column]), np.exp(source[1][:, column]))
        for source, column in ((tokens, 0), (tokens, 1), (numbers, 0))
    )
    token_phi = [np.arctan2(part[:, 3], part[:, 4]) for part in tokens]
    met_phi = [np.arctan2(part[:, 1], part[:, 2]) for part in numbers]
    return [
        ("object energy (GeV)", *energy, True),
        ("object pT (GeV)", *momentum, True),
        ("object eta", tokens[0][:, 2], tokens[1][:, 2], False),
        ("object phi (rad)", token_phi[0], token_phi[1], False),
        ("MET (GeV)", *met, True),
        ("MET phi (rad)", met_phi[0], met_phi[1], False),
    ]


def draw_panel(axes: Axes, title: str, true: Array, rebuilt: Array, *, is_log: bool) -> None:
    """Draw one scatter with the diagonal on which a perfect reconstruction lies."""
    low, high = np.nanpercentile(true, [0, 100])
    axes.plot([low, high], [low, high], color="0.55", linewidth=0.8, zorder=1)
    axes.scatter(true, rebuilt, s=5, color=COLOUR, alpha=0.35, linewidths=0, zorder=2)
    if is_log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = low / 1.15, high * 1.15
    margin = 0.0 if is_log else 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(low - margin, high + margin)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)


PICTURES = {
    "recon": Picture(
        "Rebuilt against true",
        "Every point is one object or one event of the validation split; on the diagonal nothing is lost.",
        reconstruction,
    )
}
