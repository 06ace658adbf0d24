"""A synthetic overpass of the space station: where every pixel lies and how sun and sensor see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.readers import sun
from spectf_cloud.simulation import fields, glt
from spectf_cloud.simulation.config import EMIT_PIXEL_M
from spectf_cloud.simulation.geometry import KM_PER_DEG, NODATA, OBS_BANDS, Geometry, towards

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

LINE_S = 0.0092
_ALTITUDE_KM = 420.0
_EARTH_KM = 6371.0
_INCLINATION_DEG = 51.64


@dataclass(frozen=True)
class Overpass:
    """A synthetic overpass: where, when, over how rough a land, and how large the pixels are."""

    lon_deg: float
    lat_deg: float
    start: datetime
    ascending: bool
    roll_deg: float
    relief_m: float
    ground_m: float
    pixel_m: float = EMIT_PIXEL_M


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
    line, sample = _from_middle(shape)
    per_deg = np.array([KM_PER_DEG * np.cos(np.deg2rad(overpass.lat_deg)), KM_PER_DEG])
    to_degrees = np.array(_pixel_km(overpass, heading_deg)).T / per_deg[:, None]
    lon = _snap(overpass.lon_deg + to_degrees[0, 0] * line + to_degrees[0, 1] * sample, 2.0**-23)
    lat = _snap(overpass.lat_deg + to_degrees[1, 0] * line + to_degrees[1, 1] * sample, 2.0**-23)
    place, obs = observed(overpass, heading_deg, lon, lat, rng)
    origin = np.array([overpass.lon_deg, overpass.lat_deg]) - to_degrees @ np.array([shape[0] / 2, shape[1] / 2])
    glt_x, glt_y, geotransform = glt.lookup_table(shape, origin, to_degrees, _outside_swath(shape))
    return Geometry(obs, *place, glt_x, glt_y, geotransform, glt.WGS84, overpass.start)


def observed(
    overpass: Overpass, heading_deg: float, lon: FloatArray, lat: FloatArray, rng: np.random.Generator
) -> tuple[tuple[FloatArray, FloatArray, FloatArray], Float32Array]:
    """Put a rough ground below a swath and observe it.

    ``lon`` and ``lat`` (lines, samples), degrees, are where its pixels lie; lines follow ``heading_deg``, samples go
    to its left. Returns longitude, latitude and elevation, and every OBS band; -9999 outside the swath.
    """
    shape = lon.shape[0], lon.shape[1]
    elev = _snap(overpass.ground_m + overpass.relief_m * fields.power_law(shape, 3.8, rng).astype(np.float64), 2.0**-7)
    slope, aspect = _slope(elev, *_pixel_km(overpass, heading_deg))
    obs = _observe(overpass, _from_middle(shape)[1], lon, lat, slope, aspect, heading_deg)
    edge = _outside_swath(shape)
    for array in (lon, lat, elev, obs):
        array[edge] = NODATA
    return (lon, lat, elev), obs


def _from_middle(shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Lines and samples counted from the middle, (lines, samples) each."""
    line, sample = np.meshgrid(*(np.arange(side) - side / 2 for side in shape), indexing="ij")
    return line, sample


def _pixel_km(overpass: Overpass, heading_deg: float) -> tuple[FloatArray, FloatArray]:
    """(east, north) steps of a line and of a sample, km."""
    return towards(heading_deg) * overpass.pixel_m / 1000, towards(heading_deg - 90) * overpass.pixel_m / 1000


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
    cross_km = sample * overpass.pixel_m / 1000 + _ALTITUDE_KM * np.tan(np.deg2rad(overpass.roll_deg))
    ahead_km = 0.01 * _ALTITUDE_KM
    to_east_north = -cross_km[..., None] * towards(heading_deg - 90) + ahead_km * towards(heading_deg)
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
    obs[..., 9] = (hours + np.arange(lines) * LINE_S / 3600)[:, None]
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
