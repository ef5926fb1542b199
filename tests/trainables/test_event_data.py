"""Events as the model takes them: standardised on the training split alone, split by event, with baselines."""

import math

import numpy as np
import pytest

from trainables.dataset import DataError
from trainables.globals_autoencoder.data import fingerprint_events, load_events
from trainables.globals_autoencoder.events import EventBuilder, PhysicsObject, write_events
from trainables.globals_autoencoder.globals_metrics import globals_metrics, r_squared


def random_event(rng):
    objects = [
        PhysicsObject(int(rng.integers(1, 8)), 2 * pt, pt, rng.normal(), rng.uniform(-3, 3))
        for pt in rng.uniform(25, 200, size=rng.integers(1, 7)).tolist()
    ]
    return "ttbar", 1.0, float(rng.uniform(5, 200)), float(rng.uniform(-3, 3)), objects


def written(path, events):
    builder = EventBuilder()
    for event in events:
        builder.add(*event)
    write_events(builder.table(), path)
    return path


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    return written(tmp_path / "events.parquet", [random_event(rng) for _ in range(105)])


@pytest.fixture
def dataset(path):
    return load_events(path, n_events=0, split_seed=0)


def test_splits_hold_80_10_10_percent_and_every_event_once(dataset, path):
    sizes = [len(dataset.split(name)["obj"]) for name in ("train", "valid", "test")]
    assert sizes == [85, 10, 10]
    log_met = np.concatenate([dataset.split(name)["globals"][:, 0] for name in ("train", "valid", "test")])
    assert len(np.unique(log_met)) == 105


def test_shapes_and_types_are_the_promised_ones(dataset):
    train = dataset.train
    assert {name: (array.dtype.name, array.shape[1:]) for name, array in train.items()} == {
        "obj": ("int64", (6,)),
        "continuous": ("float32", (6, 5)),
        "mask": ("bool", (6,)),
        "globals": ("float32", (3,)),
    }
    assert {name: array.shape for name, array in dataset.constants.items()} == {
        "continuous_mean": (5,),
        "continuous_std": (5,),
        "globals_mean": (3,),
        "globals_std": (3,),
    }


def test_real_tokens_and_globals_of_the_training_split_are_standardised(dataset):
    tokens = dataset.train["continuous"][dataset.train["mask"]]
    for values in (tokens, dataset.train["globals"]):
        assert np.allclose(values.mean(axis=0), 0.0, atol=1e-5)
        assert np.allclose(values.std(axis=0), 1.0, atol=1e-5)


def test_other_splits_do_not_touch_the_statistics(dataset):
    tokens = dataset.valid["continuous"][dataset.valid["mask"]]
    assert np.abs(tokens.mean(axis=0)).max() > 1e-3


def test_pads_are_zero_everywhere(dataset):
    pads = ~dataset.train["mask"]
    assert pads.any()
    assert not dataset.train["continuous"][pads].any()
    assert not dataset.train["obj"][pads].any()
    assert (dataset.train["obj"][dataset.train["mask"]] > 0).all()


def test_constants_undo_the_standardisation(tmp_path):
    event = ("ttbar", 1.0, 40.0, 0.5, [PhysicsObject(1, 90.0, 80.0, 0.25, 1.0)])
    rng = np.random.default_rng(1)
    path = written(tmp_path / "events.parquet", [event, *(random_event(rng) for _ in range(9))])
    dataset = load_events(path, n_events=0, split_seed=0)
    constants = dataset.constants
    tokens, targets = (
        np.concatenate([dataset.split(name)[key] for name in ("train", "valid", "test")])
        for key in ("continuous", "globals")
    )
    targets = targets * constants["globals_std"] + constants["globals_mean"]
    row = np.argmin(np.abs(targets[:, 0] - math.log(40.0)))
    token = tokens[row, 0] * constants["continuous_std"] + constants["continuous_mean"]
    assert targets[row] == pytest.approx([math.log(40.0), math.sin(0.5), math.cos(0.5)], abs=1e-5)
    assert token == pytest.approx([math.log(90), math.log(80), 0.25, math.sin(1), math.cos(1)], abs=1e-5)


def test_a_seed_gives_one_split_and_another_seed_another(path, dataset):
    again, other = (load_events(path, n_events=0, split_seed=seed) for seed in (0, 1))
    assert np.array_equal(again.valid["globals"], dataset.valid["globals"])
    assert not np.array_equal(other.valid["obj"], dataset.valid["obj"])


def test_fewer_events_keep_the_width_of_the_whole_file(path):
    dataset = load_events(path, n_events=20, split_seed=0)
    assert [len(dataset.split(name)["obj"]) for name in ("train", "valid", "test")] == [16, 2, 2]
    assert dataset.train["obj"].shape[1] == 6


