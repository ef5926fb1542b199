"""Images and labels from where they lie: scikit-learn's digits, an NPZ file, a folder of IDX files, OpenML.

Everything comes back as one `Images`: pixels in [0, 1] and classes from 0. Whatever is wrong with a file is
told in one sentence with the way out. Imports no torch, and scikit-learn only when it is read from.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search_spaces.errors import first_line
from trainables.dataset import Array, DataError

OPENML_NAME, OPENML_VERSION = "mnist_784", 1
NPZ_KEYS = (("x", "y"), ("images", "labels"))
SIDE_DIVISOR = 4
_DIGITS_FILE = Path("datasets", "data", "digits.csv.gz")
_DIGITS_MAXIMUM = 16.0
_BYTE_MAXIMUM = 255.0
_IDX_IMAGES, _IDX_LABELS = 0x00000803, 0x00000801
_MNIST_WAY_OUT = "Give the path of an NPZ file (keys x, y) or of a folder with MNIST's IDX files."


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Args:
        pixels: In [0, 1], float32 ``(n, H, W)``; H and W divisible by 4.
        labels: Classes from 0, int64 ``(n,)``.
    """

    pixels: Array
    labels: Array

    @property
    def n_classes(self) -> int:
        """Number of classes Y."""
        return int(self.labels.max()) + 1


def read_images(dataset: str, root: Path | None) -> Images:
    """Return all images of a data set.

    Args:
        dataset: ``digits`` (1,797 of 8 x 8) or ``mnist``.
        root: NPZ file or folder of IDX files for ``mnist``; None fetches MNIST from OpenML.

    Raises:
        DataError: If the data cannot be read or is not what it should be.
    """
    refuse_root_for_digits(dataset, root)
    if dataset == "digits":
        return read_digits()
    if root is None:
        return fetch_mnist()
    return read_idx_folder(root) if root.is_dir() else read_npz(root)


def fingerprint_source(dataset: str, root: Path | None) -> str:
    """Return a hash of the bytes that `read_images` would read; parses none of them.

    OpenML's versions never change, so without ``root`` MNIST is known by name and version alone.

    Raises:
        DataError: If a file is missing or cannot be read.
    """
    refuse_root_for_digits(dataset, root)
    if dataset == "mnist" and root is None:
        return f"openml {OPENML_NAME} version {OPENML_VERSION}"
    files = [digits_file()] if root is None else idx_files(root) if root.is_dir() else [root]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + read_bytes(path))
    return digest.hexdigest()


def refuse_root_for_digits(dataset: str, root: Path | None) -> None:
    """Raise `DataError` when files are given that ``digits`` would not read."""
    if dataset == "digits" and root is not None:
        raise DataError(
            f"dataset=digits comes with scikit-learn and would not read {root}. "
            "Set dataset=mnist to read images of your own, or give no path."
        )


def digits_file() -> Path:
    """Return the file that scikit-learn reads its digits from, without importing scikit-learn."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("scikit-learn is not installed. Install it: pip install scikit-learn.")
    return Path(spec.origin).parent / _DIGITS_FILE


def read_digits() -> Images:
    """Return scikit-learn's digits, scaled from 0..16 to [0, 1]."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    data = load_digits()
    return Images((data.images / _DIGITS_MAXIMUM).astype(np.float32), data.target.astype(np.int64))


def fetch_mnist() -> Images:
    """Return MNIST from OpenML, or from scikit-learn's cache of it.

    Raises:
        DataError: If it is neither cached nor can be reached.
    """
    from sklearn.datasets import fetch_openml

    try:
        data = fetch_openml(OPENML_NAME, version=OPENML_VERSION, as_frame=False)
    except Exception as error:  # whatever a network, a proxy or a cache can raise: the way out is the same
        raise DataError(
            f"MNIST cannot be fetched from OpenML: {first_line(error)}. {_MNIST_WAY_OUT}"
        ) from error
    return checked(f"OpenML {OPENML_NAME}", data.data.astype(np.uint8), data.target.astype(np.int64))


