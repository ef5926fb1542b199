"""Encoders against each other: what the note on encoder variance expects of them, beside what was measured.

Arms are known by their parameters: the standard encoder, ETRMTRM (``trm_style`` that learns), the variational ones,
and those whose context is read from the detached carry.
"""

from __future__ import annotations

from analysis.effects import Contrast, Effect
from analysis.encoder_health_monitors import CROSS, REACHED, largest_by_trial, subjects
from analysis.findings import Finding, Number, Verdict, Wording, all_of, exceeds, not_applicable, told
from analysis.judge import Judge, between, numbers
from analysis.scales import FEWEST_AGREEING
from analysis.subjects import Subject, metric_name
from analysis.table import SweepTable
from search_spaces.domains import Value
from search_spaces.etrm import VARIATIONAL_ENCODERS

CROSS_VAR = "encoder_cross_sample_var"
EXPECTED = {"O1": 0.15, "O3": 0.15, "O4": 0.05}  # the note: cross variance of standard, ETRMTRM, variational
AS_DIVERSE = 1 / 1.25  # a quarter less odds counts as less diverse: about the spread between seeds; design


def detached(arm: Subject) -> bool:
    """Return whether the context of an arm is read from the detached carry."""
    return is_yes(arm.params.get("detached_context"))


def is_yes(value: Value | None) -> bool:
    """Return whether a recorded option means yes, however it was written."""
    return str(value).lower() in {"true", "yes", "1", "1.0"}


def option_of(arm: Subject) -> str | None:
    """Return which encoder of the note an arm is: ``O1`` standard, ``O3`` ETRMTRM, ``O4`` variational, else None."""
    kind = arm.params.get("encoder_type")
    if kind in VARIATIONAL_ENCODERS:
        return "O4"
    return {"standard": "O1", "trm_style": None if detached(arm) else "O3"}.get(str(kind))


def of_option(table: SweepTable, option: str) -> list[Subject]:
    """Return the arms that are this encoder of the note."""
    return [arm for arm in subjects(table) if option_of(arm) == option]


def against_standard(table: SweepTable, arm: Subject) -> Contrast | None:
    """Return the diversity of one arm against the first standard one, as odds of the cross ratio."""
    standard = next(iter(of_option(table, "O1")), None)
    if metric_name(table, CROSS.name) not in table.trials:
        return None
    return between(table, CROSS.name, CROSS.scale, arm, standard)


def arm_contrasts(table: SweepTable) -> list[Contrast]:
    """Return ETRMTRM and the variational encoders against the standard one."""
    arms = [arm for option in ("O3", "O4") for arm in of_option(table, option)]
    return [contrast for arm in arms if (contrast := against_standard(table, arm)) is not None]


def on_arms(judge: Judge) -> list[Finding]:
    """Return what the note asks of encoders; nothing where the sweep has only one of them."""
    kinds = {str(arm.params.get("encoder_type")) for arm in subjects(judge.table)}
    cut_off = [detached_context_never_trains(judge, arm) for arm in subjects(judge.table) if detached(arm)]
    if len(kinds) < 2:
        return cut_off
    return [etrmtrm_as_diverse_as_standard(judge), variational_less_diverse(judge), *cut_off]


def variances(judge: Judge, *options: str) -> list[Number]:
    """Return the cross variance of the arms of these options beside what the note expects of them."""
    found = []
    for option in options:
        for arm in of_option(judge.table, option):
            mean = judge.table.mean(metric_name(judge.table, CROSS_VAR), arm.cell)
            label = f"{CROSS_VAR}, {arm.name} (note, {option}: {EXPECTED[option]:g})"
            found += [] if mean is None else [Number(label, mean)]
    return found


def beside_the_note(judge: Judge, *options: str) -> str:
    """Return the measured cross variances and those of the note in one clause."""
    said = ", ".join(
        f"{n.label.removeprefix(CROSS_VAR + ', ')} {n.value:.3g}" for n in variances(judge, *options)
    )
    return f"cross variance measured: {said}" if said else "the cross variance is not recorded"


