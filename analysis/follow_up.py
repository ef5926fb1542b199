"""Follow-up studies: what to run next, as data and as a study file that runs as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from analysis.table import Axis, SweepTable
from search_spaces.domains import Value
from sweeps.study import ARM, POINTS, Study

BUDGET = (
    "sampler",
    "scheduler",
    "max_trials",
    "finalists",
    "guard_audit",
)  # parts of a study that only a search has
MOST_SEEDS_PROPOSED = 12  # beyond it a follow-up would rather ask another question


@dataclass(frozen=True)
class FollowUp:
    """A study that findings propose.

    Args:
        name: Name of the study.
        family: Model family.
        question: What it asks, one sentence.
        reason: Which finding asks for it, one sentence.
        grid: Swept parameters with their values.
        fixed: Parameters that differ from the defaults of the space.
        seeds: The seeds.
        epochs: Epochs per trial.
        metric: Metric of the objective.
        mode: Direction of the objective.
        analysis: Module of `analysis` that answers it.
        arms: Settings of several parameters by the name of the arm.
        search: Searched parameters with their bounds or options.
        budget: How a search spends its trials: sampler, scheduler, max_trials, finalists.
        objectives: Metric and mode of every objective of a search with several.
        guards: Arguments of every guard, None to leave them to the study's default.
        epoch_metric: Metric that selects the epoch, None where the objective does.
        parent: The sweep that proposes it: its id and the name of its study.
        finding: The finding that asks for it, or what else does: ``edge``, ``more seeds``, ``finer``, ``narrower``.
        could_change: What its answer could change, one sentence.
        family_root: Folder from which a user's own family is imported, empty for one of the project.
    """

    name: str
    family: str
    question: str
    reason: str
    grid: Mapping[str, tuple[Value, ...]]
    fixed: Mapping[str, Value]
    seeds: tuple[int, ...]
    epochs: int
    metric: str
    mode: str
    analysis: str
    arms: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    search: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    budget: Mapping[str, Value] = field(default_factory=dict)
    objectives: tuple[tuple[str, str], ...] = ()
    guards: tuple[Mapping[str, Any], ...] | None = None
    epoch_metric: str | None = None
    parent: tuple[str, str] = ("", "")
    finding: str = ""
    could_change: str = ""
    family_root: str = ""

    @property
    def follows(self) -> dict[str, str]:
        """Its lineage as `sweeps.study.Study` keeps it, empty when its parent has no id."""
        sweep_id, study = self.parent
        return {"sweep": sweep_id, "study": study, "finding": self.finding} if sweep_id else {}

    @property
    def n_trials(self) -> int:
        """Number of trials: cells times seeds; of a search its points, and its finalists on further seeds."""
        n_cells = math.prod(len(values) for values in (*self.grid.values(), self.arms or (None,)))
        if not self.search:
            return n_cells * len(self.seeds)
        if "max_trials" in self.budget:
            return int(self.budget["max_trials"])
        finalists = int(self.budget.get("finalists", Study.finalists))
        return n_cells * (max(POINTS, finalists) + finalists * (len(self.seeds) - 1))

    def as_json(self) -> dict[str, Any]:
        """Return the study as it stands in ``report.json``, with those parts of a search that it has."""
        optional = ("arms", "search", "budget", "objectives", "guards")
        told = {name: value for name, value in asdict(self).items() if value or name not in optional}
        return {**told, "n_trials": self.n_trials}


def propose(
    table: SweepTable,
    suffix: str,
    question: str,
    reason: str,
    grid: Mapping[str, Sequence[Value]] | None = None,
    seeds: int | None = None,
) -> FollowUp | None:
    """Return the study of ``table`` with parts of its grid set anew; one value fixes a parameter.

    Args:
        table: The sweep that it follows.
        suffix: Added to the name of the study.
        question: What the new study asks.
        reason: Why.
        grid: Parameters that change; the others stay as they were swept.
        seeds: Number of seeds, those of the sweep when None.

    Returns:
        None when the records do not say enough of the study to run it again: family, objective, epochs, arms.
    """
    study = table.study
    if table.objective is None or not study.get("family") or not study.get("epochs"):
        return None
    settings, search, arms = varied(table, grid or {})
    if ARM in settings:
        return None
    n_extra = max(0, (seeds or 0) - len(seeds_of(table)))
    kept = {name: value for name, value in (study.get("fixed") or {}).items() if name not in settings}
    return FollowUp(
        name=f"{study.get('name', 'study')}_{suffix}"[:100],
        family=study["family"],
        question=question,
        reason=reason,
        grid={name: values for name, values in settings.items() if len(values) > 1},
        fixed=kept | {name: values[0] for name, values in settings.items() if len(values) == 1},
        seeds=more_seeds(seeds_of(table), seeds),
        epochs=int(study["epochs"]),
        metric=table.objective.metric,
        mode=table.objective.mode,
        analysis=study.get("analysis") or "grid",
        arms=arms,
        search=search,
        budget=budget_of(study, math.prod(map(len, (*settings.values(), arms or (None,)))), n_extra)
        if search
        else {},
        objectives=tuple((item.metric, item.mode) for item in table.objectives if search),
        guards=recorded_guards(study),
        epoch_metric=table.objective.epoch_metric,
        parent=(table.sweep_id, str(study.get("name") or "")),
        family_root=str(table.provenance.get("family_root") or ""),
    )


def varied(
    table: SweepTable, changed: Mapping[str, Sequence[Value]]
) -> tuple[dict[str, tuple[Value, ...]], dict[str, tuple[Value, ...]], dict[str, Mapping[str, Value]]]:
    """Return what a follow-up varies: values of the grid, ranges of the search, and arms.

    Args:
        table: The sweep that it follows.
        changed: Parameters that change; the others stay as they were swept.
    """
    ranges = {axis.name: searched_range(axis) for axis in table.searched}
    settings = {axis.name: axis.simplest_first for axis in table.gridded} | ranges
    settings |= {name: tuple(values) for name, values in changed.items()}
    search = {name: settings.pop(name) for name in ranges if is_searched(table, name, settings[name])}
    arms = kept_arms(table.study, settings.pop(ARM, ())) if table.study.get("arms") else {}
    return settings, search, arms


def searched_range(axis: Axis) -> tuple[Value, ...]:
    """Return the bounds of a searched parameter in the type of its values, or its options."""
    if not axis.ranged:
        return axis.values
    whole = all(isinstance(value, int) for value in axis.values)
    return tuple(int(bound) if whole else bound for bound in axis.bounds)


def is_searched(table: SweepTable, name: str, values: Sequence[Value]) -> bool:
    """Return whether the values of a searched parameter are still a range or options, not a grid or one value."""
    axis = table.axis(name)
    return axis is not None and (len(values) == 2 if axis.ranged else len(values) > 1)


def kept_arms(study: Mapping[str, Any], names: Sequence[Value]) -> dict[str, Mapping[str, Value]]:
    """Return the recorded arms with these names."""
    return {name: params for name, params in study["arms"].items() if name in names}


def budget_of(study: Mapping[str, Any], n_groups: int, n_extra: int) -> dict[str, Value]:
    """Return what the recorded search spends its trials on, with more where finalists run on more seeds.

    Args:
        study: The study as recorded.
        n_groups: Points of the grid.
        n_extra: Further seeds of each finalist.
    """
    found = {name: study[name] for name in BUDGET if study.get(name) is not None}
    if "max_trials" in found:
        found["max_trials"] += n_groups * n_extra * int(found.get("finalists", Study.finalists))
    return found


def recorded_guards(study: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    """Return the arguments of the study's guards; None where the records know of none and nothing was searched."""
    guards = study.get("guards")
    if not guards and not study.get("search"):
        return None
    return tuple(
        {name: value for name, value in guard.items() if value is not None} for guard in guards or ()
    )


def seeds_of(table: SweepTable) -> tuple[int, ...]:
    """Return the seeds of the study, those of the trials when it does not say."""
    recorded = table.study.get("seeds") or sorted(int(seed) for seed in table.trials["seed"].unique())
    return tuple(recorded) if isinstance(recorded, list | tuple) else tuple(range(1, int(recorded) + 1))


def more_seeds(used: tuple[int, ...], wanted: int | None) -> tuple[int, ...]:
    """Return the seeds that were used and as many more as are wanted: what is trained is not trained again."""
    extra = range(max(used) + 1, max(used) + 1 + max(0, (wanted or 0) - len(used)))
    return (*used, *extra)


def proposal_for_seeds(table: SweepTable, seeds: int | None, reason: str) -> FollowUp | None:
    """Return the same study with more seeds; with twice as many when it is not known how many decide.

    None where it has as many already as are ever proposed.
    """
    if table.n_seeds >= MOST_SEEDS_PROPOSED:
        return None
    wanted = max(seeds or 2 * max(1, table.n_seeds), table.n_seeds + 1)
    question = table.study.get("question") or "Does the answer hold with more seeds?"
    return propose(table, "more_seeds", question, reason, seeds=min(wanted, MOST_SEEDS_PROPOSED))
