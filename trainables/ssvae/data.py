"""Images as the model takes them: flat, split 60/20/20 by class, a few of the training images labelled.

The labelled images stand first in the training split. Validation and test images all carry their labels,
which only evaluation reads. Imports no torch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from search_spaces.domains import Params
from trainables.dataset import Array, DataError, Dataset, Split
from trainables.ssvae.image_files import Images, fingerprint_source, read_images

FEWEST_PER_CLASS = 5  # a split 60/20/20 of five is 3/1/1
_CHOICES = ("dataset", "n_images", "n_labelled", "split_seed", "label_seed")


def load_dataset(params: Params, root: Path | None) -> Dataset:
    """Return the images of ``params["dataset"]`` as three splits of NumPy arrays.

    Each split holds ``x`` float32 ``(n, D)``, pixels in [0, 1], row by row; ``y`` int64 ``(n,)``, classes from
    0; ``labelled`` float32 ``(n,)``, 1 where the class may be used: for the first ``n_labelled`` training
    images, and for all of validation and test. The constants are ``image_shape (2,)``, ``n_classes ()`` and
    ``pixel_sigma ()``, the root of the mean squared distance of training pixels to their mean image.

    Baselines are named ``<predictor>/<split>/<metric>``: ``mean_image``, the mean training image with its best
    sigma; ``majority_class``; ``nearest_labelled``, the label of the nearest labelled image.

    Args:
        params: ``dataset``, ``n_images``, ``n_labelled``, ``split_seed`` and ``label_seed``.
        root: The user's own images; see `trainables.ssvae.image_files.read_images`.

    Raises:
        DataError: If the data cannot be read, or has fewer images than are asked for.
    """
    images = drawn(
        read_images(str(params["dataset"]), root), int(params["n_images"]), int(params["split_seed"])
    )
    rows = split_rows(images.labels, int(params["split_seed"]))
    n_labelled = int(params["n_labelled"])
    rows["train"] = labelled_first(rows["train"], images.labels, n_labelled, int(params["label_seed"]))
    splits = {name: as_split(images, places) for name, places in rows.items()}
    splits["train"]["labelled"][n_labelled:] = 0.0
    train = splits["train"]["x"]
    return Dataset(
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        fingerprint=fingerprint(params, root),
        baselines=baselines(splits),
        constants={
            "image_shape": np.array(images.pixels.shape[1:], dtype=np.int64),
            "n_classes": np.array(images.n_classes, dtype=np.int64),
            "pixel_sigma": np.array(np.sqrt(train.var(axis=0).mean()), dtype=np.float32),
        },
    )


def fingerprint(params: Params, root: Path | None) -> str:
    """Return the hash of the data's bytes and of the choices made of them, 16 hex digits.

    Raises:
        DataError: If the data cannot be read.
    """
    source = fingerprint_source(str(params["dataset"]), root)
    text = " ".join([source, *(f"{name}={params[name]}" for name in _CHOICES)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def drawn(images: Images, n_images: int, split_seed: int) -> Images:
    """Return ``n_images`` of the images at random, all when 0; fewer are a part of more.

    Raises:
        DataError: If there are fewer, or a class is left with too few to be split.
    """
    n_present = len(images.labels)
    if n_images > n_present:
        raise DataError(
            f"n_images={n_images} is above the {n_present} images of the data. Give at most that many, or 0 for all."
        )
    order = np.random.default_rng(split_seed).permutation(n_present)[: n_images or n_present]
    kept = Images(images.pixels[order], images.labels[order])
    per_class = np.bincount(kept.labels, minlength=images.n_classes)
    if per_class.min() < FEWEST_PER_CLASS:
        raise DataError(
            f"Class {int(per_class.argmin())} has {int(per_class.min())} of {len(order)} images; a split 60/20/20 by "
            f"class needs {FEWEST_PER_CLASS}. Raise n_images, or add images."
        )
    return kept


def split_rows(labels: Array, split_seed: int) -> dict[str, Array]:
    """Return the rows of the three splits: 60/20/20 of every class, mixed."""
    random = np.random.default_rng(split_seed)
    parts: dict[str, list[Array]] = {"train": [], "valid": [], "test": []}
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        n_held_out = len(rows) // FEWEST_PER_CLASS
        parts["valid"].append(rows[:n_held_out])
        parts["test"].append(rows[n_held_out : 2 * n_held_out])
        parts["train"].append(rows[2 * n_held_out :])
    return {name: random.permutation(np.concatenate(rows)) for name, rows in parts.items()}


def labelled_first(rows: Array, labels: Array, n_labelled: int, label_seed: int) -> Array:
    """Return training rows with those to be labelled first: one of every class in turn, until there are enough.

    Args:
        rows: Rows of the training split, ``(n,)``.
        labels: Classes of all images.
        n_labelled: How many to label.
        label_seed: Seed of the draw; with it, fewer labelled images are a part of more.

    Raises:
        DataError: If there are fewer rows.
    """
    if n_labelled > len(rows):
        raise DataError(
            f"n_labelled={n_labelled} is above the {len(rows)} training images. Give at most that many."
        )
    shuffled = np.random.default_rng(label_seed).permutation(rows)
    turn = np.empty(len(shuffled), dtype=np.int64)
    for label in np.unique(labels[shuffled]):
        places = np.flatnonzero(labels[shuffled] == label)
        turn[places] = np.arange(len(places))
    chosen = shuffled[np.argsort(turn, kind="stable")][:n_labelled]
    return np.concatenate([chosen, rows[~np.isin(rows, chosen)]])


def as_split(images: Images, rows: Array) -> dict[str, Array]:
    """Return one split, every image of it labelled."""
    flat = images.pixels[rows].reshape(len(rows), -1)
    return {"x": flat, "y": images.labels[rows], "labelled": np.ones(len(rows), dtype=np.float32)}


def baselines(splits: Mapping[str, Split]) -> dict[str, float]:
    """Return what predictors without training reach on validation and test."""
    from sklearn.neighbors import KNeighborsClassifier  # type: ignore[import-untyped]

    train = splits["train"]
    known = train["labelled"] > 0
    nearest = KNeighborsClassifier(n_neighbors=1).fit(train["x"][known], train["y"][known])
    mean_image, majority = train["x"].mean(axis=0), int(np.bincount(train["y"][known]).argmax())
    found = {}
    for name in ("valid", "test"):
        x, y = splits[name]["x"], splits[name]["y"]
        mse = float(np.square(x - mean_image).mean())
        found[f"mean_image/{name}/mse"] = mse
        found[f"mean_image/{name}/mae"] = float(np.abs(x - mean_image).mean())
        # At its best sigma, the root of the error, the quadratic part is one half.
        found[f"mean_image/{name}/nll_per_pixel"] = 0.5 * (math.log(2.0 * math.pi * mse) + 1.0)
        found[f"majority_class/{name}/accuracy"] = float(np.mean(y == majority))
        found[f"nearest_labelled/{name}/accuracy"] = float(nearest.score(x, y))
    return found
