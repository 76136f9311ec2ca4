"""The layout's promises: who imports whom is in pyproject.toml, sizes are here."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "reconciler").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 40
DEV = ROOT / "reconciler" / "dev"
DEV_LINES, DEV_API_LINES, STAND_IN_LINES, RUNTIMES_LINES = 6_000, 3_500, 500, 300
"""Lines of code, neither blank nor comment: of the development cluster's packages, of its API server;
of the stand-in for a forge."""
VAGUE = ("Manager", "Helper", "Util", "Base")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_layers_import_only_what_they_may():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_there_are_modules_to_judge():
    assert len(MODULES) > 50


def code_lines(folder: Path) -> int:
    lines = [line.strip() for path in folder.rglob("*.py") for line in path.read_text().splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_the_development_cluster_stays_small():
    packages = {folder.name: code_lines(folder) for folder in DEV.iterdir() if folder.is_dir()}
    assert packages.pop("forge") <= STAND_IN_LINES, "it stands beside the cluster, and is none of it"
    assert packages.pop("runtimes") <= RUNTIMES_LINES, "it prepares what pods run, and is none of it either"
    assert packages["api"] <= DEV_API_LINES
    assert sum(packages.values()) <= DEV_LINES, packages


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_is_short_and_says_what_it_is_for(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= FILE_LINES
    assert ast.get_docstring(tree), "no docstring"
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {
        f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= FUNCTION_LINES
    } == {}
    classes = [n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    assert [c for c in classes if c.startswith(VAGUE) or c.endswith(VAGUE)] == []
