"""Metrics of a whole split: what is answered, when it halts, what is copied, what the context is worth.

Everything is read from one pass over the plain view, at the mean of the latent, beside the same queries under
the context of another puzzle and under none; further views only vote. Contexts and last logits of all rows are
kept, some hundred kB per row of the published model; the steps in between of `ROWS_AT_ONCE` rows at most.
Numbers about contexts are over puzzles, not queries: the queries of one puzzle share their demonstrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search_spaces.domains import Params
from trainables.contract import Batch
from trainables.dataset import Array
from trainables.etrm.answers import exactly_right, right_cells
from trainables.etrm.augmentation import View, plain_views, recover, several_views
from trainables.etrm.context_metrics import active_units, first_rows, foreign_rows, spread_metrics, within_var
from trainables.etrm.encoders import Encoded
from trainables.etrm.loss import kl_to_normal, puzzles
from trainables.etrm.model import ARCSolver, Contexts
from trainables.etrm.stablemax import PAD, divergence, stablemax_cross_entropy
from trainables.etrm.voting import pass_at, ranked

ROWS_AT_ONCE = 32
VIEW_SEED = 0  # the same views vote in every trial
NOISE_SEED = 0  # the same draws measure the noise of every trial
LEAST_NOISE = 1e-12  # under it a ratio to the noise says nothing more, and must stay finite
PASS_AT = (1, 2, 5)


@dataclass(frozen=True)
class Answers:
    """What the solver says of n queries.

    Args:
        logits: After the last step, ``(n, S, 12)``.
        at_halt: Predicted tokens at the step at which it would halt, ``(n, S)``.
        q: Halting values of all steps, ``(A, n)``, above 0 for halt.
    """

    logits: Tensor
    at_halt: Tensor
    q: Tensor

    @property
    def predicted(self) -> Tensor:
        """Predicted tokens after the last step, ``(n, S)``."""
        return self.logits.argmax(dim=-1)


@dataclass(frozen=True)
class ReadOut:
    """Everything that metrics, probes and pictures read of a split.

    Args:
        asked: ``tokens`` and ``labels (n, S)``, ``demos (n, M, 2, S)``, ``present (n, M)`` under the plain view.
        puzzle: Index of each query's puzzle, ``(n,)``.
        contexts: At the mean of the latent, of all rows.
        true: Answers under them.
        shuffled: Answers under the context of another puzzle.
        zeroed: Answers under a context of zeros.
    """

    asked: Batch
    puzzle: Tensor
    contexts: Contexts
    true: Answers
    shuffled: Answers
    zeroed: Answers

    @property
    def flipped(self) -> Tensor:
        """Cells that are predicted otherwise under another puzzle's context, bool ``(n, S)``."""
        return self.true.predicted != self.shuffled.predicted


def read_out(model: ARCSolver, split: Batch) -> ReadOut:
    """Return the read-out of a split.

    Args:
        model: In evaluation mode.
        split: The arrays of the data set, as tensors on the model's device.
    """
    asked = puzzles_as(split, plain_views(len(split["query"]), split["query"].device))
    contexts = contexts_of(model, asked)
    context, foreign = contexts.context, foreign_rows(split["puzzle"])
    true, shuffled, zeroed = (
        answers_of(model, asked["tokens"], one)
        for one in (context, context[:, foreign], torch.zeros_like(context))
    )
    return ReadOut(asked, split["puzzle"], contexts, true, shuffled, zeroed)


def puzzles_as(split: Batch, view: View) -> Batch:
    """Return tokens of queries, answers and demonstrations as a view shows them."""
    return puzzles({**split, **view._asdict()})


def chunks(n_rows: int) -> Iterator[slice]:
    """Yield the rows in parts that bound the memory of one pass."""
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, n_rows, ROWS_AT_ONCE))


def contexts_of(model: ARCSolver, asked: Batch, generator: torch.Generator | None = None) -> Contexts:
    """Return the contexts of all rows; at the mean of the latent, or drawn with the ``generator``."""
    parts = []
    for rows in chunks(len(asked["demos"])):
        demos, present = asked["demos"][rows].long(), asked["present"][rows]
        shape = None if generator is None else model.noise_shape(len(demos))
        epsilon = None if shape is None else torch.randn(shape, generator=generator, device=demos.device)
        parts.append(model.contexts(demos, present, epsilon))
    context, means, log_vars = zip(*parts, strict=True)
    latent = (None if part[0] is None else torch.cat(part) for part in (means, log_vars))
    return Contexts(torch.cat(context, dim=1), *latent)


