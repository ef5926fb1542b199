"""What the command line prints on: a console, or one JSON value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # imported where it is used: the command line must answer at once
    from rich.console import Console

PLAIN_WIDTH = 140


def console(*, stderr: bool = False) -> Console:
    """Return a rich console; plain text, unwrapped, when its output is not a terminal."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=PLAIN_WIDTH)


def print_json(content: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(content, indent=2, default=str))


def open_page(path: Path) -> None:
    """Open a page in the user's browser; say where it lies when there is none."""
    import webbrowser

    try:
        opened = webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        click.echo(f"No browser was found. Open {path.resolve()} in one.", err=True)
