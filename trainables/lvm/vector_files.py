"""The window file: consecutive sentence vectors of a document, the vector that follows, and whose they are.

The same arrays under the same names as NPZ or as Parquet. Every file that enters or leaves passes `checked`, so
the code behind it meets float32, no NaN, no vector without a direction, and windows that stand by document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.dataset import Array, DataError
from trainables.files import file_fingerprint, partial_file
from trainables.lvm.untrusted_files import MOST_GIB, read_npz, read_parquet

SUFFIXES = (".npz", ".parquet")
REQUIRED = ("context_sequences", "target_vectors", "doc_ids")
TEXTS = ("concept_texts", "context_texts")


@dataclass(frozen=True)
class Windows:
    """N windows of C consecutive vectors and the vector that follows; a document's windows stand together.

    Args:
        context_sequences: float32 ``(N, C, d)``, raw: not normalised.
        target_vectors: float32 ``(N, d)``.
        doc_ids: Document of each window, int64 ``(N,)``.
        concept_texts: Text of each target, str ``(N,)``; None when the file has none.
        context_texts: Texts of the context, str ``(N, C)``; None when the file has none.
        encoder: Name of what made the vectors, empty when unknown.
    """

    context_sequences: Array
    target_vectors: Array
    doc_ids: Array
    concept_texts: Array | None = None
    context_texts: Array | None = None
    encoder: str = ""

    def __len__(self) -> int:
        return len(self.target_vectors)

    @property
    def n_documents(self) -> int:
        """Number of documents that have windows."""
        return len(np.unique(self.doc_ids))

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that are there by their names in a file, without the encoder."""
        named = {name: getattr(self, name) for name in (*REQUIRED, *TEXTS)}
        return {name: array for name, array in named.items() if array is not None}


def read_windows(path: Path, most_gib: float = MOST_GIB) -> Windows:
    """Return the windows of a ``.npz`` or ``.parquet`` file.

    Args:
        path: With the arrays of `Windows` under their names. NPZ may have the encoder's name as a string
            ``encoder``, Parquet has it in the schema's metadata. Floats of 2 and 8 bytes are cast.
        most_gib: Most memory that the arrays may take in GiB; beyond, the file is refused before it is unpacked.

    Raises:
        DataError: If the file cannot be read, holds pickled objects, promises too much, or breaks a rule of
            `checked`.
    """
    require_suffix(path)
    if path.suffix == ".parquet":
        arrays, encoder = read_parquet(path, (*REQUIRED, *TEXTS), most_gib)
        return checked(str(path), arrays, encoder)
    arrays = read_npz(path, (*REQUIRED, *TEXTS, "encoder"), most_gib)
    named = arrays.pop("encoder", np.array(""))
    if named.shape or named.dtype.kind != "U":
        raise DataError(
            f"{path}: encoder is {named.dtype}{list(named.shape)}, expected one string. Leave it out."
        )
    return checked(str(path), arrays, str(named))


def write_windows(windows: Windows, path: Path) -> None:
    """Write windows to a ``.npz`` or ``.parquet`` file, whole or not at all; an older file is replaced.

    Args:
        windows: Valid windows.
        path: Where to write; missing folders are made. The same windows give the same bytes.

    Raises:
        DataError: If the windows break a rule of `checked`, or the place cannot be written to.
    """
    require_suffix(path)
    arrays = checked(str(path), windows.arrays(), windows.encoder).arrays()
    with partial_file(path) as partial:
        if path.suffix == ".parquet":
            _write_parquet(arrays, windows.encoder, partial)
        else:
            _write_npz(arrays, windows.encoder, partial)


def fingerprint_windows(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of the file's bytes.

    Raises:
        DataError: If the file cannot be read.
    """
    return file_fingerprint(path)


def require_suffix(path: Path) -> None:
    """Raise `DataError` unless ``path`` names an NPZ or a Parquet file."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}, expected .npz or .parquet. Rename it.")


def checked(source: str, arrays: Mapping[str, Array], encoder: str = "") -> Windows:
    """Return the windows of arrays in their types, or raise `DataError`.

    That windows do not cross documents cannot be seen in vectors. What can be seen is checked: every window has a
    document, and each document's windows stand together, as they do when documents are cut one after another.

    Args:
        source: What an error message calls them, usually a path.
        arrays: By the names of `Windows`; floats of any width, whole numbers, strings.
        encoder: Name of what made the vectors.

    Raises:
        DataError: If an array is missing, has a wrong type or shape, there is no window, a value is not finite, a
            target or a last vector of a context has no length, or a document's windows stand apart.
    """
    _check_present(source, arrays)
    _check_shapes(source, arrays)
    context, target = (_floats(source, name, arrays[name]) for name in REQUIRED[:2])
    doc_ids = _typed(source, "doc_ids", arrays["doc_ids"], "iu", "whole numbers").astype(np.int64)
    for name, vectors in (("target_vectors", target), ("the last of context_sequences", context[:, -1])):
        _check_lengths(source, name, vectors)
    _check_documents(source, doc_ids)
    texts = {name: _strings(source, name, arrays[name]) for name in TEXTS if name in arrays}
    return Windows(context, target, doc_ids, **texts, encoder=encoder)


