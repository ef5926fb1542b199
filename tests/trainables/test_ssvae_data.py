"""The images: where they come from, how they are split, and what is told when they cannot be read."""

import gzip
import re
import struct
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from tests.trainables.conftest import SMALL
from trainables.dataset import DataError
from trainables.families import load_family
from trainables.ssvae.image_files import idx_files, read_images
from trainables.training import Training
from trainables.trial_spec import TrialSpec

FAMILY = load_family("ssvae")


def load(root=None, **given):
    params = FAMILY.space.resolve({"dataset": "mnist" if root else "digits", **given})
    return FAMILY.load_data(params, root)


def rows(split):
    return {image.tobytes() for image in split["x"]}


@pytest.fixture(scope="module")
def digits():
    return load()


def made(n=60, side=28, n_classes=3):
    random = np.random.default_rng(0)
    labels = np.arange(n) % n_classes
    pixels = random.integers(0, 128, (n, side, side)) + 40 * labels[:, None, None]
    return pixels.astype(np.uint8), labels.astype(np.uint8)


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "images.npz", **arrays)
        return tmp_path / "images.npz"

    return write


def write_idx(path, array, magic=None):
    magic = 0x800 + array.ndim if magic is None else magic
    content = struct.pack(f">{array.ndim + 1}I", magic, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_idx_folder(folder, parts=("train",), suffix=""):
    pixels, labels = made()
    for part in parts:
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", pixels)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)


# --- splits


def test_splits_are_60_20_20_of_every_class_and_share_no_image(digits):
    sizes = {name: len(digits.split(name)["y"]) for name in ("train", "valid", "test")}
    assert sizes == {"train": 1087, "valid": 355, "test": 355}
    counts = [np.bincount(digits.split(name)["y"]) for name in sizes]
    for per_class in np.stack(counts, axis=1):
        assert per_class / per_class.sum() == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    train, valid, test = (rows(digits.split(name)) for name in sizes)
    assert not train & valid
    assert not train & test
    assert not valid & test


def test_pixels_are_flat_float32_between_zero_and_one(digits):
    x = digits.train["x"]
    assert x.shape[1] == 64
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0.0, 1.0)
    assert digits.train["y"].dtype == np.int64


@pytest.mark.parametrize("n_labelled", [10, 50, 123])
def test_the_first_images_are_labelled_and_every_class_has_its_share(n_labelled):
    train = load(n_labelled=n_labelled).train
    assert train["labelled"].tolist() == [1.0] * n_labelled + [0.0] * (1087 - n_labelled)
    per_class = np.bincount(train["y"][:n_labelled], minlength=10)
    assert per_class.max() - per_class.min() <= 1


def test_another_label_seed_labels_others_and_leaves_the_splits_alone(digits):
    other = load(label_seed=1)
    assert rows(other.train) == rows(digits.train)
    assert not np.array_equal(other.train["x"][:50], digits.train["x"][:50])
    assert np.array_equal(other.valid["x"], digits.valid["x"])


def test_fewer_labels_are_a_part_of_more(digits):
    fewer = load(n_labelled=20).train["x"][:20]
    assert np.array_equal(fewer, digits.train["x"][:20])


def test_another_split_seed_splits_otherwise(digits):
    assert rows(load(split_seed=1).valid) != rows(digits.valid)


def test_what_must_be_beaten_stands_in_the_baselines(digits):
    baselines = digits.baselines
    assert baselines["majority_class/valid/accuracy"] == pytest.approx(0.1, abs=0.02)
    assert baselines["nearest_labelled/test/accuracy"] > 0.8
    mse = np.square(digits.valid["x"] - digits.train["x"].mean(axis=0)).mean()
    assert baselines["mean_image/valid/mse"] == pytest.approx(mse)
    assert baselines["mean_image/valid/nll_per_pixel"] == pytest.approx(
        0.5 * np.log(2 * np.pi * mse) + 0.5, rel=1e-5
    )
    assert digits.constants["pixel_sigma"] == pytest.approx(np.sqrt(mse), rel=0.05)


