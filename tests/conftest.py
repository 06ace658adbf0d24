"""Fixtures shared by all tests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

_DEFAULT_REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


@pytest.fixture(autouse=True)
def _plain_logging() -> Iterator[None]:
    """Undo what a command run in this process set: its level and its handler would outlive it."""
    yield
    logger = logging.getLogger("spectf_cloud")
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    logger.propagate = True


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of the reference data; the test skips without it, and fails where CI promised it."""
    folder = Path(os.environ.get("SPECTF_REFERENCE", _DEFAULT_REFERENCE))
    if not (folder / "README.md").is_file():
        message = f"no reference data in {folder} (set SPECTF_REFERENCE)"
        if os.environ.get("SPECTF_REQUIRE_REFERENCE"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def official(reference: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published weights, placed by hand as a user without a network would."""
    folder = reference / "official"
    monkeypatch.setenv("SPECTF_WEIGHTS_DIR", str(folder))
    return folder
