"""A next-vector model behind requests: what the trained model says, and a sentence for what it cannot read."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from search_spaces.lvm import SPACE
from trainables.lvm.model import NextVectorModel
from trainables.lvm.serving import serving
from trainables.serving import SERVING_FILE, WEIGHTS_FILE, Serving

DIM, N_CONTEXT = 12, 5
SIZES = {"hidden_dim": 8, "n_layers": 1, "n_heads": 2, "state_dim": 4}


def written(folder, **given):
    """Write what a trial leaves for whoever serves it; return the model behind it."""
    params = SPACE.resolve({**SIZES, **given})
    model = NextVectorModel(params, DIM, N_CONTEXT, seed=3).eval()
    torch.save({"params": params, "weights": model.state_dict()}, folder / WEIGHTS_FILE)
    train = {"context": np.zeros((7, N_CONTEXT, DIM), np.float32)}
    serving(params, SimpleNamespace(train=train)).write(folder)
    return model


def server(folder):
    """Return the script's model as MLflow makes it."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import PythonModelContext

    from trainables.lvm.served import NextVectorServer

    artifacts = {"serving": str(folder / SERVING_FILE), "weights": str(folder / WEIGHTS_FILE)}
    made = NextVectorServer()
    made.load_context(PythonModelContext(artifacts, None))

    def ask(vectors, **params):
        return made.predict(None, vectors, params)

    def refused(vectors, **params):
        with pytest.raises(MlflowException) as error:
            made.predict(None, vectors, params)
        assert error.value.get_http_status_code() == 400
        return error.value.message

    return SimpleNamespace(ask=ask, refused=refused)


def contexts(n=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, N_CONTEXT, DIM)).astype(np.float32)


@pytest.fixture
def served(tmp_path):
    model = written(tmp_path)
    return SimpleNamespace(model=model, **vars(server(tmp_path)))


@pytest.mark.parametrize("backbone", ["lstm", "gru", "transformer", "mamba2"])
def test_a_server_says_what_the_trained_model_says(backbone, tmp_path):
    if backbone == "mamba2":
        pytest.importorskip("transformers", reason="mamba2 needs the extra `vectors`")
    model, asked = written(tmp_path, backbone=backbone), server(tmp_path)
    with torch.no_grad():
        said = model(torch.from_numpy(contexts()))
    np.testing.assert_allclose(asked.ask(contexts()), said.raw.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        asked.ask(contexts(), output_type="cosine"), said.unit.numpy(), rtol=1e-5, atol=1e-6
    )


def test_the_two_outputs_are_one_vector_at_two_lengths(served):
    raw, unit = served.ask(contexts(), output_type="decoder"), served.ask(contexts(), output_type="cosine")
    assert raw.dtype == unit.dtype == np.float32
    assert raw.shape == unit.shape == (6, DIM)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(raw / lengths, unit, rtol=1e-4, atol=1e-6)
    assert (np.abs(lengths - 1) > 1e-3).all()


def test_the_single_head_has_one_output_only(tmp_path):
    written(tmp_path, head="single_normalised")
    asked = server(tmp_path)
    np.testing.assert_array_equal(asked.ask(contexts()), asked.ask(contexts(), output_type="cosine"))


def test_lists_are_taken_like_arrays_and_nothing_of_a_request_is_changed(served):
    given = contexts()
    kept = given.copy()
    np.testing.assert_array_equal(served.ask(given.tolist()), served.ask(given))
    np.testing.assert_array_equal(given, kept)


def test_many_threads_get_the_answers_of_one(served):
    batches = [contexts(n=3, seed=seed) for seed in range(64)]
    alone = [served.ask(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(served.ask, batches))
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, N_CONTEXT, DIM + 1), r"has the shape (2, 5, 13); this model takes (n, 5, 12)"),
        ((2, N_CONTEXT - 1, DIM), r"has the shape (2, 4, 12); this model takes (n, 5, 12)"),
        ((N_CONTEXT, DIM), r"has the shape (5, 12); this model takes (n, 5, 12)"),
        ((), r"has the shape (); this model takes (n, 5, 12)"),
        ((0, N_CONTEXT, DIM), r"has no row. Send at least one: this model takes (n, 5, 12)"),
    ],
)
def test_another_shape_is_refused_with_the_one_that_is_taken(served, shape, said):
    assert said in served.refused(np.zeros(shape, np.float32))


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused_with_its_row(served, broken):
    given = contexts()
    given[[2, 4], 1, 3] = broken
    assert (
        "Row 2 of the input, counted from 0, has a value that is NaN or infinite (2 of 6 rows"
        in served.refused(given)
    )


def test_what_is_no_array_is_refused(served):
    assert "The input is no array of numbers (n, 5, 12)" in served.refused([[1.0], [2.0, 3.0]])
    assert "The input is no array of numbers (n, 5, 12)" in served.refused("words")


def test_an_output_that_does_not_exist_is_refused_with_those_that_do(served):
    said = served.refused(contexts(), output_type="cosin")
    assert said == "output_type='cosin' is not an output. It takes decoder or cosine."


def test_what_a_trial_leaves_is_read_as_it_was_written(tmp_path):
    written(tmp_path, backbone="gru")
    said = Serving.read(tmp_path / SERVING_FILE)
    assert (said.input_shape, said.output_shape) == ((-1, N_CONTEXT, DIM), (-1, DIM))
    assert said.parameters == {"output_type": ("decoder", "cosine")}
    assert said.facts == {
        "params": SPACE.resolve({**SIZES, "backbone": "gru"}),
        "dim": DIM,
        "n_context": N_CONTEXT,
    }


def test_only_mamba2_needs_transformers():
    train = {"context": np.zeros((1, N_CONTEXT, DIM), np.float32)}
    needed = {
        backbone: serving(
            SPACE.resolve({**SIZES, "backbone": backbone}), SimpleNamespace(train=train)
        ).requirements
        for backbone in ("gru", "mamba2")
    }
    assert needed == {
        "gru": ("numpy", "pyyaml", "torch"),
        "mamba2": ("numpy", "pyyaml", "torch", "transformers"),
    }
