"""Which bands a network sees is decided in one file."""

import ast
from pathlib import Path

import spectf_cloud

PACKAGE = Path(spectf_cloud.__file__).parent


def asks_for_bands(path):
    """Whether a file asks a sensor which of its bands are kept."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Attribute) and called.attr == "kept" for called in calls)


def test_only_tokens_ask_a_sensor_for_its_bands():
    assert [path.name for path in PACKAGE.rglob("*.py") if asks_for_bands(path)] == ["tokens.py"]
