"""The seven encoders: demonstrations of a puzzle become a context of T tokens.

All of them read one demonstration at a time and then gather the demonstrations; they differ in how they do
either, and in whether a latent is drawn in between or a state lives on over the solver's steps. Shapes: B
samples, M demonstrations, S cells of a grid, E encoder channels, D solver channels, L latent dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.domains import Params
from search_spaces.etrm import RECURRENT_ENCODERS
from trainables.etrm.layers import (
    Attention,
    PostNormBlock,
    PreNormBlock,
    SwiGLU,
    linear,
    rms_norm,
    truncated_normal,
)
from trainables.etrm.solver import VOCABULARY

LOG_VAR_BOUND = 10.0
SMOOTHING = 0.9  # share of the old state that a recurrent encoder keeps at every step

Memory = dict[str, Tensor]


class Encoded(NamedTuple):
    """What an encoder makes of the demonstrations at one step of the solver.

    Args:
        context: ``(B, T, D)``.
        mean: Mean of the latent, ``(B, L)`` or ``(B, M, L)``; None without one.
        log_var: Logarithm of its variance, shaped as the mean.
        state: What a recurrent encoder takes to the next step, ``(B, T, D)`` each; empty without one.
    """

    context: Tensor
    mean: Tensor | None
    log_var: Tensor | None
    state: Memory


class DemonstrationReader(nn.Module):
    """One vector per demonstration from the cells of its two grids.

    Args:
        params: Sizes.
        pooled: Masked mean over the cells after post-norm blocks, else the CLS token after pre-norm blocks.
    """

    def __init__(self, params: Params, *, pooled: bool) -> None:
        super().__init__()
        dim, side = int(params["encoder_dim"]), int(params["side"])
        self.side, self.pooled = side, pooled
        std = dim**-0.5
        self.colour = nn.Parameter(truncated_normal(VOCABULARY, dim, std=std))
        self.row = nn.Parameter(truncated_normal(side, dim, std=std))
        self.column = nn.Parameter(truncated_normal(side, dim, std=std))
        self.channel = nn.Parameter(truncated_normal(2, dim, std=std))
        if not pooled:
            self.cls = nn.Parameter(truncated_normal(1, dim, std=std))
        block = PostNormBlock if pooled else PreNormBlock
        layers = int(params["encoder_num_layers"])
        self.blocks = nn.ModuleList(block(dim, int(params["encoder_heads"])) for _ in range(layers))

    def forward(self, demos: Tensor) -> Tensor:
        """Return ``(B, M, E)`` of tokens ``(B, M, 2, S)``; of an absent demonstration it means nothing."""
        cells = demos.flatten(0, 1)
        place = (self.row[:, None] + self.column[None]).flatten(0, 1)
        h = (self.colour[cells] + place + self.channel[:, None]).flatten(1, 2) * self.row.shape[-1] ** 0.5
        visible = (cells != 0).flatten(1)
        if self.pooled:
            some = visible | ~visible.any(dim=1, keepdim=True)  # attention to nothing is not a number
            for block in self.blocks:
                h = block(h, some)
            weight = visible.to(h.dtype).unsqueeze(-1)
            read = (h * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        else:
            h = torch.cat([self.cls.expand(len(h), 1, -1), h], dim=1)
            visible = torch.cat([torch.ones_like(visible[:, :1]), visible], dim=1)
            for block in self.blocks:
                h = block(h, visible)
            read = rms_norm(h[:, 0])
        vectors: Tensor = read.reshape(*demos.shape[:2], -1)
        return vectors


class QueryAttention(nn.Module):
    """T learnt queries, each attending the demonstrations: ``(B, M, E)`` becomes ``(B, T, D)``."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        dim = int(params["hidden_dim"])
        self.queries = nn.Parameter(truncated_normal(int(params["context_tokens"]), dim, std=1.0))
        self.attention = Attention(dim, int(params["n_heads"]), int(params["encoder_dim"]))

    def forward(self, read: Tensor, present: Tensor) -> Tensor:
        """Return ``(B, T, D)`` of ``read`` ``(B, M, E)`` where ``present`` ``(B, M)``."""
        queries = self.queries.expand(len(read), -1, -1)
        return self.attention(queries, read, present)  # type: ignore[no-any-return]


