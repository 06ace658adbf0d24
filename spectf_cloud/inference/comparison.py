"""Comparison models ready to score spectra: a ResNet, boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import ConfigError, InputError, WeightsError
from spectf_cloud.files.card import card_path
from spectf_cloud.files.yaml import read_yaml
from spectf_cloud.inference.backend import Backend, resolve_device
from spectf_cloud.models.load import read_state_dict
from spectf_cloud.readers.irradiance import Irradiance, irradiance_of_weights
from spectf_cloud.weights import Checkpoint, kind_of, read_checkpoint

if TYPE_CHECKING:
    import torch

    from spectf_cloud.models.resnet import ResNet

Kind = Literal["resnet", "xgboost"]
_SAME_BANDS_NM = 0.01
# Spectra in one call of a ResNet.
_BLOCK = 1024


class ResNetBackend:
    """Cloud probability by a ResNet."""

    name = "resnet"
    fidelity = "exact"

    def __init__(self, model: ResNet, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.device = device

    @classmethod
    def load(cls, checkpoint: Checkpoint, device: str | int) -> ResNetBackend:
        """Load a checkpoint of kind ``resnet``. Raises `WeightsError`."""
        from spectf_cloud.models.resnet import ResNet, ResNetConfig  # PyTorch comes with it

        model = ResNet(ResNetConfig.from_mapping(checkpoint.shape))
        try:
            model.load_state_dict(read_state_dict(checkpoint))
        except RuntimeError as error:  # other names or shapes
            raise WeightsError(f"{checkpoint.path} does not hold the ResNet of its card") from error
        return cls(model, resolve_device(device))

    def __call__(self, toa: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return cloud probability (n,) float32 of toa (n, bands) float32."""
        import torch

        result = np.empty(len(toa), np.float32)
        with torch.inference_mode():
            for start in range(0, len(toa), _BLOCK):
                block = torch.from_numpy(np.ascontiguousarray(toa[start : start + _BLOCK])).to(self.device)
                result[start : start + _BLOCK] = torch.softmax(self.model(block), -1)[:, 1].cpu().numpy()
        return result


@dataclass(frozen=True)
class ComparisonModel:
    """A trained comparison model, ready to score spectra of the bands it was trained on."""

    kind: str
    path: Path
    sha256: str
    threshold: float
    backend: Backend
    irradiance: Irradiance | None = None


def is_comparison(path: str | Path) -> bool:
    """Return whether a file is a comparison model: trees in JSON, or a card that says so."""
    return Path(path).is_file() and kind_of(Path(path)) in get_args(Kind)


def load_comparison(path: str | Path, wavelength_nm: NDArray[np.float64], device: str | int = "cpu") -> ComparisonModel:
    """Load a ResNet (with its card) or boosted trees (``.json``, published or ours).

    Raises `WeightsError` for files that are not such models, and `InputError` for other bands.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"{file}: no such model file")
    found = read_checkpoint(file)
    _check_bands(found, wavelength_nm)
    backend: Backend
    if found.kind == "xgboost":
        from spectf_cloud.models.trees import TreesBackend

        backend = TreesBackend.load(file, len(wavelength_nm))
    elif found.kind == "resnet":
        backend = ResNetBackend.load(found, device)
    else:
        card = card_path(file)
        raise WeightsError(f"{file} is not a comparison model: {card} with 'kind: resnet' is needed next to it")
    return ComparisonModel(found.kind, file, found.sha256, found.threshold, backend, irradiance_of_weights(found))


def read_architecture(path: Path, kind: Kind) -> dict[str, Any]:
    """Read ``architecture`` and ``training`` of a YAML of that kind. Raises `ConfigError`."""
    content = read_yaml(path)
    if not isinstance(content.get("architecture"), dict):
        raise ConfigError(f"{path} has no key 'architecture'; see comparison_models/{kind}.yml")
    if content.get("kind", kind) != kind:
        raise ConfigError(f"{path} describes a {content['kind']}, not a {kind}")
    return content


def _check_bands(found: Checkpoint, wavelength_nm: NDArray[np.float64]) -> None:
    bands = wavelength_nm if found.bands_nm is None else np.array(found.bands_nm)
    if bands.shape != wavelength_nm.shape or np.abs(bands - wavelength_nm).max() > _SAME_BANDS_NM:
        raise InputError(
            f"{found.path} was trained on other bands ({len(bands)}) than these ({len(wavelength_nm)}); "
            "a comparison model works on its own bands only"
        )
