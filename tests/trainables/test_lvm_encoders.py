"""Encoders and their decoders, and the windows that are cut of what they encode."""

import os
import subprocess
import sys

import numpy as np
import pytest

from trainables.dataset import DataError
from trainables.lvm.extract import cut_windows, decoder_file, extract
from trainables.lvm.lsa import Lsa, fit_lsa
from trainables.lvm.sentence_encoders import check_encoder, encoder_named
from trainables.lvm.texts import Document
from trainables.lvm.vector_files import read_windows

WORDS = [
    f"{first}{second}" for first in ("al", "be", "cor", "dun", "el") for second in ("ma", "no", "ri", "ta")
]


def made_documents(n=6, n_sentences=30):
    """Return documents of random sentences, each of which has a word that no other sentence has."""
    random = np.random.default_rng(0)
    return [
        Document(
            f"document {place}",
            tuple(
                " ".join([*random.choice(WORDS, 5, replace=False), f"unique{place}x{row}."])
                for row in range(n_sentences)
            ),
        )
        for place in range(n)
    ]


def all_sentences(documents):
    return [sentence for document in documents for sentence in document.sentences]


@pytest.fixture(scope="module")
def lsa():
    return fit_lsa(all_sentences(made_documents()), dim=15)


# --- lsa


def test_lsa_is_the_same_after_saving_and_after_fitting_again(lsa, tmp_path):
    sentences = all_sentences(made_documents())
    lsa.save(tmp_path / "lsa.npz")
    vectors = lsa.encode(sentences)
    assert (vectors.dtype, vectors.shape) == (np.float32, (180, 15))
    for other in (Lsa.load(tmp_path / "lsa.npz"), Lsa.of_arrays(lsa.arrays()), fit_lsa(sentences, dim=15)):
        assert other.encode(sentences).tobytes() == vectors.tobytes()
        assert other.decode(vectors) == lsa.decode(vectors)


def test_lsa_keeps_raw_norms_and_gives_no_vector_to_unknown_words(lsa):
    norms = np.linalg.norm(lsa.encode(all_sentences(made_documents())), axis=1)
    assert norms.min() > 0
    assert norms.std() > 0.01
    assert not lsa.encode(["nothing of this is known"]).any()


def test_an_encoded_sentence_decodes_to_most_of_its_words(lsa):
    sentences = all_sentences(made_documents())
    known = lsa.known_words(sentences)
    assert known[0] == set(sentences[0].rstrip(".").split()[:5])
    found = lsa.decode(lsa.encode(sentences))
    recall = np.mean([len(words & set(said)) / len(words) for words, said in zip(known, found, strict=True)])
    assert recall > 0.8


def test_decoding_depends_on_the_norm_of_a_vector(lsa):
    vectors = lsa.encode(all_sentences(made_documents()))
    counts = [lsa.decoded(scale * vectors).sum() for scale in (0.0, 0.5, 1.0, 10.0)]
    assert counts[0] == 0
    assert sorted(set(counts)) == counts


def test_decoded_words_come_by_weight_and_their_round_trip_is_their_encoding(lsa):
    vectors = np.concatenate([lsa.encode(all_sentences(made_documents())), np.zeros((1, 15), np.float32)])
    said, weights = lsa.decode(vectors), vectors @ lsa.components
    place = {word: column for column, word in enumerate(lsa.vocabulary)}
    for row, words in enumerate(said):
        heard = [weights[row, place[word]] for word in words]
        assert sorted(heard, reverse=True) == heard
        assert set(words) == set(lsa.vocabulary[lsa.decoded(vectors)[row]])
    assert [words[:2] for words in said] == lsa.decode(vectors, most_words=2)
    again = lsa.encode([" ".join(words) for words in said])
    np.testing.assert_allclose(lsa.round_trip(vectors), again, atol=1e-6)
    assert not again[-1].any()


