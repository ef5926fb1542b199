"""The summary of next-vector models: every cell, and below it what needs no training."""

from __future__ import annotations

from analysis import lvm_cells as c
from analysis.encoder_health_monitors import subjects
from analysis.exhibit import Listing
from analysis.judge import Judge
from analysis.recon_weight_tables import with_verdict
from analysis.subjects import half_widths, mean_of
from analysis.table import SweepTable

COLUMNS = {
    c.COS: "cosine",
    "skill": "skill",
    "margin_next_last": "next less last",
    c.INDEX: "collapse index",
    "centred_cosine": "centred cosine",
    "mse": "squared error",
    "moment_mu_err": "error of means",
    "moment_sigma_err": "error of spreads",
    "r_at_1": "R@1",
    "mrr": "MRR",
    "decoder_cos_scaled": "decoder C at the corpus's length",
    "decoder_cos": "decoder, as it comes",
}
TESTS = {c.RAW: "encoder's own vectors (decoder test A)", c.UNIT: "the same, normalised (decoder test B)"}


def next_vector_summary(judge: Judge) -> Listing | None:
    """Return all cells on the metrics of the family, then the predictors without training; None without data."""
    table = judge.table
    columns = [name for name in COLUMNS if known_anywhere(table, name)]
    widths = {name: half_widths(table, name) for name in columns}
    rows: list[list[str | None]] = []
    for arm in subjects(table):
        means = {name: mean_of(table, name, arm.cell) for name in columns}
        rows.append([arm.name, *(entry(means[name], widths[name].get(arm.cell)) for name in columns)])
    if not rows or not columns:
        return None
    return Listing(
        "next_vector_summary",
        "Every cell on every metric, and below what needs no training",
        "Mean over seeds ± half of the cell's own 95 % interval; verdicts rest on the simultaneous intervals, "
        "which are wider. Skill is the share of the way from the best trivial predictor to a perfect one. A "
        f"collapse index of 0 is as diverse as the targets{limit_text(table)}. Decoder columns are test C for "
        "cells, A and B below. Numbers of predictors without training have no interval; a dash is not recorded, "
        "as in older sweeps, or not defined.",
        ("cell", *(COLUMNS[name] for name in columns)),
        [*rows, *baseline_rows(table, columns)],
    )


def known_anywhere(table: SweepTable, name: str) -> bool:
    """Return whether a cell or a predictor without training has a metric."""
    return table.values(f"valid/{name}") != {} or any(k.endswith(f"/valid/{name}") for k in table.baselines)


def entry(mean: float | None, half: float | None) -> str | None:
    """Return a mean with half of its interval, None where there is no value."""
    return None if mean is None else with_verdict(mean, half, None)


def limit_text(table: SweepTable) -> str:
    """Return how far the collapse index can rise, empty where that is not known."""
    limit = c.largest_index(table)
    return "" if limit is None else f", {limit:.2f} is one vector for all"


def baseline_rows(table: SweepTable, columns: list[str]) -> list[list[str | None]]:
    """Return the predictors without training that have some of these metrics."""
    rows = []
    for predictor in dict.fromkeys(name.partition("/")[0] for name in table.baselines):
        known = [c.baseline(table, predictor, name) for name in columns]
        if any(value is not None for value in known):
            label = TESTS.get(predictor, f"{c.spoken(predictor)} (baseline)")
            rows.append([label, *(None if value is None else f"{value:.3g}" for value in known)])
    return rows
