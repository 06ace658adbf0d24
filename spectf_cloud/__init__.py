"""Cloud masks for imaging spectroscopy.

>>> import spectf_cloud as sc
>>> scene = sc.open_scene("EMIT_L1B_RAD_....nc")  # doctest: +SKIP
>>> mask = sc.mask_scene(scene)  # doctest: +SKIP
>>> mask.to_geotiff("mask.tif")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectf_cloud import sensors as sensors
    from spectf_cloud.data.spectra import Spectra as Spectra
    from spectf_cloud.data.spectra import open_spectra as open_spectra
    from spectf_cloud.dataset import open_raster as open_raster
    from spectf_cloud.dataset import open_scene as open_scene
    from spectf_cloud.errors import SpectfError as SpectfError
    from spectf_cloud.inference.predict import predict as predict
    from spectf_cloud.mapping.explain import explain as explain
    from spectf_cloud.mapping.explain import explain_pixel as explain_pixel
    from spectf_cloud.mapping.mask_scene import mask_scene as mask_scene
    from spectf_cloud.model import ModelConfig as ModelConfig
    from spectf_cloud.model import SpecTfEncoder as SpecTfEncoder
    from spectf_cloud.products.cloud_mask import CloudMask as CloudMask
    from spectf_cloud.scene import Scene as Scene
    from spectf_cloud.sensor import Sensor as Sensor

_PUBLIC = {
    "CloudMask": "products.cloud_mask",
    "ModelConfig": "model",
    "Scene": "scene",
    "Sensor": "sensor",
    "SpecTfEncoder": "model",
    "SpectfError": "errors",
    "Spectra": "data.spectra",
    "explain": "mapping.explain",
    "explain_pixel": "mapping.explain",
    "mask_scene": "mapping.mask_scene",
    "open_raster": "dataset",
    "open_scene": "dataset",
    "open_spectra": "data.spectra",
    "predict": "inference.predict",
    "sensors": "sensors",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import spectf_cloud` does not load PyTorch."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'spectf_cloud' has no attribute {name!r}")
    module = import_module(f"spectf_cloud.{_PUBLIC[name]}")
    return module if name == _PUBLIC[name] else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
