"""Window files: what is written is read, and what is broken, forged or hostile is refused with the way out."""

import io
import os
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.dataset import DataError
from trainables.lvm.vector_files import Windows, fingerprint_windows, read_windows, write_windows

SUFFIXES = [".npz", ".parquet"]


def made(n=12, length=5, dim=4, **changed):
    random = np.random.default_rng(0)
    windows = Windows(
        context_sequences=random.normal(size=(n, length, dim)).astype(np.float32),
        target_vectors=random.normal(size=(n, dim)).astype(np.float32),
        doc_ids=np.arange(n, dtype=np.int64) // 5,
        concept_texts=np.array([f"sentence {row} é" for row in range(n)]),
        context_texts=np.array([[f"before {row} {place}" for place in range(length)] for row in range(n)]),
        encoder="lsa",
    )
    return replace(windows, **changed)


def arrays(**changed):
    return {name: array for name, array in (made().arrays() | changed).items() if array is not None}


@pytest.fixture
def npz(tmp_path):
    def write(**changed):
        np.savez(tmp_path / "windows.npz", **arrays(**changed))
        return tmp_path / "windows.npz"

    return write


@pytest.fixture
def parquet(tmp_path):
    def write(drop=(), row_group_size=None, **columns):
        table = {name: array.tolist() for name, array in arrays().items() if name not in drop} | columns
        pq.write_table(pa.table(table), tmp_path / "windows.parquet", row_group_size=row_group_size)
        return tmp_path / "windows.parquet"

    return write


def rows(name, row, value):
    """Return an array of `made` in which one row is replaced."""
    array = made().arrays()[name].copy()
    array[row] = value
    return array


