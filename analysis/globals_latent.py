"""Findings of the globals study about the latent space: codebook, linear map, width of the bottleneck."""

from __future__ import annotations

from collections.abc import Mapping

from analysis import globals_contrasts as g
from analysis.effects import Effect
from analysis.findings import (
    Finding,
    Number,
    Verdict,
    Wording,
    all_of,
    any_of,
    decide,
    equal,
    exceeds,
    improves,
    not_applicable,
    with_follow_up,
)
from analysis.follow_up import propose
from analysis.levels import known
from analysis.table import CellKey, SweepTable

Effects = Mapping[str, Effect]


def vq_too_restrictive(table: SweepTable, effects: Effects) -> Finding:
    """Both losses are worse for vq than for none and for linear."""
    others = [latent for latent in g.latents(table) if latent != "vq"]
    pairs = [g.latent_step(table, metric, "vq", b) for metric in (g.TOKENS, g.GLOBALS) for b in others]
    found = known(effects, *pairs)
    if not found or len(found) < len(pairs):
        return not_applicable(
            "vq_too_restrictive", "Needs vq and another latent space with data on both losses."
        )
    wording = Wording(
        supported="The codebook is too restrictive: both losses are worse for vq than for every other latent space.",
        rejected="The codebook is not too restrictive: on at least one loss vq is no worse by 5 % or is better.",
        undecided="Whether vq is worse on both losses is open.",
        advice={
            "supported": "Take linear or none; look at perplexity, usage and dead codes before enlarging the codebook."
        },
    )
    finding = decide("vq_too_restrictive", all_of(worse(effect) for effect in found), wording, found)
    size, dim = (int(current(table, name)) for name in ("codebook_size", g.LATENT_DIM))
    follow_up = propose(
        table,
        "codebook",
        "Does a larger codebook or a wider latent lift the restriction of vq?",
        "vq_too_restrictive: both losses are worse for vq.",
        {g.LATENT: ("vq",), "codebook_size": (size // 2, size, size * 2), g.LATENT_DIM: (dim, 2 * dim)},
    )
    return with_follow_up(finding, follow_up)


def vq_ranks_last(table: SweepTable, effects: Effects) -> Finding:
    """The unweighted total is worse for vq than for none and for linear."""
    others = [latent for latent in g.latents(table) if latent != "vq"]
    found = known(effects, *(g.latent_step(table, g.TOTAL, "vq", b) for b in others))
    if not found or len(found) < len(others):
        return not_applicable("vq_ranks_last", "Needs vq and another latent space with data on the total.")
    wording = Wording(
        supported="vq ranks last on the unweighted total of tokens and globals.",
        rejected="vq does not rank last on the unweighted total of tokens and globals.",
        undecided="Whether vq ranks last on the unweighted total is open.",
        advice={},
    )
    return decide("vq_ranks_last", all_of(worse(effect) for effect in found), wording, found)


def worse(effect: Effect) -> Verdict:
    """Return the verdict on "the loss of ``a`` is larger": rejected when it is at most the margin larger."""
    if effect.same or effect.below(effect.bounds_of_same[1]):
        return "rejected"
    return "supported" if effect.above(effect.null) else "undecided"


def linear_equals_none(table: SweepTable, effects: Effects) -> Finding:
    """A linear bottleneck as wide as its input is the same function class as none."""
    found = known(
        effects, *(g.latent_step(table, metric, "linear", "none") for metric in (g.TOKENS, g.GLOBALS))
    )
    if len(found) < 2:
        return not_applicable(
            "linear_equals_none", "Needs the latent spaces none and linear with data on both losses."
        )
    wording = Wording(
        supported="linear and none are the same within 5 % on tokens and on globals.",
        rejected="linear and none differ by more than 5 % on tokens or on globals.",
        undecided="Neither a difference nor sameness within 5 % is shown between linear and none.",
        advice={
            "supported": "Take none: the linear map adds parameters and nothing else.",
            "rejected": "Both are the same function class: compare learning rates before reading this as a bottleneck.",
        },
    )
    return decide("linear_equals_none", all_of(equal(effect) for effect in found), wording, found)


def codes_alive(table: SweepTable, effects: Effects) -> Finding:
    """The codebook is in use: perplexity above 50 and more than half of the codes used, in every vq cell."""
    cells = g.vq_cells(table)
    found = known(effects, *(c for cell in cells for c in g.code_contrasts(table, cell)))
    if not found:
        return not_applicable("codes_alive", "Needs vq cells with perplexity and codebook_usage.")
    numbers = [
        Number(f"{metric}, {table.label(cell)}", value)
        for cell in cells
        for metric in (g.PERPLEXITY, g.USAGE)
        if (value := table.mean(metric, cell)) is not None
    ]
    wording = Wording(
        supported=f"The codebook is alive in every vq cell: perplexity above {g.LIVE_PERPLEXITY:g}, "
        f"usage above {g.LIVE_USAGE:g}.",
        rejected="The codebook is not alive: perplexity or usage is too low in at least one vq cell.",
        undecided="Whether the codebook is alive in every vq cell is open.",
        advice={"rejected": "Look at dead_codes; restart codes more often or make codebook_size smaller."},
    )
    verdict = all_of(exceeds(effect, effect.null) for effect in found)
    return decide("codes_alive", verdict, wording, [*numbers, *found])


def bottleneck_makes_trade_off(table: SweepTable, effects: Effects) -> Finding:
    """The token price of beta is higher when ``latent_dim`` is small."""
    found = known(effects, g.price_by_dim(table))
    if not found:
        return not_applicable(
            "bottleneck_makes_trade_off",
            "Needs latent_dim and globals_beta swept with at least two levels each.",
        )
    wording = Wording(
        supported="The bottleneck makes the trade-off: beta costs more token reconstruction when latent_dim is small.",
        rejected="The bottleneck does not make the trade-off: beta costs no more tokens when latent_dim is small.",
        undecided="Whether the token price of beta depends on latent_dim is open.",
        advice={
            "supported": "Widen latent_dim before lowering globals_beta.",
            "rejected": "Lower globals_beta: a wider latent does not buy the tokens back.",
        },
    )
    return decide("bottleneck_makes_trade_off", worse(found[0]), wording, found)


def globals_from_visible(table: SweepTable, effects: Effects) -> Finding:
    """The head beats the missing momentum that follows in closed form from the visible objects."""
    by_cell = {cell: known(effects, *g.visible_contrasts(table, cell)) for cell in g.trained_cells(table)}
    by_cell = {cell: found for cell, found in by_cell.items() if found}
    if not by_cell:
        reason = f"Needs the {g.VISIBLE} baseline and cells with globals_beta above 0."
        return not_applicable("globals_from_visible", reason)
    verdicts = {cell: all_of(better(effect) for effect in found) for cell, found in by_cell.items()}
    winners = [table.label(cell) for cell, verdict in verdicts.items() if verdict == "supported"]
    wording = Wording(
        supported=f"The head beats the visible-sum baseline in: {'; '.join(winners)}.",
        rejected="The head does not beat the visible-sum baseline in any cell.",
        undecided="Whether the head beats the visible-sum baseline is open in every cell.",
        advice={
            "rejected": "The closed form is enough, or the mean latent cannot carry it: try mixing=attention."
        },
    )
    evidence = [effect for found in by_cell.values() for effect in found]
    finding = decide("globals_from_visible", any_of(verdicts.values()), wording, evidence)
    follow_up = propose(
        table,
        "mixing",
        "Does attention between tokens let the head beat the visible sum?",
        "globals_from_visible: the head does not beat the closed form.",
        {"mixing": ("none", "attention")},
    )
    return with_follow_up(finding, follow_up, "rejected")


def better(effect: Effect) -> Verdict:
    """Return the verdict on "better than the baseline": R^2 is a difference and grows, a loss is a ratio."""
    return improves(effect, "max" if effect.kind == "difference" else "min")


def wins_the_gradient(table: SweepTable, effects: Effects) -> Finding:
    """The globals term holds the larger share of the encoder's weighted gradient in some cell."""
    cells = g.trained_cells(table)
    found = known(effects, *(g.share_contrast(table, cell) for cell in cells))
    if not found:
        return not_applicable(
            "wins_the_gradient", f"Needs {g.ENCODER_SHARE}rec_globals in cells with globals_beta above 0."
        )
    leaders = {cell: leading_term(table, cell) for cell in table.cells}
    named = [(cell, *leader) for cell, leader in leaders.items() if leader is not None]
    by_term: dict[str, list[str]] = {}
    for cell, term, share in named:
        by_term.setdefault(term, []).append(f"{table.label(cell)} ({share:.0%})")
    told = " ".join(f"{term} has the largest share in {'; '.join(where)}." for term, where in by_term.items())
    wording = Wording(
        supported=f"rec_globals wins the encoder's gradient in at least one cell. {told}",
        rejected=f"rec_globals wins the encoder's gradient nowhere. {told}",
        undecided=f"Whether rec_globals wins the encoder's gradient anywhere is open. {told}",
        advice={
            "supported": "Where rec_globals leads, lower globals_beta before blaming the bottleneck for lost tokens."
        },
    )
    numbers = [Number(f"share of {term}, {table.label(cell)}", share) for cell, term, share in named]
    verdict = any_of(exceeds(effect, effect.null) for effect in found)
    return decide("wins_the_gradient", verdict, wording, [*numbers, *found])


def leading_term(table: SweepTable, cell: CellKey) -> tuple[str, float] | None:
    """Return the term with the largest mean share of the encoder's gradient, and that share."""
    shares = {
        metric.removeprefix(g.ENCODER_SHARE): value
        for metric in table.metrics
        if metric.startswith(g.ENCODER_SHARE) and (value := table.mean(metric, cell)) is not None
    }
    return max(shares.items(), key=lambda item: item[1]) if shares else None


def current(table: SweepTable, name: str) -> float:
    """Return an unswept numeric parameter: as recorded, else the default of the space."""
    from search_spaces.globals_autoencoder import SPACE

    axis = table.axis(name)
    if axis is not None:
        return max(float(value) for value in axis.values)
    recorded = table.params.get(name, (table.study.get("fixed") or {}).get(name, SPACE[name].default))
    return float(recorded)
