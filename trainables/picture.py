"""A picture that a family offers: of one trial, or of several arms side by side. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.dataset import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Examples = Mapping[str, Array]


@dataclass(frozen=True)
class Picture:
    """One kind of picture over what `trainables.contract.Family.examples` kept.

    Args:
        title: Heading.
        how_to_read: One or two sentences.
        draw: Returns the figure of one or more arms, given their examples by name; None when it has nothing
            to show of them.
        per_trial: Whether it is also drawn for every single trial.
        in_words: Returns what the figure shows, for readers who cannot see it; None for how to read it alone.
    """

    title: str
    how_to_read: str
    draw: Callable[[Mapping[str, Examples]], Figure | None]
    per_trial: bool = True
    in_words: Callable[[Mapping[str, Examples]], str] | None = None


def heading(name: str) -> str:
    """Return the name of an arm or a cell as a heading: a setting per line, so that neighbours do not touch."""
    return name.replace(",", "\n")
