"""Files that a family reads and writes: whole or not at all, and known by their bytes. Imports no torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.dataset import DataError


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it at the end, or remove it if anything fails.

    Raises:
        DataError: If the folder cannot be made or written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Give a path in a folder that you may write to."
        ) from error
    finally:
        _remove(partial)


def _remove(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return  # a folder that cannot be written to holds no partial file either


def file_fingerprint(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file's bytes.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Check the path and its permissions."
        ) from error
