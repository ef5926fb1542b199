"""How contexts differ: between puzzles, between two draws of one puzzle, and from the tokens beside them.

A context is ``(B, T, D)``: B puzzles, T tokens, D channels; angle brackets are means over T and D. The first
four functions are used in training, too, and run under `vmap`: they branch on no tensor's value.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.diagnostics import rankme

ACTIVE_VARIANCE = 0.01
TINY = 1e-24  # below the mean square of any context that is not zero


def cross_sample_var(context: Tensor) -> Tensor:
    """Return ``mean_b <(c_b - mean_b c)^2>``, a scalar: the variance of contexts ``(B, T, D)`` between puzzles."""
    return (context - context.mean(dim=0)).square().mean()


def cross_sample_ratio(context: Tensor, noise: Tensor | float = 0.0) -> Tensor:
    """Return the variance between puzzles over the mean square of a context as the solver gets it, in [0, 1].

    Args:
        context: At the mean of the latent, ``(B, T, D)``.
        noise: Variance that sampling the latent adds to it, a scalar; 0 without a latent.

    Returns:
        ``mean_b <(c_b - mean_b c)^2> / (<c^2> + noise)``, a scalar: 0 when all contexts are equal, also when all are
        zero; 1 when their mean is zero and nothing is noise. Free of scale.
    """
    return cross_sample_var(context) / (context.square().mean() + noise).clamp(min=TINY)


def sampled_ratio(first: Tensor, second: Tensor) -> Tensor:
    """Return the same of contexts that were drawn, ``(B, T, D)``, given two draws of each; a scalar in [0, 1]."""
    noise = (1 - 1 / len(first)) * within_var(first, second) / 2  # the mean over B draws takes its part of it
    signal = (cross_sample_var(first) - noise).clamp(min=0)
    return signal / first.square().mean().clamp(min=TINY)


def within_var(first: Tensor, second: Tensor) -> Tensor:
    """Return ``<(c1 - c2)^2>`` of two draws ``(B, T, D)``, a scalar: twice the variance that sampling adds."""
    return (first - second).square().mean()


def active_units(mean: Tensor, present: Tensor) -> Tensor:
    """Return the number of latent dimensions whose mean varies between puzzles, a scalar.

    Args:
        mean: Of one latent per puzzle, ``(P, L)``, or one per demonstration, ``(P, M, L)``, of which those that are
            present are averaged, as the encoder averages their draws.
        present: Which demonstrations there are, bool ``(P, M)``.

    Source:
        Burda et al. 2016, Importance Weighted Autoencoders, section 5.1.
    """
    if mean.dim() == 3:
        weight = present.to(mean.dtype) / present.sum(dim=1, keepdim=True).clamp(min=1)
        mean = torch.einsum("pm,pml->pl", weight, mean)
    return (mean.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum()


def spread_metrics(context: Tensor, noise: Tensor, token_rms: Tensor) -> dict[str, Tensor]:
    """Return scale and diversity of contexts at the mean of the latent.

    Args:
        context: One per puzzle, ``(P, T, D)``.
        noise: Variance that sampling the latent adds, a scalar.
        token_rms: Root mean square of the query tokens' embeddings, a scalar.
    """
    variance = cross_sample_var(context)
    return {
        "encoder_cross_sample_var": variance,
        "encoder_cross_sample_ratio": cross_sample_ratio(context, noise),
        "signal_var": variance,
        "noise_var": noise,
        "encoder_output_norm": context.norm(dim=-1).mean(),
        "encoder_output_mean": context.mean(),
        "encoder_output_std": context.std(correction=0),
        "context_to_token_rms": context.square().mean().sqrt() / token_rms,
        "rankme": rankme(context.flatten(1)),
    }


def first_rows(puzzle: Tensor) -> Tensor:
    """Return the first row of every puzzle, ``(P,)``, of puzzle indices ``(n,)``: queries share demonstrations."""
    _, group = torch.unique(puzzle, return_inverse=True)
    return firsts_of(group)


def foreign_rows(puzzle: Tensor) -> Tensor:
    """Return for each row ``(n,)`` the first row of another puzzle: the next one, of the last the first.

    With a single puzzle it is that puzzle's own: there is no other context to give.
    """
    _, group = torch.unique(puzzle, return_inverse=True)
    return firsts_of(group).roll(-1)[group]


def firsts_of(group: Tensor) -> Tensor:
    """Return the first row of every group, ``(P,)``, of group numbers ``(n,)`` from 0 without gaps."""
    n_groups = int(group.max()) + 1
    rows = torch.arange(len(group), device=group.device)
    return torch.full_like(rows[:n_groups], len(group)).scatter_reduce(0, group, rows, "amin")
