"""Effects: differences and ratios between cells, with intervals that all hold at once.

Every claim of a report rests on effects from one call of `estimate`: all its contrasts share one
family-wise error rate (Šidák), so the chance that any interval misses its truth is at most 5 %.
Positive metrics are compared on the log scale, where an effect is a ratio of geometric means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from analysis.power import seeds_to_decide
from analysis.spread import Fit, fit_spread
from analysis.table import CellKey, SweepTable
from analysis.tails import quantile, tail

LEVEL = 0.95  # simultaneous confidence of all intervals of one report; design of the project
MARGIN = 0.05  # ratios within 5 % count as the same; design of the project

Kind = Literal["ratio", "difference"]
Block = Mapping[CellKey, float]


@dataclass(frozen=True)
class Contrast:
    """A comparison that a finding asks for.

    Args:
        id: Unique name within a report.
        metric: Metric with its split.
        a: Name of the cells on the one side, for people.
        b: Name of what they are compared with.
        blocks: Weights by cell, +1 for ``a`` and -1 for ``b``. The contrast is the mean over the blocks
            whose cells all have data, so a diverged cell takes only its own block away.
        kind: Ratio on the log scale, or difference.
        reference: Constant to compare with, when ``b`` is a baseline or a threshold rather than cells.
    """

    id: str
    metric: str
    a: str
    b: str
    blocks: tuple[Block, ...]
    kind: Kind
    reference: float | None = None


@dataclass(frozen=True)
class Effect:
    """An estimated ratio or difference of ``a`` to ``b``.

    Args:
        id: Name of the contrast.
        metric: Metric with its split.
        a: The one side.
        b: The other side.
        kind: ``ratio`` or ``difference``.
        estimate: a / b or a - b.
        ci_low: Lower end of the simultaneous interval, None when seeds give no interval.
        ci_high: Upper end.
        level: Confidence that all intervals of the report hold at once.
        p_value: For "no effect", adjusted for all contrasts of the report; None without an interval.
        p_same: For "differs by the margin or more" (two one-sided tests at half the rate each, so that it is
            small exactly when the interval lies inside the margin), adjusted alike.
        margin: Largest ratio minus one, or difference, that counts as the same.
        n: Smallest number of seeds in a cell.
        df: Degrees of freedom, None when infinite or unknown.
        model: Where the spread comes from: ``pooled``, ``by latent_space``, ``by cell``, ``unknown``.
        seeds_needed: Seeds per cell that would decide it with power 0.8; None when decided or unknown.
        note: What limits it, such as cells that are left out.
    """

    id: str
    metric: str
    a: str
    b: str
    kind: Kind
    estimate: float
    ci_low: float | None
    ci_high: float | None
    level: float
    p_value: float | None
    p_same: float | None
    margin: float
    n: int
    df: float | None
    model: str
    seeds_needed: int | None
    note: str = ""

    @property
    def null(self) -> float:
        """The value that means no effect."""
        return 1.0 if self.kind == "ratio" else 0.0

    @property
    def bounds_of_same(self) -> tuple[float, float]:
        """The values between which ``a`` and ``b`` count as the same."""
        if self.kind == "ratio":
            return 1 / (1 + self.margin), 1 + self.margin
        return -self.margin, self.margin

    @property
    def same(self) -> bool:
        """Whether the two are shown to be the same within the margin."""
        return self.p_same is not None and self.p_same < 1 - self.level

    def above(self, value: float) -> bool:
        """Return whether the whole interval lies above ``value``."""
        return self.ci_low is not None and self.ci_low > value

    def below(self, value: float) -> bool:
        """Return whether the whole interval lies below ``value``."""
        return self.ci_high is not None and self.ci_high < value

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out "no effect"."""
        return self.above(self.null) or self.below(self.null)

    @property
    def interval_text(self) -> str:
        """The estimate with its interval: ``0.08x [0.07, 0.10]``."""
        sign = "" if self.kind == "ratio" else "+"
        unit = "x" if self.kind == "ratio" else ""
        value = f"{self.estimate:{sign}.3g}{unit}"
        if self.ci_low is None or self.ci_high is None:
            return f"{value} [no interval]"
        return f"{value} [{self.ci_low:{sign}.3g}, {self.ci_high:{sign}.3g}]"

    @property
    def text(self) -> str:
        """One sentence: ``valid/rec_globals, beta 1 against beta 0: falls to 0.08x [0.07, 0.10]``."""
        if self.same:
            verb = "is the same within the margin,"
        elif not self.differs:
            verb = "is not decided,"
        else:
            verb = "rises by" if self.above(self.null) else "falls by"
            if self.kind == "ratio":
                verb = verb.replace("by", "to")
        note = f" ({self.note})" if self.note else ""
        return f"{self.metric}, {self.a} against {self.b}: {verb} {self.interval_text}{note}"

    def as_json(self) -> dict[str, Any]:
        """Return the effect as it stands in ``report.json``."""
        return {**asdict(self), "same": self.same, "differs": self.differs, "text": self.text}


