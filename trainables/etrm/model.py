"""Encoder and solver together, and both ways to run them: one step of training, all steps of evaluation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.domains import Params
from trainables.etrm.encoders import Encoded, Memory, build_encoder
from trainables.etrm.solver import Solver


class Contexts(NamedTuple):
    """The context at every step of the solver.

    Args:
        context: ``(A, B, T, D)`` for A steps.
        mean: Mean of the latent, ``(B, L)`` or ``(B, M, L)``; None without one.
        log_var: Logarithm of its variance, shaped as the mean.
    """

    context: Tensor
    mean: Tensor | None
    log_var: Tensor | None


class ARCSolver(nn.Module):
    """The recursive solver with one of the seven demonstration encoders.

    Args:
        params: Sizes and ``encoder_type``; see `search_spaces.etrm`.
        seed: Seed of the initialisation.
    """

    def __init__(self, params: Params, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = Solver(params)  # drawn first, so that cells which differ in the encoder share its draws
        self.encoder = build_encoder(params)
        self.n_steps = int(params["halt_max_steps"])
        self.n_demonstrations = int(params["max_demonstrations"])
        self.context_scale = float(params["context_scale"])
        self.latent_shape = latent_shape(params)

    def noise_shape(self, n: int) -> tuple[int, ...] | None:
        """Return the shape of the draws that ``n`` samples need, None for an encoder without a latent."""
        return None if self.latent_shape is None else (n, *self.latent_shape)

    def encode(self, read: Tensor, present: Tensor, epsilon: Tensor | None, state: Memory) -> Encoded:
        """Return one step of the encoder, its context scaled as the solver reads it."""
        encoded: Encoded = self.encoder(read, present, epsilon, state)
        return encoded._replace(context=self.context_scale * encoded.context)

    def contexts(self, demos: Tensor, present: Tensor, epsilon: Tensor | None = None) -> Contexts:
        """Return the context of every step.

        Args:
            demos: Tokens of the demonstrations' two grids, integer ``(B, M, 2, S)``.
            present: Which demonstrations there are, bool ``(B, M)``.
            epsilon: Standard normal draws of shape `noise_shape`; None for the mean of the latent.
        """
        read = self.encoder.read(demos)
        encoded = self.encode(read, present, epsilon, self.encoder.start(len(demos)))
        steps = [encoded.context] * self.n_steps  # one and the same where no state lives on
        for step in range(1, self.n_steps if encoded.state else 0):
            encoded = self.encode(read, present, epsilon, encoded.state)
            steps[step] = encoded.context
        context = torch.stack(steps) if encoded.state else steps[0].expand(self.n_steps, -1, -1, -1)
        return Contexts(context, encoded.mean, encoded.log_var)

    def solve(self, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(A, B, S, 12)`` and halting values ``(A, B)`` of all A steps.

        Args:
            tokens: The queries, integer ``(B, S)``.
            context: One per step, ``(A, B, T, D)``.
        """
        z_h, z_l = self.inner.start(len(tokens))
        logits, halting = [], []
        for now in context:
            z_h, z_l, answer, q = self.inner(z_h, z_l, tokens, now)
            logits.append(answer)
            halting.append(q)
        return torch.stack(logits), torch.stack(halting)

    def token_rms(self, tokens: Tensor) -> Tensor:
        """Return the root mean square of the embeddings of ``tokens`` ``(B, S)``, before they are scaled; a scalar."""
        embedded: Tensor = self.inner.embedding(tokens)
        return embedded.square().mean().sqrt()


def latent_shape(params: Params) -> tuple[int, ...] | None:
    """Return the shape of one sample's latent: per demonstration, per puzzle, or None."""
    latent = int(params["latent_dim"])
    shapes = {
        "lpn_var": (int(params["max_demonstrations"]), latent),
        "hybrid_variational": (latent,),
    }
    return shapes.get(str(params["encoder_type"]))
