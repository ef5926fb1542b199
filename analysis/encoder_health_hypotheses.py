"""Why does the hybrid encoder fail: four hypotheses, each by its monitors on the problem arm and by what mends it.

What mends it is an arm that changes one parameter (`analysis.encoder_health_changes`); the parameter says which
hypothesis it tests. The order is that of the evidence, by one rule:

1. supported by a monitor and by an intervention: something is out of bounds, and mending it helps;
2. supported by one of them alone;
3. undecided: neither is supported, and not all that is known is rejected;
4. rejected: all that is known is rejected, monitors in bounds and changes without a gain.

A hypothesis says why the problem arm fails **where the control does not**, so what the control shows, too, is no
reason. A monitor that is out of bounds on both counts as rejected; without a control, none is compared. Where the
problem arm is shown to be no worse than the control (`problem_is_there` is rejected), there is nothing to explain:
every hypothesis is rejected, whatever its monitors and changes say.

Within a class the larger effect comes first: of those parts that are supported, else of the best intervention, in
half-widths of its simultaneous interval. That is its standard errors, up to the quantile of t which all effects of
a metric share; differences between metrics are no evidence without a unit, and so are not compared as such.
What is counted over seeds or trials that all agree has no interval, and counts for one half-width: an interval that
just leaves out its bound. A hypothesis without data comes last. Only the first two classes are called supported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis import encoder_health_monitors as m
from analysis.effects import Effect
from analysis.encoder_health_changes import (
    CONTROL,
    COUNTED,
    REFERENCE,
    Intervention,
    interventions,
    named_arm,
    problem,
    strength,
)
from analysis.findings import Finding, Verdict, any_of
from analysis.judge import Judge
from analysis.subjects import Subject

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
        ("halt_exploration_prob", "halt_weight"),
        "train longer or raise halt_weight where nothing halts, raise halt_exploration_prob where all halts at once",
    ),
)


@dataclass(frozen=True)
class Symptom:
    """One monitor on the problem arm, beside the same monitor on the control.

    Args:
        monitor: The monitor.
        finding: On the problem arm.
        control: On the control, None when the sweep lacks it.
    """

    monitor: m.Monitor
    finding: Finding
    control: Finding | None

    @property
    def shared(self) -> bool:
        """Whether it is out of bounds on the control, too, and so does not set the problem arm apart."""
        return self.control is not None and self.finding.verdict == self.control.verdict == "supported"

    @property
    def verdict(self) -> Verdict | None:
        """Whether it speaks for a hypothesis, None without data."""
        if self.finding.verdict == "not_applicable":
            return None
        return "rejected" if self.shared else self.finding.verdict

    @property
    def size(self) -> float:
        """How far it is out of bounds, in half-widths; `COUNTED` where it was counted.

        A starved encoder with a healthy share of the gradient was counted: some of its parameters get none.
        """
        sizes = [strength(item) for item in self.finding.evidence if isinstance(item, Effect)]
        outwards = [abs(size) for size in sizes if self.monitor is not m.STARVED or size < 0]
        return max(outwards, default=COUNTED)


@dataclass(frozen=True)
class Evidence:
    """What speaks for a hypothesis.

    Args:
        hypothesis: The hypothesis.
        monitors: Its monitors on the problem arm.
        changes: Its interventions, the best first.
        problem: Whether there is something to explain, None without data.
    """

    hypothesis: Hypothesis
    monitors: tuple[Symptom, ...]
    changes: tuple[Intervention, ...]
    problem: Verdict | None = None

    @property
    def monitor(self) -> Verdict | None:
        """Whether something is out of bounds that the control has in bounds, None without data."""
        known = [symptom.verdict for symptom in self.monitors if symptom.verdict is not None]
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
        if self.problem == "rejected":
            return CLASSES.index("rejected")
        n_supported = known.count("supported")
        return 1 + n_supported if n_supported else int("undecided" in known)

    @property
    def size(self) -> float:
        """The effect that orders hypotheses of one class, in half-widths of its interval."""
        gain = self.changes[0].gain if self.changes else -math.inf
        if self.grade < 2:
            return gain
        parts = [gain] if self.change == "supported" else []
        parts += [symptom.size for symptom in self.monitors if symptom.verdict == "supported"]
        return max(parts, default=0.0)

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


def symptom(judge: Judge, monitor: m.Monitor, reference: Subject, control: Subject | None) -> Symptom:
    """Return one monitor on the problem arm and on the control."""
    healthy = None if control is None else m.monitored(judge, monitor, control)
    return Symptom(monitor, m.monitored(judge, monitor, reference), healthy)


def evidence(judge: Judge) -> list[Evidence]:
    """Return the hypotheses in the order of their evidence; none without the reference arm."""
    reference, control = named_arm(judge.table, REFERENCE), named_arm(judge.table, CONTROL)
    if reference is None:
        return []
    worse = problem(judge)
    found = [
        Evidence(
            hypothesis,
            tuple(symptom(judge, monitor, reference, control) for monitor in hypothesis.monitors),
            tuple(interventions(judge, hypothesis.parameters)),
            worse,
        )
        for hypothesis in HYPOTHESES
    ]
    return sorted(found, key=lambda one: (-one.grade, -one.size))
