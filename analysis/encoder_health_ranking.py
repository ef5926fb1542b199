"""What the report says of the four hypotheses: the distance to explain, each hypothesis, their order, and a table."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.effects import Effect
from analysis.encoder_health_changes import (
    CONTROL,
    REFERENCE,
    TRAINED,
    Intervention,
    closed_text,
    distances,
    interventions,
    mode_of,
    named_arm,
    problem,
)
from analysis.encoder_health_hypotheses import CLASSES, Evidence, Symptom, evidence
from analysis.exhibit import Listing
from analysis.findings import (
    Finding,
    Number,
    Verdict,
    Wording,
    any_of,
    differs,
    not_applicable,
    told,
)
from analysis.judge import Judge, given
from analysis.subjects import mean_of

NO_PROBLEM = f"for {REFERENCE} is not worse than {CONTROL}"
WORDS: dict[Verdict | None, str] = {
    "supported": "out of bounds",
    "rejected": "in bounds",
    "undecided": "open",
    None: "no value",
}
CHANGE_WORDS: dict[Verdict | None, str] = {
    "supported": "helps",
    "rejected": "does not help",
    "undecided": "open whether it helps",
    None: "no value",
}


def ranking(judge: Judge) -> list[Finding]:
    """Return the order of the hypotheses, what there is to explain, each hypothesis, and the batch size."""
    ordered = evidence(judge)
    return [
        hypotheses_ranked(judge, ordered),
        problem_is_there(judge),
        *(of_hypothesis(judge, one) for one in ordered),
        batch_matters(judge),
    ]


def problem_is_there(judge: Judge) -> Finding:
    """The reference is worse than the control on the objective, or on training samples."""
    found, verdict = given(*distances(judge)), problem(judge)
    if verdict is None:
        return not_applicable("problem_is_there", f"Needs the arms {CONTROL} and {REFERENCE} with data.")
    wording = Wording(
        supported=f"{REFERENCE} fails where {CONTROL} does not: there is a distance to explain.",
        rejected=f"{REFERENCE} is not worse than {CONTROL}: there is nothing to explain.",
        undecided=f"Whether {REFERENCE} is worse than {CONTROL} is open.",
        advice={
            "rejected": "The failure of the note is not seen here; look at the monitors for what else is off."
        },
    )
    return told("problem_is_there", verdict, wording, [*found, *trained_numbers(judge)])


def trained_numbers(judge: Judge) -> list[Number]:
    """Return the exact accuracy of both arms on training samples: the line of sanity."""
    arms = [arm for name in (CONTROL, REFERENCE) if (arm := named_arm(judge.table, name)) is not None]
    means = ((arm.name, mean_of(judge.table, TRAINED, arm.cell)) for arm in arms)
    return [Number(f"{TRAINED}, {name}", mean) for name, mean in means if mean is not None]


def change_text(judge: Judge, one: Intervention) -> str:
    """Return what one change does: ``sf1_lr10 (encoder_lr_scale 10) helps, closes 92 % [70, 114]``."""
    if one.idle:
        return f"{one.arm.name} ({one.setting}) changes nothing, every number of every seed is that of {REFERENCE}"
    own, trained = distances(judge)
    way = closed_text(one.objective, own, mode_of(judge.table))
    said = f"{one.arm.name} ({one.setting}) {CHANGE_WORDS[one.verdict]}, {way}"
    return said if one.trained is None else f"{said}; in training {closed_text(one.trained, trained, 'max')}"


def of_hypothesis(judge: Judge, found: Evidence) -> Finding:
    """One hypothesis explains why the reference fails."""
    name, identity = found.hypothesis.name, found.hypothesis.id
    if found.verdict == "not_applicable":
        return not_applicable(identity, f"No monitor of {name} has data, and no arm changes it alone.")
    monitors = ", ".join(f"{kind_of(symptom)} {word(symptom)}" for symptom in found.monitors)
    best = "no arm changes it alone" if not found.changes else change_text(judge, found.changes[0])
    wording = Wording(
        supported=f"{name.capitalize()} is {CLASSES[found.grade]}: {monitors}; {best}.",
        rejected=f"{not_the_reason(found)}: {monitors}; {best}.",
        undecided=f"Whether {name} is the reason is open: {monitors}; {best}.",
        advice={"supported": f"{found.fix[0].upper()}{found.fix[1:]}."},
    )
    return told(identity, found.verdict, wording, evidence_of(found))


def not_the_reason(found: Evidence) -> str:
    """Return that a hypothesis is rejected, and whether that is because nothing needs a reason."""
    if found.problem == "rejected":
        return f"{found.hypothesis.name.capitalize()} has nothing to explain, {NO_PROBLEM}"
    return f"{found.hypothesis.name.capitalize()} is not the reason"


def kind_of(symptom: Symptom) -> str:
    """Return the name of a monitor."""
    return symptom.finding.id.split("[")[0]


def word(symptom: Symptom) -> str:
    """Return what one monitor says, in two words or four."""
    return f"out of bounds in {CONTROL}, too" if symptom.shared else WORDS[symptom.verdict]


def evidence_of(found: Evidence) -> list[Effect | Number]:
    """Return what a hypothesis rests on: its monitors, those of the control where it has them, too, then changes."""
    shown = [s.finding for s in found.monitors]
    shown += [s.control for s in found.monitors if s.shared and s.control is not None]
    monitored = [item for finding in shown for item in finding.evidence]
    return [*monitored, *(effect for one in found.changes for effect in one.effects)]


def hypotheses_ranked(judge: Judge, ordered: Sequence[Evidence]) -> Finding:
    """Some hypothesis is supported; all are listed by the strength of their evidence."""
    known = [found for found in ordered if found.verdict != "not_applicable"]
    if not known:
        reason = f"Needs the arm {REFERENCE}, with monitors or with arms that change one parameter of it."
        return not_applicable("hypotheses_ranked", reason)
    listed = "; ".join(
        f"{place}. {found.hypothesis.id.replace('_', ' ')} ({CLASSES[found.grade]})"
        for place, found in enumerate(known, start=1)
    )
    first = known[0]
    nothing = f"There is nothing to explain, {NO_PROBLEM}."
    none = f"No hypothesis explains {REFERENCE}: all are rejected. {listed}."
    wording = Wording(
        supported=f"By evidence: {listed}.",
        rejected=nothing if first.problem == "rejected" else none,
        undecided=f"No hypothesis is supported. By evidence: {listed}.",
        advice={"supported": f"First {first.fix}."},
    )
    effects = [item for found in known for item in evidence_of(found) if isinstance(item, Effect)]
    return told("hypotheses_ranked", any_of(found.verdict for found in known), wording, effects)


def batch_matters(judge: Judge) -> Finding:
    """Another batch size alone changes the objective at equal epochs; it belongs to no hypothesis."""
    found = [one for one in interventions(judge, ("batch_size",)) if one.objective is not None]
    effects = [one.objective for one in found if one.objective is not None]
    if not effects:
        return not_applicable("batch_matters", f"No arm differs from {REFERENCE} in batch_size alone.")
    named = ", ".join(one.setting for one in found)
    steps = "a larger batch takes fewer steps in them"
    wording = Wording(
        supported=f"The batch size matters at equal epochs: {named} changes the objective; {steps}.",
        rejected=f"The batch size does not matter at equal epochs: {named} leaves the objective the same within the "
        f"margin; {steps}.",
        undecided=f"Whether the batch size matters at equal epochs ({named}) is open; {steps}.",
        advice={},
    )
    return told("batch_matters", any_of(differs(effect) for effect in effects), wording, effects)


def intervention_helps(judge: Judge, one: Intervention) -> Finding:
    """One single change improves the objective, or the exact accuracy on training samples."""
    identity = f"change_helps[{one.arm.name}]"
    if one.verdict is None:
        return not_applicable(identity, f"{one.arm.name} or {REFERENCE} has no completed trial.")
    text = change_text(judge, one)
    wording = Wording(supported=f"{text}.", rejected=f"{text}.", undecided=f"{text}.", advice={})
    return told(identity, one.verdict, wording, one.effects)


def hypothesis_table(judge: Judge) -> Listing | None:
    """Return the hypotheses in the order of their evidence; None without the reference arm."""
    ordered = evidence(judge)
    rows = [table_row(judge, place, found) for place, found in enumerate(ordered, start=1)]
    if not rows:
        return None
    return Listing(
        "hypotheses",
        "Hypotheses by evidence",
        "Supported by a monitor out of bounds and by a change that helps comes before supported by one of them, before "
        "undecided, before rejected; within a class the larger effect in half-widths of its simultaneous interval, one "
        f"half-width where seeds are counted. A monitor that is out of bounds in {CONTROL}, too, speaks for nothing; "
        f"where {REFERENCE} is not worse than {CONTROL}, there is nothing to explain and all are rejected. "
        f"A change closes a share of the distance from {REFERENCE} to {CONTROL} on the objective; its interval counts "
        "what either may err.",
        ("rank", "hypothesis", "monitor", "best single change", "verdict", "fix"),
        rows,
    )


def table_row(judge: Judge, place: int, found: Evidence) -> list[str | int]:
    """Return one row of the table."""
    monitors = "; ".join(monitor_entry(symptom) for symptom in found.monitors)
    change = change_text(judge, found.changes[0]) if found.changes else "no arm changes it alone"
    grade = CLASSES[found.grade] if found.grade >= 0 else "no data"
    name = found.hypothesis.id.replace("_", " ")
    return [place, name, monitors, change, grade, found.fix if found.grade >= 1 else "–"]


def monitor_entry(symptom: Symptom) -> str:
    """Return one monitor in few words: ``encoder_starved: out of bounds (grad_ratio/encoder 0.03)``."""
    values = [item for item in symptom.finding.evidence if isinstance(item, Number)]
    shown = f" ({values[0].label.split(',')[0]} {values[0].value:.3g})" if values else ""
    return f"{kind_of(symptom)}: {word(symptom)}{shown}"
