"""Sentences and documents from texts, and the default corpus that needs none."""

import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeps.commands import run_cli
from trainables.dataset import DataError
from trainables.lvm import extract as extraction
from trainables.lvm.corpus import PACKAGES, corpus_key, default_corpus, docstring_sentences, prose_sections
from trainables.lvm.extract import decoder_file, default_windows_file
from trainables.lvm.lsa import Lsa
from trainables.lvm.texts import Document, distinct, read_documents, split_sentences
from trainables.lvm.vector_files import read_windows


def all_sentences(documents):
    return [sentence for document in documents for sentence in document.sentences]


@pytest.fixture(scope="module")
def corpus():
    return default_corpus()


# --- sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three four. Five six seven eight!", ["One two three four.", "Five six seven eight!"]),
        ("It is\n  spread over\tlines. No.", ["It is spread over lines."]),
        ("See e.g. Smith et al. The end is near here.", ["See e.g. Smith et al. The end is near here."]),
        ("J. R. Tolkien wrote it down. (He did so twice.) Then he left us.", 3),
        ("Is this a question? “No”, she said to him. Über allen Gipfeln ist Ruh.", 3),
        ("- the first list item\n- the second list item", ["the first list item", "the second list item"]),
        ("# A heading of five words\nThe text begins right here.", ["The text begins right here."]),
        (
            "Use :func:`numpy.dot` or `~a.b` here [1]_ now.",
            ["Use numpy.dot or a.b here now."],
        ),
        ("Read the [guide](https://x.y/z) before you start.", ["Read the guide before you start."]),
        (
            "Before the code there::\n\n    x = code here it is\n\nAfter the code here.",
            ["Before the code there", "After the code here."],
        ),
        ("```\nthis is fenced code here\n```\nThis is prose after all.", ["This is prose after all."]),
        (
            ">>> this is a doctest\nand this is output\n\nThis is prose after all.",
            ["This is prose after all."],
        ),
        (".. note:: This is a note here.\n.. math::\n\n   this is no prose\n", ["This is a note here."]),
        ("====  ====\none two three    four five six\n====  ====", []),
        ("| a | table | of | words |", []),
        ("x_1 = f(2) + 3 * y[4] ** 5", []),
        ("Too few words.", []),
        ("word " * 81, []),
        ("", []),
    ],
)
def test_a_text_is_split_into_its_sentences(text, sentences):
    found = split_sentences(text)
    assert found == sentences or len(found) == sentences


# --- documents


def test_a_folder_is_read_with_all_in_it_in_the_order_of_its_paths(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("z.txt", "b/a.md", "a.rst", "no.py"):
        (tmp_path / name).write_text(f"This is the text {name[0]}.", encoding="utf-8-sig")
    documents = read_documents(tmp_path)
    assert [document.name for document in documents] == ["a.rst", "b/a.md", "z.txt"]
    assert documents[0].sentences == ("This is the text a.",)


def test_documents_that_repeat_another_word_for_word_are_left_out_and_named():
    named = {"a": ("One.", "Two."), "b": ("Two.",), "copy": ("One.", "Two."), "empty": (), "void": ()}
    kept, repeats = distinct([Document(name, sentences) for name, sentences in named.items()])
    assert [document.name for document in kept] == ["a", "b", "empty", "void"]
    assert repeats == {"copy": "a"}


@pytest.mark.slow
def test_extraction_says_what_it_leaves_out_and_takes_a_shorter_context(tmp_path, capsys):
    sentences = [f"The {word} of number {n} is read here." for n in range(8) for word in ("first", "second")]
    (tmp_path / "texts").mkdir()
    for name in ("a", "b"):
        (tmp_path / "texts" / f"{name}.txt").write_text(" ".join(sentences))
    out = tmp_path / "windows.npz"
    command = [
        "data",
        "extract",
        "lvm",
        "--texts",
        str(tmp_path / "texts"),
        "--out",
        str(out),
        "--context",
        "3",
    ]
    assert run_cli(command) == 0
    said = capsys.readouterr().out
    assert "1 documents repeat another word for word and are left out: b.txt (as a.txt)" in said
    assert read_windows(out).context_sequences.shape[:2] == (13, 3)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_become_documents_with_or_without_ids(tmp_path, suffix):
    path = tmp_path / f"texts{suffix}"
    texts = ["This is the first text.", "This is the second text."]

    def write(rows):
        if suffix == ".jsonl":
            path.write_text("\n".join(map(json.dumps, rows)) + "\n")
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)

    write([{"text": text, "further": 1} for text in texts])
    assert [document.sentences for document in read_documents(path)] == [(text,) for text in texts]
    write([{"text": text, "id": name} for text, name in zip(texts, "ab", strict=True)])
    assert [document.name for document in read_documents(path)] == ["a", "b"]
    write([{"text": text, "id": "same"} for text in texts])
    with pytest.raises(
        DataError, match=r"has the id 'same' twice; windows never cross documents. Join its texts"
    ):
        read_documents(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.jsonl", None, r"gone.jsonl does not exist. Give a folder of .txt, .md or .rst files"),
        ("texts.csv", b"a,b", r"texts.csv is of another kind. Give a folder"),
        ("texts.jsonl", b"\n", r"texts.jsonl holds no text. Give a folder"),
        ("texts.jsonl", b'{"text": "a"}\n{"text"', r"texts.jsonl: line 2 is not JSON: .* Write one object"),
        ("texts.jsonl", b"[" * 100_000, r"texts.jsonl: line 1 is not JSON: .* Write one object per line"),
        ("texts.jsonl", b'{"txt": "a"}', r"line 1 has the text None, expected a string under the key text"),
        ("texts.jsonl", b"[1]", r"line 1 has the text None, expected a string"),
        ("texts.jsonl", b'{"text": "a\\ud800"}', r"line 1 has half a surrogate pair at character 1. Remove"),
        ("texts.jsonl", b'{"text": "\xff"}', r"texts.jsonl is not UTF-8: byte 10 is 0xff. Convert it"),
        ("texts.parquet", b"PAR1", r"texts.parquet is not a readable Parquet file: .* Copy it again"),
    ],
)
def test_texts_that_cannot_be_read_are_refused_with_the_way_out(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_documents(tmp_path / name)


def test_a_folder_without_texts_or_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no text. Give a folder of .txt, .md or .rst files"):
        read_documents(tmp_path)
    (tmp_path / "latin.txt").write_bytes("déjà vu".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"latin.txt is not UTF-8: byte 1 is 0xe9. Convert it, for example with"
    ):
        read_documents(tmp_path)


def test_parquet_without_a_text_or_with_one_unknown_is_refused(tmp_path):
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"body": ["a"]}), path)
    with pytest.raises(DataError, match=r"has the columns body, expected text. Rename one"):
        read_documents(path)
    pq.write_table(pa.table({"text": ["a", None]}), path)
    with pytest.raises(DataError, match=r"texts.parquet: row 1 has the text None, expected a string"):
        read_documents(path)