# --- fingerprints


def test_the_fingerprint_follows_what_decides_the_data_and_nothing_else(npz):
    def fingerprint(root=None, **given):
        return FAMILY.fingerprint(FAMILY.space.resolve(given), root)

    assert fingerprint() == fingerprint(kl_weight=3.0) == load().fingerprint
    choices = [
        {"n_images": 500},
        {"n_labelled": 20},
        {"split_seed": 1},
        {"label_seed": 1},
        {"dataset": "mnist"},
    ]
    pixels, labels = made()
    found = [fingerprint(**one) for one in choices] + [fingerprint(npz(x=pixels, y=labels), dataset="mnist")]
    found.append(fingerprint(npz(x=255 - pixels, y=labels), dataset="mnist"))
    assert len({fingerprint(), *found}) == len(found) + 1


# --- files


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels")])
@pytest.mark.parametrize("form", ["bytes", "floats", "flat"])
def test_an_npz_file_is_read_in_all_its_forms(npz, keys, form):
    pixels, labels = made()
    stored = {"bytes": pixels, "floats": pixels / 255.0, "flat": pixels.reshape(60, -1)}[form]
    images = read_images("mnist", npz(**dict(zip(keys, (stored, labels + 3), strict=True))))
    np.testing.assert_allclose(images.pixels, pixels / 255.0, atol=1e-6)
    assert images.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("parts", [("train",), ("train", "t10k")])
def test_idx_files_are_read_gzipped_or_not_with_or_without_the_test_part(tmp_path, suffix, parts):
    write_idx_folder(tmp_path, parts, suffix)
    pixels, labels = made()
    images = read_images("mnist", tmp_path)
    assert len(images.labels) == 60 * len(parts)
    np.testing.assert_allclose(images.pixels[:60], pixels / 255.0, atol=1e-6)
    assert images.labels[:60].tolist() == labels.tolist()
    assert len(idx_files(tmp_path)) == 2 * len(parts)


@pytest.mark.parametrize("decoder", ["dense", "conv"])
def test_images_of_28_by_28_train_with_either_decoder(npz, decoder, tmp_path):
    pixels, labels = made(n=40, n_classes=2)
    dataset = load(npz(x=pixels, y=labels), n_labelled=4)
    params = FAMILY.space.resolve(
        {**SMALL, "batch_size": 24, "n_components": 2, "hidden_dim": 32, "decoder_type": decoder}
    )
    spec = TrialSpec("trial", "ssvae", params, 1, 1, "valid/nll_per_pixel", "min", tmp_path)
    one = Training(FAMILY, spec, dataset)
    metrics = one.run_epoch()
    assert np.isfinite(metrics["test/nll_per_pixel"])
    examples = one.examples()
    assert examples["image"].shape == (8, 28, 28)
    assert sum(array.nbytes for array in examples.values()) < 200_000


