"""Event files: what is written comes back, and what is not an event is refused with a way out."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.dataset import DataError
from trainables.files import file_fingerprint
from trainables.globals_autoencoder.events import (
    MAX_OBJECTS,
    OBJECT_COLUMNS,
    SCHEMA,
    EventBuilder,
    PhysicsObject,
    check_readable,
    objects_per_event,
    read_events,
    write_events,
)


def one_event(**changed):
    event = {
        "process": "ttbar",
        "weight": 1.0,
        "met_gev": 40.0,
        "met_phi": 0.5,
        "obj": [1, 2],
        "e_gev": [90.0, 60.0],
        "pt_gev": [80.0, 50.0],
        "eta": [0.1, -0.2],
        "phi": [1.0, -1.0],
    }
    return pa.Table.from_pylist([event | changed], schema=SCHEMA)


def test_written_events_come_back_with_their_metadata(tmp_path):
    table = one_event().replace_schema_metadata({"seed": "1"})
    write_events(table, tmp_path / "new" / "events.parquet")
    assert read_events(tmp_path / "new" / "events.parquet").equals(table, check_metadata=True)


def test_writing_leaves_nothing_but_the_file(tmp_path):
    write_events(one_event(), tmp_path / "events.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["events.parquet"]


def test_invalid_events_do_not_replace_an_older_file(tmp_path):
    path = tmp_path / "events.parquet"
    write_events(one_event(), path)
    before = file_fingerprint(path)
    with pytest.raises(DataError, match=r"met_gev=-1 in event 0 is not between"):
        write_events(one_event(met_gev=-1.0), path)
    assert file_fingerprint(path) == before


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"taken/events.parquet cannot be written.*Give a path"):
        write_events(one_event(), tmp_path / "taken" / "events.parquet")


def test_columns_of_wider_types_are_read_as_the_schema_says(tmp_path):
    table = one_event()
    wide = table.set_column(1, "weight", table["weight"].cast(pa.float64())).append_column("run", [[7]])
    pq.write_table(wide, tmp_path / "wide.parquet")
    assert read_events(tmp_path / "wide.parquet").equals(table)


def test_a_missing_file_leads_to_the_commands_that_make_one(tmp_path):
    with pytest.raises(
        DataError, match=r"none.parquet is not a file. Make events with `sweeps data generate"
    ):
        read_events(tmp_path / "none.parquet")


@pytest.mark.parametrize("read", [read_events, check_readable])
def test_a_truncated_file_is_refused(tmp_path, read):
    path = tmp_path / "events.parquet"
    write_events(one_event(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"is not a readable Parquet file.*may be truncated"):
        read(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "events.parquet"
    write_events(pa.concat_tables([one_event(met_gev=40.0 + n) for n in range(500)]), path)
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not a readable Parquet file.*may be truncated or damaged"):
        read_events(path)


@pytest.mark.parametrize("read", [read_events, check_readable])
def test_a_missing_column_is_named(tmp_path, read):
    pq.write_table(one_event().drop_columns(["eta"]), tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"has no column eta; it has process, weight"):
        read(tmp_path / "events.parquet")


def test_columns_of_other_types_are_refused(tmp_path):
    table = one_event()
    pq.write_table(table.set_column(4, "obj", pa.array([["j", "b"]])), tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"has columns of other types.*Expected process string"):
        read_events(tmp_path / "events.parquet")


def test_a_file_without_events_is_refused(tmp_path):
    pq.write_table(SCHEMA.empty_table(), tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"has 0 events"):
        read_events(tmp_path / "events.parquet")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"eta": [0.1]}, "event 0 has 2 values in obj but 1 in eta"),
        ({"obj": [1, 9]}, "obj=9 in event 0 is not between 1 and 7. Object ids are 1 j"),
        ({"obj": [1, 0]}, "obj=0 in event 0 is not between 1 and 7"),
        ({"e_gev": [90.0, math.nan]}, "e_gev=nan in event 0 .* positive and in GeV"),
        ({"e_gev": [math.inf, 60.0]}, "e_gev=inf in event 0"),
        ({"pt_gev": [80.0, 0.0]}, "pt_gev=0 in event 0"),
        ({"phi": [180.0, 0.0]}, "phi=180 in event 0 .* in radians"),
        ({"pt_gev": [50.0, 80.0]}, "pt_gev rises along event 0.*sort them"),
        ({"met_gev": None}, "column met_gev holds null"),
        ({"eta": [0.1, None]}, "column eta holds null"),
        (
            {name: [] for name in OBJECT_COLUMNS},
            "event 0 has 0 objects, expected 1 to 18",
        ),
    ],
)
def test_what_is_not_an_event_is_refused_by_name_and_rule(tmp_path, changed, message):
    pq.write_table(one_event(**changed), tmp_path / "events.parquet")
    with pytest.raises(DataError, match=message):
        read_events(tmp_path / "events.parquet")


def test_the_leading_objects_are_kept_in_falling_pt():
    builder = EventBuilder()
    pts = np.random.default_rng(0).permutation(np.arange(1.0, 31.0)).tolist()
    builder.add("ttbar", 1.0, 40.0, 0.5, [PhysicsObject(1, 2 * pt, pt, 0.0, 0.0) for pt in pts])
    table = builder.table()
    assert objects_per_event(table).tolist() == [MAX_OBJECTS]
    assert table["pt_gev"].to_pylist() == [list(np.arange(30.0, 12.0, -1.0))]


def test_a_fingerprint_follows_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"events")
    (tmp_path / "b").write_bytes(b"events")
    (tmp_path / "c").write_bytes(b"other events")
    a, b, c = (file_fingerprint(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len(a) == 16


def test_a_fingerprint_needs_a_file(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read: No such file"):
        file_fingerprint(tmp_path / "none")