def test_vectors_of_another_encoder_and_files_of_none_are_refused(lsa, tmp_path):
    with pytest.raises(DataError, match=r"Vectors have shape \(2, 3\), this lsa decodes \(n, 15\). Give it"):
        lsa.decode(np.ones((2, 3)))
    path = tmp_path / "lsa.npz"
    np.savez(path, **(lsa.arrays() | {"idf": lsa.idf[:3]}))
    with pytest.raises(
        DataError, match=r"expected vocabulary \(V,\), idf \(V,\) and components \(d, V\). Make"
    ):
        Lsa.load(path)
    np.savez(path, **(lsa.arrays() | {"idf": lsa.idf * np.nan}))
    with pytest.raises(DataError, match=r"has weights that are not finite, or a word twice. Make it again"):
        Lsa.load(path)


@pytest.mark.parametrize("sentences", [["all words differ here"], ["same same", "same same"]])
def test_sentences_that_share_too_few_words_are_refused(sentences):
    with pytest.raises(
        DataError, match=r"lsa cannot be fitted on \d sentences: .* Give more text, or another"
    ):
        fit_lsa(sentences)


# --- windows


def test_windows_are_consecutive_and_never_cross_documents(tmp_path):
    documents = [*made_documents(), Document("short", ("The unique0x0. is too short.",) * 5)]
    windows = extract(documents, "lsa", tmp_path / "w.npz", n_context=5)
    assert len(windows) == 6 * (30 - 5)
    encoder = Lsa.load(decoder_file(tmp_path / "w.npz"))
    rows = iter(range(len(windows)))
    for place, document in enumerate(documents[:-1]):
        vectors = encoder.encode(document.sentences)
        for start in range(25):
            row = next(rows)
            assert windows.doc_ids[row] == place
            assert windows.context_texts[row].tolist() == list(document.sentences[start : start + 5])
            assert windows.concept_texts[row] == document.sentences[start + 5]
            np.testing.assert_array_equal(windows.context_sequences[row], vectors[start : start + 5])
            np.testing.assert_array_equal(windows.target_vectors[row], vectors[start + 5])


def test_sentences_without_a_vector_are_left_out_before_windows_are_cut():
    documents = [Document("a", tuple("abcde")), Document("b", tuple("fghi"))]
    vectors = np.ones((9, 2), dtype=np.float32)
    vectors[[1, 7]] = 0
    windows = cut_windows(documents, vectors, n_context=2)
    assert ["".join(texts) for texts in windows.context_texts] == ["ac", "cd", "fg"]
    assert windows.concept_texts.tolist() == ["d", "e", "i"]
    assert windows.doc_ids.tolist() == [0, 0, 1]
    vectors[:7] = 0
    with pytest.raises(DataError, match=r"The longest of 2 documents has 1 sentences that can be encoded; a"):
        cut_windows(documents, vectors, n_context=2)


def test_extracting_again_gives_the_same_bytes_in_either_format(tmp_path):
    for name in ("a.npz", "b.npz", "a.parquet", "b.parquet"):
        extract(made_documents(), "lsa", tmp_path / name)
    for first, second in (("a.npz", "b.npz"), ("a.parquet", "b.parquet"), ("a.lsa.npz", "a.parquet.lsa.npz")):
        assert (tmp_path / first).read_bytes() == (tmp_path / second).read_bytes()
    npz, parquet = (read_windows(tmp_path / f"a{suffix}") for suffix in (".npz", ".parquet"))
    for name, array in npz.arrays().items():
        np.testing.assert_array_equal(parquet.arrays()[name], array, strict=True)
    assert npz.encoder == parquet.encoder == "lsa"


def test_what_cannot_work_is_refused_before_anything_is_encoded(tmp_path):
    documents, out = made_documents(), tmp_path / "w.npz"
    with pytest.raises(DataError, match=r"w.csv ends in .csv, expected .npz or .parquet"):
        extract(documents, "lsa", tmp_path / "w.csv")
    with pytest.raises(
        DataError, match=r"The longest of 6 documents has 30 sentences that can be encoded; a "
    ):
        extract(documents, "lsa", out, n_context=30)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DataError, match=r"folder.npz cannot be written: it is a folder. Give a path"):
        extract(documents, "lsa", tmp_path / "folder.npz")
    assert not out.exists()


