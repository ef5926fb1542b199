"""Collision events on disk: the schema, what makes an event valid, and how a file is read and written.

An event is a process, a weight, the missing transverse momentum, and 1 to 18 objects by falling pT.
Every table that enters or leaves passes `check_events`, so the code behind it never meets a NaN, a pad or
an energy in MeV. Imports no torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainables.dataset import Array, DataError
from trainables.files import partial_file

MAX_OBJECTS = 18
OBJECT_NAMES = ("pad", "j", "b", "e+", "e-", "mu+", "mu-", "photon")
"""What an object id stands for, by id; 0 fills up batches and is never stored."""

EVENT_COLUMNS = ("met_gev", "met_phi", "weight")
OBJECT_COLUMNS = ("obj", "e_gev", "pt_gev", "eta", "phi")
SCHEMA = pa.schema(
    [
        ("process", pa.string()),
        ("weight", pa.float32()),
        ("met_gev", pa.float32()),
        ("met_phi", pa.float32()),
        ("obj", pa.list_(pa.uint8())),
        *((name, pa.list_(pa.float32())) for name in OBJECT_COLUMNS[1:]),
    ]
)
DEFAULT_EVENTS = Path(__file__).parent / "sample" / "events.parquet"


class Bounds(NamedTuple):
    """The closed interval of admitted values, and the reason that an error message gives."""

    low: float
    high: float
    reason: str


def _single(low: float, high: float, reason: str) -> Bounds:
    # Bounds in single precision: what is inside as a double in a CSV is still inside after rounding.
    return Bounds(float(np.float32(low)), float(np.float32(high)), reason)


_ENERGY = _single(1e-6, 1e6, "Energies and momenta are positive and in GeV")
_ANGLE = _single(-6.2832, 6.2832, "Angles are in radians, within one turn")
BOUNDS: Mapping[str, Bounds] = {
    "weight": _single(-1e30, 1e30, "Weights are finite"),
    "met_gev": _ENERGY,
    "met_phi": _ANGLE,
    "obj": _single(1, len(OBJECT_NAMES) - 1, "Object ids are 1 j, 2 b, 3 e+, 4 e-, 5 mu+, 6 mu-, 7 photon"),
    "e_gev": _ENERGY,
    "pt_gev": _ENERGY,
    "eta": _single(-20.0, 20.0, "Pseudorapidities are finite and physical"),
    "phi": _ANGLE,
}


class PhysicsObject(NamedTuple):
    """One reconstructed object: id from `OBJECT_NAMES`, energy and pT in GeV, eta, phi in radians."""

    obj: int
    e_gev: float
    pt_gev: float
    eta: float
    phi: float


class EventBuilder:
    """Collects events one by one in packed columns, so that a long file never lives in memory as objects."""

    def __init__(self) -> None:
        self._process: list[str] = []
        self._columns: dict[str, array[Any]] = {
            name: array("B" if name == "obj" else "f") for name in (*OBJECT_COLUMNS, *EVENT_COLUMNS)
        }
        self._offsets = array("i", [0])

    def __len__(self) -> int:
        return len(self._process)

    def add(
        self, process: str, weight: float, met_gev: float, met_phi: float, objects: Iterable[PhysicsObject]
    ) -> None:
        """Append one event, keeping its 18 leading objects by pT; equal pT keep their order.

        Args:
            process: Class label.
            weight: Event weight.
            met_gev: Missing transverse momentum in GeV.
            met_phi: Its azimuth in radians.
            objects: The event's objects in any order, at least one.
        """
        leading = sorted(objects, key=_falling_pt)[:MAX_OBJECTS]
        self._process.append(process)
        for name, value in zip(EVENT_COLUMNS, (met_gev, met_phi, weight), strict=True):
            self._columns[name].append(value)
        for name, values in zip(OBJECT_COLUMNS, zip(*leading, strict=True), strict=True):
            self._columns[name].extend(values)
        self._offsets.append(self._offsets[-1] + len(leading))

    def table(self) -> pa.Table:
        """Return what was added so far, as a table of `SCHEMA`."""
        offsets = pa.array(np.asarray(self._offsets, dtype=np.int32))
        flat = {name: pa.array(np.array(values)) for name, values in self._columns.items()}
        lists = {name: pa.ListArray.from_arrays(offsets, flat[name]) for name in OBJECT_COLUMNS}
        return (
            pa.table({"process": pa.array(self._process, pa.string())} | flat | lists)
            .select(SCHEMA.names)
            .cast(SCHEMA)
        )


def _falling_pt(item: PhysicsObject) -> float:
    return -item.pt_gev


def read_events(path: Path) -> pa.Table:
    """Return the valid events of a Parquet file, with the columns and types of `SCHEMA`.

    Args:
        path: The file; further columns in it are left out, its schema metadata is kept.

    Raises:
        DataError: If the file is missing, unreadable or damaged, lacks a column, or breaks a rule of
            `check_events`.
    """
    check_readable(path)
    try:
        table = pq.read_table(path, columns=SCHEMA.names, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA.with_metadata(table.schema.metadata))
    except (ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path} has columns of other types: {_first_line(error)}. Expected {_described(SCHEMA)}."
        ) from error
    check_events(table, str(path))
    return table


def check_readable(path: Path) -> None:
    """Check a file's Parquet footer and its column names, without reading the events.

    Raises:
        DataError: If the file is missing, unreadable or truncated, or lacks a column.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is not a file. Make events with `sweeps data generate events`, convert a challenge CSV "
            "with `sweeps data import events`, or give no path to use the committed sample."
        )
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    missing = [name for name in SCHEMA.names if name not in names]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(names)}. "
            f"Events need {', '.join(SCHEMA.names)}."
        )


