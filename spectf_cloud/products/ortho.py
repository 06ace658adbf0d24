"""The mask orthorectified through the scene's look-up table, as a Cloud-Optimised GeoTIFF."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from spectf_cloud.errors import InputError
from spectf_cloud.products.flags import MASK_NODATA, Masked
from spectf_cloud.products.geotiff import crs_of, save_raster
from spectf_cloud.products.profiles import MASK
from spectf_cloud.scene import Glt, Grid

_LINES_AT_ONCE = 256
T = TypeVar("T", bound=np.generic)


def write_ortho(mask: Masked, path: Path, overwrite: bool = False) -> None:
    """Write the mask on the ortho grid, through the look-up table; 255 where nothing was seen.

    A scene delivered on a map grid is written on that grid. Raises `InputError` when the scene has
    neither, `OutputError` when the file cannot be written.
    """
    grid, glt = mask.scene.grid(), mask.scene.glt()
    place: Grid | Glt
    if grid is not None:
        values, place = mask.mask, grid
    elif glt is not None:
        values, place = through_glt(mask.mask, glt, MASK_NODATA, mask.scene.name), glt
    else:
        files = " or ".join(cube.path.name for cube in mask.scene.cubes)
        raise InputError(
            f"{mask.scene.name}: no geographic look-up table (GLT) in {files}, so the mask cannot be orthorectified; "
            "use the netCDF delivery of the scene, or write the sensor grid"
        )
    crs, transform = crs_of(place, mask.scene.name), Affine.from_gdal(*place.geotransform)
    save_raster(path, values, MASK, {**MASK.cog(), "crs": crs, "transform": transform}, mask.tags, overwrite)


def through_glt(values: NDArray[T], glt: Glt, nodata: float, source: str) -> NDArray[T]:
    """Return (lines, samples) on the ortho grid of ``glt``: nearest neighbour, ``nodata`` where nothing was seen.

    Raises `InputError` naming ``source`` when the table points outside the values.
    """
    lines, samples = values.shape
    if glt.line.max(initial=-1) >= lines or glt.sample.max(initial=-1) >= samples:
        raise InputError(
            f"{source}: the look-up table points to line {glt.line.max() + 1}, sample {glt.sample.max() + 1} of a "
            f"scene of {lines} lines and {samples} samples; radiance and observation belong to different granules"
        )
    ortho = np.full(glt.line.shape, nodata, dtype=values.dtype)
    for start in range(0, len(ortho), _LINES_AT_ONCE):  # index arrays are large; a few lines at once
        rows = slice(start, start + _LINES_AT_ONCE)
        line, sample = glt.line[rows], glt.sample[rows]
        seen = (line >= 0) & (sample >= 0)
        ortho[rows][seen] = values[line[seen], sample[seen]]
    return ortho
