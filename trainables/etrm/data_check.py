"""Whether the rows are what they should be: own demonstrations, right masks, unseen puzzles, no given answers.

Rows are read as the model gets them, and compared by their grids with the published pairs, of which the
dataset's constants keep hashes; nothing here relies on how the rows were put together. Imports no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from search_spaces.domains import Params
from trainables.dataset import Array, Dataset, Split
from trainables.etrm.data import OUTSIDE
from trainables.etrm.puzzles import N_COLOURS, pair_digest
from trainables.probe import ProbeResult

SPLITS = ("train", "valid", "test")
_GRIDS = ("query", "answer", "demo_inputs", "demo_outputs")


class Fault(NamedTuple):
    """What is wrong with one row: split, row and the words for it."""

    split: str
    row: int
    what: str


def check_data(dataset: Dataset, params: Params) -> tuple[ProbeResult, ...]:
    """Return four claims about the rows of all splits; each is supported when no row breaks it.

    Args:
        dataset: As `trainables.etrm.data.load_dataset` returns it.
        params: Unused: what is right does not depend on them.
    """
    return (
        demonstrations_match_query(dataset),
        masks_are_right(dataset),
        no_evaluation_puzzle_in_training(dataset),
        query_not_in_context(dataset),
    )


def demonstrations_match_query(dataset: Dataset) -> ProbeResult:
    """Return whether query and demonstrations of every row are, by grids, those of the puzzle that it names."""
    pairs, demonstrations = published(dataset)
    faults = []
    for split, rows in _splits(dataset):
        is_present = present(rows)
        for row, puzzle in enumerate(rows["puzzle"].tolist()):
            if digest(rows["query"][row], rows["answer"][row]) not in pairs[puzzle]:
                faults.append(Fault(split, row, "the query is none of the puzzle's"))
            for number in np.flatnonzero(is_present[row]):
                pair = digest(rows["demo_inputs"][row, number], rows["demo_outputs"][row, number])
                if pair not in demonstrations[puzzle]:
                    faults.append(Fault(split, row, f"demonstration {number} is none of the puzzle's"))
    return judged(
        "demonstrations_match_query",
        dataset,
        faults,
        "every demonstration is one of the puzzle of its query",
        "Look at how rows are put together: a context of another puzzle teaches the encoder nothing.",
    )


def masks_are_right(dataset: Dataset) -> ProbeResult:
    """Return whether grids are rectangles of colours at the top left, -1 outside, and demonstrations stand first."""
    faults = [
        Fault(split, int(row), what)
        for split, rows in _splits(dataset)
        for what, wrong in mask_faults(rows).items()
        for row in np.flatnonzero(wrong)
    ]
    return judged(
        "masks_are_right",
        dataset,
        faults,
        "every grid is a rectangle of colours at the top left with -1 outside, and demonstrations stand first",
        "Write grids into arrays filled with -1, inputs and outputs of a demonstration at the same place.",
    )


def no_evaluation_puzzle_in_training(dataset: Dataset) -> ProbeResult:
    """Return whether no puzzle of validation and test is also trained on, by name and by every single pair."""
    names = dataset.constants["puzzle_names"]
    trained_names = {str(names[puzzle]) for puzzle in dataset.train["puzzle"]}
    trained_pairs = {pair for pairs in row_pairs(dataset.train) for pair in pairs}
    faults = []
    for split in ("valid", "test"):
        rows = dataset.split(split)
        for row, pairs in enumerate(row_pairs(rows)):
            if str(names[rows["puzzle"][row]]) in trained_names:
                faults.append(Fault(split, row, "training has a puzzle of this name"))
            elif trained_pairs & set(pairs):
                faults.append(Fault(split, row, "training has a pair with these grids"))
    left_out = [str(name) for name in dataset.constants["left_out"]]
    n_unseen = len(np.unique(np.concatenate([dataset.valid["puzzle"], dataset.test["puzzle"]])))
    return judged(
        "no_evaluation_puzzle_in_training",
        dataset,
        faults,
        f"none of the {n_unseen} evaluation puzzles is among the {len(trained_names)} of training, by name or by "
        f"grids ({', '.join(left_out) or 'none'} left out of training for that)",
        "Remove it from one of the two parts: accuracy on a puzzle that was trained on is not generalisation.",
    )


def query_not_in_context(dataset: Dataset) -> ProbeResult:
    """Return whether no row shows its own query with the answer among its demonstrations."""
    faults = []
    for split, rows in _splits(dataset):
        same = [
            (rows[demonstration] == rows[asked][:, None]).all((2, 3))
            for demonstration, asked in (("demo_inputs", "query"), ("demo_outputs", "answer"))
        ]
        for row, number in zip(*np.nonzero(same[0] & same[1] & present(rows)), strict=True):
            faults.append(Fault(split, int(row), f"demonstration {number} is the query with its answer"))
    return judged(
        "query_not_in_context",
        dataset,
        faults,
        "no row has its own query and answer among its demonstrations",
        "Leave the query out of its context: a model that reads the answer there learns to copy it.",
    )


def published(dataset: Dataset) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Return by puzzle the hashes of all its published pairs, and of its demonstrations alone."""
    pairs: dict[int, set[int]] = defaultdict(set)
    demonstrations: dict[int, set[int]] = defaultdict(set)
    names = ("source_digest", "source_puzzle", "source_is_demonstration")
    columns = (dataset.constants[name].tolist() for name in names)
    for pair, puzzle, is_demonstration in zip(*columns, strict=True):
        pairs[puzzle].add(pair)
        if is_demonstration:
            demonstrations[puzzle].add(pair)
    return pairs, demonstrations