def answers_of(model: ARCSolver, tokens: Tensor, context: Tensor) -> Answers:
    """Return the answers to queries ``(n, S)`` under contexts ``(A, n, T, D)``."""
    parts = []
    for rows in chunks(len(tokens)):
        logits, q = model.solve(tokens[rows].long(), context[:, rows])
        at = halting_step(q)
        at_halt = logits[at, torch.arange(len(at), device=at.device)].argmax(dim=-1)
        parts.append(Answers(logits[-1], at_halt, q))
    return Answers(
        torch.cat([part.logits for part in parts]),
        torch.cat([part.at_halt for part in parts]),
        torch.cat([part.q for part in parts], dim=1),
    )


def halting_step(q: Tensor) -> Tensor:
    """Return the first step, from 0, at which ``q`` ``(A, n)`` is above 0, else the last one, ``(n,)``."""
    halts = torch.cat([q[:-1] > 0, torch.ones_like(q[-1:], dtype=torch.bool)])
    return halts.int().argmax(dim=0)


def evaluate(model: ARCSolver, split: Batch, params: Params) -> dict[str, float]:
    """Return the metrics of `trainables.etrm.metrics.METRICS` that the cell has.

    ``kl_per_dim``, ``active_units`` and ``snr`` are those of variational encoders. The two copy rates are absent
    where no answer of the split differs from its query.

    Args:
        model: In evaluation mode.
        split: ``query``, ``answer (n, side, side)``, ``demo_inputs``, ``demo_outputs (n, M, side, side)`` and
            ``puzzle (n,)``. Contexts are exchanged between puzzles: with a single one ``ctx_flip`` and its like are 0.
        params: Resolved parameters; ``n_views`` of each puzzle vote.
    """
    seen = read_out(model, split)
    labels = seen.asked["labels"]
    tensors = (
        answer_metrics(seen.true, labels)
        | copy_metrics(seen.true.predicted, seen.asked["tokens"], labels)
        | encoder_metrics(model, seen)
        | sensitivity_metrics(seen)
    )
    values = torch.stack([value.double() for value in tensors.values()]).tolist()
    return dict(zip(tensors, values, strict=True)) | vote_metrics(model, split, seen, params)


def answer_metrics(answers: Answers, labels: Tensor) -> dict[str, Tensor]:
    """Return loss, accuracies and halting of answers to queries labelled ``(n, S)``."""
    exact = exactly_right(answers.predicted, labels)
    return {
        "lm": stablemax_cross_entropy(answers.logits, labels).mean(),
        "accuracy": right_cells(answers.predicted, labels).mean(),
        "exact_accuracy": exact.double().mean(),
        "exact_accuracy_at_halt": exactly_right(answers.at_halt, labels).double().mean(),
        "steps": 1 + halting_step(answers.q).double().mean(),
        "q_halt_accuracy": ((answers.q[-1] > 0) == exact).double().mean(),
    }


