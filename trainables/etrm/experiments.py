"""Experiments on a trained solver: does it read the context, does it copy its query, does the context fit it?

A claim is supported or rejected only when its whole 95 % interval lies on one side of its bound. Puzzles are
resampled, not cells: the cells of one puzzle change together. Where next to nothing changes, the interval of the
flip rate is about the puzzles at hand: changes that only rare puzzles show may be missed, so their number is told.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import expit, logit
from scipy.stats import binomtest, bootstrap
from scipy.stats import t as student
from torch import Tensor

from search_spaces.domains import Params
from search_spaces.etrm import VARIATIONAL_ENCODERS
from trainables.dataset import Array, DataError, Split
from trainables.etrm.answers import exactly_right, right_cells
from trainables.etrm.context_metrics import cross_sample_ratio, first_rows
from trainables.etrm.evaluation import Answers, ReadOut, copied, noise_var, read_out, token_rms
from trainables.etrm.health import (
    COLLAPSED_CROSS_RATIO,
    CONTEXT_SCALE,
    COPYING_RATE,
    IGNORED_CONTEXT_FLIP,
    SUSPICIOUS_CROSS_RATIO,
)
from trainables.etrm.model import ARCSolver
from trainables.etrm.stablemax import PAD, stablemax_cross_entropy
from trainables.probe import Interval, ProbeResult, Verdict

CONFIDENCE = 0.95
N_RESAMPLES = 2000
ROUNDING = 1e-12  # a ratio this near to 0 or 1 is that
FEWEST_PUZZLES = 3  # of which one can be left out
FEWEST_WITHOUT_FLIP = 20  # puzzles that all stay as they are before that says anything; design
RESAMPLING_SEED = 0  # the same model gets the same verdict


@torch.no_grad()
def probe(model: ARCSolver, split: Split, params: Params) -> tuple[ProbeResult, ...]:
    """Return the verdicts on four claims: ignored context, collapsed encoder, copying, wrong scale.

    Args:
        model: In evaluation mode.
        split: The arrays of one split, see `trainables.etrm.evaluation.evaluate`.
        params: Resolved parameters.

    Raises:
        DataError: If the split has fewer than three puzzles.
    """
    n_puzzles = len(np.unique(split["puzzle"]))
    if n_puzzles < FEWEST_PUZZLES:
        raise DataError(
            f"The split has {n_puzzles} puzzle{'s' * (n_puzzles != 1)}; contexts are exchanged and compared between "
            f"{FEWEST_PUZZLES} or more. Raise side, or probe on a data set with more puzzles."
        )
    device = next(model.parameters()).device
    seen = read_out(model, {name: torch.as_tensor(array).to(device) for name, array in split.items()})
    collapse = representation_collapse(model, seen, params)
    return (
        decoder_ignores_context(seen, params, collapsed=collapse.alarm),
        collapse,
        copies_input(seen),
        context_scale_off(model, seen, params),
    )


def decoder_ignores_context(seen: ReadOut, params: Params, *, collapsed: bool) -> ProbeResult:
    """Return whether predictions stay as they are under another puzzle's context."""
    flips, cells = flips_of(seen)
    flip = flip_rate(flips, cells)
    numbers = flip.numbers("ctx_flip") | {"bound": IGNORED_CONTEXT_FLIP}
    numbers |= {"n_puzzles": float(len(flips)), "puzzles_changed": float((flips > 0).sum())}
    for name, answers in (("true", seen.true), ("shuffled", seen.shuffled), ("zeroed", seen.zeroed)):
        numbers |= quality(answers, seen.asked["labels"], name)
    verdict: Verdict = "not_applicable" if collapsed else flip.below(IGNORED_CONTEXT_FLIP)
    few = not flips.any() and len(flips) < FEWEST_WITHOUT_FLIP  # resamples of nothing but zeros have no width
    if verdict == "supported" and few and not torch.equal(seen.true.logits, seen.shuffled.logits):
        verdict = "undecided"
    under = "of cells change under another puzzle's context"
    statement = {
        "supported": f"The solver does not read the context: {flip} {under}, under {IGNORED_CONTEXT_FLIP:g}.",
        "rejected": f"The solver reads the context: {flip} {under}.",
        "undecided": f"Whether the solver reads the context is open: {flip} {under}, around {IGNORED_CONTEXT_FLIP:g}.",
        "not_applicable": f"All contexts are alike, so exchanging them shows nothing: {flip} {under}.",
    }[verdict]
    advice = {
        "supported": "Train the encoder alone first (freeze_decoder_steps > 0), raise context_scale or "
        f"encoder_lr_scale={params['encoder_lr_scale']:g}, or let demonstrations be queries (leave_one_out=True).",
        "undecided": "Probe a trial on more puzzles (larger side) or one that trained longer.",
        "not_applicable": "Cure the encoder first; see representation_collapse.",
    }.get(verdict, "")
    alarm = verdict == "supported"
    return ProbeResult("decoder_ignores_context", verdict, statement, numbers, advice, alarm)


