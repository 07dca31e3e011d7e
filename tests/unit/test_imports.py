"""Which files a rule runs is read off its entry modules."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap

import pytest
from alertgrid import imports

SOURCES = {
    "__init__": "",
    "entry": """
        import numpy as np
        from .below import (
            made,
            inner,
        )
        from . import errors

        def late():
            \'\'\'From the text:
            from .nowhere come no modules,
            from . import prose
            \'\'\'
            from .second import value
            import alertgrid.third
        """,
    "below/__init__": "from .made_here import made",
    "below/made_here": "made = 1",
    "below/inner": "from ..fourth import value\nfrom .entry_of_another import nothing",
    "below/entry_of_another": "",
    "below/unused": "",
    "second": "from alertgrid.fourth import value\nfrom .entry import late",
    "third": "",
    "fourth": "value = 1",
    "errors": "from . import unused",
    "unused": "",
    "prose": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in SOURCES.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.setattr(imports, "PACKAGE", tmp_path)
    imports._imported.cache_clear()
    yield tmp_path
    imports._imported.cache_clear()


USED = ["below", "below.entry_of_another", "below.inner", "below.made_here", "entry", "fourth", "second", "third"]


def test_imports_are_followed_through_folders_functions_and_circles(package):
    assert [name for name in imports.modules_used("entry") if name != "prose"] == USED
    assert imports.modules_used("fourth", "third") == ["fourth", "third"]
    assert "unused" in imports.modules_used("entry", without=())
    assert not {name for name in imports.modules_used("entry", without=("errors", "below")) if "below" in name}


def test_the_hash_changes_with_what_is_used_and_with_nothing_else(package):
    before = imports.code_hash("entry")
    for name in ("unused", "errors", "below/unused"):
        (package / f"{name}.py").write_text("changed = True")
    assert imports.code_hash("entry") == before
    (package / "fourth.py").write_text("value = 2")
    assert imports.code_hash("entry") != before
    with pytest.raises(FileNotFoundError):
        imports.code_hash("not_there")


def all_modules():
    for path in sorted(imports.PACKAGE.rglob("*.py")):
        parts = path.relative_to(imports.PACKAGE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def test_no_import_of_the_package_is_overlooked():
    """Every statement of every module, parsed as a whole, is found by the quick search too."""
    for module, path in all_modules():
        inside = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        statements = [node for node in ast.walk(ast.parse(path.read_text())) if is_ours(node)]
        expected = {name for statement in statements for name in imports._named(statement, [*filter(None, inside)])}
        assert module == "" or expected == set(imports._imported(module)), module


def is_ours(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or node.module.split(".")[0] == "alertgrid"
    return isinstance(node, ast.Import) and node.names[0].name.split(".")[0] == "alertgrid"


def test_what_is_read_is_what_python_loads():
    """Only folders whose __init__.py nobody imports from, and modules that change nothing, are loaded beside it."""
    code = "import sys, alertgrid.splits; print(*(name for name in sys.modules if name.startswith('alertgrid.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    loaded = {name.removeprefix("alertgrid.") for name in loaded}
    assert loaded - set(imports.NEUTRAL) == set(imports.modules_used("splits"))


def test_a_page_or_a_reader_is_no_part_of_a_training():
    used = imports.modules_used("training.command")
    assert {"training.loop", "models.networks", "dataset", "columns", "weights", "validation"} <= set(used)
    assert not [name for name in used if name.startswith(("page", "figures", "tables", "sources.", "metrics"))]