def estimate(
    table: SweepTable, contrasts: Sequence[Contrast], further: int = 0, level: float = LEVEL
) -> dict[str, Effect]:
    """Return the effects by id, with intervals that hold all at once.

    Args:
        table: The sweep.
        contrasts: All contrasts behind one report; those without data are left out of the result.
        further: Comparisons that the report could have shown but, choosing by data, does not list.
        level: Simultaneous confidence.

    Source:
        Šidák (1967): two-sided t intervals at 1 - level**(1/K) each hold jointly with at least ``level``.
    """
    return effects_at(table, contrasts, own_error_rate(contrasts, further, level), level)


def estimate_singly(
    table: SweepTable, contrasts: Sequence[Contrast], level: float = LEVEL
) -> dict[str, Effect]:
    """Return the effects by id, each with an interval that holds at ``level`` by itself, but not with the others.

    No claim may rest on them: of many such intervals some miss their truth. They are for caution, where an
    interval that holds together with all others is wide enough to leave open what one alone shows.
    """
    return effects_at(table, contrasts, 1 - level, level)


def effects_at(
    table: SweepTable, contrasts: Sequence[Contrast], alpha: float, level: float
) -> dict[str, Effect]:
    """Return the effects by id, each at the error rate ``alpha`` of its own."""
    unique = {contrast.id: contrast for contrast in contrasts}
    fits: dict[tuple[str, Kind], Fit | None] = {}
    effects = {}
    for contrast in unique.values():
        key = contrast.metric, contrast.kind
        if key not in fits:
            fits[key] = fit_metric(table, *key)
        fit = fits[key]
        effect = None if fit is None else one_effect(table, contrast, fit, alpha, level)
        if effect is not None:
            effects[contrast.id] = effect
    return effects


def own_error_rate(contrasts: Sequence[Contrast], further: int = 0, level: float = LEVEL) -> float:
    """Return the error rate of each single interval when all of them hold at once with ``level`` (Šidák 1967)."""
    n_unique = len({contrast.id for contrast in contrasts})
    return float(1 - level ** (1 / max(1, n_unique + further)))


def fit_metric(table: SweepTable, metric: str, kind: Kind) -> Fit | None:
    """Return the fit of one metric on the scale of ``kind``, None without data or without a logarithm.

    In a search only `SweepTable.contenders` take part: a point with one seed says nothing of the spread.
    """
    values = table.values(metric)
    if table.is_search:
        values = {cell: values[cell] for cell in table.contenders(metric)}
    if kind == "ratio":
        if any(value <= 0 for seeds in values.values() for value in seeds.values()):
            return None
        values = {cell: {s: math.log(v) for s, v in seeds.items()} for cell, seeds in values.items()}
    return fit_spread(values, tuple(axis.name for axis in table.axes)) if values else None


