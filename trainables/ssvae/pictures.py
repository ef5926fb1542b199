"""The pictures of trained models, one panel or row per arm. Imports matplotlib where it draws, torch nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from trainables.dataset import Array
from trainables.picture import Examples, Picture, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = Callable[["Axes", Examples], None]
Arms = Mapping[str, Examples]

# Okabe and Ito 2008: told apart by every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#5b6270"
CLASSES = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", VERMILION, "#7a5c00", "#000000", "#999999", "#F0E442")
WIDTH = 9.6  # inches
MOST_COLUMNS = 3
N_SHOWN = 10


def grid(arms: Arms, panel: Panel, *, height: float = 2.7, x: str = "", y: str = "") -> Figure:
    """Return one panel per arm, three to a row, under shared axis labels.

    Args:
        arms: Examples by the name of the arm, which becomes the title; one arm alone needs none.
        panel: Draws an arm's examples into its axes.
        height: Height of a row in inches.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
    """
    from matplotlib.figure import Figure

    n_columns = min(MOST_COLUMNS, len(arms))
    n_rows = math.ceil(len(arms) / n_columns)
    width = WIDTH * (0.62 if n_columns == 1 else 0.8 if n_columns == 2 else 1.0)
    figure = Figure(figsize=(width, height * n_rows + 0.35), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for place, (name, examples) in zip(axes.flat, arms.items(), strict=False):
        panel(place, examples)
        place.set_title(heading(name), fontsize=10, fontweight="bold")
        place.tick_params(labelsize=8)
        place.spines[["top", "right"]].set_visible(False)
    for place in axes.flat[len(arms) :]:
        place.set_axis_off()
    figure.supxlabel(x, fontsize=9.5)
    figure.supylabel(y, fontsize=9.5)
    return figure


def reconstruction(arms: Arms) -> Figure:
    """Return images, reconstructions and absolute errors, three rows per arm, sigma and RMSE under each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.35 * len(arms)), layout="constrained")
    parts = figure.subfigures(len(arms), 1, squeeze=False)[:, 0]
    for part, (name, examples) in zip(parts, arms.items(), strict=True):
        n_shown = min(N_SHOWN, len(examples["image"]))
        axes = part.subplots(3, n_shown, squeeze=False)
        for column in range(n_shown):
            draw_column(axes[:, column], examples, column)
        for place, label in zip(axes[:, 0], ("input", "rebuilt", "|error|"), strict=True):
            place.set_ylabel(label, fontsize=9.5)
        part.suptitle(heading(name), fontsize=10.5, fontweight="bold")
    return figure


def draw_column(column: Array, examples: Examples, place: int) -> None:
    """Draw one image above its reconstruction and its error."""
    image, rebuilt = (examples[name][place].astype(float) / 255.0 for name in ("image", "rebuilt"))
    shown = ((image, "gray_r", 1.0), (rebuilt, "gray_r", 1.0), (np.abs(image - rebuilt), "OrRd", 0.6))
    for axes, (pixels, colours, highest) in zip(column, shown, strict=True):
        axes.imshow(pixels, cmap=colours, vmin=0, vmax=highest)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("0.8")
    sigma, rmse = float(examples["image_sigma"][place]), float(examples["image_rmse"][place])
    column[-1].set_xlabel(f"σ {sigma:.3f}\nrmse {rmse:.3f}", fontsize=8)


def sigma_histogram(arms: Arms) -> Figure | None:
    """Return the distribution of the predicted sigma between its bounds; None when no arm predicts one."""
    return grid(predicting(arms), draw_sigmas, x="predicted σ", y="images") if predicting(arms) else None


