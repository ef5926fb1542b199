"""Metrics, splits and probes of next-vector models: what they say where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from search_spaces.lvm import SPACE
from trainables.dataset import DataError, Dataset
from trainables.lvm.baselines import baselines
from trainables.lvm.data import SAME_VECTOR, hard_negatives, split_rows, statistics
from trainables.lvm.data_probe import check
from trainables.lvm.evaluation import evaluate, ranks
from trainables.lvm.examples import examples
from trainables.lvm.model import Predicted
from trainables.lvm.pictures import PICTURES
from trainables.lvm.probe import mean_interval, probe
from trainables.lvm.trivial import cosines, moment_errors, unit

DIM, N_CONTEXT, N_DOCUMENTS, PER_DOCUMENT = 16, 5, 12, 20


class Planted(torch.nn.Module):
    """A model that says what a function makes of the context."""

    words = None
    n_parameters = 7

    def __init__(self, say, mean):
        super().__init__()
        self.say, self.mean, self.std = say, torch.as_tensor(mean), torch.as_tensor(DATA.constants["std"])
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, context):
        raw = self.say(context)
        return Predicted(raw, torch.nn.functional.normalize(raw, dim=-1))


def split(seed):
    """Documents are random walks around a common mean, so that trivial predictors differ and copying is not perfect."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.6, (N_DOCUMENTS, PER_DOCUMENT + N_CONTEXT, DIM))
    walks = (1.0 + rng.normal(0, 1, (N_DOCUMENTS, 1, DIM)) + np.cumsum(steps, axis=1) * 0.3 + steps).astype(
        np.float32
    )
    context = np.stack([walks[:, t : t + N_CONTEXT] for t in range(PER_DOCUMENT)], axis=1).reshape(
        -1, N_CONTEXT, DIM
    )
    target = walks[:, N_CONTEXT:].reshape(-1, DIM)
    document = np.repeat(np.arange(N_DOCUMENTS) + 100 * seed, PER_DOCUMENT)
    hard, has_hard = hard_negatives(target, document, rng)
    return {"context": context, "target": target, "hard": hard, "has_hard": has_hard, "document": document}


def dataset():
    splits = {name: split(seed) for seed, name in enumerate(("train", "valid", "test"))}
    constants = statistics(splits["train"]["target"])
    return Dataset(
        **splits,
        fingerprint="planted",
        baselines=baselines(splits, constants["mean"], None),
        constants=constants,
    )


DATA = dataset()
PARAMS = SPACE.resolve({})


def planted(say):
    return Planted(say, DATA.constants["mean"])


def oracle():
    """A model that says the very target, looked up by its context."""
    known = {c.tobytes(): t for c, t in zip(DATA.valid["context"], DATA.valid["target"], strict=True)}
    return planted(
        lambda context: torch.stack([torch.as_tensor(known[c.numpy().tobytes()]) for c in context])
    )


MODELS = {
    "oracle": oracle,
    "mean": lambda: planted(lambda context: torch.as_tensor(DATA.constants["mean"]).expand(len(context), -1)),
    "copy": lambda: planted(lambda context: context[:, -1]),
    "context_mean": lambda: planted(lambda context: context.mean(dim=1)),
}


@torch.no_grad()
def metrics(name):
    return evaluate(MODELS[name](), {key: torch.as_tensor(array) for key, array in DATA.valid.items()})


def test_a_perfect_predictor_has_the_best_value_of_every_metric():
    found = metrics("oracle")
    for name in ("cos", "skill", "centred_cosine", "r_at_1", "mrr", "r_at_1_doc"):
        assert found[name] == pytest.approx(1, abs=1e-5), name
    for name in ("mse", "collapse_index", "moment_err"):
        assert found[name] == pytest.approx(0, abs=1e-5), name
    assert found["pred_var_ratio"] == pytest.approx(1, abs=1e-5)
    assert found["rankme"] == pytest.approx(found["rankme_targets"], rel=1e-5)
    assert found["margin_next_last"] > 0


