"""Follow-up studies: what to run next, as data and as a study file that runs as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.table import SweepTable
from search_spaces.domains import Value, value_text

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

    @property
    def n_trials(self) -> int:
        """Number of trials: cells times seeds."""
        cells = 1
        for values in self.grid.values():
            cells *= len(values)
        return cells * len(self.seeds)

    def as_json(self) -> dict[str, Any]:
        """Return the study as it stands in ``report.json``."""
        return {**asdict(self), "n_trials": self.n_trials}


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
        None when the records do not say enough of the study to run it again: family, objective, epochs.
    """
    study = table.study
    if table.objective is None or not study.get("family") or not study.get("epochs"):
        return None
    settings = {axis.name: axis.simplest_first for axis in table.axes}
    settings |= {name: tuple(values) for name, values in (grid or {}).items()}
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
    """Return the same study with more seeds; with twice as many when it is not known how many decide."""
    wanted = max(seeds or 2 * max(1, table.n_seeds), table.n_seeds + 1)
    question = table.study.get("question") or "Does the answer hold with more seeds?"
    return propose(table, "more_seeds", question, reason, seeds=min(wanted, MOST_SEEDS_PROPOSED))


def study_text(follow_up: FollowUp) -> str:
    """Return the follow-up as the text of a study file, which defines ``STUDY`` and runs by itself."""
    grid = "".join(f"\n        {literal(name)}: {literal(v)}," for name, v in follow_up.grid.items())
    settings = ", ".join(f"{literal(name)}: {literal(v)}" for name, v in follow_up.fixed.items())
    fixed = f"\n    fixed={{{settings}}}," if settings else ""
    lines = [
        f"    name={literal(follow_up.name)},",
        f"    family={literal(follow_up.family)},",
        f"    question={literal(follow_up.question)},",
        f"    grid={{{grid}\n    }},{fixed}",
        f"    seeds={literal(follow_up.seeds)},",
        f"    epochs={follow_up.epochs},",
        f"    objective=Objective({literal(follow_up.metric)}, mode={literal(follow_up.mode)}),",
        f"    analysis={literal(follow_up.analysis)},",
    ]
    swept = "; ".join(f"{k} in {', '.join(map(value_text, v))}" for k, v in follow_up.grid.items())
    return (
        f'"""{docstring(follow_up.question)}\n\n{docstring(follow_up.reason)}\n'
        f"{follow_up.n_trials} trials: {docstring(swept)}; {len(follow_up.seeds)} seeds.\n"
        'Run: sweeps run next_study.py\n"""\n\n'
        "from sweeps.study import Objective, Study\n\n"
        "STUDY = Study(\n" + "\n".join(lines) + "\n)\n\n"
        'if __name__ == "__main__":\n    from sweeps.__main__ import main\n\n    main(STUDY)\n'
    )


def literal(value: Value | Sequence[Value]) -> str:
    """Return a value as Python source, words in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def docstring(text: str) -> str:
    """Return text that cannot end or alter a docstring."""
    return text.replace("\\", "\\\\").replace('"', "'").replace("\n", " ").rstrip()