def masked_mean(read: Tensor, present: Tensor) -> Tensor:
    """Return the mean ``(B, E)`` of ``read`` ``(B, M, E)`` over the demonstrations that are present."""
    weight = present.to(read.dtype).unsqueeze(-1)
    return (read * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class Latent(nn.Module):
    """Mean and log-variance of a latent, and a draw of it; the variance is one at the start."""

    def __init__(self, n_in: int, latent_dim: int) -> None:
        super().__init__()
        self.mean, self.log_var = nn.Linear(n_in, latent_dim), nn.Linear(n_in, latent_dim)
        nn.init.zeros_(self.log_var.weight)
        nn.init.zeros_(self.log_var.bias)

    def forward(self, x: Tensor, epsilon: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the draw, the mean and the log-variance ``(..., L)``; the draw is the mean without ``epsilon``.

        Source:
            Kingma and Welling 2013, Auto-Encoding Variational Bayes, equation 4.
        """
        mean, log_var = self.mean(x), self.log_var(x).clamp(-LOG_VAR_BOUND, LOG_VAR_BOUND)
        return mean if epsilon is None else mean + epsilon * (0.5 * log_var).exp(), mean, log_var


class Encoder(nn.Module):
    """What all seven share: a reader, and a context from what was read.

    Args:
        params: Sizes; ``encoder_type`` is that of the subclass.
    """

    pooled = False

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.n_tokens, self.dim = int(params["context_tokens"]), int(params["hidden_dim"])
        self.read = DemonstrationReader(params, pooled=self.pooled)

    def start(self, n: int) -> Memory:
        """Return the state before the first step, of ``n`` samples; none without recurrence."""
        return {}

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return the context of one step.

        Args:
            read: What `DemonstrationReader` made of the demonstrations, ``(B, M, E)``.
            present: Which of them there are, bool ``(B, M)``.
            epsilon: Standard normal draws shaped as the latent, None for its mean; ignored without a latent.
            state: What the last step left.
        """
        raise NotImplementedError


class Standard(Encoder):
    """Post-norm blocks and a mean over cells; learnt queries attend the demonstrations."""

    pooled = True

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        dim = int(params["encoder_dim"])
        self.out, self.gather = linear(dim, dim), QueryAttention(params)

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return a context whose tokens have a mean square of one."""
        return Encoded(rms_norm(self.gather(self.out(read), present)), None, None, {})


class LpnStandard(Encoder):
    """CLS per demonstration, their mean, and a linear map to all tokens at once.

    Source:
        The encoder of Bonnet and Macfarlane 2024, Searching Latent Program Spaces, arXiv 2411.08706, without a latent.
    """

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.out = linear(int(params["encoder_dim"]), self.n_tokens * self.dim)

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return a context of whatever scale the linear map gives it."""
        context = self.out(masked_mean(read, present)).unflatten(-1, (self.n_tokens, self.dim))
        return Encoded(context, None, None, {})


class HybridStandard(Encoder):
    """CLS per demonstration, gathered by learnt queries."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.gather = QueryAttention(params)

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return a context whose tokens have a mean square of one."""
        return Encoded(rms_norm(self.gather(read, present)), None, None, {})


class LpnVariational(Encoder):
    """A latent per demonstration; the mean of their draws, mapped to all tokens.

    Source:
        Bonnet and Macfarlane 2024, arXiv 2411.08706, section 4.1.
    """

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        latent_dim = int(params["latent_dim"])
        self.latent = Latent(int(params["encoder_dim"]), latent_dim)
        self.out = linear(latent_dim, self.n_tokens * self.dim)

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return the context of a draw per demonstration; mean and log-variance are ``(B, M, L)``."""
        draw, mean, log_var = self.latent(read, epsilon)
        context = self.out(masked_mean(draw, present)).unflatten(-1, (self.n_tokens, self.dim))
        return Encoded(context, mean, log_var, {})


class HybridVariational(Encoder):
    """Learnt queries gather the demonstrations; the mean of their tokens gives one latent per puzzle."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        latent_dim = int(params["latent_dim"])
        self.gather = QueryAttention(params)
        self.latent = Latent(self.dim, latent_dim)
        self.out = linear(latent_dim, self.n_tokens * self.dim)

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return the context of one draw per puzzle; mean and log-variance are ``(B, L)``."""
        draw, mean, log_var = self.latent(self.gather(read, present).mean(dim=1), epsilon)
        return Encoded(self.out(draw).unflatten(-1, (self.n_tokens, self.dim)), mean, log_var, {})


class Recurrent(Encoder):
    """ETRMTRM: a state of T tokens that the demonstrations move a little at every step of the solver.

    The context is the new state with its gradient. ``detached_context`` reads it from the detached carry, as the
    public version does: then no parameter of the encoder ever learns.
    """

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.detached = bool(params["detached_context"])
        self.into = linear(int(params["encoder_dim"]), self.dim)

    def smoothed(self, old: Memory, new: Memory, key: str) -> Encoded:
        """Return the context read from ``key`` of the state between ``old`` and ``new``."""
        state = {name: SMOOTHING * old[name] + (1 - SMOOTHING) * new[name] for name in new}
        context = rms_norm(state[key].detach() if self.detached else state[key])
        return Encoded(context, None, None, state)


class RecurrentStandard(Recurrent):
    """The state attends the demonstrations, then a SwiGLU."""

    first: Tensor

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.register_buffer("first", truncated_normal(self.n_tokens, self.dim, std=1.0))
        self.attention = Attention(self.dim, int(params["n_heads"]))
        self.mlp = SwiGLU(self.dim)

    def start(self, n: int) -> Memory:
        """Return the first state ``(n, T, D)``: fixed draws, as those of the solver."""
        return {"tokens": self.first.expand(n, -1, -1)}

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return the normed state after this step."""
        old = state["tokens"]
        new = rms_norm(old + self.attention(old, self.into(read), present))
        return self.smoothed(state, {"tokens": rms_norm(new + self.mlp(new))}, "tokens")


class TrmStyle(Recurrent):
    """The solver's own H and L loop over two states, with the mean demonstration as what is injected."""

    first_h: Tensor
    first_l: Tensor

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.h_cycles, self.l_cycles = int(params["H_cycles"]), int(params["L_cycles"])
        self.register_buffer("first_h", truncated_normal(self.n_tokens, self.dim, std=1.0))
        self.register_buffer("first_l", truncated_normal(self.n_tokens, self.dim, std=1.0))
        self.block = PostNormBlock(self.dim, int(params["n_heads"]))

    def start(self, n: int) -> Memory:
        """Return the first states ``(n, T, D)``: fixed draws, as those of the solver."""
        return {"h": self.first_h.expand(n, -1, -1), "l": self.first_l.expand(n, -1, -1)}

    def forward(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return the normed H state after this step."""
        mean = self.into(masked_mean(read, present)).unsqueeze(1)
        h, low = state["h"], state["l"]
        for _ in range(self.h_cycles):
            for _ in range(self.l_cycles):
                low = self.block(low + h + mean)
            h = self.block(h + low)
        return self.smoothed(state, {"h": h, "l": low}, "h")


ENCODERS: dict[str, type[Encoder]] = {
    "standard": Standard,
    "lpn_standard": LpnStandard,
    "hybrid_standard": HybridStandard,
    "lpn_var": LpnVariational,
    "hybrid_variational": HybridVariational,
    "recurrent_standard": RecurrentStandard,
    "trm_style": TrmStyle,
}
assert set(RECURRENT_ENCODERS) <= set(ENCODERS)


def build_encoder(params: Params) -> Encoder:
    """Return the encoder that ``encoder_type`` names."""
    return ENCODERS[str(params["encoder_type"])](params)