def draw_sigmas(axes: Axes, examples: Examples) -> None:
    """Draw one arm's sigmas, both bounds, and the mean of each class along the top."""
    low, high = (float(bound) for bound in examples["sigma_bounds"])
    margin = 0.06 * (high - low)
    axes.hist(
        np.clip(examples["sigma"], low, high), bins=list(np.linspace(low, high, 46)), color=BLUE, alpha=0.85
    )
    for bound in (low, high):
        axes.axvline(bound, color=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
    at = float(np.mean((examples["sigma"] > high - 0.01) | (examples["sigma"] < low + 0.01)))
    text = f"mean {np.mean(examples['sigma']):.3f}, sd {np.std(examples['sigma']):.3f}\nat a bound {at:.0%}"
    side, align = (0.08, "left") if np.mean(examples["sigma"]) > (low + high) / 2 else (0.92, "right")
    axes.text(side, 0.95, text, transform=axes.transAxes, ha=align, va="top", fontsize=8, color=GREY)


def sigma_by_class(arms: Arms) -> Figure | None:
    """Return the mean predicted sigma of each class; None when no arm predicts one."""
    shown = predicting(arms)
    return grid(shown, draw_sigma_by_class, x="class", y="mean predicted σ") if shown else None


def draw_sigma_by_class(axes: Axes, examples: Examples) -> None:
    """Draw one arm's mean sigma per class as dots over the mean of all."""
    by_class = examples["sigma_by_class"]
    axes.axhline(float(np.mean(examples["sigma"])), color=GREY, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.plot(range(len(by_class)), by_class, "o", color=BLUE, markersize=6)
    axes.set_xticks(range(len(by_class)))
    axes.set_ylim(0, max(1.25 * float(by_class.max()), 0.1))


def sigma_error(arms: Arms) -> Figure | None:
    """Return predicted sigma against each image's RMSE, both logarithmic; None when no arm predicts one."""
    shown = predicting(arms)
    return (
        grid(shown, draw_sigma_error, height=3.0, x="RMSE of the image", y="predicted σ") if shown else None
    )


def draw_sigma_error(axes: Axes, examples: Examples) -> None:
    """Draw one arm's images, the diagonal on which sigma is right, and the bounds."""
    from scipy.stats import spearmanr

    sigma, rmse = examples["sigma"], examples["rmse"]
    low, high = (float(bound) for bound in examples["sigma_bounds"])
    ends = [min(low, float(rmse.min())) * 0.85, max(high, float(rmse.max())) * 1.18]
    axes.plot(ends, ends, color=GREY, linewidth=0.9)
    for bound in (low, high):
        axes.axhline(bound, color=VERMILION, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.scatter(rmse, sigma, s=9, color=BLUE, alpha=0.4, linewidths=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    plain_log_ticks(axes)
    rank = spearmanr(sigma, rmse).statistic if np.ptp(sigma) and np.ptp(rmse) else 0.0
    axes.text(
        0.96, 0.13, f"Spearman {rank:.2f}", transform=axes.transAxes, ha="right", fontsize=8, color=GREY
    )


def plain_log_ticks(axes: Axes) -> None:
    """Label both logarithmic axes with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def component_usage(arms: Arms) -> Figure:
    """Return how much of the data each component carries, most used first."""
    return grid(arms, draw_usage, x="component, most used first", y="mean usage")


def draw_usage(axes: Axes, examples: Examples) -> None:
    """Draw one arm's mean responsibilities over the line of uniform usage."""
    usage = np.sort(examples["usage"])[::-1]
    effective = float(np.exp(-np.sum(usage * np.log(np.clip(usage, 1e-12, None)))))
    axes.bar(range(1, len(usage) + 1), usage, color=BLUE, width=0.8)
    axes.axhline(1.0 / len(usage), color=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set_ylim(0, max(1.2 * float(usage.max()), 2.0 / len(usage)))
    if len(usage) <= 20:
        axes.set_xticks(range(1, len(usage) + 1))
    text = f"$K_{{\\mathrm{{eff}}}}$ {effective:.2f} of {len(usage)}"
    axes.text(0.96, 0.93, text, transform=axes.transAxes, ha="right", va="top", fontsize=8.5, color=GREY)


def tau(arms: Arms) -> Figure:
    """Return tau as heatmaps, components down and classes across, on one scale."""
    highest = max(float(examples["tau"].max()) for examples in arms.values())

    def panel(axes: Axes, examples: Examples) -> None:
        draw_tau(axes, examples["tau"], highest)

    figure = grid(arms, panel, height=3.0, x="class y", y="component c")
    used = [axes for axes in figure.axes if axes.images]
    bar = figure.colorbar(used[0].images[0], ax=used, shrink=0.75, pad=0.015, aspect=28)
    bar.set_label("τ[c, y]", fontsize=9.5)
    bar.ax.tick_params(labelsize=8)
    return figure


def draw_tau(axes: Axes, values: Array, highest: float) -> None:
    """Draw one arm's tau, the components in the order of the class that each stands for, those without one last."""
    silent = np.ptp(values, axis=1) < 0.5 / values.shape[1]
    order = np.lexsort((-values.max(axis=1), values.argmax(axis=1), silent))
    axes.imshow(values[order], cmap="viridis", vmin=0.0, vmax=highest, aspect="auto")
    if values.shape[0] <= 20:
        axes.set_yticks(range(values.shape[0]), [str(component) for component in order])
    if values.shape[1] <= 20:
        axes.set_xticks(range(values.shape[1]))


def latent_map(arms: Arms) -> Figure:
    """Return the first two principal components of the latent means, coloured by label."""
    from matplotlib.lines import Line2D

    n_classes = max(int(examples["label"].max()) for examples in arms.values()) + 1
    figure = grid(arms, draw_latent, height=3.0, x="first principal component of z", y="second")
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=5.5, color=CLASSES[label], label=str(label))
        for label in range(min(n_classes, len(CLASSES)))
    ]
    figure.legend(
        handles=handles,
        loc="outside right center",
        title="label",
        fontsize=8.5,
        title_fontsize=9,
        frameon=False,
    )
    return figure


def draw_latent(axes: Axes, examples: Examples) -> None:
    """Draw one arm's images at their latent means; a collapsed latent says so, for its scale is noise."""
    latent, label = examples["latent"], examples["label"]
    colours = [CLASSES[int(one) % len(CLASSES)] for one in label]
    axes.scatter(latent[:, 0], latent[:, 1], s=9, c=colours, alpha=0.75, linewidths=0)
    spread = float(latent.var(axis=0).max())
    if spread < 0.01:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.14 * (high - low))
        text = "collapsed: variance under 0.01"
        axes.text(
            0.5, 0.96, text, transform=axes.transAxes, ha="center", va="top", fontsize=8, color=VERMILION
        )


def calibration(arms: Arms) -> Figure:
    """Return observed against nominal coverage of the central intervals of x given the reconstruction."""
    return grid(arms, draw_calibration, height=3.0, x="nominal coverage", y="observed coverage")


def draw_calibration(axes: Axes, examples: Examples) -> None:
    """Draw one arm's coverage over the diagonal of perfect calibration, the distance shaded."""
    nominal = np.concatenate([[0.0], examples["coverage_nominal"], [1.0]])
    observed = np.concatenate([[0.0], examples["coverage_observed"], [1.0]])
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9)
    axes.fill_between(nominal, nominal, observed, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(nominal[1:-1], observed[1:-1], "o-", color=BLUE, markersize=4.5, linewidth=1.3)
    error = float(np.abs(examples["coverage_observed"] - examples["coverage_nominal"]).mean())
    axes.text(
        0.96, 0.06, f"mean distance {error:.2f}", transform=axes.transAxes, ha="right", fontsize=8, color=GREY
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])


def shortlist(arms: Arms) -> Figure | None:
    """Return the unlabelled training images to label next, a row per arm; None when nothing is unlabelled."""
    from matplotlib.figure import Figure

    shown = {name: examples for name, examples in arms.items() if len(examples["shortlist_row"])}
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 1.78 * len(shown)), layout="constrained")
    parts = figure.subfigures(len(shown), 1, squeeze=False)[:, 0]
    for part, (name, examples) in zip(parts, shown.items(), strict=True):
        axes = part.subplots(1, len(examples["shortlist_row"]), squeeze=False)[0]
        for place, one in enumerate(axes):
            draw_candidate(one, examples, place)
        part.suptitle(heading(name), fontsize=10.5, fontweight="bold")
    return figure


