"""The event autoencoder: token encoder, bottleneck, token decoder, globals head.

Shapes: B events, S slots, F = 5 continuous features, d = latent_dim. Direct children of the model are
the modules that gradient accounting names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.domains import Params
from trainables.contract import Batch
from trainables.dataset import Array
from trainables.globals_autoencoder.quantiser import Quantised, VectorQuantiser

N_FEATURES = 5
N_IDS = 8
N_GLOBALS = 3


@dataclass(frozen=True)
class Reconstruction:
    """What one pass gives.

    Args:
        tokens: Rebuilt standardised features, ``(B, S, F)``.
        globals: Rebuilt standardised globals, ``(B, 3)``.
        latents: What decoder and head read, ``(B, S, d)``.
        quantised: Codes and their distances, None without a codebook.
    """

    tokens: Tensor
    globals: Tensor
    latents: Tensor
    quantised: Quantised | None


def mlp(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """Return two hidden GELU layers of width ``hidden``."""
    return nn.Sequential(
        nn.Linear(n_in, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, n_out)
    )


class AttentionBlock(nn.Module):
    """Pre-norm self-attention and MLP over the tokens of an event; padding is never attended to.

    Args:
        dim: Width of the tokens.
        heads: Number of heads; must divide ``dim``.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return tokens ``(B, S, dim)`` that have seen the real tokens of ``mask`` ``(B, S)``."""
        n, slots, dim = tokens.shape
        qkv = self.qkv(self.norm_attention(tokens)).reshape(n, slots, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        seen = scores.softmax(dim=-1) @ value
        tokens = tokens + self.out(seen.transpose(1, 2).reshape(n, slots, dim))
        changed: Tensor = self.mlp(self.norm_mlp(tokens))
        return tokens + changed


class Encoder(nn.Module):
    """Token features and object id to a latent, each token by itself or after ``mixing`` with its event."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        hidden, heads = int(params["hidden_dim"]), int(params["mixing_heads"])
        self.ids = nn.Embedding(N_IDS, int(params["id_dim"]))
        self.mlp = mlp(N_FEATURES + int(params["id_dim"]), hidden, int(params["latent_dim"]))
        mixes = params["mixing"] == "attention"
        self.mixing = nn.ModuleList(AttentionBlock(hidden, heads) for _ in range(2 if mixes else 0))

    def forward(self, continuous: Tensor, obj: Tensor, mask: Tensor) -> Tensor:
        """Return latents ``(B, S, d)`` of features ``(B, S, F)`` and ids ``(B, S)``."""
        tokens = torch.cat([continuous, self.ids(obj)], dim=-1)
        first, last = self.mlp[:4], self.mlp[4]
        tokens = first(tokens)
        for block in self.mixing:
            tokens = block(tokens, mask)
        latents: Tensor = last(tokens)
        return latents


class GlobalsHead(nn.Module):
    """The masked mean of the latents to the standardised globals."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        width = int(params["globals_hidden_dim"])
        self.mlp = nn.Sequential(
            nn.Linear(int(params["latent_dim"]), width), nn.GELU(), nn.Linear(width, N_GLOBALS)
        )

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Return globals ``(B, 3)`` from latents ``(B, S, d)`` and mask ``(B, S)``."""
        real = mask.unsqueeze(-1).to(latents.dtype)
        mean = (latents * real).sum(dim=1) / real.sum(dim=1).clamp(min=1.0)
        rebuilt: Tensor = self.mlp(mean)
        return rebuilt


class EventAutoencoder(nn.Module):
    """Encoder, bottleneck, decoder and globals head of one cell.

    Args:
        params: Resolved parameters of the family.
        constants: ``globals_mean`` and ``globals_std`` ``(3,)``, kept with the weights to undo standardisation.
        seed: Seed of the initialisation. The bottleneck is drawn last, so that cells which differ in it alone
            start from the same encoder, decoder and head.
    """

    globals_mean: Tensor
    globals_std: Tensor

    def __init__(self, params: Params, constants: Mapping[str, Array], seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        dim = int(params["latent_dim"])
        self.encoder = Encoder(params)
        self.decoder = mlp(dim, int(params["hidden_dim"]), N_FEATURES)
        self.globals_head = GlobalsHead(params)
        self.bottleneck = bottleneck(params, dim)
        for name in ("globals_mean", "globals_std"):
            self.register_buffer(name, torch.as_tensor(constants[name]).clone())

    def forward(self, batch: Batch) -> Reconstruction:
        """Return the reconstruction of a batch with ``continuous``, ``obj`` and ``mask``."""
        encoded = self.encoder(batch["continuous"], batch["obj"], batch["mask"])
        quantised = None
        if isinstance(self.bottleneck, VectorQuantiser):
            quantised = self.bottleneck(encoded)
            latents = quantised.latents
        else:
            latents = self.bottleneck(encoded)
        return Reconstruction(
            self.decoder(latents), self.globals_head(latents, batch["mask"]), latents, quantised
        )


def bottleneck(params: Params, dim: int) -> nn.Module:
    """Return the module between encoder and decoder that ``latent_space`` names."""
    if params["latent_space"] == "vq":
        return VectorQuantiser(
            int(params["codebook_size"]), dim, learn_codes=params["vq_update"] == "gradient"
        )
    return nn.Linear(dim, dim) if params["latent_space"] == "linear" else nn.Identity()
