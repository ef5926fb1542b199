"""What the study of the globals head compares: its metrics, its thresholds, its contrasts.

Findings ask for an effect through the same function that registers its contrast, so none can rest on a
comparison that is not part of the family of simultaneous intervals.
"""

from __future__ import annotations

from analysis.effects import Contrast
from analysis.levels import cell_contrast, interaction, level_contrast, level_pairs
from analysis.table import CellKey, SweepTable
from search_spaces.domains import Value

LATENT, BETA, LATENT_DIM = "latent_space", "globals_beta", "latent_dim"
TOKENS, GLOBALS = "valid/rec_tokens", "valid/rec_globals"
TOTAL = "valid/comparable_loss"
MET_R2 = "valid/met_r2"
PERPLEXITY, USAGE = "valid/perplexity", "valid/codebook_usage"
ENCODER_SHARE = "grad_share/encoder/"

OFF_BETA, UNIT_BETA, HEAVY_BETA = 0.0, 1.0, 10.0  # the levels whose steps the hypotheses name
LIVE_PERPLEXITY = 50.0  # of 512 codes; a codebook with dead codes stays near 3 (measured)
LIVE_USAGE = 0.5  # share of codes in use; with restart of dead codes 442 of 512 were live (measured)
LARGER_SHARE = 0.5  # above it no other term can have more of the gradient
VISIBLE = "visible_sum"  # predictor of the globals that needs no training: minus the visible vector sum


def beta_step(
    table: SweepTable, metric: str, high: Value, low: Value, latent: Value | None = None
) -> Contrast | None:
    """Return ``globals_beta`` high against low, averaged over latent spaces or within one."""
    within = None if latent is None else {LATENT: latent}
    return level_contrast(table, metric, BETA, (high, low), "ratio", within)


def latent_step(table: SweepTable, metric: str, a: Value, b: Value) -> Contrast | None:
    """Return latent space ``a`` against ``b``, averaged over the other axes."""
    return level_contrast(table, metric, LATENT, (a, b), "ratio")


def latents(table: SweepTable) -> tuple[Value, ...]:
    """Return the latent spaces of the sweep, simplest first."""
    axis = table.axis(LATENT)
    return axis.simplest_first if axis else ()


def betas(table: SweepTable) -> tuple[float, ...]:
    """Return the levels of ``globals_beta``, ascending."""
    axis = table.axis(BETA)
    return tuple(sorted(float(value) for value in axis.values)) if axis else ()


def trained_cells(table: SweepTable) -> list[CellKey]:
    """Return the cells in which the globals head has a weight above 0."""
    return [cell for cell in table.cells if float(table.params_of(cell).get(BETA, 0.0)) > 0]


def vq_cells(table: SweepTable) -> list[CellKey]:
    """Return the cells with a codebook."""
    return [cell for cell in table.cells if table.params_of(cell).get(LATENT) == "vq"]


def visible_contrasts(table: SweepTable, cell: CellKey) -> list[Contrast]:
    """Return one cell against the visible-sum baseline on every metric that both have."""
    r2, loss = (table.baselines.get(f"{VISIBLE}/{metric}") for metric in (MET_R2, GLOBALS))
    name = f"{VISIBLE} baseline"
    found = [] if r2 is None else [cell_contrast(table, MET_R2, cell, r2, name, "difference")]
    return found if loss is None else [*found, cell_contrast(table, GLOBALS, cell, loss, name, "ratio")]


def code_contrasts(table: SweepTable, cell: CellKey) -> list[Contrast]:
    """Return perplexity and codebook usage of one cell against what a live codebook has."""
    return [
        cell_contrast(table, PERPLEXITY, cell, LIVE_PERPLEXITY, "threshold", "ratio"),
        cell_contrast(table, USAGE, cell, LIVE_USAGE, "threshold", "difference"),
    ]


def share_contrast(table: SweepTable, cell: CellKey) -> Contrast:
    """Return the globals' share of the encoder's weighted gradient in one cell against one half."""
    metric = f"{ENCODER_SHARE}rec_globals"
    return cell_contrast(table, metric, cell, LARGER_SHARE, "one half", "difference")


def price_by_dim(table: SweepTable) -> Contrast | None:
    """Return the token price of the heaviest beta at the smallest ``latent_dim`` against the largest."""
    dims = table.axis(LATENT_DIM)
    if dims is None or len(dims.values) < 2 or len(betas(table)) < 2:
        return None
    sizes = sorted(float(value) for value in dims.values)
    step = (BETA, betas(table)[-1], betas(table)[0])
    return interaction(table, TOKENS, step, (LATENT_DIM, sizes[0], sizes[-1]), "ratio")


def contrasts(table: SweepTable) -> list[Contrast]:
    """Return every contrast that the findings of this study rest on."""
    found: list[Contrast | None] = [price_by_dim(table)]
    for pair in level_pairs(table, BETA):
        found += [beta_step(table, metric, *pair) for metric in (GLOBALS, TOKENS, TOTAL)]
    for latent in latents(table):
        found.append(beta_step(table, GLOBALS, UNIT_BETA, OFF_BETA, latent))
    for a, b in level_pairs(table, LATENT):
        found += [latent_step(table, metric, a, b) for metric in (TOKENS, GLOBALS)]
        found += [latent_step(table, TOTAL, a, b)] if a == "vq" else []
    for cell in trained_cells(table):
        found += [*visible_contrasts(table, cell), share_contrast(table, cell)]
    for cell in vq_cells(table):
        found += code_contrasts(table, cell)
    return [contrast for contrast in found if contrast is not None]
