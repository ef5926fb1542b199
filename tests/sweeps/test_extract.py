"""``sweeps data extract lvm``: texts to windows on the command line, refused in one line when it cannot be."""

import pytest

from tests.sweeps.conftest import sweeps
from trainables.lvm.lsa import Lsa
from trainables.lvm.vector_files import read_windows

COLOURS = ("red", "green", "blue", "white")
PLACES = {"first.txt": "near", "second.md": "behind"}


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, place in PLACES.items():
        sentences = [f"The {a} house stands {place} the {b} hill." for a in COLOURS for b in COLOURS]
        (folder / name).write_text("\n\n".join(sentences))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("out", "decoder"), [("w.npz", "w.lsa.npz"), ("w.parquet", "w.parquet.lsa.npz")])
def test_a_folder_of_texts_becomes_windows_with_their_decoder(texts, tmp_path, out, decoder):
    result = sweeps("data", "extract", "lvm", "--texts", texts, "--out", out, cwd=tmp_path)
    windows = read_windows(tmp_path / out)
    dim = windows.target_vectors.shape[1]
    assert f"22 windows of 2 documents in {out}: d = {dim}, encoder lsa, " in result.stdout
    assert f"Its decoder is {decoder}; keep both together." in result.stdout
    assert (len(windows), windows.n_documents, windows.context_sequences.shape[1]) == (22, 2, 5)
    said = Lsa.load(tmp_path / decoder).decode(windows.target_vectors)
    assert all("house" in words for words in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "w.csv"], "w.csv ends in .csv, expected .npz or .parquet. Rename it."),
        (["--out", "w.npz", "--encoder", "lsi"], "Unknown encoder 'lsi'. Did you mean 'lsa'?"),
        (["--out", "w.npz", "--texts", "gone"], "gone does not exist. Give a folder of .txt, .md or .rst"),
        (["--out", "file/w.npz"], "file/w.npz cannot be written: "),
    ],
)
def test_what_cannot_be_extracted_is_refused_in_one_line(tmp_path, arguments, message):
    (tmp_path / "file").touch()
    result = sweeps("data", "extract", "lvm", *arguments, cwd=tmp_path, check=False)
    assert result.returncode == 2, result.stdout + result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
