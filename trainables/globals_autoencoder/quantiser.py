"""Vector quantisation with codes that stay alive.

Codes start from data: after the first step every code is an encoding of the first batch. A code whose
moving usage falls under a threshold is moved onto a fresh encoding. Without this, codes that are never
nearest get no gradient and stay where they are for ever (van den Oord 2017, section 3; restarts as in
Dhariwal 2020, section 3.1). Usage and candidates are state that goes in and out, so that a step stays
a pure function of its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.domains import Params
from trainables.contract import State


@dataclass(frozen=True)
class Quantised:
    """Encodings and the codes that replace them.

    Args:
        encoded: Encodings, ``(B, S, d)``.
        latents: Codes with the encodings' gradient (straight-through), ``(B, S, d)``.
        chosen: Codes with their own gradient, ``(B, S, d)``.
        codes: Index of each token's code, ``(B, S)``.
    """

    encoded: Tensor
    latents: Tensor
    chosen: Tensor
    codes: Tensor


class VectorQuantiser(nn.Module):
    """Replaces each encoding by its nearest code.

    Args:
        codebook_size: Number of codes K.
        dim: Width d of a code.
        learn_codes: Whether codes follow the gradient of the codebook term; else `update_codes` moves them.
    """

    def __init__(self, codebook_size: int, dim: int, *, learn_codes: bool) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codebook_size, dim), requires_grad=learn_codes)

    def forward(self, encoded: Tensor) -> Quantised:
        """Return the nearest codes of encodings ``(B, S, d)``."""
        with torch.no_grad():
            half_norms = 0.5 * self.codebook.square().sum(dim=-1)
            codes = (encoded @ self.codebook.T - half_norms).argmax(dim=-1)
        chosen = functional.embedding(codes, self.codebook)
        return Quantised(encoded, encoded + (chosen - encoded).detach(), chosen, codes)


def initial_state(params: Params) -> State:
    """Return no usage and no candidates: ``usage (K,)``, ``candidates (K, d)``; ``code_sum (K, d)`` for averages."""
    size, dim = int(params["codebook_size"]), int(params["latent_dim"])
    state = {"usage": torch.zeros(size), "candidates": torch.zeros(size, dim)}
    return state | ({"code_sum": torch.zeros(size, dim)} if params["vq_update"] == "ema" else {})


def next_state(quantised: Quantised, mask: Tensor, state: State, params: Mapping[str, object]) -> State:
    """Return the state after a batch: moving counts and sums per code, and its real tokens as candidates.

    Args:
        quantised: The batch's codes.
        mask: Real tokens, ``(B, S)``.
        state: State before the batch.
        params: ``vq_decay``.
    """
    size = state["usage"].shape[0]
    flat, codes = quantised.encoded.detach().flatten(0, 1), quantised.codes.flatten()
    real = mask.flatten()
    order = torch.argsort(real.to(torch.int8), descending=True, stable=True)
    first_real = torch.arange(size, device=flat.device) % real.sum().clamp(min=1)
    counts = torch.zeros_like(state["usage"]).index_add(0, codes, real.to(flat.dtype))
    decay = cast(Tensor, params["vq_decay"])
    updated = {"usage": decay * state["usage"] + (1 - decay) * counts, "candidates": flat[order[first_real]]}
    if "code_sum" in state:
        sums = torch.zeros_like(state["code_sum"]).index_add(0, codes, flat * real.unsqueeze(-1))
        updated["code_sum"] = decay * state["code_sum"] + (1 - decay) * sums
    return updated


@torch.no_grad()
def update_codes(quantiser: VectorQuantiser, state: State, params: Params, step: int) -> State:
    """Return the state after moving codes (``vq_update=ema``) and restarting dead ones, in place.

    Args:
        quantiser: Its codebook is changed.
        state: State after optimiser step ``step``.
        params: ``vq_update``, ``vq_restart_every``, ``vq_restart_threshold``.
        step: Optimiser step, from 1; the first one starts all codes from data.
    """
    usage, code_sum = state["usage"], state.get("code_sum")
    if code_sum is not None:
        means = code_sum / usage.clamp(min=1e-5).unsqueeze(-1)
        quantiser.codebook.copy_(torch.where((usage > 1e-5).unsqueeze(-1), means, quantiser.codebook))
    every = int(params["vq_restart_every"])
    if step > 1 and (every == 0 or step % every):
        return state
    uniform = usage.mean()
    least = float(params["vq_restart_threshold"]) * uniform
    dead = usage < least if step > 1 else torch.ones_like(usage, dtype=torch.bool)
    rows = dead.unsqueeze(-1)
    quantiser.codebook.copy_(torch.where(rows, state["candidates"], quantiser.codebook))
    restarted = {"usage": torch.where(dead, uniform, usage), "candidates": state["candidates"]}
    if code_sum is not None:
        restarted["code_sum"] = torch.where(rows, state["candidates"] * uniform, code_sum)
    return restarted
