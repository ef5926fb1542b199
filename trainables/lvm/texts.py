"""Documents as lists of sentences: from a folder of texts, a JSONL file or a Parquet file.

Splitting is by rule and not by model, so the same text gives the same sentences everywhere. What is not prose
(code, doctests, tables, headings) is left out, since a vector of it follows from nothing before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.errors import first_line
from trainables.dataset import DataError

TEXT_SUFFIXES = (".md", ".rst", ".txt")
FEWEST_WORDS, MOST_WORDS = 4, 80
FEWEST_LETTERS = 0.7  # of the characters that are no spaces; formulas and code have fewer
_WAY_OUT = "Give a folder of .txt, .md or .rst files, a .jsonl file, or a .parquet file with a column text."

_FOOTNOTE = re.compile(r" ?\[[#*]?\w{0,20}\]_")
_ROLE = re.compile(r"(?::[a-z:]{1,20}:)?`[~.!]{0,2}([^`<]{1,200}?)(?: ?<[^`>]{1,200}>)?`_{0,2}")
_LINK = re.compile(r"\[([^\][]{1,200})\]\([^()\s]{1,300}\)")
_BULLET = re.compile(r"(?:[-*+•]|\d{1,2}[.)])\s+")
_HEADING = re.compile(r"#{1,6}\s")
_DIRECTIVE = re.compile(r"\.\. ?([\w-]+):: ?|\.\. ")
_CODE_DIRECTIVES = ("autosummary", "code", "code-block", "highlight", "ipython", "math", "plot", "toctree")
_TABLE_ROW = re.compile(r"\S {3,}\S|\|.*\||^[-=+~^*#\"'.:_` |]+$")
_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')\]”’»]))\s+(?=[\"'(\[*_“„«‘]?[A-ZÀ-ÖØ-ÞΑ-ΩА-Я])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|al|cf|vs|approx|resp|Figs?|Eqs?|Secs?|Refs?|Ch|No|Vol|Dr|Mrs?|Ms|Prof|St)|(?:^|[\s.(])[A-Z])\.$"
)


@dataclass(frozen=True)
class Document:
    """Consecutive sentences of one author's text.

    Args:
        name: Path, id or place by which the document is known.
        sentences: In the order of the text; may be none.
    """

    name: str
    sentences: tuple[str, ...]


def read_documents(path: Path) -> list[Document]:
    """Return the documents of a folder or file, in the order of their paths or rows.

    Args:
        path: A folder, read with all folders in it, of .txt, .md and .rst files, one document each; a ``.jsonl``
            file of objects with ``text`` and optionally ``id``; or a ``.parquet`` file with the columns ``text``
            and optionally ``id``. Text is UTF-8.

    Raises:
        DataError: If there is no text, a text cannot be read, or an id stands twice.
    """
    if path.is_dir():
        texts = _folder_texts(path)
    elif path.suffix in (".jsonl", ".parquet") and path.is_file():
        texts = _jsonl_texts(path) if path.suffix == ".jsonl" else _parquet_texts(path)
    else:
        reason = "is of another kind" if path.exists() else "does not exist"
        raise DataError(f"{path} {reason}. {_WAY_OUT}")
    documents: dict[str, Document] = {}
    for name, text in texts:
        if name in documents:
            raise DataError(
                f"{path} has the id {name!r} twice; windows never cross documents. Join its texts, or rename one."
            )
        documents[name] = Document(name, tuple(split_sentences(text)))
    if not documents:
        raise DataError(f"{path} holds no text. {_WAY_OUT}")
    return list(documents.values())


def distinct(documents: Sequence[Document]) -> tuple[list[Document], dict[str, str]]:
    """Return the documents without those that repeat the sentences of an earlier one, and by their names the earlier.

    Copies would stand on both sides of a split by document. Documents without sentences are kept: they give no window.
    """
    first: dict[tuple[str, ...], str] = {}
    kept, repeats = [], {}
    for document in documents:
        earlier = first.setdefault(document.sentences, document.name) if document.sentences else document.name
        if earlier == document.name:
            kept.append(document)
        else:
            repeats[document.name] = earlier
    return kept, repeats


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text that are prose, spaces made single and markup of references removed.

    Left out are sentences of fewer than 4 or more than 80 words; fenced and literal code, doctests, tables, Markdown's
    headings; and whatever has too few letters. The end of a paragraph or list item ends a sentence.
    """
    return [
        sentence
        for paragraph in _paragraphs(text)
        for sentence in _sentences(paragraph)
        if is_prose(sentence)
    ]