def read_npz(path: Path) -> Images:
    """Return the images of an NPZ file with the arrays x and y, or images and labels.

    Args:
        path: Images ``(n, H, W)``, or ``(n, D)`` of square images; bytes, or numbers in [0, 1].

    Raises:
        DataError: If the file cannot be read or breaks a rule.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist. {_MNIST_WAY_OUT}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not an NPZ file: {first_line(error)}. {_MNIST_WAY_OUT}") from error
    for images, labels in NPZ_KEYS:
        if images in found and labels in found:
            return checked(str(path), found[images], found[labels])
    raise DataError(
        f"{path} has the arrays {', '.join(found) or 'none'}, expected x and y, or images and labels. Rename them."
    )


def idx_files(folder: Path) -> list[Path]:
    """Return images and labels in pairs: training files first, then test files where there are any.

    Raises:
        DataError: If the folder lacks them.
    """
    files: list[Path] = []
    for part in ("train", "t10k"):
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            names = [f"{part}-{kind}", f"{part}-{kind}.gz"]
            path = next((folder / name for name in names if (folder / name).exists()), None)
            if path is None and (part == "train" or len(files) % 2):
                raise DataError(f"{folder} has no {names[0]}, nor {names[1]}. Put MNIST's IDX files there.")
            files += [path] if path is not None else []
    return files


def read_idx_folder(folder: Path) -> Images:
    """Return the images of MNIST's IDX files, training and test together: the split is made anew."""
    files = idx_files(folder)
    pixels = [read_idx(path, _IDX_IMAGES) for path in files[::2]]
    labels = [read_idx(path, _IDX_LABELS) for path in files[1::2]]
    return checked(str(folder), np.concatenate(pixels), np.concatenate(labels))


def read_idx(path: Path, magic: int) -> Array:
    """Return the array of bytes in an IDX file, gzipped or not, ``(n, H, W)`` or ``(n,)``.

    Raises:
        DataError: If the file is not of this kind or is cut short.
    """
    content = read_bytes(path)
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise DataError(f"{path} cannot be unpacked: {first_line(error)}. Download it again.") from error
    n_dimensions = magic & 0xFF
    header = np.frombuffer(content[: 4 * (n_dimensions + 1)], dtype=">u4")
    if len(header) <= n_dimensions or header[0] != magic:
        start = content[:4].hex() or "nothing"
        raise DataError(
            f"{path} starts with {start}, expected {magic:08x}. It is not the IDX file of its name."
        )
    shape = tuple(int(size) for size in header[1:])
    body = np.frombuffer(content, dtype=np.uint8, offset=4 * len(header))
    if body.size != np.prod(shape):
        raise DataError(
            f"{path} holds {body.size} bytes, expected {np.prod(shape)} for {shape}. Download it again."
        )
    return body.reshape(shape)


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes, or raise `DataError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. {_MNIST_WAY_OUT}") from error


def checked(source: str, pixels: Array, labels: Array) -> Images:
    """Return images in [0, 1] and classes from 0, in the order of their labels.

    Args:
        source: Where they come from, for the message.
        pixels: ``(n, H, W)``, or ``(n, D)`` of square images.
        labels: ``(n,)``, whole numbers.

    Raises:
        DataError: If a shape, a range or a type is wrong.
    """
    pixels = as_squares(source, pixels)
    if labels.shape != pixels.shape[:1]:
        raise DataError(
            f"{source} has {len(pixels)} images and labels of shape {labels.shape}. Give one label per image."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{source} has labels of type {labels.dtype}, expected whole numbers. Cast them.")
    classes, numbered = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"{source} has {len(classes)} class, expected at least 2. Add images of another.")
    return Images(in_unit_range(source, pixels), numbered.astype(np.int64))


def as_squares(source: str, pixels: Array) -> Array:
    """Return images as ``(n, H, W)``, or raise `DataError` when no decoder can give that size."""
    if pixels.ndim == 2 and round(pixels.shape[1] ** 0.5) ** 2 == pixels.shape[1]:
        side = round(pixels.shape[1] ** 0.5)
        pixels = pixels.reshape(-1, side, side)
    if pixels.ndim != 3 or not pixels.size:
        raise DataError(
            f"{source} has images of shape {pixels.shape}, expected (n, H, W), or (n, D) of square images. "
            "Reshape them."
        )
    height, width = pixels.shape[1:]
    if height % SIDE_DIVISOR or width % SIDE_DIVISOR:
        raise DataError(
            f"{source} has images of {height} x {width}; both sides must be divisible by {SIDE_DIVISOR}. "
            "Pad or crop them."
        )
    return pixels


def in_unit_range(source: str, pixels: Array) -> Array:
    """Return pixels as float32 in [0, 1]: bytes are divided by 255, other numbers must lie there already."""
    if pixels.dtype == np.uint8:
        return (pixels / np.float32(_BYTE_MAXIMUM)).astype(np.float32)
    if not np.issubdtype(pixels.dtype, np.number) or np.issubdtype(pixels.dtype, np.complexfloating):
        raise DataError(f"{source} has pixels of type {pixels.dtype}, expected bytes or numbers in [0, 1].")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        raise DataError(
            f"{source} has pixels from {low:g} to {high:g}, expected [0, 1]. Divide them by their maximum, "
            "or store bytes (uint8)."
        )
    return pixels.astype(np.float32)