def npy(array_header, content=b""):
    """Return the bytes of an array file with a header of one's own."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, array_header)
    return stream.getvalue() + content


def write_members(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


# --- what is written is read


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("changed", [{}, {"concept_texts": None, "context_texts": None, "encoder": ""}])
def test_windows_come_back_as_they_were_written(tmp_path, suffix, length, changed):
    windows, path = made(length=length, **changed), tmp_path / "new" / f"windows{suffix}"
    write_windows(windows, path)
    found = read_windows(path)
    assert found.encoder == windows.encoder
    assert found.arrays().keys() == windows.arrays().keys()
    for name, array in windows.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array, strict=True)
    assert (len(found), found.n_documents) == (12, 3)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_windows_give_the_same_fingerprint_and_others_another(tmp_path, suffix):
    first, second, other = (tmp_path / f"{name}{suffix}" for name in "abc")
    write_windows(made(), first)
    write_windows(made(), second)
    write_windows(made(encoder="another"), other)
    assert len(fingerprint_windows(first)) == 16
    assert fingerprint_windows(first) == fingerprint_windows(second) != fingerprint_windows(other)
    with pytest.raises(
        DataError, match=r"gone.npz cannot be read: No such file or directory. Check the path"
    ):
        fingerprint_windows(tmp_path / "gone.npz")


@pytest.mark.parametrize("dtype", ["<f2", "<f8", ">f4"])
def test_floats_of_another_width_or_order_become_float32(npz, dtype):
    stored = made().target_vectors.astype(dtype)
    found = read_windows(npz(target_vectors=stored)).target_vectors
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, stored.astype(np.float32))


def test_what_else_a_file_holds_is_neither_read_nor_refused(npz):
    objects = np.array([{"a": 1}], dtype=object)
    assert len(read_windows(npz(further=objects))) == 12


def test_parquet_of_plain_lists_in_several_row_groups_is_read(parquet):
    found = read_windows(parquet(row_group_size=5))
    for name, array in made().arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
    assert found.encoder == ""


# --- what is broken


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"doc_ids": None}, r"windows.npz has no doc_ids; of what is needed it has .* Name its arrays"),
        (
            {"target_vectors": np.ones((12, 4), dtype=int)},
            r"target_vectors is of type int64, expected floats, best float32. Cast it",
        ),
        ({"target_vectors": np.full((12, 4), "a")}, r"target_vectors is of type <U1, expected floats"),
        ({"doc_ids": np.zeros(12)}, r"doc_ids is of type float64, expected whole numbers. Cast it"),
        ({"concept_texts": np.zeros(12)}, r"concept_texts is of type float64, expected strings, such as"),
        (
            {"context_sequences": made().target_vectors},
            r"context_sequences has shape \(12, 4\), expected \(N, C, d\) with at least one window",
        ),
        (
            {"context_sequences": np.ones((0, 5, 4)), "target_vectors": np.ones((0, 4))},
            r"context_sequences has shape \(0, 5, 4\), expected .* extract from more text",
        ),
        (
            {"target_vectors": np.ones((11, 4))},
            r"target_vectors has shape \(11, 4\), expected \(12, 4\) to go with context_sequences \(12, 5, 4\)",
        ),
        ({"doc_ids": np.zeros(11, dtype=int)}, r"doc_ids has shape \(11,\), expected \(12,\) to go with"),
        ({"concept_texts": np.full(3, "a")}, r"concept_texts has shape \(3,\), expected \(12,\)"),
        ({"context_texts": np.full((12, 4), "a")}, r"context_texts has shape \(12, 4\), expected \(12, 5\)"),
        (
            {"target_vectors": rows("target_vectors", 7, np.nan)},
            r"target_vectors has values that are not finite in float32 in 1 of 12 rows, first in row 7. Drop",
        ),
        (
            {"context_sequences": made().context_sequences.astype(float) * 1e40},
            r"context_sequences has values that are not finite in float32 in 12 of 12 rows, first in row 0",
        ),
        (
            {"target_vectors": rows("target_vectors", [3, 5], 0)},
            r"target_vectors has 2 of 12 rows of norm zero or beyond float32, first row 3 of norm 0. They have",
        ),
        (
            {"target_vectors": rows("target_vectors", 2, 3e38)},
            r"has 1 of 12 rows of norm zero or beyond float32, first row 2 of norm inf",
        ),
        (
            {"context_sequences": rows("context_sequences", 4, 0)},
            r"the last of context_sequences has 1 of 12 rows of norm zero or beyond float32, first row 4",
        ),
        (
            {"doc_ids": np.array([3, 3, 1, 1, 3, 3, 2, 2, 2, 2, 2, 2])},
            r"the windows of document 3 stand apart, again from row 4. Sort the windows by document",
        ),
        ({"encoder": np.array(["a", "b"])}, r"encoder is <U1\[2\], expected one string. Leave it out"),
        (
            {"concept_texts": np.full(12, 0xD800, dtype=np.uint32).view("<U1")},
            r"concept_texts has codes that are no characters. Leave it out",
        ),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_with_the_way_out(npz, changed, message):
    with pytest.raises(DataError, match=message):
        read_windows(npz(**changed))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": ["target_vectors"]}, r"windows.parquet has no target_vectors; of what is needed it has"),
        ({"doc_ids": ["a"] * 12}, r"doc_ids is of type <U1, expected whole numbers"),
        ({"doc_ids": [None, *range(11)]}, r"column doc_ids holds null. Every value must be known; drop"),
        (
            {"target_vectors": [[1.0]] * 11 + [[1.0, 2.0]]},
            r"column target_vectors has nulls or lists of unequal length. All windows are equally long",
        ),
        (
            {"target_vectors": [[1.0]] * 6 + [[1.0, 2.0]] * 6, "row_group_size": 6},
            r"column target_vectors has nulls or lists of unequal length",
        ),
        ({"target_vectors": [[1.0]] * 11 + [None]}, r"column target_vectors has nulls or lists of unequal"),
        ({"target_vectors": [[1.0] * 4] * 11 + [[0.0] * 4]}, r"target_vectors has 1 of 12 rows of norm zero"),
    ],
)
def test_a_parquet_file_that_breaks_a_rule_is_refused_with_the_way_out(parquet, options, message):
    with pytest.raises(DataError, match=message):
        read_windows(parquet(**options))


def test_windows_that_break_a_rule_are_not_written(tmp_path):
    with pytest.raises(DataError, match=r"doc_ids has shape \(3,\), expected \(12,\)"):
        write_windows(made(doc_ids=np.zeros(3, dtype=int)), tmp_path / "windows.npz")
    with pytest.raises(DataError, match=r"windows.csv ends in .csv, expected .npz or .parquet. Rename it"):
        write_windows(made(), tmp_path / "windows.csv")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"windows.npz cannot be written: .* Give a path in a folder"):
        write_windows(made(), tmp_path / "file" / "windows.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_missing_of_another_kind_or_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"windows{suffix}"
    with pytest.raises(
        DataError, match=r"is not a file. Make one with `sweeps data extract lvm --out windows"
    ):
        read_windows(path)
    write_windows(made(), path)
    whole = path.read_bytes()
    message = rf"windows{suffix} is not a readable \w+ file: .* It may be truncated or damaged; copy it again"
    for content in (b"", b"not an archive", whole[:-1], whole[: len(whole) // 2], whole[10:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_windows(path)
    with pytest.raises(DataError, match=r"windows.txt ends in .txt, expected .npz or .parquet"):
        read_windows(tmp_path / "windows.txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flipped_bit_in_a_vector_is_found(tmp_path, suffix):
    path = tmp_path / f"windows{suffix}"
    write_windows(made(n=200, dim=32), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not a readable \w+ file: .*(CRC|page integrity|decompress)"):
        read_windows(path)


# --- what is hostile


class Planted:
    """Unpickled, it would create the file ``planted``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["doc_ids", "concept_texts", "encoder"])
