"""The encoder `lsa`: TF-IDF and a truncated SVD, fitted on the texts at hand, with the way back to words.

It is fitted on all documents, before any split: held-out sentences lie on axes that know their words.

Nothing is downloaded. A vector keeps its norm, the share of the sentence that the d components hold, and
its decoder reads weights as they are: a vector of another length decodes to other words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from search_spaces.errors import first_line
from trainables.dataset import Array, DataError
from trainables.files import partial_file
from trainables.lvm.untrusted_files import read_npz

LSA_DIM = 256
MOST_TERMS = 3000  # 256 components give back 72 % of a sentence's words of 3,000, and 63 % of 6,000
FEWEST_SENTENCES = 2  # with a word, before it is one of the vocabulary
WORD_WEIGHT = 0.07
"""Least weight of a decoded word: on the default corpus 9 of 10 words above it are the sentence's."""
MOST_WORDS = 30
_KINDS = {"vocabulary": "U", "idf": "f", "components": "f"}
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Lsa:
    """A fitted encoder of V words to d numbers, and its decoder.

    Args:
        vocabulary: Words, str ``(V,)``.
        idf: Weight of each word that few sentences have, float32 ``(V,)``.
        components: Right singular vectors, float32 ``(d, V)``, rows orthonormal.
    """

    vocabulary: Array
    idf: Array
    components: Array
    kind: ClassVar[str] = "lsa"

    @property
    def name(self) -> str:
        """``lsa``."""
        return self.kind

    def encode(self, sentences: Sequence[str]) -> Array:
        """Return the vectors of sentences, float32 ``(n, d)``, not normalised; zero where no word is known.

        Source:
            Deerwester et al. 1990, "Indexing by latent semantic analysis": ``x V`` with x the unit TF-IDF row.
        """
        return np.asarray(self._vectorizer.transform(sentences) @ self.components.T, dtype=np.float32)

    def decode(self, vectors: Array, most_words: int = MOST_WORDS) -> list[list[str]]:
        """Return the words of each vector, the heaviest first; none where no weight is enough.

        Args:
            vectors: ``(n, d)``; what the inverse of the SVD makes of them is read as TF-IDF weights.
            most_words: Words of one vector at most.

        Raises:
            DataError: If the vectors are of another dimension.
        """
        said = []
        for weights in self._word_weights(vectors):
            order = np.argsort(-weights, axis=1, kind="stable")[:, :most_words]
            heavy = np.take_along_axis(weights, order, axis=1) >= WORD_WEIGHT
            said += [self.vocabulary[row[keep]].tolist() for row, keep in zip(order, heavy, strict=True)]
        return said

    def decoded(self, vectors: Array) -> Array:
        """Return which words `decode` finds in vectors ``(n, d)`` when it may return all, bool ``(n, V)``.

        Raises:
            DataError: If the vectors are of another dimension.
        """
        blocks = [weights >= WORD_WEIGHT for weights in self._word_weights(vectors)]
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.vocabulary)), dtype=bool)

    def round_trip(self, vectors: Array) -> Array:
        """Return what the decoded words of vectors ``(n, d)`` encode to, float32 ``(n, d)``; zero where there are none.

        Raises:
            DataError: If the vectors are of another dimension.
        """
        again = np.zeros(vectors.shape, dtype=np.float32)
        for start, weights in enumerate(self._word_weights(vectors)):
            rows = np.where(weights >= WORD_WEIGHT, self.idf, 0)
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
            again[start * _ROWS_AT_ONCE : (start + 1) * _ROWS_AT_ONCE] = rows @ self.components.T
        return again

    def known_words(self, sentences: Sequence[str]) -> list[set[str]]:
        """Return of each sentence the words that the vocabulary has: all that decoding could give back."""
        known = self._vectorizer.vocabulary_
        analyze = self._vectorizer.build_analyzer()
        return [{word for word in analyze(sentence) if word in known} for sentence in sentences]

    def arrays(self) -> dict[str, Array]:
        """Return ``vocabulary``, ``idf`` and ``components``."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> Lsa:
        """Return the encoder of `arrays`, which may stand among others."""
        return cls(**{name: arrays[name] for name in _KINDS})

    def save(self, path: Path) -> None:
        """Write the encoder to an NPZ file without pickles, whole or not at all.

        Raises:
            DataError: If the place cannot be written to.
        """
        arrays: dict[str, Any] = self.arrays()
        with partial_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def load(cls, path: Path) -> Lsa:
        """Return the encoder that `save` wrote; it encodes to the same bits.

        Raises:
            DataError: If the file cannot be read or is not of an encoder.
        """
        arrays = read_npz(path, tuple(_KINDS))
        _check_arrays(path, arrays)
        return cls(arrays["vocabulary"], *(arrays[name].astype(np.float32) for name in ("idf", "components")))

    def _word_weights(self, vectors: Array) -> Iterator[Array]:
        """Yield what the inverse of the SVD makes of vectors, ``(n, V)`` in blocks of rows: all at once is large."""
        dim = len(self.components)
        if vectors.ndim != 2 or vectors.shape[1] != dim:
            raise DataError(
                f"Vectors have shape {vectors.shape}, this lsa decodes (n, {dim}). Give it its own."
            )
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            yield vectors[start : start + _ROWS_AT_ONCE] @ self.components

    @cached_property
    def _vectorizer(self) -> Any:
        vectorizer = _new_vectorizer(
            vocabulary={word: place for place, word in enumerate(self.vocabulary.tolist())}
        )
        vectorizer.idf_ = self.idf
        return vectorizer


def fit_lsa(sentences: Sequence[str], dim: int = LSA_DIM) -> Lsa:
    """Return an encoder fitted on sentences; the same sentences give the same encoder.

    Args:
        sentences: All that are to be encoded.
        dim: Components d; fewer where there are fewer sentences or words.

    Raises:
        DataError: If the sentences share too few words.
    """
    from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    vectorizer = _new_vectorizer(min_df=FEWEST_SENTENCES, max_features=MOST_TERMS)
    try:
        weights = vectorizer.fit_transform(sentences)
        svd = TruncatedSVD(min(dim, *(size - 1 for size in weights.shape)), n_iter=7, random_state=0)
        with threadpool_limits(1):  # the same bits on any number of cores, and no slower at this size
            svd.fit(weights)
    except ValueError as error:  # no word is left, or no component
        raise DataError(
            f"lsa cannot be fitted on {len(sentences)} sentences: {first_line(error)}. "
            "Give more text, or another encoder."
        ) from error
    vocabulary = np.array(vectorizer.get_feature_names_out(), dtype=str)
    return Lsa(vocabulary, vectorizer.idf_.astype(np.float32), svd.components_.astype(np.float32))


def _check_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Raise `DataError` unless arrays are those of an encoder."""
    kinds = {name: array.dtype.kind for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    n_terms, dim = shapes.get("vocabulary", ())[:1], shapes.get("components", ())[:1]
    if kinds != _KINDS or shapes != {"vocabulary": n_terms, "idf": n_terms, "components": dim + n_terms}:
        raise DataError(
            f"{path} has {shapes or 'no array'}, expected vocabulary (V,), idf (V,) and components (d, V). "
            "Make it again with `sweeps data extract lvm --encoder lsa`."
        )
    finite = all(np.isfinite(arrays[name]).all() for name in ("idf", "components"))
    if not finite or len(np.unique(arrays["vocabulary"])) < len(arrays["vocabulary"]):
        raise DataError(f"{path} has weights that are not finite, or a word twice. Make it again.")


def _new_vectorizer(**options: Any) -> Any:
    """Return TF-IDF of lower-case words of two characters or more; stop words stay, a sentence has few others."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options)
