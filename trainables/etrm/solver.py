"""The solver: a tiny network applied over and over to two states, with a value that says when to stop.

Source: Jolicoeur-Martineau 2025, Less is More: Recursive Reasoning with Tiny Networks, arXiv 2510.04871. In
place of an embedding per puzzle it reads a context of P tokens, before the S tokens of the grid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from search_spaces.domains import Params
from trainables.etrm.layers import PostNormBlock, linear, rotation, truncated_normal

VOCABULARY = 12  # 0 pad, 1 end, 2..11 the ten colours
HALT_BIAS = -5.0  # nothing halts before it has learnt to


class Solver(nn.Module):
    """The recursion over ``z_H`` and ``z_L``, each ``(B, P + S, D)``.

    Args:
        params: Sizes; see `search_spaces.etrm`.
    """

    h_start: Tensor
    l_start: Tensor
    turn: Tensor

    def __init__(self, params: Params) -> None:
        super().__init__()
        dim, heads = int(params["hidden_dim"]), int(params["n_heads"])
        self.n_context = int(params["context_tokens"])
        self.h_cycles, self.l_cycles = int(params["H_cycles"]), int(params["L_cycles"])
        self.embedding = nn.Embedding(VOCABULARY, dim)
        self.embedding.weight = nn.Parameter(truncated_normal(VOCABULARY, dim, std=dim**-0.5))
        self.blocks = nn.ModuleList(PostNormBlock(dim, heads) for _ in range(int(params["n_layers"])))
        self.head = linear(dim, VOCABULARY)
        self.halt = nn.Linear(dim, 1)
        nn.init.zeros_(self.halt.weight)
        nn.init.constant_(self.halt.bias, HALT_BIAS)
        n_tokens = self.n_context + int(params["side"]) ** 2
        self.register_buffer("turn", rotation(n_tokens, dim // heads), persistent=False)
        self.register_buffer("h_start", truncated_normal(dim, std=1.0))
        self.register_buffer("l_start", truncated_normal(dim, std=1.0))

    def start(self, n: int) -> tuple[Tensor, Tensor]:
        """Return fresh states ``z_H`` and ``z_L`` of ``n`` samples."""
        shape = (n, self.turn.shape[1], len(self.h_start))
        return self.h_start.expand(shape), self.l_start.expand(shape)

    def forward(
        self, z_h: Tensor, z_l: Tensor, tokens: Tensor, context: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Take one step: ``H_cycles`` updates, of which the last one alone is differentiated.

        Args:
            z_h: ``(B, P + S, D)``.
            z_l: ``(B, P + S, D)``.
            tokens: The query's grid, integer ``(B, S)``.
            context: ``(B, P, D)``.

        Returns:
            New ``z_H`` and ``z_L``, logits ``(B, S, 12)``, and halting values ``(B,)``, above 0 for halt.
        """
        scale = math.sqrt(context.shape[-1])
        e = scale * torch.cat([context, self.embedding(tokens)], dim=-2)
        with torch.no_grad():
            for _ in range(self.h_cycles - 1):
                z_h, z_l = self.cycle(z_h, z_l, e)
        z_h, z_l = self.cycle(z_h, z_l, e)
        return z_h, z_l, self.head(z_h[:, self.n_context :]), self.halt(z_h[:, 0])[:, 0]

    def cycle(self, z_h: Tensor, z_l: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states after ``L_cycles`` updates of ``z_L`` and one of ``z_H``."""
        for _ in range(self.l_cycles):
            z_l = self.network(z_l, z_h + e)
        return self.network(z_h, z_l), z_l

    def network(self, h: Tensor, injected: Tensor) -> Tensor:
        """Return ``f(h, injected)``, the one network of both updates."""
        h = h + injected
        for block in self.blocks:
            h = block(h, None, self.turn)
        return h