def etrmtrm_as_diverse_as_standard(judge: Judge) -> Finding:
    """Contexts of ETRMTRM differ between puzzles as those of the standard encoder do, or more."""
    identity, arms = "etrmtrm_as_diverse_as_standard", of_option(judge.table, "O3")
    found = [effect for arm in arms if (effect := judge.step(against_standard(judge.table, arm))) is not None]
    if not found:
        return not_applicable(identity, "Needs a standard and a trm_style encoder that learns, with data.")
    beside = beside_the_note(judge, "O1", "O3")
    bound = f"at least {AS_DIVERSE:g} of its odds"
    wording = Wording(
        supported=f"ETRMTRM is as diverse as standard, {bound}; {beside}.",
        rejected=f"ETRMTRM is less diverse than standard, less than {AS_DIVERSE:g} of its odds; {beside}.",
        undecided=f"Whether ETRMTRM is as diverse as standard ({bound}) is open; {beside}.",
        advice={
            "rejected": "A state that is smoothed over steps forgets its puzzle late; look at encoder_starved."
        },
    )
    verdict = all_of(exceeds(effect, AS_DIVERSE) for effect in found)
    return told(identity, verdict, wording, [*found, *variances(judge, "O1", "O3")])


def variational_less_diverse(judge: Judge) -> Finding:
    """Contexts of every variational encoder differ less between puzzles than those of the standard one."""
    identity, arms = "variational_less_diverse", of_option(judge.table, "O4")
    found = [effect for arm in arms if (effect := judge.step(against_standard(judge.table, arm))) is not None]
    if not found:
        return not_applicable(identity, "Needs a standard and a variational encoder, with data.")
    beside = beside_the_note(judge, "O1", "O4")
    wording = Wording(
        supported=f"Variational encoders are less diverse than standard; {beside}.",
        rejected=f"Not every variational encoder is less diverse than standard; {beside}.",
        undecided=f"Whether variational encoders are less diverse than standard is open; {beside}.",
        advice={"supported": "Lower kl_weight before giving up the variational encoder."},
    )
    verdict = all_of(less(effect) for effect in found)
    return told(identity, verdict, wording, [*found, *variances(judge, "O1", "O4")])


def less(effect: Effect) -> Verdict:
    """Return the verdict on "less diverse": rejected when more, or the same within the margin."""
    if effect.same or effect.above(effect.null):
        return "rejected"
    return "supported" if effect.below(effect.null) else "undecided"


def detached_context_never_trains(judge: Judge, arm: Subject) -> Finding:
    """No gradient reaches an encoder whose context is read from the detached carry, in any trial that was started."""
    identity = f"detached_context_never_trains[{arm.name}]"
    shares = largest_by_trial(judge.table, arm, REACHED)
    if not shares:
        return not_applicable(identity, f"{arm.name} has no {REACHED}.")
    verdict: Verdict = "rejected" if max(shares) > 0 else "supported"
    if len(shares) < FEWEST_AGREEING:
        verdict = "undecided"
    n = len(shares)
    wording = Wording(
        supported=f"{arm.name} never trains its encoder: no encoder parameter receives a gradient in any of {n} "
        "trials. Its diversity is that of an untrained encoder.",
        rejected=f"A gradient reaches the encoder of {arm.name} although its context is detached.",
        undecided=f"{n} trial(s) of {arm.name} are too few to say that its encoder never trains.",
        advice={
            "supported": "Set detached_context=False: the context keeps its gradient, the carry is detached."
        },
    )
    shown = [Number(f"{REACHED}, {arm.name}, largest of {n} trials", max(shares))]
    return told(identity, verdict, wording, [*shown, *numbers(judge.table, arm, CROSS_VAR)])
