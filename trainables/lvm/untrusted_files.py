"""Arrays of NPZ and Parquet files that nobody vouches for: nothing is unpickled, and memory is bounded first.

What a file's own directory promises is added up and compared with a limit before anything is decompressed;
an array whose header promises something else than the directory is refused. Of a file only the arrays that
are asked for are looked at. Every fault of a file is a `DataError` that names it.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from search_spaces.errors import first_line
from trainables.dataset import Array, DataError

MOST_GIB = 8
"""Most memory in GiB that the arrays of one file may take; some twenty times a large file of windows."""
_GIB = 2**30
_BYTES_PER_CHARACTER = 4  # in NumPy's fixed-width strings
_MOST_BYTES_PER_VALUE = 8  # of a number, or of a place in a dictionary of texts


def read_npz(path: Path, names: Sequence[str], most_gib: float = MOST_GIB) -> dict[str, Array]:
    """Return those arrays of an NPZ file that are named and there.

    Args:
        path: The file, of which no other array is touched.
        names: Keys without ``.npy``.
        most_gib: Most memory of the named arrays together, in GiB.

    Raises:
        DataError: If the file is no zip, is truncated or damaged, promises more than ``most_gib``, contradicts
            itself, or an array holds Python objects, which are not unpickled.
    """
    with _told_of(path, "NPZ"), zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.removesuffix(".npy") in names]
        if len({info.filename for info in members}) < len(members):
            raise DataError(f"{path} has an array of the same name twice. Write it again with numpy.savez.")
        refuse_above(path, sum(info.file_size for info in members), most_gib)
        for info in members:
            with archive.open(info) as stream:
                _check_header(f"{path}: {info.filename}", stream, info.file_size)
        found = {}
        for info in members:
            with archive.open(info) as stream:
                found[info.filename.removesuffix(".npy")] = np.lib.format.read_array(
                    stream, allow_pickle=False
                )
        return found


def read_parquet(
    path: Path, names: Sequence[str], most_gib: float = MOST_GIB
) -> tuple[dict[str, Array], str]:
    """Return those columns of a Parquet file that are named and there, and the encoder that its schema names.

    Args:
        path: The file. Lists of equal length, nested or not, become further axes.
        names: Columns.
        most_gib: Most memory of the named columns together, in GiB.

    Returns:
        Arrays whose first axis is the row; and the schema's metadata ``encoder``, empty when it has none.

    Raises:
        DataError: If the file is no Parquet, is truncated or damaged, promises more than ``most_gib``, or a
            column holds nulls or lists of unequal length.
    """
    with _told_of(path, "Parquet"), path.open("rb") as stream:
        file = pq.ParquetFile(stream, page_checksum_verification=True)
        present = [name for name in names if name in file.schema_arrow.names]
        texts = _check_promised(path, file, present, most_gib)
        # Texts stay places in a dictionary until it is known how much they are when written out.
        file = pq.ParquetFile(stream, page_checksum_verification=True, read_dictionary=texts)
        # One group at a time: each has a dictionary of its own, and Arrow joins none inside of lists.
        groups = [file.read_row_group(place, columns=present) for place in range(file.num_row_groups)]
        groups = groups or [file.read(columns=present)]
        encoder = (file.schema_arrow.metadata or {}).get(b"encoder", b"").decode()
        columns = {name: [group[name].combine_chunks() for group in groups] for name in present}
        return {name: _stacked(path, name, columns[name], most_gib) for name in present}, encoder


def refuse_above(path: Path, n_bytes: int, most_gib: float) -> None:
    """Raise `DataError` when ``path`` promises more bytes than ``most_gib`` GiB."""
    if n_bytes > most_gib * _GIB:
        raise DataError(
            f"{path} promises arrays of {n_bytes / _GIB:.3g} GiB, above the {most_gib:g} GiB that are read. "
            "Do not trust it if it is small; split it into several files, or raise most_gib, if it is yours."
        )


@contextmanager
def _told_of(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a reader raise into a `DataError` that names the file."""
    if not path.is_file():
        raise DataError(f"{path} is not a file. Make one with `sweeps data extract lvm --out {path.name}`.")
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # whatever parsers of forged bytes can raise: the way out is the same
        raise DataError(
            f"{path} is not a readable {kind} file: {first_line(error)}. It may be truncated or damaged; "
            "copy it again, or make it again with `sweeps data extract lvm`."
        ) from error


