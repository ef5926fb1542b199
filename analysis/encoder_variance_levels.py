"""What weight, latent and depth do to the encoder over a grid: noise, signal and diversity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from analysis import grid, scales
from analysis.effects import Contrast, Effect
from analysis.encoder_health_monitors import CROSS
from analysis.encoder_variance_states import NOISE, SIGNAL, WITHIN, with_noise_share
from analysis.findings import Finding, Verdict, Wording, all_of, any_of, differs, not_applicable, told
from analysis.judge import Judge, Quantity
from analysis.kl_weight_contrasts import WEIGHT, extremes
from analysis.levels import known, level_contrast, level_pairs
from analysis.subjects import metric_name
from analysis.table import SweepTable
from search_spaces.domains import Value, value_text
from trainables.etrm.health import COLLAPSED_CROSS_RATIO

LATENT, DEPTH = "latent_dim", "encoder_num_layers"


def column(table: SweepTable, quantity: Quantity) -> str:
    """Return the column on which levels are compared: that of all cells, for a level averages over them."""
    return scales.column(table, quantity.name, quantity.scale, *table.cells)


def step(
    table: SweepTable, quantity: Quantity, axis: str, pair: tuple[Value, Value] | None
) -> Contrast | None:
    """Return one level of an axis against another on one quantity, None where the sweep lacks either."""
    if pair is None or metric_name(table, quantity.name) not in table.trials:
        return None
    return level_contrast(table, column(table, quantity), axis, pair, quantity.scale.kind)


def heaviest(table: SweepTable) -> Contrast | None:
    """Return the diversity at the largest weight, over all other axes, against collapse."""
    ends, metric = extremes_of_grid(table), metric_name(table, CROSS.name)
    axis = table.axis(WEIGHT)
    if ends is None or axis is None or metric not in table.trials:
        return None
    blocks = tuple({cell: 1.0} for cell in table.cells if table.params_of(cell)[WEIGHT] == ends[0])
    reference = float(f"{CROSS.scale.transform(COLLAPSED_CROSS_RATIO):.5g}")
    name, compared = f"collapse ({COLLAPSED_CROSS_RATIO:g} as odds)", column(table, CROSS)
    a = table.level(axis, ends[0])
    return Contrast(f"{compared}: {a} vs {name}", compared, a, name, blocks, "ratio", reference)


def extremes_of_grid(table: SweepTable) -> tuple[Value, Value] | None:
    """Return the largest and the smallest weight of a grid; None of a search, whose weights are no levels."""
    axis = table.axis(WEIGHT)
    return None if axis is None or axis.searched else extremes(table)


def level_contrasts(table: SweepTable) -> list[Contrast]:
    """Return every comparison of levels that the findings below rest on, and those on the objective."""
    with_noise_share(table)
    ends = extremes_of_grid(table)
    found = [step(table, quantity, WEIGHT, ends) for quantity in (WITHIN, NOISE, SIGNAL, CROSS)]
    found += [step(table, CROSS, axis, pair) for axis in (LATENT, DEPTH) for pair in level_pairs(table, axis)]
    return [*(c for c in [*found, heaviest(table)] if c is not None), *grid.contrasts(table)]


def on_levels(judge: Judge) -> list[Finding]:
    """Return what the axes of the grid do; nothing where none of them was swept by levels."""
    axes = [axis.name for axis in judge.table.gridded]
    found = []
    if WEIGHT in axes:
        found += [*(weight_does(judge, claim) for claim in CLAIMS), kl_weight_collapses(judge)]
    names = {LATENT: "latent_dim_matters", DEPTH: "depth_matters"}
    return [*found, *(axis_matters(judge, name, axis) for axis, name in names.items() if axis in axes)]


def ends_text(judge: Judge) -> tuple[str, str]:
    """Return the largest and the smallest weight in words."""
    ends = extremes_of_grid(judge.table)
    assert ends is not None
    return value_text(ends[0]), value_text(ends[1])


def rises(effect: Effect) -> Verdict:
    """Return the verdict on "the heavier weight has more of it"; rejected when it has less, or the same."""
    if effect.same or effect.below(effect.null):
        return "rejected"
    return "supported" if effect.above(effect.null) else "undecided"


def falls(effect: Effect) -> Verdict:
    """Return the verdict on "the heavier weight has less of it"; rejected when it has more, or the same."""
    if effect.same or effect.above(effect.null):
        return "rejected"
    return "supported" if effect.below(effect.null) else "undecided"


@dataclass(frozen=True)
class WeightClaim:
    """What a heavier KL does to one quantity; ``{high}``, ``{low}`` and ``{what}`` in its words are filled in.

    Args:
        identity: Id of the finding.
        quantity: What is compared, at the largest weight against the smallest.
        needs: The metrics that it is made of.
        reads: The verdict on an effect.
        wording: The statement for each verdict, and the advice.
    """

    identity: str
    quantity: Quantity
    needs: str
    reads: Callable[[Effect], Verdict]
    wording: Wording


CLAIMS = (
    # It should: the KL pulls the posterior to the unit normal.
    WeightClaim(
        "kl_weight_raises_noise",
        WITHIN,
        WITHIN.name,
        rises,
        Wording(
            supported="{high} raises the variance within one puzzle against {low}, as expected.",
            rejected="{high} does not raise the variance within one puzzle against {low}, as it should: it {what}.",
            undecided=f"Whether a heavier {WEIGHT} raises the variance within one puzzle is open.",
            advice={
                "rejected": "See that the KL's gradient reaches the encoder, and that its weight is per sample."
            },
        ),
    ),
    # Free of the scale of the latent: without a KL nothing bounds it, and the raw variance wanders with it.
    WeightClaim(
        "kl_weight_raises_noise_share",
        NOISE,
        "signal_var and noise_var",
        rises,
        Wording(
            supported="{high} gives noise a larger share of the context's variance than {low}, as expected.",
            rejected="{high} gives noise no larger share of the context's variance than {low}: it {what}.",
            undecided=f"Whether a heavier {WEIGHT} gives noise a larger share of the context's variance is open.",
            advice={"supported": "Take the largest weight that leaves the cross ratio above its bound."},
        ),
    ),
    # Variance between puzzles, at the mean of the latent.
    WeightClaim(
        "kl_weight_costs_signal",
        SIGNAL,
        "signal_var",
        falls,
        Wording(
            supported="{high} costs signal against {low}: the contexts of different puzzles are closer.",
            rejected="{high} costs no signal against {low}.",
            undecided=f"Whether a heavier {WEIGHT} costs signal is open.",
            advice={"supported": "Take the smallest weight whose noise is wanted."},
        ),
    ),
)


def weight_does(judge: Judge, claim: WeightClaim) -> Finding:
    """Return what the largest weight does to one quantity against the smallest."""
    found = judge.step(step(judge.table, claim.quantity, WEIGHT, extremes_of_grid(judge.table)))
    if found is None:
        return not_applicable(claim.identity, f"Needs two levels of {WEIGHT} with data on {claim.needs}.")
    high, low = ends_text(judge)
    words = {
        "high": f"{WEIGHT} {high}",
        "low": low,
        "what": "lowers it" if found.below(found.null) else "leaves it the same within the margin",
    }
    wording = replace(
        claim.wording,
        supported=claim.wording.supported.format(**words),
        rejected=claim.wording.rejected.format(**words),
    )
    return told(claim.identity, claim.reads(found), wording, [found])


def kl_weight_collapses(judge: Judge) -> Finding:
    """The largest weight makes all contexts one, where the smallest leaves them more different."""
    identity, ends = "kl_weight_collapses", extremes_of_grid(judge.table)
    found = [judge.step(step(judge.table, CROSS, WEIGHT, ends)), judge.step(heaviest(judge.table))]
    effects = [effect for effect in found if effect is not None]
    if len(effects) < 2:
        return not_applicable(identity, f"Needs two levels of {WEIGHT} with data on {CROSS.name}.")
    parts = [falls(effect) for effect in effects]
    high, low = ends_text(judge)
    rest = (
        "it is less diverse, but above the bound"
        if parts[0] == "supported"
        else f"not less diverse than at {low}"
    )
    wording = Wording(
        supported=f"{WEIGHT} {high} collapses the representation, against {low}: cross_sample_ratio falls below "
        f"{COLLAPSED_CROSS_RATIO:g} on average over the other axes.",
        rejected=f"{WEIGHT} {high} does not collapse the representation: {rest}.",
        undecided=f"Whether {WEIGHT} {high} collapses the representation is open.",
        advice={"supported": "Lower kl_weight, or warm it up."},
    )
    return told(identity, all_of(parts), wording, effects)


def direction(effects: Sequence[Effect]) -> str:
    """Return which way diversity goes with an axis; nothing where some of its levels go up and others down."""
    up, down = any(e.above(e.null) for e in effects), any(e.below(e.null) for e in effects)
    if up and down:
        return ", in no one direction"
    return ": more of it, more different" if up else ": less of it, more different"


def axis_matters(judge: Judge, identity: str, axis: str) -> Finding:
    """The diversity of contexts differs between levels of one axis, averaged over the others."""
    pairs = [step(judge.table, CROSS, axis, pair) for pair in level_pairs(judge.table, axis)]
    found = known(judge.effects, *pairs)
    if not found:
        return not_applicable(identity, f"{axis} has no two levels with data on {CROSS.name}.")
    wording = Wording(
        supported=f"{axis} matters for how different the contexts of puzzles are{direction(found)}.",
        rejected=f"{axis} does not matter for how different the contexts of puzzles are.",
        undecided=f"Whether {axis} matters for how different the contexts of puzzles are is open.",
        advice={"rejected": f"Leave {axis} at its smallest level."},
    )
    return told(identity, any_of(differs(effect) for effect in found), wording, found)
