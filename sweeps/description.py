"""What MLflow shows as the description of a run or an experiment, and whose it is.

People write descriptions too, and theirs is never replaced. Ours is known by a hash in a tag of its own, which names
the description there is and the one that follows: a kill between the two writes leaves one that is known as ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

NOTE, OWN = "mlflow.note.content", "described"  # MLflow's tag; hashes of what was written there


def description_tags(tags: Mapping[str, str], text: str, first: str = "") -> dict[str, str]:
    """Return the tags that describe a run or an experiment with ``text``, to be set in this order.

    Args:
        tags: The tags that it has.
        text: Markdown.
        first: What it was described with when it was made.

    Returns:
        Nothing when somebody else has described it.
    """
    present = tags.get(NOTE, "")
    if present.strip() not in ("", first) and note_hash(present) not in tags.get(OWN, "").split():
        return {}
    return {OWN: f"{note_hash(present)} {note_hash(text)}", NOTE: text}


def note_hash(text: str) -> str:
    """Return the hash of a description, whatever white space an editor adds to it."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]