@pytest.mark.parametrize(
    ("name", "baseline"), [("mean", "mean_vector"), ("copy", "copy_last"), ("context_mean", "context_mean")]
)
def test_a_trivial_predictor_has_the_numbers_of_its_baseline(name, baseline):
    found = metrics(name)
    assert found["cos"] == pytest.approx(DATA.baselines[f"{baseline}/valid/cos"], abs=1e-5)
    assert found["mse"] == pytest.approx(DATA.baselines[f"{baseline}/valid/mse"], rel=1e-4)
    best = max(DATA.baselines[f"{each}/valid/cos"] for each in ("mean_vector", "context_mean", "copy_last"))
    assert found["skill"] == pytest.approx((found["cos"] - best) / (1 - best), abs=1e-5)


def test_one_vector_for_all_shows_in_diversity_and_copying_in_the_margin():
    found = metrics("mean")
    pairwise = unit(DATA.valid["target"]) @ unit(DATA.valid["target"]).T
    off = pairwise[~np.eye(len(pairwise), dtype=bool)].mean()
    assert found["collapse_index"] == pytest.approx(1 - off, abs=1e-4)
    assert (found["output_diversity"], found["pred_var_ratio"]) == pytest.approx((0, 0), abs=1e-6)
    assert metrics("copy")["margin_next_last"] < 0


def test_ranks_are_those_of_sorting_and_equal_targets_push_nobody_back():
    said, target = (
        torch.eye(4),
        torch.tensor([[1.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0.8, 0.6]]),
    )
    found = ranks(said, target, torch.tensor([0, 0, 1, 1]))
    assert found.among_all.tolist() == [1, 1, 1, 1]
    off = torch.tensor([[0.0, 0, 1, 0]]).expand(4, -1)
    assert ranks(off, target, torch.tensor([0, 0, 1, 1])).among_all.tolist() == [3, 3, 1, 2]
    assert ranks(off, target, torch.tensor([0, 0, 1, 1])).in_document.tolist() == [1, 1, 1, 2]


# --- splits and negatives


def test_no_document_is_in_two_splits_and_a_cut_takes_whole_documents():
    documents = np.repeat(np.arange(50), np.random.default_rng(0).integers(1, 40, 50))
    whole = split_rows(documents, 0, np.random.default_rng(1))
    assert sorted(np.concatenate(list(whole.values()))) == list(range(len(documents)))
    names = {name: set(documents[rows]) for name, rows in whole.items()}
    assert not names["train"] & names["valid"]
    assert not names["train"] & names["test"]
    assert not names["valid"] & names["test"]
    assert 0.7 < len(whole["train"]) / len(documents) < 0.9
    cut = split_rows(documents, 200, np.random.default_rng(1))
    rows = np.concatenate(list(cut.values()))
    assert 200 <= len(rows) < 240
    assert set(rows) == set(np.flatnonzero(np.isin(documents, documents[rows])))


def test_no_split_is_empty_however_large_one_document_is():
    for sizes in ([500, 1, 1], [1, 500, 1], [1, 1, 500], [300, 300, 300]):
        parts = split_rows(np.repeat([0, 1, 2], sizes), 0, np.random.default_rng(0))
        assert all(len(rows) for rows in parts.values())


def test_two_documents_are_refused():
    with pytest.raises(
        DataError, match=r"The windows come from 2 document\(s\); the split by document needs 3"
    ):
        split_rows(np.repeat([0, 1], 9), 0, np.random.default_rng(0))


def test_a_hard_negative_is_of_the_same_document_and_never_the_target():
    rng = np.random.default_rng(0)
    target, document = rng.normal(size=(30, 4)).astype(np.float32), np.repeat(np.arange(6), 5)
    target[1] = 3 * target[0]  # the same sentence again
    target[5:10] = target[5]  # a document that only repeats itself
    hard, found = hard_negatives(target, document, rng)
    assert found.tolist() == [True] * 5 + [False] * 5 + [True] * 20
    for row in np.flatnonzero(found):
        own = target[document == document[row]]
        assert np.isclose(hard[row], own).all(axis=1).any()
        assert cosines(hard[row : row + 1], target[row : row + 1])[0] < SAME_VECTOR
    assert not hard[~found].any()