def quality(answers: Answers, labels: Tensor, under: str) -> dict[str, float]:
    """Return exact accuracy, share of right cells and loss of the answers ``under`` one kind of context."""
    predicted = answers.predicted
    return {
        f"exact_accuracy_{under}": exactly_right(predicted, labels).double().mean().item(),
        f"accuracy_{under}": right_cells(predicted, labels).double().mean().item(),
        f"lm_{under}": stablemax_cross_entropy(answers.logits, labels).double().mean().item(),
    }


def representation_collapse(model: ARCSolver, seen: ReadOut, params: Params) -> ProbeResult:
    """Return whether the contexts of different puzzles are one and the same."""
    rows = first_rows(seen.puzzle)
    noise = noise_var(model, {name: seen.asked[name][rows] for name in ("demos", "present")})
    ratio = cross_ratio(seen.contexts.context[-1][rows], float(noise))
    verdict = ratio.below(COLLAPSED_CROSS_RATIO)
    if verdict == "rejected" and ratio.low < SUSPICIOUS_CROSS_RATIO:
        verdict = "undecided"
    statement = {
        "supported": f"Contexts of different puzzles are alike: cross ratio {ratio}, under {COLLAPSED_CROSS_RATIO:g}.",
        "rejected": f"Contexts tell puzzles apart: cross ratio {ratio}, above {SUSPICIOUS_CROSS_RATIO:g}.",
        "undecided": f"Contexts may differ too little: cross ratio {ratio}, where {COLLAPSED_CROSS_RATIO:g} is "
        f"collapsed and {SUSPICIOUS_CROSS_RATIO:g} healthy.",
    }[verdict]
    return ProbeResult(
        "representation_collapse",
        verdict,
        statement,
        ratio.numbers("encoder_cross_sample_ratio")
        | {"collapsed_below": COLLAPSED_CROSS_RATIO, "suspicious_below": SUSPICIOUS_CROSS_RATIO},
        "" if verdict == "rejected" else collapse_advice(params),
        alarm=verdict == "supported",
    )


def collapse_advice(params: Params) -> str:
    """Return what to change about an encoder that says the same of every puzzle."""
    if params["detached_context"]:
        return "Set detached_context=False: read from the detached carry, the encoder gets no gradient."
    advice = f"Raise encoder_lr_scale={params['encoder_lr_scale']:g} or freeze_decoder_steps="
    advice += f"{params['freeze_decoder_steps']}, or lower halt_exploration_prob"
    if params["kl_weight"] and params["encoder_type"] in VARIATIONAL_ENCODERS:
        advice = f"Lower kl_weight={params['kl_weight']:g}; else {advice[0].lower()}{advice[1:]}"
    return advice + "."


def copies_input(seen: ReadOut) -> ProbeResult:
    """Return whether the solver answers with the query where that is wrong."""
    differs, is_copy = copied(seen.true.predicted, seen.asked["tokens"], seen.asked["labels"])
    n, k = int(differs.sum()), int((differs & is_copy).sum())
    if n == 0:
        text = "Every answer of the split is its query, so copying is right."
        return ProbeResult("copies_input", "not_applicable", text, {"n_queries": 0.0})
    bounds = binomtest(k, n).proportion_ci(CONFIDENCE, method="exact")
    rate = Interval(k / n, float(bounds.low), float(bounds.high))
    verdict = rate.above(COPYING_RATE)
    figures = f"{k} of {n} answers repeat a query that is not the answer, a rate of {rate}"
    statement = {
        "supported": f"The solver copies its query: {figures}, above {COPYING_RATE:g}.",
        "rejected": f"The solver does not copy its query: {figures}.",
        "undecided": f"Whether the solver copies its query is open: {figures}, around {COPYING_RATE:g}.",
    }[verdict]
    alarm = verdict == "supported"
    more = "Train longer, raise H_cycles or halt_max_steps, or give it more to read (leave_one_out=True)."
    numbers = rate.numbers("copy_rate") | {"n_queries": float(n), "bound": COPYING_RATE}
    return ProbeResult("copies_input", verdict, statement, numbers, more if alarm else "", alarm)


