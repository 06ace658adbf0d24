"""The tests stand on the package and their own helpers, never on the programs that measure it."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
#: The tests of the recipe that makes the bundled weights have to import it.
ABOUT_EVALUATION = TESTS / "evaluation"


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_test_imports_evaluation():
    paths = [path for path in TESTS.rglob("*.py") if ABOUT_EVALUATION not in path.parents]
    assert len(paths) > 50
    assert [path.name for path in paths for name in imported(path) if name.split(".")[0] == "evaluation"] == []
