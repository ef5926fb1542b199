"""One step of training: halted puzzles are replaced, the others go on from the carry; three terms, per-sample means.

The carry is the family's state: the solver's two states, the encoder's own where it is recurrent, and the
puzzle that every row is at. A row that has halted takes the puzzle that the batch holds for it; the batch's
other puzzles are passed over, as in the TRM code. All terms are means over samples, so that the nominal
``kl_weight`` is the real one. Source: Jolicoeur-Martineau 2025, arXiv 2510.04871, and its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from search_spaces.domains import Params
from trainables.contract import Batch, LossTerms, State
from trainables.etrm.answers import exactly_right, right_cells
from trainables.etrm.augmentation import View, draw_views, offsets, plain_views, tokens
from trainables.etrm.context_metrics import cross_sample_var, sampled_ratio, within_var
from trainables.etrm.encoders import Encoded, Memory
from trainables.etrm.model import ARCSolver, latent_shape
from trainables.etrm.stablemax import stablemax_cross_entropy

PUZZLE = ("tokens", "labels", "demos", "present")  # the puzzle of every row, as the carry holds it
ENCODER = "encoder/"  # before the names of a recurrent encoder's state


def initial_state(model: ARCSolver, n: int) -> State:
    """Return the carry of ``n`` rows that have all halted, so that the first step gives each a puzzle."""
    device = model.inner.h_start.device
    n_cells = model.inner.turn.shape[1] - model.inner.n_context
    n_demos = model.n_demonstrations
    blank = {"tokens": (n, n_cells), "labels": (n, n_cells), "demos": (n, n_demos, 2, n_cells)}
    z_h, z_l = model.inner.start(n)
    return {
        **{name: torch.zeros(shape, dtype=torch.uint8, device=device) for name, shape in blank.items()},
        "present": torch.ones(n, n_demos, dtype=torch.bool, device=device),
        "z_h": z_h.clone(),
        "z_l": z_l.clone(),
        **{ENCODER + name: value.clone() for name, value in model.encoder.start(n).items()},
        "steps": torch.zeros(n, dtype=torch.int64, device=device),
        "halted": torch.ones(n, dtype=torch.bool, device=device),
        "ended": torch.zeros(n, dtype=torch.bool, device=device),
        "last_exact": torch.zeros(n, device=device),
        "last_steps": torch.zeros(n, device=device),
    }


def draw_noise(batch: Batch, params: Params, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the draws of one step.

    Returns:
        ``colours (B, 10)``, ``symmetry (B,)`` and ``shift (B, 2)`` of the augmentation; ``least_steps (B,)``, before
        which a row may not halt; and of a variational encoder ``epsilon`` and ``epsilon_again``, both shaped as its
        latent: two passes differ in nothing else.
    """
    query = batch["query"]
    n, device = len(query), query.device
    view = draw_views(n, generator, device) if params["augment"] else plain_views(n, device)
    most = int(params["halt_max_steps"])
    explores = torch.rand(n, generator=generator, device=device) < float(params["halt_exploration_prob"])
    drawn = torch.randint(min(2, most), most + 1, (n,), generator=generator, device=device)
    latent = latent_shape(params)
    names = () if latent is None else ("epsilon", "epsilon_again")
    draws = {name: torch.randn((n, *(latent or ())), generator=generator, device=device) for name in names}
    return {**view._asdict(), "least_steps": explores * drawn, **draws}


def loss_terms(
    model: torch.nn.Module, state: State, batch: Batch, params: Mapping[str, object]
) -> tuple[LossTerms, State]:
    """Return the terms of one step and the next carry.

    Args:
        model: An `ARCSolver`.
        state: The carry.
        batch: One puzzle per row, as the data set holds it, and what `draw_noise` drew.
        params: The weights ``kl_weight`` and ``halt_weight``, and ``halt_max_steps``.
    """
    solver = cast("ARCSolver", model)
    carry = taken_up(solver, state, batch)
    tokens_now, labels = carry["tokens"].long(), carry["labels"].long()
    read = solver.encoder.read(carry["demos"].long())
    memory = {name.removeprefix(ENCODER): s for name, s in carry.items() if name.startswith(ENCODER)}
    encoded = solver.encode(read, carry["present"], batch.get("epsilon"), memory)
    z_h, z_l, logits, q = solver.inner(carry["z_h"], carry["z_l"], tokens_now, encoded.context)
    exact = exactly_right(logits.argmax(dim=-1), labels).to(q.dtype)
    terms = {
        "lm": stablemax_cross_entropy(logits, labels).mean(),
        "halt": binary_cross_entropy_with_logits(q, exact),
    }
    if encoded.mean is not None:
        terms["kl"] = kl_to_normal(encoded, carry["present"])
    weights = {"lm": 1.0, **{name: cast("float", params[f"{name}_weight"]) for name in terms if name != "lm"}}
    ended = halting(carry, q.detach(), exact, batch["least_steps"], solver.n_steps)
    states = {"z_h": z_h, "z_l": z_l} | {ENCODER + name: s for name, s in encoded.state.items()}
    again = another_context(solver, read, carry["present"], batch.get("epsilon_again"), memory, encoded)
    metrics = {
        "accuracy": right_cells(logits.argmax(dim=-1), labels).mean(),
        "exact_accuracy_at_halt": mean_where(ended["last_exact"], ended["ended"]),
        "steps": mean_where(ended["last_steps"], ended["ended"]),
        **monitors(encoded.context.detach(), again.detach()),
    }
    kept = {name: carry[name] for name in PUZZLE}
    detached = {name: value.detach() for name, value in {**states, **ended, **kept}.items()}
    return LossTerms(terms, weights, metrics), detached


