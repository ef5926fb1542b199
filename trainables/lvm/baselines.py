"""What predictors without training reach, and what a decoder makes of true vectors: what a model must beat, or cannot.

Their metrics are those of `trainables.lvm.evaluation`, computed by the same functions as a model's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn.functional import normalize

from trainables.dataset import Array, Split
from trainables.lvm.evaluation import metrics_of
from trainables.lvm.lsa import Lsa
from trainables.lvm.model import Predicted
from trainables.lvm.trivial import cosines, trivial_predictions, unit

SHOWN = (
    "cos",
    "skill",
    "margin_next_last",
    "centred_cosine",
    "mse",
    "collapse_index",
    "moment_mu_err",
    "moment_sigma_err",
    "moment_err",
    "r_at_1",
    "mrr",
    "r_at_1_doc",
)
UNDEFINED = {"mean_vector": ("centred_cosine",)}  # of what is the mean, nothing is left after centring


def baselines(splits: Mapping[str, Split], mean: Array, decoder: Lsa | None) -> dict[str, float]:
    """Return metrics of the trivial predictors on validation and test, and decoder tests A and B.

    ``raw_target`` decodes the encoder's own vectors (A), ``unit_target`` the same on the unit sphere (B); the model's
    ``decoder_cos`` is C.
    """
    found: dict[str, float] = {}
    for name in ("valid", "test"):
        split = {key: torch.as_tensor(array) for key, array in splits[name].items()}
        for predictor, said in trivial_predictions(splits[name]["context"], mean).items():
            raw = torch.tensor(said)
            known = metrics_of(Predicted(raw, normalize(raw, dim=-1)), split, torch.as_tensor(mean))
            kept = [metric for metric in SHOWN if metric not in UNDEFINED.get(predictor, ())]
            found |= {f"{predictor}/{name}/{metric}": known[metric] for metric in kept}
        target = splits[name]["target"]
        if decoder is not None:
            for predictor, vectors in (("raw_target", target), ("unit_target", unit(target))):
                found[f"{predictor}/{name}/decoder_cos"] = float(
                    cosines(decoder.round_trip(vectors), vectors).mean()
                )
    return found
