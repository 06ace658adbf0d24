"""Where the sun stands."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def _days(time: datetime) -> float:
    return (time - _J2000).total_seconds() / 86400.0


def position(time: datetime, lon_deg: FloatArray, lat_deg: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Zenith angle and azimuth (clockwise from north) of the sun, degrees, for places (any shape).

    Low-precision formulas of the Astronomical Almanac as given by Michalsky (1988): good to 0.01 degrees
    between 1950 and 2050. ``time`` must know its zone. No refraction.
    """
    days = _days(time)
    mean_longitude = 280.460 + 0.9856474 * days
    anomaly = np.deg2rad(357.528 + 0.9856003 * days)
    longitude = np.deg2rad(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.deg2rad(23.439 - 0.0000004 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude))
    declination = np.arcsin(np.sin(obliquity) * np.sin(longitude))
    sidereal_deg = (280.46062 + 360.98564737 * days) % 360.0
    hour_angle = np.deg2rad(sidereal_deg + np.asarray(lon_deg)) - right_ascension
    lat = np.deg2rad(np.asarray(lat_deg))
    up = np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(hour_angle)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(lat) * np.sin(declination) - np.sin(lat) * np.cos(declination) * np.cos(hour_angle)
    zenith: FloatArray = np.rad2deg(np.arccos(np.clip(up, -1.0, 1.0)))
    azimuth: FloatArray = np.rad2deg(np.arctan2(east, north)) % 360.0
    return zenith, azimuth


def distance_au(time: datetime) -> float:
    """Earth–Sun distance, AU (Astronomical Almanac, low precision: 0.0003 AU)."""
    anomaly = np.deg2rad(357.528 + 0.9856003 * _days(time))
    return float(1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly))