def mean_where(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean of ``values (B,)`` where ``known (B,)``, a scalar; not a number where nothing is."""
    return (values * known).sum() / known.sum()


def monitors(context: Tensor, again: Tensor) -> dict[str, Tensor]:
    """Return how contexts ``(B, T, D)`` of a step differ between puzzles, and from a second draw of each."""
    return {
        "encoder_cross_sample_var": cross_sample_var(context),
        "encoder_cross_sample_ratio": sampled_ratio(context, again),
        "encoder_within_puzzle_var": within_var(context, again),
    }


def taken_up(model: ARCSolver, state: State, batch: Batch) -> State:
    """Return the carry in which every halted row has the batch's puzzle, fresh states and no steps behind it."""
    n = len(batch["query"])
    if len(state["steps"]) != n:  # the only batch of a data set that is smaller than a batch
        state = initial_state(model, n)
    fresh = puzzles(batch)
    z_h, z_l = model.inner.start(n)
    fresh |= {"z_h": z_h, "z_l": z_l, "steps": torch.zeros_like(state["steps"])}
    fresh |= {ENCODER + name: value for name, value in model.encoder.start(n).items()}
    halted = state["halted"]
    return state | {
        name: torch.where(halted.view(-1, *(1,) * (new.dim() - 1)), new, state[name])
        for name, new in fresh.items()
    }


def puzzles(batch: Batch) -> dict[str, Tensor]:
    """Return the batch's puzzles under their views: `PUZZLE`, grids as tokens."""
    view = View(*(batch[name] for name in View._fields))
    inputs, outputs = batch["demo_inputs"], batch["demo_outputs"]
    pairs = torch.stack([inputs, outputs], dim=2)
    own = torch.stack([batch["query"], batch["answer"]], dim=1)
    offset = offsets(view, torch.cat([own, pairs.flatten(1, 2)], dim=1))
    query, answer = tokens(own, view, offset).to(torch.uint8).unbind(dim=1)
    demos = tokens(pairs.flatten(1, 2), view, offset).to(torch.uint8)
    return {
        "tokens": query,
        "labels": answer,
        "demos": demos.reshape(*pairs.shape[:3], -1),
        "present": inputs[:, :, 0, 0] >= 0,
    }


def kl_to_normal(encoded: Encoded, present: Tensor) -> Tensor:
    """Return KL(q(z) || N(0, I)) in nats, summed over the latent, mean over demonstrations and samples; a scalar.

    Source:
        Kingma and Welling 2013, Auto-Encoding Variational Bayes, appendix B.
    """
    mean, log_var = encoded.mean, encoded.log_var
    assert mean is not None
    assert log_var is not None
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=-1)
    if kl.dim() == 2:
        kl = (kl * present).sum(dim=-1) / present.sum(dim=-1).clamp(min=1)
    return kl.mean()


def halting(carry: State, q: Tensor, exact: Tensor, least_steps: Tensor, most_steps: int) -> State:
    """Return ``steps`` and ``halted`` after this step, and of each row whether and how a puzzle of it has ended.

    A row halts when its value says so, but not before ``least_steps`` ``(B,)``, and at ``most_steps`` in any case.
    """
    steps = carry["steps"] + 1
    halted = (steps >= most_steps) | ((q > 0) & (steps >= least_steps))
    return {
        "steps": steps,
        "halted": halted,
        "ended": carry["ended"] | halted,
        "last_exact": torch.where(halted, exact, carry["last_exact"]),
        "last_steps": torch.where(halted, steps.to(q.dtype), carry["last_steps"]),
    }


@torch.no_grad()
def another_context(
    model: ARCSolver,
    read: Tensor,
    present: Tensor,
    epsilon: Tensor | None,
    memory: Memory,
    encoded: Encoded,
) -> Tensor:
    """Return the context ``(B, T, D)`` of a second draw; of an encoder that draws nothing, the same one."""
    if epsilon is None:
        return encoded.context
    return model.encode(read, present, epsilon, memory).context
