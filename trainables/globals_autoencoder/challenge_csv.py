"""The text format of the DarkMachines and four-top challenges, read and written line by line.

``event ID; process ID; weight; MET; METphi; obj,E,pT,eta,phi; ...;`` with energies in MeV, variable length
and an optional trailing semicolon. A malformed line costs itself only: it is skipped, counted and explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from trainables.dataset import DataError
from trainables.files import partial_file
from trainables.globals_autoencoder.events import (
    BOUNDS,
    OBJECT_COLUMNS,
    EventBuilder,
    PhysicsObject,
    check_events,
)

MEV_PER_GEV = 1000.0
IMPORT_IDS = {
    "j": 1,
    "b": 2,
    "e+": 3,
    "e-": 4,
    "m+": 5,
    "mu+": 5,
    "m-": 6,
    "mu-": 6,
    "g": 7,
    "a": 7,
}
EXPORT_NAMES = {1: "j", 2: "b", 3: "e+", 4: "e-", 5: "m+", 6: "m-", 7: "g"}
KEPT_PROBLEMS = 5
_FORM = "event ID; process ID; weight; MET; METphi; obj,E,pT,eta,phi; ...;"
_HEADER_FIELDS = 5
_OBJECT_FIELDS = 5


class LineError(ValueError):
    """A line that is not an event; the message names the rule that it breaks."""


@dataclass(frozen=True)
class ImportResult:
    """What came out of a challenge file.

    Args:
        table: The valid events, in the order of the file, units in GeV.
        n_read: Number of valid lines, the rows of ``table``.
        n_skipped: Number of malformed lines; blank lines count as nothing.
        first_problems: Line number and broken rule of the first malformed lines, at most 5.
    """

    table: pa.Table
    n_read: int
    n_skipped: int
    first_problems: tuple[str, ...]


def import_events(csv_path: Path, *, strict: bool = False) -> ImportResult:
    """Read a challenge file, converting MeV to GeV and keeping the 18 leading objects by pT.

    Args:
        csv_path: The file, read as a stream.
        strict: Whether the first malformed line is an error rather than skipped.

    Raises:
        DataError: If the file cannot be read or has no valid line; when strict, at the first malformed line.
    """
    builder = EventBuilder()
    n_skipped, problems = 0, list[str]()
    for number, line in _numbered_lines(csv_path):
        try:
            _add_line(builder, line)
        except LineError as error:
            problem = f"line {number} {error}"
            if strict:
                raise DataError(
                    f"{csv_path}: {problem}. Correct the line, or import without strict."
                ) from error
            n_skipped += 1
            problems += [problem] if len(problems) < KEPT_PROBLEMS else []
    if not len(builder):
        first = f", {problems[0]}" if problems else ""
        raise DataError(f"{csv_path} has no valid line; {n_skipped} were skipped{first}. Expected {_FORM}.")
    return ImportResult(builder.table(), len(builder), n_skipped, tuple(problems))


def _numbered_lines(csv_path: Path) -> Iterator[tuple[int, str]]:
    try:
        # A byte that is not UTF-8 makes its own line malformed, not the whole file unreadable.
        with csv_path.open(encoding="utf-8", errors="replace") as stream:
            for number, line in enumerate(stream, start=1):
                if stripped := line.strip():
                    yield number, stripped
    except OSError as error:
        raise DataError(
            f"{csv_path} cannot be read: {error.strerror or error}. Give the path of a challenge CSV."
        ) from error


def _add_line(builder: EventBuilder, line: str) -> None:
    fields = line.removesuffix(";").split(";")
    if len(fields) <= _HEADER_FIELDS:
        raise LineError(f"has {len(fields)} fields, expected at least 6 ({_FORM})")
    _, process, weight, met, met_phi, *objects = fields
    if not process.strip():
        raise LineError("has an empty process ID, expected a name")
    builder.add(
        process.strip(),
        _number("weight", weight),
        _number("met_gev", met, MEV_PER_GEV),
        _number("met_phi", met_phi),
        [_object(place, text) for place, text in enumerate(objects, start=1)],
    )


def _object(place: int, text: str) -> PhysicsObject:
    parts = text.split(",")
    if len(parts) != _OBJECT_FIELDS:
        raise LineError(f"has {len(parts)} fields in object {place}, expected 5 (obj,E,pT,eta,phi)")
    name, energy, pt, eta, phi = parts
    object_id = IMPORT_IDS.get(name.strip())
    if object_id is None:
        raise LineError(f"has unknown object {name.strip()!r}, expected one of {', '.join(IMPORT_IDS)}")
    return PhysicsObject(
        object_id,
        _number("e_gev", energy, MEV_PER_GEV),
        _number("pt_gev", pt, MEV_PER_GEV),
        _number("eta", eta),
        _number("phi", phi),
    )


def _number(name: str, text: str, unit: float = 1.0) -> float:
    low, high, reason = BOUNDS[name]
    try:
        value = float(text) / unit
    except ValueError:
        raise LineError(f"has {name}={text.strip()!r}, which is not a number") from None
    if not low <= value <= high:
        raise LineError(f"has {name}={value:g}, not between {low:g} and {high:g}: {reason}")
    return value


def export_events(table: pa.Table, path: Path) -> None:
    """Write events in the challenge format; `import_events` gives back the same table, bit for bit.

    Args:
        table: Valid events; energies in GeV become MeV, the event ID is the row number.
        path: Where to write, whole or not at all; missing folders are made.

    Raises:
        DataError: If the table is not valid, a process cannot be written in this format, or the folder cannot
            be written to.
    """
    check_events(table, str(path))
    for process in table["process"].unique().to_pylist():
        _check_process(process)
    with partial_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        number = 0
        for batch in table.to_batches(max_chunksize=10_000):
            for event in batch.to_pylist():
                stream.write(_line(number, event))
                number += 1


def _check_process(process: str) -> None:
    if not process or process != process.strip() or ";" in process or len(process.splitlines()) != 1:
        raise DataError(
            f"process={process!r} cannot be written as CSV. A process is one line without a semicolon and "
            "without blanks around it; rename it."
        )


def _line(number: int, event: dict[str, Any]) -> str:
    header = (number, event["process"], event["weight"], event["met_gev"] * MEV_PER_GEV, event["met_phi"])
    columns = [event[name] for name in OBJECT_COLUMNS]
    objects = [
        f"{EXPORT_NAMES[obj]},{e_gev * MEV_PER_GEV},{pt_gev * MEV_PER_GEV},{eta},{phi}"
        for obj, e_gev, pt_gev, eta, phi in zip(*columns, strict=True)
    ]
    return ";".join([*map(str, header), *objects]) + ";\n"
