"""One function for each kind of file: it reads what a run reads, and only `SpectfError` may come out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from spectf_cloud.data.spectra import open_spectra
from spectf_cloud.dataset import open_raster
from spectf_cloud.errors import SpectfError
from spectf_cloud.models.arch_spec import read_arch_spec
from spectf_cloud.models.load import load_model
from spectf_cloud.products.geotiff import crs_of
from spectf_cloud.readers import emit, envi
from spectf_cloud.readers.irradiance import read_irradiance
from spectf_cloud.scene import Cube
from spectf_cloud.weights import find_weights

import fuzz_seeds as seeds

Target = Callable[[bytes, Path], None]


def _read_all(cube: Cube) -> None:
    cube.read(0, 1)
    cube.read(cube.lines - 1, cube.lines, np.array([0, cube.bands - 1]))
    cube.location()
    for place in (cube.glt(), cube.grid()):
        if place is not None:
            crs_of(place, cube.name)


def fuzz_envi(content: bytes, folder: Path) -> None:
    """A header beside a data file that never changes."""
    data = folder / "cube.img"
    if not data.exists():
        data.write_bytes(np.linspace(1, 20, seeds.LINES * seeds.SAMPLES * seeds.BANDS, dtype="<f4").tobytes())
    (folder / "cube.hdr").write_bytes(content)
    _read_all(envi.open_cube(data))


def fuzz_emit(content: bytes, folder: Path) -> None:
    """A granule."""
    path = folder / "granule.nc"
    path.write_bytes(content)
    if emit.is_hdf5(path):
        _read_all(emit.open_cube(path))


def fuzz_spectra(content: bytes, folder: Path) -> None:
    """Labelled spectra, cached."""
    path, cache = folder / "spectra.h5", folder / "cache"
    path.write_bytes(content)
    try:
        table = open_spectra(path, cache_dir=cache)
        table.take(np.arange(len(table)))
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def fuzz_weights(content: bytes, folder: Path) -> None:
    """A state dict."""
    path = folder / "weights.pt"
    path.write_bytes(content)
    (folder / "weights.yml").write_text("architecture: {num_heads: 1, dim_proj: 4, dim_ff: 4}\n")
    load_model(find_weights(path), np.array([400.0, 500.0]))


def fuzz_config(content: bytes, folder: Path) -> None:
    """A YAML configuration."""
    path = folder / "config.yml"
    path.write_bytes(content)
    read_arch_spec(path)


def fuzz_irradiance(content: bytes, folder: Path) -> None:
    """A solar irradiance."""
    path = folder / "irradiance.npy"
    path.write_bytes(content)
    read_irradiance(path)


def fuzz_raster(content: bytes, folder: Path) -> None:
    """A GeoTIFF of reflectance, or an archive of one, by whatever suffix."""
    path = folder / "raster.tif"
    path.write_bytes(content)
    scene = open_raster(path)
    _read_all(scene.image)
    scene.read_incidence_deg(0, 1)


TARGETS: dict[str, tuple[Target, Callable[[], Iterator[bytes]]]] = {
    "envi": (fuzz_envi, lambda: iter([seeds.ENVI_HEADER.encode()])),
    "emit": (fuzz_emit, seeds.emit),
    "spectra": (fuzz_spectra, seeds.spectra),
    "weights": (fuzz_weights, seeds.weights),
    "config": (fuzz_config, lambda: (text.encode() for text in seeds.YAML)),
    "irradiance": (fuzz_irradiance, seeds.irradiance),
    "raster": (fuzz_raster, seeds.rasters),
}


def survives(target: str, content: bytes, folder: Path) -> BaseException | None:
    """Return the exception that escaped and is not a `SpectfError`, or None."""
    try:
        TARGETS[target][0](content, folder)
    except SpectfError:
        return None
    except Exception as escaped:
        return escaped
    return None
