"""What an examination of a trained model or of a data set found: claims with verdicts, as in a report.

Imports no torch: results are printed, stored and sent to MLflow where no model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["supported", "rejected", "undecided", "not_applicable"]


@dataclass(frozen=True)
class Interval:
    """A number and the bounds that hold it with 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"

    def below(self, bound: float) -> Verdict:
        """Return whether the claim that the number is below ``bound`` holds."""
        return "supported" if self.high < bound else "rejected" if self.low >= bound else "undecided"

    def above(self, bound: float) -> Verdict:
        """Return whether the claim that the number is above ``bound`` holds."""
        return "supported" if self.low > bound else "rejected" if self.high <= bound else "undecided"

    def numbers(self, name: str) -> dict[str, float]:
        """Return the three numbers under names that begin with ``name``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


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
    verdict: Verdict
    statement: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""
    alarm: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the result as it stands in ``probe.json``."""
        return asdict(self)
