"""When a next-vector model has collapsed, beats the mean or copies, and what to do: one logic for probe and report.

Advice follows from the parameters that were trained with, so that nobody is told to raise the only weight there is, or
to set what is set. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.domains import Value
from search_spaces.lvm import SPACE
from trainables.lvm.bounds import COLLAPSED_WAY
from trainables.probe import Verdict


def collapsed(alike: Verdict | None, beats_mean: Verdict | None) -> Verdict | None:
    """Return the verdict on "all predictions are nearly one vector, and it is no nearer than the mean vector".

    A model that is off the target but says different things of different windows has not collapsed.

    Args:
        alike: Whether predictions hardly differ between windows, None where their spread is not known.
        beats_mean: Whether they are nearer to what follows than the mean vector, None where that is not known.
    """
    if alike is None:
        return None
    if alike == "rejected" or beats_mean == "supported":
        return "rejected"
    return "supported" if alike == "supported" and beats_mean in ("rejected", None) else "undecided"


def largest_index(mean_cosine: float) -> float:
    """Return the `collapse_index` of a model that says one vector for all.

    It is one minus the mean cosine between targets. For many unit targets with mean m that cosine is |m|^2, and the
    mean cosine of m to them is |m|: the mean vector's, whose mean is that of the training split, gives it to within
    what the two splits differ, and never understates the limit.

    Args:
        mean_cosine: Cosine of the mean vector to what follows.
    """
    return 1 - max(mean_cosine, 0.0) ** 2


def collapsed_index(mean_cosine: float) -> float:
    """Return the `collapse_index` from which on predictions are nearly one vector."""
    return round(COLLAPSED_WAY * largest_index(mean_cosine), 3)


def is_off(value: Value) -> bool:
    """Return whether a weight is zero or an option says no, however it was written."""
    return str(value).lower() in {"false", "no", "0", "0.0"}


def is_on(params: Mapping[str, Value], name: str) -> bool:
    """Return whether a weight or an option is on; what is not named has the default of the space."""
    return not is_off(params.get(name, SPACE[name].default))


def spread_advice(params: Mapping[str, Value]) -> str:
    """Return what to do about predictions that are one vector."""
    if not is_on(params, "infonce_weight"):
        return "Give infonce_weight a value above 0, or raise variance_weight."
    if not is_on(params, "mse_weight"):
        return "Lower temperature, or raise variance_weight: InfoNCE is the only loss, so its weight changes little."
    return "Raise infonce_weight or variance_weight."


def aim_advice(params: Mapping[str, Value]) -> str:
    """Return what to do about predictions that differ and are no nearer than the mean vector."""
    if not is_on(params, "mse_weight"):
        return "Give mse_weight a value above 0: contrast alone asks for the right order, not for nearness."
    lower = "Lower infonce_weight, or give" if is_on(params, "infonce_weight") else "Give"
    return f"{lower} more documents."


def contrast_advice(params: Mapping[str, Value]) -> str:
    """Return what to do about predictions that repeat the last vector."""
    if not is_on(params, "infonce_weight"):
        return "Give infonce_weight a value above 0, with hard_negatives=True: the same document then pushes away."
    if not is_on(params, "hard_negatives"):
        return "Set hard_negatives=True: the same document then pushes away."
    if is_on(params, "mse_weight"):
        return "Raise infonce_weight: its hard negatives are sentences of the same document."
    return "Lower temperature: what is nearest then pushes away most."


def decoder_advice(params: Mapping[str, Value], *, reads: bool | None, reads_raw: bool) -> str:
    """Return what to do about predictions that the decoder does not read.

    Args:
        params: Of the trial.
        reads: Whether it reads them at the length of the corpus's vectors, None where that is not known.
        reads_raw: Whether it reads them as they come.
    """
    if reads_raw and reads is not False:
        return ""
    split = "" if params.get("head", "split") == "split" else "Take head=split. "
    moments = (
        "Raise moment_weight" if is_on(params, "moment_weight") else "Give moment_weight a value above 0"
    )
    if reads:
        return (
            f"{split}{moments}, or decode at the corpus's length: the direction is read, the length is off."
        )
    length = " by their length or their direction" if reads is None else ""
    return f"{split}{moments}: predictions leave the space that the decoder knows{length}."
