"""Comparison models on disk: a file and the card beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from spectf_cloud.errors import ConfigError, InputError, WeightsError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.files.yaml import read_yaml
from spectf_cloud.inference.backend import Backend, resolve_device
from spectf_cloud.models.load import load_tensors
from spectf_cloud.models.resnet import ResNet, ResNetConfig
from spectf_cloud.readers.irradiance import Irradiance, irradiance_of_card
from spectf_cloud.weights import sha256_of

Kind = Literal["resnet", "xgboost"]
#: Threshold of a model without a card.
_PLAIN_THRESHOLD = 0.5
_SAME_BANDS_NM = 0.01
# Spectra that a ResNet is given at once.
_BLOCK = 1024


class ResNetBackend:
    """Cloud probability by a ResNet."""

    name = "resnet"
    fidelity = "exact"

    def __init__(self, model: ResNet, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.device = device

    @classmethod
    def load(cls, path: Path, architecture: Mapping[str, Any], device: str | int) -> ResNetBackend:
        """From a plain state dict. Raises `WeightsError`."""
        model = ResNet(ResNetConfig.from_mapping(architecture))
        try:
            model.load_state_dict(load_tensors(path))
        except (RuntimeError, TypeError, AttributeError) as error:  # whatever is not of these names and shapes
            raise WeightsError(f"{path} does not hold the ResNet of its card ({type(error).__name__})") from error
        return cls(model, resolve_device(device))

    @torch.inference_mode()
    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """toa (n, bands) float32 → (n,) float32."""
        result = np.empty(len(toa), np.float32)
        for start in range(0, len(toa), _BLOCK):
            block = torch.from_numpy(np.ascontiguousarray(toa[start : start + _BLOCK])).to(self.device)
            result[start : start + _BLOCK] = torch.softmax(self.model(block), -1)[:, 1].cpu().numpy()
        return result


@dataclass(frozen=True)
class ComparisonModel:
    """A trained comparison model, ready to score spectra of its own bands."""

    kind: Kind
    path: Path
    sha256: str
    threshold: float
    backend: Backend
    irradiance: Irradiance | None = None


def is_comparison(path: str | Path) -> bool:
    """Whether a file is a comparison model: trees in JSON, or a card that says so."""
    file = Path(path)
    if file.suffix == ".json":
        return file.is_file()
    card = file.with_suffix(".yml")
    return file.is_file() and card.is_file() and read_yaml(card).get("kind") in ("resnet", "xgboost")


def load_comparison(path: str | Path, wavelength_nm: NDArray[np.float64], device: str | int = "cpu") -> ComparisonModel:
    """Load a ResNet (``.pt`` with its card) or boosted trees (``.json``, published or ours).

    Raises `WeightsError` for files that are not such models, and `InputError` where the bands are others.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"{file}: no such model file")
    card_path = file.with_suffix(".yml")
    card = read_yaml(card_path) if card_path.is_file() else {}
    checksum = sha256_of(file)
    if card.get("sha256", checksum) != checksum:
        raise WeightsError(f"{file} is not the file that {card_path} describes (sha256 differs)")
    threshold = card.get("threshold", _PLAIN_THRESHOLD)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise WeightsError(f"{card_path}: threshold must be a probability, not {threshold!r}")
    _check_bands(file, card, wavelength_nm)
    irradiance = irradiance_of_card(card, card_path)
    backend: Backend
    if file.suffix == ".json":
        from spectf_cloud.models.trees import TreesBackend

        backend = TreesBackend.load(file, len(wavelength_nm))
        return ComparisonModel("xgboost", file, checksum, float(threshold), backend, irradiance)
    if card.get("kind") != "resnet":
        raise WeightsError(f"{file} is no comparison model: {card_path} with 'kind: resnet' is needed beside it")

    backend = ResNetBackend.load(file, card.get("architecture", {}), device)
    return ComparisonModel("resnet", file, checksum, float(threshold), backend, irradiance)


def save_card(
    path: Path, kind: Kind, threshold: float, wavelength_nm: NDArray[np.float64], more: Mapping[str, Any]
) -> None:
    """Describe a model file in ``NAME.yml`` beside it."""
    card = {
        "kind": kind,
        "name": f"{kind}:{path.resolve().parent.name}",
        "sha256": sha256_of(path),
        "threshold": threshold,
        **more,
        "bands_nm": [round(float(centre), 4) for centre in wavelength_nm],
    }
    with atomic_output(path.with_suffix(".yml"), overwrite=True) as temporary:
        temporary.write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_architecture(path: Path, kind: Kind) -> dict[str, Any]:
    """``architecture`` and ``training`` of a YAML of that kind. Raises `ConfigError`."""
    content = read_yaml(path)
    if not isinstance(content.get("architecture"), dict):
        raise ConfigError(f"{path} has no key 'architecture'; see comparison_models/{kind}.yml")
    if content.get("kind", kind) != kind:
        raise ConfigError(f"{path} describes a {content['kind']}, not a {kind}")
    return content


def _check_bands(file: Path, card: Mapping[str, Any], wavelength_nm: NDArray[np.float64]) -> None:
    bands = np.asarray(card.get("bands_nm", wavelength_nm), dtype=np.float64)
    if bands.shape != wavelength_nm.shape or np.abs(bands - wavelength_nm).max() > _SAME_BANDS_NM:
        raise InputError(
            f"{file} was trained on other bands ({len(bands)}) than these ({len(wavelength_nm)}); "
            "comparison models serve their own bands only"
        )
