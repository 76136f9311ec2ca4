"""The layout's promises: who imports whom is in pyproject.toml, sizes are here."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "reconciler").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 40
VAGUE = ("Manager", "Helper", "Util", "Base")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_layers_import_only_what_they_may():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_there_are_modules_to_judge():
    assert len(MODULES) > 50


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
