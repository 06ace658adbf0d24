"""Mask and probability as GeoTIFF on the sensor grid."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import Env
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import CRSError, NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import Affine

from spectf_cloud.errors import InputError
from spectf_cloud.files.atomic import atomic_output
from spectf_cloud.products.flags import Masked
from spectf_cloud.products.profiles import MASK, PROBABILITY, TILE, RasterProfile
from spectf_cloud.scene import NODATA, Glt, Grid, Location, Scene

_GCPS_PER_SIDE = 8


@dataclass(frozen=True, eq=False)
class Georeference:
    """Position of a raster: on an affine grid, approximate by ground control points, or unknown."""

    crs: CRS | None = None
    transform: Affine | None = None
    gcps: tuple[GroundControlPoint, ...] = ()

    @classmethod
    def of_scene(cls, scene: Scene) -> Georeference:
        """Return the georeference of the sensor grid if it has one, else ground control points."""
        grid = scene.grid()
        if grid is not None:
            return cls(crs_of(grid, scene.name), Affine.from_gdal(*grid.geotransform))
        return cls.of_location(scene.location())

    @classmethod
    def of_location(cls, location: Location | None) -> Georeference:
        """Return the georeference by ground control points, empty without any."""
        gcps = ground_control_points(location) if location is not None else ()
        return cls(CRS.from_epsg(4326), None, gcps) if gcps else cls()

    @classmethod
    def of_dataset(cls, dataset: DatasetReader) -> Georeference:
        """Return the georeference of an open raster."""
        gcps, gcp_crs = dataset.gcps
        if gcps:
            return cls(gcp_crs, None, tuple(gcps))
        return cls(dataset.crs, None if dataset.transform.is_identity else dataset.transform)

    def options(self) -> dict[str, Any]:
        """Return the arguments of `rasterio.open`."""
        wanted = {"crs": self.crs, "transform": self.transform, "gcps": list(self.gcps) or None}
        return {name: value for name, value in wanted.items() if value is not None}


def crs_of(place: Grid | Glt, source: str) -> CRS:
    """Return the coordinate reference system of a grid. Raises `InputError` naming ``source``."""
    try:
        with Env():  # otherwise GDAL writes to standard error
            return CRS.from_wkt(place.crs_wkt)
    except CRSError as error:
        raise InputError(f"{source}: its coordinate reference system is not readable ({error})") from error


def ground_control_points(location: Location, per_side: int = _GCPS_PER_SIDE) -> tuple[GroundControlPoint, ...]:
    """Return evenly spaced pixel centres with longitude, latitude (degrees) and elevation (m).

    Pixels without location are left out. Across the antimeridian longitudes continue beyond 180°.
    """
    lines, samples = location.lon_deg.shape
    rows = np.unique(np.linspace(0, lines - 1, per_side).round().astype(int))
    columns = np.unique(np.linspace(0, samples - 1, per_side).round().astype(int))
    row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    lon, lat, elevation = (values[row, column] for values in (location.lon_deg, location.lat_deg, location.elevation_m))
    known = (lon != NODATA) & (lat != NODATA) & np.isfinite(lon) & np.isfinite(lat)
    if known.any() and np.ptp(lon[known]) > 180:
        lon = np.where(lon < 0, lon + 360, lon)
    height = np.where(np.isfinite(elevation) & (elevation != NODATA), elevation, 0.0)
    return tuple(
        GroundControlPoint(row[i] + 0.5, column[i] + 0.5, float(lon[i]), float(lat[i]), float(height[i]))
        for i in np.flatnonzero(known)
    )


def write_mask(mask: Masked, path: Path, overwrite: bool = False) -> None:
    """Write the mask, uint8: 0 clear, 1 cloud, 255 no data. Raises `OutputError`."""
    write_geotiff(path, mask.mask, MASK, Georeference.of_scene(mask.scene), mask.tags, overwrite)


def write_probability(mask: Masked, path: Path, overwrite: bool = False) -> None:
    """Write the probability, float32 with −9999 for no data. Raises `OutputError`."""
    write_geotiff(path, mask.probability, PROBABILITY, Georeference.of_scene(mask.scene), mask.tags, overwrite)


def write_geotiff(
    path: Path,
    values: NDArray[np.generic],
    profile: RasterProfile,
    georeference: Georeference,
    tags: Mapping[str, str],
    overwrite: bool = False,
) -> None:
    """Write ``values`` (lines, samples) with overviews. Raises `OutputError`."""
    options = {**profile.geotiff(), **georeference.options()}
    save_raster(path, values, profile, options, tags, overwrite, _overview_factors(*values.shape))


def save_raster(
    path: Path,
    values: NDArray[np.generic],
    profile: RasterProfile,
    options: Mapping[str, Any],
    tags: Mapping[str, str],
    overwrite: bool,
    overviews: Sequence[int] = (),
) -> None:
    """Write ``values`` (lines, samples) with these options of `rasterio.open`. Raises `OutputError`."""
    height, width = values.shape
    # In memory first: on a full disk GDAL crashes or leaves a truncated file without an error.
    with MemoryFile() as memory:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some scenes have no position
            with memory.open(**options, height=height, width=width) as dataset:
                dataset.write(values, 1)
                profile.describe(dataset, tags)
                if overviews:
                    dataset.build_overviews(overviews, profile.overviews)
        with atomic_output(path, overwrite=overwrite) as temporary:
            temporary.write_bytes(memory.getbuffer())


def _overview_factors(height: int, width: int) -> list[int]:
    """Return powers of two, at least one, until the whole picture fits in a tile."""
    factors = [2]
    while max(height, width) > TILE * factors[-1]:
        factors.append(2 * factors[-1])
    return factors
