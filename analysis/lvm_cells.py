"""What is measured of a next-vector model, cell by cell, and which bound or trivial predictor it is held against.

Bounds are those of `trainables.lvm.bounds`. Two follow from the data: the cosine of the mean vector, and how far
`collapse_index` can rise, which is reached when every prediction is the same vector.
"""

from __future__ import annotations

from analysis import scales
from analysis.effects import Contrast
from analysis.encoder_health_monitors import subjects
from analysis.findings import Number
from analysis.judge import Quantity, against_bound
from analysis.levels import cell_contrast
from analysis.lvm_steps import COSINE, ERROR
from analysis.subjects import Subject, mean_of, metric_name
from analysis.table import SweepTable
from trainables.lvm import claims
from trainables.lvm.bounds import COLLAPSED_DIVERSITY, COPIED_COS, DECODABLE_COS, MATCHED_MOMENTS
from trainables.lvm.trivial import TRIVIAL

MEAN_VECTOR = "mean_vector"
RAW, UNIT = (
    "raw_target",
    "unit_target",
)  # decoder tests A and B: the encoder's own vectors, as they are and normalised
COS, INDEX = "cos", "collapse_index"

SKILL = Quantity("skill", COSINE, (0.0,))
MARGIN, LAST_COLUMN = "margin_next_last", "valid/cos_last"
LAST = Quantity("cos_last", COSINE, (COPIED_COS,))
MEAN_ERROR = Quantity("moment_mu_err", ERROR, (MATCHED_MOMENTS,))
SPREAD_ERROR = Quantity("moment_sigma_err", ERROR, (MATCHED_MOMENTS,))
DECODER_RAW = Quantity("decoder_cos", COSINE, (DECODABLE_COS,))
DECODER = Quantity("decoder_cos_scaled", COSINE, (DECODABLE_COS,))  # not in older records
DIVERSITY = Quantity("output_diversity", scales.SHARE, (COLLAPSED_DIVERSITY,))
QUANTITIES = (SKILL, LAST, MEAN_ERROR, SPREAD_ERROR, DECODER, DECODER_RAW, DIVERSITY)


def baseline(table: SweepTable, predictor: str, metric: str = COS) -> float | None:
    """Return what a predictor without training reaches on validation windows, None where it is not recorded."""
    return table.baselines.get(f"{predictor}/valid/{metric}")


def trivial_cosines(table: SweepTable) -> dict[str, float]:
    """Return the cosine of every trivial predictor that is recorded, the best first."""
    found = {name: value for name in TRIVIAL if (value := baseline(table, name)) is not None}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def spoken(predictor: str) -> str:
    """Return the name of a predictor for people."""
    return predictor.replace("_", " ")


def with_derived(table: SweepTable) -> None:
    """Write what follows from the records: the cosine to the last vector, and the skill of trivial predictors."""
    cos, margin = f"valid/{COS}", f"valid/{MARGIN}"
    if {cos, margin} <= set(table.trials):
        table.trials[LAST_COLUMN] = table.trials[cos] - table.trials[margin]
    known = trivial_cosines(table)
    best = max(known.values(), default=1.0)
    if best < 1:
        skills = {f"{name}/valid/{SKILL.name}": (value - best) / (1 - best) for name, value in known.items()}
        table.baselines = {**skills, **table.baselines}


def largest_index(table: SweepTable) -> float | None:
    """Return the `collapse_index` of a model that says one vector for all, None without the mean vector's cosine."""
    known = baseline(table, MEAN_VECTOR)
    return None if known is None else claims.largest_index(known)


def index_quantity(table: SweepTable) -> Quantity | None:
    """Return `collapse_index` with the bound above which predictions are nearly one vector; None without a limit."""
    known = baseline(table, MEAN_VECTOR)
    return None if known is None else Quantity(INDEX, COSINE, (claims.collapsed_index(known),))


def above_mean_vector(table: SweepTable, arm: Subject) -> Contrast | None:
    """Return the cosine of one cell against that of the mean vector, None without either."""
    known = baseline(table, MEAN_VECTOR)
    if known is None or mean_of(table, COS, arm.cell) is None:
        return None
    column = scales.column(table, COS, COSINE, arm.cell)
    return cell_contrast(table, column, arm.cell, float(f"{known:.5g}"), "the mean vector", COSINE.kind)


def cell_contrasts(table: SweepTable) -> list[Contrast]:
    """Return every judged cell against the mean vector and against the bounds of all quantities."""
    with_derived(table)
    index = index_quantity(table)
    left_out = DECODER_RAW if metric_name(table, DECODER.name) in table.trials else DECODER
    quantities = [*(q for q in QUANTITIES if q is not left_out), *([index] if index else [])]
    found = [above_mean_vector(table, arm) for arm in subjects(table)]
    found += [against_bound(table, arm, quantity) for arm in subjects(table) for quantity in quantities]
    return [contrast for contrast in found if contrast is not None]


def trivial_numbers(table: SweepTable) -> list[Number]:
    """Return the cosines of the trivial predictors as evidence."""
    return [Number(f"{COS} of the {spoken(name)}", value) for name, value in trivial_cosines(table).items()]


def why_missing(table: SweepTable, arm: Subject, *names: str) -> str:
    """Return why nothing is said of one cell on some metrics: none recorded, or no trial that completed."""
    absent = [name for name in names if metric_name(table, name) not in table.trials]
    if absent:
        return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not recorded."
    return f"{arm.name} has no completed trial with {' and '.join(names)}."