def one_effect(table: SweepTable, contrast: Contrast, fit: Fit, alpha: float, level: float) -> Effect | None:
    """Return one effect at the error rate ``alpha`` of its own, None when no block of it has data."""
    blocks = [block for block in contrast.blocks if all(cell in fit.means for cell in block)]
    if not blocks or (
        contrast.kind == "ratio" and contrast.reference is not None and contrast.reference <= 0
    ):
        return None
    weights: dict[CellKey, float] = {}
    for block in blocks:
        for cell, weight in block.items():
            weights[cell] = weights.get(cell, 0.0) + weight / len(blocks)
    found = fit.contrast({cell: weight for cell, weight in weights.items() if weight})
    value = found.value - on_scale(contrast)
    margin = same_margin(contrast, fit, weights)
    scaled_margin = math.log1p(margin) if contrast.kind == "ratio" else margin
    se, df = found.widest(alpha)
    half, p_value, p_same = interval(value, se, df, alpha, scaled_margin)
    back = math.exp if contrast.kind == "ratio" else float
    decided = half is not None and (abs(value) > half or family(p_same, alpha, level) < 1 - level)
    return Effect(
        id=contrast.id,
        metric=contrast.metric,
        a=contrast.a,
        b=contrast.b,
        kind=contrast.kind,
        estimate=back(value),
        ci_low=None if half is None else back(value - half),
        ci_high=None if half is None else back(min(value + half, 700.0)),
        level=level,
        p_value=None if half is None else family(p_value, alpha, level),
        p_same=None if half is None else family(p_same, alpha, level),
        margin=margin,
        n=found.n,
        df=df if math.isfinite(df) else None,
        model=fit.model,
        seeds_needed=None if decided else seeds_to_decide(value, found, alpha, scaled_margin),
        note=left_out(table, contrast, fit),
    )


def on_scale(contrast: Contrast) -> float:
    """Return the reference of a contrast on its scale, 0 without one."""
    if contrast.reference is None:
        return 0.0
    return math.log(contrast.reference) if contrast.kind == "ratio" else contrast.reference


def same_margin(contrast: Contrast, fit: Fit, weights: Mapping[CellKey, float]) -> float:
    """Return what counts as the same: `MARGIN` for ratios, `MARGIN` of the size of ``b`` for differences."""
    if contrast.kind == "ratio":
        return MARGIN
    if contrast.reference is not None:
        return MARGIN * abs(contrast.reference)
    return MARGIN * abs(sum(weight * fit.means[cell] for cell, weight in weights.items() if weight < 0))


def interval(
    value: float, se: float | None, df: float, alpha: float, margin: float
) -> tuple[float | None, float, float]:
    """Return half-width, p value of "no effect", and p value of "differs by the margin or more".

    Each of the two one-sided tests runs at half the error rate, so that sameness is claimed exactly when the
    interval lies inside the margin: what is decided is what is shown.
    """
    if se is None:
        return None, 1.0, 1.0
    if se == 0:
        return 0.0, float(abs(value) < 1e-12), float(abs(value) >= margin)
    half = quantile(alpha / 2, df) * se
    p_value = 2 * tail(abs(value) / se, df)
    return half, p_value, min(1.0, 2 * tail((margin - abs(value)) / se, df))


def family(p_value: float, alpha: float, level: float) -> float:
    """Return a p value adjusted for all contrasts, so that it stands against ``1 - level`` (Šidák 1967)."""
    n_contrasts = math.log(level) / math.log1p(-alpha)
    return -math.expm1(n_contrasts * math.log1p(-min(p_value, 1 - 1e-16)))


def left_out(table: SweepTable, contrast: Contrast, fit: Fit) -> str:
    """Return which cells of a contrast have no data, empty when all have."""
    absent = {cell for block in contrast.blocks for cell in block if cell not in fit.means}
    return f"without {'; '.join(sorted(table.label(cell) for cell in absent))}" if absent else ""
