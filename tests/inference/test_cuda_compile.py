"""The CUDA kernel compiled to machine code for GPUs that are not here: what the interpreter cannot notice."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "helpers/cuda_resources.py"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def resources(*options: str) -> list[dict[str, object]]:
    """In a process of its own, where Triton compiles instead of interpreting."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, str(PROGRAM), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_compiles_to_tensor_core_code_for_hopper(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    (found,) = resources("--bands", "20", "--arch", "90")
    assert found["mix"]["HGMMA"] > 20  # type: ignore[index]
    assert found["programs"] >= found["wanted_programs"]  # type: ignore[operator]


@pytest.mark.slow
def test_full_size_fits_every_architecture(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for found in resources("--arch", "80", "86", "89", "90", "100", "120"):
        assert found["mix"].keys() & {"HGMMA", "HMMA", "UTCHMMA"}, found  # type: ignore[attr-defined]
        assert found["programs"] >= 1, found  # type: ignore[operator]
