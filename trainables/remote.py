"""A folder in object storage (``s3://``, ``gs://``, ``abfs://``), file by file, through pyarrow's file systems.

An object is written as a whole or not at all, so a reader never sees half of one. Stores answer 500, 503 or not at
all now and then: every call is tried again for a while, longer than pyarrow itself does. Imports no torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from search_spaces.errors import RefusedError, first_line

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
PATIENCE_S = 20.0
Answer = TypeVar("Answer")


class Stamp(NamedTuple):
    """What tells one version of an object from another: size in bytes, and time in nanoseconds by the store's clock."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in object storage.

    Args:
        root: A place, such as ``s3://bucket/prefix``; options of the store may follow as a query, as in
            ``s3://bucket/prefix?endpoint_override=http://host:9000``.
        below: The folder's path below that, empty for the place itself.
        patience_s: For how many seconds a call is tried again.
    """

    root: str
    below: str = ""
    patience_s: float = PATIENCE_S

    def __truediv__(self, name: str | Path) -> RemoteFolder:
        return replace(self, below=f"{self.below}/{name}".lstrip("/"))

    @property
    def uri(self) -> str:
        """The folder as one URI, which is again a place."""
        base, mark, query = self.root.partition("?")
        return f"{base.rstrip('/')}/{quote(self.below)}".rstrip("/") + mark + query

    def check(self) -> None:
        """Raise `RefusedError` unless the store answers and has the bucket."""
        from pyarrow import fs

        where, problem = self.uri.partition("?")[0] or self.uri, ""
        try:
            store, base = self._opened()
            bucket = base.partition("/")[0]
            (found,) = self._persistently(lambda: store.get_file_info([bucket or "/"]))
            problem = (
                "" if found.type == fs.FileType.Directory and bucket else f"there is no bucket {bucket!r}"
            )
        except (OSError, ValueError, NotImplementedError) as error:
            problem = first_line(error)
        if problem:
            raise RefusedError(
                f"{where} cannot be opened: {problem}. Check bucket, credentials and endpoint "
                "(AWS_ENDPOINT_URL for a store that is not Amazon's), or give a local folder."
            )

    def files(self, *, recursive: bool = False) -> dict[str, Stamp]:
        """Return the objects in the folder, or in and below it, by name relative to it; none when it is empty."""
        from pyarrow import fs

        store, base = self._opened()
        selector = fs.FileSelector(base, allow_not_found=True, recursive=recursive)
        found = self._persistently(lambda: store.get_file_info(selector))
        return {
            info.path[len(base) :].lstrip("/"): Stamp(info.size, info.mtime_ns or 0)
            for info in found
            if info.type == fs.FileType.File
        }

    def folders(self) -> list[str]:
        """Return the names of the folders in this one."""
        from pyarrow import fs

        store, base = self._opened()
        selector = fs.FileSelector(base, allow_not_found=True)
        found = self._persistently(lambda: store.get_file_info(selector))
        return [info.base_name for info in found if info.type == fs.FileType.Directory]

    def read(self, name: str) -> bytes | None:
        """Return the bytes of an object, None when there is none."""
        store, base = self._opened()

        def read() -> bytes | None:
            try:
                with store.open_input_stream(f"{base}/{name}") as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

        return self._persistently(read)

    def write(self, name: str, content: bytes) -> Stamp:
        """Replace an object; return its new stamp."""
        store, base = self._opened()

        def write() -> Stamp:
            with store.open_output_stream(f"{base}/{name}") as stream:
                stream.write(content)
            (info,) = store.get_file_info([f"{base}/{name}"])
            return Stamp(info.size, info.mtime_ns or 0)

        return self._persistently(write)

    def fetch(self, name: str, path: Path) -> bool:
        """Copy an object to the file ``path`` in one step; return False when there is no such object."""
        content = self.read(name)
        if content is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.fetched")
        partial.write_bytes(content)
        partial.replace(path)
        return True

    def delete(self, name: str) -> None:
        """Delete an object; it need not exist."""
        store, base = self._opened()

        def delete() -> None:
            try:
                store.delete_file(f"{base}/{name}")
            except FileNotFoundError:
                return

        self._persistently(delete)

    def _opened(self) -> tuple[Any, str]:
        store, base = opened(self.root, os.environ.get("AWS_ENDPOINT_URL"))
        return store, f"{base}/{self.below}".rstrip("/")

    def _persistently(self, call: Callable[[], Answer]) -> Answer:
        started, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                return call()
            except OSError:
                if time.monotonic() - started + pause_s > self.patience_s:
                    raise
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


@cache
def opened(place: str, endpoint: str | None) -> tuple[Any, str]:
    """Return file system and path of a place, once per place and ``endpoint``, which the environment gives.

    A small object then takes one request, not the three of an upload in parts.
    """
    from pyarrow import fs

    if place.startswith("s3://"):
        place += ("&" if "?" in place else "?") + "allow_delayed_open=true"
    store, base = fs.FileSystem.from_uri(place)
    return store, base.rstrip("/")
