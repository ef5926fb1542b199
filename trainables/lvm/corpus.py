"""The default corpus: what the scientific packages that are installed anyway say of themselves.

One module is one document; its sentences are those of its docstrings in the order of the source. Sources are
parsed and never imported. Which documents there are follows from the packages' versions and this file alone.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from trainables.dataset import DataError
from trainables.lvm.texts import Document, split_sentences

CORPUS_VERSION = 1  # raise it when a rule here, of sentences, or of `lsa` changes
PACKAGES = {  # distribution: package
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "statsmodels": "statsmodels",
}
MOST_DOCUMENTS = 400
FEWEST_SENTENCES, MOST_SENTENCES = 6, 40
_SKIPPED = re.compile(
    r"^_?(tests?|testing|vendor(ed)?|extern(als?)?|array_api_\w+|conftest|setup|version|cobyqa|pyprima)$"
)
_LISTS = frozenset(
    [
        "attributes",
        "examples",
        "methods",
        "other parameters",
        "parameters",
        "raises",
        "receives",
        "references",
        "returns",
        "routine listings",
        "see also",
        "warns",
        "yields",
        "keyword arguments",
        "default values",
    ]
)
_CREDIT = re.compile(
    r"\s*(authors?|copyright|created( on)?|date|licen[cs]e|maintainers?)\b.{0,20}:", re.IGNORECASE
)
_UNDERLINE = re.compile(r"^\s*[-=~^]{3,}\s*$")


def corpus_key() -> str:
    """Return what decides the corpus, hashed to 16 hex digits, without reading a source.

    Raises:
        DataError: If one of the packages is not installed.
    """
    try:
        versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError(f"{error.name} is not installed. Install it: pip install {error.name}.") from error
    rules = (CORPUS_VERSION, MOST_DOCUMENTS, FEWEST_SENTENCES, MOST_SENTENCES)
    return hashlib.sha256(repr((versions, rules)).encode()).hexdigest()[:16]


def default_corpus(progress: Callable[[int, int], None] | None = None) -> list[Document]:
    """Return the default corpus, in the order of the modules' names; no sentence stands in it twice.

    Modules are tried in the order of their names' hashes until there are `MOST_DOCUMENTS`, so every package has
    its share, and a module that is added upstream moves few others.

    Args:
        progress: Called with the documents found and those wanted.

    Raises:
        DataError: If one of the packages is not installed.
    """
    modules = {name: path for package in PACKAGES.values() for name, path in _modules(package)}
    documents: list[Document] = []
    seen: set[str] = set()
    for name in sorted(modules, key=_hashed):
        new = [text for text in dict.fromkeys(docstring_sentences(modules[name])) if text not in seen]
        if len(new) >= FEWEST_SENTENCES:
            documents.append(Document(name, tuple(new[:MOST_SENTENCES])))
            seen.update(documents[-1].sentences)
            if progress is not None:
                progress(len(documents), MOST_DOCUMENTS)
        if len(documents) == MOST_DOCUMENTS:
            break
    return sorted(documents, key=lambda document: document.name)


def docstring_sentences(path: Path) -> list[str]:
    """Return the sentences of the docstrings of a module, its classes and functions, in the order of the source.

    Raises:
        DataError: If the source cannot be read or parsed.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be parsed: {error}. Install its package again.") from error
    described = [tree, *(node for node in ast.walk(tree) if isinstance(node, _Described))]
    described.sort(key=lambda node: getattr(node, "lineno", 0))
    texts = (prose_sections(ast.get_docstring(node) or "") for node in described)
    return [sentence for text in texts for sentence in split_sentences(text)]


def prose_sections(docstring: str) -> str:
    """Return a docstring without headings, credits, and those sections of numpydoc that are lists.

    What is left is summary, extended description, notes, and sections of a name of their own.

    Source:
        numpydoc's style guide, "Sections".
    """
    lines, kept, in_list = docstring.splitlines(), [], False
    for line, following in pairwise([*lines, ""]):
        if line.strip() and _UNDERLINE.match(following):
            in_list = line.strip().lower() in _LISTS
            kept.append("")
        elif not in_list and not _UNDERLINE.match(line) and not _CREDIT.match(line):
            kept.append(line)
    return "\n".join(kept)


_Described = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    """Yield name and source of the modules of a package, without those of tests and of other projects."""
    spec = importlib.util.find_spec(package)  # of a package at the top: nothing is imported
    if spec is None or spec.origin is None:
        raise DataError(f"{package} is not installed. Install it: pip install counterpoise.")
    root = Path(spec.origin).parent
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        if not any(map(_SKIPPED.match, parts)):
            yield ".".join((package, *parts)), path


def _hashed(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
