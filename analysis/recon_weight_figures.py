"""The figures of the study: who has the gradient, which targets are met, what beta_eff does to the KL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from analysis import theme
from analysis.exhibit import Drawing
from analysis.findings import Verdict
from analysis.judge import Judge
from analysis.kl_weight_anomaly import KL_COLLAPSED, KL_EXPLODED
from analysis.recon_weight_arms import Arm, arms
from analysis.recon_weight_contrasts import KL, MSE
from analysis.recon_weight_tables import TARGETS, WORDS, Target, applies
from analysis.recon_weight_targets import FAR_BETA, RECON_SHARE
from analysis.subjects import mean_of, metric_name
from analysis.table import SweepTable

SHARE = "grad_share/recon"
SHARE_TICKS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
FACES: dict[Verdict | None, tuple[str, str]] = {
    "supported": ("#00684a", "white"),
    "rejected": ("#b3470a", "white"),
    "undecided": ("#e3e6ec", theme.INK),
    None: ("#ffffff", theme.MUTED),
}
GREYS = ("#000000", "#5b6270")


def drawings(judge: Judge) -> list[Drawing]:
    """Return the figures for which there are data."""
    found = [gradient_over_epochs(judge.table), target_matrix(judge), beta_against_kl(judge.table)]
    return [drawing for drawing in found if drawing is not None]


def styles(everybody: Sequence[Arm]) -> dict[str, dict[str, Any]]:
    """Return colour, line and marker by arm: black and grey for what is compared with, options alike, remedies bold."""
    cures = [arm for arm in everybody if arm.role not in {"baseline", "literal"}]
    found = {}
    for arm in everybody:
        if arm in cures:
            place = cures.index(arm)
            line = theme.LINES[1] if arm.role == "option" else "solid"
            colour = theme.PALETTE[place % (len(theme.PALETTE) - 1)]
            marker = theme.MARKERS[(place + 2) % len(theme.MARKERS)]
        else:
            place = int(arm.role == "literal")
            line, colour, marker = (
                theme.LINES[0] if place else "solid",
                GREYS[1 - place],
                theme.MARKERS[place],
            )
        found[arm.name] = {"color": colour, "linestyle": line, "marker": marker}
    return found


def share_history(table: SweepTable, arm: Arm) -> pd.DataFrame:
    """Return epoch, mean, minimum and maximum over seeds of the share of reconstruction in the gradient."""
    rows = table.history[table.history["metric"] == SHARE]
    rows = rows[rows["trial_id"].isin(table.rows_of(arm.cell)["trial_id"])]
    shares = rows.assign(value=rows["value"].clip(1e-7, 1 - 1e-7))
    return shares.groupby("epoch")["value"].agg(["mean", "min", "max"]).reset_index()


def gradient_over_epochs(table: SweepTable) -> Drawing | None:
    """Return the share of reconstruction in the gradient over epochs, a line per arm, on a logit axis."""
    everybody = arms(table)
    curves = {arm.name: share_history(table, arm) for arm in everybody}
    curves = {name: rows for name, rows in curves.items() if len(rows)}
    if not curves:
        return None
    look = styles(everybody)
    with theme.drawing():
        figure = Figure(figsize=(7.4, 4.1), layout="constrained")
        panel = figure.subplots()
        for name, rows in curves.items():
            line = {key: look[name][key] for key in ("color", "linestyle")}
            panel.fill_between(
                rows["epoch"], rows["min"], rows["max"], color=line["color"], alpha=0.13, linewidth=0
            )
            panel.plot(rows["epoch"], rows["mean"], linewidth=1.7, **line)
        scale_shares(panel, curves)
        ordered = sorted(curves, key=lambda name: -float(curves[name]["mean"].iloc[-1]))
        handles = [
            Line2D(
                [], [], **{k: v for k, v in look[name].items() if k != "marker"}, linewidth=1.7, label=name
            )
            for name in ordered
        ]
        figure.legend(handles=handles, loc="outside right center", title="highest at the end first")
    last = "; ".join(f"{name} {100 * float(curves[name]['mean'].iloc[-1]):.4g} %" for name in ordered)
    return Drawing(
        "recon_gradient_share",
        "How much of the gradient is reconstruction",
        "Share of the weighted reconstruction term in the gradient, before clipping, on a logit axis: from 99 % to "
        "99.9 % the other terms lose as much again as from 90 % to 99 %. Lines are means over seeds, bands span all "
        f"seeds. Above the dashed line ({RECON_SHARE:.0%}) no other term is heard.",
        f"Lines of the reconstruction's gradient share over epochs. At the last epoch: {last}.",
        figure,
    )


def scale_shares(panel: Axes, curves: dict[str, pd.DataFrame]) -> None:
    """Set the logit axis to the range of the data, with shares in percent."""
    low = min(float(rows["min"].min()) for rows in curves.values())
    high = max(float(rows["max"].max()) for rows in curves.values())
    odds = [value / (1 - value) for value in (min(low, 0.5), max(high, 0.999))]
    bottom, top = odds[0] / 1.6, odds[1] * 1.6
    panel.set_yscale("logit")
    panel.set_ylim(bottom / (1 + bottom), top / (1 + top))
    panel.yaxis.set_major_locator(FixedLocator(SHARE_TICKS))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.7g} %"))
    panel.axhline(RECON_SHARE, color=theme.INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    panel.margins(x=0.02)
    panel.set(xlabel="epoch", ylabel="share of reconstruction in the gradient")
    panel.grid(visible=True)


def target_matrix(judge: Judge) -> Drawing:
    """Return arms by targets: met, not met or open, with the value in words."""
    everybody = arms(judge.table)
    with theme.drawing():
        size = (1.02 * len(TARGETS) + 2.3, 0.46 * len(everybody) + 1.4)
        figure = Figure(figsize=size, layout="constrained")
        panel = figure.subplots()
        said = []
        for y, arm in enumerate(everybody):
            for x, wanted in enumerate(TARGETS):
                verdict = wanted.verdict(judge, arm) if applies(wanted, arm) else None
                draw_entry(panel, (x, y), verdict, entry_text(judge.table, arm, wanted, verdict))
                said += [f"{arm.name}, {wanted.name}: {WORDS[verdict]}"] if verdict else []
        panel.set_xlim(-0.5, len(TARGETS) - 0.5)
        panel.set_ylim(len(everybody) - 0.5, -0.5)
        panel.set_xticks(range(len(TARGETS)), [stacked(wanted.name) for wanted in TARGETS], fontsize=8)
        panel.set_yticks(range(len(everybody)), [arm.name for arm in everybody])
        panel.tick_params(length=0, labeltop=True, labelbottom=False, labelcolor=theme.INK)
        for spine in panel.spines.values():
            spine.set_visible(False)
    return Drawing(
        "target_matrix",
        "Which arm meets which target",
        "Every value is the mean over seeds; met and not met are said only where the simultaneous interval lies "
        "wholly on one side of the bound. A dash: the arm has no sigma, or the same one for all images.",
        f"Matrix of arms and targets. {'; '.join(said)}.",
        figure,
    )


def stacked(name: str) -> str:
    """Return a column head that is narrow enough to stand beside its neighbours."""
    for mark in (" x ", " < ", " > ", " ("):
        name = name.replace(mark, "\n" + mark.lstrip())
    head, to, tail = name.partition(" to ")
    first, _, low = head.rpartition(" ")
    return f"{first}\n{low} to {tail}" if to else name


def entry_text(table: SweepTable, arm: Arm, wanted: Target, verdict: Verdict | None) -> str:
    """Return value and verdict of one entry."""
    mean = mean_of(table, wanted.metric, arm.cell) if applies(wanted, arm) else None
    if mean is None or (verdict is None and wanted.metric != MSE):
        return "–"
    value = f"{mean:.2g}" if abs(mean) < 0.995 else f"{mean:.3g}"
    return value if verdict is None else f"{value}\n{WORDS[verdict]}"


def draw_entry(panel: Axes, at: tuple[int, int], verdict: Verdict | None, text: str) -> None:
    """Draw one entry: a face by the verdict, value and verdict as text."""
    (x, y), (face, ink) = at, FACES[verdict]
    panel.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=face, linewidth=0))
    panel.text(x, y, text, ha="center", va="center", color=ink, fontsize=8, linespacing=1.15)


def beta_against_kl(table: SweepTable) -> Drawing | None:
    """Return the KL per dimension against beta_eff: one scale for the weights of all forms of the loss."""
    everybody = arms(table)
    betas, kls = (table.values(metric_name(table, name)) for name in ("beta_eff", KL))
    points = {
        arm.name: (np.mean(list(betas[arm.cell].values())), list(kls[arm.cell].values()))
        for arm in everybody
        if arm.cell in betas and arm.cell in kls and min(betas[arm.cell].values()) > 0
    }
    if len(points) < 2:
        return None
    look = styles(everybody)
    with theme.drawing():
        figure = Figure(figsize=(7.0, 3.9), layout="constrained")
        panel = figure.subplots()
        for name, (beta, seeds) in points.items():
            style = {key: look[name][key] for key in ("color", "marker")}
            heights = np.clip(seeds, 1e-6, None)
            panel.plot([beta] * len(seeds), heights, linestyle="", markersize=3.5, alpha=0.4, **style)
            panel.plot(
                beta,
                float(np.mean(heights)),
                markersize=8.5,
                linestyle="",
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=name,
                **style,
            )
        finish_beta(panel)
        figure.legend(loc="outside right center")
    told = "; ".join(
        f"{name}: beta_eff {beta:.2g}, KL {np.mean(seeds):.2g}" for name, (beta, seeds) in points.items()
    )
    return Drawing(
        "beta_eff_against_kl",
        "What the weights come to in ELBO units",
        "beta_eff is the weight of the KL against the likelihood, 1 for the ELBO: weights of different forms of the "
        f"loss become comparable only through it. Between the dashed lines ({KL_COLLAPSED:g} and {KL_EXPLODED:g} nats "
        "per dimension) the posterior is neither collapsed nor unbound; the shaded range of beta_eff is not far "
        "from the ELBO. Large marks are means, small ones seeds.",
        f"Scatter of KL per dimension against beta_eff. {told}.",
        figure,
    )


def finish_beta(panel: Axes) -> None:
    """Set the scales, bounds and labels of the scatter."""
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.axvspan(*FAR_BETA, color=theme.GRID, alpha=0.6, linewidth=0, zorder=0)
    for bound, text in ((KL_COLLAPSED, "collapsed below"), (KL_EXPLODED, "unbound above")):
        panel.axhline(bound, color=theme.INK, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
        place = (4, 3) if bound == KL_EXPLODED else (4, -10)
        panel.annotate(
            text,
            (0, bound),
            xycoords=("axes fraction", "data"),
            xytext=place,
            textcoords="offset points",
            fontsize=7.5,
            color=theme.MUTED,
        )
    panel.xaxis.set_major_formatter(mpl.ticker.LogFormatterSciNotation(labelOnlyBase=True))
    panel.margins(0.12)
    panel.set(xlabel="beta_eff", ylabel="KL(z) per dimension [nat]")
    panel.grid(visible=True)
