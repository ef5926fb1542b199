"""Sentence encoders by name: `lsa`, any model of sentence-transformers, and the encoder that vec2text inverts.

Vectors come as an encoder makes them and are never normalised here. The packages and weights of neural encoders
are loaded inside their functions, and only when such an encoder is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np

from search_spaces.domains import did_you_mean
from search_spaces.errors import first_line
from trainables.dataset import Array, DataError
from trainables.lvm.lsa import fit_lsa

LSA, SENTENCE_TRANSFORMERS, GTR_T5 = "lsa", "sentence-transformers", "gtr-t5"
GTR_T5_WEIGHTS = "sentence-transformers/gtr-t5-base"
_PACKAGES = {LSA: None, SENTENCE_TRANSFORMERS: "sentence_transformers", GTR_T5: "transformers"}
_LISTED = f"{LSA}, {SENTENCE_TRANSFORMERS}:<name or path> and {GTR_T5}[:<path>]"
_CONNECT_S = 5
_MOST_TOKENS = 128  # as vec2text cuts its inputs
_SENTENCES_AT_ONCE = 32


class SentenceEncoder(Protocol):
    """What makes vectors of sentences."""

    @property
    def name(self) -> str:
        """The name by which it was asked for."""

    def encode(self, sentences: Sequence[str]) -> Array:
        """Return float32 ``(n, d)``, as the encoder makes them."""


@dataclass(frozen=True)
class NeuralEncoder:
    """A loaded model behind the interface of `SentenceEncoder`.

    Args:
        name: The name by which it was asked for.
        forward: Takes a list of sentences, returns ``(n, d)``.
    """

    name: str
    forward: Callable[[list[str]], Any]

    def encode(self, sentences: Sequence[str]) -> Array:
        """Return float32 ``(n, d)``, as the model makes them."""
        return np.asarray(self.forward(list(sentences)), dtype=np.float32)


def check_encoder(name: str) -> None:
    """Check a name and that its package is installed, without loading anything.

    Raises:
        DataError: If the encoder is unknown, lacks its model's name, or its package is missing.
    """
    kind, _, source = name.partition(":")
    if kind not in _PACKAGES:
        raise DataError(f"Unknown encoder {name!r}.{did_you_mean(kind, _PACKAGES)} Encoders are {_LISTED}.")
    if (kind == LSA and ":" in name) or (kind == SENTENCE_TRANSFORMERS and not source):
        rule = "takes no model" if kind == LSA else "needs a model's name or path after a colon"
        raise DataError(f"Encoder {name!r} {rule}. Encoders are {_LISTED}.")
    package = _PACKAGES[kind]
    if package is not None and importlib.util.find_spec(package) is None:
        raise DataError(
            f"Encoder {name!r} needs the package {package.replace('_', '-')}, which is not installed. "
            "Install it: pip install 'counterpoise[vectors]'."
        )


def encoder_named(name: str, sentences: Sequence[str]) -> SentenceEncoder:
    """Return an encoder, loaded or fitted.

    Args:
        name: ``lsa``; ``sentence-transformers:`` and a model's name or local path; ``gtr-t5``, or ``gtr-t5:`` and the
            local path of its weights.
        sentences: All that are to be encoded; ``lsa`` is fitted on them.

    Raises:
        DataError: If the name is not one of these, a package is missing, or weights cannot be loaded.
    """
    check_encoder(name)
    kind, _, source = name.partition(":")
    if kind == LSA:
        return fit_lsa(sentences)
    if not Path(source or GTR_T5_WEIGHTS).exists():
        stay_offline_without_network()
    load = load_gtr_t5 if kind == GTR_T5 else load_sentence_transformer
    try:
        return NeuralEncoder(name, load(source or GTR_T5_WEIGHTS))
    except (
        Exception
    ) as error:  # whatever a network, a proxy, a cache or a config can raise: the way out is the same
        raise DataError(
            f"The model of encoder {name!r} cannot be loaded: {first_line(error)}. Without a network, give the path "
            f"of a folder with its weights: --encoder {kind}:/path/to/model."
        ) from error


def stay_offline_without_network() -> None:
    """Tell the Hugging Face hub to look into its cache alone where its server cannot be reached.

    Otherwise it asks for every file six times, a line each, for a minute. Behind a proxy nothing is tried.
    """
    constants: Any = importlib.import_module("huggingface_hub.constants")
    if getproxies() or constants.HF_HUB_OFFLINE:
        return
    server = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((server.hostname or "", server.port or 443), timeout=_CONNECT_S).close()
    except OSError:
        os.environ["HF_HUB_OFFLINE"] = "1"
        constants.HF_HUB_OFFLINE = True


def load_sentence_transformer(source: str) -> Callable[[list[str]], Any]:
    """Return the forward pass of a model of sentence-transformers, with whatever layers it has after pooling."""
    package: Any = importlib.import_module("sentence_transformers")
    model = package.SentenceTransformer(source)
    return lambda sentences: model.encode(sentences, normalize_embeddings=False, show_progress_bar=False)


def load_gtr_t5(source: str) -> Callable[[list[str]], Any]:
    """Return the forward pass of GTR-T5 as vec2text inverts it.

    The mean of the encoder's output over the tokens that are no padding; neither the dense layer nor the
    normalisation that sentence-transformers adds.

    Source:
        Morris et al. 2023, "Text embeddings reveal (almost) as much as text"; `mean_pool` of vec2text.
    """
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = transformers.T5EncoderModel.from_pretrained(source).eval()

    def forward(sentences: list[str]) -> Any:
        tokens = tokenizer(
            sentences, padding=True, truncation=True, max_length=_MOST_TOKENS, return_tensors="pt"
        )
        mask = tokens["attention_mask"]
        with torch.inference_mode():
            hidden = model(input_ids=tokens["input_ids"], attention_mask=mask).last_hidden_state
        return (hidden * mask[..., None]).sum(dim=1).div(mask.sum(dim=1, keepdim=True)).numpy()

    def batched(sentences: list[str]) -> Any:
        starts = range(0, len(sentences), _SENTENCES_AT_ONCE)
        return np.concatenate([forward(sentences[start : start + _SENTENCES_AT_ONCE]) for start in starts])

    return batched