# --- encoders


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lsi",
            r"Unknown encoder 'lsi'. Did you mean 'lsa'\? Encoders are lsa, sentence-transformers:<name or",
        ),
        ("sentence-transformer:x", r"Did you mean 'sentence-transformers'\?"),
        ("lsa:x", r"Encoder 'lsa:x' takes no model. Encoders are"),
        ("sentence-transformers", r"'sentence-transformers' needs a model's name or path after a colon"),
    ],
)
def test_an_unknown_encoder_is_refused_with_what_there_is(name, message):
    with pytest.raises(DataError, match=message):
        check_encoder(name)


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r"needs the package sentence-transformers, .* Install it: pip install 'counterpoise\[vectors\]'"
    with pytest.raises(DataError, match=message):
        encoder_named("sentence-transformers:x", [])
    with pytest.raises(DataError, match=r"Encoder 'gtr-t5' needs the package transformers"):
        check_encoder("gtr-t5")


def test_modules_of_the_data_import_no_torch():
    use = "import sys, trainables.lvm.extract as extract; extract.default_windows_path()"
    code = f"{use}; print(sorted({{'torch', 'sklearn'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.fixture
def tiny_tokenizer():
    reason = "needs the extra `vectors`"
    tokenizers, transformers = (
        pytest.importorskip(name, reason=reason) for name in ("tokenizers", "transformers")
    )
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: place for place, word in enumerate(known)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.mark.slow
def test_a_local_model_of_sentence_transformers_encodes_raw_vectors(tiny_tokenizer, tmp_path):
    import torch
    import transformers

    package = pytest.importorskip("sentence_transformers", reason="needs the extra `vectors`")
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.BertConfig(vocab_size=len(tiny_tokenizer), **sizes)
    for part in (transformers.BertModel(config), tiny_tokenizer):
        part.save_pretrained(tmp_path / "bert")
    package.SentenceTransformer(str(tmp_path / "bert")).save(str(tmp_path / "model"))  # adds mean pooling
    name = f"sentence-transformers:{tmp_path / 'model'}"
    windows = extract(made_documents(2, 8), name, tmp_path / "w.parquet")
    assert windows.context_sequences.shape == (6, 5, 12)
    assert read_windows(tmp_path / "w.parquet").encoder == name
    assert not decoder_file(tmp_path / "w.parquet").exists()
    norms = np.linalg.norm(windows.target_vectors, axis=1)
    assert abs(norms - 1).min() > 0.01


@pytest.mark.slow
def test_gtr_t5_is_the_mean_over_tokens_without_padding(tiny_tokenizer, tmp_path):
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(tiny_tokenizer), d_model=12, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    model = transformers.T5EncoderModel(config).eval()
    for part in (model, tiny_tokenizer):
        part.save_pretrained(tmp_path / "gtr")
    encoder = encoder_named(f"gtr-t5:{tmp_path / 'gtr'}", [])
    short, long = "alma beno.", "alma beno corri dunta elma alno."
    vectors = encoder.encode([short, long])
    with torch.inference_mode():
        hidden = model(torch.tensor([tiny_tokenizer(short)["input_ids"]])).last_hidden_state
    np.testing.assert_allclose(vectors[0], hidden[0].mean(dim=0).numpy(), atol=1e-5)
    assert (vectors.dtype, vectors.shape) == (np.float32, (2, 12))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gtr-t5", "sentence-transformers"])
def test_a_folder_without_weights_is_refused_with_the_way_out(tmp_path, kind):
    pytest.importorskip("sentence_transformers", reason="needs the extra `vectors`")
    message = (
        rf"encoder '{kind}:.*' cannot be loaded: .* path of a folder with its weights: --encoder {kind}:"
    )
    with pytest.raises(DataError, match=message):
        encoder_named(f"{kind}:{tmp_path}", [])


@pytest.mark.slow
def test_weights_that_cannot_be_had_without_a_network_name_the_way_out(tmp_path):
    pytest.importorskip("transformers", reason="needs the extra `vectors`")
    code = "from trainables.lvm.sentence_encoders import encoder_named\nencoder_named('gtr-t5', [])"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "DataError: The model of encoder 'gtr-t5' cannot be loaded: " in result.stderr
    assert (
        "Without a network, give the path of a folder with its weights: --encoder gtr-t5:/" in result.stderr
    )