def _check_header(place: str, stream: IO[bytes], stored: int) -> None:
    """Raise `DataError` unless an array's header promises plain values of just the bytes that are stored."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(
            f"{place} has version {version}, expected (1, 0) or (2, 0). Write it with numpy.savez."
        )
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject or not dtype.itemsize:
        raise DataError(
            f"{place} holds values of type {dtype}, expected numbers or strings. Objects are pickles, and reading "
            "one can run any code; save arrays of float32, int64 or str."
        )
    promised = stream.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or promised != stored:
        raise DataError(
            f"{place} promises {dtype}{list(shape)}, {promised} bytes, but {stored} are stored. "
            "It is damaged or forged; write it again with numpy.savez."
        )


def _check_promised(path: Path, file: Any, names: Sequence[str], most_gib: float) -> list[str]:
    """Raise `DataError` when a Parquet file's columns take too much memory; return the paths of those of texts.

    Every page is scanned first, value by value and kept nowhere: Arrow answers questions about a damaged footer by
    ending the process, and only readers of pages find the damage in a way that can be caught.
    """
    file.scan_contents(columns=names)
    leaves = [file.metadata.schema.column(place) for place in range(file.metadata.num_columns)]
    chosen = [place for place, leaf in enumerate(leaves) if leaf.path.split(".")[0] in names]
    n_bytes = 0
    for group in (file.metadata.row_group(place) for place in range(file.num_row_groups)):
        for place in chosen:
            width = max(_MOST_BYTES_PER_VALUE, leaves[place].length)
            n_bytes += max(
                width * group.column(place).num_values, group.column(place).total_uncompressed_size
            )
    refuse_above(path, n_bytes, most_gib)
    return [leaves[place].path for place in chosen if leaves[place].physical_type == "BYTE_ARRAY"]


def _stacked(path: Path, name: str, parts: Sequence[Any], most_gib: float) -> Array:
    """Return the parts of a column as one array, with an axis for the rows and one for each level of lists."""
    flat, shapes = zip(*(_flattened(path, name, part) for part in parts), strict=True)
    if len(set(shapes)) > 1:
        raise _uneven(path, name)
    if pt.is_dictionary(flat[0].type):
        longest = max(pc.max(pc.utf8_length(values.dictionary)).as_py() or 1 for values in flat)
        refuse_above(path, _BYTES_PER_CHARACTER * longest * sum(map(len, flat)), most_gib)
    joined = np.concatenate([_as_numpy(values) for values in flat])
    return joined.reshape(sum(map(len, parts)), *shapes[0])


def _flattened(path: Path, name: str, values: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the innermost values of lists in lists, and the lengths of the lists from the outermost on."""
    shape: tuple[int, ...] = ()
    while pt.is_list(values.type) or pt.is_large_list(values.type) or pt.is_fixed_size_list(values.type):
        lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        if values.null_count or (lengths != lengths[:1]).any():
            raise _uneven(path, name)
        shape += (int(lengths[0]) if len(lengths) else 0,)
        values = values.flatten()
    if values.null_count:
        raise DataError(f"{path}: column {name} holds null. Every value must be known; drop those windows.")
    return values, shape


def _as_numpy(values: Any) -> Array:
    if not pt.is_dictionary(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False))
    words = np.array(values.dictionary.to_pylist() or [""], dtype=str)
    return np.asarray(words[values.indices.to_numpy()])


def _uneven(path: Path, name: str) -> DataError:
    return DataError(
        f"{path}: column {name} has nulls or lists of unequal length. All windows are equally long."
    )
