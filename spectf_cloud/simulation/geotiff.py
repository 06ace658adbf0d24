"""Writes a simulated scene as GeoTIFF: TOA reflectance with the bands' centres and widths, on a map."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.windows import Window

from spectf_cloud.simulation.band_nodes import names_of
from spectf_cloud.simulation.config import Dtype
from spectf_cloud.simulation.geometry import NODATA, SUN_AZIMUTH, SUN_DISTANCE, SUN_ZENITH, Geometry
from spectf_cloud.simulation.scene import SimulatedScene

Float32Array = NDArray[np.float32]

TILE = 256
#: Tiles are lower where so many lines of all bands would be larger than this, bytes.
MAX_BLOCK_BYTES = 2**27
#: Of whole numbers: reflectance is this times the number, and 0 is no data.
SCALE, WHOLE_NODATA = 1e-4, 0


def map_options(geometry: Geometry) -> dict[str, Any]:
    """Return where a raster on the scene's map grid lies, as arguments of `rasterio.open`."""
    return {"crs": CRS.from_wkt(geometry.spatial_ref), "transform": Affine.from_gdal(*geometry.geotransform)}


def write_reflectance(
    path: Path, scene: SimulatedScene, lines: Iterator[Float32Array], dtype: Dtype, attributes: dict[str, str]
) -> None:
    """Write lines (samples, bands) of TOA reflectance, -9999 outside the swath, a block of them at a time.

    Whole numbers are reflectance over 0.0001, at least 1; 0 is no data.
    """
    height, width = scene.shape
    block = _lines_per_block(width * scene.sensor.bands)
    whole = dtype == "uint16"
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=scene.sensor.bands, dtype=dtype,
        nodata=WHOLE_NODATA if whole else NODATA, compress="deflate", predictor=2 if whole else 3, interleave="band",
        tiled=True, blockxsize=TILE, blockysize=block, bigtiff="if_safer", **map_options(scene.geometry),
    ) as file:  # fmt: skip
        _describe(file, scene)
        if whole:
            file.scales = (SCALE,) * scene.sensor.bands
        file.update_tags(**attributes, **_facts(scene))
        for start in range(0, height, block):
            values = np.stack(list(islice(lines, block))).transpose(2, 0, 1)
            window = Window(0, start, width, values.shape[1])
            file.write(_whole_numbers(values) if whole else values, window=window)


def _lines_per_block(values_per_line: int) -> int:
    """Return a multiple of 16, as tiles need."""
    return max(min(TILE, MAX_BLOCK_BYTES // (4 * values_per_line) // 16 * 16), 16)


def _whole_numbers(reflectance: Float32Array) -> NDArray[np.uint16]:
    rounded = np.rint(reflectance / np.float32(SCALE))
    numbers: NDArray[np.uint16] = np.clip(rounded, 1, np.iinfo(np.uint16).max).astype(np.uint16)
    numbers[reflectance == NODATA] = WHOLE_NODATA
    return numbers


def _describe(file: Any, scene: SimulatedScene) -> None:
    """Tag every band with centre, width and units, as EnMAP-Box does."""
    sensor = scene.sensor
    described = zip(names_of(sensor), sensor.wavelength_nm.tolist(), sensor.fwhm_nm.tolist(), strict=True)
    for band, (name, centre, fwhm) in enumerate(described, start=1):
        file.set_band_description(band, name)
        file.update_tags(band, wavelength=repr(centre), wavelength_units="Nanometers", fwhm=repr(fwhm), bbl="1")


def _facts(scene: SimulatedScene) -> dict[str, str]:
    """Return what is known of the scene beyond its pixels."""
    obs = scene.geometry.obs[scene.geometry.valid]
    return {
        "quantity": "toa_reflectance",
        "sensor": scene.sensor.name,
        "acquired": scene.geometry.start.isoformat(),
        "sun_zenith_deg": f"{obs[:, SUN_ZENITH].mean(dtype=float):.4f}",
        "sun_azimuth_deg": f"{obs[:, SUN_AZIMUTH].mean(dtype=float):.4f}",
        "earth_sun_distance_au": f"{obs[:, SUN_DISTANCE].mean(dtype=float):.6f}",
    }
