"""Gradient accounting: which term of the loss moves which module, measured before clipping.

The most common true cause of what looks like a collapse is a term with 99 % of the gradient, or an
encoder with none. Both are visible here at the first step.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.contract import LossTerms

Gradients = dict[str, list[Tensor]]


def weighted_gradients(loss: LossTerms, model: nn.Module) -> Gradients:
    """Return the gradient of every weighted term with respect to every learned parameter.

    Args:
        loss: Terms whose graph is kept.
        model: Its parameters with ``requires_grad`` are differentiated, in their order.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients: Gradients = {}
    for name, term in loss.terms.items():
        weighted = loss.weights[name] * term
        found: Sequence[Tensor | None] = [None] * len(learned)
        if weighted.requires_grad:
            found = torch.autograd.grad(weighted, learned, retain_graph=True, allow_unused=True)
        pairs = zip(found, learned, strict=True)
        gradients[name] = [torch.zeros_like(p) if gradient is None else gradient for gradient, p in pairs]
    return gradients


def set_gradient(model: nn.Module, gradients: Gradients) -> None:
    """Set every parameter's ``grad`` to the sum over the terms; zero where no term reaches."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter, parts in zip(learned, zip(*gradients.values(), strict=True), strict=True):
        parameter.grad = torch.stack(parts).sum(dim=0)


def account(gradients: Gradients, model: nn.Module) -> dict[str, float]:
    """Return norms, shares and cosines of the terms' gradients, for the whole model and per direct child.

    Returns:
        ``grad_norm/<term>``, ``grad_share/<term>`` (norm over the sum of norms), ``grad_cos/<a>.<b>``, the same
        with ``<module>/`` before the term; ``grad_ratio/<module>``: the norm of a module's gradient of all terms
        together over that of the model; and ``frac_params_with_grad/<module>``: the share of a module's parameter
        tensors, by size, that any term reaches.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    modules = {"": range(len(names))} | {
        f"{child}/": [i for i, name in enumerate(names) if name.startswith(f"{child}.")]
        for child, _ in model.named_children()
    }
    metrics: dict[str, float] = {}
    whole = 0.0
    for module, places in modules.items():
        if not places:
            continue
        flat = {term: torch.cat([parts[i].flatten() for i in places]) for term, parts in gradients.items()}
        metrics |= shares(flat, module)
        norm = float(torch.stack(list(flat.values())).sum(dim=0).norm())
        whole = whole if module else norm
        if module:
            metrics |= {f"grad_ratio/{module[:-1]}": norm / whole} if whole > 0 else {}
            metrics[f"frac_params_with_grad/{module[:-1]}"] = reached(gradients, list(places))
    return metrics


def shares(flat: dict[str, Tensor], module: str) -> dict[str, float]:
    """Return norm and share per term, and cosine per pair, of flat gradients ``(p,)``."""
    norms = {term: float(gradient.norm()) for term, gradient in flat.items()}
    total = sum(norms.values())
    metrics = {f"grad_norm/{module}{term}": norm for term, norm in norms.items()}
    if total > 0:
        metrics |= {f"grad_share/{module}{term}": norm / total for term, norm in norms.items()}
    for a, b in itertools.combinations(flat, 2):
        if norms[a] > 0 and norms[b] > 0:
            metrics[f"grad_cos/{module}{a}.{b}"] = float(flat[a] @ flat[b]) / (norms[a] * norms[b])
    return metrics


def reached(gradients: Gradients, places: list[int]) -> float:
    """Return the share of the parameter tensors at ``places``, by size, with a non-zero gradient of any term."""
    sizes = {i: next(iter(gradients.values()))[i].numel() for i in places}
    touched = [i for i in places if any(bool(parts[i].any()) for parts in gradients.values())]
    return sum(sizes[i] for i in touched) / sum(sizes.values())