def test_a_pickled_object_is_refused_and_not_unpickled(npz, tmp_path, name):
    planted = tmp_path / "planted"
    objects = np.full(12, None, dtype=object)
    objects[0] = Planted(planted)
    path = npz(**{name: objects})
    message = (
        rf"{name}.npy holds values of type object, expected numbers or strings. Objects are pickles, and"
    )
    with pytest.raises(DataError, match=message):
        read_windows(path)
    assert not planted.exists()
    pickle.loads(pickle.dumps(objects))
    assert planted.exists(), "the trap works: unpickling would have sprung it"


def test_a_pickle_under_the_name_of_an_archive_is_not_unpickled(tmp_path):
    planted, path = tmp_path / "planted", tmp_path / "windows.npz"
    path.write_bytes(pickle.dumps(Planted(planted)))
    with pytest.raises(DataError, match=r"windows.npz is not a readable NPZ file: .*not a zip file"):
        read_windows(path)
    assert not planted.exists()


def test_zeros_that_unpack_to_more_than_is_allowed_are_refused_by_the_directory_alone(tmp_path):
    path = tmp_path / "windows.npz"
    np.savez_compressed(path, **arrays(target_vectors=np.zeros((2**20, 4), dtype=np.float32)))
    assert path.stat().st_size < 40_000
    message = r"windows.npz promises arrays of 0.0156 GiB, above the 0.01 GiB that are read. Do not trust it"
    with pytest.raises(DataError, match=message):
        read_windows(path, most_gib=0.01)
    with pytest.raises(DataError, match=r"target_vectors has shape \(1048576, 4\)"):
        read_windows(path)


def test_a_header_that_promises_a_huge_array_is_refused_before_memory_is_taken(tmp_path):
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 5, 256)}
    path = tmp_path / "windows.npz"
    write_members(path, {"context_sequences": npy(header), "target_vectors": b"", "doc_ids": b""})
    message = r"context_sequences.npy promises float32\[1099511627776, 5, 256\], \d+ bytes, but 128 are stored. It is"
    with pytest.raises(DataError, match=message):
        read_windows(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"descr": "<U0", "shape": (2**40,)}, r"holds values of type <U0, expected numbers or strings"),
        (
            {"descr": "<i8", "shape": (-1, -2)},
            r"promises int64\[-1, -2\], 144 bytes, but 144 are stored. It is",
        ),
        ({"descr": "<i8,,4", "shape": (2,)}, r"is not a readable NPZ file: .* make it again"),
        (
            {"descr": "<i8", "shape": (3,)},
            r"promises int64\[3\], 152 bytes, but 144 are stored. It is damaged",
        ),
    ],
)
def test_a_forged_header_is_refused(tmp_path, header, message):
    path = tmp_path / "windows.npz"
    write_members(path, {"doc_ids": npy({"fortran_order": False, **header}, bytes(16))})
    with pytest.raises(DataError, match=message):
        read_windows(path)


def test_an_array_that_stands_twice_is_refused(npz):
    path = npz()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("doc_ids.npy", b"")
    with pytest.raises(DataError, match=r"has an array of the same name twice. Write it again with"):
        read_windows(path)


def test_one_long_text_repeated_in_parquet_is_refused_before_it_is_written_out(tmp_path):
    path = tmp_path / "windows.parquet"
    texts = pa.DictionaryArray.from_arrays(np.zeros(2000, dtype=np.int32), ["x" * 5_000_000])
    pq.write_table(pa.table({"concept_texts": texts}), path)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match=r"windows.parquet promises arrays of 37.3 GiB, above the 8 GiB"):
        read_windows(path)
