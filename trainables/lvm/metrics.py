"""What each metric of next-vector models means, and which rules end a search's trial early. Imports no torch."""

from __future__ import annotations

from trainables.dataset import Metric
from trainables.guard import Guard

DIVERSE_STD = 0.01  # of a dimension of unit vectors: below it the dimension is the same for all

METRICS = {
    "cos": Metric("max", False, "cosine of the prediction to the vector that follows"),
    "skill": Metric(
        "max", False, "share of the way from the best trivial predictor to a perfect one: 0 is no better"
    ),
    "margin_next_last": Metric(
        None, False, "cosine to the next vector less that to the last one of the context"
    ),
    "centred_cosine": Metric("max", False, "cosine after the mean of the corpus is taken from both"),
    "mse": Metric("min", True, "squared error of the raw vector, mean over dimensions"),
    "collapse_index": Metric(
        "min", False, "mean cosine between predictions less that between targets: 0 is as diverse as they are"
    ),
    "pred_var_ratio": Metric(None, True, "variance of the raw predictions over that of the targets"),
    "moment_mu_err": Metric("min", True, "distance of the mean prediction to the mean target, over its norm"),
    "moment_sigma_err": Metric("min", True, "distance of the spreads of all dimensions, over their norm"),
    "moment_err": Metric("min", True, "the larger of both errors"),
    "output_diversity": Metric(
        "max", False, "share of dimensions in which unit predictions spread by more than 0.01", detail=True
    ),
    "r_at_1": Metric("max", False, "share of predictions nearest to their own target among all"),
    "r_at_5": Metric("max", False, "share whose target is among the five nearest", detail=True),
    "mrr": Metric("max", False, "mean of one over the rank of the own target among all"),
    "r_at_1_doc": Metric("max", False, "the share of the nearest among targets of the same document"),
    "r_at_5_doc": Metric("max", False, "of the five nearest among those of the same document", detail=True),
    "mrr_doc": Metric("max", False, "mean of one over the rank within the document", detail=True),
    "rankme": Metric(None, True, "effective rank of the predictions"),
    "rankme_targets": Metric(None, True, "effective rank of the targets", detail=True),
    "decoder_cos": Metric(
        "max", False, "cosine of a vector to what its decoded words encode to: does the decoder read it"
    ),
    "decoder_cos_scaled": Metric(
        "max",
        False,
        "the same of predictions at the length of the corpus's vectors: what fails then is their direction",
        detail=True,
    ),
    "word_precision": Metric(None, False, "share of decoded words that the true sentence has", detail=True),
    "word_recall": Metric(
        "max", False, "share of the true sentence's known words that are decoded", detail=True
    ),
    "n_parameters": Metric(None, True, "trained numbers of the backbone that really runs", detail=True),
}

# A predictor that says the mean of everything does not come back from it.
GUARDS = (Guard("valid/output_diversity", below=0.5, patience=5, grace=5),)
