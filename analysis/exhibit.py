"""What a report shows besides findings: drawings and listings, each with how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """One figure of the report.

    Args:
        name: Name of its files.
        title: Heading.
        how_to_read: One or two sentences.
        alternative: What it shows, for readers who cannot see it.
        figure: The figure.
        wide: Whether it takes the whole width of the page.
    """

    name: str
    title: str
    how_to_read: str
    alternative: str
    figure: Figure
    wide: bool = True


@dataclass(frozen=True)
class Listing:
    """One table of the report; also written as ``<name>.csv``.

    Args:
        name: Name of its file.
        title: Heading.
        how_to_read: One or two sentences.
        columns: Names of the columns; the first one names the row.
        rows: Cells as numbers, text, or None where there is no value; as many per row as columns.
    """

    name: str
    title: str
    how_to_read: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | float | int | None]]
