"""The decoder beside a model: from a vector back to words, and from those words to a vector again."""

from __future__ import annotations

from torch import Tensor

from trainables.dataset import Array, Split
from trainables.lvm.lsa import Lsa
from trainables.lvm.trivial import cosines, unit

MOST_DECODED = 256  # vectors of a split that are decoded: the first ones


def decoder_of(constants: Split) -> Lsa | None:
    """Return the decoder of a data set, None where its encoder has none."""
    return Lsa.of_arrays(constants) if "components" in constants else None


def decoder_metrics(words: Lsa | None, raw: Tensor, target: Tensor, length: float) -> dict[str, float]:
    """Return decoder test C and how many words are right; nothing without a decoder.

    Args:
        words: The decoder.
        raw: Predictions, ``(n, d)``.
        target: What follows, ``(n, d)``; the words of a true sentence are those that its own vector decodes to.
        length: Of the corpus's vectors. A decoder that reads weights as they are finds fewer words in what is shorter,
            none in what is much shorter, so predictions are also read at this length.
    """
    if words is None:
        return {}
    said, true = raw[:MOST_DECODED].cpu().numpy(), target[:MOST_DECODED].cpu().numpy()
    scaled = length * unit(said)
    own, right = words.decoded(said), words.decoded(true)
    shared = (own & right).sum(axis=1)
    return {
        "decoder_cos": float(cosines(words.round_trip(said), said).mean()),
        "decoder_cos_scaled": float(cosines(words.round_trip(scaled), scaled).mean()),
        "word_precision": ratio(shared, own),
        "word_recall": ratio(shared, right),
    }


def ratio(shared: Array, words: Array) -> float:
    """Return the mean share of ``words`` ``(n, V)`` that are ``shared`` ``(n,)``; 0 where there are none."""
    return float((shared / words.sum(axis=1).clip(min=1)).mean())
