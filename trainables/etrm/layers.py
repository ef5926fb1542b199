"""Layers that solver and encoders share: attention with rotary positions, SwiGLU, norms without weights.

No layer has a bias and no norm has a weight, as in the TRM code. Shapes: B samples, N tokens, D channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

EPSILON = 1e-5
ROTARY_BASE = 10_000.0
EXPANSION = 4  # of SwiGLU, before the factor 2/3 that keeps its size that of a plain MLP


def rms_norm(x: Tensor) -> Tensor:
    """Return ``x`` with the mean square of its last axis scaled to one.

    Source:
        Zhang and Sennrich 2019, Root Mean Square Layer Normalization, equation 4, without gain.
    """
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + EPSILON)


def truncated_normal(*shape: int, std: float) -> Tensor:
    """Return draws of a normal distribution cut at two standard deviations."""
    return nn.init.trunc_normal_(torch.empty(*shape), std=std, a=-2 * std, b=2 * std)


def linear(n_in: int, n_out: int) -> nn.Linear:
    """Return a linear layer without bias, initialised as LeCun does: variance one over ``n_in``."""
    layer = nn.Linear(n_in, n_out, bias=False)
    layer.weight = nn.Parameter(truncated_normal(n_out, n_in, std=n_in**-0.5))
    return layer


def rotation(n_tokens: int, head_dim: int) -> Tensor:
    """Return cosines and sines of rotary positions, ``(2, n_tokens, head_dim)``.

    Source:
        Su et al. 2021, RoFormer, equation 34.
    """
    frequency = ROTARY_BASE ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = torch.arange(n_tokens)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Return ``x`` ``(..., N, head_dim)`` turned by the angles of `rotation`."""
    first, second = x.chunk(2, dim=-1)
    return x * turn[0] + torch.cat([-second, first], dim=-1) * turn[1]


class Attention(nn.Module):
    """Multi-head attention of queries to a memory, which may be themselves.

    Args:
        dim: Channels D of queries and result.
        n_heads: Heads; D is a multiple.
        memory_dim: Channels of the memory, D when not given.
    """

    def __init__(self, dim: int, n_heads: int, memory_dim: int | None = None) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = linear(dim, dim)
        self.key_value = linear(memory_dim or dim, 2 * dim)
        self.out = linear(dim, dim)

    def forward(
        self, x: Tensor, memory: Tensor, visible: Tensor | None = None, turn: Tensor | None = None
    ) -> Tensor:
        """Return ``(B, N, D)``.

        Args:
            x: Queries, ``(B, N, D)``.
            memory: What is attended to, ``(B, M, memory_dim)``.
            visible: Which of it may be, bool ``(B, M)``, at least one each; None for all.
            turn: Rotary positions of both, from `rotation`; None for no positions.
        """
        key, value = self.key_value(memory).chunk(2, dim=-1)
        q, k, v = (self.heads(part) for part in (self.query(x), key, value))
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        mask = None if visible is None else visible[:, None, None, :]
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def heads(self, x: Tensor) -> Tensor:
        """Return ``(B, n_heads, N, head_dim)`` of ``(B, N, D)``."""
        return x.reshape(*x.shape[:-1], self.n_heads, -1).transpose(1, 2)


class SwiGLU(nn.Module):
    """A gated MLP of D channels.

    Source:
        Shazeer 2020, GLU Variants Improve Transformer, equation 6.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = 8 * math.ceil(EXPANSION * dim * 2 / 3 / 8)
        self.gate_up = linear(dim, 2 * inner)
        self.down = linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(..., D)``."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(silu(gate) * up)  # type: ignore[no-any-return]


class PostNormBlock(nn.Module):
    """Self-attention and SwiGLU, each added and then normed: ``h <- RMS(h + Attention(h))``, ``h <- RMS(h + MLP(h))``.

    Source:
        Jolicoeur-Martineau 2025, arXiv 2510.04871, the network of TRM.
    """

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(dim, n_heads)
        self.mlp = SwiGLU(dim)

    def forward(self, h: Tensor, visible: Tensor | None = None, turn: Tensor | None = None) -> Tensor:
        """Return ``(B, N, D)``; arguments as those of `Attention`."""
        h = rms_norm(h + self.attention(h, h, visible, turn))
        return rms_norm(h + self.mlp(h))


class PreNormBlock(nn.Module):
    """Self-attention and SwiGLU on normed inputs, added to the stream."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(dim, n_heads)
        self.mlp = SwiGLU(dim)

    def forward(self, h: Tensor, visible: Tensor | None = None, turn: Tensor | None = None) -> Tensor:
        """Return ``(B, N, D)``; arguments as those of `Attention`."""
        normed = rms_norm(h)
        h = h + self.attention(normed, normed, visible, turn)
        return h + self.mlp(rms_norm(h))  # type: ignore[no-any-return]
