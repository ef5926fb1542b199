"""Next-vector models: backbones that are what they are called, losses with known values, batches of many documents."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces.domains import SpaceError
from search_spaces.lvm import BACKBONES, SPACE
from tests.trainables.conftest import training
from trainables.dataset import DataError
from trainables.lvm.backbones import GRU, LSTM, Mamba2, RecurrentLayer, mamba2_parameters, n_parameters
from trainables.lvm.batches import diverse_batches
from trainables.lvm.loss import infonce, moment, variance
from trainables.lvm.model import NextVectorModel

DIM, N_CONTEXT = 12, 5


def params(**given):
    return SPACE.resolve({"hidden_dim": 8, "n_layers": 2, "n_heads": 2, "state_dim": 4, **given})


def model(**given):
    return NextVectorModel(params(**given), DIM, N_CONTEXT, seed=1)


def contexts(n=6, seed=0):
    return torch.randn(n, N_CONTEXT, DIM, generator=torch.Generator().manual_seed(seed))


# --- backbones


def test_the_lstm_is_that_of_torch():
    ours, theirs = LSTM(DIM, params(), N_CONTEXT), nn.LSTM(DIM, 8, num_layers=2, batch_first=True)
    for number, layer in enumerate(ours.layers):
        for name, parameter in layer.cell.named_parameters():
            getattr(theirs, f"{name}_l{number}").data.copy_(parameter.data)
    x = contexts()
    torch.testing.assert_close(ours(x), theirs(x)[0][:, -1])


def test_a_gru_layer_is_that_of_torch():
    ours, theirs = RecurrentLayer(nn.GRUCell(DIM, 8)), nn.GRU(DIM, 8, batch_first=True)
    for name, parameter in ours.cell.named_parameters():
        getattr(theirs, f"{name}_l0").data.copy_(parameter.data)
    x = contexts()
    torch.testing.assert_close(ours(x), theirs(x)[0])


def test_the_gru_keeps_a_residual_stream():
    gru = GRU(DIM, params(n_layers=3), N_CONTEXT)
    for layer in gru.layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    x = contexts()
    torch.testing.assert_close(gru(x), gru.into(x)[:, -1])


@pytest.mark.parametrize("sizes", [{}, {"n_layers": 4, "hidden_dim": 16, "n_heads": 4, "state_dim": 16}])
def test_mamba2_is_mamba2_and_has_the_parameters_of_its_closed_form(sizes):
    transformers = pytest.importorskip("transformers", reason="mamba2 needs the extra `vectors`")
    given = params(backbone="mamba2", **sizes)
    backbone = Mamba2(DIM, given, N_CONTEXT)
    assert isinstance(backbone.model, transformers.Mamba2Model)
    assert n_parameters(backbone) == mamba2_parameters(DIM, given)
    assert backbone(contexts()).shape == (6, given["hidden_dim"])


def test_without_transformers_mamba2_is_refused_and_nothing_stands_in_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        DataError, match=r"backbone=mamba2 needs the package transformers.* pip install 'counterp"
    ):
        model(backbone="mamba2")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_order_of_the_context_matters_to_every_backbone(backbone):
    one, x = model(backbone=backbone).eval(), contexts()
    assert not torch.allclose(one(x).raw, one(x.flip(1)).raw, atol=1e-5)


def test_sizes_that_give_no_whole_heads_are_refused():
    with pytest.raises(SpaceError, match=r"hidden_dim=10 does not give n_heads=4 heads a whole number"):
        SPACE.resolve({"backbone": "transformer", "hidden_dim": 10, "n_heads": 4})


def test_a_loss_without_a_target_is_refused():
    with pytest.raises(
        SpaceError, match=r"infonce_weight=0.0001 with batch_size=1: negatives are the other windows"
    ):
        SPACE.resolve({"batch_size": 1})
    with pytest.raises(SpaceError, match=r"mse_weight=0 and infonce_weight=0 leave nothing"):
        SPACE.resolve({"mse_weight": 0.0, "infonce_weight": 0.0})


# --- heads


def test_the_split_head_gives_a_raw_vector_and_the_same_one_on_the_unit_sphere():
    said = model()(contexts())
    torch.testing.assert_close(said.unit.norm(dim=-1), torch.ones(6))
    torch.testing.assert_close(said.raw / said.raw.norm(dim=-1, keepdim=True), said.unit)
    assert not torch.allclose(said.raw, said.unit)


def test_the_single_head_gives_one_normalised_vector():
    said = model(head="single_normalised")(contexts())
    assert torch.equal(said.raw, said.unit)


# --- losses


@pytest.mark.parametrize("n", [32, 256])
def test_the_contrast_at_random_vectors_is_two_logarithms_of_the_batch(n):
    draws = torch.randn(2, n, 20_000, generator=torch.Generator().manual_seed(3))
    unit = draws[0] / draws[0].norm(dim=-1, keepdim=True)
    none = torch.zeros(n, dtype=torch.bool)
    assert infonce(unit, draws[1], 0.07, hard=None, has_hard=none).item() == pytest.approx(
        2 * np.log(n), rel=0.01
    )


def test_a_perfect_prediction_has_no_contrastive_loss_whatever_the_norm_of_its_target():
    unit = torch.eye(8)
    assert infonce(unit, 7 * unit, 0.05, hard=None, has_hard=torch.zeros(8, dtype=torch.bool)).item() < 1e-6


def test_a_row_without_a_hard_negative_loses_nothing_to_it():
    unit, target = torch.eye(4), torch.eye(4)
    near = 0.9 * target + 0.1
    nobody, first = torch.zeros(4, dtype=torch.bool), torch.tensor([True, False, False, False])
    without = infonce(unit, target, 0.5, hard=None, has_hard=nobody)
    torch.testing.assert_close(infonce(unit, target, 0.5, hard=near, has_hard=nobody), without)
    one, two = (infonce(unit, target, 0.5, hard=scaled, has_hard=first) for scaled in (near, 3 * near))
    assert one > without
    torch.testing.assert_close(one, two)


def test_the_moment_term_is_zero_on_matching_statistics_and_not_on_others():
    raw = torch.randn(64, DIM, dtype=torch.float64)
    mean, std = raw.mean(dim=0), raw.std(dim=0, correction=0)
    assert moment(raw, mean, std).item() == pytest.approx(0.0, abs=1e-12)
    assert moment(raw + 1, mean, std).item() == pytest.approx(1.0, abs=1e-6)
    assert moment(2 * (raw - mean) + mean, mean, std).item() == pytest.approx(
        std.square().mean().item(), rel=1e-4
    )


def test_the_spread_term_reaches_zero_on_healthy_unit_vectors_and_not_on_one_vector():
    draws = torch.randn(4096, 64, generator=torch.Generator().manual_seed(0))
    unit = draws / draws.norm(dim=-1, keepdim=True)
    floor = unit.std(dim=0, correction=0)
    assert variance(unit, floor).item() < 1e-8
    assert floor.mean().item() == pytest.approx(64**-0.5, rel=0.02)
    assert variance(unit[:1].expand(32, -1), floor).item() == pytest.approx(floor.mean().item(), rel=1e-3)


def test_the_gradient_of_the_spread_is_finite_where_all_vectors_are_one():
    unit = torch.ones(8, DIM, requires_grad=True)
    variance(unit, torch.ones(DIM)).backward()
    assert torch.isfinite(unit.grad).all()


# --- batches


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    batch_size=st.integers(1, 64),
    most=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_no_document_has_more_than_its_share_and_every_window_comes_once(sizes, batch_size, most, seed):
    documents = np.repeat(np.arange(len(sizes)) * 7, sizes)
    batches = diverse_batches(documents, batch_size, most, seed, epoch=2)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(documents)))
    for rows in batches:
        assert 1 <= len(rows) <= batch_size
        assert np.bincount(documents[rows.numpy()]).max() <= most
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    again = diverse_batches(documents, batch_size, most, seed, epoch=2)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert len(diverse_batches(documents, batch_size, most, seed + 1, epoch=5)) == len(batches)


def test_another_epoch_and_another_seed_mix_otherwise():
    documents = np.repeat(np.arange(20), 9)
    first, epoch, seed = (
        torch.cat(diverse_batches(documents, 16, 4, s, e)) for s, e in ((1, 0), (1, 1), (2, 0))
    )
    assert not torch.equal(first, epoch)
    assert not torch.equal(first, seed)


def test_the_loop_trains_on_diverse_batches_unless_they_are_off():
    mixed, plain = training("lvm", max_per_doc=2), training("lvm", max_per_doc=0)
    documents = mixed.dataset.train["document"]
    assert max(np.unique(documents[rows], return_counts=True)[1].max() for rows in mixed.batches(0)) <= 2
    assert max(np.unique(documents[rows], return_counts=True)[1].max() for rows in plain.batches(0)) > 2
