"""Generated events: the same seed gives the same events, the cuts hold, the committed sample is what its card says."""

import hashlib
import importlib.util
import json
import sys

import numpy as np
import pytest

from search_spaces.errors import RefusedError
from trainables.dataset import DataError
from trainables.globals_autoencoder.detector import RECIPE, has_quark, missing_momentum
from trainables.globals_autoencoder.event_card import event_card
from trainables.globals_autoencoder.events import (
    DEFAULT_EVENTS,
    SCHEMA,
    EventBuilder,
    PhysicsObject,
    check_events,
    flat_objects,
    objects_per_event,
    read_events,
    write_events,
)
from trainables.globals_autoencoder.generate import METADATA_KEY, PROCESSES, generate_events, process_counts

needs_pythia = pytest.mark.skipif(
    importlib.util.find_spec("pythia8mc") is None or importlib.util.find_spec("fastjet") is None,
    reason="pythia8mc or fastjet is not installed: pip install 'counterpoise[events]'",
)


@pytest.fixture(scope="module")
def table():
    return generate_events(60, 7)


@needs_pythia
@pytest.mark.slow
def test_a_seed_gives_the_same_events_and_another_seed_others(table):
    assert generate_events(60, 7).equals(table, check_metadata=True)
    assert not generate_events(60, 8).equals(table)


@needs_pythia
@pytest.mark.slow
def test_generated_events_are_valid_and_follow_the_mix(table):
    check_events(table, "generated")
    assert table.schema.equals(SCHEMA)
    counts = {entry["values"]: entry["counts"] for entry in table["process"].value_counts().to_pylist()}
    assert counts == process_counts(60, {name: process.share for name, process in PROCESSES.items()})
    assert table["process"].to_pylist() != sorted(table["process"].to_pylist())


@needs_pythia
@pytest.mark.slow
def test_cuts_hold_for_every_object(table):
    obj, pt = flat_objects(table, "obj"), flat_objects(table, "pt_gev")
    assert (np.abs(flat_objects(table, "eta")) <= RECIPE.object_abs_eta).all()
    assert (pt[obj <= 2] >= RECIPE.jet_pt_gev).all()
    assert (pt[(obj >= 3) & (obj <= 6)] >= RECIPE.lepton_pt_gev).all()
    assert (pt[obj == 7] >= RECIPE.photon_pt_gev).all()
    assert objects_per_event(table).min() >= RECIPE.fewest_objects


@needs_pythia
@pytest.mark.slow
def test_metadata_and_card_say_how_to_make_the_events_again(table, tmp_path):
    recipe = json.loads(table.schema.metadata[METADATA_KEY])
    assert (recipe["n_events"], recipe["seed"], set(recipe["mix"])) == (60, 7, set(PROCESSES))
    assert {"pythia8mc", "fastjet", "numpy", "pyarrow"} == set(recipe["versions"])
    path = tmp_path / "events.parquet"
    write_events(table, path)
    card = event_card(table, path)
    assert "sweeps data generate events --n 60 --seed 7 --out events.parquet" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card


@needs_pythia
@pytest.mark.slow
def test_a_mix_of_ones_own_makes_only_its_processes():
    calls = []
    table = generate_events(
        100, 1, mix={"w_photon": 2.0}, progress=lambda done, asked: calls.append((done, asked))
    )
    assert set(table["process"].to_pylist()) == {"w_photon"}
    assert calls == [(100, 100)]


def test_the_sample_is_large_small_on_disk_and_valid():
    assert read_events(DEFAULT_EVENTS).num_rows >= 20_000
    assert DEFAULT_EVENTS.stat().st_size < 6e6


def test_the_card_of_the_sample_names_the_sample():
    card = (DEFAULT_EVENTS.parent / "CARD.md").read_text()
    assert hashlib.sha256(DEFAULT_EVENTS.read_bytes()).hexdigest() in card
    assert event_card(read_events(DEFAULT_EVENTS), DEFAULT_EVENTS) == card


def test_without_pythia_the_way_out_is_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(RefusedError, match=r"pip install 'counterpoise\[events\]'"):
        generate_events(10, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0, "seed": 1}, "n=0 is below 1"),
        ({"n_events": 10, "seed": -1}, "seed=-1 is not between 0 and"),
        ({"n_events": 10, "seed": 1, "mix": {}}, "mix is empty"),
        ({"n_events": 10, "seed": 1, "mix": {"tt": 1.0}}, "Unknown process 'tt'. There is ttbar"),
        ({"n_events": 10, "seed": 1, "mix": {"ttbar": -1.0}}, r"mix\['ttbar'\]=-1 is not a positive number"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(RefusedError, match=message):
        generate_events(**arguments)


def test_events_of_other_origin_have_no_card(tmp_path):
    builder = EventBuilder()
    builder.add("ttbar", 1.0, 40.0, 0.5, [PhysicsObject(1, 90.0, 80.0, 0.1, 1.0)])
    with pytest.raises(DataError, match=r"carries no events_recipe. Only generated events have a card"):
        event_card(builder.table(), tmp_path / "events.parquet")


def test_counts_add_up_whatever_the_shares():
    mix = {"a": 1.0, "b": 1.0, "c": 1.0}
    assert [sum(process_counts(n, mix).values()) for n in range(1, 20)] == list(range(1, 20))
    assert process_counts(4, mix) == {"a": 2, "b": 1, "c": 1}


def test_shares_of_the_mix_add_up_to_one():
    assert sum(process.share for process in PROCESSES.values()) == pytest.approx(1.0)


def test_heavy_hadrons_are_read_from_their_digits():
    # B0, Lambda_b, Upsilon, a ud diquark's b partner, D+, pion, gluon
    pdg = np.array([511, -5122, 553, 5103, 411, 211, 21])
    assert has_quark(pdg, 5).tolist() == [True, True, True, False, False, False, False]
    assert has_quark(pdg, 4).tolist() == [False, False, False, False, True, False, False]


def test_missing_momentum_balances_the_objects_up_to_the_soft_term():
    objects = [PhysicsObject(1, 50.0, 30.0, 0.0, 0.0), PhysicsObject(1, 50.0, 40.0, 0.0, np.pi / 2)]
    drawn = np.array([missing_momentum(objects, np.random.default_rng(seed)) for seed in range(500)])
    x, y = drawn[:, 0] * np.cos(drawn[:, 1]), drawn[:, 0] * np.sin(drawn[:, 1])
    assert [x.mean(), y.mean()] == pytest.approx([-30.0, -40.0], abs=2.0)
    assert [x.std(), y.std()] == pytest.approx([RECIPE.soft_term_gev] * 2, rel=0.1)