def test_a_constant_feature_becomes_zero_not_nan(tmp_path):
    events = [("ttbar", 1.0, 40.0 + n, 0.5, [PhysicsObject(1, 90.0, 80.0, 0.1, 1.0)]) for n in range(10)]
    dataset = load_events(written(tmp_path / "events.parquet", events), n_events=0, split_seed=0)
    assert np.allclose(dataset.train["continuous"], 0.0, atol=1e-5)


def test_more_events_than_present_are_refused(path):
    with pytest.raises(DataError, match=r"n_events=106 is above the 105 events of .*or 0 for all"):
        load_events(path, n_events=106, split_seed=0)


def test_fewer_than_ten_events_are_refused(path):
    with pytest.raises(DataError, match=r"9 events of .* are below 10. A split 80/10/10 needs"):
        load_events(path, n_events=9, split_seed=0)


def test_the_fingerprint_tells_files_numbers_and_seeds_apart(path, dataset):
    prints = {fingerprint_events(path, n, seed) for n in (0, 50) for seed in (0, 1)}
    assert len(prints) == 4
    assert dataset.fingerprint == fingerprint_events(path, 0, 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"may be truncated"):
        fingerprint_events(path, 0, 0)


def test_a_perfect_balance_is_a_perfect_visible_sum(tmp_path):
    rng = np.random.default_rng(2)
    events = []
    for _ in range(40):
        pt, phi = float(rng.uniform(30, 90)), float(rng.uniform(-3, 3))
        away = math.remainder(phi + math.pi, 2 * math.pi)
        events.append(("w_jets", 1.0, pt, away, [PhysicsObject(1, 2 * pt, pt, 0.1, phi)]))
    baselines = load_events(written(tmp_path / "events.parquet", events), n_events=0, split_seed=0).baselines
    for split in ("valid", "test"):
        assert baselines[f"visible_sum/{split}/met_r2"] == pytest.approx(1.0, abs=1e-6)
        for metric in ("rec_globals", "metphi_cos_err", "met_resolution"):
            assert baselines[f"visible_sum/{split}/{metric}"] == pytest.approx(0.0, abs=1e-5)


def test_the_visible_sum_of_two_objects_is_the_hand_computation(tmp_path):
    # 30 GeV along x and 40 GeV along y leave 50 GeV; the truth is 40 to 59 GeV at a right angle to it.
    objects = [PhysicsObject(1, 50.0, 40.0, 0.0, math.pi / 2), PhysicsObject(1, 50.0, 30.0, 0.0, 0.0)]
    across = math.atan2(-40, -30) + math.pi / 2
    events = [("ttbar", 1.0, 40.0 + n, across, objects) for n in range(20)]
    dataset = load_events(written(tmp_path / "events.parquet", events), n_events=0, split_seed=0)
    log_met = dataset.valid["globals"][:, 0] * dataset.constants["globals_std"][0]
    first, second = np.exp(log_met + dataset.constants["globals_mean"][0]).tolist()
    unexplained = ((first - 50) ** 2 + (second - 50) ** 2) / ((first - second) ** 2 / 2)
    baselines = dataset.baselines
    assert baselines["visible_sum/valid/metphi_cos_err"] == pytest.approx(1.0, abs=1e-5)
    assert baselines["visible_sum/valid/met_r2"] == pytest.approx(1 - unexplained, rel=1e-4)
    assert baselines["visible_sum/valid/met_resolution"] == pytest.approx(
        abs(50 / first - 50 / second) / 2, rel=1e-4
    )


def test_the_training_mean_explains_the_variance_of_the_target_and_no_more(dataset):
    target = dataset.valid["globals"].astype(np.float64)
    assert dataset.baselines["mean/valid/rec_globals"] == pytest.approx(float(np.mean(target**2)))
    assert dataset.baselines["mean/test/met_r2"] < 0.1


def test_every_baseline_has_every_metric_on_both_held_out_splits(dataset):
    metrics = ("rec_globals", "met_r2", "metphi_cos_err", "met_resolution")
    assert set(dataset.baselines) == {
        f"{predictor}/{split}/{metric}"
        for predictor in ("visible_sum", "mean")
        for split in ("valid", "test")
        for metric in metrics
    }


def test_globals_metrics_are_the_definitions_of_the_table():
    mean, std = np.zeros(3), np.ones(3)
    target = np.array([[math.log(10), 0, 1], [math.log(30), 1, 0]])
    predicted = np.array([[math.log(20), 1, 0], [math.log(30), 1, 0]])
    assert globals_metrics(predicted, target, mean, std) == pytest.approx(
        {
            "rec_globals": (math.log(2) ** 2 + 2) / 6,
            "met_r2": 1 - 100 / 200,
            "metphi_cos_err": 0.5,
            "met_resolution": 0.5,
        }
    )


def test_nothing_is_explained_of_a_target_that_does_not_vary():
    assert math.isnan(r_squared(np.array([1.0, 2.0]), np.array([3.0, 3.0])))