def draw_candidate(axes: Axes, examples: Examples, place: int) -> None:
    """Draw one image under its row, over its scores."""
    axes.imshow(examples["shortlist_image"][place], cmap="gray_r", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("0.8")
    label, predicted = (int(examples[f"shortlist_{name}"][place]) for name in ("label", "predicted"))
    score, sigma, sure = (
        float(examples[f"shortlist_{name}"][place]) for name in ("score", "sigma", "certainty")
    )
    axes.set_title(f"#{int(examples['shortlist_row'][place])}", fontsize=8, color=GREY, pad=3)
    axes.set_xlabel(f"rank {score:.2f}\nσ {sigma:.3f}\ncert. {sure:.2f}\n{predicted} → {label}", fontsize=8)


def predicting(arms: Arms) -> dict[str, Examples]:
    """Return the arms whose decoder predicts a sigma."""
    return {name: examples for name, examples in arms.items() if bool(examples["predicts_sigma"])}


PICTURES = {
    "recon": Picture(
        "Inputs and reconstructions",
        "Validation images, what the model makes of them, and the absolute error; below, the predicted σ and the "
        "error it should equal. Under one σ for all images σ is the split's best.",
        reconstruction,
    ),
    "sigma_histogram": Picture(
        "Predicted σ between its bounds",
        "Dashed lines are sigma_min and sigma_max. A model whose images pile up on one of them predicts nothing.",
        sigma_histogram,
        per_trial=False,
    ),
    "sigma_by_class": Picture(
        "Predicted σ of each class",
        "Dots are class means, the dashed line is the mean of all. Classes that are hard to draw should lie higher.",
        sigma_by_class,
        per_trial=False,
    ),
    "sigma_error": Picture(
        "Predicted σ against the error made",
        "Every point is an image; on the diagonal σ equals its RMSE. A cloud along the diagonal is a σ that knows.",
        sigma_error,
        per_trial=False,
    ),
    "component_usage": Picture(
        "Use of the components",
        "Mean responsibility of each component; the dashed line is uniform use, 1/K. One tall bar is a collapse.",
        component_usage,
        per_trial=False,
    ),
    "tau": Picture(
        "What the components stand for",
        "Rows are components, by the class they speak for, the silent ones last; a bright cell in every column covers "
        "every label.",
        tau,
        per_trial=False,
    ),
    "latent_map": Picture(
        "The latent space",
        "Posterior means of validation images on their first two principal components, coloured by label.",
        latent_map,
        per_trial=False,
    ),
    "calibration": Picture(
        "Calibration of σ",
        "Share of pixels inside central intervals against the share that should be. Above the diagonal σ is too "
        "large, below it too small.",
        calibration,
        per_trial=False,
    ),
    "shortlist": Picture(
        "Images to label next",
        "Unlabelled training images by combined uncertainty, the mean rank of 1 - certainty and of σ; # is the row "
        "in the training split, predicted → true label at the bottom.",
        shortlist,
        per_trial=False,
    ),
}
