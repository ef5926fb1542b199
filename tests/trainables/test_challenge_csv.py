"""The challenge format: MeV in, GeV out, nothing lost on the way back, and a malformed line costs itself only."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.dataset import DataError
from trainables.globals_autoencoder.challenge_csv import export_events, import_events
from trainables.globals_autoencoder.events import EventBuilder, PhysicsObject

GOOD = "1;ttbar;1.5;40000;0.5;j,90000,80000,0.1,1.0;b,60000,50000,-0.2,-1.0"


def imported(tmp_path, *lines, strict=False):
    path = tmp_path / "events.csv"
    path.write_text("\n".join(lines))
    return import_events(path, strict=strict)


def test_energies_in_mev_become_gev(tmp_path):
    (event,) = imported(tmp_path, GOOD).table.to_pylist()
    assert event["process"] == "ttbar"
    assert (event["weight"], event["met_gev"], event["met_phi"]) == (1.5, 40.0, 0.5)
    assert (event["obj"], event["e_gev"], event["pt_gev"]) == ([1, 2], [90.0, 60.0], [80.0, 50.0])


def test_a_trailing_semicolon_blanks_and_empty_lines_change_nothing(tmp_path):
    loose = GOOD.replace(";", " ; ").replace(",", ", ")
    result = imported(tmp_path, GOOD, "", GOOD + ";", loose + " ; ", "")
    assert (result.n_read, result.n_skipped) == (3, 0)
    assert len({str(event) for event in result.table.to_pylist()}) == 1


def test_every_object_name_has_its_id(tmp_path):
    names = ["j", "b", "e+", "e-", "m+", "mu+", "m-", "mu-", "g", "a"]
    objects = ";".join(f"{name},90000,{80000 - place},0,0" for place, name in enumerate(names))
    (event,) = imported(tmp_path, f"1;ttbar;1;40000;0;{objects}").table.to_pylist()
    assert event["obj"] == [1, 2, 3, 4, 5, 5, 6, 6, 7, 7]


def test_objects_are_sorted_and_the_18_leading_ones_kept(tmp_path):
    objects = ";".join(f"j,90000,{1000 * pt},0,0" for pt in range(1, 21))
    (event,) = imported(tmp_path, f"1;ttbar;1;40000;0;{objects}").table.to_pylist()
    assert event["pt_gev"] == [float(pt) for pt in range(20, 2, -1)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1;ttbar;1;40000;0.5", "line 2 has 5 fields, expected at least 6"),
        (GOOD.replace(",1.0", ""), r"line 2 has 4 fields in object 1, expected 5 \(obj,E,pT,eta,phi\)"),
        (GOOD.replace("b,", "tau,"), "line 2 has unknown object 'tau', expected one of j, b"),
        (GOOD.replace("90000", "much"), "line 2 has e_gev='much', which is not a number"),
        (GOOD.replace("90000", "nan"), "line 2 has e_gev=nan, not between"),
        (GOOD.replace("80000", "-80000"), "line 2 has pt_gev=-80, not between .* positive and in GeV"),
        (GOOD.replace("40000", "inf"), "line 2 has met_gev=inf, not between"),
        (GOOD.replace("ttbar", " "), "line 2 has an empty process ID"),
        (GOOD.replace("-1.0", "-180"), "line 2 has phi=-180, not between .* in radians"),
    ],
)
def test_a_malformed_line_is_skipped_counted_and_explained(tmp_path, line, problem):
    result = imported(tmp_path, GOOD, line, GOOD)
    assert (result.n_read, result.n_skipped, result.table.num_rows) == (2, 1, 2)
    with pytest.raises(DataError, match=problem):
        imported(tmp_path, GOOD, line, GOOD, strict=True)


def test_only_the_first_problems_are_told(tmp_path):
    result = imported(tmp_path, *["nonsense"] * 9, GOOD)
    assert result.n_skipped == 9
    assert [text.split(" has")[0] for text in result.first_problems] == [f"line {n}" for n in range(1, 6)]


def test_bytes_that_are_no_text_spoil_their_line_only(tmp_path):
    path = tmp_path / "events.csv"
    path.write_bytes(GOOD.encode() + b"\n\xff\xfe\x00\n" + GOOD.encode())
    assert (import_events(path).n_read, import_events(path).n_skipped) == (2, 1)


def test_a_file_without_a_valid_line_is_refused_with_its_first_problem(tmp_path):
    with pytest.raises(
        DataError, match=r"no valid line; 2 were skipped, line 1 has 1 fields.*Expected event ID"
    ):
        imported(tmp_path, "nonsense", "more of it")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no valid line; 0 were skipped. Expected event ID"):
        imported(tmp_path, "")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none.csv cannot be read: No such file.*Give the path"):
        import_events(tmp_path / "none.csv")


def test_a_process_that_would_break_the_format_is_not_written(tmp_path):
    builder = EventBuilder()
    builder.add("tt;bar", 1.0, 40.0, 0.5, [PhysicsObject(1, 90.0, 80.0, 0.1, 1.0)])
    with pytest.raises(DataError, match=r"process='tt;bar' cannot be written as CSV"):
        export_events(builder.table(), tmp_path / "events.csv")


def single(low, high):
    return st.floats(float(np.float32(low)), float(np.float32(high)), width=32)


ENERGY, ANGLE = single(1e-6, 1e6), single(-3.2, 3.2)
OBJECTS = st.lists(
    st.builds(PhysicsObject, st.integers(1, 7), ENERGY, ENERGY, single(-5, 5), ANGLE), min_size=1
)
EVENT = st.tuples(st.sampled_from(["ttbar", "4top", "Z jets"]), single(-1e6, 1e6), ENERGY, ANGLE, OBJECTS)


@settings(max_examples=50, deadline=None)
@given(events=st.lists(EVENT, min_size=1, max_size=5))
def test_what_is_exported_is_imported_bit_for_bit(events):
    builder = EventBuilder()
    for event in events:
        builder.add(*event)
    with tempfile.TemporaryDirectory() as folder:
        export_events(builder.table(), Path(folder) / "events.csv")
        result = import_events(Path(folder) / "events.csv", strict=True)
    assert result.table.equals(builder.table())
    assert (result.n_read, result.n_skipped, result.first_problems) == (len(events), 0, ())