# --- probes


def verdicts(name):
    return {result.id: result for result in probe(MODELS[name](), DATA, PARAMS)}


def test_a_predictor_of_the_mean_is_called_collapsed_and_a_perfect_one_is_not():
    collapsed, perfect = verdicts("mean"), verdicts("oracle")
    assert collapsed["mean_vector_collapse"].verdict == "supported"
    assert collapsed["mean_vector_collapse"].alarm
    assert perfect["mean_vector_collapse"].verdict == "rejected"
    assert perfect["beats_trivial"].verdict == "supported"
    assert collapsed["beats_trivial"].verdict == "rejected"
    assert collapsed["beats_trivial"].statement.startswith(
        "The model is no better than the best trivial predictor"
    )


def test_a_copy_of_the_last_vector_is_named():
    assert verdicts("copy")["copies_last"].verdict == "supported"
    assert verdicts("oracle")["copies_last"].verdict == "rejected"


def test_without_a_decoder_its_tests_do_not_apply():
    assert verdicts("oracle")["decoder_reads_predictions"].verdict == "not_applicable"
    assert {result.id: result.verdict for result in check(DATA)}["decoder_a"] == "not_applicable"


def test_documents_that_leak_are_an_alarm():
    assert not any(result.alarm for result in check(DATA) if result.id == "split_by_document")
    leaking = replace(DATA, valid={**DATA.valid, "document": DATA.train["document"]})
    (found,) = [result for result in check(leaking) if result.id == "split_by_document"]
    assert found.alarm
    assert found.statement.startswith("12 documents stand in two splits")


def test_too_few_documents_to_resample_are_refused():
    few = {name: array[: 3 * PER_DOCUMENT] for name, array in DATA.valid.items()}
    with pytest.raises(
        DataError, match=r"The validation split has 3 document\(s\); intervals resample documents"
    ):
        probe(MODELS["copy"](), replace(DATA, valid=few), PARAMS)


def test_the_interval_over_documents_holds_the_mean_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(150):
        document = np.repeat(np.arange(40), 6)
        values = np.repeat(rng.normal(0.3, 1, 40), 6) + rng.normal(0, 0.5, 240)
        interval = mean_interval(values, document)
        covered += interval.low <= 0.3 <= interval.high
    assert covered / 150 == pytest.approx(0.94, abs=0.06)


def test_moment_errors_are_relative():
    true = np.random.default_rng(0).normal(2, 1, (5000, 4))
    mu, sigma = moment_errors(1.5 * true, true)
    assert (mu, sigma) == pytest.approx((0.5, 0.5))


# --- pictures


def test_pictures_are_drawn_of_one_arm_and_of_several_with_and_without_texts():
    silent = examples(MODELS["copy"](), DATA)
    n = len(DATA.valid["target"])
    texts = {
        "concept_texts": np.array([f"Sentence {row} costs $5 and $6." for row in range(n)]),
        "context_texts": np.array(
            [[f"Sentence {row} of {k}." for k in range(N_CONTEXT)] for row in range(n)]
        ),
    }
    told = examples(MODELS["oracle"](), replace(DATA, constants={**DATA.constants, **texts}))
    assert told["shown_nearest"].tolist() == told["shown_next"].tolist()
    assert told["shown_rank"].tolist() == [1] * 5
    assert PICTURES["windows"].draw({"silent": silent}) is None
    for name, picture in PICTURES.items():
        for arms in ({"one": told}, {"one": told, "two": told, "three": told}):
            figure = picture.draw(arms)
            figure.canvas.draw()
            assert figure.axes, name
