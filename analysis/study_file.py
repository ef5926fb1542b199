"""A follow-up as the text of a study file that runs as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from analysis.follow_up import FollowUp
from search_spaces.domains import Value, value_text
from sweeps.study import ARM


def study_text(follow_up: FollowUp) -> str:
    """Return the follow-up as the text of a study file, which defines ``STUDY`` and runs by itself."""
    selected = f", epoch_metric={literal(follow_up.epoch_metric)}" if follow_up.epoch_metric else ""
    objective = f"Objective({literal(follow_up.metric)}, mode={literal(follow_up.mode)}{selected})"
    lines = [
        f"    name={literal(follow_up.name)},",
        f"    family={literal(follow_up.family)},",
        f"    question={literal(follow_up.question)},",
        *varied_lines(follow_up),
        f"    seeds={literal(follow_up.seeds)},",
        f"    epochs={follow_up.epochs},",
        f"    objective={objective},",
        *search_lines(follow_up),
        f"    analysis={literal(follow_up.analysis)},",
        *([f"    follows={mapping_literal(follow_up.follows)},"] if follow_up.follows else []),
    ]
    return (
        f'"""{docstring(follow_up.question)}\n\n{docstring(follow_up.reason)}\n'
        f"{follow_up.n_trials} trials: {docstring(varied_text(follow_up))}; {len(follow_up.seeds)} seeds.\n"
        f'Run: sweeps run next_study.py\n"""\n\n{imports_text(follow_up)}\n'
        "STUDY = Study(\n" + "\n".join(lines) + "\n)\n\n"
        'if __name__ == "__main__":\n    from sweeps.__main__ import main\n\n    main(STUDY)\n'
    )


def imports_text(follow_up: FollowUp) -> str:
    """Return the imports of a study file; a user's own family is made importable."""
    own = bool(follow_up.family_root)
    lines = [
        *(["from pathlib import Path\n"] if own else []),
        "from sweeps.study import Objective, Study",
        *(["from sweeps.study_files import make_importable"] if own else []),
        *(["from trainables.guard import Guard"] if follow_up.guards else []),
        *([f"\nmake_importable(Path({literal(follow_up.family_root)}))"] if own else []),
    ]
    return "\n".join(lines) + "\n"


def varied_text(follow_up: FollowUp) -> str:
    """Return what varies, in words."""
    listed = [f"{k} in {', '.join(map(value_text, v))}" for k, v in follow_up.grid.items()]
    arms = [f"{ARM} in {', '.join(follow_up.arms)}"] if follow_up.arms else []
    ranges = [
        f"{name} from {value_text(v[0])} to {value_text(v[1])}"
        if is_range(v)
        else f"{name} among {', '.join(map(value_text, v))}"
        for name, v in follow_up.search.items()
    ]
    return "; ".join([*arms, *listed, *ranges])


def is_range(values: Sequence[Value]) -> bool:
    """Return whether the two values of a searched parameter are bounds."""
    return len(values) == 2 and not any(isinstance(value, str | bool) for value in values)


def varied_lines(follow_up: FollowUp) -> list[str]:
    """Return the lines of a study file that say what varies and what is fixed."""
    found = [
        mapping_line(name, getattr(follow_up, name))
        for name in ("grid", "search")
        if getattr(follow_up, name)
    ]
    arms = "".join(
        f"\n        {literal(arm)}: {mapping_literal(params)}," for arm, params in follow_up.arms.items()
    )
    found += [f"    arms={{{arms}\n    }},"] if arms else []
    return [*found, f"    fixed={mapping_literal(follow_up.fixed)},"] if follow_up.fixed else found


def search_lines(follow_up: FollowUp) -> list[str]:
    """Return the lines of a study file that say how a search goes about and which rules end a trial."""
    found = [f"    {name}={literal(value)}," for name, value in follow_up.budget.items()]
    if follow_up.objectives:
        named = ", ".join(
            f"Objective({literal(m)}, mode={literal(mode)})" for m, mode in follow_up.objectives
        )
        found.insert(0, f"    objectives=({named}),")
    if follow_up.guards is None:
        return found
    rules = [
        f"Guard({', '.join(f'{k}={literal(v)}' for k, v in guard.items())})" for guard in follow_up.guards
    ]
    return [*found, f"    guards=({', '.join(rules)}{',' if rules else ''}),"]


def mapping_line(name: str, values: Mapping[str, Sequence[Value]]) -> str:
    """Return one argument of a study file that maps parameters to values, a line each."""
    lines = "".join(f"\n        {literal(key)}: {literal(v)}," for key, v in values.items())
    return f"    {name}={{{lines}\n    }},"


def mapping_literal(values: Mapping[str, Value]) -> str:
    """Return a mapping as Python source on one line."""
    return f"{{{', '.join(f'{literal(name)}: {literal(value)}' for name, value in values.items())}}}"


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
