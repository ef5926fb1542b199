"""How much memory a trial takes, and the most it may take; both by the kernel, so Linux alone has them.

A trial in a resident actor shares its process with those before it: the peak is set back when one begins. The limit is
on what the process may map for itself (``RLIMIT_DATA``): beyond it an allocation fails in the trial that asks for it,
which then fails alone, where the out-of-memory killer of the machine or of Ray would choose any process of the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

STATUS, CLEAR_REFS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs"), "5"
MB = 1_000_000


class MemoryLimitError(MemoryError):
    """A trial asked for more memory than it may have."""


def forget_peak() -> None:
    """Let the peak begin again at what the process takes now."""
    with suppress(OSError):
        CLEAR_REFS.write_text(RESET_PEAK)


def peak_mb() -> float | None:
    """Return the most memory that the process took since `forget_peak`, in MB; None where nobody knows."""
    peak = taken("VmHWM")
    return None if peak is None else round(peak / MB, 1)


def taken(field: str) -> int | None:
    """Return a size in bytes from the kernel's status of this process, such as ``VmRSS``; None where there is none."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{field}:")), None)
    return None if found is None else int(found[1]) * 1024


@contextmanager
def held_below(limit: int | None) -> Iterator[None]:
    """Let the block take no more than ``limit`` bytes of memory, what the process has already included.

    Args:
        limit: Bytes, None for no limit.

    Raises:
        MemoryLimitError: If the block asks for more.
    """
    resident, mapped = taken("VmRSS"), taken("VmData")
    if limit is None or resource is None or resident is None or mapped is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (mapped + max(0, limit - resident), hard))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):  # what torch raises
            raise MemoryLimitError(
                f"more than the {limit / MB:,.0f} MB of --memory-per-trial. Allow more, or make model or batch smaller"
            ) from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
