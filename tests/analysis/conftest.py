"""The fixture that turns planted truths into the table of their records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planted import Planted

from analysis.load import load_table
from analysis.table import SweepTable


@pytest.fixture
def planted(tmp_path: Path) -> Callable[..., SweepTable]:
    """Return a function from planted truths to the table of their records."""

    def write(**truths: Any) -> SweepTable:
        folder = tmp_path / f"records_{len(list(tmp_path.iterdir()))}"
        return load_table(Planted(**truths).write(folder))

    return write