def is_prose(sentence: str) -> bool:
    """Return whether a sentence has 4 to 80 words and consists of letters for the most part."""
    words = sentence.split()
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS:
        return False
    letters = sum(character.isalpha() for character in sentence)
    return letters >= FEWEST_LETTERS * sum(map(len, words))


def _sentences(paragraph: str) -> Iterator[str]:
    held = ""
    for piece in _SENTENCE_END.split(paragraph):
        held = f"{held} {piece}" if held else piece
        if not _ABBREVIATION.search(held[-12:]):
            yield held
            held = ""
    if held:
        yield held


def _paragraphs(text: str) -> Iterator[str]:
    for is_text, lines in groupby(_prose_lines(text), key=bool):
        if is_text:
            joined = _FOOTNOTE.sub("", " ".join(" ".join(lines).split()).replace("``", ""))
            yield _LINK.sub(r"\1", _ROLE.sub(r"\1", joined))


def _prose_lines(text: str) -> Iterator[str]:
    """Yield the lines that are prose, stripped, and an empty one wherever a paragraph ends."""
    is_over: Callable[[str], bool] | None = None
    for line in text.replace("\0", " ").splitlines():
        if is_over is not None:
            if not is_over(line):
                continue
            yield ""
        was_fence = is_over is _is_fence
        is_over = None if was_fence else _end_of_code(line)
        if not was_fence:
            yield from _prose_of(line.strip())


def _prose_of(line: str) -> Iterator[str]:
    """Yield what is prose in one line: nothing of code and tables; list items begin a paragraph."""
    directive = _DIRECTIVE.match(line)
    begin = directive or _BULLET.match(line)
    content = line[begin.end() :] if begin else line
    known = directive is not None and directive[1] is not None
    if begin:
        yield ""
    if (
        line.startswith((">>>", "```", "~~~"))
        or _TABLE_ROW.search(line)
        or _HEADING.match(line)
        or (directive and not known)
        or (directive and directive[1] in _CODE_DIRECTIVES)
    ):
        yield ""
    else:
        yield content.removesuffix("::")


def _end_of_code(line: str) -> Callable[[str], bool] | None:
    """Return what tells of a later line whether the code that begins with this one is over; None for prose."""
    content = line.strip()
    if content.startswith(("```", "~~~")):
        return _is_fence
    if content.startswith(">>>"):
        return _is_blank
    directive = _DIRECTIVE.match(content)
    opens = directive[1] in _CODE_DIRECTIVES if directive else content.endswith("::")
    if not opens:
        return None
    indent = _indent(line)
    return lambda later: not _is_blank(later) and _indent(later) <= indent


def _is_fence(line: str) -> bool:
    return line.lstrip().startswith(("```", "~~~"))


def _is_blank(line: str) -> bool:
    return not line.strip()


def _indent(line: str) -> int:
    expanded = line.expandtabs()
    return len(expanded) - len(expanded.lstrip())


def _folder_texts(folder: Path) -> Iterator[tuple[str, str]]:
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.suffix in TEXT_SUFFIXES
    }
    for name in sorted(files):
        if files[name].is_file():
            yield name, _read_text(files[name])


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Check its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}. "
            "Convert it, for example with iconv."
        ) from error


def _jsonl_texts(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}: line {number} is not JSON: {first_line(error)}. Write one object per line."
                ) from error
            fields = row if isinstance(row, dict) else {}
            yield _text_of(f"{path}: line {number}", _id_of(fields, number), fields.get("text"))


def _parquet_texts(path: Path) -> Iterator[tuple[str, str]]:
    try:
        names = pq.read_schema(path).names
        if "text" not in names:
            raise DataError(f"{path} has the columns {', '.join(names)}, expected text. Rename one.")
        columns = [name for name in ("text", "id") if name in names]
        rows = pq.read_table(path, columns=columns).to_pylist()
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is not a readable Parquet file: {first_line(error)}. Copy it again."
        ) from error
    for number, row in enumerate(rows):
        yield _text_of(f"{path}: row {number}", _id_of(row, number), row["text"])


def _id_of(row: Mapping[str, Any], number: int) -> Any:
    return number if row.get("id") is None else row["id"]


def _text_of(place: str, name: Any, text: Any) -> tuple[str, str]:
    if not isinstance(text, str):
        raise DataError(f"{place} has the text {text!r:.40}, expected a string under the key text. Drop it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place} has half a surrogate pair at character {error.start}. Remove it."
        ) from error
    return str(name), text