def check_events(table: pa.Table, source: str) -> None:
    """Check that every event of a table is one that the model can take.

    Args:
        table: Columns and types of `SCHEMA`.
        source: What an error message calls the table, usually its path.

    Raises:
        DataError: If there is no event; if a value is null; if lists of one event differ in length; if an
            event has no or more than 18 objects; if a value is outside `BOUNDS`; if pT rises along an event.
    """
    if table.num_rows == 0:
        raise DataError(f"{source} has 0 events. Events need at least 1; write the file again.")
    _check_nulls(table, source)
    lengths = objects_per_event(table)
    _check_lengths(table, lengths, source)
    event_of = np.repeat(np.arange(len(lengths)), lengths)
    for name in EVENT_COLUMNS:
        _check_bounds(name, table[name].to_numpy(), np.arange(len(lengths)), source)
    for name in OBJECT_COLUMNS:
        _check_bounds(name, flat_objects(table, name), event_of, source)
    _check_order(flat_objects(table, "pt_gev"), event_of, source)


def objects_per_event(table: pa.Table) -> Array:
    """Return the number of objects of each event, int64, shape ``(n,)``."""
    lengths: Array = pc.list_value_length(table["obj"]).to_numpy().astype(np.int64)
    return lengths


def flat_objects(table: pa.Table, name: str) -> Array:
    """Return one object column of all events end to end, shape ``(total objects,)``."""
    values: Array = pc.list_flatten(table[name]).to_numpy()
    return values


def write_events(table: pa.Table, path: Path) -> None:
    """Write events to a Parquet file, whole or not at all; an older file at ``path`` is replaced.

    Args:
        table: Valid events; their schema metadata is kept.
        path: Where to write; missing folders are made.

    Raises:
        DataError: If the table breaks a rule of `check_events`, or the folder cannot be written to.
    """
    check_events(table, str(path))
    # Floats compress badly as wholes; split by byte, their exponents line up and zstd saves 8 % more.
    floats = [*EVENT_COLUMNS, *(f"{name}.list.element" for name in OBJECT_COLUMNS[1:])]
    with partial_file(path) as partial:
        pq.write_table(
            table,
            partial,
            compression="zstd",
            compression_level=19,
            use_dictionary=["process", "obj.list.element"],
            use_byte_stream_split=floats,
            write_page_checksum=True,  # a flipped bit in a float is still a float
        )


def _check_nulls(table: pa.Table, source: str) -> None:
    for name in SCHEMA.names:
        nested = name in OBJECT_COLUMNS and pc.list_flatten(table[name]).null_count
        if table[name].null_count or nested:
            raise DataError(
                f"{source}: column {name} holds null. Every value must be known; drop those events."
            )


def _check_lengths(table: pa.Table, lengths: Array, source: str) -> None:
    for name in OBJECT_COLUMNS:
        own = pc.list_value_length(table[name]).to_numpy()
        if (own != lengths).any():
            event = int(np.argmax(own != lengths))
            raise DataError(
                f"{source}: event {event} has {lengths[event]} values in obj but {own[event]} in {name}. "
                "The lists of one event are equally long; write the file again."
            )
    outside = (lengths < 1) | (lengths > MAX_OBJECTS)
    if outside.any():
        event = int(np.argmax(outside))
        raise DataError(
            f"{source}: event {event} has {lengths[event]} objects, expected 1 to {MAX_OBJECTS}. "
            "Drop events without objects and keep the 18 leading ones by pT."
        )


def _check_bounds(name: str, values: Array, event_of: Array, source: str) -> None:
    low, high, reason = BOUNDS[name]
    admitted = (values >= low) & (values <= high)  # a NaN fails both
    if not admitted.all():
        place = int(np.argmin(admitted))
        raise DataError(
            f"{source}: {name}={values[place]:g} in event {event_of[place]} is not between {low:g} and "
            f"{high:g}. {reason}; correct or drop the event."
        )


def _check_order(pt_gev: Array, event_of: Array, source: str) -> None:
    rises = (np.diff(pt_gev) > 0) & (np.diff(event_of) == 0)
    if rises.any():
        raise DataError(
            f"{source}: pt_gev rises along event {event_of[np.argmax(rises)]}. "
            "Objects are sorted by falling pT; sort them before writing."
        )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a readable Parquet file: {_first_line(error)}. "
        "It may be truncated or damaged; copy or generate it again, or convert a CSV with `sweeps data import events`."
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
