"""Metrics, splits and probes of next-vector models: what they say where the answer is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from search_spaces.lvm import SPACE
from trainables.dataset import DataError, Dataset
from trainables.lvm.baselines import baselines
from trainables.lvm.data import SAME_VECTOR, SPLITS, hard_negatives, same_content, split_rows, statistics
from trainables.lvm.data_probe import check
from trainables.lvm.evaluation import evaluate, ranks
from trainables.lvm.examples import examples
from trainables.lvm.model import Predicted
from trainables.lvm.pictures import PICTURES, shown_windows
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
    for metric in ("cos", "skill", "margin_next_last", "mse", "collapse_index", "mrr", "moment_err"):
        assert found[metric] == pytest.approx(DATA.baselines[f"{baseline}/valid/{metric}"], abs=1e-5), metric
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


def test_documents_with_the_same_vectors_are_one_to_the_split():
    context, target = np.arange(48.0).reshape(6, 2, 4), np.arange(24.0).reshape(6, 4)
    context[4:], target[4:] = context[:2], target[:2]
    windows = SimpleNamespace(
        context_sequences=context, target_vectors=target, doc_ids=np.array([7, 7, 8, 8, 9, 9])
    )
    assert same_content(windows).tolist() == [7, 7, 8, 8, 7, 7]


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


def test_a_copy_of_the_last_vector_is_named_and_what_only_leans_to_it_is_none():
    assert verdicts("copy")["copies_last"].verdict == "supported"
    assert verdicts("copy")["copies_last"].advice.startswith("Raise infonce_weight")
    assert verdicts("oracle")["copies_last"].verdict == "rejected"
    noise = np.random.default_rng(0).normal(0, 3, DIM).astype(np.float32)
    leaning = planted(lambda context: context[:, -1] + torch.as_tensor(noise))
    found = {result.id: result for result in probe(leaning, DATA, PARAMS)}["copies_last"]
    assert found.verdict == "rejected"
    assert found.numbers["cos_last"] > found.numbers["cos"]


def test_what_is_far_off_but_differs_beats_nothing_and_has_not_collapsed():
    model = planted(lambda context: -context[:, -1])
    found = {result.id: result for result in probe(model, DATA, {**PARAMS, "mse_weight": 0.0})}
    assert found["mean_vector_collapse"].verdict == "rejected"
    assert found["beats_mean_vector"].verdict == "rejected"
    assert found["beats_mean_vector"].statement.startswith(
        "The model is farther from what follows than the mean"
    )
    assert found["beats_mean_vector"].advice.startswith("Give mse_weight a value above 0")


class Halving:
    """A decoder that reads what has the length of the corpus's vectors, and loses a half of what is shorter."""

    def decoded(self, vectors):
        return np.ones((len(vectors), 3), dtype=bool)

    def round_trip(self, vectors):
        return np.where(np.linalg.norm(vectors, axis=1, keepdims=True) > 1, vectors, -vectors)


def test_predictions_are_also_decoded_at_the_length_of_the_corpus():
    length = float(np.sqrt(np.square(DATA.constants["mean"]).sum() + np.square(DATA.constants["std"]).sum()))
    assert length > 1
    model = planted(lambda context: 0.01 * context[:, -1])
    model.words = Halving()
    found = {result.id: result for result in probe(model, DATA, PARAMS)}["decoder_reads_predictions"]
    assert found.verdict == "supported"
    assert "cosine 1.000, bound 0.5; as they come -1.000" in found.statement
    assert found.advice.startswith("Raise moment_weight, or decode at the corpus's length")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"infonce_weight": 0.0}, "Give infonce_weight a value above 0, or raise variance_weight."),
        ({"mse_weight": 0.0}, "Lower temperature, or raise variance_weight"),
        ({}, "Raise infonce_weight or variance_weight."),
    ],
)
def test_nobody_is_told_to_raise_the_only_weight_there_is(given, said):
    found = {result.id: result for result in probe(MODELS["mean"](), DATA, {**PARAMS, **given})}
    assert found["mean_vector_collapse"].advice.startswith(said)


def test_without_a_decoder_its_tests_do_not_apply():
    assert verdicts("oracle")["decoder_reads_predictions"].verdict == "not_applicable"
    assert {result.id: result.verdict for result in check(DATA)}["decoder_a"] == "not_applicable"


def test_documents_that_leak_are_an_alarm():
    assert not any(result.alarm for result in check(DATA) if result.id == "split_by_document")
    leaking = replace(DATA, valid={**DATA.valid, "document": DATA.train["document"]})
    (found,) = [result for result in check(leaking) if result.id == "split_by_document"]
    assert found.alarm
    assert found.statement.startswith("12 documents stand in two splits, and 0 with the same content")
    copied = replace(DATA, valid={**DATA.train, "document": DATA.valid["document"]})
    (found,) = [result for result in check(copied) if result.id == "split_by_document"]
    assert found.alarm
    assert found.statement.startswith("0 documents stand in two splits, and 12 with the same content")


def test_targets_that_are_all_the_same_and_tiny_data_are_alarms():
    constant = {
        name: {**DATA.split(name), "target": np.ones_like(DATA.split(name)["target"])} for name in SPLITS
    }
    found = {
        r.id: r for r in check(replace(DATA, **constant, constants=statistics(constant["train"]["target"])))
    }
    assert found["moments_agree"].verdict == "rejected"
    assert found["moments_agree"].alarm
    assert "All training targets are one vector" in found["moments_agree"].statement
    tiny = {result.id: result for result in check(DATA)}["enough_data"]
    assert (tiny.verdict, tiny.alarm) == ("rejected", True)
    assert tiny.statement.startswith("240 windows to train on, at least 1000")


def test_a_decoder_that_should_be_there_is_missed_by_name():
    lost = replace(DATA, constants={**DATA.constants, "missing_decoder": np.array("mine.lsa.npz")})
    found = {result.id: result for result in check(lost)}["decoder_a"]
    assert found.alarm
    assert found.statement == "The data was encoded with lsa, whose decoder mine.lsa.npz is not beside it."


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
    assert len(shown_windows({"one": told, "two": told})) == 2  # each once, with both answers below it
    assert "one: rank 1, nearest 'Sentence 0 costs" in PICTURES["windows"].in_words(
        {"one": told, "two": told}
    )
    assert "own target nearest for 100.0%" in PICTURES["retrieval"].in_words({"one": told})
    assert told["n_in_document"].tolist() == [PER_DOCUMENT] * n
    for name, picture in PICTURES.items():
        for arms in ({"one": told}, {"one": told, "two": told, "three": told}):
            figure = picture.draw(arms)
            figure.canvas.draw()
            assert figure.axes, name
