"""Windows as the model takes them: split by document, each with a hard negative of its own document.

Windows of a document overlap, so a split by window would test on what was trained. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search_spaces.domains import Params
from trainables.dataset import Array, DataError, Dataset, Split
from trainables.lvm.corpus import corpus_key
from trainables.lvm.extract import decoder_file, default_windows_file
from trainables.lvm.lsa import Lsa
from trainables.lvm.vector_files import Windows, fingerprint_windows, read_windows

HELD_OUT = 0.1  # of the windows, for validation and for test each
SAME_VECTOR = 0.9999  # cosine: what repeats the target is no negative of it
SPLITS = ("train", "valid", "test")
_CHOICES = ("n_windows", "split_seed")


@dataclass(frozen=True)
class Source:
    """A file of windows, and the decoder of its encoder where there is one; the file of one that should be there."""

    windows: Windows
    decoder: Lsa | None
    missing_decoder: str = ""


def read_source(root: Path | None) -> Source:
    """Return the windows of ``root``, those of the default corpus when None, with their decoder.

    Raises:
        DataError: If they cannot be read.
    """
    path = root or default_windows_file()
    beside = decoder_file(path)
    windows = read_windows(path)
    if beside.exists():
        return Source(windows, Lsa.load(beside))
    return Source(windows, None, beside.name if windows.encoder == Lsa.kind else "")


def fingerprint(params: Params, root: Path | None) -> str:
    """Return the hash of the windows and of what is drawn from them, 16 hex digits; reads no default corpus."""
    source = corpus_key() if root is None else fingerprint_windows(root)
    text = " ".join([source, *(f"{name}={params[name]}" for name in _CHOICES)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_dataset(params: Params, root: Path | None) -> Dataset:
    """Return three splits of windows, no document in two of them.

    Each split holds ``context`` float32 ``(n, C, d)``, ``target`` and ``hard`` float32 ``(n, d)``, ``has_hard`` bool
    ``(n,)`` and ``document`` int64 ``(n,)``. Constants: ``mean``, ``std`` and ``unit_std`` ``(d,)`` of the training
    targets, the last one of unit vectors; of the validation split, where the file has texts, ``context_texts``
    ``(n, C)`` and ``concept_texts`` ``(n,)``; and the decoder's ``components (d, V)``, ``idf (V,)`` and
    ``vocabulary (V,)``, where there is one; ``missing_decoder``, the name of its file where that should be but is
    not. Baselines are those of `trainables.lvm.baselines`.

    Args:
        params: ``n_windows`` and ``split_seed``.
        root: A file of windows, NPZ or Parquet; None for the default corpus.

    Raises:
        DataError: If it cannot be read, or has fewer than three documents.
    """
    from trainables.lvm.baselines import baselines  # loads torch, which planning does not

    source = read_source(root)
    windows = source.windows
    rng = np.random.default_rng(int(params["split_seed"]))
    rows = split_rows(same_content(windows), int(params["n_windows"]), rng)
    splits = {name: as_split(windows, rows[name], rng) for name in SPLITS}
    constants = statistics(splits["train"]["target"]) | texts(windows, rows["valid"])
    if source.decoder is not None:
        constants |= source.decoder.arrays()
    if source.missing_decoder:
        constants["missing_decoder"] = np.array(source.missing_decoder)
    return Dataset(
        **splits,
        fingerprint=fingerprint(params, root),
        baselines=baselines(splits, constants["mean"], source.decoder),
        constants=constants,
    )


def split_rows(documents: Array, n_windows: int, rng: np.random.Generator) -> dict[str, Array]:
    """Return the rows of the three splits: whole documents in random order, up to ``n_windows`` windows, all when 0.

    Raises:
        DataError: If there are fewer than three documents.
    """
    names, group, sizes = np.unique(documents, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    reached = np.cumsum(sizes[order])
    kept = order[: len(order) if not n_windows else 1 + int(np.searchsorted(reached, n_windows))]
    if len(kept) < len(SPLITS):
        raise DataError(
            f"The windows come from {len(kept)} document(s); the split by document needs {len(SPLITS)} or more. "
            "Add documents, or raise n_windows."
        )
    share = np.cumsum(sizes[kept]) / sizes[kept].sum()
    place = np.searchsorted((HELD_OUT, 2 * HELD_OUT), share, side="left")  # 0 valid, 1 test, 2 train
    place[:2], place[-1] = (0, 1), 2  # no split is empty, however large the first documents are
    of_document = np.full(len(names), -1)
    of_document[kept] = place
    where = of_document[group]
    return {name: np.flatnonzero(where == index) for index, name in enumerate(("valid", "test", "train"))}


def same_content(windows: Windows) -> Array:
    """Return the document of every window, ``(N,)``; those with the same vectors are one, so no split parts them."""
    document = windows.doc_ids.copy()
    first: dict[bytes, int] = {}
    for name, rows in rows_of(windows.doc_ids).items():
        document[rows] = first.setdefault(
            content(windows.context_sequences[rows], windows.target_vectors[rows]), name
        )
    return document


def rows_of(documents: Array) -> dict[int, Array]:
    """Return the rows of every document, in order, by its id."""
    names, starts = np.unique(documents[order := np.argsort(documents, kind="stable")], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


def content(context: Array, target: Array) -> bytes:
    """Return a hash of the windows of one document, contexts ``(n, C, d)`` and targets ``(n, d)``."""
    return hashlib.sha256(
        np.ascontiguousarray(context).tobytes() + np.ascontiguousarray(target).tobytes()
    ).digest()


def as_split(windows: Windows, rows: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Return the arrays of one split, a hard negative drawn for every window."""
    target, document = windows.target_vectors[rows], windows.doc_ids[rows]
    hard, has_hard = hard_negatives(target, document, rng)
    return {
        "context": windows.context_sequences[rows],
        "target": target,
        "hard": hard,
        "has_hard": has_hard,
        "document": document,
    }


def hard_negatives(target: Array, document: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return another target of each window's own document, ``(n, d)``, and which windows have one, bool ``(n,)``.

    What repeats the window's own target is no negative; rows without a real one are zero.
    """
    unit = target / np.linalg.norm(target, axis=1, keepdims=True)
    hard, found = np.zeros_like(target), np.zeros(len(target), dtype=bool)
    for name in np.unique(document):
        rows = np.flatnonzero(document == name)
        other = unit[rows] @ unit[rows].T < SAME_VECTOR
        for row, differs in zip(rows, other, strict=True):
            if differs.any():
                hard[row], found[row] = target[rng.choice(rows[differs])], True
    return hard, found


def statistics(target: Array) -> dict[str, Array]:
    """Return mean and spread of training targets ``(n, d)``, and the spread of the unit ones, ``(d,)`` each."""
    unit = target / np.linalg.norm(target, axis=1, keepdims=True)
    return {"mean": target.mean(axis=0), "std": target.std(axis=0), "unit_std": unit.std(axis=0)}


def texts(windows: Windows, rows: Array) -> dict[str, Array]:
    """Return the texts of some windows by name, nothing where the file has none."""
    known: Mapping[str, Array | None] = {
        "context_texts": windows.context_texts,
        "concept_texts": windows.concept_texts,
    }
    return {name: array[rows] for name, array in known.items() if array is not None}


def documents_of(split: Split) -> int:
    """Return how many documents a split has."""
    return len(np.unique(split["document"]))
