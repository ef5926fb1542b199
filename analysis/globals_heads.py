"""What ``globals_beta`` does to tokens and globals in each latent space: the findings of that study.

Five hypotheses stand behind the 3 x 3 grid, and each is answered by findings:

====  ==========================================================  ==========================================
      hypothesis                                                  finding
====  ==========================================================  ==========================================
H1    beta acts on the unweighted rec_globals                     beta_has_effect, head_needed
H2    rec_tokens is ordered none <= linear < vq                   linear_equals_none, vq_too_restrictive
H3    globals fall strongly with beta, depend weakly on the       beta_has_effect; the rec_globals part of
      latent space                                                vq_too_restrictive and linear_equals_none
H4    vq ranks last on the unweighted total                       vq_ranks_last
H5    a heavier globals weight costs token reconstruction         trade_off (or free_lunch), and with
                                                                  latent_dim swept bottleneck_makes_trade_off
====  ==========================================================  ==========================================

and each next step follows from one:

* raise latent_dim (doubling), or drop the head: trade_off supported;
* codebook_size x latent_dim grid for vq: vq_too_restrictive supported;
* keep beta at 1: beta_10_worth_it rejected; choose beta: sweet_spot;
* let tokens see each other: globals_from_visible rejected;
* mend the codebook first: codes_alive rejected; mend the balance of gradients: wins_the_gradient supported.

Findings speak of averages over the axes that they do not name, so they hold for larger grids, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis import globals_contrasts as g
from analysis import globals_latent as latent
from analysis.effects import MARGIN, Effect
from analysis.findings import (
    Finding,
    Number,
    Verdict,
    Wording,
    all_of,
    any_of,
    decide,
    differs,
    exceeds,
    improves,
    not_applicable,
    with_follow_up,
)
from analysis.follow_up import propose
from analysis.globals_contrasts import contrasts
from analysis.levels import known, level_pairs, sweet_spot
from analysis.table import SweepTable

__all__ = ["TRADE_OFF", "contrasts", "figure_metrics", "findings"]

TRADE_OFF: tuple[str, str] | None = (g.TOKENS, g.GLOBALS)
NOT_ENCODED = 0.9  # share of the mean predictor's loss above which nothing of the globals is encoded

Effects = Mapping[str, Effect]


def figure_metrics(table: SweepTable) -> list[str]:
    """Return the metrics that are drawn as heatmaps, in the order of the report."""
    wanted = (g.TOTAL, g.TOKENS, g.GLOBALS, g.MET_R2, g.PERPLEXITY, f"{g.ENCODER_SHARE}rec_globals")
    return [metric for metric in wanted if table.values(metric)]


def findings(table: SweepTable, effects: Effects) -> list[Finding]:
    """Return all findings of the study, those that answer its question first."""
    return [
        beta_has_effect(table, effects),
        head_needed(table, effects),
        beta_10_worth_it(table, effects),
        sweet_spot(table, effects, "sweet_spot", g.BETA, g.TOTAL, "ratio"),
        free_lunch(table, effects),
        trade_off(table, effects),
        latent.bottleneck_makes_trade_off(table, effects),
        latent.vq_too_restrictive(table, effects),
        latent.vq_ranks_last(table, effects),
        latent.linear_equals_none(table, effects),
        latent.codes_alive(table, effects),
        latent.globals_from_visible(table, effects),
        latent.wins_the_gradient(table, effects),
    ]


def beta_has_effect(table: SweepTable, effects: Effects) -> Finding:
    """The unweighted rec_globals differs between levels of beta."""
    steps = known(effects, *(g.beta_step(table, g.GLOBALS, *pair) for pair in level_pairs(table, g.BETA)))
    if not steps:
        return not_applicable("beta_has_effect", "Needs two levels of globals_beta with data on rec_globals.")
    by_latent = known(
        effects, *(g.beta_step(table, g.GLOBALS, g.UNIT_BETA, g.OFF_BETA, s) for s in g.latents(table))
    )
    numbers = [Number(f"baseline {k}", v) for k, v in table.baselines.items() if k.endswith(f"/{g.GLOBALS}")]
    wording = Wording(
        supported="globals_beta changes the unweighted rec_globals.",
        rejected="globals_beta does not change the unweighted rec_globals by more than 5 %.",
        undecided="Whether globals_beta changes the unweighted rec_globals is open.",
        advice={"rejected": advice_without_effect(table)},
    )
    verdict = any_of(differs(effect) for effect in steps)
    finding = decide("beta_has_effect", verdict, wording, steps)
    return Finding(**{**vars(finding), "evidence": (*by_latent, *finding.evidence, *numbers)})


def advice_without_effect(table: SweepTable) -> str:
    """Return why beta may do nothing: globals that are not encoded, or as good as they get already."""
    trivial = table.baselines.get(f"mean/{g.GLOBALS}")
    losses = [value for cell in table.cells if (value := table.mean(g.GLOBALS, cell)) is not None]
    if trivial is None or not losses:
        return "Compare with the mean and visible-sum baselines: not encoded and saturated look alike without them."
    if min(losses) > NOT_ENCODED * trivial:
        return "rec_globals stays near the variance of the target: the globals are not encoded. Try mixing=attention."
    return "rec_globals is well below the variance of the target at every beta: it is saturated. Drop the weight."


def head_needed(table: SweepTable, effects: Effects) -> Finding:
    """Training the head (beta 1) improves the globals over leaving it untrained (beta 0)."""
    found = known(effects, g.beta_step(table, g.GLOBALS, g.UNIT_BETA, g.OFF_BETA))
    if not found:
        return not_applicable("head_needed", "Needs globals_beta 0 and 1 with data on rec_globals.")
    wording = Wording(
        supported="The globals need their weight: beta 1 reconstructs them better than beta 0.",
        rejected="The globals do not need a weight: beta 1 gains less than 5 % over beta 0.",
        undecided="Whether beta 1 reconstructs the globals better than beta 0 is open.",
        advice={"rejected": "Drop the globals head."},
    )
    return decide("head_needed", improves(found[0], "min"), wording, found)


def beta_10_worth_it(table: SweepTable, effects: Effects) -> Finding:
    """Beta 10 improves the globals over beta 1; its price on the tokens stands beside it."""
    found = known(effects, g.beta_step(table, g.GLOBALS, g.HEAVY_BETA, g.UNIT_BETA))
    if not found:
        return not_applicable("beta_10_worth_it", "Needs globals_beta 1 and 10 with data on rec_globals.")
    price = known(effects, g.beta_step(table, g.TOKENS, g.HEAVY_BETA, g.UNIT_BETA))
    wording = Wording(
        supported="Beta 10 reconstructs the globals better than beta 1.",
        rejected="Beta 10 is not worth it: it gains less than 5 % on the globals over beta 1.",
        undecided="Whether beta 10 reconstructs the globals better than beta 1 is open.",
        advice={
            "supported": "Weigh the gain against its price on the tokens, given beside it.",
            "rejected": "Stay at beta 1 or below.",
        },
    )
    finding = decide("beta_10_worth_it", improves(found[0], "min"), wording, found)
    return Finding(**{**vars(finding), "evidence": (*finding.evidence, *price)})


def weight_steps(table: SweepTable, effects: Effects) -> list[tuple[Effect, Effect]]:
    """Return (globals, tokens) of every level of beta against its smallest."""
    levels = g.betas(table)
    pairs = [
        known(effects, *(g.beta_step(table, metric, high, levels[0]) for metric in (g.GLOBALS, g.TOKENS)))
        for high in levels[1:]
    ]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def free_lunch(table: SweepTable, effects: Effects) -> Finding:
    """Some weight improves the globals while the tokens lose less than 5 %."""
    steps = weight_steps(table, effects)
    if not steps:
        return not_applicable("free_lunch", "Needs two levels of globals_beta with data on both losses.")
    wording = Wording(
        supported="A free lunch: some globals_beta improves the globals, and the tokens lose less than 5 %.",
        rejected="No free lunch: whatever improves the globals costs the tokens 5 % or more.",
        undecided="Whether the globals improve at no cost to the tokens is open.",
        advice={"supported": "Keep the globals head with that weight."},
    )
    verdict = any_of(all_of([improves(gain, "min"), cheap(price)]) for gain, price in steps)
    return decide(
        "free_lunch", verdict, wording, [effect for gain, price in steps for effect in (price, gain)]
    )


def cheap(price: Effect) -> Verdict:
    """Return the verdict on "the tokens lose less than 5 %"."""
    if price.below(1 + MARGIN):
        return "supported"
    return "rejected" if price.above(1 + MARGIN) else "undecided"


def trade_off(table: SweepTable, effects: Effects) -> Finding:
    """Some weight improves the globals and costs the tokens 5 % or more."""
    steps = weight_steps(table, effects)
    if not steps:
        return not_applicable("trade_off", "Needs two levels of globals_beta with data on both losses.")
    wording = Wording(
        supported="A trade-off: some globals_beta improves the globals and costs the tokens 5 % or more.",
        rejected="No trade-off: no globals_beta improves the globals and costs the tokens 5 % or more.",
        undecided="Whether better globals cost the tokens 5 % or more is open.",
        advice={"supported": "Raise latent_dim (doubling), or drop the head."},
    )
    verdict = any_of(all_of([improves(gain, "min"), exceeds(price, 1 + MARGIN)]) for gain, price in steps)
    finding = decide(
        "trade_off", verdict, wording, [effect for gain, price in steps for effect in (price, gain)]
    )
    wider = int(2 * latent.current(table, g.LATENT_DIM))
    follow_up = propose(
        table,
        f"latent_dim_{wider}",
        f"Does latent_dim {wider} lift the trade-off between tokens and globals?",
        "trade_off: the globals improve with globals_beta at the expense of the tokens.",
        {g.LATENT_DIM: (wider,)},
    )
    return with_follow_up(finding, follow_up)
