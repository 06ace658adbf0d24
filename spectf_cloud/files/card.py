"""The card of a weights file, as a plain mapping: ``X.yml``, and for safetensors ``X.json`` or ``card.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spectf_cloud.errors import WeightsError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.tensors import SAFETENSORS
from spectf_cloud.files.yaml import read_yaml

_MAX_CARD_BYTES = 2**20


def card_path(weights: Path) -> Path:
    """Return the path of the card of a weights file, whether it exists or not.

    >>> card_path(Path("weights.pt")).name
    'weights.yml'
    """
    if weights.suffix.lower() != SAFETENSORS:
        return weights.with_suffix(".yml")
    own, shared = weights.with_suffix(".json"), weights.with_name("card.json")
    return shared if shared.is_file() and not own.is_file() else own


def read_card(weights: Path) -> dict[str, Any]:
    """Return what the card of a weights file says; empty without one. Raises `WeightsError`, `ConfigError`."""
    path = card_path(weights)
    if path == weights or not path.is_file():
        return {}
    if path.suffix == ".yml":
        return read_yaml(path)
    try:
        if path.stat().st_size > _MAX_CARD_BYTES:
            raise WeightsError(f"{path} is larger than 1 MiB, too large for a card")
        card = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not valid JSON: {' '.join(str(error).split())}") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path} must hold a JSON object")
    return card


def save_card(weights: Path, card: Mapping[str, Any]) -> None:
    """Write the card of a weights file, whole or not at all. Raises `OutputError`."""
    path = card_path(weights)
    if path.suffix == ".yml":
        text = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True)
    else:
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
