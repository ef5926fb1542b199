"""What an examination of a trained model or of a data set found: claims with verdicts, as in a report.

Imports no torch: results are printed, stored and sent to MLflow where no model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class ProbeResult:
    """One claim about one trained model, or about the data.

    Args:
        id: The claim, as in a report: ``decoder_ignores_context``.
        verdict: Whether the numbers support it.
        statement: The verdict in words, with the numbers it rests on.
        numbers: Those numbers, by name.
        advice: What to do about it, empty when nothing is to be done.
        alarm: Whether something is wrong.
    """

    id: str
    verdict: Literal["supported", "rejected", "undecided", "not_applicable"]
    statement: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""
    alarm: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the result as it stands in ``probe.json``."""
        return asdict(self)
