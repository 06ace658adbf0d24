"""Where the pixels of a granule lie and how sun and sensor see them.

A synthetic overpass of the space station, or the geometry of a real OBS file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError
from spectf_cloud.simulation import fields, sun
from spectf_cloud.simulation.atmosphere import Angles

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

NODATA = -9999.0
PIXEL_M = 60.0
#: Spacing of the orthorectified grid, degrees, as in delivered granules.
SPACING_DEG = 0.000542232520256367
WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
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
VIEW_ZENITH, SUN_AZIMUTH, SUN_ZENITH, COSINE_I, SUN_DISTANCE = 2, 3, 4, 8, 10

_ALTITUDE_KM = 420.0
_EARTH_KM = 6371.0
_INCLINATION_DEG = 51.64
_LINE_S = 0.0092
_KM_PER_DEG = 111.195


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
        zenith = self.obs[:, :, SUN_ZENITH]
        seen: NDArray[np.bool_] = (zenith >= 0) & (zenith < 89)
        return seen

    def mean_angles(self) -> Angles:
        """Sun and view direction in the middle of the scene."""
        sight = self.obs[self.valid].astype(np.float64)
        sun_deg, view_deg = sight[:, SUN_ZENITH].mean(), sight[:, VIEW_ZENITH].mean()
        towards = np.cos(np.deg2rad(sight[:, 5].mean()))
        return Angles(float(np.cos(np.deg2rad(sun_deg))), float(np.cos(np.deg2rad(view_deg))), float(-towards))

    def shadow_step(self) -> tuple[float, float]:
        """Lines and samples from a cloud, as seen, to its shadow, per km of its height.

        The sensor sees the cloud shifted away from itself; the shadow falls away from the sun.
        """
        mid_line, mid_sample = self.shape[0] // 2, self.shape[1] // 2
        sight = self.obs[mid_line, mid_sample] if self.valid[mid_line, mid_sample] else self.obs[self.valid][0]
        view = np.tan(np.deg2rad(sight[2])) * _towards(float(sight[1]))
        sunward = np.tan(np.deg2rad(sight[SUN_ZENITH])) * _towards(float(sight[SUN_AZIMUTH]))
        east_north_km = view - sunward
        step = np.linalg.solve(self._km_per_pixel(), east_north_km)
        return float(step[0]), float(step[1])

    def _km_per_pixel(self) -> FloatArray:
        """[[east per line, east per sample], [north per line, north per sample]], km."""
        good = np.argwhere(self.lon > NODATA)
        scale = np.array([_KM_PER_DEG * np.cos(np.deg2rad(self.lat[self.lat > NODATA].mean())), _KM_PER_DEG])
        design = np.column_stack([np.ones(len(good)), good])
        places = np.column_stack([self.lon[self.lon > NODATA], self.lat[self.lon > NODATA]])
        slopes, *_ = np.linalg.lstsq(design[::97], places[::97], rcond=None)
        km: FloatArray = slopes[1:].T * scale[:, None]
        return km


def _towards(azimuth_deg: float) -> FloatArray:
    azimuth = np.deg2rad(azimuth_deg)
    return np.array([np.sin(azimuth), np.cos(azimuth)])


@dataclass(frozen=True)
class Overpass:
    """A synthetic overpass: where, when, and over how rough a land."""

    lon_deg: float
    lat_deg: float
    start: datetime
    ascending: bool
    roll_deg: float
    relief_m: float
    ground_m: float


def draw_overpass(
    rng: np.random.Generator, start: datetime | None, latitude_deg: tuple[float, float], relief_m: tuple[float, float]
) -> Overpass:
    """A random daytime overpass with the sun 20–60 degrees from the zenith."""
    for _ in range(200):
        time = start or datetime(2023, 1, 1, tzinfo=UTC) + timedelta(seconds=int(rng.integers(0, 2 * 365 * 86400)))
        lat = float(rng.choice([-1, 1]) * rng.uniform(*latitude_deg))
        hour = rng.uniform(8.5, 15.5)
        lon = ((hour - time.hour - time.minute / 60) * 15 + 180) % 360 - 180
        zenith, _ = sun.position(time, np.array(lon), np.array(lat))
        if 20 < zenith < 60:
            break
    return Overpass(
        lon, lat, time, bool(rng.random() < 0.5), float(rng.uniform(-5, 5)), float(rng.uniform(*relief_m)),
        float(rng.uniform(20, 700)) if relief_m[1] > 0 else 0.0,
    )  # fmt: skip


def synthesise(shape: tuple[int, int], overpass: Overpass, rng: np.random.Generator) -> Geometry:
    """The geometry of an overpass: a flat swath on a straight track, a rough ground below it."""
    heading_deg = _heading_deg(overpass)
    along, across = _towards(heading_deg) * PIXEL_M / 1000, _towards(heading_deg - 90) * PIXEL_M / 1000
    line, sample = np.meshgrid(*(np.arange(side) - side / 2 for side in shape), indexing="ij")
    per_deg = np.array([_KM_PER_DEG * np.cos(np.deg2rad(overpass.lat_deg)), _KM_PER_DEG])
    to_degrees = np.array([along, across]).T / per_deg[:, None]
    lon = _snap(overpass.lon_deg + to_degrees[0, 0] * line + to_degrees[0, 1] * sample, 2.0**-23)
    lat = _snap(overpass.lat_deg + to_degrees[1, 0] * line + to_degrees[1, 1] * sample, 2.0**-23)
    elev = _snap(overpass.ground_m + overpass.relief_m * fields.power_law(shape, 3.8, rng).astype(np.float64), 2.0**-7)
    slope, aspect = _slope(elev, along, across)
    obs = _observe(overpass, sample, lon, lat, slope, aspect, heading_deg)
    edge = _outside_swath(shape)
    for array in (lon, lat, elev):
        array[edge] = NODATA
    obs[edge] = NODATA
    origin = np.array([overpass.lon_deg, overpass.lat_deg]) - to_degrees @ np.array([shape[0] / 2, shape[1] / 2])
    glt_x, glt_y, geotransform = lookup_table(shape, origin, to_degrees, edge)
    return Geometry(obs, lon, lat, elev, glt_x, glt_y, geotransform, WGS84, overpass.start)


def _snap(values: FloatArray, step: float) -> FloatArray:
    """Round to a step that needs few bits, centimetres here, so that files compress."""
    return np.rint(values / step) * step


def _heading_deg(overpass: Overpass) -> float:
    """Azimuth of the ground track: sin(azimuth) = cos(inclination)/cos(latitude)."""
    ratio = np.cos(np.deg2rad(_INCLINATION_DEG)) / np.cos(np.deg2rad(overpass.lat_deg))
    northward = float(np.rad2deg(np.arcsin(min(ratio, 1.0))))
    return northward if overpass.ascending else 180.0 - northward


def _slope(elev: FloatArray, along: FloatArray, across: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope and aspect (the way the slope faces), degrees."""
    per_line, per_sample = np.gradient(elev / 1000)
    inverse = np.linalg.inv(np.array([along, across]))
    east = inverse[0, 0] * per_line + inverse[0, 1] * per_sample
    north = inverse[1, 0] * per_line + inverse[1, 1] * per_sample
    return np.rad2deg(np.arctan(np.hypot(east, north))), np.rad2deg(np.arctan2(-east, -north)) % 360


