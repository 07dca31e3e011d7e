"""The project keeps its own house rules: pins agree, layers point one way, files and functions stay short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "workflow/alertgrid").rglob("*.py"))
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))


def locked() -> dict[str, str]:
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    pins = (line.split(";")[0].strip().split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pins}


def test_the_conda_file_agrees_with_the_pip_lock():
    conda = yaml.safe_load((ROOT / "envs/study.yaml").read_text())["dependencies"][-1]["pip"]
    for pin in conda:
        name, version = pin.split("==")
        assert locked()[name.lower().replace("_", "-")] == version, name


def test_pins_name_versions_and_no_address():
    text = (ROOT / "envs/requirements.txt").read_text() + (ROOT / "envs/study.yaml").read_text()
    assert "://" not in text
    assert "@" not in text


def test_the_report_names_the_licence_of_the_project():
    name = (ROOT / "LICENSE").read_text().split()[0]
    assert f'"licence": "{name} (LICENSE)' in (ROOT / "workflow/rules/shown.smk").read_text()


def test_every_file_that_texts_are_made_with_is_an_input_of_its_rule():
    report, rules = ROOT / "workflow/report", "".join(path.read_text() for path in RULES)
    made_with = {str(path.relative_to(report)) for path in report.rglob("*") if path.suffix in (".j2", ".css", ".js")}
    assert {name for name in made_with if f'"{name}"' not in rules} == {"compare.html.j2"}, "made by no rule"


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_knows_no_snakemake_and_stays_short(path):
    assert "snakemake" not in imported(path)
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 50, node.name


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules_fit_on_half_a_screen(path):
    for name, body in re.findall(r"^(?:use )?rule (\w+).*:\n((?:[ \t].*\n|\n)*)", path.read_text(), re.M):
        assert len([line for line in body.splitlines() if line.strip()]) <= 25, name


def _decides(node: ast.AST) -> bool:
    """Whether a node is logic; the guard of a script that other processes read again is none."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
        return False
    return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For)


def test_scripts_only_translate():
    for path in (ROOT / "workflow/scripts").glob("*.py"):
        assert not any(map(_decides, ast.walk(ast.parse(path.read_text())))), path.name


def test_grid_and_settings_need_no_torch():
    # Every Slurm job reads the Snakefile again, so what it imports must be light.
    package = ROOT / "workflow/alertgrid"
    light = [package / f"{name}.py" for name in ("grid", "errors", "columns", "encoders", "imports", "timing/settings")]
    for path in [*light, *(package / "settings").glob("*.py")]:
        top = {
            node.names[0].name.split(".")[0]
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert not top & {"torch", "timm", "galsim", "astropy", "sklearn"}, path