def digest(*squares: Array) -> int:
    """Return `pair_digest` of two grids in squares ``(side, side)``."""
    inside = [square >= 0 for square in squares]
    cut = [
        square[: int(cells.any(1).sum()), : int(cells.any(0).sum())]
        for square, cells in zip(squares, inside, strict=True)
    ]
    return pair_digest((cut[0], cut[1]))


def row_pairs(rows: Split) -> list[list[int]]:
    """Return of every row the hashes of its query's pair and of its demonstrations."""
    found = []
    for row, is_present in enumerate(present(rows)):
        places = np.flatnonzero(is_present)
        demonstrations = [digest(rows["demo_inputs"][row, m], rows["demo_outputs"][row, m]) for m in places]
        found.append([digest(rows["query"][row], rows["answer"][row]), *demonstrations])
    return found


def present(rows: Split) -> Array:
    """Return where there is a demonstration, bool ``(n, M)``: any cell of its input or output is coloured."""
    return np.asarray(((rows["demo_inputs"] >= 0) | (rows["demo_outputs"] >= 0)).any((-1, -2)))


def mask_faults(rows: Split) -> dict[str, Array]:
    """Return which rows break which rule of the masks, each bool ``(n,)``."""
    coloured = {name: np.asarray((rows[name] >= 0).any((-1, -2))) for name in _GRIDS}
    inputs, outputs = coloured["demo_inputs"], coloured["demo_outputs"]
    no_colour = [(rows[name] < OUTSIDE) | (rows[name] >= N_COLOURS) for name in _GRIDS]
    misshapen = [not_a_rectangle(rows[name]) for name in _GRIDS]
    return {
        "the query or its answer is empty": ~(coloured["query"] & coloured["answer"]),
        "there is no demonstration": ~(inputs | outputs).any(1),
        "a demonstration has an input without an output, or the other way round": (inputs != outputs).any(1),
        "a demonstration stands behind a gap": (inputs[:, 1:] & ~inputs[:, :-1]).any(1),
        "a cell is neither a colour nor -1": _any_of(no_colour),
        "a grid is no rectangle at the top left": _any_of(misshapen),
    }


def not_a_rectangle(grids: Array) -> Array:
    """Return the cells ``(..., side, side)`` that differ from a rectangle at the top left of the grid's extent."""
    inside = grids >= 0
    height, width = (inside.any(axis).sum(-1)[..., None, None] for axis in (-1, -2))
    places = np.arange(grids.shape[-1])
    return np.asarray(inside != ((places[:, None] < height) & (places < width)))


def _any_of(wrong: Sequence[Array]) -> Array:
    """Return which rows have a wrong cell in any of several arrays, ``(n,)``."""
    per_array = np.stack([cells.reshape(len(cells), -1).any(1) for cells in wrong])
    return np.asarray(per_array.any(axis=0))


def judged(claim: str, dataset: Dataset, faults: Sequence[Fault], right: str, advice: str) -> ProbeResult:
    """Return the verdict on a claim: rejected with an alarm when there is a fault.

    Args:
        claim: Its id.
        dataset: What was looked at.
        faults: All that is wrong.
        right: The claim in words.
        advice: What to do when it is wrong.
    """
    counted = {
        "rows": sum(len(rows["puzzle"]) for _, rows in _splits(dataset)),
        "demonstrations": sum(int(present(rows).sum()) for _, rows in _splits(dataset)),
        "faulty_rows": len({(fault.split, fault.row) for fault in faults}),
    }
    numbers = {name: float(count) for name, count in counted.items()}
    looked_at = f"{counted['rows']} rows with {counted['demonstrations']} demonstrations"
    if not faults:
        return ProbeResult(claim, "supported", f"In {looked_at}, {right}.", numbers)
    first = faults[0]
    name = dataset.constants["puzzle_names"][dataset.split(first.split)["puzzle"][first.row]]
    statement = (
        f"{counted['faulty_rows']} of {looked_at} break the rule. "
        f"First puzzle {name}, {first.split} row {first.row}: {first.what}."
    )
    return ProbeResult(claim, "rejected", statement, numbers, advice, alarm=True)


def _splits(dataset: Dataset) -> Iterator[tuple[str, Split]]:
    for name in SPLITS:
        yield name, dataset.split(name)