def _check_present(source: str, arrays: Mapping[str, Array]) -> None:
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise DataError(
            f"{source} has no {', '.join(missing)}; of what is needed it has {', '.join(arrays) or 'nothing'}. "
            f"Name its arrays {', '.join(REQUIRED)}."
        )


def _check_shapes(source: str, arrays: Mapping[str, Array]) -> None:
    shape = arrays["context_sequences"].shape
    if len(shape) != 3 or 0 in shape:
        raise DataError(
            f"{source}: context_sequences has shape {shape}, expected (N, C, d) with at least one window of one "
            "vector. Reshape it, or extract from more text."
        )
    n, length, dim = shape
    expected = {
        "target_vectors": (n, dim),
        "doc_ids": (n,),
        "concept_texts": (n,),
        "context_texts": (n, length),
    }
    for name, wanted in expected.items():
        if name in arrays and arrays[name].shape != wanted:
            raise DataError(
                f"{source}: {name} has shape {arrays[name].shape}, expected {wanted} to go with "
                f"context_sequences {shape}. Write both from the same windows."
            )


def _typed(source: str, name: str, array: Array, kinds: str, meaning: str) -> Array:
    if array.dtype.kind not in kinds:
        raise DataError(
            f"{source}: {name} is of type {array.dtype}, expected {meaning}. Cast it before saving."
        )
    return array


def _floats(source: str, name: str, array: Array) -> Array:
    """Return floats of any width as finite float32."""
    _typed(source, name, array, "f", "floats, best float32")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        floats = np.ascontiguousarray(array, dtype=np.float32)
    bad = ~np.isfinite(floats.reshape(len(floats), -1)).all(axis=1)
    if bad.any():
        raise DataError(
            f"{source}: {name} has values that are not finite in float32 in {int(bad.sum())} of {len(floats)} rows, "
            f"first in row {int(bad.argmax())}. Drop those windows."
        )
    return floats


def _strings(source: str, name: str, array: Array) -> Array:
    """Return strings whose every character is one."""
    _typed(source, name, array, "U", "strings, such as <U160")
    texts = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    codes = texts.reshape(-1).view(np.uint32)
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any():
        raise DataError(
            f"{source}: {name} has codes that are no characters. Leave it out, or write it again."
        )
    return texts


def _check_lengths(source: str, name: str, vectors: Array) -> None:
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(vectors, axis=1)
    bad = ~((norms > 0) & np.isfinite(norms))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{source}: {name} has {int(bad.sum())} of {len(bad)} rows of norm zero or beyond float32, first row {row} "
            f"of norm {norms[row]:g}. They have no cosine; drop those windows."
        )


def _check_documents(source: str, doc_ids: Array) -> None:
    starts = np.flatnonzero(np.diff(doc_ids, prepend=doc_ids[0] - 1))
    names, first = np.unique(doc_ids[starts], return_index=True)
    if len(names) < len(starts):
        again = int(np.setdiff1d(np.arange(len(starts)), first)[0])
        raise DataError(
            f"{source}: the windows of document {doc_ids[starts[again]]} stand apart, again from row {starts[again]}. "
            "Sort the windows by document."
        )


def _write_npz(arrays: Mapping[str, Any], encoder: str, path: Path) -> None:
    with path.open("wb") as stream:  # given a path, NumPy would add a suffix
        np.savez_compressed(stream, **arrays, encoder=np.array(encoder))


def _write_parquet(arrays: Mapping[str, Array], encoder: str, path: Path) -> None:
    table = pa.table({name: _as_column(array) for name, array in arrays.items()})
    # Windows overlap: their texts are few and repeat, and so do their vectors, byte by byte.
    pq.write_table(
        table.replace_schema_metadata({"encoder": encoder}),
        path,
        compression="zstd",
        use_dictionary=["concept_texts", "context_texts.list.element"],
        use_byte_stream_split=["context_sequences.list.element.list.element", "target_vectors.list.element"],
        write_page_checksum=True,  # a flipped bit in a float is still a float
    )


def _as_column(array: Array) -> Any:
    column = pa.array(array.reshape(-1))
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column
