"""Which bands a network sees is decided in one file."""

import ast

from test_floors import MODULES


def asks_for_bands(path):
    """Whether a file asks a sensor which of its bands are kept."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "kept" and isinstance(parent, ast.Call) and parent.func is node
        for parent in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for node in ast.iter_child_nodes(parent)
    )


def test_only_tokens_ask_a_sensor_for_its_bands():
    assert [module for module, path in MODULES.items() if asks_for_bands(path)] == ["spectf_cloud.tokens"]
