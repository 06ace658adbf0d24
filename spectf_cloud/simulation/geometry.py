"""Where the pixels of a granule lie and how sun and sensor see them.

Made up by `overpass`, or read from a real OBS file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.dataset import open_cube
from spectf_cloud.errors import InputError
from spectf_cloud.readers.emit import EmitCube
from spectf_cloud.scene import missing
from spectf_cloud.simulation.atmosphere import Angles

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

NODATA = -9999.0
#: Scenes are not simulated where the sun stands lower than this from the zenith, degrees.
HORIZON_DEG = 85.0
OBS_BANDS = (
    "Path length (sensor-to-ground in meters)",
    "To-sensor azimuth (0 to 360 degrees CW from N)",
    "To-sensor zenith (0 to 90 degrees from zenith)",
    "To-sun azimuth (0 to 360 degrees CW from N)",
    "To-sun zenith (0 to 90 degrees from zenith)",
    "Solar phase (degrees between to-sensor and to-sun vectors in principal plane)",
    "Slope (local surface slope as derived from DEM in degrees)",
    "Aspect (local surface aspect 0 to 360 degrees clockwise from N)",
    "Cosine(i) (apparent local illumination factor based on DEM slope and aspect and to sun vector)",
    "UTC Time (decimal hours for mid-line pixels)",
    "Earth-sun distance (AU)",
)
VIEW_ZENITH, SUN_AZIMUTH, SUN_ZENITH, PHASE, COSINE_I, SUN_DISTANCE = 2, 3, 4, 5, 8, 10

KM_PER_DEG = 111.195


@dataclass(frozen=True, eq=False)
class Geometry:
    """The observation geometry of one granule; no-data is -9999.

    Attributes
    ----------
    obs
        (lines, samples, 11) float32 in the order of `OBS_BANDS`.
    lon, lat, elev
        (lines, samples) float64, degrees and m.
    glt_x, glt_y
        (ortho_y, ortho_x) int32, 1-based sample and line, negative where interpolated, 0 where none.
    geotransform
        Of the orthorectified grid, GDAL order.
    spatial_ref
        Its coordinate system as WKT.
    start
        Time of the first line.
    """

    obs: Float32Array
    lon: FloatArray
    lat: FloatArray
    elev: FloatArray
    glt_x: NDArray[np.int32]
    glt_y: NDArray[np.int32]
    geotransform: tuple[float, ...]
    spatial_ref: str
    start: datetime

    @property
    def shape(self) -> tuple[int, int]:
        """(lines, samples)."""
        return self.obs.shape[0], self.obs.shape[1]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(lines, samples): seen by the sensor, with the sun up."""
        return _up(self.obs[:, :, SUN_ZENITH])

    def seen(self, pixels: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(n,): `valid` of pixels given by their flat index."""
        return _up(self.obs.reshape(-1, self.obs.shape[2])[pixels, SUN_ZENITH])

    def mean_angles(self) -> Angles:
        """Sun and view direction in the middle of the scene."""
        valid = self.valid
        means = (self.obs[:, :, band][valid].mean(dtype=np.float64) for band in (SUN_ZENITH, VIEW_ZENITH, PHASE))
        cos_sun, cos_view, cos_phase = (float(np.cos(np.deg2rad(mean))) for mean in means)
        return Angles(cos_sun, cos_view, -cos_phase)

    def shadow_step(self) -> tuple[float, float]:
        """Lines and samples from a cloud, as seen, to its shadow, per km of its height.

        The sensor sees the cloud shifted away from itself; the shadow falls away from the sun.
        """
        mid_line, mid_sample = self.shape[0] // 2, self.shape[1] // 2
        sight = self.obs[mid_line, mid_sample] if self.valid[mid_line, mid_sample] else self.obs[self.valid][0]
        view = np.tan(np.deg2rad(sight[2])) * towards(float(sight[1]))
        sunward = np.tan(np.deg2rad(sight[SUN_ZENITH])) * towards(float(sight[SUN_AZIMUTH]))
        east_north_km = view - sunward
        step = np.linalg.solve(self._km_per_pixel(), east_north_km)
        return float(step[0]), float(step[1])

    def _km_per_pixel(self) -> FloatArray:
        """[[east per line, east per sample], [north per line, north per sample]], km."""
        known = np.flatnonzero(self.lon > NODATA)
        known = known[:: max(len(known) // 2000, 1)]
        places = np.column_stack([self.lon.ravel()[known], self.lat.ravel()[known]])
        scale = np.array([KM_PER_DEG * np.cos(np.deg2rad(places[:, 1].mean())), KM_PER_DEG])
        design = np.column_stack([np.ones(len(known)), *np.divmod(known, self.shape[1])])
        slopes, *_ = np.linalg.lstsq(design, places, rcond=None)
        km: FloatArray = slopes[1:].T * scale[:, None]
        return km


def _up(zenith_deg: Float32Array) -> NDArray[np.bool_]:
    up: NDArray[np.bool_] = (zenith_deg >= 0) & (zenith_deg < HORIZON_DEG)
    return up


def towards(azimuth_deg: float) -> FloatArray:
    """(east, north) unit vector of an azimuth clockwise from north."""
    azimuth = np.deg2rad(azimuth_deg)
    return np.array([np.sin(azimuth), np.cos(azimuth)])


def read_obs(path: Path) -> Geometry:
    """The geometry of an EMIT L1B OBS netCDF. Raises `InputError` when it is not one."""
    cube = open_cube(path)
    location, table = (cube.location(), cube.lookup_table()) if isinstance(cube, EmitCube) else (None, None)
    if cube.bands != len(OBS_BANDS) or location is None or table is None or min(cube.lines, cube.samples) < 8:
        raise InputError(
            f"{path}: not an EMIT L1B OBS netCDF file with location and GLT, 8 x 8 pixels or more; give one to --like"
        )
    obs = cube.read(0, cube.lines).astype(np.float32)
    obs[missing(obs, cube.nodata)] = NODATA
    place = location.lon_deg, location.lat_deg, location.elevation_m
    found = Geometry(obs, *place, table.sample, table.line, table.geotransform, table.crs_wkt, _start(path))
    if not found.valid.any():
        raise InputError(f"{path}: no pixel of it is seen with the sun up; give another granule to --like")
    return found


def _start(path: Path) -> datetime:
    """The time of the first line, from the file's attributes."""
    with h5py.File(path) as file:
        text = _text(file.attrs.get("time_coverage_start", ""))
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(f"{path}: no time in its attribute time_coverage_start ({text[:40]!r}); correct it") from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