def copied(predicted: Tensor, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return which answers differ from their query, and which predictions repeat it, both bool ``(n,)``.

    A prediction repeats a query whose cells, border included, it all has; what it says beyond them does not matter.
    """
    return (tokens != labels).any(dim=-1), exactly_right(predicted, tokens)


def copy_metrics(predicted: Tensor, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the shares of predictions and of cells that repeat the query where the answer does not.

    Args:
        predicted: Tokens, ``(n, S)``.
        tokens: Those of the query.
        labels: Those of the answer.

    Returns:
        ``copy_rate`` and ``copy_cell_rate``; nothing where every answer is its query.
    """
    differs, is_copy = copied(predicted, tokens, labels)
    cells = (labels != PAD) & (labels != tokens)
    rates = {}
    if bool(differs.any()):
        rates["copy_rate"] = is_copy[differs].double().mean()
    if bool(cells.any()):
        rates["copy_cell_rate"] = (predicted == tokens)[cells].double().mean()
    return rates


def encoder_metrics(model: ARCSolver, seen: ReadOut) -> dict[str, Tensor]:
    """Return scale, diversity and noise of the contexts after the last step, one row per puzzle."""
    rows = first_rows(seen.puzzle)
    context, mean, log_var = seen.contexts
    asked = {name: seen.asked[name][rows] for name in ("demos", "present")}
    noise = noise_var(model, asked)
    metrics = spread_metrics(context[-1][rows], noise, token_rms(model, seen.asked["tokens"]))
    if mean is None or log_var is None:
        return metrics
    kl = kl_to_normal(Encoded(context[-1][rows], mean[rows], log_var[rows], {}), asked["present"])
    return metrics | {
        "snr": metrics["signal_var"] / noise.clamp(min=LEAST_NOISE),
        "kl_per_dim": kl / mean.shape[-1],
        "active_units": active_units(mean[rows], asked["present"]),
    }


def noise_var(model: ARCSolver, asked: Batch) -> Tensor:
    """Return the variance that sampling the latent adds to the contexts of puzzles, a scalar; 0 without a latent."""
    if model.noise_shape(1) is None:
        return next(model.parameters()).new_zeros(())
    generator = torch.Generator(asked["demos"].device).manual_seed(NOISE_SEED)
    first, second = (contexts_of(model, asked, generator).context[-1] for _ in range(2))
    return within_var(first, second) / 2


def token_rms(model: ARCSolver, tokens: Tensor) -> Tensor:
    """Return the root mean square of the embeddings of all queries ``(n, S)``, a scalar."""
    squares = [
        len(tokens[rows]) * model.token_rms(tokens[rows].long()).square() for rows in chunks(len(tokens))
    ]
    return (torch.stack(squares).sum() / len(tokens)).sqrt()


def sensitivity_metrics(seen: ReadOut) -> dict[str, Tensor]:
    """Return what changes under another puzzle's context, and what is lost under it and without one."""
    labels = seen.asked["labels"]
    valid = labels != PAD
    exact, exact_shuffled, exact_zeroed = (
        exactly_right(answers.predicted, labels).double().mean()
        for answers in (seen.true, seen.shuffled, seen.zeroed)
    )
    return {
        "ctx_flip": seen.flipped[valid].double().mean(),
        "ctx_kl": divergence(seen.true.logits[valid], seen.shuffled.logits[valid]).mean(),
        "em_drop_shuffle": exact - exact_shuffled,
        "em_drop_zero": exact - exact_zeroed,
    }


def vote_metrics(model: ARCSolver, split: Batch, seen: ReadOut, params: Params) -> dict[str, float]:
    """Return the share of puzzles that the most voted answers of ``n_views`` views solve; ``seen`` is the first."""
    n = len(split["query"])
    as_is, unshifted = plain_views(n, split["query"].device), torch.zeros(n, 2, dtype=torch.int64)
    grids, values = [], []
    for number, (colours, symmetry) in enumerate(several_views(int(params["n_views"]), VIEW_SEED)):
        recoloured = torch.as_tensor(colours, device=as_is.symmetry.device).expand_as(as_is.colours)
        view = View(recoloured, torch.full_like(as_is.symmetry, symmetry), as_is.shift)
        answers = answers_under(model, split, view) if number else seen.true
        grids.append(recover(answers.predicted, view, unshifted))
        values.append(answers.q[-1].tolist())
    truths = recover(seen.asked["labels"], as_is, unshifted)
    rows = zip(truths, zip(*grids, strict=True), zip(*values, strict=True), strict=True)
    ranks = [rank_of(*row) for row in rows]
    puzzle = split["puzzle"].cpu().numpy()
    return {f"pass_at_{k}": pass_at(ranks, puzzle, k) for k in PASS_AT}


def answers_under(model: ARCSolver, split: Batch, view: View) -> Answers:
    """Return the answers to a split's queries as a view shows them, in tokens of that view."""
    asked = puzzles_as(split, view)
    return answers_of(model, asked["tokens"], contexts_of(model, asked).context)


def rank_of(truth: Array, candidates: tuple[Array, ...], q: tuple[float, ...]) -> int | None:
    """Return the place of the true grid among the candidates by votes, from 0; None when nobody named it."""
    places = (place for place, grid in enumerate(ranked(candidates, q)) if np.array_equal(grid, truth))
    return next(places, None)