# --- what is refused


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": made()[0], "z": made()[1]},
            r"has the arrays x, z, expected x and y, or images and labels. Rename",
        ),
        (
            {"x": made()[0], "y": made()[1][:7]},
            r"has 60 images and labels of shape \(7,\). Give one label per",
        ),
        (
            {"x": made()[0], "y": made()[1] / 2},
            r"has labels of type float64, expected whole numbers. Cast them",
        ),
        ({"x": made()[0], "y": 0 * made()[1]}, r"has 1 class, expected at least 2. Add images of another"),
        (
            {"x": made()[0][:, :27], "y": made()[1]},
            r"has images of 27 x 28; both sides must be divisible by 4. Pad",
        ),
        ({"x": made()[0][:, 0], "y": made()[1]}, r"has images of shape \(60, 28\), expected \(n, H, W\)"),
        ({"x": made()[0][:0], "y": made()[1][:0]}, r"has images of shape \(0, 28, 28\), expected"),
        (
            {"x": made()[0].astype(int), "y": made()[1]},
            r"has pixels from 0 to 20\d, expected \[0, 1\]. Divide them",
        ),
        (
            {"x": np.full((60, 28, 28), np.nan), "y": made()[1]},
            r"has pixels from nan to nan, expected \[0, 1\]",
        ),
        (
            {"x": np.full((60, 28, 28), "a"), "y": made()[1]},
            r"has pixels of type <U1, expected bytes or numbers",
        ),
    ],
)
def test_an_npz_file_that_breaks_a_rule_is_refused_with_the_way_out(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        read_images("mnist", npz(**arrays))


def test_a_file_that_is_none_or_not_there_is_refused(tmp_path):
    broken = tmp_path / "broken.npz"
    broken.write_text("not an archive")
    with pytest.raises(DataError, match=r"broken.npz is not an NPZ file: .* Give the path of an NPZ file"):
        read_images("mnist", broken)
    with pytest.raises(DataError, match=r"gone.npz does not exist. Give the path of an NPZ file"):
        read_images("mnist", tmp_path / "gone.npz")
    with pytest.raises(DataError, match=r"gone.npz cannot be read: No such file or directory. Give the path"):
        FAMILY.fingerprint(FAMILY.space.resolve({"dataset": "mnist"}), tmp_path / "gone.npz")


def test_a_folder_without_idx_files_says_which_one_is_missing(tmp_path):
    with pytest.raises(
        DataError,
        match=r"has no train-images-idx3-ubyte, nor train-images-idx3-ubyte.gz. Put MNIST's IDX files",
    ):
        read_images("mnist", tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", made()[0])
    with pytest.raises(DataError, match=r"has no train-labels-idx1-ubyte"):
        read_images("mnist", tmp_path)


def test_an_idx_file_of_another_kind_or_cut_short_is_refused(tmp_path):
    write_idx_folder(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    message = r"holds 47039 bytes, expected 47040 for \(60, 28, 28\). Download it again"
    with pytest.raises(DataError, match=message):
        read_images("mnist", tmp_path)
    for content, start in ((b"\x00\x00\x08\x01" + whole[4:], "00000801"), (b"", "nothing")):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=f"starts with {start}, expected 00000803. It is not the IDX file"
        ):
            read_images("mnist", tmp_path)


def test_a_gzip_file_cut_short_is_refused(tmp_path):
    write_idx_folder(tmp_path, suffix=".gz")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cannot be unpacked: .* Download it again"):
        read_images("mnist", tmp_path)


def test_mnist_without_network_or_file_names_the_way_out(monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", no_network)
    with pytest.raises(
        DataError,
        match=r"MNIST cannot be fetched from OpenML: URLError: .*no route to host.* Give the path of an NPZ file",
    ):
        read_images("mnist", None)


def test_mnist_from_openml_comes_as_bytes_and_digits_in_text(monkeypatch):
    pixels, labels = made()
    answer = SimpleNamespace(
        data=pixels.reshape(60, -1).astype(float),
        target=np.array([str(label) for label in labels], dtype=object),
    )
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda name, version, as_frame: answer)
    images = read_images("mnist", None)
    np.testing.assert_allclose(images.pixels, pixels / 255.0, atol=1e-6)
    assert images.labels.tolist() == labels.tolist()


def test_files_are_refused_where_digits_would_not_read_them(npz):
    pixels, labels = made()
    root = npz(x=pixels, y=labels)
    message = rf"dataset=digits comes with scikit-learn and would not read {re.escape(str(root))}. Set dataset=mnist"
    with pytest.raises(DataError, match=message):
        FAMILY.fingerprint(FAMILY.space.resolve({}), root)
    with pytest.raises(DataError, match=message):
        FAMILY.load_data(FAMILY.space.resolve({}), root)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"n_images": 1798},
            r"n_images=1798 is above the 1797 images of the data. Give at most that many, or 0",
        ),
        (
            {"n_images": 40},
            r"Class \d has \d of 40 images; a split 60/20/20 by class needs 5. Raise n_images",
        ),
        ({"n_labelled": 1088}, r"n_labelled=1088 is above the 1087 training images. Give at most that many"),
    ],
)
def test_more_than_there_is_or_too_little_to_split_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        load(**given)
