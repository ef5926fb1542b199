"""The path of the user: planted records on disk, through `sweeps report --records`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from analysis.claims import claims
from sweeps.commands import cli
from tests.verdicts.memory import table_of
from tests.verdicts.settings import Setting


def reported(setting: Setting, seed: int, folder: Path) -> dict[str, str]:
    """Return the verdicts that `sweeps report` prints for one simulated sweep, by finding.

    Raises:
        RuntimeError: If the command fails.
    """
    records = folder / "records"
    setting.simulated(seed).write(records)
    asked = ["report", "--records", str(records), "--out", str(folder / "report"), "--pictures", "0"]
    result = CliRunner().invoke(cli, asked, catch_exceptions=False)
    if result.exit_code != 0:
        raise RuntimeError(f"{setting.id}: sweeps report ended with {result.exit_code}: {result.output}")
    said = json.loads((folder / "report" / "report.json").read_text())
    return {finding["id"]: finding["verdict"] for finding in said["findings"]}


def in_memory(setting: Setting, seed: int) -> dict[str, str]:
    """Return the verdicts of the same sweep as the suite counts them."""
    return {finding.id: finding.verdict for finding in claims(table_of(setting.simulated(seed))).findings}
