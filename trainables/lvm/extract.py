"""From documents to a window file: encode every sentence, cut windows within each document, write.

The default window file is made once from the default corpus and kept in the user's cache, under a name that says
what decides it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from trainables.dataset import Array, DataError
from trainables.lvm.corpus import corpus_key, default_corpus
from trainables.lvm.lsa import Lsa
from trainables.lvm.sentence_encoders import SentenceEncoder, check_encoder, encoder_named
from trainables.lvm.texts import Document
from trainables.lvm.vector_files import Windows, require_suffix, write_windows

N_CONTEXT = 5
MOST_CHARACTERS = 160
"""Characters of a sentence that a file keeps to show it; the whole sentence is encoded."""
_SENTENCES_AT_ONCE = 256

Progress = Callable[[int, int], None]
"""Called with what is done and what there is."""


def extract(
    documents: Sequence[Document],
    encoder_name: str,
    out: Path,
    n_context: int = N_CONTEXT,
    progress: Progress | None = None,
) -> Windows:
    """Encode documents and write their windows; an `Lsa` is written beside them, see `decoder_file`.

    Sentences without a vector (of zero length: no word is known) are left out before windows are cut.

    Args:
        documents: In the order in which their windows shall stand; ``doc_ids`` are places in it, from 0.
        encoder_name: See `trainables.lvm.sentence_encoders.encoder_named`.
        out: A ``.npz`` or ``.parquet`` file.
        n_context: Vectors of a context, at least 1.
        progress: Called with the sentences encoded and all there are.

    Raises:
        DataError: If no document is long enough, the encoder cannot be had, or ``out`` cannot be written.
    """
    check_extraction(encoder_name, out)
    longest = max((len(document.sentences) for document in documents), default=0)
    if longest <= n_context:
        raise _too_short(documents, longest, n_context)
    sentences = [sentence for document in documents for sentence in document.sentences]
    encoder = encoder_named(encoder_name, sentences)
    vectors = _encoded(encoder, sentences, progress)
    windows = cut_windows(documents, vectors, n_context, encoder.name)
    if isinstance(encoder, Lsa):
        encoder.save(decoder_file(out))  # first: a window file that is there is complete
    write_windows(windows, out)
    return windows


def cut_windows(documents: Sequence[Document], vectors: Array, n_context: int, encoder: str = "") -> Windows:
    """Return all runs of ``n_context`` sentences and the next within each document, one sentence apart.

    Args:
        documents: Documents with n sentences in all.
        vectors: Of their sentences in order, ``(n, d)``; rows of zero length are left out.
        n_context: Vectors of a context.
        encoder: Name of what made the vectors.

    Raises:
        DataError: If no document has more than ``n_context`` sentences that have a vector.
    """
    doc_ids = np.repeat(np.arange(len(documents)), [len(document.sentences) for document in documents])
    texts = np.array(
        [text[:MOST_CHARACTERS] for document in documents for text in document.sentences], dtype=str
    )
    kept = np.flatnonzero(np.linalg.norm(vectors, axis=1))
    starts = np.arange(max(len(kept) - n_context, 0))
    starts = starts[doc_ids[kept[starts]] == doc_ids[kept[starts + n_context]]]
    if not len(starts):
        longest = max((len(list(run)) for _, run in groupby(doc_ids[kept])), default=0)
        raise _too_short(documents, longest, n_context)
    rows = kept[starts[:, None] + np.arange(n_context + 1)]
    return Windows(
        context_sequences=vectors[rows[:, :-1]],
        target_vectors=vectors[rows[:, -1]],
        doc_ids=doc_ids[rows[:, -1]],
        concept_texts=texts[rows[:, -1]],
        context_texts=texts[rows[:, :-1]],
        encoder=encoder,
    )


def check_extraction(encoder_name: str, out: Path) -> None:
    """Check what can be checked before minutes of encoding: the encoder's name and package, and the place.

    Raises:
        DataError: If extraction would fail for one of these.
    """
    require_suffix(out)
    check_encoder(encoder_name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise DataError(
            f"{out} cannot be written: {error.strerror or error}. Give a path in a folder that you may write to."
        ) from error


def decoder_file(path: Path) -> Path:
    """Return where the `Lsa` of a window file stands: ``X.lsa.npz``, or ``X.parquet.lsa.npz`` of ``X.parquet``.

    So files that differ by their suffix alone keep a decoder each.
    """
    return path.with_name(f"{path.name.removesuffix('.npz')}.lsa.npz")


def default_windows_file(progress: Progress | None = None) -> Path:
    """Return the window file of the default corpus, encoded with `lsa`; made at the first call, and kept.

    It stands in ``$XDG_CACHE_HOME`` or ``~/.cache``, named after `corpus_key`. Processes that make it at once write
    the same, each whole.

    Args:
        progress: Called with the sentences encoded and all there are.

    Raises:
        DataError: If the cache cannot be written to, or a package of the corpus is missing.
    """
    path = default_windows_path()
    if path.is_file() and decoder_file(path).is_file():
        return path
    try:
        check_extraction("lsa", path)
    except DataError as error:
        raise DataError(
            f"The windows of the default corpus cannot be kept: {error} Or set XDG_CACHE_HOME to such a folder."
        ) from error
    extract(default_corpus(), "lsa", path, progress=progress)
    return path


def default_windows_path() -> Path:
    """Return where `default_windows_file` stands or will stand; reads no source and makes nothing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "counterpoise" / "lvm" / f"{corpus_key()}.npz"


def _encoded(encoder: SentenceEncoder, sentences: Sequence[str], progress: Progress | None) -> Array:
    parts = []
    for start in range(0, len(sentences), _SENTENCES_AT_ONCE):
        parts.append(encoder.encode(sentences[start : start + _SENTENCES_AT_ONCE]))
        if progress is not None:
            progress(min(start + _SENTENCES_AT_ONCE, len(sentences)), len(sentences))
    return np.concatenate(parts)


def _too_short(documents: Sequence[Document], longest: int, n_context: int) -> DataError:
    return DataError(
        f"The longest of {len(documents)} documents has {longest} sentences that can be encoded; a window is "
        f"{n_context} and the next. Give longer documents, or a shorter context: --context."
    )
