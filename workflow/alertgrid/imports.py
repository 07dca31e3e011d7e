"""Which files of the package does a rule run? Those that its entry modules import, and what these import in turn.

Statements are read, not run, and only those that name the package, so that the whole of it takes some hundredths of a
second: every job of a cluster asks anew. Imports within functions count; what is imported by a name made at run time
(`import_module`) has to be named as an entry of its own.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
# Modules that never change what a rule makes, so that no study trains anew for an edit of them: messages, waiting,
# where a job runs, how a file gets into its place, what was measured beside the work; what reaches rules as parameters.
NEUTRAL = (
    "energy",
    "errors",
    "files",
    "grid",
    "launch",
    "locks",
    "options",
    "progress",
    "settings",
    "training.interrupts",
)

# A statement that names the package, with its brackets if it has some. Prose hardly parses; if it does, no harm done.
_IMPORT = re.compile(r"^[ \t]*((?:from[ \t]+(?:\.|alertgrid\b)|import[ \t]+alertgrid\b)[^\n(]*(?:\([^)]*\))?)", re.M)


def code_hash(*entries: str, without: Collection[str] = NEUTRAL) -> str:
    """Hash of all files that the entry modules run, 16 hexadecimal digits.

    Parameters
    ----------
    *entries : str
        Modules below the package, such as "training" or "sources.avro".
    without : collection of str
        Modules and folders that do not count, nor what they alone import.
    """
    digest = hashlib.sha256()
    for module in modules_used(*entries, without=without):
        digest.update(module.encode() + b"\0" + _path(module).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def modules_used(*entries: str, without: Collection[str] = NEUTRAL) -> list[str]:
    """Entry modules and all that they import within the package, by name; parameters as for `code_hash`.

    Raises
    ------
    FileNotFoundError
        There is no such entry module.
    """
    found, waiting = set(), list(entries)
    while waiting:
        module = waiting.pop()
        if module not in found and not _is_within(module, without):
            found.add(module)
            waiting += _imported(module)
    return sorted(found)


def _is_within(module: str, places: Collection[str]) -> bool:
    """Whether a module, or a folder that it lies in, is among some."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _path(module: str) -> Path:
    """File of a module; a folder stands for its __init__.py."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Modules that one module names in its import statements."""
    path = _path(module)
    inside = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    return tuple(
        name
        for text in _IMPORT.findall(path.read_text(encoding="utf-8"))
        for statement in _parsed(text)
        for name in _named(statement, inside)
    )


def _parsed(text: str) -> list[ast.stmt]:
    """The statement, or nothing where the text is none."""
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _named(statement: ast.stmt, inside: list[str]) -> Iterator[str]:
    """Modules of the package that a statement names, seen from the folder `inside` (its parts)."""
    if isinstance(statement, ast.Import):
        yield from (alias.name.partition(".")[2] for alias in statement.names if "." in alias.name)
        return
    words = (statement.module or "").split(".") if statement.module else []
    base = inside[: len(inside) - statement.level + 1] + words if statement.level else words[1:]
    for alias in statement.names:
        module = ".".join([*base, alias.name])
        # A name that is no module is defined in, or handed on by, the module that it is imported from.
        yield module if _path(module).is_file() else ".".join(base)
