"""Observation geometry of one number for all pixels: the sun's zenith angle, and how far it was that day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectf_cloud.errors import InputError, UsageError
from spectf_cloud.readers.sun import distance_au
from spectf_cloud.scene import Cube

#: Positions of the sun's zenith angle and its distance among the bands.
SUN_BANDS = (0, 1)
_NAMES = ("To-sun zenith (degrees)", "Earth-sun distance (AU)")


@dataclass(frozen=True, eq=False, kw_only=True)
class SunCube(Cube):
    """Zenith angle, degrees, and distance, AU, the same everywhere."""

    zenith_deg: float
    distance_au: float

    @property
    def files(self) -> tuple[Path, ...]:
        """None: it was said, or noted in the image."""
        return ()

    def read(self, start: int, stop: int, bands: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
        """(stop − start, samples, 2 or chosen bands) float64."""
        numbers = np.array([self.zenith_deg, self.distance_au])
        chosen = numbers if bands is None else numbers[bands]
        return np.broadcast_to(chosen, (stop - start, self.samples, len(chosen))).copy()


def sun_cube(image: Cube, zenith_deg: float | None, day: date | None) -> SunCube:
    """Make the geometry of an image of radiance. Raises `InputError` where angle or day are not known."""
    if zenith_deg is None or day is None:
        lacks = " and ".join(
            name for name, value in (("the sun's zenith angle", zenith_deg), ("the day", day)) if value is None
        )
        raise InputError(
            f"{image.path} holds radiance, and nothing says {lacks}; give its OBS file (deploy-pt OUT OBS RDN, "
            "open_scene), or sun_zenith_deg= and day= (open_raster)"
        )
    if not 0 <= zenith_deg < 90:
        raise UsageError(f"a sun zenith angle of {zenith_deg:g} degrees lights no image; give one from 0 to 90")
    return SunCube(
        path=image.path.with_name(f"{image.path.name} (sun {zenith_deg:g} degrees from zenith, {day:%F})"),
        name=image.name,
        lines=image.lines,
        samples=image.samples,
        bands=len(_NAMES),
        band_names=_NAMES,
        zenith_deg=float(zenith_deg),
        distance_au=distance_au(datetime.combine(day, time(12), UTC)),
    )