def _observe(
    overpass: Overpass,
    sample: FloatArray,
    lon: FloatArray,
    lat: FloatArray,
    slope: FloatArray,
    aspect: FloatArray,
    heading_deg: float,
) -> Float32Array:
    """(lines, samples, 11): every OBS band of a synthetic overpass."""
    lines = sample.shape[0]
    cross_km = sample * PIXEL_M / 1000 + _ALTITUDE_KM * np.tan(np.deg2rad(overpass.roll_deg))
    ahead_km = 0.01 * _ALTITUDE_KM
    to_east_north = -cross_km[..., None] * _towards(heading_deg - 90) + ahead_km * _towards(heading_deg)
    distance = np.hypot(cross_km, ahead_km)
    view = np.rad2deg(np.arctan(distance / _ALTITUDE_KM) + distance / _EARTH_KM)
    view_azimuth = np.rad2deg(np.arctan2(to_east_north[..., 0], to_east_north[..., 1])) % 360
    zenith, azimuth = sun.position(overpass.start, lon, lat)
    hours = overpass.start.hour + overpass.start.minute / 60 + overpass.start.second / 3600
    obs = np.empty((*sample.shape, len(OBS_BANDS)), dtype=np.float32)
    obs[..., 0] = np.hypot(_ALTITUDE_KM, distance) * 1000
    obs[..., 1], obs[..., 2], obs[..., 3], obs[..., 4] = view_azimuth, view, azimuth, zenith
    obs[..., 5] = np.rad2deg(np.arccos(_cosine_between(view, view_azimuth, zenith, azimuth)))
    obs[..., 6], obs[..., 7] = slope, aspect
    obs[..., 8] = _cosine_between(slope, aspect, zenith, azimuth)
    obs[..., 9] = (hours + np.arange(lines) * _LINE_S / 3600)[:, None]
    obs[..., 10] = sun.distance_au(overpass.start)
    return obs


