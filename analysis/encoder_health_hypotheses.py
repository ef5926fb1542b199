"""Why does the hybrid encoder fail: four hypotheses, each by its monitors on the problem arm and by what mends it.

What mends it is an arm that changes one parameter (`analysis.encoder_health_changes`); the parameter says which
hypothesis it tests. The order is that of the evidence, by one rule:

1. supported by a monitor and by an intervention: something is out of bounds, and mending it helps;
2. supported by one of them alone;
3. undecided: neither is supported, and not all that is known is rejected;
4. rejected: all that is known is rejected, monitors in bounds and changes without a gain.

Within a class the larger effect comes first: of those parts that are supported, else of the best intervention, in
half-widths of its simultaneous interval. That is its standard errors, up to the quantile of t which all effects of
a metric share; differences between metrics are no evidence without a unit, and so are not compared as such.
A hypothesis without data comes last. Only the first two classes are called supported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis import encoder_health_monitors as m
from analysis.effects import Effect
from analysis.encoder_health_changes import REFERENCE, Intervention, interventions, named_arm, strength
from analysis.findings import Finding, Verdict, any_of
from analysis.judge import Judge

CLASSES = ("rejected", "undecided", "supported by one", "supported by both")
NO_DATA = -1


@dataclass(frozen=True)
class Hypothesis:
    """One reason why the problem arm may fail.

    Args:
        id: Name of its finding.
        name: Name for people.
        monitors: What is out of bounds if it is true.
        parameters: What mends it, if changed alone.
        fix: What to do if it is true.
    """

    id: str
    name: str
    monitors: tuple[m.Monitor, ...]
    parameters: tuple[str, ...]
    fix: str


HYPOTHESES = (
    Hypothesis(
        "H1_gradient_flow",
        "gradient flow",
        (m.STARVED,),
        ("encoder_lr_scale", "freeze_decoder_steps", "detached_context"),
        "raise encoder_lr_scale, freeze the decoder at first, remove what detaches the context",
    ),
    Hypothesis(
        "H2_output_scale",
        "output scale",
        (m.SCALE_OFF,),
        ("context_scale",),
        "set context_scale so that the context has the RMS of the tokens",
    ),
    Hypothesis(
        "H3_architecture",
        "architecture",
        (m.COLLAPSED,),
        ("encoder_type", "encoder_num_layers"),
        "take another encoder_type or fewer encoder_num_layers",
    ),
    Hypothesis(
        "H4_halting",
        "halting",
        (m.HALTING_OFF,),
        ("halt_exploration_prob",),
        "lower halt_exploration_prob, or raise it where halting is at once",
    ),
)


@dataclass(frozen=True)
class Evidence:
    """What speaks for a hypothesis.

    Args:
        hypothesis: The hypothesis.
        monitors: Findings of its monitors on the problem arm.
        changes: Its interventions, the best first.
    """

    hypothesis: Hypothesis
    monitors: tuple[Finding, ...]
    changes: tuple[Intervention, ...]

    @property
    def monitor(self) -> Verdict | None:
        """Whether something is out of bounds, None without data."""
        known = [finding.verdict for finding in self.monitors if finding.verdict != "not_applicable"]
        return any_of(known) if known else None

    @property
    def change(self) -> Verdict | None:
        """Whether some change helps, None without data."""
        known = [one.verdict for one in self.changes if one.verdict is not None]
        return any_of(known) if known else None

    @property
    def grade(self) -> int:
        """Its class, a place in `CLASSES`; `NO_DATA` without evidence."""
        known = [verdict for verdict in (self.monitor, self.change) if verdict is not None]
        if not known:
            return NO_DATA
        n_supported = known.count("supported")
        return 1 + n_supported if n_supported else int("undecided" in known)

    @property
    def size(self) -> float:
        """The effect that orders hypotheses of one class, in half-widths of its interval."""
        gain = self.changes[0].gain if self.changes else -math.inf
        if self.grade < 2:
            return gain
        parts = [gain] if self.change == "supported" else []
        return max([*parts, *self._out_of_bounds], default=0.0)

    @property
    def _out_of_bounds(self) -> list[float]:
        broken = [finding for finding in self.monitors if finding.verdict == "supported"]
        effects = [[item for item in finding.evidence if isinstance(item, Effect)] for finding in broken]
        return [max((abs(strength(e)) for e in found), default=math.inf) for found in effects]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the hypothesis."""
        if self.grade == NO_DATA:
            return "not_applicable"
        return "supported" if self.grade >= 2 else "undecided" if self.grade == 1 else "rejected"

    @property
    def helps(self) -> list[Intervention]:
        """The changes that are shown to help, the best first."""
        return [one for one in self.changes if one.verdict == "supported"]

    @property
    def fix(self) -> str:
        """What to do: the change that is shown to help, else what the hypothesis advises."""
        return (
            f"take {self.helps[0].setting} (arm {self.helps[0].arm.name})"
            if self.helps
            else self.hypothesis.fix
        )


def evidence(judge: Judge) -> list[Evidence]:
    """Return the hypotheses in the order of their evidence; none without the reference arm."""
    problem = named_arm(judge.table, REFERENCE)
    if problem is None:
        return []
    found = [
        Evidence(
            hypothesis,
            tuple(m.monitored(judge, monitor, problem) for monitor in hypothesis.monitors),
            tuple(interventions(judge, hypothesis.parameters)),
        )
        for hypothesis in HYPOTHESES
    ]
    return sorted(found, key=lambda one: (-one.grade, -one.size))