def context_scale_off(model: ARCSolver, seen: ReadOut, params: Params) -> ProbeResult:
    """Return whether the context is far larger or smaller than the tokens that it stands beside."""
    context = seen.contexts.context[-1][first_rows(seen.puzzle)]
    ratio = float(context.square().mean().sqrt() / token_rms(model, seen.asked["tokens"]))
    low, high = CONTEXT_SCALE
    off = not low <= ratio <= high
    figures = f"its root mean square is {ratio:.3g} times that of the query"
    statement = (
        f"The context is too {'large' if ratio > high else 'small'}: {figures}, outside {low:g} to {high:g}."
        if off
        else f"The context has a scale that the solver can read: {figures}, within {low:g} to {high:g}."
    )
    change = "Lower" if ratio > high else "Raise"
    advice = (
        f"{change} context_scale={params['context_scale']:g}, so that the ratio comes near 1." if off else ""
    )
    return ProbeResult(
        "context_scale_off",
        "supported" if off else "rejected",
        statement,
        {"context_to_token_rms": ratio, "low": low, "high": high},
        advice,
        alarm=off,
    )


def flips_of(seen: ReadOut) -> tuple[Array, Array]:
    """Return of every puzzle ``(P,)`` how many valid cells change under another's context, and how many it has."""
    valid = seen.asked["labels"] != PAD
    _, group = torch.unique(seen.puzzle, return_inverse=True)
    zero = torch.zeros(int(group.max()) + 1, dtype=torch.int64, device=group.device)
    flips, cells = (
        zero.index_add(0, group, part.sum(dim=-1)).cpu().numpy() for part in (seen.flipped & valid, valid)
    )
    return flips, cells


def flip_rate(flips: Array, cells: Array) -> Interval:
    """Return the share of valid cells that change, given both of every puzzle, ``(P,)``."""

    def share(rows: Array) -> Array:
        return np.asarray(flips[rows].sum(axis=-1) / cells[rows].sum(axis=-1))

    return resampled(share, len(flips))


def cross_ratio(context: Tensor, noise: float = 0.0) -> Interval:
    """Return the cross-sample ratio of contexts ``(P, T, D)``, P at least 3, given the variance that sampling adds.

    The bounds are those of Student's t over the jackknife's pseudo-values of the ratio's logit, which hold 95 % from
    20 puzzles on, where percentiles of the bootstrap hold 84 to 90 %: puzzles that are drawn twice do not differ.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 11.5.
    """
    flat = context.flatten(1).double()
    products = (flat @ flat.T).cpu().numpy()
    n, rows = len(products), products.sum(axis=1)
    added = noise * flat.shape[1]  # to the square of every context
    whole = logit_ratio(products.trace() - products.sum() / n, products.trace() + n * added)
    squares = products.trace() - products.diagonal()
    without_one = products.sum() - 2 * rows + products.diagonal()
    parts = logit_ratio(squares - without_one / (n - 1), squares + (n - 1) * added)
    pseudo = n * whole - (n - 1) * parts
    reach = student.ppf((1 + CONFIDENCE) / 2, n - 1) * pseudo.std(ddof=1) / np.sqrt(n)
    low, high = (float(expit(pseudo.mean() + side * reach)) for side in (-1, 1))
    return Interval(float(cross_sample_ratio(context, noise)), low, high)


def logit_ratio(signal: Array, total: Array) -> Array:
    """Return the logit of ``signal / total``, both times the number of puzzles; of zeros that of 0."""
    share = np.divide(signal, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(logit(share.clip(ROUNDING, 1 - ROUNDING)))


def resampled(statistic: Callable[[Array], Array], n_puzzles: int) -> Interval:
    """Return a statistic with the percentiles that it has over resampled puzzles.

    Args:
        statistic: Of numbers of puzzles ``(..., n)``, their value ``(...)``.
        n_puzzles: How many there are to draw from.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3. Corrected intervals do not exist
        where all resamples agree, as they do where nothing changes.
    """
    rows = np.arange(n_puzzles)
    bounds = bootstrap(
        (rows,),
        lambda drawn, axis: statistic(np.moveaxis(drawn, axis, -1)),
        n_resamples=N_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(RESAMPLING_SEED),
    ).confidence_interval
    return Interval(float(statistic(rows)), float(bounds.low), float(bounds.high))
