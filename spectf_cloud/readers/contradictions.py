"""Whether radiance and geometry are of one time and one place, as far as their names and files say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.readers.acquisition import acquired
from spectf_cloud.scene import NODATA, Cube, Grid, Location

FloatArray = NDArray[np.float64]

_SAME_PLACE_DEG = 0.02
# Where a header puts unrectified pixels is a rough word: within a part of the scene's own size it is no contradiction.
_ROUGH_SHARE = 0.25
# Corners of a grid that is told twice: conventions differ by half a pixel, printed pixel sizes in their last digits.
_SAME_GRID_PIXELS, _SAME_GRID_SHARE = 1.5, 0.001
_LATTICE = 9


def contradictions(radiance: Cube, observation: Cube) -> Iterator[str]:
    """Each way in which two files of one size cannot be of one scene. Raises `InputError`."""
    here, there = acquired(radiance.path.name), acquired(observation.path.name)
    if here is not None and there is not None and here.contradicts(there):
        yield f"{observation.path} is of {there} but {radiance.path.name} of {here}: another scene's geometry"
    apart = _apart(radiance, observation)
    if apart:
        yield f"{observation.path} lies {apart} {radiance.path.name}: another scene's geometry"


def _apart(radiance: Cube, observation: Cube) -> str | None:
    """How far the two lie apart, in words; None where they do not, or one does not say where it lies."""
    here, there = radiance.location(), observation.location()
    if here is not None and there is not None:
        return _degrees_apart(here.lon_deg, here.lat_deg, there.lon_deg, there.lat_deg, _SAME_PLACE_DEG)
    here_grid, there_grid = radiance.grid(), None
    with suppress(InputError):  # of the geometry's own place nothing else depends
        there_grid = observation.grid()
    if here_grid is not None and there_grid is not None:
        return _pixels_apart(here_grid, there_grid, radiance.lines, radiance.samples)
    location, grid = (there, here_grid) if here is None else (here, there_grid)
    return None if location is None or grid is None else _location_apart(location, grid)


def _degrees_apart(
    lon: FloatArray, lat: FloatArray, other_lon: FloatArray, other_lat: FloatArray, allowed_deg: float
) -> str | None:
    east = (lon - other_lon + 180) % 360 - 180
    apart = np.maximum(np.abs(east), np.abs(lat - other_lat))
    known = (lon != NODATA) & (other_lon != NODATA) & np.isfinite(apart)
    if known.any() and (median := float(np.median(apart[known]))) > allowed_deg:
        return f"{median:.3g} degrees from"
    return None


def _location_apart(location: Location, grid: Grid) -> str | None:
    """A grid against the places of the pixels, on a lattice of them."""
    lines, samples = location.lon_deg.shape
    steps = (_steps(last).astype(int) for last in (lines - 1, samples - 1))
    line, sample = (axis.ravel() for axis in np.meshgrid(*steps, indexing="ij"))
    lon, lat = location.lon_deg[line, sample], location.lat_deg[line, sample]
    placed = _project(_on_map(grid, sample + 0.5, line + 0.5), grid.crs_wkt, "EPSG:4326")
    if placed is None:
        return None
    known = lat[(lat != NODATA) & np.isfinite(lat)]
    height_deg = float(np.ptp(known)) if known.size else 0.0
    return _degrees_apart(lon, lat, placed[0], placed[1], _SAME_PLACE_DEG + _ROUGH_SHARE * height_deg)


def _pixels_apart(here: Grid, there: Grid, lines: int, samples: int) -> str | None:
    """How far places of one grid lie from those of the other, in pixels of the first."""
    line, sample = (axis.ravel() for axis in np.meshgrid(_steps(lines), _steps(samples), indexing="ij"))
    placed = _project(_on_map(there, sample, line), there.crs_wkt, here.crs_wkt)
    if placed is None:
        return None
    _, x_per_sample, x_per_line, _, y_per_sample, y_per_line = here.geotransform
    with np.errstate(invalid="ignore"):  # places that the other system does not reach are infinite
        apart = placed - _on_map(here, sample, line)
        if _is_geographic(here):
            apart[0] = (apart[0] + 180) % 360 - 180
        pixels = np.linalg.solve(np.array([[x_per_sample, x_per_line], [y_per_sample, y_per_line]]), apart)
        farthest = float(np.hypot(*pixels).max())
    if farthest <= _SAME_GRID_PIXELS + _SAME_GRID_SHARE * max(lines, samples):
        return None
    return f"up to {farthest:.3g} pixels from" if np.isfinite(farthest) else "on another part of the Earth than"


def _is_geographic(grid: Grid) -> bool:
    """Whether its first coordinate is a longitude, which starts again after a turn."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return bool(CRS.from_wkt(grid.crs_wkt).is_geographic)
    except CRSError:
        return False


def _steps(last: int) -> FloatArray:
    """Evenly from 0 to ``last``, both included."""
    return np.linspace(0, last, _LATTICE)


def _on_map(grid: Grid, sample: FloatArray, line: FloatArray) -> FloatArray:
    """(2, n) coordinates of the grid's own system."""
    x, x_per_sample, x_per_line, y, y_per_sample, y_per_line = grid.geotransform
    return np.stack([x + sample * x_per_sample + line * x_per_line, y + sample * y_per_sample + line * y_per_line])


def _project(points: FloatArray, source: str, target: str) -> FloatArray | None:
    """Points (2, n) in another coordinate system; None where there is no way there, as from "Arbitrary"."""
    from rasterio import Env
    from rasterio.crs import CRS
    from rasterio.errors import CRSError, RasterioError
    from rasterio.warp import transform

    if source == target:
        return points
    try:
        with Env():  # or GDAL itself writes to standard error
            systems = [CRS.from_user_input(told) for told in (source, target)]
            if not all(system.is_projected or system.is_geographic for system in systems):
                return None
            moved: FloatArray = np.array(transform(*systems, *points))
    except (CRSError, RasterioError):
        return None
    return moved