def _cosine_between(
    zenith_a: FloatArray, azimuth_a: FloatArray, zenith_b: FloatArray, azimuth_b: FloatArray
) -> FloatArray:
    """Cosine of the angle between two directions given by zenith angle and azimuth, degrees."""
    a, b = np.deg2rad(zenith_a), np.deg2rad(zenith_b)
    turn = np.deg2rad(azimuth_a - azimuth_b)
    cosine: FloatArray = np.clip(np.cos(a) * np.cos(b) + np.sin(a) * np.sin(b) * np.cos(turn), -1.0, 1.0)
    return cosine


def _outside_swath(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A slanted edge on either side, up to 1 % of the swath: pixels that the delivered files leave empty."""
    lines, samples = shape
    width = max(samples // 100, 1)
    share = np.arange(lines)[:, None] / lines
    sample = np.arange(samples)
    outside: NDArray[np.bool_] = (sample < width * share) | (sample >= samples - width * (1 - share))
    return outside


def lookup_table(
    shape: tuple[int, int], origin: FloatArray, to_degrees: FloatArray, edge: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[float, ...]]:
    """GLT of a swath whose pixel (line, sample) lies at origin + to_degrees @ (line, sample).

    Returns glt_x, glt_y and the geotransform. A cell that no pixel centre falls into takes the nearest
    pixel with a negative sign, as in delivered files.
    """
    lines, samples = shape
    corners = origin + np.array([(i, j) for i in (-1, lines) for j in (-1, samples)]) @ to_degrees.T
    west, north = corners[:, 0].min(), corners[:, 1].max()
    columns = int(np.ceil((corners[:, 0].max() - west) / SPACING_DEG))
    rows = int(np.ceil((north - corners[:, 1].min()) / SPACING_DEG))
    inverse = np.linalg.inv(to_degrees)
    lon = west + (np.arange(columns) + 0.5) * SPACING_DEG - origin[0]
    glt_x, glt_y = np.zeros((2, rows, columns), dtype=np.int32)
    for row in range(rows):
        lat = north - (row + 0.5) * SPACING_DEG - origin[1]
        where = inverse @ np.stack([lon, np.full(columns, lat)])
        line, sample = np.rint(where).astype(np.int32)
        inside = (line >= 0) & (line < lines) & (sample >= 0) & (sample < samples)
        inside[inside] = ~edge[line[inside], sample[inside]]
        own = to_degrees @ np.stack([line, sample])
        direct = (np.abs(own[0] - lon) <= SPACING_DEG / 2) & (np.abs(own[1] - lat) <= SPACING_DEG / 2)
        sign = np.where(direct, 1, -1)
        glt_x[row] = np.where(inside, sign * (sample + 1), 0)
        glt_y[row] = np.where(inside, sign * (line + 1), 0)
    return glt_x, glt_y, (float(west), SPACING_DEG, 0.0, float(north), 0.0, -SPACING_DEG)


def read_obs(path: Path) -> Geometry:
    """The geometry of an EMIT L1B OBS netCDF. Raises `InputError` when it is not one."""
    try:
        with h5py.File(path) as file:
            location = file["location"]
            start = datetime.strptime(_text(file.attrs["time_coverage_start"])[:19], "%Y-%m-%dT%H:%M:%S")
            return Geometry(
                file["obs"][()].astype(np.float32),
                location["lon"][()],
                location["lat"][()],
                location["elev"][()],
                location["glt_x"][()].astype(np.int32),
                location["glt_y"][()].astype(np.int32),
                tuple(float(number) for number in file.attrs["geotransform"]),
                _text(file.attrs["spatial_ref"]),
                start.replace(tzinfo=UTC),
            )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not an EMIT L1B OBS netCDF file ({error}); give one to --like") from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