# --- the default corpus


def test_of_a_docstring_the_lists_and_credits_are_left_out():
    docstring = (
        "Sum it.\n\nIt adds.\n\nParameters\n----------\nx : int\n    One.\n\nNotes\n-----\nFast.\nAuthor: Me"
    )
    assert prose_sections(docstring).split() == ["Sum", "it.", "It", "adds.", "Fast."]


def test_docstrings_come_in_the_order_of_the_source_and_nothing_is_executed(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        '"""The module comes here first."""\nraise SystemExit\nclass A:\n    """The class comes here second."""\n'
        '    def f():\n        """The method comes here third."""\n'
        'async def g():\n    """The function comes here last."""\n'
    )
    last_words = [text.split()[-1] for text in docstring_sentences(source)]
    assert last_words == ["first.", "second.", "third.", "last."]
    source.write_text("def broken(:")
    with pytest.raises(DataError, match=r"module.py cannot be parsed: .* Install its package again"):
        docstring_sentences(source)


def test_the_key_of_the_corpus_is_had_without_reading_it_and_follows_versions(monkeypatch):
    before, started = corpus_key(), time.process_time()
    assert corpus_key() == before
    assert time.process_time() - started < 0.5
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")
    assert corpus_key() != before


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(PACKAGES, "no-such-package", "no_such_package")
    with pytest.raises(DataError, match=r"no-such-package is not installed. Install it: pip install no-such"):
        corpus_key()


@pytest.mark.slow
def test_the_default_corpus_is_large_varied_and_says_nothing_twice(corpus):
    windows = sum(max(0, len(document.sentences) - 5) for document in corpus)
    assert len(corpus) >= 200
    assert 5_000 <= windows <= 9_000
    assert {document.name.split(".")[0] for document in corpus} == set(PACKAGES.values())
    assert not any(".tests." in document.name for document in corpus)
    sentences = all_sentences(corpus)
    assert len(set(sentences)) == len(sentences)


@pytest.mark.slow
def test_the_default_windows_are_made_once_and_whole(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(extraction, "default_corpus", lambda: corpus)
    path = default_windows_file()
    assert path == tmp_path / "counterpoise" / "lvm" / f"{corpus_key()}.npz"
    assert sorted(path.parent.iterdir()) == sorted([path, decoder_file(path)])
    windows, encoder = read_windows(path), Lsa.load(decoder_file(path))
    assert windows.context_sequences.shape[1:] == (5, 256)
    monkeypatch.setattr(extraction, "default_corpus", None)
    assert default_windows_file() == path
    vectors = encoder.encode(all_sentences(corpus))
    known, decoded = encoder.known_words(all_sentences(corpus)), encoder.decode(vectors)
    right = sum(len(words & set(said)) for words, said in zip(known, decoded, strict=True))
    assert right / sum(map(len, known)) > 0.6
    assert right / sum(map(len, decoded)) > 0.85


def test_a_cache_that_cannot_be_written_is_told_with_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    message = (
        r"windows of the default corpus cannot be kept: .* cannot be written: .* Or set XDG_CACHE_HOME to"
    )
    with pytest.raises(DataError, match=message):
        default_windows_file()
