"""The solver, its encoders and its halting, held against formulas written out a second time."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import silu

from search_spaces.domains import SpaceError
from search_spaces.etrm import RECURRENT_ENCODERS, SPACE, VARIATIONAL_ENCODERS
from tests.trainables.conftest import TINY_SOLVER, run, small_dataset, training
from trainables.etrm import FAMILY
from trainables.etrm.encoders import ENCODERS, SMOOTHING, Encoded
from trainables.etrm.loss import ENCODER, halting, initial_state, kl_to_normal
from trainables.etrm.model import ARCSolver
from trainables.training import Training
from trainables.trial import Trial
from trainables.trial_spec import TrialSpec

SMALL = {"batch_size": 8}


def solver(**given):
    """Return a small solver in double precision whose halting value reads its state."""
    model = ARCSolver(SPACE.resolve({**TINY_SOLVER, **given}), seed=1).double()
    torch.manual_seed(3)
    torch.nn.init.normal_(model.inner.halt.weight)
    return model


def demonstrations(n=5, m=3, side=5):
    """Return random tokens ``(n, m, 2, side * side)`` with pads, and which are there."""
    generator = torch.Generator().manual_seed(5)
    demos = torch.randint(0, 12, (n, m, 2, side * side), generator=generator)
    demos[..., 0] = 2
    present = torch.rand(n, m, generator=generator) < 0.7
    present[:, 0] = True
    return torch.where(present[..., None, None], demos, 0), present


# The recursion, from the formulas of the paper: sums and loops, no module of the family.


def rms(x):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5)


def turned(x, position):
    """Return ``x (head_dim,)`` turned pairwise by its position: channel i with channel i + head_dim / 2."""
    half = len(x) // 2
    out = torch.empty_like(x)
    for i in range(half):
        angle = position * 10_000 ** (-2 * i / len(x))
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i + half] * math.cos(angle) + x[i] * math.sin(angle)
    return out


def attended(block, h, n_heads):
    """Return self-attention of one sample ``h (N, D)`` with rotary positions."""
    n, dim = h.shape
    width = dim // n_heads
    q, kv = h @ block.attention.query.weight.T, h @ block.attention.key_value.weight.T
    k, v = kv[:, :dim], kv[:, dim:]
    out = torch.zeros_like(h)
    for head in range(n_heads):
        part = slice(head * width, (head + 1) * width)
        qs = torch.stack([turned(q[i, part], i) for i in range(n)])
        ks = torch.stack([turned(k[i, part], i) for i in range(n)])
        weights = torch.softmax(qs @ ks.T / math.sqrt(width), dim=-1)
        out[:, part] = weights @ v[:, part]
    return out @ block.attention.out.weight.T


def network(model, h, injected, n_heads):
    h = h + injected
    for block in model.inner.blocks:
        h = rms(h + attended(block, h, n_heads))
        gate, up = (h @ block.mlp.gate_up.weight.T).chunk(2, dim=-1)
        h = rms(h + (silu(gate) * up) @ block.mlp.down.weight.T)
    return h


def reference_step(model, z_h, z_l, tokens, context, h_cycles, l_cycles, n_heads):
    """Return one step of one sample; the gradient flows through the last cycle alone."""
    dim = context.shape[-1]
    e = math.sqrt(dim) * torch.cat([context, model.inner.embedding.weight[tokens]])
    for cycle in range(h_cycles):
        if cycle == h_cycles - 1:
            z_h, z_l = z_h.detach(), z_l.detach()
        for _ in range(l_cycles):
            z_l = network(model, z_l, z_h + e, n_heads)
        z_h = network(model, z_h, z_l, n_heads)
    logits = z_h[context.shape[0] :] @ model.inner.head.weight.T
    return z_h, z_l, logits, z_h[0] @ model.inner.halt.weight[0] + model.inner.halt.bias[0]


@pytest.mark.parametrize(
    "sizes", [{"H_cycles": 2, "L_cycles": 2}, {"H_cycles": 3, "L_cycles": 1, "n_layers": 2}]
)
def test_one_step_of_the_solver_is_the_recursion_of_the_paper(sizes):
    model = solver(side=3, context_tokens=2, **sizes)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 12, (2, 9), generator=generator)
    context = torch.randn(2, 2, 16, generator=generator).double().requires_grad_()
    z_h, z_l = (torch.randn(2, 11, 16, generator=generator).double() for _ in range(2))
    found = model.inner(z_h, z_l, tokens, context)
    expected = [
        reference_step(model, z_h[b], z_l[b], tokens[b], context[b], sizes["H_cycles"], sizes["L_cycles"], 2)
        for b in range(2)
    ]
    for one, parts in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(one, torch.stack(parts), rtol=0, atol=1e-6)
    slope = torch.autograd.grad(found[2].square().mean() + found[3].sum(), context)[0]
    whole = torch.stack([part[2] for part in expected]).square().mean() + sum(part[3] for part in expected)
    torch.testing.assert_close(slope, torch.autograd.grad(whole, context)[0], rtol=0, atol=1e-6)
    assert float(slope.abs().max()) > 1e-3


@pytest.mark.parametrize("encoder_type", ENCODERS)
def test_absent_demonstrations_and_pads_change_no_context(encoder_type):
    model = solver(encoder_type=encoder_type)
    demos, present = demonstrations()
    context = model.contexts(demos, present).context
    other = torch.where(present[..., None, None], demos, 7)
    torch.testing.assert_close(model.contexts(other, present).context, context)
    assert context.shape == (4, 5, 16, 16)
    assert torch.isfinite(context).all()
    changed = demos.clone()
    changed[:, 0, 1, 0] = 3
    assert not torch.allclose(model.contexts(changed, present).context, context)


@pytest.mark.parametrize("encoder_type", ["standard", "hybrid_standard", *RECURRENT_ENCODERS])
def test_encoders_that_end_in_a_norm_give_tokens_of_norm_sqrt_d(encoder_type):
    demos, present = demonstrations()
    norms = solver(encoder_type=encoder_type).contexts(demos, present).context.norm(dim=-1)
    torch.testing.assert_close(norms, torch.full_like(norms, 4.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("encoder_type", RECURRENT_ENCODERS)
def test_a_recurrent_encoder_moves_a_tenth_of_the_way_at_every_step(encoder_type):
    model = solver(encoder_type=encoder_type)
    demos, present = demonstrations()
    read, start = model.encoder.read(demos), model.encoder.start(5)
    after = model.encode(read, present, None, start).state
    key = next(iter(start))
    target = (after[key] - SMOOTHING * start[key]) / (1 - SMOOTHING)
    torch.testing.assert_close(
        target.square().mean(dim=-1), torch.ones_like(target[..., 0]), rtol=1e-3, atol=0
    )
    contexts = model.contexts(demos, present).context
    assert all(not torch.allclose(a, b) for a, b in pairwise(contexts))


def test_the_latents_of_a_puzzle_are_drawn_around_its_mean():
    demos, present = demonstrations()
    for encoder_type in VARIATIONAL_ENCODERS:
        model = solver(encoder_type=encoder_type)
        at_mean = model.contexts(demos, present)
        epsilon = torch.randn(model.noise_shape(5), generator=torch.Generator().manual_seed(1)).double()
        drawn = model.contexts(demos, present, epsilon)
        torch.testing.assert_close(drawn.mean, at_mean.mean)
        assert torch.equal(drawn.log_var, torch.zeros_like(drawn.log_var))
        still = model.contexts(demos, present, torch.zeros_like(epsilon))
        torch.testing.assert_close(still.context, at_mean.context)
        assert not torch.allclose(drawn.context, at_mean.context)


@pytest.mark.parametrize("encoder_type", VARIATIONAL_ENCODERS)
def test_within_puzzle_variance_is_twice_the_sampling_variance(encoder_type):
    model = solver(encoder_type=encoder_type)
    torch.nn.init.normal_(model.encoder.latent.log_var.bias)
    demos, present = demonstrations()
    generator = torch.Generator().manual_seed(2)
    n = 3000
    draws = torch.randn(2, n, *model.noise_shape(5)[1:], generator=generator).double()
    read, there = model.encoder.read(demos[:1]).expand(n, -1, -1), present[:1].expand(n, -1)
    first, second = (model.encode(read, there, epsilon, {}).context for epsilon in draws)
    spread = model.contexts(demos[:1], present[:1]).log_var.exp()
    if spread.dim() == 3:  # a mean over the demonstrations that are there
        spread = (spread * present[:1, :, None]).sum(dim=1) / present[:1].sum() ** 2
    closed_form = (model.encoder.out.weight.square() @ spread[0]).mean()
    within = (first - second).detach().square().mean()
    assert float(within) == pytest.approx(2 * float(closed_form.detach()), rel=0.05)


@pytest.mark.parametrize("shape", [(5, 4), (5, 3, 4)])
def test_the_kl_is_that_of_the_normal_distributions(shape):
    generator = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(2, *shape, generator=generator)
    present = torch.tensor([[True, True, False]] * 5)
    exact = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(dim=-1)
    expected = exact.mean() if len(shape) == 2 else exact[:, :2].mean()
    torch.testing.assert_close(kl_to_normal(Encoded(mean, mean, log_var, {}), present), expected)


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.7])
def test_exploration_delays_halting_as_often_as_its_closed_form_says(probability):
    n, most = 20_000, 6
    params = SPACE.resolve({"halt_max_steps": most, "halt_exploration_prob": probability})
    generator = torch.Generator().manual_seed(0)
    batch = {"query": torch.zeros(n, 2, 2)}
    carry = {name: torch.zeros(n) for name in ("steps", "last_exact", "last_steps")} | {
        "ended": torch.zeros(n) > 0
    }
    going, alive, expected = torch.ones(n, dtype=torch.bool), 1.0, []
    for step in range(1, most + 1):
        least = FAMILY.noise(batch, params, generator)["least_steps"]
        carry |= halting(carry, torch.ones(n), torch.ones(n), least, most)
        # a draw from 2..most delays step s when it is above s
        expected.append(alive * (1 - probability * (most - step) / (most - 1)))
        alive -= expected[-1]
        share = float((going & carry["halted"]).float().mean())
        assert share == pytest.approx(expected[-1], abs=0.012)
        going &= ~carry["halted"]
    assert not bool(going.any())


def test_nothing_halts_while_its_value_is_below_zero_and_everything_at_the_last_step():
    carry = {"steps": torch.tensor([0, 1, 2]), "last_exact": torch.zeros(3), "last_steps": torch.zeros(3)}
    carry["ended"] = torch.tensor([False, False, False])
    after = halting(carry, torch.tensor([-1.0, 1.0, -1.0]), torch.tensor([1.0, 0.0, 1.0]), torch.zeros(3), 3)
    assert after["halted"].tolist() == [False, True, True]
    assert after["last_steps"].tolist() == [0.0, 2.0, 3.0]
    assert after["last_exact"].tolist() == [0.0, 0.0, 1.0]
    assert after["ended"].tolist() == [False, True, True]


def test_steps_to_halting_are_those_of_puzzles_that_have_ended():
    metrics = run(training("etrm", epochs=1, halt_exploration_prob=1.0, passes_per_epoch=6, **SMALL))[0]
    assert metrics["train/steps"] == 4.0, "nothing halts before the last step so early in training"


def one_batch(params, dataset, start=0):
    rows = slice(start, start + int(params["batch_size"]))
    batch = {name: torch.as_tensor(array[rows]) for name, array in dataset.train.items()}
    return batch | FAMILY.noise(batch, params, torch.Generator().manual_seed(start))


def test_a_halted_row_takes_a_new_puzzle_and_the_others_go_on():
    one = training("etrm", **SMALL)
    params, state = one.spec.params, initial_state(one.model, 8)
    _, first = FAMILY.loss(one.model, state, one_batch(params, one.dataset), params)
    halted = torch.arange(8) % 2 == 0
    _, second = FAMILY.loss(
        one.model, {**first, "halted": halted}, one_batch(params, one.dataset, start=8), params
    )
    assert second["steps"].tolist() == [1 if is_halted else 2 for is_halted in halted]
    for name in ("tokens", "labels", "demos", "present"):
        assert torch.equal(second[name][~halted], first[name][~halted])
    assert not torch.equal(second["tokens"][halted], first["tokens"][halted])
    _, fresh = FAMILY.loss(one.model, state, one_batch(params, one.dataset, start=8), params)
    torch.testing.assert_close(second["z_h"][halted], fresh["z_h"][halted])


QUICK = ("standard", "hybrid_variational")
EVERY = [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in ENCODERS]


@pytest.mark.parametrize("encoder_type", EVERY)
def test_every_encoder_parameter_learns_and_only_a_variational_one_varies_within_a_puzzle(encoder_type):
    one = training("etrm", epochs=1, encoder_type=encoder_type, **SMALL)
    metrics = run(one)[0]
    assert metrics["frac_params_with_grad/encoder"] == 1.0
    within = metrics["train/encoder_within_puzzle_var"]
    assert within > 0.01 if encoder_type in VARIATIONAL_ENCODERS else within == 0
    assert ("train/kl" in metrics) == (encoder_type in VARIATIONAL_ENCODERS)
    carried = any(name.startswith(ENCODER) for name in one.state)
    assert carried == (encoder_type in RECURRENT_ENCODERS)


@pytest.mark.slow
@pytest.mark.parametrize("encoder_type", RECURRENT_ENCODERS)
def test_a_detached_context_never_trains_its_encoder_and_the_guard_says_so(encoder_type, tmp_path):
    given = {**SMALL, "encoder_type": encoder_type, "detached_context": True}
    one = training("etrm", epochs=9, folder=tmp_path, **given)
    trial = Trial(replace(one.spec, guards=FAMILY.guards), lambda: one.dataset)
    while not (said := trial.advance())["done"]:
        pass
    assert said["state"] == "collapsed"
    assert said["guard"] == "frac_params_with_grad/encoder < 1 for 2 epochs"
    assert said["guard_epoch"] == 2
    before = training("etrm", **given).model.encoder.state_dict()
    after = trial.training.model.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_solver_is_left_alone_while_it_is_frozen_and_the_encoder_is_not():
    dataset = small_dataset("etrm")
    one = training("etrm", freeze_decoder_steps=3, augment=False, **SMALL)
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    for step in range(4):
        batch = {name: torch.as_tensor(array[:8]) for name, array in dataset.train.items()}
        one.model.train()
        one.train_step(batch, [], step)
        moved = {
            name for name, value in one.model.state_dict().items() if not torch.equal(value, before[name])
        }
        assert any(name.startswith("encoder.") for name in moved)
        assert any(name.startswith("inner.") for name in moved) == (step == 3)


def test_the_encoder_learns_at_its_own_rate():
    steps = {}
    for scale in (1.0, 10.0):
        one = training("etrm", encoder_lr_scale=scale, clip_norm=0.0, augment=False, **SMALL)
        before = {name: value.clone() for name, value in one.model.named_parameters()}
        batch = {name: values[:8] for name, values in one.splits["train"].items()}
        one.train_step(batch, [], 1)
        after = dict(one.model.named_parameters())
        moved = {name: (after[name] - before[name]).detach() for name in before}
        steps[scale] = {name: float(move.abs().max()) for name, move in moved.items()}
    for name, step in steps[1.0].items():
        factor = 10.0 if name.startswith("encoder.") else 1.0
        assert steps[10.0][name] == pytest.approx(factor * step, rel=1e-3)


def test_the_loss_is_a_mean_over_samples_so_that_weights_mean_what_they_say():
    one = training("etrm", encoder_type="hybrid_variational", augment=False, **SMALL)
    params = one.spec.params
    batch = one_batch(params, one.dataset)
    twice = {name: torch.cat([values, values]) for name, values in batch.items()}
    single, _ = FAMILY.loss(one.model, initial_state(one.model, 8), batch, params)
    double, _ = FAMILY.loss(one.model, initial_state(one.model, 16), twice, params)
    assert set(single.terms) == {"lm", "halt", "kl"}
    for name, term in single.terms.items():
        torch.testing.assert_close(double.terms[name], term, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_control_learns_real_puzzles_by_heart_which_copying_does_not():
    params = SPACE.resolve(
        {
            "side": 5,
            "n_puzzles": 5,
            "augment": False,
            "batch_size": 6,
            "lr_schedule": "cosine",
            "passes_per_epoch": 60,
            "n_views": 1,
            "ema_decay": 0.95,
        }
    )
    dataset = FAMILY.load_data(params, None)
    spec = TrialSpec("trial", "etrm", params, 1, 10, "train_eval/exact_accuracy", "max", Path())
    history = run(Training(FAMILY, spec, dataset))
    assert dataset.baselines["copy/train_eval/exact_accuracy"] == 0
    assert history[0]["train_eval/exact_accuracy"] <= 0.4
    assert history[-1]["train_eval/exact_accuracy"] >= 0.8
    assert history[-1]["train_eval/copy_rate"] == 0


def test_the_published_size_is_one_preset_away():
    params = SPACE.resolve({"preset": "trm", "batch_size": 4})
    sizes = [params[name] for name in ("hidden_dim", "n_heads", "n_layers", "H_cycles", "halt_max_steps")]
    assert sizes == [512, 8, 2, 3, 16]
    assert params["batch_size"] == 4
    assert SPACE.resolve({"preset": "trm"})["batch_size"] == 32
    assert SPACE.resolve({})["hidden_dim"] == 64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden_dim": 60, "n_heads": 8}, r"hidden_dim=60 does not give n_heads=8.*multiple of 16"),
        (
            {"detached_context": True},
            r"detached_context=True reads the context.*recurrent_standard or trm_style",
        ),
        ({"preset": "tiny"}, r"preset='tiny' is not an option.*cpu, trm"),
        ({"kl_weight": -1.0}, r"kl_weight=-1 is below 0. A weight on a loss term cannot be negative"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.resolve(given)
