"""What reads the context: LSTM, GRU, Transformer or Mamba2, each from d dimensions to a width, the last step out.

Recurrent cells are written out over the few steps of a context: the fused ones of torch have no batching rule, and a
loss must run under `vmap`. Their parameters are those of `torch.nn`, and tests hold them to its numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from search_spaces.domains import Params
from trainables.dataset import DataError

MAMBA_EXPAND, MAMBA_KERNEL = 2, 4
FEED_FORWARD = 4  # width of the hidden layer of a transformer block, in widths
INSTALL_TRANSFORMERS = "pip install 'counterpoise[vectors]'"


class RecurrentLayer(nn.Module):
    """One layer over the steps of a context: ``(B, C, D)`` to ``(B, C, D)``.

    Args:
        cell: Holds the parameters.
    """

    def __init__(self, cell: nn.LSTMCell | nn.GRUCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        """Return the hidden state after every step; the first one starts from zeros."""
        step = lstm_step if isinstance(self.cell, nn.LSTMCell) else gru_step
        hidden = torch.zeros_like(x[:, 0, :1]).expand(-1, self.cell.hidden_size)
        carry, outputs = (hidden, hidden), []
        for now in x.unbind(dim=1):
            carry = step(self.cell, now, *carry)
            outputs.append(carry[0])
        return torch.stack(outputs, dim=1)


def lstm_step(cell: nn.RNNCellBase, x: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return hidden state and memory ``(B, D)`` after one input ``(B, d)``.

    Source:
        Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, as in `torch.nn.LSTMCell`.
    """
    gates = linear(x, cell.weight_ih, cell.bias_ih) + linear(hidden, cell.weight_hh, cell.bias_hh)
    into, forget, new, out = gates.chunk(4, dim=-1)
    memory = forget.sigmoid() * memory + into.sigmoid() * new.tanh()
    return out.sigmoid() * memory.tanh(), memory


def gru_step(cell: nn.RNNCellBase, x: Tensor, hidden: Tensor, unused: Tensor) -> tuple[Tensor, Tensor]:
    """Return the hidden state ``(B, D)`` after one input ``(B, d)``, twice: a GRU has no other memory.

    Source:
        Cho et al. 2014, in the form of `torch.nn.GRUCell`.
    """
    from_x = linear(x, cell.weight_ih, cell.bias_ih).chunk(3, dim=-1)
    from_h = linear(hidden, cell.weight_hh, cell.bias_hh).chunk(3, dim=-1)
    reset, update = (from_x[0] + from_h[0]).sigmoid(), (from_x[1] + from_h[1]).sigmoid()
    new = (from_x[2] + reset * from_h[2]).tanh()
    hidden = (1 - update) * new + update * hidden
    return hidden, hidden


class LSTM(nn.Module):
    """Stacked LSTM layers; the hidden state of the last one after the last step."""

    def __init__(self, dim: int, params: Params, n_context: int) -> None:
        super().__init__()
        width, n_layers = int(params["hidden_dim"]), int(params["n_layers"])
        cells = (nn.LSTMCell(dim if layer == 0 else width, width) for layer in range(n_layers))
        self.layers = nn.ModuleList(RecurrentLayer(cell) for cell in cells)

    def forward(self, context: Tensor) -> Tensor:
        """Return ``(B, D)`` of context vectors ``(B, C, d)``."""
        for layer in self.layers:
            context = layer(context)
        return context[:, -1]


class GRU(nn.Module):
    """GRU layers on a residual stream, each behind a LayerNorm."""

    def __init__(self, dim: int, params: Params, n_context: int) -> None:
        super().__init__()
        width, n_layers = int(params["hidden_dim"]), int(params["n_layers"])
        self.into = nn.Linear(dim, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(n_layers))
        self.layers = nn.ModuleList(RecurrentLayer(nn.GRUCell(width, width)) for _ in range(n_layers))

    def forward(self, context: Tensor) -> Tensor:
        """Return ``(B, D)`` of context vectors ``(B, C, d)``."""
        h = self.into(context)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            h = h + layer(norm(h))
        return h[:, -1]  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Pre-norm transformer blocks with learnt positions; every step sees all of the context."""

    def __init__(self, dim: int, params: Params, n_context: int) -> None:
        super().__init__()
        width = int(params["hidden_dim"])
        self.into = nn.Linear(dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(n_context, width))
        block = nn.TransformerEncoderLayer(
            width,
            int(params["n_heads"]),
            FEED_FORWARD * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(
            block, int(params["n_layers"]), nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, context: Tensor) -> Tensor:
        """Return ``(B, D)`` of context vectors ``(B, C, d)``."""
        return self.blocks(self.into(context) + self.position)[:, -1]  # type: ignore[no-any-return]


class Mamba2(nn.Module):
    """The Mamba2 of the package transformers on embeddings of our own; nothing else ever stands in for it.

    Source:
        Dao and Gu 2024, Transformers are SSMs, arXiv 2405.21060.

    Raises:
        DataError: If the package is not installed.
    """

    def __init__(self, dim: int, params: Params, n_context: int) -> None:
        super().__init__()
        try:
            from transformers import Mamba2Config, Mamba2Model
        except ImportError as error:
            raise DataError(
                f"backbone=mamba2 needs the package transformers, which is not installed. {INSTALL_TRANSFORMERS}, "
                "or take another backbone; none is taken in its place."
            ) from error
        width, heads = int(params["hidden_dim"]), int(params["n_heads"])
        self.into = nn.Linear(dim, width)
        self.model = Mamba2Model(
            Mamba2Config(
                hidden_size=width,
                num_hidden_layers=int(params["n_layers"]),
                num_heads=heads,
                head_dim=MAMBA_EXPAND * width // heads,
                state_size=int(params["state_dim"]),
                expand=MAMBA_EXPAND,
                conv_kernel=MAMBA_KERNEL,
                n_groups=1,
                chunk_size=int(params["chunk_size"]),
                vocab_size=1,
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=None,
                use_cache=False,
            )
        )
        del self.model.embeddings  # vectors come in, so that no table of tokens is counted or stored

    def forward(self, context: Tensor) -> Tensor:
        """Return ``(B, D)`` of context vectors ``(B, C, d)``."""
        return self.model(inputs_embeds=self.into(context), use_cache=False).last_hidden_state[:, -1]  # type: ignore[no-any-return]


BACKBONES: dict[str, type[nn.Module]] = {
    "lstm": LSTM,
    "gru": GRU,
    "transformer": Transformer,
    "mamba2": Mamba2,
}


def n_parameters(backbone: nn.Module) -> int:
    """Return how many trained numbers a backbone has."""
    return sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad)


def mamba2_parameters(dim: int, params: Params) -> int:
    """Return how many numbers a Mamba2 backbone must have, from its sizes alone.

    Per layer, with width D, inner width I = 2 D, H heads, state N and kernel K: in-projection D (2 I + 2 N + H),
    convolution (I + 2 N)(K + 1), three numbers per head, gated norm I, out-projection I D, norm D; then a last norm
    D, and the linear layer from d dimensions, (d + 1) D.
    """
    width, heads, state = int(params["hidden_dim"]), int(params["n_heads"]), int(params["state_dim"])
    inner = MAMBA_EXPAND * width
    layer = (
        width * (2 * inner + 2 * state + heads)
        + (inner + 2 * state) * (MAMBA_KERNEL + 1)
        + 3 * heads
        + inner
        + inner * width
        + width
    )
    return int(params["n_layers"]) * layer + width + (dim + 1) * width
