"""Is the KL divergence of a latent in a range in which the latent carries information at a sane price?"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.effects import Contrast, Effect
from analysis.findings import Finding, Number, Verdict, Wording, told
from analysis.levels import cell_contrast
from analysis.table import CellKey, SweepTable

KL_COLLAPSED = 0.01  # nats per dimension: below it the posterior is the prior; design of the project
KL_EXPLODED = (
    5.0  # nats per dimension: above it the prior no longer binds the posterior; design of the project
)
NEGLIGIBLE_KL = (
    0.001  # nats per dimension, a tenth of the lower bound: smaller differences are those of rounding
)


def kl_contrast(table: SweepTable, metric: str, cell: CellKey) -> Contrast:
    """Return the KL per dimension of one cell against posterior collapse; its interval serves both bounds.

    A ratio, because a KL scatters in proportion to its size, of values raised by `NEGLIGIBLE_KL`, because near
    zero the logarithm of a KL is that of rounding. The column is written into the table.
    """
    name = f"{metric} + {NEGLIGIBLE_KL:g}"
    if name not in table.trials.columns:
        table.trials[name] = table.trials[metric].clip(lower=0.0) + NEGLIGIBLE_KL
    return cell_contrast(table, name, cell, raised(KL_COLLAPSED), "posterior collapse", "ratio")


def raised(kl: float) -> float:
    """Return a KL as it stands in the column that is compared."""
    return kl + NEGLIGIBLE_KL


def collapsed(effect: Effect) -> Verdict:
    """Return the verdict on posterior collapse: the KL lies below `KL_COLLAPSED`."""
    return "supported" if effect.below(1.0) else "rejected" if effect.above(1.0) else "undecided"


def exploded(effect: Effect) -> Verdict:
    """Return the verdict on an exploding KL: it lies above `KL_EXPLODED`."""
    bound = raised(KL_EXPLODED) / raised(KL_COLLAPSED)
    return "supported" if effect.above(bound) else "rejected" if effect.below(bound) else "undecided"


def kl_anomaly(name: str, effect: Effect, numbers: Sequence[Number]) -> Finding:
    """The KL per dimension of one cell is above 5 nats or below 0.01.

    Args:
        name: The cell.
        effect: Its `kl_contrast`.
        numbers: What else to show of it.
    """
    low, high = collapsed(effect), exploded(effect)
    verdict: Verdict = "undecided"
    if "supported" in (low, high):
        verdict = "supported"
    elif (low, high) == ("rejected", "rejected"):
        verdict = "rejected"
    kind, advice = (
        f"the KL explodes, it is above {KL_EXPLODED:g} nats per dimension",
        "Look at beta_eff: next to its reconstruction this KL weighs too little to bind the posterior.",
    )
    if low == "supported":
        kind = f"the posterior collapses, its KL is below {KL_COLLAPSED:g} nats per dimension"
        advice = "Lower kl_weight, warm it up or allow free bits: the latent carries nothing."
    sane = f"between {KL_COLLAPSED:g} and {KL_EXPLODED:g} nats per dimension"
    wording = Wording(
        supported=f"{name}: {kind}.",
        rejected=f"{name}: the KL lies {sane}.",
        undecided=f"Whether the KL of {name} lies {sane} is open.",
        advice={"supported": advice},
    )
    return told(f"kl_anomaly[{name}]", verdict, wording, [effect, *numbers])
