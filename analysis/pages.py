"""What pages are made of: their templates, and how names and numbers are written. Equal answers give equal bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def page_text(
    template: str, values: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
) -> str:
    """Return the page of a template, without white space at the ends of its lines.

    Args:
        template: Name of its file.
        values: What it shows.
        filters: Filters of its own, besides ``entry``.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"part": template_text}
    environment.filters |= {"entry": entry_text, **(filters or {})}
    page = environment.get_template(template).render(values)
    return "\n".join(line.rstrip() for line in page.splitlines()) + "\n"


def template_text(name: str) -> str:
    """Return a file of the templates as markup: a script or the style, which is part of the page."""
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def finite(value: Any) -> Any:
    """Return JSON-ready data: plain types, None for what is not a finite number."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def entry_text(entry: str | float | int | None) -> str:
    """Return one entry of a table for the page: four digits of a number, a dash where there is none."""
    if entry is None or (isinstance(entry, float) and not math.isfinite(entry)):
        return "–"
    return f"{entry:.4g}" if isinstance(entry, float) else str(entry)


def breakable(text: str) -> str:
    """Return a name as markup that may break behind its underscores."""
    from markupsafe import Markup, escape

    return escape(text).replace("_", Markup("_<wbr>"))


def anchor(identity: str) -> str:
    """Return the id of a finding as that of an element, which may hold no space."""
    return "finding-" + re.sub(r"\s+", "_", identity)
